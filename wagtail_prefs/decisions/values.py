"""What is asked, what is known about a contact, and what is answered: frozen values, no models, no I/O."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class Verdict(enum.StrEnum):
    """What a sender does: send; wait; put it into the next digest; leave it."""

    SEND = "send"
    DEFER = "defer"
    DIGEST = "digest"
    REFUSE = "refuse"


#: What a rule came from: the part of a contact's state whose last change is the ledger record behind a decision.
Behind = str


class Decision(NamedTuple):
    """May this be sent to her? `rule` says why, in the active language; `reason` is its short code.

    `until` (UTC) stands with `defer` and `digest`: from then on time alone no longer stands in the way. `record` is the
    ledger record of the choice, pause or frequency that decided. `static`: neither time nor what was sent decided.
    """

    # A thousand frozen dataclasses would take three times as long to make.
    contact: UUID
    verdict: Verdict
    reason: str
    rule: str | _StrPromise
    until: datetime | None = None
    record: UUID | None = None
    static: bool = False

    @staticmethod
    def of(contact: UUID, ruling: Ruling, record: UUID | None) -> Decision:
        """What a ruling comes to for a contact."""
        of = ruling
        # Past __new__, which is written in Python and takes as long again.
        return tuple.__new__(Decision, (contact, of.verdict, of.reason, of.rule, of.until, record, of.static))


@dataclass(frozen=True, slots=True)
class Question:
    """May a message of this topic go out on this channel at this moment (UTC)?

    `message` is its id where a place is to be taken, and `sender` how the sender calls itself; "" where nobody says.
    Rules of ours look at neither.
    """

    topic: str
    channel: str
    at: datetime
    message: str = ""
    sender: str = ""


class Standing(enum.StrEnum):
    """Whether there is such a contact."""

    UNKNOWN = "unknown"
    ERASED = "erased"
    MERGED = "merged"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What the topic that is asked about is, in the contact's audience."""

    channels: frozenset[str]
    basis: str
    transactional: bool = False
    archived: bool = False


@dataclass(frozen=True, slots=True)
class PauseFact:
    """A pause that touches the question; `scope` is `all`, `channel` or `topic`."""

    scope: str
    until: datetime


@dataclass(frozen=True, slots=True)
class CapFact:
    """A frequency that touches the question, and when the last message went out that counts for it.

    `scope` is `all`, `channel` or `topic`. `last` is None where nothing was sent for longer than any period lasts.
    """

    scope: str
    frequency: str
    last: datetime | None = None


class Place(enum.StrEnum):
    """Whether the message that is asked about has its place already: with the same topic and channel, or others."""

    NONE = "none"
    SAME = "same"
    OTHER = "other"


class Facts(NamedTuple):
    """What the rules know about one contact and one question. `topic` is None where her audience has no such topic.

    `choice` is `subscribed`, `unsubscribed`, or "" for never asked; `choice_until` is when the yes, or the wait for its
    confirmation (`pending`), ends by itself. `channel_choice` is the same of the channel as a whole: beside a no to it, a
    yes to the topic is what she said later.
    """

    contact: UUID
    standing: Standing = Standing.UNKNOWN
    country: str = ""
    timezone: str = ""
    suppressed: bool = False
    email_dead: bool = False
    topic: TopicFacts | None = None
    opted_out: bool = False
    channel_choice: str = ""
    choice: str = ""
    pending: bool = False
    choice_until: datetime | None = None
    pauses: tuple[PauseFact, ...] = ()
    caps: tuple[CapFact, ...] = ()
    place: Place = Place.NONE


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one rule says; `until` (UTC) with `defer` and `digest`. `behind` names the state it went by."""

    verdict: Verdict
    reason: str
    rule: str | _StrPromise
    until: datetime | None = None
    behind: Behind = ""
    static: bool = False


def refuse(reason: str, rule: str | _StrPromise) -> Ruling:
    """For rules of a site: this must not be sent."""
    return Ruling(Verdict.REFUSE, reason, rule)


def defer(until: datetime, reason: str, rule: str | _StrPromise) -> Ruling:
    """For rules of a site: not before `until`."""
    return Ruling(Verdict.DEFER, reason, rule, until)


def digest(until: datetime, reason: str, rule: str | _StrPromise) -> Ruling:
    """For rules of a site: not alone before `until`; a digest may carry it."""
    return Ruling(Verdict.DIGEST, reason, rule, until)
