"""What can be chosen, and a block as it is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .base import Json, Tree


@dataclass(frozen=True, slots=True)
class Media:
    """A picture beside a topic or control."""

    src: str
    alt: str
    width: int
    height: int

    def to_json(self) -> Json:
        return {"src": self.src, "alt": self.alt, "width": self.width, "height": self.height}


#: In how long so many messages are planned.
Per = Literal["week", "month", "quarter", "year"]


#: What `SendDays` are made of, with the largest number of each.
SEND_DAYS: Mapping[str, int] = {"weekdays": 7, "weeks": 5, "dates": 31, "months": 12}


@dataclass(frozen=True, slots=True)
class SendDays:
    """On which days messages are planned: weekdays of each week, or weekdays or dates of months.

    `weekdays` from 1, Monday, to 7. `weeks` of the month from 1 to 4, and 5 for the last. `dates` of the month from 1 to
    31; one that a month lacks is its last day. `months` of the year from 1; () is all of them.
    """

    weekdays: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    dates: tuple[int, ...] = ()
    months: tuple[int, ...] = ()

    def to_json(self) -> Json:
        return {name: list(of) for name in SEND_DAYS if (of := getattr(self, name))}

    @classmethod
    def from_json(cls, data: Json) -> SendDays:
        return cls(**{name: tuple(data[name]) for name in SEND_DAYS if name in data})


@dataclass(frozen=True, slots=True)
class Planned:
    """How many messages of a topic are meant to be sent at most: 2 a week, and on which days, where that is planned."""

    number: int
    per: Per
    on: SendDays | None = None

    def to_json(self) -> list[Any]:
        return [self.number, self.per]


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
    private: bool = False  # shown only to those who were invited or have it already
    archived: bool = False
    cadence: str = ""  # in plain words: "about one mail a week"
    benefit: str = ""  # what she has from it, in one sentence
    sample: str = ""  # address of a sample message
    planned: Planned | None = None


@dataclass(frozen=True, slots=True)
class CompileContext:
    """What a block may look at when it is compiled: the locale and the topics, never a request or a person."""

    locale: str
    direction: Literal["ltr", "rtl"]
    topics: Mapping[Any, TopicInfo]  # by primary key
    rich_text: Callable[[str], Tree]  # stored rich text -> cleaned tree
    #: topic key -> the `when` that its rows get: a block of roles says for whom a topic is shown
    roles: Mapping[str, Json] = field(default_factory=dict)
    #: block type -> id of the first block of that type on the page, for conditions that name another block
    blocks: Mapping[str, str] = field(default_factory=dict)
    #: whether a new address can be confirmed; a preview of a single block asks for none
    changes_address: bool = False
    #: address of the page, for what a block has to write out in full; "" where there is no page
    base_url: str = ""


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

    `conditions` decide on the server who gets the block at all (centers/visibility.py): {"fact": "country" | "language" |
    "role" | "subscribed" | "opted_out", "in" | "not_in": [...]}; all of them must hold. Of the rules, every block may
    have `private`: {control: [row, ...]}, rows of a matrix that only those see to whom their topic (the row's key) is
    open; and `records`: the name of the `records` control that shows what was recorded of the contact.
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


def controls_of(document: Json) -> Sequence[Json]:
    """The controls of a compiled block's document."""
    controls: Sequence[Json] = document["controls"]
    return controls
