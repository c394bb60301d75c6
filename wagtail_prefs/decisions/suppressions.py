"""Files of whom not to write to: who `decide` refuses by our own rules, for senders that ask before they send and not at
every message. docs/reference/suppressions.md says what stands in one.

A file is read in pieces, each by two short statements that go by the ids of contacts: nothing is held open meanwhile,
neither a snapshot nor a cursor, and no more than a piece stands in memory. So whoever goes away leaves nothing behind,
and whoever was cut off goes on behind the last contact she has. Each contact is judged for one moment, that at which
the file was begun; what is committed while it is written is in the next file of changes, whichever piece it missed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.log_actions import LogActionRegistry, LogFormatter

from ..canonical import canonical
from ..cells import safe
from ..ciphers import MARK, Unreadable, reveal
from ..concealed import place_of
from ..conf import conf
from ..contacts import store
from ..contacts.models import Contact
from ..errors import PrefsError
from ..law import services as law
from ..topics.models import Topic
from ..values import CHANNELS, iso
from . import answers, facts, suppressed
from .rules import FIRST
from .suppressed import Format

logger = logging.getLogger(__name__)

#: The entry of the audit log about a file.
FETCHED = "wagtail_prefs.suppressions"
FORMATS: tuple[Format, ...] = ("csv", "ndjson")
#: Contacts that one statement judges: enough that it costs little for each, few enough for a first piece at once.
PIECE = 8192
#: People whom a file of changes names by their ids. Where more have changed, it tells of everybody.
MANY = 50_000
#: Moments are taken before they are committed, and by clocks that differ a little.
OVERLAP = timedelta(minutes=5)
#: What was judged otherwise by another release needs a full file.
_RELEASE = 1
_SINCE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)~([0-9a-f]{16})")
_LAST = UUID(int=2**128 - 1)
_FIRST = UUID(int=0)
_UNSAFE = re.compile(rb"\x02([0-9A-Fa-f]*)\x02")


class NoFile(PrefsError):
    """There is no file about that: `field` is the argument that cannot be, `text` says why in the active language."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"no file of suppressions: {field}")
        self.field = field
        self.text = text


class FullFileNeeded(NoFile):
    """What a file of changes cannot tell: rules have changed since, and with them may everybody's row."""


class Cut(Exception):
    """A file ended before its end, because reading the database failed. What is left of it must not look whole."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a file is about: `topic` on `channel` among an audience's contacts, judged for a moment.

    `since`: only who may have changed then or later, with whether she is suppressed now. `paused`: also whose pause holds.
    """

    audience_id: int
    topic: Topic
    channel: str
    at: datetime
    paused: bool
    since: datetime | None
    consent: Mapping[str, bool]
    rules: str

    @property
    def not_held(self) -> tuple[str, ...]:
        """Rules that stand in the way of messages as well, and that the file does not hold."""
        if self.topic.transactional:
            return ()
        ours = (
            "frequency",
            *(["quiet_hours"] if self.channel in conf.quiet_hours else []),
            *([] if self.paused else ["pauses"]),
        )
        return (*ours, *conf.decision_rules)

    def next_since(self) -> str:
        """What `since` is for the file of changes that follows this one. Ask before the first piece is read."""
        return f"{iso(min(self.at, _oldest_write() or self.at) - OVERLAP)}~{self.rules}"


def question(
    audience_id: int,
    topic: str,
    channel: str,
    *,
    paused: bool = False,
    since: str = "",
    at: datetime | None = None,
) -> Question:
    """What is asked, checked: two statements at most. `since` is what the file before gave as the next one.

    Raises NoFile for a topic that the audience does not have, or that is archived, a channel that it does not come by,
    and a `since` that none of our files gave: nobody may be told "none" where nobody may be written to. Raises
    FullFileNeeded where rules have changed since that file: the topic's, the law's, or ours.
    """
    now = at or timezone.now()
    key, channel = answers.names(topic, channel)
    found = Topic.objects.filter(audience_id=audience_id, key=key).first() if key else None
    if found is None:
        raise NoFile("topic", _("There is no such topic."))
    if found.archived:
        raise NoFile("topic", _("The topic is archived: nothing of it may be sent to anybody."))
    if channel not in CHANNELS or channel not in found.channels:
        raise NoFile(
            "channel", _("The topic does not come by this channel: nothing of it may be sent there.")
        )
    consent = suppressed.needing_consent(law.current(), found.basis)
    rules = _rules(found, channel, paused, consent)
    return Question(
        audience_id,
        found,
        channel,
        now,
        paused,
        _moment(since, rules, now) if since else None,
        consent,
        rules,
    )


