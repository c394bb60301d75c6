"""May I send this to her now? `decide` answers for one contact or many, and takes the place that frequencies count.

Rules of a site derive from `Rule`, or are functions, and answer with `refuse`, `defer` or `digest`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, overload
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from ..contacts.models import Contact
from ..errors import UnknownContact
from ..topics.models import Topic
from ..values import CHANNELS
from . import custom, facts, sends
from .rules import FIRST, LAST, RULES, Asked, Rule, judge, prepared
from .values import Decision, Facts, Question, Ruling, Verdict, defer, digest, refuse

__all__ = [
    "Decision",
    "Facts",
    "Question",
    "Rule",
    "Ruling",
    "Verdict",
    "decide",
    "defer",
    "digest",
    "forget",
    "give_back",
    "hand_over",
    "refuse",
    "sent",
]

#: Contacts in one statement, and under lock at once.
CHUNK = 1000
MAX_MESSAGE_ID = 200
MAX_TOPIC = 64


@overload
def decide(
    contacts: UUID, topic: str, channel: str, *, at: datetime | None = None, record: str | None = None
) -> Decision: ...
@overload
def decide(
    contacts: Sequence[UUID],
    topic: str,
    channel: str,
    *,
    at: datetime | None = None,
    record: str | None = None,
) -> list[Decision]: ...
def decide(
    contacts: UUID | Sequence[UUID],
    topic: str,
    channel: str,
    *,
    at: datetime | None = None,
    record: str | None = None,
) -> Decision | list[Decision]:
    """May a message of this topic go to these contacts on this channel, at a moment (now)?

    One decision for one contact, a list in the order of the list for many; whoever is not there is refused. Asking
    changes nothing. With `record`, the message's own id, a `send` also takes the message's place in the contact's
    frequency: call this right before sending, and `give_back` what was not sent after all. The same id gets the place
    it has and no second one; still, what the contact has chosen since then holds. Do not call it in a transaction that
    may yet roll back.

    At most two statements for every 1,000 contacts, with `record` three. Raises ValueError for a moment without a time
    zone or out of reach, for `at` together with `record`, and for an empty or too long id.
    """
    given = (contacts,) if isinstance(contacts, UUID) else tuple(contacts)
    if not all(isinstance(contact, UUID) for contact in given):
        raise TypeError("contacts are named by their UUIDs")
    if record is not None:
        if at is not None:
            raise ValueError("a message is recorded now: leave out `at`, or `record`")
        _check_message(record)
    unique = list(dict.fromkeys(given))
    if record is not None:
        unique.sort(key=attrgetter("int"))  # PostgreSQL's order, in which they are locked
    asked = prepared([*RULES, *custom.rules()], unique)
    question = Question(*_names(topic, channel), _checked(at) if at is not None else timezone.now())
    decisions: list[Decision] = []
    for start in range(0, len(unique), CHUNK):
        decisions += _decisions(unique[start : start + CHUNK], question, asked, record)
    if record is not None or len(unique) != len(given):
        found = dict(zip(unique, decisions, strict=True))
        decisions = [found[contact] for contact in given]
    return decisions[0] if isinstance(contacts, UUID) else decisions


def give_back(message_id: str, contact: UUID | Collection[UUID] | None = None) -> int:
    """Free the places that a message took, with one contact, some, or all; returns how many there were.

    For a message that was not sent after all: the next one may have its place. Raises ValueError for what is no id.
    """
    _check_message(message_id)
    return sends.free(message_id, [contact] if isinstance(contact, UUID) else contact)


def sent(message_id: str, contact: UUID, topic: str, channel: str, at: datetime | None = None) -> bool:
    """Note a message that was sent without asking, so that frequencies count it; whether it was new.

    A moment that has not come yet is taken as now. Raises UnknownContact, also for who was erased, and ValueError for a
    topic that her audience does not have, a channel that does not exist, a moment without a time zone, or an empty or
    too long id.
    """
    _check_message(message_id)
    now = timezone.now()
    moment = min(_checked(at), now) if at is not None else now
    live = Contact.objects.filter(pk=contact, erased_at=None)
    who = live.only("merged_into", "audience").first()
    if who is None:
        raise UnknownContact
    topics = Topic.objects.filter(audience_id=who.audience_id, key=_names(topic, channel)[0])
    transactional = topics.values_list("transactional", flat=True).first()
    if transactional is None:
        raise ValueError("the contact's audience has no such topic")
    if channel not in CHANNELS:
        raise ValueError("no such channel")
    return bool(
        sends.write(message_id, [(who.merged_into_id or who.pk, not transactional)], topic, channel, moment)
    )


def hand_over(loser: UUID, winner: UUID) -> int:
    """Let what was sent to one contact count for the one she is merged into; returns how many messages went over."""
    return sends.hand_over(loser, winner)


def forget(contact: UUID) -> int:
    """Delete what was noted about messages to a contact; returns how many there were."""
    return sends.forget(contact)


#: What the rules came to for a contact, and the version that they went by.
_Answer = tuple[Ruling, int | None]


def _decisions(contacts: list[UUID], question: Question, asked: Asked, record: str | None) -> list[Decision]:
    ids = facts.array(contacts)
    if record is None:
        answers = _answers(contacts, ids, question, asked)
        records = facts.records(ids, [version for _ruling, version in answers])
    else:
        answers, records = _record(contacts, ids, question, asked, record)
    return [
        Decision(contact, ruling.verdict, ruling.reason, ruling.rule, ruling.until, behind, ruling.static)
        for contact, (ruling, _version), behind in zip(contacts, answers, records, strict=True)
    ]


def _answers(
    contacts: list[UUID], ids: str, question: Question, asked: Asked, message: str = ""
) -> list[_Answer]:
    # Ours look at circumstances only; a site's rule may look at who it is.
    apart = len(asked) > len(RULES)
    known: dict[Any, tuple[Ruling, facts.Spot | None]] = {}
    answers: list[_Answer] = []
    found = facts.fetch(ids, len(contacts), question, message)
    for contact, rows in zip(contacts, found, strict=True):
        same = contact if apart else facts.circumstances(rows)
        judged = known.get(same)
        if judged is None:
            ruling = judge(facts.facts_of(contact, rows), question, asked)
            judged = known[same] = ruling, facts.spot_behind(rows, ruling.behind)
        ruling, spot = judged
        answers.append((ruling, rows[spot[0]][spot[1]] if spot else None))
    return answers


def _record(
    contacts: list[UUID], ids: str, question: Question, asked: Asked, message: str
) -> tuple[list[_Answer], list[UUID | None]]:
    """Lock, then read, then write: whoever asks at the same moment waits, and then sees what was sent here."""
    with transaction.atomic():
        sends.lock(ids)
        now = replace(question, at=timezone.now())
        answers = _answers(contacts, ids, now, asked, message)
        places = [
            (contact, ruling.reason != "transactional")
            for contact, (ruling, _version) in zip(contacts, answers, strict=True)
            if ruling.verdict is Verdict.SEND and ruling.reason != "recorded"
        ]
        return answers, sends.take(message, places, now, ids, [version for _ruling, version in answers])


def _names(topic: str, channel: str) -> tuple[str, str]:
    """Names that a row can have. What no row can have is unknown, as "" is, and the database need not see it."""
    can_be = len(topic) <= MAX_TOPIC and topic.isascii() and topic.isprintable()
    return (topic if can_be else ""), channel if channel in CHANNELS else ""


def _checked(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    if not FIRST <= at < LAST:
        raise ValueError(f"a moment is from {FIRST.year} to {LAST.year - 1}")
    return at.astimezone(UTC)


def _check_message(message_id: str) -> None:
    if not 0 < len(message_id) <= MAX_MESSAGE_ID or not message_id.isprintable():
        raise ValueError(f"a message's id is a text of 1 to {MAX_MESSAGE_ID} printable characters")
