"""The facts behind decisions: one statement for any number of contacts, and one for the ledger records behind.

A row ends with the versions that lead to records; what stands before them are the circumstances that rules look at,
so that contacts in the same circumstances - most of a thousand are - are judged once. PostgreSQL gives moments as
microseconds: a thousand datetimes with a time zone would cost a fifth of the call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from django.db import connection

from ..contacts import store
from ..contacts.models import Contact, State
from ..ledger.models import Record
from ..topics.models import Topic
from ..values import UNSUBSCRIBED
from .models import Send
from .values import CapFact, Facts, PauseFact, Place, Question, Standing, TopicFacts

#: Longer than the longest period: what was sent before that counts for no cap.
LOOK_BACK = timedelta(days=100)

Row = tuple[Any, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The columns that lead to the record behind, in the order of the end of a row.
_BEHIND: Mapping[str, str] = {
    "contact": "contact.version",
    "opted_out": "everything.choice_version",
    "choice": "chosen.choice_version",
    "pause:all": "everything.pause_version",
    "pause:channel": "by_channel.pause_version",
    "pause:topic": "by_topic.pause_version",
    "frequency:all": "everything.frequency_version",
    "frequency:channel": "by_channel.frequency_version",
    "frequency:topic": "by_topic.frequency_version",
}
_PLACES = {name: place - len(_BEHIND) for place, name in enumerate(_BEHIND)}


def fetch(contacts: Sequence[UUID], question: Question, message: str = "") -> list[Row]:
    """A row for each contact, in their order; each contact once. `message` is the id of one that is being recorded:
    its own place is not held against it.
    """
    rows: list[Row] = [()] * len(contacts)
    with connection.cursor() as cursor:
        cursor.execute(
            _statement(recording=bool(message)),
            {
                "contacts": array(contacts),
                "topic": question.topic,
                "channel": question.channel,
                "since": connection.ops.adapt_datetimefield_value(question.at - LOOK_BACK),
                "message": message,
            },
        )
        for row in cursor.fetchall():
            rows[row[0]] = row
    return rows


def circumstances(row: Row) -> Row:
    """The part of a row that rules look at: the same for contacts in the same circumstances."""
    return row[1 : -len(_BEHIND)]


def version_behind(row: Row, behind: str) -> int | None:
    """The contact's version, and so the number of the record, that made what a ruling went by."""
    return row[_PLACES[behind]] or None if behind else None


def facts_of(contact: UUID, circumstances: Row) -> Facts:
    """What rules see of a row."""
    (
        standing, country, timezone, suppressed, dead, channels, basis, transactional, archived, stance, choice, pending,
        until, *scopes, place,
    ) = circumstances  # fmt: skip
    pauses, caps, sent = scopes[0:3], scopes[3:6], scopes[6:9]
    return Facts(
        contact=contact,
        standing=Standing(standing),
        country=country or "",
        timezone=timezone or "",
        suppressed=bool(suppressed),
        email_dead=bool(dead),
        topic=(
            None
            if channels is None
            else TopicFacts(_channels(channels), basis, bool(transactional), bool(archived))
        ),
        opted_out=stance == UNSUBSCRIBED,
        choice=choice or "",
        pending=bool(pending),
        choice_until=_moment(until),
        pauses=tuple(
            PauseFact(scope, moment)
            for scope, paused in zip(_SCOPES, pauses, strict=True)
            if (moment := _moment(paused)) is not None
        ),
        caps=tuple(
            CapFact(scope, frequency, _moment(last))
            for scope, frequency, last in zip(_SCOPES, caps, sent, strict=True)
            if frequency
        ),
        place=Place(place),
    )


def records(wanted: Iterable[tuple[UUID, int]]) -> dict[tuple[UUID, int], UUID]:
    """The ledger records of contacts at versions, in one statement; what is not there is left out."""
    pairs = list(wanted)
    if not pairs:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _records_statement(),
            {"contacts": array([contact for contact, _ in pairs]), "versions": _numbers(v for _, v in pairs)},
        )
        return {pairs[place]: store.as_uuid(record) for place, record in cursor.fetchall()}


def array(contacts: Iterable[UUID]) -> str:
    """Ids as one parameter: psycopg quotes a thousand for longer than PostgreSQL looks them up, and SQLite takes 999."""
    ids = [contact.hex for contact in contacts]
    return f"{{{','.join(ids)}}}" if connection.vendor == "postgresql" else json.dumps(ids)


def from_array(name: str) -> str:
    """A parameter that `array` made, as a table of (place from 0, id)."""
    if connection.vendor == "postgresql":
        of = f"unnest(%({name})s::uuid[]) WITH ORDINALITY AS given(id, n)"
        return f"(SELECT n - 1 AS place, id FROM {of})"  # noqa: S608 - names, no values
    return f"(SELECT key AS place, value AS id FROM json_each(%({name})s))"  # noqa: S608 - names, no values


