"""Bringing one backend up to everybody: a new platform beside the old one, or one that has lost what it knew.

Contacts are walked in the order of their ids, a chunk at a time, and only while few rows wait for that backend: so a save
of this moment never stands behind a million. A chunk is one transaction, which begins with the one UPDATE that claims it;
so several workers may feed, and one that is killed has done a chunk or has not begun it. Rows are unique, so nobody is
there twice.

Left out is whoever is nobody to a platform: never saved anything, only signed up and never confirmed, merged, erased.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from ..backends.registry import backends
from ..conf import conf
from ..contacts.models import Contact, State
from ..contacts.store import as_uuid, db_uuid
from .models import Backfill, Delivery
from .rows import WAITING

#: Contacts in a chunk. Those who save meanwhile wait for it, so it must be short.
CHUNK = 200
#: Rows that may wait for a backend; with so many or more, nothing is added.
MOST, FEWEST = 2_000, 100
#: Of a backend with a rate limit: what it takes in this time.
AHEAD = timedelta(minutes=1)
#: Whatever waits for its next try does so within this time; what is due later sleeps until a pause ends.
TRIES = timedelta(days=2)
#: Chunks in one look of the worker.
CHUNKS = 20

BEGINNING = UUID(int=0)

# The first statement of a transaction, so that two workers cannot begin the same chunk.
_CLAIM = """UPDATE {backfill} SET
    last = COALESCE(next.id, {backfill}.last),
    finished_at = CASE WHEN next.id IS NULL THEN {now} END
FROM (
    SELECT (
        SELECT id FROM (SELECT id FROM {contact} WHERE id > %s ORDER BY id LIMIT %s) AS chunk
        ORDER BY id DESC LIMIT 1
    ) AS id
) AS next
WHERE {backfill}.id = %s AND {backfill}.last = %s AND finished_at IS NULL AND stopped_at IS NULL
RETURNING {backfill}.last, finished_at"""

_PEOPLE = """{contact} AS person
WHERE person.version > 0 AND person.merged_into_id IS NULL AND person.erased_at IS NULL AND person.suppressed = FALSE
    AND EXISTS (
        SELECT 1 FROM {state} AS said WHERE said.contact_id = person.id AND (
            said.choice_version > 0 OR said.frequency_version > 0 OR said.pause_version > 0
            OR said.attributes <> '{{}}' OR said.notices <> '{{}}'
        )
    )"""

# A save that has just written the row of one of them knows more than we.
_ADD = """INSERT INTO {delivery}
    (backend, contact, wanted, delivered, restricts, due_at, attempts, last_outcome, last_code, parked, remote_id,
     checking, retired, log)
SELECT %s, person.id, person.version, 0, FALSE, {now}, 0, '', '', '[]', '', FALSE, '', '[]'
FROM {people} AND person.id > %s AND person.id <= %s
ORDER BY person.id
ON CONFLICT (backend, contact) DO NOTHING
RETURNING id"""

# What is locked is being delivered or saved at this moment; waiting for it could be a deadlock. Whoever is told again is
# told all: some plans say only what changed since, and the platform may have lost everything.
_WAKE = """WITH asleep AS (
    SELECT row_.id, person.version FROM {delivery} AS row_ JOIN {contact} AS person ON person.id = row_.contact
    WHERE row_.backend = %s AND row_.contact > %s AND row_.contact <= %s
        AND person.merged_into_id IS NULL AND person.erased_at IS NULL
        AND row_.lease IS NULL AND row_.checking = FALSE
        AND ((row_.due_at IS NULL AND row_.wanted > row_.delivered) OR person.version > row_.wanted OR {known})
    {lock}
)
UPDATE {delivery} SET
    due_at = {now},
    wanted = CASE WHEN asleep.version > wanted THEN asleep.version ELSE wanted END,
    delivered = CASE WHEN delivered >= wanted AND delivered >= asleep.version THEN 0 ELSE delivered END,
    again = CASE WHEN delivered >= wanted AND delivered >= asleep.version THEN again + 1 ELSE again END
