"""Answers for any number of contacts by their ids: what is the same for many is judged once. Takes places as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from ..conf import conf
from ..values import CHANNELS
from . import custom, facts, sends
from .rules import FIRST, LAST, RULES, Asked, judge, prepared
from .values import Question, Ruling, Verdict

#: Contacts in one statement, and under lock at once.
CHUNK = 1000
MAX_MESSAGE_ID = 200
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
) -> Answers:
    """The answers for these contacts, in their order; see `services.decide`. Their ids are all written in one way, in
    lower case, so that one contact is one text. `texts`: give the ids of records as texts where that is cheaper.
    """
    if record is not None:
        if at is not None:
            raise ValueError("a message is recorded now: leave out `at`, or `record`")
        check_message(record)
    unique = list(dict.fromkeys(ids))
    if record is not None:
        unique.sort()  # PostgreSQL's order, in which they are locked
    rules = [*RULES, *custom.rules()]
    whole = len(rules) > len(RULES)
    asked = prepared(rules, [UUID(contact) for contact in unique] if whole else ())
    question = Question(*names(topic, channel), checked(at) if at is not None else timezone.now())
    look = facts.Look(record is not None, whole, question.channel in conf.quiet_hours, texts)
    rulings: list[Ruling] = []
    records: list[Any] = []
    for start in range(0, len(unique), CHUNK):
        chunk = unique[start : start + CHUNK]
        if record is None:
            found = _answers(chunk, facts.array(chunk), question, asked, look)
        else:
            found = _recorded(chunk, question, asked, look, record)
        rulings += found[0]
        records += found[1]
    if record is None and len(unique) == len(ids):
        return rulings, records
    places = {contact: place for place, contact in enumerate(unique)}
    return [rulings[places[contact]] for contact in ids], [records[places[contact]] for contact in ids]


def _answers(
    contacts: list[str], ids: str, question: Question, asked: Asked, look: facts.Look, message: str = ""
) -> Answers:
    known: dict[Any, tuple[Ruling, facts.Spot | None]] = {}
    rulings: list[Ruling] = []
    records: list[Any] = []
    zone = settings.TIME_ZONE
    found = facts.fetch(ids, len(contacts), question, look, message)
    for contact, rows in zip(contacts, found, strict=True):
        same = contact if look.whole else facts.circumstances(rows, look, question.at, zone)
        judged = known.get(same)
        if judged is None:
            who = UUID(contact) if look.whole else _ANYBODY
            ruling = judge(facts.facts_of(who, rows, question.channel), question, asked)
            judged = known[same] = ruling, facts.spot_behind(rows, ruling.behind)
        ruling, spot = judged
        rulings.append(ruling)
        records.append(rows[spot[0]][spot[1]] if spot else None)
    if not connection.features.has_native_uuid_field:
        records = [behind and UUID(behind) for behind in records]
    return rulings, records


def _recorded(
    contacts: list[str], question: Question, asked: Asked, look: facts.Look, message: str
) -> Answers:
    """Lock, then read, then write: whoever asks at the same moment waits, and then sees what was sent here."""
    ids = facts.array(contacts)
    with transaction.atomic():
        sends.lock(ids)
        now = replace(question, at=timezone.now())
        rulings, records = _answers(contacts, ids, now, asked, look, message)
        places = [
            (contact, ruling.reason != "transactional")
            for contact, ruling in zip(contacts, rulings, strict=True)
            if ruling.verdict is Verdict.SEND and ruling.reason != "recorded"
        ]
        sends.write(message, places, now.topic, now.channel, now.at)
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
