"""The facts behind decisions: one statement for any number of contacts, and one for the ledger records behind.

A contact comes as one row for each row of state that touches the question, one without state for the others. A row ends
with the versions that lead to records; what stands before them are the circumstances that rules look at, so that
contacts in the same circumstances - most of a thousand are - are judged once. PostgreSQL gives moments as microseconds:
a thousand datetimes with a time zone would cost a fifth of the call.
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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: What is true or not of a contact, its topic and the message: bits of one number, because columns cost.
(
    _KNOWN, _ERASED, _MERGED, _SUPPRESSED, _EMAIL_DEAD, _TRANSACTIONAL, _ARCHIVED, _HAS_PLACE, _HAS_THIS_PLACE,
) = (1 << bit for bit in range(9))  # fmt: skip


#: The columns of a row. Those of the state are None where the contact has no such row; moments are as `_number` gives
#: them, `channels` is JSON, `place` that in the list that was asked about, `scope` of the state a place in _SCOPES.
_ROW = (
    "place", "country", "timezone", "marks", "basis", "channels",
    "scope", "choice", "pending", "choice_until", "paused_until", "frequency", "last",
    "contact_version", "choice_version", "pause_version", "frequency_version",
)  # fmt: skip
#: How a row's state is called: index = 2 where it names a topic + 1 where it names a channel.
_SCOPES = ("all", "channel", "topic", "choice")
_EVERYTHING, _CHOICE = 0, 3
_COLUMNS = {name: place for place, name in enumerate(_ROW)}
#: Where the state begins, and where the versions: what stands before those are the circumstances.
_STATE, _VERSIONS = _COLUMNS["scope"], _COLUMNS["contact_version"]
_BEHIND = {"pause": _COLUMNS["pause_version"], "frequency": _COLUMNS["frequency_version"]}

#: A contact's rows: one for each row of state, at least one.
Rows = list[tuple[Any, ...]]
#: Where in a contact's rows a version stands.
Spot = tuple[int, int]


def fetch(contacts: str, size: int, question: Question, message: str = "") -> list[Rows]:
    """The rows of each of these contacts, an `array` of `size`, in their order.

    `message` is the id of one that is being recorded: its own place is not held against it.
    """
    found: list[Rows] = [[] for _ in range(size)]
    with connection.cursor() as cursor:
        cursor.execute(
            _statement(recording=bool(message)),
            {
                "contacts": contacts,
                "topic": question.topic,
                "channel": question.channel,
                "since": connection.ops.adapt_datetimefield_value(question.at - LOOK_BACK),
                "message": message,
            },
        )
        for row in cursor.fetchall():
            found[row[0]].append(row)
    return found


def circumstances(rows: Rows) -> tuple[tuple[Any, ...], ...]:
    """What rules look at: the same for contacts in the same circumstances."""
    return tuple([row[1:_VERSIONS] for row in rows])


def facts_of(contact: UUID, rows: Rows) -> Facts:
    """What rules see of a contact's rows."""
    _place, country, timezone, marks, basis, channels, *_ = rows[0]
    opted_out, chosen, waits, ends = False, "", False, None
    pauses: list[PauseFact] = []
    caps: list[CapFact] = []
    for row in rows:
        scope, choice, pending, until, paused, frequency, last = row[_STATE:_VERSIONS]
        if choice is None:  # the outer join gives one empty row to a contact without state
            continue
        if scope == _CHOICE:
            chosen, waits, ends = choice, bool(pending), _moment(until)
            continue
        if choice == UNSUBSCRIBED and scope == _EVERYTHING:
            opted_out = True
        if paused is not None:
            pauses.append(PauseFact(_SCOPES[scope], _known_moment(paused)))
        if frequency:
            caps.append(CapFact(_SCOPES[scope], frequency, _moment(last)))
    return Facts(
        contact,
        _standing(marks),
        country or "",
        timezone or "",
        bool(marks & _SUPPRESSED),
        bool(marks & _EMAIL_DEAD),
        _topic(channels, basis, marks & (_TRANSACTIONAL | _ARCHIVED)),
        opted_out,
        chosen,
        waits,
        ends,
        tuple(pauses),
        tuple(caps),
        _place_of(marks),
    )


def spot_behind(rows: Rows, behind: str) -> Spot | None:
    """Where the version stands that made what a ruling went by: "choice", "opted_out", "contact", "pause:topic" ..."""
    if not behind:
        return None
    if behind == "contact":
        return 0, _COLUMNS["contact_version"]
    kind, _, scope = behind.partition(":")
    index = _SCOPES.index(scope or ("all" if kind == "opted_out" else kind))
    column = _BEHIND.get(kind, _COLUMNS["choice_version"])
    return next(
        (
            (number, column)
            for number, row in enumerate(rows)
            if row[_COLUMNS["scope"]] == index and row[_COLUMNS["choice"]] is not None
        ),
        None,
    )


def records(
    contacts: str, versions: Sequence[int | None], first: str = "", values: Mapping[str, Any] | None = None
) -> list[UUID | None]:
    """The ledger records of these contacts, an `array`, at versions of the same order: one statement, or none.

    On PostgreSQL the statement can begin with what else there is to do: `first`, a WITH clause, and its values.
    """
    found: list[UUID | None] = [None] * len(versions)
    if first or any(versions):
        with connection.cursor() as cursor:
            cursor.execute(
                first + _records_statement(),
                {"contacts": contacts, "versions": _numbers(versions), **(values or {})},
            )
            rows = cursor.fetchall()
        native = connection.features.has_native_uuid_field
        for place, record in rows:
            found[place] = record if native else UUID(record)
    return found


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


