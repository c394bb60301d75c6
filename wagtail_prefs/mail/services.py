"""The public names of `mail`."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from ..values import Json
from . import tasks
from .kinds import KINDS, BadContext, Kind, Shape, hold, register
from .models import Mail

__all__ = ["KINDS", "BadContext", "Kind", "Shape", "forget", "post", "register"]


def post(
    kind: str, *, to: str, audience_id: int, locale: str, context: Json, contact: UUID | None = None
) -> None:
    """Leave a mail for the worker, in the caller's transaction: one INSERT.

    `kind` is a name of `kinds.KINDS`; `context` is what its templates say: links of ours and words of editors, never
    what a visitor typed (security.md AB-05). `to` is the stored address of `contact`, or a new one that is confirmed.
    Raises KeyError for a kind that there is not, and BadContext for a value that is missing, unknown or of another
    shape. That a link is of the audience's own site is held when the mail is made: one that is not is never sent.
    """
    hold(KINDS[kind], context)
    Mail.objects.create(
        kind=kind,
        audience_id=audience_id,
        contact=contact,
        to=to,
        locale=locale,
        context=context,
        due_at=timezone.now(),
    )
    if tasks.wanted():
        # robust: what was saved is saved, and the next look finds it, whatever the broker says.
        transaction.on_commit(tasks.nudge, robust=True)


def forget(contact: UUID) -> None:
    """Drop what waits for a contact who is being erased, and forget where it went."""
    Mail.objects.filter(contact=contact).delete()
