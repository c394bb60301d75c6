"""The wishes a contact, or somebody on her behalf, can express: one frozen dataclass each, JSON in and out.

The JSON form is `{"change": name, "v": 1, ...fields}`; moments are ISO-8601 in UTC, ids are text, and a field that is
None is left out. It stands in ledger records for ever, so a field is never renamed or reinterpreted: a new meaning
gets a new `v`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

from .values import (
    FREQUENCIES,
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Json,
    Key,
    iso,
    key_to_scope,
    plain,
)


@dataclass(frozen=True, slots=True)
class Change:
    """Base of all changes. `personal` names the fields whose values never stand in a record's body.

    Abstract for type checkers alone: the metaclass of `ABC` makes every `isinstance` ten times as slow, and a save asks
    for the kinds of changes all the time.
    """

    v: ClassVar[int] = 1
    personal: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def path(self) -> str:
        """The path of `ContactState.versions` that this touches."""

    @property
    def key(self) -> Key:
        """Topic and channel this is about, "" where it is about all of them."""
        return ("", "")

    def to_json(self) -> Json:
        data: Json = {"change": type(self).__name__, "v": self.v}
        for name in _names(type(self)):  # type: ignore[arg-type]  # mypy takes a class for its instance
            value = getattr(self, name)
            if value is not None:
                data[name] = _written(value)
        return data


@cache
def _names(kind: type[Change]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, UUID):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _moment(value: Any) -> datetime:
    """A moment given as such or as text; raises ValueError for a naive one, which could mean anything."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a moment out of all time") from error


def _named(*texts: object) -> None:
    """Raises ValueError where something has no name: it would stand at a path that is another's."""
    if "" in texts:
        raise ValueError("this needs a name")


def _is_scope(topic: str, channel: str) -> None:
    """Raises ValueError for what has no path of its own (`key_to_scope`)."""
    if topic and channel:
        raise ValueError("a scope is everything, a channel or a topic")


def _is_choice(topic: str, channel: str) -> None:
    """Raises ValueError for what would stand in the row of a topic or of everything, or be read as another key."""
    if not channel or ":" in channel:
        raise ValueError("a choice is about a topic on a channel, or about a channel")


@dataclass(frozen=True, slots=True)
class SetChoice(Change):
    """Subscribe to, or unsubscribe from, one topic on one channel.

    Without a topic it is about the channel as a whole: a no is a no to everything that comes by it, and a yes only
    takes such a no back. It is no consent to any topic, and so has no end.

    `pending` asks for a yes that its owner has not confirmed yet: it is no consent, and leaves a no as it is. `until`
    is when the yes, or the wait for it, ends by itself.
    """

    topic: str
    channel: str
    value: str
    until: datetime | None = None

    def __post_init__(self) -> None:
        _is_choice(self.topic, self.channel)
        if self.value not in (SUBSCRIBED, UNSUBSCRIBED, PENDING):
            raise ValueError("a choice is subscribed, unsubscribed or pending")
        if self.until is not None:
            if self.value == UNSUBSCRIBED:
                raise ValueError("a no does not end by itself")
            if self.value == SUBSCRIBED and not self.topic:
                raise ValueError("a yes to a channel does not end by itself")
            object.__setattr__(self, "until", _moment(self.until))

    @property
    def path(self) -> str:
        return f"choice:{self.topic}:{self.channel}"

    @property
    def key(self) -> Key:
        return (self.topic, self.channel)


@dataclass(frozen=True, slots=True)
class SetFrequency(Change):
    """Cap how often messages may come, for everything, a channel or a topic."""

    topic: str
    channel: str
    value: str

    def __post_init__(self) -> None:
        _is_scope(self.topic, self.channel)
        if self.value not in FREQUENCIES:
            raise ValueError("not a frequency")

    @property
    def path(self) -> str:
        return f"frequency:{key_to_scope(self.key)}"

    @property
    def key(self) -> Key:
        return (self.topic, self.channel)


@dataclass(frozen=True, slots=True)
class Pause(Change):
    """No messages until a moment, for everything, a channel or a topic. It ends by itself."""

    topic: str
    channel: str
    until: datetime

    def __post_init__(self) -> None:
        _is_scope(self.topic, self.channel)
        object.__setattr__(self, "until", _moment(self.until))

    @property
    def path(self) -> str:
        return f"pause:{key_to_scope(self.key)}"

    @property
    def key(self) -> Key:
        return (self.topic, self.channel)


@dataclass(frozen=True, slots=True)
class PauseFor(Change):
    """A pause as a person asks for it: for a length ("P1M"), or until a day. It becomes a `Pause` when it is saved.

    A record never holds it: what day it is where she lives is known only beside her state.
    """

    topic: str
    channel: str
    length: str = ""
    day: date | None = None

    def __post_init__(self) -> None:
        _is_scope(self.topic, self.channel)
        if bool(self.length) == (self.day is not None):
            raise ValueError("a pause is for a length or until a day")

    @property
    def path(self) -> str:
        return f"pause:{key_to_scope(self.key)}"

    @property
    def key(self) -> Key:
        return (self.topic, self.channel)

    def to_json(self) -> Json:
        raise TypeError("not for a record: make it a Pause first")


@dataclass(frozen=True, slots=True)
class Resume(Change):
    """End a pause now."""

    topic: str
    channel: str

    def __post_init__(self) -> None:
        _is_scope(self.topic, self.channel)

    @property
    def path(self) -> str:
        return f"pause:{key_to_scope(self.key)}"

    @property
    def key(self) -> Key:
        return (self.topic, self.channel)


@dataclass(frozen=True, slots=True)
class OptOut(Change):
    """No more marketing, also of topics not asked about yet."""

    @property
    def path(self) -> str:
        return "opted_out"


