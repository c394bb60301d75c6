"""Somebody typed an address. What is done for it is the same whoever it is: one row (security.md AB-01).

Whose address it is, and whether a mail goes out, is found out by the worker, when nobody waits for the answer.
"""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from .. import keys
from ..canonical import canonical
from ..ciphers import MARK
from ..values import Json
from .models import AccessRequest

MAX_ADDRESS = 254


def ask(
    kind: AccessRequest.Kind,
    *,
    audience_id: int,
    center: UUID,
    address: str,
    locale: str,
    host: int | None = None,
    details: Json | None = None,
    idempotency_key: str = "",
) -> None:
    """Note a request: one INSERT, for known, unknown, suppressed and malformed addresses alike.

    A repeat of `idempotency_key` for the same center adds nothing.
    """
    now = timezone.now()
    digest = (
        keys.digest("access-request", canonical([str(center), idempotency_key])) if idempotency_key else None
    )
    AccessRequest.objects.bulk_create(
        [
            AccessRequest(
                kind=kind,
                audience_id=audience_id,
                center=center,
                host=host,
                address=address[:MAX_ADDRESS].removeprefix(MARK),  # what begins like that is no address
                locale=locale,
                details=details or {},
                idempotency_key=digest,
                asked_at=now,
                due_at=now,
            )
        ],
        ignore_conflicts=True,
    )
