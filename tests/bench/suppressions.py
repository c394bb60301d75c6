"""A file of suppressions through the real route and gunicorn, beside what else could write the same rows.

It is about a topic that nobody was asked about, so that nearly everybody has a row: what is measured are rows, however
many people there are between them. The peers write each row's id, external id and reason, and are spared HTTP.
"""

from __future__ import annotations

import csv
import http.client
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.db import connection, transaction

from wagtail_prefs.access import api_keys
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.topics.models import Audience, Topic

from . import cpu, server
from .endpoints import Figure

TOPIC, CHANNEL = "recalls", "email"
_PATH = f"/prefs/api/v1/suppressions/?topic={TOPIC}&channel={CHANNEL}"


@dataclass(frozen=True, slots=True)
class Work:
    name: str
    label: str


ALL = (
    Work("suppress", "suppressions over HTTP, CSV"),
    Work("suppress_json", "suppressions over HTTP, NDJSON"),
    Work("copy_suppress", "COPY TO STDOUT, one statement"),
    Work("cursor_suppress", "server-side cursor + csv.writer"),
    Work("orm_suppress", "ORM iterator + csv.writer"),
)

#: What a sender would write for himself: four rows of a person, one reason.
_SELECT = """
SELECT contact.id, contact.external_id,
       CASE WHEN contact.erased_at IS NOT NULL THEN 'erased' WHEN contact.merged_into_id IS NOT NULL THEN 'merged'
            WHEN contact.email_dead_at IS NOT NULL THEN 'dead_address' WHEN contact.suppressed THEN 'suppressed'
            WHEN everything.choice = 'unsubscribed' THEN 'opted_out' WHEN whole.choice = 'unsubscribed' THEN 'channel'
            WHEN chosen.choice = 'unsubscribed' THEN 'unsubscribed' ELSE 'no_consent' END AS reason
FROM wagtail_prefs_contact AS contact
LEFT JOIN wagtail_prefs_state AS everything
       ON everything.contact_id = contact.id AND everything.topic = '' AND everything.channel = ''
LEFT JOIN wagtail_prefs_state AS whole
       ON whole.contact_id = contact.id AND whole.topic = '' AND whole.channel = 'email'
LEFT JOIN wagtail_prefs_state AS chosen
       ON chosen.contact_id = contact.id AND chosen.topic = 'recalls' AND chosen.channel = 'email'
WHERE chosen.choice IS DISTINCT FROM 'subscribed'
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds in all and until the first row, of this process or of the web workers; bytes that it grew by."""

    rows: int
    elapsed: float
    first: float
    own: float
    postgres: float
    grown: int


def measure(rounds: int) -> dict[str, Figure]:
    """The medians of rounds in which each writes everybody once."""
    audience = Audience.objects.get()
    Topic.objects.get_or_create(audience=audience, key=TOPIC, defaults={"channels": [CHANNEL]})
    _row, key = api_keys.make("bench", audience, ["suppressions:read"], None)
    peers: dict[str, Callable[[], Iterator[int]]] = {
        "copy_suppress": _copy,
        "cursor_suppress": _cursor,
        "orm_suppress": _orm,
    }
    found: dict[str, list[Run]] = {work.name: [] for work in ALL}
    with server.gunicorn() as running:
        for path in (f"{_PATH}&cursor=ffffffff-ffff-ffff-ffff-ffffffffffff",) * 8:
            _fetch(running, key, path)  # what is imported by the first call is not what a file takes
        for _round in range(rounds):
            found["suppress"].append(_fetch(running, key, _PATH))
            found["suppress_json"].append(_fetch(running, key, f"{_PATH}&format=ndjson"))
            for name, peer in peers.items():
                found[name].append(_peer(peer))
    rows = {name: {run.rows for run in runs} for name, runs in found.items()}
    assert len(set().union(*rows.values())) == 1, rows
    return {name: _figure(runs) for name, runs in found.items()}


def _figure(runs: list[Run]) -> Figure:
    first = [run.first * 1e3 for run in runs]
    return Figure(
        rate=median(run.rows / run.elapsed for run in runs),
        p50=median(first),
        p99=max(first),
        web=median(run.own / run.rows for run in runs) * 1e6,
        postgres=median(run.postgres / run.rows for run in runs) * 1e6,
        statements=0,
        body_bytes=max(run.grown for run in runs),
    )


def _fetch(running: server.Server, key: str, path: str) -> Run:
    """As a platform does: read what comes, and look whether the last line says that it is all."""
    from .__main__ import database_backends

    pids = database_backends()
    before = cpu.seconds(running.workers), cpu.seconds(pids), max(map(_peak, running.workers))
    begun = time.perf_counter()
    client = http.client.HTTPConnection("127.0.0.1", running.port)
    client.request("GET", path, headers={"Host": "localhost", "Authorization": f"Bearer {key}"})
    answer = client.getresponse()
    assert answer.status == 200, answer.read()
    lines, size, first, last = 0, 0, 0.0, b""
    while piece := answer.read1(1 << 20):
        lines, size, last = lines + piece.count(b"\n"), size + len(piece), (last + piece)[-100:]
        first = first or (time.perf_counter() - begun if size > 200 else 0.0)
    elapsed = time.perf_counter() - begun
    client.close()
    assert b"end" in last.splitlines()[-1], last
    rows = lines - 1 - ("format=ndjson" not in path and "cursor=" not in path)
    after = cpu.seconds(running.workers), cpu.seconds(database_backends()), max(map(_peak, running.workers))
    return Run(rows, elapsed, first, after[0] - before[0], after[1] - before[1], after[2] - before[2])


def _peer(peer: Callable[[], Iterator[int]]) -> Run:
    pids = [connection.connection.info.backend_pid]
    grown, own, postgres, begun = _peak(), time.process_time(), cpu.seconds(pids), time.perf_counter()
    rows, first = 0, 0.0
    for some in peer():
        first = first or time.perf_counter() - begun
        rows += some
    elapsed = time.perf_counter() - begun
    return Run(rows, elapsed, first, time.process_time() - own, cpu.seconds(pids) - postgres, _peak() - grown)


def _copy() -> Iterator[int]:
    with (
        connection.cursor() as cursor,
        cursor.cursor.copy(f"COPY ({_SELECT}) TO STDOUT (FORMAT csv)") as copy,
    ):
        for _row in copy:
            yield 1


def _cursor() -> Iterator[int]:
    write = csv.writer(text := io.StringIO()).writerow
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_SELECT)
        while rows := cursor.fetchmany(2000):
            for row in rows:
                write(row)
            text.seek(0)
            text.truncate()
            yield len(rows)


def _orm() -> Iterator[int]:
    """Without any reason: three joins more would only be slower."""
    write = csv.writer(text := io.StringIO()).writerow
    people = Contact.objects.exclude(
        states__topic=TOPIC, states__channel=CHANNEL, states__choice="subscribed"
    )
    with transaction.atomic():
        for contact in people.iterator():
            write((contact.pk, contact.external_id, "no_consent"))
            text.seek(0)
            text.truncate()
            yield 1


def _peak(pid: int | str = "self") -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
