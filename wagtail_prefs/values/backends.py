"""What backends and the delivery engine tell each other (design.md s7)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from .actors import Actor
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


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do; the publish check and the engine read this, nothing else about it."""

    identifiers: tuple[str, ...] = ("email",)
    choice: Support = Support.NONE
    opt_out: Support = Support.NONE
    frequency: Support = Support.NONE
    pause: Support = Support.NONE
    pause_style: PauseStyle = PauseStyle.NONE
    attributes: Support = Support.NONE
    channels: tuple[str, ...] = CHANNELS
    batch_size: int = 1
    ordering: bool = False  # the platform itself refuses older versions
    inbound: bool = False
    read_back: bool = False


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

    DONE = "done"
    RATE_LIMITED = "rate_limited"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"
    REFUSED = "refused"  # this item only, for good: a person must look
    NEEDS_CONFIRMATION = "needs_confirmation"
    ACCEPTED_UNKNOWN = "accepted_unknown"


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
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """Something a platform tells us, verified: who, what it wants changed, and its own id for replay protection."""

    event_id: str
    identifiers: Identifiers
    changes: tuple[Change, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding of a backend's `check()`, in words that say what to do."""

    level: Literal["error", "warning"]
    text: str
