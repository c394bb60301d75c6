"""Delivery rows under a lease: claim, hold, settle. One statement each, whatever the number of rows.

A lease makes a row one worker's for a while. It ends by itself, so a worker that died delays a row and loses none;
everything written under a lease names it, so a worker that was only slow cannot write over its successor.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Q

from ..contacts.store import as_datetime, as_uuid, db_uuid
from ..values import Json, Outcome, iso
from .models import Delivery

#: Rows whose platform does not know all that it should, or about which we do not know yet whether it does.
BEHIND = Q(wanted__gt=F("delivered")) | Q(failing_since__isnull=False) | ~Q(retired="") | Q(checking=True)
#: Those of them that will be tried, now or at their time. A row that is up to date and only wakes when a pause ends waits
#: for nothing: nobody counts it, is alarmed by it, or has it tried at once.
WAITING = Q(due_at__isnull=False) & BEHIND
#: Rows whose platform cannot have heard of the contact: nobody has told it, and nobody is about to.
UNHEARD = Q(delivered=0, last_outcome="", remote_id="", lease__isnull=True)

# Two walks along the index, each in its order, which find what is due and nothing else, however much waits for later.
# Whoever is taken over from a worker that died may have been told of already (see UNHEARD).
# Subqueries of CTEs and not of IN: PostgreSQL may run the latter more than once, and then claims too much.
_CLAIM = """
WITH strict AS MATERIALIZED (
    SELECT id FROM {table} WHERE backend = %(alias)s AND restricts = TRUE AND {due} AND {free}
    ORDER BY due_at LIMIT %(limit)s {lock}
), others AS MATERIALIZED (
    SELECT id FROM {table} WHERE backend = %(alias)s AND restricts = FALSE AND {others} AND {due} AND {free}
    ORDER BY due_at LIMIT %(limit)s - (SELECT COUNT(*) FROM strict) {lock}
)
UPDATE {table} SET lease = %(lease)s, leased_until = %(until)s,
    last_outcome = CASE WHEN lease IS NOT NULL AND last_outcome = '' THEN %(unknown)s ELSE last_outcome END
WHERE id IN (SELECT id FROM strict UNION ALL SELECT id FROM others)
RETURNING id, contact, wanted, delivered, restricts, due_at, attempts, failing_since, remote_id, checking, retired,
    last_code, again
"""
_DUE = "due_at <= %(now)s"
_FREE = "(leased_until IS NULL OR leased_until <= %(now)s)"

# Nothing that was not there when the row was claimed is taken for told: a newer wish, a further address that is not hers
# any more.
_SETTLE = """
UPDATE {table} AS row_ SET
    delivered = new.delivered,
    due_at = CASE WHEN row_.wanted > new.sent OR row_.retired <> new.retired THEN {now} ELSE new.due_at END,
    restricts = CASE WHEN new.done AND row_.wanted <= new.sent AND row_.retired = new.retired
        THEN FALSE ELSE row_.restricts END,
    attempts = new.attempts,
    failing_since = new.failing_since,
    last_outcome = new.outcome,
    last_code = new.code,
    parked = new.parked,
    remote_id = new.remote_id,
    checking = new.checking,
    retired = CASE WHEN new.done AND row_.retired = new.retired THEN '' ELSE row_.retired END,
    retired_at = CASE WHEN new.done AND row_.retired = new.retired THEN NULL ELSE row_.retired_at END,
    log = {log},
    delivered_at = CASE WHEN new.done THEN {now} ELSE row_.delivered_at END,
    lease = NULL,
    leased_until = NULL
FROM {source} AS new
WHERE row_.id = new.row_id AND row_.lease = %s
RETURNING id
"""
# By their ids: nothing else finds a lease.
_REWIND = """
UPDATE {table} AS row_ SET
    delivered = CASE WHEN row_.delivered < %s THEN row_.delivered ELSE %s END,
    again = row_.again + 1,
    restricts = TRUE,
    checking = FALSE,
    due_at = %s,
    lease = NULL,
    leased_until = NULL,
    last_outcome = %s,
    last_code = %s,
    log = {log}
FROM (SELECT {entry} AS entry) AS new WHERE row_.id = %s RETURNING id
"""
_HELD = "SELECT id, wanted FROM {table} WHERE id {ids} AND lease = %s AND leased_until > %s"
_RENEW = "UPDATE {table} SET leased_until = %s WHERE id {ids} AND lease = %s RETURNING id"
_RELEASE = """
UPDATE {table} SET lease = NULL, leased_until = NULL,
    last_outcome = CASE WHEN last_outcome = '' AND id {ids} THEN %s ELSE last_outcome END
