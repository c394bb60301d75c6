"""The places that messages take: locking contacts, and writing and freeing rows of `Send`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from ..contacts import store
from ..contacts.models import Contact
from . import facts
from .models import Send

#: Of a rule's code as much as there is room for; codes of a site may be anything.
MAX_REASON = 64


class Place(NamedTuple):
    """A place of a message: her id as `facts.array` takes it, whether it counts for her frequencies, and why `decide`
    answered as it did, with the ledger record behind it.
    """

    contact: str
    counts: bool
    reason: str = ""
    record: UUID | str | None = None


def lock(contacts: str) -> None:
    """Hold these contacts, an `array`, in the order of their ids until the transaction ends.

    Whoever asks at the same moment waits, and sees what happened meanwhile. Two lists locked in different orders would
    wait for each other for ever, so what is locked by several calls comes sorted too.
    """
    table = connection.ops.quote_name(Contact._meta.db_table)
    if connection.vendor == "postgresql":
        sql = f"SELECT id FROM {table} WHERE id = ANY(%(contacts)s::uuid[]) ORDER BY id FOR NO KEY UPDATE"  # noqa: S608
    elif getattr(connection, "transaction_mode", None) in {"IMMEDIATE", "EXCLUSIVE"}:
        return  # SQLite has one writer at a time, and with BEGIN this became the one
    else:
        sql = f"UPDATE {table} SET version = version WHERE id IS NULL"  # noqa: S608 - a name
    with connection.cursor() as cursor:
        cursor.execute(sql, {"contacts": contacts})


def write(
    message: str,
    places: Iterable[Place],
    topic: str,
    channel: str,
    at: datetime,
    *,
    sender: str = "",
    verdict: str = "",
    waited_since: datetime | None = None,
) -> int:
    """A place for the message with each of these contacts; what is there stays. Returns how many are new.

    `verdict` is what `decide` said of all of them, "" where it was not asked. `waited_since`: it was put off then.
    """
    of = list(places)
    if not of:
        return 0
    values = {
        "message": message,
        "topic": topic,
        "channel": channel,
        "at": connection.ops.adapt_datetimefield_value(at),
        "sender": sender,
        "verdict": str(verdict),
        "waited_since": waited_since and connection.ops.adapt_datetimefield_value(waited_since),
        **_columns(of),
    }
    with connection.cursor() as cursor:
        cursor.execute(_insert(), values)
        return int(cursor.rowcount)


def free(message: str, contacts: Collection[UUID] | None, audience: int | None = None) -> int:
    """Take the message's places away again; returns how many there were. None: all of them, or all of an audience."""
    table = connection.ops.quote_name(Send._meta.db_table)
    sql = f"DELETE FROM {table} WHERE message_id = %(message)s"  # noqa: S608 - a name
    values: dict[str, Any] = {"message": message, "audience": audience}
    if audience is not None:
        people = connection.ops.quote_name(Contact._meta.db_table)
        sql += (
            f" AND EXISTS (SELECT 1 FROM {people} AS one WHERE one.id = {table}.contact"  # noqa: S608 - names
            " AND one.audience_id = %(audience)s)"
        )
    if contacts is not None:
        sql += f" AND contact IN (SELECT id FROM {facts.from_array('contacts')} AS given)"  # noqa: S608 - names
        values["contacts"] = facts.array(contact.hex for contact in contacts)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)


def hand_over(loser: UUID, winner: UUID) -> int:
    """What one contact was sent counts for another: she is the same person. Returns how many rows went over."""
    table = connection.ops.quote_name(Send._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET contact = %(winner)s WHERE contact = %(loser)s"  # noqa: S608 - a name
            f" AND message_id NOT IN (SELECT message_id FROM {table} WHERE contact = %(winner)s)",
            {"winner": store.db_uuid(winner), "loser": store.db_uuid(loser)},
        )
        return int(cursor.rowcount)


def forget(contact: UUID) -> int:
    """Delete the places of all messages with a contact; returns how many there were."""
    return Send.objects.filter(contact=contact).delete()[0]


def _insert() -> str:
    table = connection.ops.quote_name(Send._meta.db_table)
    if connection.vendor == "postgresql":
        given = (
            "unnest(%(placed)s::uuid[], %(counts)s::boolean[], %(reasons)s::text[], %(records)s::uuid[])"
            " AS given(id, counts, reason, record)"
        )
        since = "CAST(%(waited_since)s AS timestamptz)"
    else:
        columns = "".join(
            f" JOIN json_each(%({name})s) AS {name} ON {name}.key = placed.key"
            for name in ("counts", "reasons", "records")
        )
        given = (
            "(SELECT placed.value AS id, counts.value AS counts, reasons.value AS reason, records.value AS record"  # noqa: S608
            f" FROM json_each(%(placed)s) AS placed{columns}) AS given WHERE true"
        )
        since = "%(waited_since)s"
    return (
        f"INSERT INTO {table} (message_id, contact, topic, channel, at, counts, sender, verdict, reason, record,"  # noqa: S608
        " waited_since) SELECT %(message)s, given.id, %(topic)s, %(channel)s, %(at)s, given.counts, %(sender)s,"
        f" %(verdict)s, given.reason, given.record, {since} FROM {given}"
        " ON CONFLICT (message_id, contact) DO NOTHING"
    )


def _columns(places: list[Place]) -> dict[str, str]:
    """The places as one parameter for each column, as `facts.array` has them."""
    contacts, counts, reasons, records = zip(*places, strict=True)
    codes = {reason: code(reason) for reason in set(reasons)}
    if connection.vendor == "postgresql":
        quoted = {reason: _quoted(code) for reason, code in codes.items()}
        return {
            "placed": facts.array(contacts),
            "counts": _array("t" if one else "f" for one in counts),
            "reasons": _array(quoted[reason] for reason in reasons),
            "records": _array("NULL" if record is None else str(record) for record in records),
        }
    return {
        "placed": facts.array(contacts),
        "counts": json.dumps([int(one) for one in counts]),
        "reasons": json.dumps([codes[reason] for reason in reasons]),
        "records": json.dumps([record and str(record).replace("-", "") for record in records]),
    }


def code(reason: str) -> str:
    """A reason as every database takes it."""
    return "".join(filter(str.isprintable, reason)).encode(errors="replace").decode()[:MAX_REASON]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _array(written: Iterable[str]) -> str:
    return f"{{{','.join(written)}}}"
