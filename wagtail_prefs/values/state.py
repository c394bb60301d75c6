"""A contact's state, what changes made of it, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from .base import SUBSCRIBED, UNSUBSCRIBED, Assurance, Json, Key, iso


@dataclass(frozen=True, slots=True)
class Pause:
    """No messages until `until` (UTC)."""

    until: datetime


@dataclass(frozen=True, slots=True)
class ContactState:
    """Today's state of one contact: what blocks draw from, and what changes are applied to.

    `versions` gives for each path the contact version that last changed it. Paths: `opted_out`,
    `choice:{topic}:{channel}`, `frequency:{scope}`, `pause:{scope}`, `attribute:{name}`, `notice:{id}`.
    Further paths stand in records only: `pending:{topic}:{channel}`, `address:email`, `suppressed`, `merged_into`,
    `erased`.

    `choices` holds what was said: a yes that waits for its confirmation stands in `pending` and nowhere else, so what
    looks only for `subscribed` is right. `until` is when a yes, or the wait for one, ends by itself.

    `unreadable` are attributes whose encryption key is missing, as their column holds them: nobody sees them, and a save
    leaves them as they are. Nobody is kept from leaving by a lost key.
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
    until: Mapping[Key, datetime] = field(default_factory=dict)
    frequencies: Mapping[Key, str] = field(default_factory=dict)
    pauses: Mapping[Key, Pause] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)  # notice id -> sha256 of the text acknowledged
    private_topics: frozenset[str] = frozenset()
    assurance: Assurance = "link"
    versions: Mapping[str, int] = field(default_factory=dict)
    suppressed: bool = False  # the address was erased once: only its owner, by its own link, brings it back
    merged_into: UUID | None = None
    erased: bool = False
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What a CRM knows a person by; `remote` is {backend alias: id there}."""

    email: str = ""
    phone: str = ""
    external_id: str = ""
    remote: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """What a backend sees: the unmasked state with the identifiers, and those that are no longer hers.

    `paused` are the pauses of the state that are in force at the moment the target was made; `ended` is how many of
    them have ended by themselves, so that what is said after such an end has a key of its own. A plan asks no clock:
    these two are its time. `again` is how often the platform had to be told all once more, as if it had not heard. Whoever stands behind `retired` must get nothing any more: the address she had before. With `unreadable` the address or an
    attribute is missing because its encryption key is: no platform may be told of that.
    """

    state: ContactState
    identifiers: Identifiers
    retired: tuple[Identifiers, ...] = ()
    paused: frozenset[Key] = frozenset()
    ended: int = 0
    again: int = 0
    unreadable: bool = False

    def subscribed(self, topic: str, channel: str) -> bool:
        """Whether she may be sent this topic on this channel as far as her own choices say; a pause is not looked at."""
        state = self.state
        return (
            not (state.opted_out or state.suppressed or state.erased)
            and state.choices.get((topic, channel)) == SUBSCRIBED
        )

    def is_paused(self, topic: str, channel: str) -> bool:
        """Whether a pause of everything, of the channel or of the topic is in force."""
        return not self.paused.isdisjoint((("", ""), ("", channel), (topic, "")))


#: What can become of a path, in the words of the consent states of DPV where it is a consent.
ACTIONS = (
    "requested", "given", "renewed", "refused", "withdrawn", "expired", "set", "cleared", "acknowledged", "restored",
    "merged", "erased",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effect:
    """What one path became. `before` and `after` are JSON; None means absent.

    `action` is one of ACTIONS. `until` is the moment a yes, or the wait for one, ends by itself (`validity_until`).
    """

    path: str
    before: Any
    after: Any
    action: str
    topic: str = ""
    channel: str = ""
    until: datetime | None = None

    @property
    def is_no(self) -> bool:
        """Whether somebody gets less from now on, so that platforms must hear of this before anything else."""
        return self.after == UNSUBSCRIBED or (self.path == "opted_out" and self.after is True)

    def to_json(self) -> Json:
        return {
            "path": self.path,
            "before": self.before,
            "after": self.after,
            "action": self.action,
            "purpose_id": self.topic,
            "channel": self.channel,
            "validity_until": iso(self.until) if self.until else None,
        }

    @classmethod
    def from_json(cls, data: Json) -> Effect:
        """Read one from a ledger record; what the record adds for the law is left aside."""
        until = data["validity_until"]
        return cls(
            data["path"],
            data["before"],
            data["after"],
            data["action"],
            data["purpose_id"],
            data["channel"],
            datetime.fromisoformat(until) if until else None,
        )


MergeRule = Literal[
    "opt_out",
    "stricter",
    "rarer",
    "later",
    "newest",
    "hidden",
    "gone",
    "gpc",
    "changed",
    "refused",
    "erased",
    "evidence",
    "sale",
    "law",
    "over",
]


@dataclass(frozen=True, slots=True)
class Merged:
    """A wish that yielded: what stands now instead, and by which rule.

    `opt_out`, `stricter`, `rarer` and `later` (a pause that ends later) are the stricter value winning; `newest` says
    that this wish stands and replaced something newer than its screen; `hidden` was not on the screen, `gone` is no
    longer offered by anybody, and `gpc` is what the browser's privacy signal says no to. `changed`,
    `refused` (a later no) and `erased` are what an undo must leave; `evidence` is a yes that a merge may not carry.
    Of what a sale was to allow, `sale` is what no sale does, `law` what the law of her country does not let it, and
    `over` is of a sale too long ago.
    """

    path: str
    wanted: Any
    kept: Any
    rule: MergeRule

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
