"""Mails that waited for nothing: the pointless ones are settled, old rows go away, and bodies before them (PR-03)."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone

from ..contacts.models import Contact
from . import queue
from .models import Waiting

#: How long a settled row is kept: it names a contact's id, a topic and what became of the mail.
KEPT = timedelta(days=30)
#: Seconds between two rounds of a process over what no index finds.
PAUSE = 3_600
_rounds: list[float] = []  # when the last one was


def forget_settled() -> int:
    """Delete rows that were settled a month ago; once an hour, empty what staff may not send again any more. Returns how
    many of either. A chore of the worker: one statement where there is nothing to do.
    """
    old = (
        Waiting.objects.filter(settled_at__lt=timezone.now() - KEPT)
        .exclude(outcome="")
        .order_by("settled_at")
    )
    ids = list(old.values_list("pk", flat=True)[: queue.BATCH])
    deleted = Waiting.objects.filter(pk__in=ids).delete()[0] if ids else 0
    return deleted + _now_and_then()


def _now_and_then() -> int:
    now = time.monotonic()
    if _rounds and now - _rounds[-1] < PAUSE:
        return 0
    _rounds[:] = [now]
    return empty_what_is_pointless() + settle_what_is_nobodys()


def empty_what_is_pointless() -> int:
    """Forget the bodies of mails that failed, or may have, and that are pointless by now; returns how many."""
    over = Waiting.objects.filter(outcome__in=queue.AGAIN, expires_at__lte=timezone.now())
    return over.exclude(packed="").update(packed="")


def settle_what_is_nobodys() -> int:
    """Delete what waits for contacts that were deleted by hand, whom no drain looks at; returns how many."""
    nobody = ~Exists(Contact.objects.filter(pk=OuterRef("contact")))
    due = Waiting.objects.filter(nobody, outcome="", due_at__lte=timezone.now()).order_by("pk")
    ids = list(due.values_list("pk", flat=True)[: queue.BATCH])
    return Waiting.objects.filter(pk__in=ids).delete()[0] if ids else 0
