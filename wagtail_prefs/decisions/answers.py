"""Answers for any number of contacts by their ids: what is the same for many is judged once. Takes places as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from ..conf import conf
from ..values import CHANNELS
from . import counting, custom, facts, periods, sends
from .rules import FIRST, LAST, RULES, Asked, concluded, heard, prepared, quiet_until, waits_at
from .values import Facts, Question, Ruling, Verdict

#: Contacts in one statement, and under lock at once.
CHUNK = 1000
MAX_MESSAGE_ID = 200
MAX_SENDER = 64
MAX_TOPIC = 64

#: Ours look at circumstances only, whoever is in them.
_ANYBODY = UUID(int=0)

#: What the rules came to for contacts, and the ids of the ledger records that they went by: UUIDs, texts, or None. A list
#: of each, because a thousand pairs cost more to make.
Answers = tuple[list[Ruling], list[Any]]


def answers(
    ids: Sequence[str],
    topic: str,
    channel: str,
    at: datetime | None = None,
    record: str | None = None,
    *,
    texts: bool = False,
    audience: int | None = None,
    sender: str = "",
    counted: bool = True,
    given: Sequence[UUID] | None = None,
) -> Answers:
    """The answers for these contacts, in their order; see `services.decide`. Their ids are all written in one way, in
    lower case, so that one contact is one text. `texts`: give the ids of records as texts where that is cheaper.
    `counted`: whether the report of promises kept counts who asked. `given`: the same ids as UUIDs, if they are there.
    """
    check_sender(sender)
    if record is not None:
        if at is not None:
            raise ValueError("a message is recorded now: leave out `at`, or `record`")
        check_message(record)
    unique = list(dict.fromkeys(ids))
    if record is not None:
        unique.sort()  # PostgreSQL's order, in which they are locked
    rules = custom.rules()
    who = _uuids(unique, ids, given) if rules else []
    moment = checked(at) if at is not None else timezone.now()
    question = Question(*names(topic, channel), moment, record or "", sender)
    look = facts.Look(
        record is not None, bool(rules), question.channel in conf.quiet_hours, texts, audience is not None
    )
    call = _Call(
        question,
        look,
        audience,
        prepared(RULES, ()),
        prepared(rules, who),
        dict(zip(unique, who, strict=False)),
    )
    rulings: list[Ruling] = []
    records: list[Any] = []
    for start in range(0, len(unique), CHUNK):
        chunk = unique[start : start + CHUNK]
        found = call.answers(chunk, facts.array(chunk)) if record is None else _recorded(call, chunk)
        rulings += found[0]
        records += found[1]
    if counted:
        counting.note(question.topic, question.channel, sender, audience, rulings)
    if record is None and len(unique) == len(ids):
        return rulings, records
    places = {contact: place for place, contact in enumerate(unique)}
    return [rulings[places[contact]] for contact in ids], [records[places[contact]] for contact in ids]


def _uuids(unique: Sequence[str], ids: Sequence[str], given: Sequence[UUID] | None) -> list[UUID]:
    if given is None:
        return [UUID(contact) for contact in unique]
    known = dict(zip(ids, given, strict=True))
    return [known[contact] for contact in unique]


class _Alike(NamedTuple):
    """What our rules say of contacts in the same circumstances. `is_final`: no rule of a site is asked."""

    ruling: Ruling
    spot: facts.Spot | None
    is_final: bool
    facts: Facts
    waits: Sequence[Ruling]


@dataclass
class _Call:
    """One call: what is asked, our rules and the site's, and with these who is asked about, by her id."""

    question: Question
    look: facts.Look
    audience: int | None
    ours: Asked
    theirs: Asked
    who: Mapping[str, UUID]

    def __post_init__(self) -> None:
        self.at_once = self.ours.at_once
        self.waiting = [*self.ours.waiting, *self.theirs.waiting]
        self.of_few = custom.asked_about(self.theirs.rules)
        self.finals: dict[Any, Ruling | None] = {}
        self.later: dict[datetime, Question] = {}

    def answers(self, contacts: list[str], ids: str) -> Answers:
        """`ids` are the contacts as `facts.array` has them."""
        quiet = _Quiet(self.question)
        same = facts.sorting(self.look, self.question.at, settings.TIME_ZONE, quiet)
        self.finals.clear()  # each list under lock has a moment of its own
        known: dict[Any, _Alike] = {}
        of_few = self.of_few
        rulings: list[Ruling] = []
        records: list[Any] = []
        found = facts.fetch(ids, len(contacts), self.question, self.look, self.audience)
        for contact, rows in zip(contacts, found, strict=True):
            key = same(rows)
            alike = known.get(key)
            if alike is None:
                alike = known[key] = self._of(rows)
            ruling, spot, is_final, _, _ = alike
            if not is_final and (of_few is None or self.who[contact] in of_few):
                ruling, spot = self._with_theirs(contact, rows, alike)
            rulings.append(ruling)
            records.append(rows[spot[0]][spot[1]] if spot else None)
        if not connection.features.has_native_uuid_field:
            records = [behind and UUID(behind) for behind in records]
        return rulings, records

    def _of(self, rows: facts.Rows) -> _Alike:
        """What comes out for her and all who are like her, as far as our rules go."""
        question = self.question
        hers = facts.facts_of(_ANYBODY, rows, question.channel)
        # Most who differ do so in their pauses and frequencies only.
        key = facts.fixed(rows)
        if key not in self.finals:
            self.finals[key] = heard(hers, question, self.at_once)[0]
        final, waits = self.finals[key], list[Ruling]()
        if final is None:
            waits = waits_at(question, hers, self.ours.waiting)
        ruling = final or concluded(hers, question, waits, self.ours.waiting)
        is_final = final is not None or not self.theirs.rules
        return _Alike(ruling, facts.spot_behind(rows, ruling.behind), is_final, hers, waits)

    def _with_theirs(self, contact: str, rows: facts.Rows, alike: _Alike) -> tuple[Ruling, facts.Spot | None]:
        """The rules of the site know who she is, so they are asked about each."""
        hers = facts.of_her(alike.facts, self.who[contact], rows)
        ruling, waits = heard(hers, self.question, self.theirs.rules)
        if ruling is None:
            if not waits and self._holds(alike.ruling, hers):
                return alike.ruling, alike.spot
            ruling = concluded(hers, self.question, [*alike.waits, *waits], self.waiting)
        return ruling, facts.spot_behind(rows, ruling.behind)

    def _holds(self, ruling: Ruling, hers: Facts) -> bool:
        """Whether no rule of the site asks to wait at the moment at which ours no longer do."""
        if ruling.until is None or ruling.until >= LAST:
            return True
        later = self.later.get(ruling.until)
        if later is None:
            later = self.later[ruling.until] = replace(self.question, at=ruling.until)
        return not waits_at(later, hers, self.theirs.waiting)


