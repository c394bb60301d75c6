"""The facts behind decisions and the ledger records that they come from: one statement for any number of contacts.

A contact comes as one row for each row of state that touches the question, one without state for the others. A row
begins with the records; what stands after them are the circumstances that rules look at, so that contacts in the same
circumstances - most of a thousand are - are judged once. Hence a column that no rule looks at stays empty. PostgreSQL
gives moments as microseconds: a thousand datetimes with a time zone would cost a fifth of the call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from ..contacts import store
from ..contacts.models import Contact, State
from ..ledger.models import Record
from ..topics.models import Topic
from ..values import FREQUENCIES, SUBSCRIBED, UNSUBSCRIBED
from . import periods
from .models import Send
from .values import CapFact, Facts, PauseFact, Place, Question, Standing, TopicFacts

#: Longer than the longest period: what was sent before that counts for no cap.
LOOK_BACK = timedelta(days=100)
_PERIODS = [frequency for frequency in FREQUENCIES if frequency != "as_it_happens"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: What is true or not of a contact, its topic, a row of its state and the message: bits of one number, because columns
#: cost.
(
    _KNOWN, _ERASED, _MERGED, _SUPPRESSED, _EMAIL_DEAD, _HAS_TOPIC, _TRANSACTIONAL, _ARCHIVED, _OFFERED, _HAS_PLACE,
    _HAS_THIS_PLACE, _HAS_STATE, _OF_CHANNEL, _OF_TOPIC, _SUBSCRIBED, _UNSUBSCRIBED, _PENDING,
) = (1 << bit for bit in range(17))  # fmt: skip

#: The columns of a row. Those after `marks` are None where they say nothing, and `channels` where the mark _OFFERED says
#: enough; moments are as `_number` gives them, `channels` is JSON, `place` that in the list that was asked about.
_ROW = (
    "place", "record", "pause_record", "frequency_record",
    "marks", "country", "basis", "channels", "choice_until", "paused_until", "frequency", "last", "timezone",
)  # fmt: skip
#: How a row's state is called, by _OF_TOPIC and _OF_CHANNEL.
_SCOPES = {0: "all", _OF_CHANNEL: "channel", _OF_TOPIC: "topic", _OF_TOPIC | _OF_CHANNEL: "choice"}
_SCOPE = _OF_TOPIC | _OF_CHANNEL
_EVERYTHING, _CHANNEL, _CHOICE = 0, _OF_CHANNEL, _SCOPE
_COLUMNS = {name: place for place, name in enumerate(_ROW)}
#: Where the circumstances begin; they end with pause, frequency, last and time zone.
_MARKS, _PAUSED, _FREQUENCY, _LAST, _ZONE = (
    _COLUMNS[name] for name in ("marks", "paused_until", "frequency", "last", "timezone")
)
#: Behind a row, where a rule of the site wants to see them: her country and time zone, whatever touches the question.
_END = len(_ROW)

_RECORD = _COLUMNS["record"]
#: In the row of which scope the record behind a ruling stands, and where there.
_BEHIND = {
    "choice": (_CHOICE, _RECORD),
    "opted_out": (_EVERYTHING, _RECORD),
    "channel": (_CHANNEL, _RECORD),
    **{
        f"{kind}:{name}": (scope, _COLUMNS[f"{kind}_record"])
        for kind in ("pause", "frequency")
        for scope, name in _SCOPES.items()
    },
}

#: A contact's rows: one for each row of state, at least one.
Rows = tuple[tuple[Any, ...], ...]
#: Where in a contact's rows a record stands.
Spot = tuple[int, int]


class Look(NamedTuple):
    """What has to be fetched. `whole`: all there is, for rules that we do not know. Otherwise the topic's channels do
    not come, the country and the legal basis where a yes or a no makes them irrelevant, what was sent in earlier
    periods, and the time zone without a frequency, but for `zones`.

    `recording`: whether the message has a place already. `texts`: the ids of records as the JSON of an answer has them,
    if the database knows UUIDs. `within`: contacts of one audience only, the others are as if they were not there.
    """

    recording: bool = False
    whole: bool = False
    zones: bool = False
    texts: bool = False
    within: bool = False


def fetch(
    contacts: str, size: int, question: Question, look: Look, audience: int | None = None
) -> list[Rows]:
    """The rows of each of these contacts, an `array` of `size`, in their order.

    `audience` stands with `within`. Against a message that is being recorded, neither its own place is held nor what was
    sent after it took that.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _statement(look),
            {
                "contacts": contacts,
                "topic": question.topic,
                "channel": question.channel,
                "message": question.message,
                "audience": audience,
                **_since(question.at, look),
            },
        )
        rows = cursor.fetchall()
    found: list[Rows] = [()] * size
    for row in rows:
        found[row[0]] += (row,)
    return found


