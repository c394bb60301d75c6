"""Mails that are too late are given up, and old rows go away (security.md PR-03)."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from . import rows
from .models import Mail

#: How long the row of a mail is kept after it was made; it names nobody any more, once it was sent or given up.
KEPT = timedelta(days=30)
#: Rows deleted at once.
BATCH = 1_000


def forget_old_mails() -> int:
    """Give up what is too late, and delete rows of a month ago; returns how many of either."""
    now = timezone.now()
    return rows.give_up_what_is_over(now) + _delete_old(now)


def _delete_old(now: datetime) -> int:
    found = old(now).order_by("pk")
    if not found.exists():
        return 0
    deleted, _ = Mail.objects.filter(pk__in=found.values("pk")[:BATCH]).delete()
    return deleted


def old(now: datetime) -> QuerySet[Mail]:
    """The rows of a month ago of which nothing is due."""
    # Ids begin with the time (RFC 9562 s5.7): the primary key finds what is old, and no other row is looked at.
    found: QuerySet[Mail] = Mail.objects.filter(pk__lt=_first_id_of(now - KEPT), due_at=None)
    return found


def _first_id_of(moment: datetime) -> uuid.UUID:
    """No UUID version 7 made at that moment or later is smaller."""
    return uuid.UUID(int=round(moment.timestamp() * 1000) << 80)