def _moment(since: str, rules: str, now: datetime) -> datetime:
    match = _SINCE.fullmatch(since)
    try:
        moment = datetime.fromisoformat(match[1]).astimezone(UTC) if match else None
    except (ValueError, OverflowError):
        moment = None
    if match is None or moment is None or not FIRST <= moment <= now:
        raise NoFile(
            "since", _("“since” is what the file before gave as Prefs-Next-Since, as it stands there.")
        )
    if match[2] != rules:
        text = _(
            "The rules have changed since that file, or it answered another question: fetch a full file."
        )
        raise FullFileNeeded("since", text)
    return moment


def _rules(topic: Topic, channel: str, paused: bool, consent: Mapping[str, bool]) -> str:
    """What rows rest on beside what is known of each contact, as 16 digits: with another, everybody's may be another."""
    rests_on = [
        _RELEASE, topic.audience_id, topic.key, channel, topic.transactional, paused,
        sorted(code for code, needed in consent.items() if needed),
    ]  # fmt: skip
    return hashlib.sha256(canonical(rests_on)).hexdigest()[:16]


def _oldest_write() -> datetime | None:
    """When the oldest transaction began that writes now; None where there is none, or the database does not tell."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(xact_start) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
        )
        return store.as_datetime(cursor.fetchone()[0])


class File:
    """The bytes of a file, piece by piece; an iterator that may be closed at any time.

    `after` goes on behind a contact, and then the head is left out. The last line says that the file is whole and how
    many rows this one has: where it is missing, the file was cut. `address` adds the e-mail address.
    """

    def __init__(
        self, asked: Question, form: Format, *, after: UUID | None = None, address: bool = False
    ) -> None:
        self.question = asked
        self.rows = 0
        self.last = after  # everybody up to her was looked at
        self.is_whole = False
        self._form = form
        self._head = after is None
        self._columns = suppressed.columns(since=asked.since is not None, address=address)
        self._address = address
        self._pieces = self._read(address)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        self._pieces.close()

    def _read(self, address: bool) -> Generator[bytes]:
        if self._form == "csv" and self._head:
            yield _csv([self._columns])
        try:
            for piece in self._found(address):
                if piece:
                    yield piece
        except GeneratorExit:
            raise
        except Exception as problem:  # noqa: BLE001 - what a driver says may hold what stands in a row
            logger.error(  # noqa: TRY400 - the words of a driver
                "Suppressions of %s by %s were cut after %s rows: %s",
                self.question.topic.key, self.question.channel, self.rows, type(problem).__name__,
            )  # fmt: skip
            raise Cut from None
        self.is_whole = True
        yield self._end()

    def _end(self) -> bytes:
        if self._form == "ndjson":
            return f'{{"end":true,"rows":{self.rows}}}\n'.encode()
        return _csv([["#end", str(self.rows), *[""] * (len(self._columns) - 2)]])

    def _found(self, address: bool) -> Iterator[bytes]:
        changed = _changed(self.question, self.last)
        everybody = self.question.since is not None
        sql = suppressed.statement(
            self.question.channel,
            transactional=self.question.topic.transactional,
            consent=self.question.consent,
            paused=self.question.paused,
            everybody=everybody,
            address=address,
            form=self._form,
            listed=changed is not None,
        )
        values = {
            "audience": self.question.audience_id,
            "topic": self.question.topic.key,
            "channel": self.question.channel,
            "at": connection.ops.adapt_datetimefield_value(self.question.at),
        }
        if changed is not None:
            for start in range(0, len(changed), PIECE):
                some = changed[start : start + PIECE]
                yield self._piece(sql, {**values, "ids": facts.array(some)}, UUID(some[-1]))
            return
        after: UUID | None = self.last or _FIRST
        while after is not None and after < _LAST:
            upto = _upto(after)
            of = {"after": store.db_uuid(after), "upto": store.db_uuid(upto or _LAST)}
            yield self._piece(sql, {**values, **of}, upto or _LAST)
            after = upto

    def _piece(self, sql: str, values: dict[str, Any], upto: UUID) -> bytes:
        with _as_ranges(), connection.cursor() as cursor:
            cursor.execute(sql, values)
            text, rows = cursor.fetchone()
        self.rows += rows
        self.last = upto
        content: bytes = (text or "").encode(errors="replace")
        content = _UNSAFE.sub(_cell, content) if b"\x02" in content else content
        return self._revealed(content) if self._address and MARK.encode() in content else content

    def _revealed(self, content: bytes) -> bytes:
        """With the addresses that are encrypted; what nobody can read is left empty."""
        if self._form == "ndjson":
            lines = [json.loads(line) for line in content.split(b"\n") if line]
            for line in lines:
                line["email"] = _address(UUID(line["contact"]), line["email"])
            texts = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
            return "".join(texts).encode(errors="replace")
        at = self._columns.index("email")
        rows = list(csv.reader(io.StringIO(content.decode(errors="replace"), newline="")))
        for row in rows:
            row[at] = safe(_address(UUID(row[0]), row[at]))
        return _csv(rows)


@contextmanager
def _as_ranges() -> Iterator[None]:
    """Have each table read once for a piece. A PostgreSQL that knows nothing of the tables yet - just filled, or restored
    - takes them for small, and goes through one again for each row of another: minutes in place of milliseconds.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_nestloop = off")
        yield