def _since(at: datetime, look: Look) -> dict[str, Any]:
    """How far back what was sent can count: for our own rules as far as the period may reach that the moment is in."""
    since = {"since": at - LOOK_BACK}
    if not look.whole:
        since |= {frequency: periods.begins_not_before(frequency, at) for frequency in _PERIODS}
    return {name: connection.ops.adapt_datetimefield_value(moment) for name, moment in since.items()}


def sorting(
    look: Look, at: datetime, default_zone: str, quiet: Mapping[str | None, datetime | None]
) -> Callable[[Rows], tuple[Any, ...]]:
    """A function that says the same of contacts in the same circumstances: what our rules look at, and with `whole`
    what a site's may, but for who she is and where.

    `quiet`, with `zones`: of each time zone until when it is a quiet hour there. Zones that are alike in that are as
    good as one, as long as nothing else asks to wait.
    """

    def caps(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return row[_MARKS:_END] if look.whole else _of_caps(row, at, default_zone)

    def same(rows: Rows) -> tuple[Any, ...]:
        row = rows[0]
        if len(rows) == 1 and row[_FREQUENCY] is None:
            if not look.zones:
                return row[_MARKS:_FREQUENCY]
            zone = row[_ZONE]
            return *row[_MARKS:_FREQUENCY], quiet[zone] if row[_PAUSED] is None else zone
        key = [caps(row) if row[_FREQUENCY] else row[_MARKS:_FREQUENCY] for row in rows]
        if look.zones:
            zone = row[_ZONE]
            key.append((quiet[zone] if all(row[_PAUSED] is None for row in rows) else zone,))
        return tuple(key)

    return same


def fixed(rows: Rows) -> tuple[Any, ...]:
    """The part of her circumstances that no pause, no frequency and no night belongs to."""
    return tuple([row[_MARKS:_PAUSED] for row in rows])


def _of_caps(row: tuple[Any, ...], at: datetime, default_zone: str) -> tuple[Any, ...]:
    """A row with a frequency: all moments of the period that is used up are as good as one, and beside a frequency that
    is not used up, the time zone says nothing.
    """
    frequency, last, zone = row[_FREQUENCY:_END]
    if last is None:
        return row[_MARKS:_LAST]
    now = periods.period(frequency, at, periods.zone(zone, default_zone))
    if now is None or (sent := _known_moment(last)) < now[0]:
        return row[_MARKS:_LAST]
    return (*row[_MARKS:_LAST], now[0] if sent < now[1] else sent, zone)


def facts_of(contact: UUID, rows: Rows, channel: str) -> Facts:
    """What rules see of a contact's rows when they are asked about a channel."""
    country, basis, timezone, opted_out, of_channel, chosen, waits, ends = (
        "",
        "",
        "",
        False,
        "",
        "",
        False,
        None,
    )
    pauses: list[PauseFact] = []
    caps: list[CapFact] = []
    for row in rows:
        marks, home, law, channels, until, paused, frequency, last, zone = row[_MARKS:_END]
        country, basis, timezone = home or country, law or basis, zone or timezone
        scope = marks & _SCOPE
        if scope == _CHOICE:
            chosen, waits, ends = _choice(marks), bool(marks & _PENDING), _moment(until)
            continue
        if scope == _EVERYTHING and marks & _UNSUBSCRIBED:
            opted_out = True
        elif scope == _CHANNEL:
            of_channel = _choice(marks)
        if paused is not None:
            pauses.append(PauseFact(_SCOPES[scope], _known_moment(paused)))
        if frequency:
            caps.append(CapFact(_SCOPES[scope], frequency, _moment(last)))
    if len(rows[0]) > _END:
        country, timezone = (where or "" for where in rows[0][_END:])
    return Facts(
        contact,
        _standing(marks),
        country,
        timezone,
        bool(marks & _SUPPRESSED),
        bool(marks & _EMAIL_DEAD),
        _topic(marks & _OF_THE_TOPIC, basis, channels, channel),
        opted_out,
        of_channel,
        chosen,
        waits,
        ends,
        tuple(pauses),
        tuple(caps),
        _place_of(marks),
    )


def of_her(alike: Facts, contact: UUID, rows: Rows) -> Facts:
    """The facts of one contact, from those of another in the same circumstances. With `Look.whole`."""
    home, zone = rows[0][_END:]
    # Past __new__, as in `Decision.of`.
    return tuple.__new__(Facts, (contact, alike[1], home or "", zone or "", *alike[4:]))


def spot_behind(rows: Rows, behind: str) -> Spot | None:
    """Where the record stands that made what a ruling went by: "choice", "channel", "opted_out", "pause:topic" ..."""
    if not behind:
        return None
    if behind == "contact":
        return 0, _RECORD
    wanted, column = _BEHIND[behind]
    for number, row in enumerate(rows):
        if row[_MARKS] & (_HAS_STATE | _SCOPE) == wanted | _HAS_STATE:
            return number, column
    return None


def array(ids: Iterable[str]) -> str:
    """Ids as one parameter: psycopg quotes a thousand for longer than PostgreSQL looks them up, and SQLite takes 999."""
    if connection.vendor == "postgresql":
        return f"{{{','.join(ids)}}}"
    return json.dumps([contact.replace("-", "") for contact in ids])


def from_array(name: str) -> str:
    """A parameter that `array` made, as a table of (place from 0, id)."""
    if connection.vendor == "postgresql":
        of = f"unnest(%({name})s::uuid[]) WITH ORDINALITY AS given(id, n)"
        # Neighbours stand on the same pages, which are then in the processor's caches.
        return f"(SELECT n - 1 AS place, id FROM {of} ORDER BY id)"  # noqa: S608 - names, no values
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


def _choice(marks: int) -> str:
    if marks & _SUBSCRIBED:
        return SUBSCRIBED
    return UNSUBSCRIBED if marks & _UNSUBSCRIBED else ""


_OF_THE_TOPIC = _HAS_TOPIC | _TRANSACTIONAL | _ARCHIVED | _OFFERED


@lru_cache(maxsize=64)
def _topic(marks: int, basis: str, channels: str | None, channel: str) -> TopicFacts | None:
    if not marks & _HAS_TOPIC:
        return None
    offered = json.loads(channels) if channels else [channel] if marks & _OFFERED else []
    return TopicFacts(frozenset(offered), basis, bool(marks & _TRANSACTIONAL), bool(marks & _ARCHIVED))


@cache
def _statement(look: Look) -> str:
    contact, state, topic, send = (
        connection.ops.quote_name(model._meta.db_table) for model in (Contact, State, Topic, Send)
    )
    # A no to the topic, to the channel or to everything, or a yes to the topic: who has said so is not asked about by
    # the law of her country, and the record of it is what a decision rests on.
    settled = f"state.choice = '{UNSUBSCRIBED}' OR state.choice = '{SUBSCRIBED}' AND state.topic <> ''"
    capped = "state.frequency <> ''"
    marks = {
        _KNOWN: "contact.id IS NOT NULL",
        _ERASED: "contact.erased_at IS NOT NULL",
        _MERGED: "contact.merged_into_id IS NOT NULL",
        _SUPPRESSED: "contact.suppressed",
        _EMAIL_DEAD: "contact.email_dead_at IS NOT NULL",
        _HAS_STATE: "state.contact_id IS NOT NULL",
        _OF_CHANNEL: "state.channel <> ''",
        _OF_TOPIC: "state.topic <> ''",
        _SUBSCRIBED: f"state.choice = '{SUBSCRIBED}'",
        _UNSUBSCRIBED: f"state.choice = '{UNSUBSCRIBED}'",
        _PENDING: "state.pending",
    }
    if look.recording:
        marks[_HAS_PLACE] = "own.id IS NOT NULL"
        marks[_HAS_THIS_PLACE] = "own.topic = %(topic)s AND own.channel = %(channel)s"
    since = "%(since)s"
    if not look.whole:
        each = " ".join(f"WHEN '{frequency}' THEN %({frequency})s" for frequency in _PERIODS)
        since = f"CASE state.frequency {each} ELSE {since} END"
    # A message that has its place keeps it, whatever went out after that.
    before = " AND (own.at IS NULL OR sent.at < own.at)" if look.recording else ""
    # Asked only where there is a cap, and answered by the index of sends.
    last = (
        f"(SELECT sent.at FROM {send} AS sent WHERE sent.contact = asked.id AND sent.at >= {since}"  # noqa: S608
        f" AND sent.counts AND sent.message_id <> %(message)s{before}"
        " AND (state.topic = '' OR sent.topic = state.topic)"
        " AND (state.channel = '' OR sent.channel = state.channel) ORDER BY sent.at DESC LIMIT 1)"
    )
    columns = {
        "place": "asked.place",
        # Of who is gone, the last record says so.
        "record": _record(
            "CASE WHEN contact.erased_at IS NOT NULL OR contact.merged_into_id IS NOT NULL THEN contact.version"
            f" WHEN {settled} THEN state.choice_version END",
            look,
        ),
        "pause_record": f"CASE WHEN state.paused_until IS NOT NULL THEN {_record('state.pause_version', look)} END",
        "frequency_record": f"CASE WHEN {capped} THEN {_record('state.frequency_version', look)} END",
        "marks": f"{_marks(marks)} + COALESCE(topic.marks, 0)",
        "country": f"CASE WHEN {settled} THEN NULL ELSE contact.country END",
        "basis": "topic.basis" if look.whole else f"CASE WHEN {settled} THEN NULL ELSE topic.basis END",
        "channels": "CAST(topic.channels AS text)" if look.whole else "NULL",
        "choice_until": _number("state.choice_until"),
        "paused_until": _number("state.paused_until"),
        "frequency": f"CASE WHEN {capped} THEN state.frequency END",
        "last": f"CASE WHEN {capped} THEN {_number(last)} END",
        "timezone": "contact.timezone" if look.zones else f"CASE WHEN {capped} THEN contact.timezone END",
    }
    # What touches the question: everything, the channel, the topic, the choice. Not IN, for which PostgreSQL would put
    # together a list for every row.
    touches = "(one.topic = '' OR one.topic = %(topic)s) AND (one.channel = '' OR one.channel = %(channel)s)"
    joins = [
        join(
            contact,
            "contact",
            "one.id = asked.id" + (" AND one.audience_id = %(audience)s" if look.within else ""),
        ),
        f"LEFT JOIN ({_topics(topic)}) AS topic ON topic.audience_id = contact.audience_id",
        join(state, "state", f"one.contact_id = asked.id AND {touches}"),
    ]
    if look.recording:
        joins.append(join(send, "own", "one.message_id = %(message)s AND one.contact = asked.id"))
    wanted = ", ".join(columns[name] for name in _ROW)
    if look.whole:
        wanted += ", contact.country AS home, contact.timezone AS zone"
    return f"SELECT {wanted} FROM {from_array('contacts')} AS asked {' '.join(joins)}"  # noqa: S608 - names


def _topics(table: str) -> str:
    """The topic of that key in each audience: few, and what is true of them is put together once for each."""
    native = connection.vendor == "postgresql"
    channels = "SELECT 1 FROM json_each(one.channels) AS given WHERE given.value = %(channel)s"
    marks = {
        _HAS_TOPIC: "one.id IS NOT NULL",
        _TRANSACTIONAL: "one.transactional",
        _ARCHIVED: "one.archived",
        _OFFERED: "one.channels ? %(channel)s" if native else f"EXISTS ({channels})",
    }
    columns = f"one.audience_id, one.basis, one.channels, {_marks(marks)} AS marks"
    once = " OFFSET 0" if native else ""
    return f"SELECT {columns} FROM {table} AS one WHERE one.key = %(topic)s{once}"  # noqa: S608 - names


def _marks(marks: Mapping[int, str]) -> str:
    return " + ".join(f"CASE WHEN {true} THEN {mark} ELSE 0 END" for mark, true in marks.items())


def _record(version: str, look: Look) -> str:
    """The ledger record of a contact at a version, from the index alone."""
    table = connection.ops.quote_name(Record._meta.db_table)
    name = (
        "CAST(record.id AS text)" if look.texts and connection.features.has_native_uuid_field else "record.id"
    )
    return f"(SELECT {name} FROM {table} AS record WHERE record.contact_ref = asked.id AND record.seq = {version})"  # noqa: S608


def join(table: str, name: str, condition: str) -> str:
    """The rows of a table for each that is asked about, by index, however many there are in all.

    PostgreSQL, left alone, reads every contact's row of a kind as soon as it thinks them few; OFFSET 0 keeps it from
    that. SQLite knows nothing else than one after the other.
    """
    if connection.vendor != "postgresql":
        return f"LEFT JOIN {table} AS {name} ON {condition.replace('one.', f'{name}.')}"
    return f"LEFT JOIN LATERAL (SELECT * FROM {table} AS one WHERE {condition} OFFSET 0) AS {name} ON true"  # noqa: S608


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
