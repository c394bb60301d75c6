"""Delivery rows under a lease: claim, hold, settle. One statement each, whatever the number of rows.

A lease makes a row one worker's for a while. It ends by itself, so a worker that died delays a row and loses none;
everything written under a lease names it, so a worker that was only slow cannot write over its successor.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Q

from ..values import Json
from .models import Delivery

# A subquery of a CTE and not of IN: PostgreSQL may run the latter more than once, and then claims too much.
_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM {table}
    WHERE backend = %s AND due_at <= %s AND (leased_until IS NULL OR leased_until <= %s)
    ORDER BY restricts DESC, due_at LIMIT %s {lock}
)
UPDATE {table} SET lease = %s, leased_until = %s WHERE id IN (SELECT id FROM due) RETURNING *
"""

_SETTLE = """
UPDATE {table} AS row_ SET
    delivered = new.delivered,
    due_at = CASE WHEN row_.wanted > new.sent THEN {now} ELSE new.due_at END,
    restricts = CASE WHEN new.done AND row_.wanted <= new.sent THEN FALSE ELSE row_.restricts END,
    attempts = new.attempts,
    failing_since = new.failing_since,
    last_outcome = new.outcome,
    last_code = new.code,
    parked = new.parked,
    remote_id = new.remote_id,
    delivered_at = CASE WHEN new.done THEN {now} ELSE row_.delivered_at END,
    lease = NULL,
    leased_until = NULL
FROM {source} AS new
WHERE row_.id = new.row_id AND row_.lease = %s
RETURNING id
"""

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
}


@dataclass(frozen=True, slots=True)
class Settled:
    """What a row becomes after its calls. `sent` is the version that the calls were about."""

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


def claim(alias: str, lease: UUID, *, now: datetime, until: datetime, limit: int) -> list[Delivery]:
    """Lease rows that are due, opt-outs first, then by age. No row is ever leased to two workers at a time."""
    lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    moment = _moment(now)
    claimed = Delivery.objects.raw(
        _CLAIM.format(table=_table(), lock=lock),
        [alias, moment, moment, limit, _uuid(lease), _moment(until)],
    )
    return sorted(claimed, key=lambda row: (not row.restricts, row.due_at, row.pk))


def held(lease: UUID, ids: Collection[int], now: datetime) -> dict[int, int]:
    """Of these rows, those still under the lease, with the version wanted now."""
    return dict(
        Delivery.objects.filter(pk__in=ids, lease=lease, leased_until__gt=now).values_list("pk", "wanted")
    )


def renew(lease: UUID, until: datetime) -> None:
    """Keep what is still leased for longer."""
    Delivery.objects.filter(lease=lease).update(leased_until=until)


def release(lease: UUID, ids: Collection[int]) -> None:
    """Give rows back as they are: still due."""
    Delivery.objects.filter(pk__in=ids, lease=lease).update(lease=None, leased_until=None)


def settle(lease: UUID, settled: Collection[Settled], now: datetime) -> set[int]:
    """Write what became of rows; returns the ids of those whose lease was lost meanwhile and that were left alone."""
    if not settled:
        return set()
    written_now = _moment(now)
    entries = json.dumps([_entry(item) for item in settled])
    sql = _SETTLE.format(table=_table(), source=_source(), now="%s")
    with connection.cursor() as cursor:
        cursor.execute(sql, [written_now, written_now, entries, _uuid(lease)])
        written = {row[0] for row in cursor.fetchall()}
    return {item.row_id for item in settled} - written


def rewind(sent: dict[int, int], now: datetime) -> None:
    """Deliver again what was sent under a lost lease: our call may have come after our successor's.

    Whoever holds the row now loses it, too: it must not settle as if nothing had happened.
    """
    for row_id, version in sent.items():
        row = Delivery.objects.filter(pk=row_id)
        row.filter(delivered__gte=version).update(delivered=max(version - 1, 0))
        row.update(due_at=now, lease=None, leased_until=None)


def waiting(aliases: Iterable[str]) -> int:
    """How many rows have something to deliver, now or later."""
    return Delivery.objects.filter(backend__in=list(aliases), due_at__isnull=False).count()


def make_due(aliases: Iterable[str], now: datetime) -> int:
    """Try again now: what waits for its next try, and what was parked. Returns how many rows."""
    return Delivery.objects.filter(_behind(now), backend__in=list(aliases)).update(due_at=now)


def make_one_due(row_id: int, now: datetime) -> bool:
    """Try one row again now that failed or was parked; False where it has not, or is due anyway."""
    failed = Delivery.objects.filter(_behind(now), pk=row_id, failing_since__isnull=False)
    return bool(failed.update(due_at=now))


def _behind(now: datetime) -> Q:
    """What waits for its next try, and what was parked."""
    return Q(due_at__gt=now) | Q(due_at__isnull=True, wanted__gt=F("delivered"))


def _table() -> str:
    return connection.ops.quote_name(Delivery._meta.db_table)


def _source() -> str:
    """One parameter holding all rows, as a table."""
    if connection.vendor == "postgresql":
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        return f"(SELECT * FROM jsonb_to_recordset(%s::jsonb) AS entry({columns}))"  # noqa: S608 - our own names only
    columns = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _COLUMNS)
    return f"(SELECT {columns} FROM json_each(%s))"  # noqa: S608 - our own names only


def _entry(item: Settled) -> dict[str, Any]:
    values = {name: getattr(item, name) for name in _COLUMNS}
    for name in ("due_at", "failing_since"):
        moment = values[name]
        values[name] = None if moment is None else str(_moment(moment))
    return values


def _moment(moment: datetime) -> Any:
    """A moment as a parameter, and as text that the database reads back as the same moment."""
    return Delivery._meta.get_field("due_at").get_db_prep_value(moment, connection)


def _uuid(value: UUID) -> Any:
    return Delivery._meta.get_field("contact").get_db_prep_value(value, connection)