FROM asleep WHERE {delivery}.id = asleep.id
RETURNING {delivery}.id"""
_KNOWN = """(
    row_.delivered > 0 AND row_.delivered >= row_.wanted AND row_.failing_since IS NULL
    AND (row_.due_at IS NULL OR row_.due_at > %s)
)"""


class Running(Exception):
    """A backfill of this backend is under way."""


@dataclass(frozen=True, slots=True)
class Fed:
    """What a look at one backfill came to: contacts it came past, rows that it woke or added."""

    seen: int = 0
    queued: int = 0


def start(alias: str, by: str = "", *, again: bool = False) -> Backfill:
    """Begin to bring a backend up to everybody; the worker feeds it. Raises Running where one is under way.

    `by` is the primary key of a user. `again`: also those whom it knows as they are.
    """
    try:
        with transaction.atomic():
            return Backfill.objects.create(
                backend=alias, started_by=by, again=again, last=BEGINNING, total=Contact.objects.count()
            )
    except IntegrityError as error:
        raise Running(alias) from error


def stop(alias: str) -> bool:
    """End it before its end: what is queued stays so. Returns whether there was one."""
    return bool(running().filter(backend=alias).update(stopped_at=timezone.now()))


def running() -> QuerySet[Backfill]:
    return Backfill.objects.filter(finished_at=None, stopped_at=None)


def people(alias: str, *, again: bool = False) -> int:
    """How many a backfill would queue. Walks over all contacts."""
    known = ""
    if not again:
        known = (
            " AND NOT EXISTS (SELECT 1 FROM {delivery} AS row_ WHERE row_.backend = %s AND row_.contact = person.id"
            " AND row_.wanted >= person.version AND (row_.due_at IS NOT NULL OR row_.delivered >= row_.wanted))"
        )
    sql = f"SELECT COUNT(*) FROM {_PEOPLE}{known}".format(**_tables())  # noqa: S608 - names of ours
    with connection.cursor() as cursor:
        cursor.execute(sql, [] if again else [alias])
        return int(cursor.fetchone()[0])


def feed() -> int:
    """Queue more for every backend that is being filled and has little to do; how many rows. For the worker: one SELECT
    where nothing is.
    """
    return sum(
        feed_one(run, chunks=CHUNKS).queued
        for run in running().order_by("pk")
        # One that was taken out of the settings waits until it is back.
        if run.backend in conf.backends
    )


def feed_one(run: Backfill, chunks: int = 1) -> Fed:
    """Queue at most so many chunks for one backend, as long as little waits for it. `run` is brought up to date."""
    seen = queued = 0
    most = room(run.backend)
    left = most - waiting(run.backend, most)
    while left > 0 and chunks > 0 and run.finished_at is None:
        fed = _chunk(run, min(CHUNK, left))
        if fed is None:  # another worker's, or stopped
            break
        seen += fed.seen
        queued += fed.queued
        left -= fed.queued
        chunks -= 1
    return Fed(seen, queued)


def room(alias: str) -> int:
    """How many rows may wait for a backend: fewer where it has a rate limit, so that none waits for many minutes."""
    try:
        capabilities = backends[alias].capabilities
        rate = capabilities.rate
        if rate is None:
            return MOST
        calls = rate.calls * AHEAD.total_seconds() / rate.seconds
        return int(min(max(calls * max(capabilities.batch_size, 1), FEWEST), MOST))
    except Exception:  # noqa: BLE001 - a backend is anybody's code, its settings anybody's typing; delivery tells of it
        return MOST


def waiting(alias: str, most: int) -> int:
    """How many rows wait for a backend; counts up to `most`. Pauses that end some day are not walked over."""
    tried = Delivery.objects.filter(WAITING, backend=alias, due_at__lte=timezone.now() + TRIES)
    return tried.order_by().values("pk")[:most].count()


def _chunk(run: Backfill, size: int) -> Fed | None:
    """Claim a chunk and queue whom there is in it, or find that there are no more; None: it is not ours to."""
    lower, now = run.last or BEGINNING, timezone.now()
    with transaction.atomic():
        claimed = _fetch(
            _statement(_CLAIM, again=False),
            [_moment(now), db_uuid(lower), size, run.pk, db_uuid(lower)],
        )
        if not claimed:
            run.refresh_from_db()
            return None
        ((last, finished),) = claimed
        if finished is not None:
            run.refresh_from_db()
            return Fed()
        upper = as_uuid(last)
        # Under their lock, in the order in which merges lock: a save stands before or after this.
        chunk = Contact.objects.filter(pk__gt=lower, pk__lte=upper).order_by("pk")
        seen = len(chunk.select_for_update(no_key=True).values_list("pk", flat=True))
        bounds = [db_uuid(lower), db_uuid(upper)]
        queued = _fetch(
            _statement(_ADD, again=False),
            [run.backend, _moment(now), *bounds],
        )
        queued += _fetch(
            _statement(_WAKE, again=run.again),
            [run.backend, *bounds, *([_moment(now)] if run.again else []), _moment(now)],
        )
        Backfill.objects.filter(pk=run.pk).update(seen=F("seen") + seen, queued=F("queued") + len(queued))
    run.refresh_from_db()
    return Fed(seen, len(queued))


@cache
def _statement(sql: str, *, again: bool) -> str:
    people = _PEOPLE.format(**_tables())
    lock = "FOR UPDATE OF row_ SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    return sql.format(**_tables(), now="%s", people=people, lock=lock, known=_KNOWN if again else "FALSE")


def _tables() -> dict[str, str]:
    quote = connection.ops.quote_name
    models = {"backfill": Backfill, "contact": Contact, "state": State, "delivery": Delivery}
    return {name: quote(model._meta.db_table) for name, model in models.items()}


def _fetch(sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _moment(moment: datetime) -> Any:
    return Delivery._meta.get_field("due_at").get_db_prep_value(moment, connection)
