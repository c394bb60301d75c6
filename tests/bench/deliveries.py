"""Two workers that deliver to a platform on loopback: ours, and a hand-written loop that leases, maps, posts and marks.

    python -m tests.bench.deliveries ours|bare ALIAS BATCH ROWS

is one of the workers: it takes one batch to warm up, says that it is ready, begins when its standard input is closed,
and prints what it took. The hand-written one reads the same state from the same tables and sends the same JSON, with one
statement each to lease, to read and to mark; it knows no opt-outs first, no ledger, no retry and no lost lease.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import psycopg
import requests

from . import cpu, vendors
from .endpoints import Figure
from .site.platform import PORT

WORKERS = 2
BATCH = 500
LEASE = "60 seconds"
#: For how long calls are made to a platform with a limit (seconds), where each person is one.
SPAN = 30
#: Rows that a worker takes while many or few wait.
MEMORY_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Work:
    """`name` of its figure; `kind` of worker; `batch` contacts a call."""

    name: str
    label: str
    kind: str
    batch: int


WORK = (
    Work("deliver", f"deliver, {BATCH} a call", "ours", BATCH),
    Work("bare_deliver", f"hand-written, {BATCH} a call", "bare", BATCH),
    Work("deliver_one", "deliver, one a call", "ours", 1),
    Work("bare_deliver_one", "hand-written, one a call", "bare", 1),
)
MEMORY = (
    Work("deliver_few", "deliver while few rows wait", "ours", BATCH),
    Work("deliver_many", "deliver while very many wait", "ours", BATCH),
)
#: Our backend and a hand-written loop against the stand-in of each vendor.
VENDORS = tuple(
    Work(f"{kind}_{vendor}", f"{label} to {vendor}, {batch} a call", kind, batch)
    for vendor, batch in vendors.BATCHES.items()
    for kind, label in (("vendor", "deliver"), ("bare_vendor", "hand-written"))
)
#: Calls a second of two workers that keep to a platform's limit, one person a call.
LIMITED = tuple(
    Work(f"limited_{vendor}", f"{vendor} under its limit of {calls / seconds:g} calls a second", "limited", 1)
    for vendor, (calls, seconds) in vendors.LIMITS.items()
)
ALL = (*WORK, *MEMORY, *VENDORS, *LIMITED)


def alias_of(work: Work) -> str:
    if work in LIMITED:
        return work.name.removeprefix("limited_")
    if work in VENDORS:
        return work.name.removeprefix("bare_").removeprefix("vendor_")
    return {"ours": {BATCH: "many", 1: "single"}, "bare": {BATCH: "bare_many", 1: "bare_single"}}[work.kind][
        work.batch
    ]


def measure(rounds: int, rows: int, waiting: tuple[int, int]) -> dict[str, Figure]:
    """The medians of so many rounds over `rows` rows each, single ones a twentieth; and the peak of a worker's memory
    with either number of rows `waiting`.
    """
    found: dict[str, list[Took]] = {work.name: [] for work in ALL}
    with platform() as port:
        for _ in range(rounds):
            for work in WORK:
                size = rows if work.batch > 1 else max(rows // 20, WORKERS)
                queue(alias_of(work), size, filler=0)
                found[work.name].append(run(work, port, size // WORKERS, WORKERS))
        for work, size in zip(MEMORY, waiting, strict=True):
            taken = min(MEMORY_ROWS, rows)
            queue(alias_of(work), taken, filler=size)
            found[work.name].append(run(work, port, taken, 1))
            queue(alias_of(work), 0, filler=0)
    for vendor in vendors.BATCHES:
        for _ in range(rounds):
            for work in VENDORS:
                if alias_of(work) != vendor:
                    continue
                # Each begins with a platform that knows nobody.
                with platform("tests.bench.vendors", vendor) as port:
                    queue(alias_of(work), rows // 2, filler=0)
                    found[work.name].append(run(work, port, rows // 2 // WORKERS, WORKERS))
    for work in LIMITED:
        # In a quick round there are too few calls to fill a window; in a long one there are enough for some of them.
        calls, seconds = vendors.LIMITS[alias_of(work)]
        people = min(rows, 1_500, int(calls / seconds * SPAN))
        for _ in range(rounds):
            told: dict[str, int] = {}
            with platform("tests.bench.vendors", alias_of(work), "limited", told=told) as port:
                queue(alias_of(work), people, filler=0)
                took = run(work, port, people // WORKERS, WORKERS)
            # What counts are calls, and that none was one too many.
            found[work.name].append(replace(took, rows=told["calls"], peak=told["refused"]))
    return {name: _figure(took) for name, took in found.items()}


@dataclass(frozen=True, slots=True)
class Took:
    """What the workers of one run took together, in seconds; `peak` is the memory of the largest, in bytes."""

    rows: int
    elapsed: float
    own: float
    postgres: float
    peak: int


def _figure(took: Sequence[Took]) -> Figure:
    rate = median(one.rows / one.elapsed for one in took)
    return Figure(
        rate=rate,
        p50=1e3 / rate,
        p99=0.0,
        web=median(one.own / one.rows for one in took) * 1e6,
        postgres=median(one.postgres / one.rows for one in took) * 1e6,
        statements=0,
        body_bytes=max(one.peak for one in took),
    )


@contextlib.contextmanager
def platform(*module: str, told: dict[str, int] | None = None) -> Iterator[int]:
    """The other side, as a process of its own; yields its port. What it says in the end goes into `told`."""
    process = subprocess.Popen(
        [sys.executable, "-m", *(module or ["tests.bench.crm"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        if told is not None:
            assert process.stdin is not None
            process.stdin.close()
            told |= json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def queue(alias: str, rows: int, filler: int) -> None:
    """Let so many contacts wait for a backend, and `filler` rows of nobody behind them."""
    from django.db import connection

    columns = (
        "backend, contact, wanted, delivered, restricts, due_at, attempts, last_outcome, last_code, parked, remote_id,"
        " checking, retired, log"
    )
    rest = "FALSE, {due}, 0, '', '', '[]', '', FALSE, '', '[]'"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM wagtail_prefs_delivery")
        cursor.execute("DELETE FROM wagtail_prefs_lane")
        cursor.execute(
            f"INSERT INTO wagtail_prefs_delivery ({columns}) "
            f"SELECT %s, contact.id, contact.version, 0, {rest.format(due='now()')} FROM ("
            "  SELECT id, version FROM wagtail_prefs_contact WHERE version > 0 AND erased_at IS NULL"
            "  ORDER BY id LIMIT %s) AS contact",
            [alias, rows],
        )
        found = cursor.rowcount
        # There may be fewer contacts than rows to deliver: the rest are theirs again, under ids that nobody has.
        missing = rows - found
        assert missing <= 0, f"only {found} contacts for {rows} rows"
        cursor.execute(
            f"INSERT INTO wagtail_prefs_delivery ({columns}) "
            f"SELECT %s, gen_random_uuid(), 1, 0, {rest.format(due='now() + number * CAST(%s AS interval)')} "
            "FROM generate_series(1, %s) AS number",
            [alias, "1 microsecond", filler],
        )
        cursor.execute("ANALYZE wagtail_prefs_delivery")


def run(work: Work, port: int, rows: int, workers: int) -> Took:
    """Let workers take `rows` rows each, at the same time."""
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.bench.deliveries", work.kind, alias_of(work)),
                *(str(work.batch), str(rows)),
            ],
            env={
                **os.environ,
                PORT: str(port),
                **(
                    {vendors.VENDOR: alias_of(work), vendors.URL: f"http://127.0.0.1:{port}"}
                    if work in (*VENDORS, *LIMITED)
                    else {}
                ),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(workers)
    ]
    with contextlib.ExitStack() as stack:
        for process in processes:
            stack.enter_context(process)
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        start = time.perf_counter()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        answers = []
        for process in processes:
            assert process.stdout is not None
            answers.append(json.loads(process.stdout.readline()))
        elapsed = time.perf_counter() - start
    return Took(
        sum(one["rows"] for one in answers),
        elapsed,
        sum(one["own"] for one in answers),
        sum(one["postgres"] for one in answers),
        max(one["peak"] for one in answers),
    )


# One worker


def worker(kind: str, alias: str, batch: int, rows: int) -> None:
    import django

    django.setup()
    kinds = {"ours": ours, "vendor": ours, "limited": limited, "bare": bare, "bare_vendor": bare_vendor}
    deliver, pid = kinds[kind](alias, batch)
    print("ready", flush=True)
    sys.stdin.read()
    own, postgres, done = time.process_time(), cpu.exact_seconds([pid]), 0
    while done < rows and (taken := deliver(min(rows - done, BATCH))):
        done += taken
    figures = {
        "rows": done,
        "own": time.process_time() - own,
        "postgres": cpu.exact_seconds([pid]) - postgres,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(figures), flush=True)


def limited(alias: str, _batch: int) -> tuple[Any, int]:
    """Ours as it is, but for one person a call: so that there are calls enough."""
    from wagtail_prefs.backends.registry import backends

    backend: Any = backends[alias]
    rate = backend.capabilities.rate
    deliver, pid = ours(alias, 1)
    backend.capabilities = replace(backend.capabilities, rate=rate, batch_size=1)
    return deliver, pid


def ours(alias: str, _batch: int) -> tuple[Any, int]:
    from django.db import connection

    from wagtail_prefs.backends.registry import backends
    from wagtail_prefs.delivery.engine import deliver

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    backend = backends[alias]
    # How fast it is when nobody has to wait; whether it keeps to a limit is measured beside it.
    backend.capabilities = replace(backend.capabilities, rate=None)
    return lambda limit: deliver(alias, limit).done, pid


_LEASE = """
WITH due AS MATERIALIZED (
    SELECT id FROM wagtail_prefs_delivery
    WHERE backend = %s AND due_at <= now() AND (leased_until IS NULL OR leased_until <= now())
    ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE wagtail_prefs_delivery SET lease = %s, leased_until = now() + %s::interval
WHERE id IN (SELECT id FROM due) RETURNING id, contact
"""
_STATE = """
SELECT contact.id, contact.version, audience.key, contact.email, contact.external_id, contact.language,
       contact.country, contact.timezone, state.topic, state.channel, state.choice, state.frequency,
       state.paused_until, state.attributes
FROM wagtail_prefs_contact AS contact JOIN wagtail_prefs_audience AS audience ON audience.id = contact.audience_id
LEFT JOIN wagtail_prefs_state AS state ON state.contact_id = contact.id WHERE contact.id = ANY(%s)
"""
_MARK = """
UPDATE wagtail_prefs_delivery SET delivered = wanted, due_at = NULL, lease = NULL, leased_until = NULL,
    last_outcome = 'done', delivered_at = now() WHERE id = ANY(%s) AND lease = %s
"""


def bare(alias: str, batch: int) -> tuple[Any, int]:
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    session = requests.Session()
    session.trust_env = False
    url = f"http://127.0.0.1:{os.environ[PORT]}/contacts"

    def deliver(limit: int) -> int:
        lease = uuid4()
        taken = connection.execute(_LEASE, (alias, limit, lease, LEASE)).fetchall()
        payloads = list(map_states(connection, [contact for _, contact in taken]).values())
        for start in range(0, len(payloads), batch):
            body = json.dumps(payloads[start : start + batch])
            session.post(url, data=body, headers={"Content-Type": "application/json"}).raise_for_status()
            if batch == 1:
                connection.execute(_MARK, ([taken[start][0]], lease))
        if batch > 1:
            connection.execute(_MARK, ([row for row, _ in taken], lease))
        return len(taken)

    return deliver, connection.info.backend_pid


def bare_vendor(alias: str, batch: int) -> tuple[Any, int]:
    from wagtail_prefs.backends.registry import backends

    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    session = requests.Session()
    session.trust_env = False
    backend: Any = backends[alias]
    url, headers, remote = backend.base_url, dict(backend.headers()), vendors.ids(alias)

    def deliver(limit: int) -> int:
        lease = uuid4()
        taken = connection.execute(_LEASE, (alias, limit, lease, LEASE)).fetchall()
        people = list(map_states(connection, [contact for _, contact in taken]).values())
        for start in range(0, len(people), batch):
            for method, path, body in vendors.CALLS[alias](
                people[start : start + batch], remote, backend.options
            ):
                session.request(method, f"{url}{path}", json=body, headers=headers).raise_for_status()
        connection.execute(_MARK, ([row for row, _ in taken], lease))
        return len(taken)

    return deliver, connection.info.backend_pid


def map_states(connection: psycopg.Connection[Any], contacts: list[UUID]) -> dict[UUID, Any]:
    """What a developer would write who knows the tables: rows to JSON, for each contact."""
    payloads: dict[UUID, Any] = {}
    for (
        contact, version, audience, email, external_id, language, country, timezone, topic, channel, choice,
        frequency, paused_until, attributes,
    ) in connection.execute(_STATE, (contacts,)):  # fmt: skip
        payload = payloads.get(contact)
        if payload is None:
            ids = {
                "id": str(contact), "audience": audience, "email": email, "external_id": external_id,
                "language": language, "country": country, "timezone": timezone,
            }  # fmt: skip
            payload = payloads[contact] = {
                "contact": {name: value for name, value in ids.items() if value},
                "version": version,
                "opted_out": False,
                "choices": {},
                "channels": {},
                "frequencies": {},
                "pauses": {},
                "attributes": {},
            }
        if topic is None:
            continue
        scope = f"topic:{topic}" if topic else f"channel:{channel}" if channel else "all"
        if topic or channel:
            if choice and topic:
                payload["choices"].setdefault(topic, {})[channel] = choice
            elif choice:
                payload["channels"][channel] = choice
        else:
            payload["opted_out"] = choice == "unsubscribed"
            payload["attributes"] = {
                name: entry["value"] for name, entry in attributes.items() if "value" in entry
            }
        if frequency:
            payload["frequencies"][scope] = frequency
        if paused_until:
            payload["pauses"][scope] = _iso(paused_until)
    return payloads


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def agree(contacts: list[UUID]) -> None:
    """The two send the same of everybody."""
    from wagtail_prefs.backends.desired import desired_state
    from wagtail_prefs.contacts.services import load_targets

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        theirs = map_states(connection, contacts)
    for contact, target in load_targets(contacts).items():
        assert desired_state(target) == theirs[contact], contact


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
