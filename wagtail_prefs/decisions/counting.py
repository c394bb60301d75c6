"""How often was asked, and what was answered: counted in the memory of the process, and added to `DecisionCount` every ten
seconds.

A decision must stay as quick as it is, so nothing is written while somebody asks. Nor after his request: commands, tasks
and a site's own senders ask as well, and have none. A thread of its own does it, in every process that asks. Its
connection is its own too, so it is never inside anybody's transaction, which may roll back, or hold on to rows that all
processes add to. What is left when a process ends is added then (`atexit`); one that is killed loses ten seconds.
A database that is away loses nothing: what could not be added is kept, and tried again.

Nothing here raises, and neither a process nor the table grows with what somebody makes up: only topics that there are get
rows of their own, and a process keeps about MOST different rows at a time.
"""

from __future__ import annotations

import atexit
import enum
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from ..topics.models import Topic
from ..values import CHANNELS
from .models import DecisionCount
from .values import Ruling, Verdict

logger = logging.getLogger("wagtail_prefs.decisions")

#: What was asked may be as old as this before it is in the table.
SECONDS = 10.0
#: Different rows that a process keeps; what comes beyond is counted by audience and answer only.
MOST = 5000
#: Rows of one statement: SQLite bounds how many values it has.
ROWS = 500
#: Seconds that the end of a process waits for the thread that is just writing.
PATIENCE = 5.0


class Event(enum.StrEnum):
    """What was counted: an answer, or a send by what `decide` says about its moment (`promises.count_sends`)."""

    ASKED_SEND = "asked_send"
    ASKED_DEFER = "asked_defer"
    ASKED_DIGEST = "asked_digest"
    ASKED_REFUSE = "asked_refuse"
    SENT = "sent"
    SENT_DEFER = "sent_defer"  # although the answer was to wait
    SENT_DIGEST = "sent_digest"
    SENT_REFUSE = "sent_refuse"  # against a no
    SENT_UNJUDGED = "sent_unjudged"  # noted before sends were judged
    LATE = "late"  # one of the sends above had waited


_ASKED = {verdict: Event(f"asked_{verdict}") for verdict in Verdict}


class Row(NamedTuple):
    """What is counted together: the columns of `DecisionCount` but for the number. `day` is UTC's."""

    day: date
    audience_id: int
    topic: str
    channel: str
    sender: str
    event: str
    reason: str


def note(topic: str, channel: str, sender: str, audience: int | None, rulings: Sequence[Ruling]) -> None:
    """Count the answers of one call. No statement; most of a thousand rulings are one object, so it takes little time."""
    alike = Counter(map(id, rulings))
    few = rulings[:1] if len(alike) == 1 else rulings
    one_of = dict(zip(map(id, few), few, strict=True))
    said: dict[tuple[Verdict, str], int] = {}
    for key, count in alike.items():
        ruling = one_of[key]
        what = ruling.verdict, ruling.reason
        said[what] = said.get(what, 0) + count
    day = datetime.now(UTC).date()
    found = {
        Row(day, audience or 0, topic, channel, sender, _ASKED[verdict], reason): count
        for (verdict, reason), count in said.items()
    }
    if found:
        _buffer.add(found)
        _timer.wake()


def flush() -> int:
    """Add what is kept to the table, in one transaction; returns how many rows were added to.

    Inside of a transaction nothing is done, and where the database is away nothing is lost: 0. For tests, and for whoever
    wants to read what he has asked right now.
    """
    kept = _buffer.take()
    if not kept:
        return 0
    try:
        if not connection.in_atomic_block and not connection.get_autocommit():
            raise _Busy  # somebody commits by himself
        # Not in anybody's transaction but a test's: durable ones raise there.
        with transaction.atomic(durable=True):
            rows = _sound(kept)
            for start in range(0, len(rows), ROWS):
                _write(rows[start : start + ROWS])
    except Exception as problem:  # noqa: BLE001 - a decision must not fail for its number
        _buffer.give_back(kept)
        if not isinstance(problem, (_Busy, RuntimeError)):
            logger.warning("counting decisions: no database (%s), tried again", type(problem).__name__)
        return 0
    return len(rows)


def forget() -> None:
    """Throw away what was not added yet, for tests."""
    _buffer.take()


