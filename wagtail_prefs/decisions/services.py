"""May I send this to her now? `decide` answers for one contact or many, and takes the place that frequencies count.

Rules of a site derive from `Rule`, or are functions, and answer with `refuse`, `defer` or `digest`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import overload
from uuid import UUID

from django.utils import timezone

from ..contacts.models import Contact
from ..errors import UnknownContact
from ..topics.models import Topic
from ..values import CHANNELS
from . import sends
from .answers import answers, check_message, checked, names
from .rules import Rule
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

    One statement for every 1,000 contacts, with `record` three. Raises ValueError for a moment without a time
    zone or out of reach, for `at` together with `record`, and for an empty or too long id.
    """
    given = (contacts,) if isinstance(contacts, UUID) else tuple(contacts)
    if not all(issubclass(kind, UUID) for kind in set(map(type, given))):
        raise TypeError("contacts are named by their UUIDs")
    rulings, records = answers([contact.hex for contact in given], topic, channel, at, record)
    decisions = [
        Decision.of(contact, ruling, behind)
        for contact, ruling, behind in zip(given, rulings, records, strict=True)
    ]
    return decisions[0] if isinstance(contacts, UUID) else decisions


def give_back(message_id: str, contact: UUID | Collection[UUID] | None = None) -> int:
    """Free the places that a message took, with one contact, some, or all; returns how many there were.

    For a message that was not sent after all: the next one may have its place. Raises ValueError for what is no id.
    """
    check_message(message_id)
    return sends.free(message_id, [contact] if isinstance(contact, UUID) else contact)


def sent(message_id: str, contact: UUID, topic: str, channel: str, at: datetime | None = None) -> bool:
    """Note a message that was sent without asking, so that frequencies count it; whether it was new.

    A moment that has not come yet is taken as now. Raises UnknownContact, also for who was erased, and ValueError for a
    topic that her audience does not have, a channel that does not exist, a moment without a time zone, or an empty or
    too long id.
    """
    check_message(message_id)
    now = timezone.now()
    moment = min(checked(at), now) if at is not None else now
    live = Contact.objects.filter(pk=contact, erased_at=None)
    who = live.only("merged_into", "audience").first()
    if who is None:
        raise UnknownContact
    topics = Topic.objects.filter(audience_id=who.audience_id, key=names(topic, channel)[0])
    transactional = topics.values_list("transactional", flat=True).first()
    if transactional is None:
        raise ValueError("the contact's audience has no such topic")
    if channel not in CHANNELS:
        raise ValueError("no such channel")
    return bool(
        sends.write(
            message_id, [((who.merged_into_id or who.pk).hex, not transactional)], topic, channel, moment
        )
    )


def hand_over(loser: UUID, winner: UUID) -> int:
    """Let what was sent to one contact count for the one she is merged into; returns how many messages went over."""
    return sends.hand_over(loser, winner)


def forget(contact: UUID) -> int:
    """Delete what was noted about messages to a contact; returns how many there were."""
    return sends.forget(contact)