_SCOPES = ("all", "channel", "topic")
_STANDING = (
    "CASE WHEN contact.id IS NULL THEN 'unknown' WHEN contact.erased_at IS NOT NULL THEN 'erased'"
    " WHEN contact.merged_into_id IS NOT NULL THEN 'merged' ELSE 'known' END"
)
_PLACE = (
    "CASE WHEN own.id IS NULL THEN 'none'"
    " WHEN own.topic = %(topic)s AND own.channel = %(channel)s THEN 'same' ELSE 'other' END"
)


@cache
def _statement(*, recording: bool) -> str:
    contact, state, topic, send = (
        connection.ops.quote_name(model._meta.db_table) for model in (Contact, State, Topic, Send)
    )
    columns = [
        _STANDING,
        "contact.country",
        "contact.timezone",
        "contact.suppressed",
        "contact.email_dead_at IS NOT NULL",
        "CAST(topic.channels AS text)",
        "topic.basis",
        "topic.transactional",
        "topic.archived",
        "everything.choice",
        "chosen.choice",
        "chosen.pending",
        _number("chosen.choice_until"),
        *(_number(f"{scope}.paused_until") for scope in ("everything", "by_channel", "by_topic")),
        *(f"{scope}.frequency" for scope in ("everything", "by_channel", "by_topic")),
        _last(send, "everything", ""),
        _last(send, "by_channel", " AND sent.channel = %(channel)s"),
        _last(send, "by_topic", " AND sent.topic = %(topic)s"),
        _PLACE if recording else "'none'",
    ]
    joins = [
        f"LEFT JOIN {contact} AS contact ON contact.id = asked.id",
        f"LEFT JOIN {topic} AS topic ON topic.audience_id = contact.audience_id AND topic.key = %(topic)s",
        *(
            f"LEFT JOIN {state} AS {name} ON {name}.contact_id = asked.id"
            f" AND {name}.topic = {about} AND {name}.channel = {by}"
            for name, about, by in (
                ("everything", "''", "''"),
                ("by_channel", "''", "%(channel)s"),
                ("by_topic", "%(topic)s", "''"),
                ("chosen", "%(topic)s", "%(channel)s"),
            )
        ),
    ]
    if recording:
        joins.append(f"LEFT JOIN {send} AS own ON own.message_id = %(message)s AND own.contact = asked.id")
    return (
        f"SELECT asked.place, {', '.join(columns)}, {', '.join(_BEHIND.values())} "  # noqa: S608 - names, no values
        f"FROM {from_array('contacts')} AS asked {' '.join(joins)}"
    )


def _last(send: str, scope: str, condition: str) -> str:
    """When the last message went out that counts for a cap; asked only where there is a cap, by the index of sends."""
    last = (
        f"(SELECT sent.at FROM {send} AS sent WHERE sent.contact = asked.id AND sent.at >= %(since)s"  # noqa: S608
        f" AND sent.counts AND sent.message_id <> %(message)s{condition} ORDER BY sent.at DESC LIMIT 1)"
    )
    return f"CASE WHEN {scope}.frequency NOT IN ('', 'as_it_happens') THEN {_number(last)} END"


@cache
def _records_statement() -> str:
    record = connection.ops.quote_name(Record._meta.db_table)
    if connection.vendor == "postgresql":
        given = (
            "unnest(%(contacts)s::uuid[], %(versions)s::bigint[]) WITH ORDINALITY AS given(id, version, n)"
        )
        given = f"(SELECT n - 1 AS place, id, version FROM {given})"  # noqa: S608 - names, no values
    else:
        given = (
            "(SELECT contacts.key AS place, contacts.value AS id, versions.value AS version"
            " FROM json_each(%(contacts)s) AS contacts JOIN json_each(%(versions)s) AS versions"
            " ON versions.key = contacts.key)"
        )
    return (
        f"SELECT asked.place, record.id FROM {given} AS asked "  # noqa: S608 - names, no values
        f"JOIN {record} AS record ON record.contact_ref = asked.id AND record.seq = asked.version"
    )


def _numbers(numbers: Iterable[int]) -> str:
    text = ",".join(map(str, numbers))
    return f"{{{text}}}" if connection.vendor == "postgresql" else f"[{text}]"


def _number(moment: str) -> str:
    """A moment as SQL gives it to `_moment`: microseconds, or what SQLite stores."""
    if connection.vendor == "postgresql":
        return f"CAST(EXTRACT(EPOCH FROM {moment}) * 1000000 AS bigint)"
    return moment


def _moment(value: Any) -> datetime | None:
    if isinstance(value, int):
        return _EPOCH + timedelta(microseconds=value)
    return store.as_datetime(value)


@lru_cache(maxsize=64)
def _channels(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))
