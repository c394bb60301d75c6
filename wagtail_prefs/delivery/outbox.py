"""The outbox: what a save writes, in its own transaction, for all backends at once."""

from __future__ import annotations

from functools import cache
from uuid import UUID

from django.db import connection
from django.utils import timezone

from ..conf import conf
from ..contacts import store
from ..writes import Write
from .models import Delivery

# A new wish is tried at once, even where an earlier one keeps failing; `attempts` stays, so the next failure goes on
# with the schedule. What a platform asked for by Retry-After stands in its lane and still holds.
_UPSERT = """INSERT INTO {table} AS kept
    (backend, contact, wanted, delivered, restricts, due_at, attempts, last_outcome, last_code, parked, remote_id,
     checking, retired, log)
VALUES {rows}
ON CONFLICT (backend, contact) DO UPDATE SET
    wanted = CASE WHEN excluded.wanted > kept.wanted THEN excluded.wanted ELSE kept.wanted END,
    restricts = kept.restricts OR excluded.restricts,
    due_at = CASE WHEN kept.due_at < excluded.due_at THEN kept.due_at ELSE excluded.due_at END"""
_ROW = "(%s, %s, %s, 0, %s, %s, 0, '', '', '[]', '', FALSE, '', '[]')"


def upsert(contact_id: UUID, version: int, *, restricts: bool) -> list[Write]:
    """Ask every configured backend to be brought up to `version` of this contact: one INSERT, whatever their number."""
    aliases = sorted(conf.backends)  # one order for everybody, so that two saves cannot deadlock
    if not aliases:
        return []
    contact = store.db_uuid(contact_id)
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    return [
        Write(
            _upsert(len(aliases)),
            [value for alias in aliases for value in (alias, contact, version, restricts, now)],
        )
    ]


@cache
def _upsert(backends: int) -> str:
    return _UPSERT.format(
        table=connection.ops.quote_name(Delivery._meta.db_table), rows=", ".join([_ROW] * backends)
    )
