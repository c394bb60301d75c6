"""What others ask of deliveries."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from ..writes import Write
from . import drain, outbox, tasks
from .drain import Round

__all__ = ["Round", "run_once", "want"]


def want(contact_id: UUID, version: int, restricts: bool) -> list[Write]:
    """What notes that every backend must learn `version` of this contact; to be carried out in the transaction of the
    save, which this is called in.

    `restricts` says that the submission made something stricter: such rows go first and are never given up.
    """
    if tasks.wanted():
        # robust: what was saved is saved, and the next sweep finds it, whatever the broker says.
        transaction.on_commit(tasks.nudge, robust=True)
    return outbox.upsert(contact_id, version, restricts=restricts)


def run_once(limit: int | None = None) -> Round:
    """Deliver what is due to all backends, `limit` rows each at most; returns when nothing more can be done now."""
    return drain.run(drain.configured(), limit)