def by_itself(on: bool) -> None:
    """Whether the thread may start, for tests: it would write past their transactions."""
    _timer.on = on


class _Busy(Exception):
    """The connection is in the midst of something."""


def _sound(kept: Mapping[Row, int]) -> list[tuple[Row, int]]:
    """What the table takes, in order: two processes that add to the same rows never wait for each other in a circle."""
    topics = {row.topic for row in kept if _fits(row.topic)}
    there = set(Topic.objects.filter(key__in=topics).values_list("key", flat=True)) if topics else set()
    found: Counter[Row] = Counter()
    for row, count in kept.items():
        topic = row.topic if row.topic in there else ""
        channel = row.channel if row.channel in CHANNELS else ""
        found[row._replace(topic=topic, channel=channel, sender=cut(row.sender), reason=cut(row.reason))] += (
            count
        )
    return sorted(found.items())


def _fits(topic: str) -> bool:
    return 0 < len(topic) <= 64 and topic.isascii() and topic.isprintable()


def cut(text: str) -> str:
    """Senders and codes are texts of somebody's code: every database takes what is left of them."""
    return "".join(filter(str.isprintable, text)).encode(errors="replace").decode()[:64]


def _write(rows: Sequence[tuple[Row, int]]) -> None:
    table = connection.ops.quote_name(DecisionCount._meta.db_table)
    columns = ", ".join(Row._fields)
    places = ", ".join([f"({', '.join(['%s'] * (len(Row._fields) + 1))})"] * len(rows))
    values: list[Any] = []
    for row, count in rows:
        values += [connection.ops.adapt_datefield_value(row.day), *row[1:], count]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} AS kept ({columns}, count) VALUES {places} "  # noqa: S608 - names, no values
            f"ON CONFLICT ({columns}) DO UPDATE SET count = kept.count + EXCLUDED.count",
            values,
        )


class _Buffer:
    """What was counted and is not in the table yet, for all threads of a process."""

    def __init__(self) -> None:
        self.begin()
        os.register_at_fork(after_in_child=self.begin)  # what was counted before, the parent adds

    def begin(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Row, int] = {}

    def add(self, found: Mapping[Row, int]) -> None:
        with self._lock:
            for row, count in found.items():
                self._add(row, count)

    def give_back(self, kept: Mapping[Row, int]) -> None:
        """What could not be added. It came first, so it stays as it is."""
        with self._lock:
            newer, self._kept = self._kept, dict(kept)
            for row, count in newer.items():
                self._add(row, count)

    def take(self) -> dict[Row, int]:
        with self._lock:
            kept, self._kept = self._kept, {}
        return kept

    def _add(self, row: Row, count: int) -> None:
        if row not in self._kept and len(self._kept) >= MOST:
            row = row._replace(topic="", channel="", sender="", reason="")  # few, whatever is asked
        self._kept[row] = self._kept.get(row, 0) + count

    def __len__(self) -> int:
        return len(self._kept)


class _Timer:
    """A thread that adds what is kept, SECONDS after the first of it came. It begins with the first decision."""

    def __init__(self) -> None:
        self.on = True
        self.begin()
        os.register_at_fork(after_in_child=self.begin)  # threads stay behind in the parent
        atexit.register(self.end)

    def begin(self) -> None:
        self._lock = threading.Lock()
        self._woken, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        if not self._woken.is_set():
            self._woken.set()
        if self._thread is None and self.on:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None or self._ended.is_set():
                return
            thread = threading.Thread(target=self._run, name="prefs-counting", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter is about to end
                return
            self._thread = thread

    def _run(self) -> None:
        while not self._ended.is_set():
            self._woken.wait()
            if self._ended.wait(SECONDS):
                return
            self._woken.clear()
            try:
                flush()
            finally:
                connection.close()
            if len(_buffer):  # the database was away
                self._woken.set()

    def end(self) -> None:
        """The process ends: let the thread finish what it is at, and add the rest."""
        self._ended.set()
        self._woken.set()
        thread = self._thread
        if thread is not None:
            thread.join(PATIENCE)
        if len(_buffer):
            flush()
            connection.close()


_buffer = _Buffer()
_timer = _Timer()
