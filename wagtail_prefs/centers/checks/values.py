"""What the rules are given, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...values import Capabilities, Key, TopicInfo
from ..values import Snapshot

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend, in an editor's words. Without a block it concerns the page as a whole.

    `field` is the name of a child of the block, "" for the block itself.
    """

    level: Level
    code: str
    text: str
    block_id: str = ""
    field: str = ""

    @property
    def key(self) -> str:
        """What an accepted warning is remembered by: what it is, and where; nothing of what the page says."""
        return f"{self.code}:{self.block_id}"


@dataclass(frozen=True, slots=True)
class Written:
    """What an editor put into one block, as far as a compiled block does not tell it."""

    label: str = ""  # what the block is called in the editor
    fields: frozenset[str] = frozenset()  # the names of its children
    links: tuple[
        tuple[str, str], ...
    ] = ()  # (child, address): the cleaner takes unsafe ones out of the document
    purpose: str | None = None  # None: this kind of block has none
    roles: tuple[str, ...] = ()  # keys of the topics that its answers show or hide


#: (sender, concept, scope, topic, channel) -> the field that holds such a wish over there, "" where it needs none; None: it
#: has no place there.
Place = Callable[[str, str, Key, str, str], str | None]


def _anywhere(sender: str, concept: str, scope: Key, topic: str, channel: str) -> str | None:
    return ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What surrounds a snapshot: who sends, what is in the topics library, what the editor wrote."""

    language: str = ""  # the name of the locale that is published, in words
    senders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # conf.senders
    capabilities: Mapping[str, Capabilities] = field(default_factory=dict)  # by alias of a backend
    #: by alias of a sender: the (topic, channel) that its settings map to nothing over there
    unmapped: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    topics: Mapping[str, TopicInfo] = field(default_factory=dict)  # by key, all of the audience
    untranslated: frozenset[str] = frozenset()  # keys of topics without a text in exactly this locale
    headings: Mapping[str, str] = field(
        default_factory=dict
    )  # topic key -> its group, without one in this locale
    written: Mapping[str, Written] = field(default_factory=dict)  # by block id
    place: Place = _anywhere
    #: words of notices on the same center in another language -> which language that is, in words
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def of(self, block_id: str) -> Written:
        return self.written.get(block_id, Written())

    def field_of(self, block_id: str, *names: str) -> str:
        """The first of these children that the block has, "" where it has none: the block itself is shown then."""
        fields = self.of(block_id).fields
        return next((name for name in names if name in fields), "")

    def label_of(self, topic: str) -> str:
        info = self.topics.get(topic)
        return info.label if info else topic


Rule = Callable[[Snapshot, Facts], Iterable[Finding]]
