"""Keeping what platforms tell us: one INSERT for all events of a request, each once, and nothing looked at yet.

A platform wants its answer within seconds, and nobody must be able to tell from it whom we know. So a request leaves
rows, and the worker looks at them (`inbound`). A row is also how a repeat is known: it stays for 30 days, without what
the event said.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection
from django.utils import timezone

from .. import keys
from ..canonical import canonical
from ..changes import changes_from_json
from ..ciphers import decrypt, encrypt
from ..values import Evidence, Identifiers, InboundEvent, Json, iso
from .models import Arrival

#: How long a row is kept: so long a repeat is known (BK-04 asks for a day).
KEPT = timedelta(days=30)
#: Seconds between two rounds of a process that look for older ones.
PAUSE = 600
_rounds: list[float] = []  # when the last one was

#: What `keep` gives the database, with the type in PostgreSQL.
_COLUMNS = {
    "event": "varchar",
    "received_at": "timestamptz",
    "at": "timestamptz",
    "payload": "text",
    "state": "varchar",
    "due_at": "timestamptz",
}
# A repeat is told by the digest under any key of the ring: when a key is changed, what came before it came.
_INSERT = """INSERT INTO {table} (backend, event, received_at, {at}, payload, state, code, due_at, attempts)
SELECT %s, new.event, new.received_at, new.{at}, new.payload, new.state, '', new.due_at, 0 FROM {source} AS new
WHERE NOT EXISTS (
    SELECT 1 FROM {table} AS kept WHERE kept.backend = %s AND kept.event IN (SELECT older.value FROM {older})
)
ON CONFLICT (backend, event) DO NOTHING"""


def keep(alias: str, events: Sequence[InboundEvent], now: datetime | None = None) -> int:
    """Keep events of a backend to be looked at; returns how many were new. Raises ValueError and TypeError for what is
    no event, and then keeps none.

    One statement, whatever their number: no row about a person is read or written.
    """
    moment = now or timezone.now()
    entries = {entry["event"]: entry for entry in (_entry(alias, event, moment) for event in events)}
    if not entries:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_insert(), [alias, json.dumps(list(entries.values())), alias])
        return int(cursor.rowcount)


def _entry(alias: str, event: InboundEvent, now: datetime) -> dict[str, Any]:
    said = canonical(to_json(event))
    # Keyed: an id may be made of an address.
    newest, *older = keys.digests(
        "arrival", canonical([alias, event.event_id or hashlib.sha256(said).hexdigest()])
    )
    return {
        "event": newest,
        "older": older,
        "received_at": _moment(now),
        "at": _moment(event.at) if event.at else None,
        "payload": encrypt(said.decode(), place=_place(alias, newest)),
        "state": Arrival.WAITING,
        "due_at": _moment(now),
    }


def read(arrival: Arrival) -> InboundEvent:
    """What a kept event said. Raises Unreadable where its key has left the ring, ValueError for what is no event."""
    try:
        return from_json(json.loads(decrypt(arrival.payload, place=_place(arrival.backend, arrival.event))))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not an event") from error


def _place(alias: str, event: str) -> str:
    return f"arrival:{alias}:{event}"


def to_json(event: InboundEvent) -> Json:
    """As it is kept. Raises ValueError and TypeError for what is no event."""
    who = event.identifiers
    found: Json = {
        "email": who.email,
        "phone": who.phone,
        "external_id": who.external_id,
        "remote": dict(who.remote),
        "changes": [change.to_json() for change in event.changes],
        "at": iso(event.at) if event.at else None,
        "evidence": None,
        "dead": bool(event.dead),
    }
    if event.evidence:
        found["evidence"] = {
            "reference": event.evidence.reference,
            "at": iso(event.evidence.at),
            "kind": event.evidence.kind,
        }
    texts = [who.email, who.phone, who.external_id, *who.remote, *who.remote.values()]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("an identifier is a text")
    return found


def from_json(data: Json) -> InboundEvent:
    evidence, at = data["evidence"], data["at"]
    return InboundEvent(
        event_id="",
        identifiers=Identifiers(
            email=data["email"],
            phone=data["phone"],
            external_id=data["external_id"],
            remote=data["remote"],
        ),
        changes=changes_from_json(data["changes"]),
        at=datetime.fromisoformat(at) if at else None,
        evidence=Evidence(
            evidence["reference"], datetime.fromisoformat(evidence["at"]), evidence.get("kind", "consent")
        )
        if evidence
        else None,
        dead=data["dead"],
    )


def forget_arrivals() -> int:
    """Delete old events now and then; for the worker. What still waits stays."""
    now = time.monotonic()
    if _rounds and now - _rounds[-1] < PAUSE:
        return 0
    _rounds[:] = [now]
    return forget_old_arrivals()


def forget_old_arrivals() -> int:
    """Delete the events that came more than 30 days ago and were looked at; returns how many."""
    old = Arrival.objects.filter(received_at__lt=timezone.now() - KEPT, due_at=None)
    return old.delete()[0]


def _moment(moment: datetime) -> str:
    """As text that the database reads back as the same moment."""
    return str(Arrival._meta.get_field("received_at").get_db_prep_value(moment, connection))


@cache
def _insert() -> str:
    quote = connection.ops.quote_name
    if connection.vendor == "postgresql":
        columns = ", ".join(f"{quote(name)} {kind}" for name, kind in _COLUMNS.items())
        source = f"(SELECT * FROM jsonb_to_recordset(%s::jsonb) AS entry({columns}, older jsonb))"  # noqa: S608 - names
        older = "jsonb_array_elements_text(new.older) AS older(value)"
    else:
        columns = ", ".join(
            f"json_extract(value, '$.{name}') AS {quote(name)}" for name in (*_COLUMNS, "older")
        )
        source = f"(SELECT {columns} FROM json_each(%s))"  # noqa: S608
        older = "json_each(new.older) AS older"
    return _INSERT.format(table=quote(Arrival._meta.db_table), at=quote("at"), source=source, older=older)