def _cell(match: re.Match[bytes]) -> bytes:
    """A text that could be a formula, or needs quotes, as a cell of its own."""
    return _csv([[safe(bytes.fromhex(match[1].decode()).decode(errors="replace"))]])[:-2]


def _address(contact: UUID, stored: str) -> str:
    try:
        return reveal(stored, place=place_of(Contact, contact, "email"))
    except Unreadable:
        return ""


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _upto(after: UUID) -> UUID | None:
    """The last of the next contacts, of whichever audience; None where there are fewer than a piece."""
    with connection.cursor() as cursor:
        cursor.execute(suppressed.bound(), {"after": store.db_uuid(after), "skip": PIECE - 1})
        row = cursor.fetchone()
    return store.as_uuid(row[0]) if row else None


def _changed(asked: Question, after: UUID | None) -> list[str] | None:
    """The ids of who may have changed since, sorted, behind a contact; None for everybody: asked so, or too many."""
    if asked.since is None:
        return None
    moment = connection.ops.adapt_datetimefield_value
    milliseconds = int(asked.since.timestamp() * 1000)
    with connection.cursor() as cursor:
        cursor.execute(
            suppressed.changed(asked.paused),
            {
                "since": moment(asked.since),
                "at": moment(asked.at),
                "topic": asked.topic.key,
                "channel": asked.channel,
                "made": store.db_uuid(UUID(int=milliseconds << 80)),
                "after": store.db_uuid(after or _FIRST),
                "most": MANY + 1,
            },
        )
        found = [str(row[0]) for row in cursor.fetchall()]
    return sorted(found) if len(found) <= MANY else None


def register_actions(actions: LogActionRegistry) -> None:
    """For the hook `register_log_actions`."""

    @actions.register_action(FETCHED)
    class FetchedFormatter(LogFormatter):
        label = gettext_lazy("Fetch whom not to write to")

        def format_message(self, log_entry: Any) -> str:
            if log_entry.data.get("with_address"):
                return _("Fetched a file of whom not to write to, with addresses")
            return _("Fetched a file of whom not to write to")