@dataclass(frozen=True, slots=True)
class OptIn(Change):
    """Lift an opt-out. It brings nothing back."""

    @property
    def path(self) -> str:
        return "opted_out"


#: Attributes that rules and words go by, with the longest text each can be.
FACTS = {"language": 35, "country": 6, "timezone": 64}


@dataclass(frozen=True, slots=True)
class SetAttribute(Change):
    """A profile field or an answer: text, a whole number, a truth, or a list of texts.

    `language`, `country` and `timezone` are the facts of the same name that rules and words go by.
    """

    name: str
    value: Any

    personal = ("value",)

    def __post_init__(self) -> None:
        _named(self.name)
        if not plain(self.value):
            raise ValueError("an attribute is text, a whole number, a truth or a list of texts")
        if self.name in FACTS and not (
            isinstance(self.value, dict)
            or (isinstance(self.value, str) and len(self.value) <= FACTS[self.name])
        ):
            raise ValueError(f"a {self.name} is a text of at most {FACTS[self.name]} characters")
        if isinstance(self.value, list):
            object.__setattr__(self, "value", tuple(self.value))

    @property
    def path(self) -> str:
        return f"attribute:{self.name}"


@dataclass(frozen=True, slots=True)
class ClearAttribute(Change):
    """Forget a profile field."""

    name: str

    def __post_init__(self) -> None:
        _named(self.name)

    @property
    def path(self) -> str:
        return f"attribute:{self.name}"


@dataclass(frozen=True, slots=True)
class GiveReason(Change):
    """Why somebody leaves or changes things: a code the page offered, and perhaps her own words."""

    code: str
    text: str = ""

    personal = ("text",)

    @property
    def path(self) -> str:
        return "attribute:reason"


@dataclass(frozen=True, slots=True)
class AcknowledgeNotice(Change):
    """The person says she has read a notice; `sha256` names the text that was shown."""

    notice: str
    sha256: str

    def __post_init__(self) -> None:
        _named(self.notice)

    @property
    def path(self) -> str:
        return f"notice:{self.notice}"


@dataclass(frozen=True, slots=True)
class ChangeAddress(Change):
    """Another e-mail address, which its owner has shown to be hers."""

    address: str

    personal = ("address",)

    def __post_init__(self) -> None:
        if isinstance(self.address, str):  # and not the commitment to one
            object.__setattr__(self, "address", self.address.strip())
        _named(self.address)

    @property
    def path(self) -> str:
        return "address:email"


@dataclass(frozen=True, slots=True)
class Confirm(Change):
    """The owner of the address says that she asked for this herself: a waiting yes becomes a yes."""

    topic: str
    channel: str

    def __post_init__(self) -> None:
        _is_choice(self.topic, self.channel)

    @property
    def path(self) -> str:
        return f"choice:{self.topic}:{self.channel}"

    @property
    def key(self) -> Key:
        return (self.topic, self.channel)


@dataclass(frozen=True, slots=True)
class Expire(Change):
    """Write down that a yes, or the wait for one, has ended by itself."""

    topic: str
    channel: str

    def __post_init__(self) -> None:
        _is_choice(self.topic, self.channel)

    @property
    def path(self) -> str:
        return f"choice:{self.topic}:{self.channel}"

    @property
    def key(self) -> Key:
        return (self.topic, self.channel)


@dataclass(frozen=True, slots=True)
class Merge(Change):
    """Two contacts are one person: `loser` goes on as `winner`. It stands in the chains of both."""

    loser: UUID
    winner: UUID

    def __post_init__(self) -> None:
        for name in ("loser", "winner"):
            object.__setattr__(self, name, UUID(str(getattr(self, name))))
        if self.loser == self.winner:
            raise ValueError("a contact cannot be merged with herself")

    @property
    def path(self) -> str:
        return f"merge:{self.loser}"


@dataclass(frozen=True, slots=True)
class Erase(Change):
    """Forget the person. What must not be sent to her again is remembered without knowing who she was."""

    @property
    def path(self) -> str:
        return "erased"


@dataclass(frozen=True, slots=True)
class Undo(Change):
    """Take back what one submission did, named by its receipt."""

    record: UUID

    def __post_init__(self) -> None:
        object.__setattr__(self, "record", UUID(str(self.record)))

    @property
    def path(self) -> str:
        return f"undo:{self.record}"


_TYPES: dict[tuple[str, int], type[Change]] = {
    (cls.__name__, cls.v): cls
    for cls in (
        SetChoice,
        SetFrequency,
        Pause,
        Resume,
        OptOut,
        OptIn,
        SetAttribute,
        ClearAttribute,
        GiveReason,
        AcknowledgeNotice,
        ChangeAddress,
        Confirm,
        Expire,
        Merge,
        Erase,
        Undo,
    )
}


def change_from_json(data: Json) -> Change:
    """Read one change; raises ValueError for an unknown name or version, TypeError for wrong fields."""
    given: dict[str, Any] = dict(data)
    name, version = given.pop("change", None), given.pop("v", None)
    cls = _TYPES.get((str(name), version)) if type(version) is int else None
    if cls is None:
        raise ValueError(f"unknown change {name!r} v{version!r}")
    for item in fields(cls):
        value = given.get(item.name, "")
        hidden = item.name in cls.personal and isinstance(value, dict) and value.keys() == {"committed"}
        if item.type == "str" and not isinstance(value, str) and not hidden:
            raise TypeError(f"{name}: {item.name} is a text")
    return cls(**given)


def changes_from_json(items: Iterable[Json]) -> tuple[Change, ...]:
    """Read the changes of a ledger record. A personal value reads as `{"committed": hex}`."""
    return tuple(change_from_json(item) for item in items)
