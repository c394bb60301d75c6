"""What the rules must know besides state and changes: who acts, when, and what a change refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ...values import Actor, ContactState, Evidence


@dataclass(frozen=True, slots=True)
class Step:
    """What one record did to one path. `until` belongs to `before`; `gone` says that the values were erased."""

    before: Any
    after: Any
    until: datetime | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """A record that an undo names: its place in the chain, and what it did.

    `left_since` says that the contact has opted out after it, whether or not she is still: a no to everything leaves
    no trace at the paths that were a no already. `refused_since` are the channels that she has said no to, likewise.
    """

    seq: int
    steps: Mapping[str, Step]
    left_since: bool = False
    refused_since: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Act:
    """The circumstances of a submission."""

    actor: Actor
    at: datetime
    evidence: Evidence | None = None
    #: the address before, and those of the addresses wished for that were erased once
    address: str = ""
    suppressed: frozenset[str] = frozenset()
    #: version -> when it was recorded; of every no that evidence must be younger than
    times: Mapping[int, datetime] = field(default_factory=dict)
    #: receipt -> what `Undo` takes back
    past: Mapping[UUID, Past] = field(default_factory=dict)
    #: contact -> what `Merge` brings
    others: Mapping[UUID, ContactState] = field(default_factory=dict)
