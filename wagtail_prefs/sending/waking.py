"""What waits for the end of a pause or a period goes out when she ends it herself, and not only when it would have ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import connection

from ..contacts import store
from ..values import Effect
from ..writes import Write
from .models import Waiting


def wake(contact: UUID, effects: Iterable[Effect], now: datetime) -> tuple[Write, ...]:
    """The write that has a contact's waiting mail looked at now, where a pause or a frequency was there and was changed.

    Looked at, not sent: what she allows by then decides. A mail that is being sent is left to its worker.
    """
    loosened = any(
        effect.before is not None and effect.path.partition(":")[0] in {"pause", "frequency"}
        for effect in effects
    )
    if not loosened:
        return ()
    table = connection.ops.quote_name(Waiting._meta.db_table)
    moment = connection.ops.adapt_datetimefield_value(now)
    return (
        Write(
            f"UPDATE {table} SET due_at = %s WHERE contact = %s AND outcome = '' AND lease = '' AND due_at > %s",  # noqa: S608
            [moment, store.db_uuid(contact), moment],
        ),
    )
