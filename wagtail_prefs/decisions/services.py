"""May I send this to her now? `decide` answers for one contact or many, and takes the place that frequencies count.

Rules of a site derive from `Rule`, or are functions, and answer with `refuse`, `defer` or `digest`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import overload
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

    At most two statements for every 1,000 contacts, with `record` four. Raises ValueError for a moment without a time
    zone or out of reach, for `at` together with `record`, and for an empty or too long id.
    """
    given = (contacts,) if isinstance(contacts, UUID) else tuple(contacts)
    if not all(isinstance(contact, UUID) for contact in given):
        raise TypeError("contacts are named by their UUIDs")
    if record is not None:
        if at is not None:
            raise ValueError("a message is recorded now: leave out `at`, or `record`")
        _check_message(record)
    unique = sorted(set(given)) if record is not None else list(dict.fromkeys(given))
    asked = prepared([*RULES, *custom.rules()], unique)
    question = Question(*_names(topic, channel), _checked(at) if at is not None else timezone.now())
    found: dict[UUID, Decision] = {}
    for some in _chunks(unique):
        answered = _ask(some, question, asked) if record is None else _record(some, question, asked, record)
        found.update(_decisions(answered))
    answers = [found[contact] for contact in given]
    return answers[0] if isinstance(contacts, UUID) else answers


def give_back(message_id: str, contact: UUID | Collection[UUID] | None = None) -> int:
    """Free the places that a message took, with one contact, some, or all; returns how many there were.

    For a message that was not sent after all: the next one may have its place.
    """
    return sends.free(message_id, [contact] if isinstance(contact, UUID) else contact)


def sent(message_id: str, contact: UUID, topic: str, channel: str, at: datetime | None = None) -> bool:
    """Note a message that was sent without asking, so that frequencies count it; whether it was new.

    A moment that has not come yet is taken as now. Raises UnknownContact, and ValueError for a topic that her audience
    does not have, a channel that does not exist, a moment without a time zone, or an empty or too long id.
    """
    _check_message(message_id)
    now = timezone.now()
    moment = min(_checked(at), now) if at is not None else now
    who = Contact.objects.only("merged_into", "audience").filter(pk=contact).first()
    if who is None:
        raise UnknownContact
    topics = Topic.objects.filter(audience_id=who.audience_id, key=topic)
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


#: A contact, her row of facts, and what the rules came to.
_Answered = list[tuple[UUID, facts.Row, Ruling]]


def _ask(contacts: Sequence[UUID], question: Question, asked: Asked, message: str = "") -> _Answered:
    rows = facts.fetch(contacts, question, message)
    apart = len(asked) > len(RULES)  # a site's rule may look at who it is
    known: dict[facts.Row, Ruling] = {}
    answered: _Answered = []
    for contact, row in zip(contacts, rows, strict=True):
        same = facts.circumstances(row)
        ruling = known.get(same)
        if ruling is None:
            ruling = judge(facts.facts_of(contact, same), question, asked)
            if not apart:
                known[same] = ruling
        answered.append((contact, row, ruling))
    return answered


def _record(contacts: Sequence[UUID], question: Question, asked: Asked, message: str) -> _Answered:
    """Lock, then read, then write: whoever asks at the same moment sees what was sent here, or waits to see it."""
    with transaction.atomic():
        sends.lock(contacts)
        now = Question(question.topic, question.channel, timezone.now())
        answered = _ask(contacts, now, asked, message)
        sends.write(
            message,
            [
                (contact, ruling.reason != "transactional")
                for contact, _row, ruling in answered
                if ruling.verdict is Verdict.SEND and ruling.reason != "recorded"
            ],
            now.topic,
            now.channel,
            now.at,
        )
    return answered


def _decisions(answered: _Answered) -> Iterator[tuple[UUID, Decision]]:
    versions = [
        (contact, version)
        for contact, row, ruling in answered
        if (version := facts.version_behind(row, ruling.behind))
    ]
    records = facts.records(versions)
    for contact, row, ruling in answered:
        version = facts.version_behind(row, ruling.behind)
        yield (
            contact,
            Decision(
                contact,
                ruling.verdict,
                ruling.reason,
                ruling.rule,
                ruling.until,
                records.get((contact, version)) if version else None,
                ruling.static,
            ),
        )


def _chunks(contacts: list[UUID]) -> Iterator[list[UUID]]:
    for start in range(0, len(contacts), CHUNK):
        yield contacts[start : start + CHUNK]


def _names(topic: str, channel: str) -> tuple[str, str]:
    """Names that a row can have. What no row can have is unknown, and "" is: no database is asked for it."""
    return (topic if len(topic) <= 64 and "\0" not in topic else ""), channel if channel in CHANNELS else ""


def _checked(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    if not FIRST <= at < LAST:
        raise ValueError(f"a moment is from {FIRST.year} to {LAST.year - 1}")
    return at.astimezone(UTC)


def _check_message(message_id: str) -> None:
    if not message_id or len(message_id) > MAX_MESSAGE_ID or "\0" in message_id:
        raise ValueError(f"a message's id is a text of 1 to {MAX_MESSAGE_ID} characters")
