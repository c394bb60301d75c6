"""May I send this to her now? `decide` answers for one contact or many, and takes the place that frequencies count.

Rules of a site derive from `Rule`, or are functions, and answer with `refuse`, `defer` or `digest`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import overload
from uuid import UUID

from ..errors import UnknownContact
from ..values import CHANNELS
from . import judging, sends
from .answers import answers, check_message, check_sender, checked
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
    contacts: UUID,
    topic: str,
    channel: str,
    *,
    at: datetime | None = None,
    record: str | None = None,
    sender: str = "",
    audience: int | None = None,
) -> Decision: ...
@overload
def decide(
    contacts: Sequence[UUID],
    topic: str,
    channel: str,
    *,
    at: datetime | None = None,
    record: str | None = None,
    sender: str = "",
    audience: int | None = None,
) -> list[Decision]: ...
def decide(
    contacts: UUID | Sequence[UUID],
    topic: str,
    channel: str,
    *,
    at: datetime | None = None,
    record: str | None = None,
    sender: str = "",
    audience: int | None = None,
) -> Decision | list[Decision]:
    """May a message of this topic go to these contacts on this channel, at a moment (now)?

    One decision for one contact, a list in the order of the list for many; whoever is not there is refused. Asking
    changes nothing. With `record`, the message's own id, a `send` also takes the message's place in the contact's
    frequency: call this right before sending, and `give_back` what was not sent after all. The same id gets the place
    it has and no second one; still, what the contact has chosen since then holds. Do not call it in a transaction that
    may yet roll back.

    `sender` is how the caller calls itself, for the report of promises kept. `audience`, its id: contacts of others
    are answered as if they were not there.

    One statement for every 1,000 contacts, with `record` three. Raises ValueError for a moment without a time
    zone or out of reach, for `at` together with `record`, for an empty or too long id, and for a `sender` of more
    than 64 characters or with one that cannot be printed.
    """
    given = (contacts,) if isinstance(contacts, UUID) else tuple(contacts)
    if not all(issubclass(kind, UUID) for kind in set(map(type, given))):
        raise TypeError("contacts are named by their UUIDs")
    rulings, records = answers(
        [contact.hex for contact in given],
        topic,
        channel,
        at,
        record,
        audience=audience,
        sender=sender,
        given=given,
    )
    decisions = [
        Decision.of(contact, ruling, behind)
        for contact, ruling, behind in zip(given, rulings, records, strict=True)
    ]
    return decisions[0] if isinstance(contacts, UUID) else decisions


def give_back(
    message_id: str, contact: UUID | Collection[UUID] | None = None, *, audience: int | None = None
) -> int:
    """Free the places that a message took, with one contact, some, or all; returns how many there were.

    For a message that was not sent after all: the next one may have its place. `audience`, its id: the places with
    contacts of others stay. Raises ValueError for what is no id.
    """
    check_message(message_id)
    return sends.free(message_id, [contact] if isinstance(contact, UUID) else contact, audience)


def sent(
    message_id: str,
    contact: UUID,
    topic: str,
    channel: str,
    at: datetime | None = None,
    *,
    sender: str = "",
    waited_since: datetime | None = None,
) -> bool:
    """Note a message that was sent without asking, so that frequencies count it; whether it was new.

    With it is noted what `decide` says of its moment, by what was known then: whatever is no `send` is a promise that was
    broken (`judging`). A moment that has not come yet is taken as now. `sender` is how the caller calls itself;
    `waited_since`: the message was put off then.

    Raises UnknownContact, also for who was erased, and ValueError for a topic that her audience does not have, a channel
    that does not exist, a moment without a time zone, an empty or too long id, and a `sender` that is too long.
    """
    check_message(message_id)
    check_sender(sender)
    if channel not in CHANNELS:
        raise ValueError("no such channel")
    moment = checked(at) if at is not None else None
    (noted,) = judging.note(
        [judging.Report(message_id, contact, topic, channel, moment, waited_since)], sender=sender
    )
    if noted is judging.NOBODY or noted is judging.ERASED:
        raise UnknownContact
    if noted is judging.NO_TOPIC:
        raise ValueError("the contact's audience has no such topic")
    return noted.new


def hand_over(loser: UUID, winner: UUID) -> int:
    """Let what was sent to one contact count for the one she is merged into; returns how many messages went over."""
    return sends.hand_over(loser, winner)


def forget(contact: UUID) -> int:
    """Delete what was noted about messages to a contact; returns how many there were."""
    return sends.forget(contact)