class _Quiet(dict[str | None, datetime | None]):
    """Of a time zone until when it is a quiet hour there, looked up as it is asked for."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.at = question.at
        self.begin, self.end = conf.quiet_hours.get(question.channel, ("00:00", "00:00"))
        self.default = settings.TIME_ZONE

    def __missing__(self, zone: str | None) -> datetime | None:
        until = self[zone] = quiet_until(
            self.begin, self.end, self.at, periods.zone(zone or "", self.default)
        )
        return until


def _recorded(call: _Call, contacts: list[str]) -> Answers:
    """Lock, then read, then write: whoever asks at the same moment waits, and then sees what was sent here."""
    ids = facts.array(contacts)
    with transaction.atomic():
        sends.lock(ids)
        now = call.question = replace(call.question, at=timezone.now())
        rulings, records = call.answers(contacts, ids)
        places = [
            sends.Place(contact, ruling.reason != "transactional", ruling.reason, behind)
            for contact, ruling, behind in zip(contacts, rulings, records, strict=True)
            if ruling.verdict is Verdict.SEND and ruling.reason != "recorded"
        ]
        sends.write(
            now.message, places, now.topic, now.channel, now.at, sender=now.sender, verdict=Verdict.SEND
        )
    return rulings, records


def names(topic: str, channel: str) -> tuple[str, str]:
    """Names that a row can have. What no row can have is unknown, as "" is, and the database need not see it."""
    can_be = len(topic) <= MAX_TOPIC and topic.isascii() and topic.isprintable()
    return (topic if can_be else ""), channel if channel in CHANNELS else ""


def checked(at: datetime) -> datetime:
    """The moment in UTC. Raises ValueError for one without a time zone or out of reach."""
    if at.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    if not FIRST <= at < LAST:
        raise ValueError(f"a moment is from {FIRST.year} to {LAST.year - 1}")
    return at.astimezone(UTC)


def check_message(message_id: str) -> None:
    """Raises ValueError for what is no id of a message."""
    if not 0 < len(message_id) <= MAX_MESSAGE_ID or not message_id.isprintable():
        raise ValueError(f"a message's id is a text of 1 to {MAX_MESSAGE_ID} printable characters")


def check_sender(sender: str) -> None:
    """Raises ValueError for what a sender cannot call itself; "" is one that does not say."""
    if len(sender) > MAX_SENDER or not sender.isprintable():
        raise ValueError(f"a sender's name is a text of at most {MAX_SENDER} printable characters")
