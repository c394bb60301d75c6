"""The places that messages take: locking contacts, and writing and freeing rows of `Send`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from ..contacts import store
from ..contacts.models import Contact
from . import facts
from .models import Send

#: A contact's id, as `facts.array` takes it, and whether the message counts for her frequencies.
Place = tuple[str, bool]


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


def write(message: str, places: Iterable[Place], topic: str, channel: str, at: datetime) -> int:
    """A place for the message with each of these contacts; what is there stays. Returns how many are new."""
    of = list(places)
    if not of:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_insert(), _values(message, of, topic, channel, at))
        return int(cursor.rowcount)


def free(message: str, contacts: Collection[UUID] | None) -> int:
    """Take the message's places away again; returns how many there were. None: all of them."""
    table = connection.ops.quote_name(Send._meta.db_table)
    sql, values = f"DELETE FROM {table} WHERE message_id = %(message)s", {"message": message}  # noqa: S608 - a name
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
        given = "unnest(%(placed)s::uuid[], %(counts)s::boolean[]) AS given(id, counts)"
    else:
        given = (
            "(SELECT contacts.value AS id, counts.value AS counts FROM json_each(%(placed)s) AS contacts"
            " JOIN json_each(%(counts)s) AS counts ON counts.key = contacts.key) AS given WHERE true"
        )
    return (
        f"INSERT INTO {table} (message_id, contact, topic, channel, at, counts) "  # noqa: S608 - names, no values
        f"SELECT %(message)s, given.id, %(topic)s, %(channel)s, %(at)s, given.counts FROM {given} "
        "ON CONFLICT (message_id, contact) DO NOTHING"
    )


def _values(message: str, places: list[Place], topic: str, channel: str, at: datetime) -> dict[str, Any]:
    return {
        "message": message,
        "placed": facts.array(contact for contact, _ in places),
        "counts": _truths(counts for _, counts in places),
        "topic": topic,
        "channel": channel,
        "at": connection.ops.adapt_datetimefield_value(at),
    }


def _truths(truths: Iterable[bool]) -> str:
    if connection.vendor == "postgresql":
        return f"{{{','.join('t' if truth else 'f' for truth in truths)}}}"
    return json.dumps([int(truth) for truth in truths])
