"""A contact's state, what changes made of it, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from .base import Assurance, Json, Key


@dataclass(frozen=True, slots=True)
class Pause:
    """No messages until `until` (UTC)."""

    until: datetime


@dataclass(frozen=True, slots=True)
class ContactState:
    """Today's state of one contact: what blocks draw from, and what changes are applied to.

    `versions` gives for each path the contact version that last changed it. Paths: `opted_out`,
    `choice:{topic}:{channel}`, `frequency:{scope}`, `pause:{scope}`, `attribute:{key}`, `notice:{id}`.
    """

    id: UUID
    audience: str
    version: int = 0
    language: str = ""
    country: str = ""
    timezone: str = ""
    opted_out: bool = False
    choices: Mapping[Key, str] = field(default_factory=dict)
    pending: frozenset[Key] = frozenset()
    frequencies: Mapping[Key, str] = field(default_factory=dict)
    pauses: Mapping[Key, Pause] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)  # notice id -> sha256 of the text acknowledged
    private_topics: frozenset[str] = frozenset()
    assurance: Assurance = "link"
    versions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What a CRM knows a person by; `remote` is {backend alias: id there}."""

    email: str = ""
    phone: str = ""
    external_id: str = ""
    remote: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What a backend sees: the unmasked state with the identifiers, and those that are no longer hers."""

    state: ContactState
    identifiers: Identifiers
    retired: tuple[Identifiers, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """What one path became. `before` and `after` are JSON; `after` None means absent."""

    path: str
    before: Any
    after: Any
    action: str  # given, refused, withdrawn, set, cleared
    topic: str = ""
    channel: str = ""

    def to_json(self) -> Json:
        return {
            "path": self.path,
            "before": self.before,
            "after": self.after,
            "action": self.action,
            "purpose_id": self.topic,
            "channel": self.channel,
        }

    @classmethod
    def from_json(cls, data: Json) -> Effect:
        """Read one from a ledger record; what the record adds for the law is left aside."""
        return cls(
            data["path"], data["before"], data["after"], data["action"], data["purpose_id"], data["channel"]
        )


@dataclass(frozen=True, slots=True)
class Merged:
    """A wish that yielded to something newer: what stands now instead, and by which rule."""

    path: str
    wanted: Any
    kept: Any
    rule: Literal["opt_out", "stricter", "rarer", "newest", "hidden"]

    def to_json(self) -> Json:
        return {"path": self.path, "wanted": self.wanted, "kept": self.kept, "rule": self.rule}

    @classmethod
    def from_json(cls, data: Json) -> Merged:
        return cls(data["path"], data["wanted"], data["kept"], data["rule"])


@dataclass(frozen=True, slots=True)
class Outlook:
    """One sentence on what will come, in the contact's language."""

    text: str
    kind: str

    def to_json(self) -> Json:
        return {"text": self.text, "kind": self.kind}
