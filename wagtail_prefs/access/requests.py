"""Somebody typed an address. What is done for it is the same whoever it is: one row (security.md AB-01).

Whose address it is, and whether a mail goes out, is found out by the worker, when nobody waits for the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from .. import keys
from ..canonical import canonical
from ..ciphers import MARK
from ..concealed import readable
from ..contacts.addresses import canonical_email
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


def forget_asked(audience_id: int, addresses: Iterable[str]) -> None:
    """Drop what was asked for addresses that are being forgotten. What a worker has in hand just now is left to it: it
    finds nobody there any more, and waits for whoever calls this.

    All that waits is read, since nothing finds it by its address. That is mostly nothing: it waits for seconds.
    """
    wanted = {_folded(address) for address in addresses}
    if not wanted:
        return
    rows = AccessRequest.objects.filter(audience=audience_id)
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    found = [
        row.pk
        for row in rows.only("address").iterator(chunk_size=1000)
        if _folded(readable(row, "address")) in wanted
    ]
    if found:
        AccessRequest.objects.filter(pk__in=found).delete()


def _folded(address: str) -> str:
    """As canonical as it can be: anybody typed it."""
    try:
        return canonical_email(address)
    except (ValidationError, UnicodeError):
        return address.strip().casefold()
