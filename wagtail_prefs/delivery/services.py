"""What others ask of deliveries."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from ..values import Identifiers
from ..writes import Write
from . import drain, outbox, retiring, rows, tasks
from .drain import Round
from .models import Delivery

__all__ = ["Round", "heard_of", "retire", "retry", "run_once", "want"]


def want(contact_id: UUID, version: int, restricts: bool) -> list[Write]:
    """What notes that every backend must learn `version` of this contact; to be carried out in the transaction of the
    save, which this is called in.

    `restricts` says that the submission made something stricter: such rows go first and are never given up.
    """
    if tasks.wanted():
        # robust: what was saved is saved, and the next sweep finds it, whatever the broker says.
        transaction.on_commit(tasks.nudge, robust=True)
    return outbox.upsert(contact_id, version, restricts=restricts)


def retire(contact_id: UUID, identifiers: Identifiers, *, erased: bool) -> None:
    """Note what a contact went by until now: platforms must leave her alone there, or forget her if she was `erased`.

    To be called in the transaction of the save, before `want`.
    """
    retiring.write(contact_id, identifiers, erased=erased)


def heard_of(contact_id: UUID) -> list[str]:
    """The backends that may have heard of a contact, sorted."""
    heard = Delivery.objects.filter(contact=contact_id).exclude(rows.UNHEARD)
    return list(heard.order_by("backend").values_list("backend", flat=True))


def run_once(limit: int | None = None) -> Round:
    """Deliver what is due to all backends, `limit` rows each at most; returns when nothing more can be done now."""
    return drain.run(drain.configured(), limit)


def retry(delivery_id: int) -> bool:
    """Have a delivery that failed, or was given up, tried again now; whether there was one to try.

    What a platform asked for as a whole (Retry-After) still holds.
    """
    again = rows.make_one_due(delivery_id, timezone.now())
    if again and tasks.wanted():
        transaction.on_commit(tasks.nudge, robust=True)
    return again
