"""What changed since the last delivery, read from the ledger only if a plan looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import overload
from uuid import UUID

from ..ledger.services import batches_since_many, moments_since_many
from ..values import UNSUBSCRIBED, ChangeBatch, ContactState


class History:
    """The submissions of contacts, each after the version it names: read once, for all of them."""

    def __init__(self, delivered: Iterable[tuple[UUID, int]]) -> None:
        self._delivered = dict(delivered)
        self._found: dict[UUID, list[ChangeBatch]] | None = None
        self._moments: dict[UUID, dict[int, datetime]] | None = None

    def of(self, contact: UUID) -> list[ChangeBatch]:
        if self._found is None:
            self._found = batches_since_many(self._delivered)
        return self._found.get(contact, [])

    def moment(self, contact: UUID, version: int) -> datetime | None:
        """When a version was made; None where that is not after what was delivered."""
        if self._moments is None:
            self._moments = moments_since_many(self._delivered)
        return self._moments.get(contact, {}).get(version)


class Since(Sequence[ChangeBatch]):
    """What `Backend.plan` gets. Some of it a plan can know without reading the ledger: `restricts` (it holds a no), `after`
    (the version that was delivered) and `moved` (she goes by another address than then).
    """

    __slots__ = ("_contact", "_found", "_history", "_version", "after", "moved", "restricts")

    def __init__(
        self,
        history: History,
        contact: UUID,
        version: int,
        *,
        restricts: bool,
        after: int = 0,
        moved: bool = False,
    ) -> None:
        self._history = history
        self._contact = contact
        self._version = version
        self._found: list[ChangeBatch] | None = None
        self.restricts = restricts
        self.after = after
        self.moved = moved

    def moment(self, version: int) -> datetime | None:
        """When a version that is new was made, without reading what it says."""
        return self._history.moment(self._contact, version)

    @property
    def _batches(self) -> list[ChangeBatch]:
        if self._found is None:
            # What was saved after the state was read belongs to the next round.
            self._found = [
                batch for batch in self._history.of(self._contact) if batch.version <= self._version
            ]
        return self._found

    @overload
    def __getitem__(self, index: int) -> ChangeBatch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ChangeBatch]: ...
    def __getitem__(self, index: int | slice) -> ChangeBatch | Sequence[ChangeBatch]:
        return self._batches[index]

    def __len__(self) -> int:
        return len(self._batches)


def holds_a_no(state: ContactState, delivered: int) -> bool:
    """Whether a no that stands is newer than what was delivered."""
    versions = state.versions
    if state.opted_out and versions.get("opted_out", 0) > delivered:
        return True
    if UNSUBSCRIBED not in state.choices.values():
        return False
    return any(
        versions.get(f"choice:{topic}:{channel}", 0) > delivered
        for (topic, channel), said in state.choices.items()
        if said == UNSUBSCRIBED
    )
