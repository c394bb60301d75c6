"""What others ask of deliveries."""

from __future__ import annotations

from uuid import UUID

from . import outbox


def want(contact_id: UUID, version: int, restricts: bool) -> None:
    """Note that every backend must learn `version` of this contact; call it inside the transaction of the save.

    `restricts` says that the submission made something stricter: such rows go first and are never given up.
    """
    outbox.write(contact_id, version, restricts=restricts)