WHERE id {ids} AND lease = %s RETURNING id
"""
#: The code of a call that came after its lease had ended: nobody knows what the platform holds now.
LEASE_LOST = "lease-lost"
#: Many ids as one parameter: a statement that is the same for any number of them is read once by the database.
_THOSE = {
    "postgresql": "= ANY(%s::bigint[])",
    "sqlite": "IN (SELECT value FROM json_each(%s))",
}

#: The newest first, five at most.
_LOG = {
    "postgresql": "(jsonb_build_array(new.entry) || row_.log) - 5",
    "sqlite": "json_remove('[' || new.entry || CASE row_.log WHEN '[]' THEN ']' ELSE ',' || substr(row_.log, 2) END, '$[5]')",
}

#: name -> type in PostgreSQL
_COLUMNS = {
    "row_id": "bigint",
    "sent": "bigint",
    "delivered": "bigint",
    "done": "boolean",
    "due_at": "timestamptz",
    "attempts": "integer",
    "failing_since": "timestamptz",
    "outcome": "varchar",
    "code": "varchar",
    "parked": "jsonb",
    "remote_id": "varchar",
    "checking": "boolean",
    "retired": "text",
    "entry": "jsonb",
}


@dataclass(slots=True)
class Leased:
    """A row as it was when it was leased."""

    id: int
    backend: str
    contact: UUID
    wanted: int
    delivered: int = 0
    restricts: bool = False
    due_at: datetime | None = None
    attempts: int = 0
    failing_since: datetime | None = None
    remote_id: str = ""
    checking: bool = False
    retired: str = ""
    code: str = ""
    again: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """What a row becomes after its calls. `sent` is the version that the calls were about, `retired` what they knew of
    identifiers that are not hers any more, `entry` what the log gets.
    """

    row_id: int
    sent: int
    delivered: int
    done: bool
    due_at: datetime | None
    attempts: int
    failing_since: datetime | None
    outcome: str
    code: str
    parked: list[Json] = field(default_factory=list)
    remote_id: str = ""
    checking: bool = False
    retired: str = ""
    entry: Json = field(default_factory=dict)


def claim(
    alias: str,
    lease: UUID,
    *,
    now: datetime,
    until: datetime,
    limit: int,
    strict: bool = False,
) -> list[Leased]:
    """Lease rows that are due, opt-outs first, then by age. No row is ever leased to two workers at a time.

    `strict`: opt-outs only.
    """
    found = _rows(
        _claim(strict),
        {
            "alias": alias,
            "now": _moment(now),
            "lease": db_uuid(lease),
            "until": _moment(until),
            "limit": limit,
            "unknown": Outcome.RETRY.value,
        },
    )
    claimed = [
        Leased(
            row_id, alias, as_uuid(contact), wanted, delivered, bool(restricts), as_datetime(due_at), attempts,
            as_datetime(failing_since), remote_id, bool(checking), retired, code, again,
        )
        for (
            row_id, contact, wanted, delivered, restricts, due_at, attempts, failing_since, remote_id, checking, retired,
            code, again,
        ) in found
    ]  # fmt: skip
    return sorted(claimed, key=lambda row: (not row.restricts, row.due_at, row.id))


def held(lease: UUID, ids: Collection[int], now: datetime) -> dict[int, int]:
    """Of these rows, those still under the lease, with the version wanted now."""
    return dict(_rows(_held(), [_ids(ids), db_uuid(lease), _moment(now)]))


def told(ids: Collection[int]) -> dict[int, int]:
    """The version that each of these rows was last told about."""
    logs = Delivery.objects.filter(pk__in=ids).values_list("pk", "log")
    return {row_id: log[0]["version"] for row_id, log in logs if log}


def renew(lease: UUID, ids: Collection[int], until: datetime) -> None:
    """Keep what is still leased for longer."""
    _rows(_RENEW.format(table=_table(), ids=_those()), [_moment(until), _ids(ids), db_uuid(lease)])


def release(lease: UUID, ids: Collection[int], said: Collection[int] = ()) -> None:
    """Give rows back as they are: still due. Of those in `said` the platform may have heard something."""
    values = [_ids(said), Outcome.RETRY.value, _ids(ids), db_uuid(lease)]
    _rows(_RELEASE.format(table=_table(), ids=_those()), values)


def settle(lease: UUID, settled: Collection[Settled], now: datetime) -> set[int]:
    """Write what became of rows; returns the ids of those whose lease was lost meanwhile and that were left alone."""
    if not settled:
        return set()
    written_now = _moment(now)
    entries = json.dumps([_entry(item) for item in settled])
    written = {row[0] for row in _rows(_settle(), [written_now, written_now, entries, db_uuid(lease)])}
    return {item.row_id for item in settled} - written


def rewind(sent: dict[int, int], now: datetime) -> None:
    """Deliver again what was sent under a lost lease: our call may have come after our successor's.

    Whoever holds the row now loses it, too: it must not settle as if nothing had happened. And it goes first: nobody
    knows which of the two calls was the opt-out.
    """
    moment = _moment(now)
    for row_id, version in sent.items():
        before = max(version - 1, 0)
        entry = {
            "at": iso(now), "version": version, "outcome": Outcome.RETRY.value, "code": LEASE_LOST, "kinds": [],
        }  # fmt: skip
        _rows(_rewind(), [before, before, moment, Outcome.RETRY.value, LEASE_LOST, json.dumps(entry), row_id])


def say_again(ids: Collection[int]) -> None:
    """Say what is due of these rows under another key: the platform does not know what it said that it had done."""
    Delivery.objects.filter(pk__in=ids).update(again=F("again") + 1)


def waiting(aliases: Iterable[str]) -> int:
    """How many rows have something to deliver, now or later."""
    return Delivery.objects.filter(WAITING, backend__in=list(aliases)).count()


def make_due(aliases: Iterable[str], now: datetime) -> int:
    """Try again now: what waits for its next try, and what was parked. Returns how many rows."""
    return Delivery.objects.filter(_behind(now), backend__in=list(aliases)).update(due_at=now)


def make_one_due(row_id: int, now: datetime) -> bool:
    """Try one row again now that failed or was parked; False where it has not, or is due anyway."""
    failed = Delivery.objects.filter(_behind(now), pk=row_id, failing_since__isnull=False)
    return bool(failed.update(due_at=now))


def deliver_again(alias: str, contacts: Collection[UUID], now: datetime) -> int:
    """Tell a backend once more all that it was told of these contacts, or is being told at this moment: `since` begins
    anew. Returns how many rows.
    """
    heard = Q(delivered__gt=0) | Q(lease__isnull=False)
    return Delivery.objects.filter(heard, backend=alias, contact__in=contacts).update(
        delivered=0,
        again=F("again") + 1,
        restricts=True,
        checking=False,
        due_at=now,
        lease=None,
        leased_until=None,
    )


def _behind(now: datetime) -> Q:
    """What waits for its next try, and what was parked."""
    return BEHIND & (Q(due_at__gt=now) | Q(due_at__isnull=True))


def _table() -> str:
    return connection.ops.quote_name(Delivery._meta.db_table)


def _rows(sql: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


@cache
def _claim(strict: bool) -> str:
    return _CLAIM.format(
        table=_table(),
        lock="FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else "",
        due=_DUE,
        free=_FREE,
        others="FALSE" if strict else "TRUE",
    )


@cache
def _settle() -> str:
    return _SETTLE.format(table=_table(), source=_source(), now="%s", log=_LOG[connection.vendor])


@cache
def _rewind() -> str:
    entry = "%s::jsonb" if connection.vendor == "postgresql" else "%s"
    return _REWIND.format(table=_table(), log=_LOG[connection.vendor], entry=entry)


@cache
def _held() -> str:
    return _HELD.format(table=_table(), ids=_those())


def _those() -> str:
    return _THOSE[connection.vendor]


def _ids(ids: Collection[int]) -> Any:
    """Ids as the parameter of `_THOSE`."""
    return list(ids) if connection.vendor == "postgresql" else json.dumps(list(ids))


def _source() -> str:
    """One parameter holding all rows, as a table."""
    if connection.vendor == "postgresql":
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        return f"(SELECT * FROM jsonb_to_recordset(%s::jsonb) AS entry({columns}))"  # noqa: S608 - our own names only
    columns = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _COLUMNS)
    return f"(SELECT {columns} FROM json_each(%s))"  # noqa: S608 - our own names only


def _entry(item: Settled) -> dict[str, Any]:
    return {
        "row_id": item.row_id,
        "sent": item.sent,
        "delivered": item.delivered,
        "done": item.done,
        "due_at": item.due_at and str(_moment(item.due_at)),
        "attempts": item.attempts,
        "failing_since": item.failing_since and str(_moment(item.failing_since)),
        "outcome": item.outcome,
        "code": item.code,
        "parked": item.parked,
        "remote_id": item.remote_id,
        "checking": item.checking,
        "retired": item.retired,
        "entry": item.entry,
    }


def _moment(moment: datetime) -> Any:
    """A moment as a parameter, and as text that the database reads back as the same moment."""
    return connection.ops.adapt_datetimefield_value(moment)
