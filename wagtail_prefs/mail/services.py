"""The public names of `mail`."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from ..values import Json
from .models import Mail


def post(
    kind: str, *, to: str, audience_id: int, locale: str, context: Json, contact: UUID | None = None
) -> None:
    """Leave a mail for the worker, in the caller's transaction: one INSERT.

    `kind` is a name of `kinds.KINDS`; `context` is what its templates say: links of ours and words of editors, never
    what a visitor typed (security.md AB-05). `to` is the stored address of `contact`, or a new one that is confirmed.
    """
    Mail.objects.create(
        kind=kind,
        audience_id=audience_id,
        contact=contact,
        to=to,
        locale=locale,
        context=context,
        due_at=timezone.now(),
    )


def forget(contact: UUID) -> None:
    """Drop what waits for a contact who is being erased, and forget where it went."""
    Mail.objects.filter(contact=contact).delete()
