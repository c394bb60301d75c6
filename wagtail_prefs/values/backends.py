"""What backends and the delivery engine tell each other (design.md s7)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from .actors import Actor, Evidence
from .base import CHANNELS, Json, Key
from .state import Effect, Identifiers

if TYPE_CHECKING:
    from ..changes import Change


class Support(enum.StrEnum):
    """What a platform does with a concept: nothing, keep it for segments to use, or obey it when it sends."""

    NONE = "none"
    STORES = "stores"
    ENFORCES = "enforces"


class PauseStyle(enum.StrEnum):
    """How a pause reaches the platform. Never as an unsubscribe."""

    NONE = "none"
    NATIVE = "native"
    MEMBERSHIP = "membership"
    ATTRIBUTE = "attribute"


class TopicModel(enum.StrEnum):
    """What a topic is over there."""

    KEY = "key"  # kept under our own key
    LIST = "list"
    GROUP = "group"  # one per topic and channel
    INTEREST = "interest"
    SUBSCRIPTION = "subscription"  # a subscription type, with a state of its own
    ATTRIBUTE = "attribute"


class Resubscribe(enum.StrEnum):
    """What the platform does with a yes after a no."""

    DIRECT = "direct"
    DOUBLE_OPT_IN = "double_opt_in"  # it mails the person first
    REFUSED = "refused"  # for those who left by themselves


class ReadBack(enum.StrEnum):
    """How far `Backend.read` can be trusted right after a call."""

    NONE = "none"
    EVENTUAL = "eventual"  # some time later
    STRONG = "strong"


class Inbound(enum.StrEnum):
    """How the platform tells us what happened over there."""

    NONE = "none"
    SIGNED = "signed"  # webhooks with a signature
    TOKEN = "token"  # webhooks that only the secret address protects  # noqa: S105
    POLL = "poll"  # we ask


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` HTTP calls in `seconds`, by all workers together, at even distances.

    `burst` is how many may be caught up with at once after a moment in which nobody called: no more than lie between
    `calls` and what the platform bears.
    """

    calls: int
    seconds: float
    burst: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do; the publish check, the engine and the pages for editors read this, nothing else about it.

    Each flag tells platforms apart that really differ (docs/reference/backends.md has the table).
    """

    identifiers: tuple[str, ...] = ("email",)
    choice: Support = Support.NONE
    opt_out: Support = Support.NONE
    frequency: Support = Support.NONE
    pause: Support = Support.NONE
    pause_style: PauseStyle = PauseStyle.NONE
    attributes: Support = Support.NONE
    channels: tuple[str, ...] = CHANNELS
    topics: TopicModel = TopicModel.KEY
    explicit_no: bool = True  # it tells a no from "never asked"
    resubscribe: Resubscribe = Resubscribe.DIRECT
    evidence: bool = False  # it has a place for when and how a yes was given
    batch_size: int = 1
    batch_bytes: int = 0  # of all payloads of a call together, as JSON; 0: no limit
    rate: Rate | None = None
    ordering: bool = False  # the platform itself refuses older versions
    inbound: Inbound = Inbound.NONE
    echoes: bool = False  # its events tell us of our own writes, too
    read_back: ReadBack = ReadBack.NONE
    erases: bool = False
    #: It must be told when a pause ends: it keeps no date, or does not look at it.
    wakes: bool = False


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """One submission as a backend sees it: what was wished, and what each path became."""

    record_id: UUID
    version: int
    at: datetime
    actor: Actor
    changes: tuple[Change, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to bring to a platform. `key` stays the same over every retry, so a receiver can drop repeats."""

    key: str
    contact: UUID
    version: int
    kind: str  # the backend's own verb; operations of one kind may share a call
    payload: Json
    restricts: bool = False  # carries an opt-out: goes first, is never given up


class Outcome(enum.StrEnum):
    """The error taxonomy (crm-contracts.md s3.4), as one result per operation."""

    DONE = "done"  # also what was so already, and what was to be deleted and is not there
    RATE_LIMITED = "rate_limited"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    REFUSED = "refused"  # this item only, for good: a person must look
    SPLIT = (
        "split"  # the call was refused as a whole and nobody says for which item: the engine halves the batch
    )
    NEEDS_CONFIRMATION = "needs_confirmation"  # the platform asks the person first
    ACCEPTED_UNKNOWN = "accepted_unknown"  # taken, and what became of it is seen later, by reading back


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one operation. `code` is short and free of personal data; it is shown to staff and logged."""

    key: str
    outcome: Outcome
    code: str = ""
    retry_after: float | None = None  # seconds
    remote_id: str = ""


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What a platform says about a contact, in our words; absent keys are things it does not know."""

    version: int | None = None
    opted_out: bool | None = None
    choices: Mapping[Key, str] = field(default_factory=dict)
    frequencies: Mapping[Key, str] = field(default_factory=dict)
    pauses: Mapping[Key, datetime | None] = field(default_factory=dict)  # None: in force, without a date
    attributes: Mapping[str, Any] = field(default_factory=dict)
    waits: bool = False  # it has asked her itself, and until she answers it holds no yes
    dead: bool | None = None  # mail to her address cannot arrive; None where it does not say


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """Something a platform tells us, verified: who, what it wants changed, and its own id for replay protection.

    `at` is when it happened over there; None where the platform does not say. `evidence` names an act of the person's
    own behind a yes: without it, no event makes one. `dead` says that mail to the address cannot arrive.
    """

    event_id: str
    identifiers: Identifiers
    changes: tuple[Change, ...] = ()
    at: datetime | None = None
    evidence: Evidence | None = None
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Polled:
    """What a platform answered when asked for news; `cursor` is where to go on the next time."""

    events: tuple[InboundEvent, ...]
    cursor: str
    more: bool = False  # ask again at once


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding of a backend's `check()`, in words that say what to do."""

    level: Literal["error", "warning"]
    text: str