def _standing(marks: int) -> Standing:
    if not marks & _KNOWN:
        return Standing.UNKNOWN
    if marks & _ERASED:
        return Standing.ERASED
    return Standing.MERGED if marks & _MERGED else Standing.KNOWN


def _place_of(marks: int) -> Place:
    if not marks & _HAS_PLACE:
        return Place.NONE
    return Place.SAME if marks & _HAS_THIS_PLACE else Place.OTHER


@lru_cache(maxsize=64)
def _topic(channels: str | None, basis: str | None, marks: int) -> TopicFacts | None:
    if channels is None or basis is None:
        return None
    return TopicFacts(
        frozenset(json.loads(channels)), basis, bool(marks & _TRANSACTIONAL), bool(marks & _ARCHIVED)
    )


@cache
def _statement(*, recording: bool) -> str:
    contact, state, topic, send = (
        connection.ops.quote_name(model._meta.db_table) for model in (Contact, State, Topic, Send)
    )
    marks = {
        _KNOWN: "contact.id IS NOT NULL",
        _ERASED: "contact.erased_at IS NOT NULL",
        _MERGED: "contact.merged_into_id IS NOT NULL",
        _SUPPRESSED: "contact.suppressed",
        _EMAIL_DEAD: "contact.email_dead_at IS NOT NULL",
        _TRANSACTIONAL: "topic.transactional",
        _ARCHIVED: "topic.archived",
    }
    if recording:
        marks[_HAS_PLACE] = "own.id IS NOT NULL"
        marks[_HAS_THIS_PLACE] = "own.topic = %(topic)s AND own.channel = %(channel)s"
    # Asked only where there is a cap, and answered by the index of sends.
    last = (
        f"(SELECT sent.at FROM {send} AS sent WHERE sent.contact = asked.id AND sent.at >= %(since)s"  # noqa: S608
        " AND sent.counts AND sent.message_id <> %(message)s"
        " AND (state.topic = '' OR sent.topic = state.topic)"
        " AND (state.channel = '' OR sent.channel = state.channel) ORDER BY sent.at DESC LIMIT 1)"
    )
    columns = {
        "place": "asked.place",
        "country": "contact.country",
        "timezone": "contact.timezone",
        "marks": " + ".join(f"CASE WHEN {true} THEN {mark} ELSE 0 END" for mark, true in marks.items()),
        "basis": "topic.basis",
        "channels": "CAST(topic.channels AS text)",
        "scope": "CASE WHEN state.topic = '' THEN 0 ELSE 2 END + CASE WHEN state.channel = '' THEN 0 ELSE 1 END",
        "choice": "state.choice",
        "pending": "state.pending",
        "choice_until": _number("state.choice_until"),
        "paused_until": _number("state.paused_until"),
        "frequency": "state.frequency",
        "last": f"CASE WHEN state.frequency NOT IN ('', 'as_it_happens') THEN {_number(last)} END",
        # Of who is gone, the last record says so.
        "contact_version": "CASE WHEN contact.erased_at IS NOT NULL OR contact.merged_into_id IS NOT NULL"
        " THEN contact.version END",
        "choice_version": "state.choice_version",
        "pause_version": "state.pause_version",
        "frequency_version": "state.frequency_version",
    }
    joins = [
        _join(contact, "contact", "one.id = asked.id"),
        f"LEFT JOIN {topic} AS topic ON topic.audience_id = contact.audience_id AND topic.key = %(topic)s",
        # The channel is looked at row by row (that is what || does): these are few, and to descend the index once for
        # each pair of topic and channel costs more.
        _join(
            state,
            "state",
            "one.contact_id = asked.id AND one.topic IN ('', %(topic)s) AND one.channel || '' IN ('', %(channel)s)",
        ),
    ]
    if recording:
        joins.append(_join(send, "own", "one.message_id = %(message)s AND one.contact = asked.id"))
    wanted = ", ".join(columns[name] for name in _ROW)
    return f"SELECT {wanted} FROM {from_array('contacts')} AS asked {' '.join(joins)}"  # noqa: S608 - names


def _join(table: str, name: str, condition: str) -> str:
    """The rows of a table for each that is asked about, by index, however many there are in all.

    PostgreSQL, left alone, reads every contact's row of a kind as soon as it thinks them few; OFFSET 0 keeps it from
    that. SQLite knows nothing else than one after the other.
    """
    if connection.vendor != "postgresql":
        return f"LEFT JOIN {table} AS {name} ON {condition.replace('one.', f'{name}.')}"
    return f"LEFT JOIN LATERAL (SELECT * FROM {table} AS one WHERE {condition} OFFSET 0) AS {name} ON true"  # noqa: S608


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
    joined = _join(record, "record", "one.contact_ref = asked.id AND one.seq = asked.version")
    return f"SELECT asked.place, record.id FROM {given} AS asked {joined} WHERE record.id IS NOT NULL"  # noqa: S608


def _numbers(numbers: Iterable[int | None]) -> str:
    if connection.vendor == "postgresql":
        return f"{{{','.join(map(str, (number or 'NULL' for number in numbers)))}}}"
    return json.dumps(list(numbers))


def _number(moment: str) -> str:
    """A moment as SQL gives it to `_moment`: microseconds, or what SQLite stores."""
    if connection.vendor == "postgresql":
        return f"CAST(EXTRACT(EPOCH FROM {moment}) * 1000000 AS bigint)"
    return moment


def _moment(value: Any) -> datetime | None:
    return None if value is None else _known_moment(value)


def _known_moment(value: Any) -> datetime:
    if isinstance(value, int):
        return _EPOCH + timedelta(microseconds=value)
    moment = store.as_datetime(value)
    assert moment is not None  # noqa: S101 - only None is none
    return moment
