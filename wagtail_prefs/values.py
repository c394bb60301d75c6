"""What travels between the packages: frozen values, no models, no I/O.

Scopes are written `all`, `channel:{channel}` or `topic:{key}` everywhere people and APIs see them; the state table
holds the same thing as a pair (topic or "", channel or "").
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

if TYPE_CHECKING:
    from .changes import Change

#: A JSON object at a border.
Json = dict[str, Any]
#: A rich-text tree: a list of strings and [tag, {attributes}, *children] (docs/reference/center-document.md).
Tree = list[Any]
#: (topic key or "", channel or "")
Key = tuple[str, str]
#: {block id: {control: answer}}
Answers = Mapping[str, Mapping[str, Any]]

#: The caps a contact can pick, from the most mail to the least.
FREQUENCIES = ("as_it_happens", "daily", "weekly", "fortnightly", "monthly", "quarterly")
#: The channels there are, in the order people meet them.
CHANNELS = ("email", "sms", "push", "in_app", "post", "phone")

SUBSCRIBED = "subscribed"
UNSUBSCRIBED = "unsubscribed"
ChoiceValue = Literal["subscribed", "unsubscribed"]
Assurance = Literal["link", "fresh"]


def scope_to_key(scope: str) -> Key:
    """`topic:news` -> ("news", ""); raises ValueError for what is no scope."""
    if scope == "all":
        return ("", "")
    kind, _, name = scope.partition(":")
    if name and kind == "topic":
        return (name, "")
    if name and kind == "channel":
        return ("", name)
    raise ValueError("not a scope")


def key_to_scope(key: Key) -> str:
    """The inverse of `scope_to_key`."""
    topic, channel = key
    if topic:
        return f"topic:{topic}"
    return f"channel:{channel}" if channel else "all"


# --- who and how -----------------------------------------------------------------------------------------------------


class ActorType(enum.StrEnum):
    """Who makes a submission (security.md CR-06)."""

    SUBJECT_LINK = "subject-link"
    SUBJECT_SESSION = "subject-session"
    ONE_CLICK = "one-click"
    GPC = "gpc"
    ADMIN = "admin"
    IMPORT = "import"
    API = "api"
    BACKEND = "backend"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts; `id` names the user, job, client or backend alias, and is "" for the person herself."""

    type: ActorType
    id: str = ""

    @property
    def is_subject(self) -> bool:
        """Whether this is the person's own act, which alone may turn a no into a yes."""
        return self.type in {ActorType.SUBJECT_LINK, ActorType.SUBJECT_SESSION}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a submission was made. `ip` and `address_as_entered` are personal: the ledger holds commitments only."""

    method: str  # "page", "element", "one_click", "python", ...
    form_id: str | None = None  # the center
    form_version: str | None = None  # the snapshot's digest
    language: str | None = None
    source_url: str | None = None  # page or origin, never with a query or a token
    ip: str | None = None
    user_agent_family: str | None = None
    address_as_entered: str | None = None
    evidence_ref: str | None = None


# --- what can be chosen ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Media:
    """A picture beside a topic or control."""

    src: str
    alt: str
    width: int
    height: int

    def to_json(self) -> Json:
        return {"src": self.src, "alt": self.alt, "width": self.width, "height": self.height}


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic with its texts in one locale."""

    key: str
    label: str
    text: str = ""
    media: Media | None = None
    group: str = ""  # the heading it stands under, in the locale
    channels: tuple[str, ...] = ("email",)
    frequencies: tuple[str, ...] = ()
    basis: str = "consent"
    transactional: bool = False
    private: bool = False
    archived: bool = False
    cadence: str = ""  # in plain words: "about one mail a week"


@dataclass(frozen=True, slots=True)
class CompileContext:
    """What a block may look at when it is compiled: the locale and the topics, never a request or a person."""

    locale: str
    direction: Literal["ltr", "rtl"]
    topics: Mapping[Any, TopicInfo]  # by primary key
    rich_text: Callable[[str], Tree]  # stored rich text -> cleaned tree
    roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """A capability that a control promises: some sender must enforce `capability` for topic x channel ("" = all)."""

    capability: str
    topic: str = ""
    channel: str = ""

    def to_json(self) -> Json:
        return {"capability": self.capability, "topic": self.topic, "channel": self.channel}


@dataclass(frozen=True, slots=True)
class Spec:
    """One compiled block. `document` is public; `rules` never leave the server.

    `paths` ties state to screen: {path of ContactState.versions: (dotted answer path in this block, label in words)},
    for example {"choice:news:email": ("choices.news.email", "News by e-mail")}.
    """

    block_id: str
    type: str
    document: Json
    rules: Json = field(default_factory=dict)
    paths: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    conditions: tuple[Json, ...] = ()

    def to_json(self) -> Json:
        return {
            "block_id": self.block_id,
            "type": self.type,
            "document": self.document,
            "rules": self.rules,
            "paths": {path: list(where) for path, where in self.paths.items()},
            "needs": [need.to_json() for need in self.needs],
            "conditions": list(self.conditions),
        }

    @classmethod
    def from_json(cls, data: Json) -> Spec:
        return cls(
            block_id=data["block_id"],
            type=data["type"],
            document=data["document"],
            rules=data["rules"],
            paths={path: (where[0], where[1]) for path, where in data["paths"].items()},
            needs=tuple(Need(**need) for need in data["needs"]),
            conditions=tuple(data["conditions"]),
        )


# --- a contact's state -----------------------------------------------------------------------------------------------


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


# --- backends (design.md s7) -----------------------------------------------------------------------------------------


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


# --- what a renderer adds to the document ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outlook:
    """One sentence on what will come, in the contact's language."""

    text: str
    kind: str

    def to_json(self) -> Json:
        return {"text": self.text, "kind": self.kind}


def iso(moment: datetime) -> str:
    """UTC ISO-8601 with microseconds and Z, the one form in which a moment is written."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def iso_date(day: date) -> str:
    return day.isoformat()


def controls_of(document: Json) -> Sequence[Json]:
    """The controls of a compiled block's document."""
    controls: Sequence[Json] = document["controls"]
    return controls
