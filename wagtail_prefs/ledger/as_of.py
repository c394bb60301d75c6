"""What held for a contact at any moment, by her records alone, with the record behind each value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from . import fold
from .models import Record


@dataclass(frozen=True, slots=True)
class Held:
    """What stood at a path. `ended`: by then, it had ended by itself. `value` is `fold.Gone` where it was erased since."""

    path: str
    value: Any
    until: datetime | None
    ended: bool
    record: Record


@dataclass(frozen=True, slots=True)
class Then:
    """A contact at a moment: her version, and what stood at each path, those left out of which nobody had asked her."""

    at: datetime
    version: int
    held: Mapping[str, Held]


def as_of(contact: UUID, at: datetime) -> Then:
    """The state after the last record that was made by `at`: four statements, however many records there are.

    Raises ValueError where the chain has a hole, so that nothing can be said.
    """
    made = Record.objects.filter(contact_ref=contact)
    version = made.filter(at__lte=at).order_by("-seq").values_list("seq", flat=True).first() or 0
    if not version:
        return Then(at, 0, {})
    folded = fold.of(contact, until_seq=version)
    behind = {record.seq: record for record in made.filter(seq__in={value.seq for value in folded.values()})}
    return Then(
        at,
        version,
        {
            path: Held(path, value.after, value.until, _has_ended(path, value, at), behind[value.seq])
            for path, value in folded.items()
            if value.after is not None and not (path == "opted_out" and value.after is False)
        },
    )


def _has_ended(path: str, value: fold.Value, at: datetime) -> bool:
    if path.startswith("pause:"):
        return datetime.fromisoformat(value.after) <= at
    return value.until is not None and value.until <= at
