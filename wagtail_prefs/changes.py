"""The wishes a contact, or somebody on her behalf, can express: one frozen dataclass each, JSON in and out.

The JSON form is `{"change": name, "v": 1, ...fields}`. It stands in ledger records for ever, so a field is never
renamed or reinterpreted: a new meaning gets a new `v`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from .values import FREQUENCIES, SUBSCRIBED, UNSUBSCRIBED, Json, Key, key_to_scope


@dataclass(frozen=True, slots=True)
class Change(ABC):
    """Base of all changes."""

    v: ClassVar[int] = 1

    @property
    @abstractmethod
    def path(self) -> str:
        """The path of `ContactState.versions` that this touches."""

    @property
    def key(self) -> Key:
        """Topic and channel this is about, "" where it is about all of them."""
        return ("", "")

    def to_json(self) -> Json:
        return {"change": type(self).__name__, "v": self.v, **asdict(self)}


@dataclass(frozen=True, slots=True)
class SetChoice(Change):
    """Subscribe to, or unsubscribe from, one topic on one channel."""

    topic: str
    channel: str
    value: str

    def __post_init__(self) -> None:
        if self.value not in (SUBSCRIBED, UNSUBSCRIBED):
            raise ValueError("a choice is subscribed or unsubscribed")

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
        if self.value not in FREQUENCIES:
            raise ValueError("not a frequency")

    @property
    def path(self) -> str:
        return f"frequency:{key_to_scope(self.key)}"

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


@dataclass(frozen=True, slots=True)
class AcknowledgeNotice(Change):
    """The person says she has read a notice; `sha256` names the text that was shown."""

    notice: str
    sha256: str

    @property
    def path(self) -> str:
        return f"notice:{self.notice}"


_TYPES: dict[tuple[str, int], type[Change]] = {
    (cls.__name__, cls.v): cls for cls in (SetChoice, SetFrequency, OptOut, OptIn, AcknowledgeNotice)
}


def change_from_json(data: Json) -> Change:
    """Read one change; raises ValueError for an unknown name or version, TypeError for wrong fields."""
    fields: dict[str, Any] = dict(data)
    name, version = fields.pop("change", None), fields.pop("v", None)
    cls = _TYPES.get((str(name), version if isinstance(version, int) else -1))
    if cls is None:
        raise ValueError(f"unknown change {name!r} v{version!r}")
    return cls(**fields)


def changes_from_json(items: Iterable[Json]) -> tuple[Change, ...]:
    """Read the changes of a ledger record."""
    return tuple(change_from_json(item) for item in items)
