"""What is remembered about getting in goes away when nothing needs it any more (security.md PR-03)."""

from __future__ import annotations

import time
from datetime import timedelta

from django.utils import timezone

from .limits import forget_hits
from .models import OneTimeLink
from .sessions import forget_used_codes

#: How long the row of a link is kept after its end: whoever opens it is told that it is too old, and not that it is none.
KEPT = timedelta(days=90)
#: Seconds between two rounds of a process: rows of three months are looked through, and nothing waits for it.
PAUSE = 600
_rounds: list[float] = []  # when the last one was


def forget_now_and_then() -> int:
    """The same as `forget_old_access` for whoever asks all the time: mostly nothing."""
    now = time.monotonic()
    if _rounds and now - _rounds[-1] < PAUSE:
        return 0
    _rounds[:] = [now]
    return forget_old_access()


def forget_old_access() -> int:
    """Delete what time alone refuses by now: used codes, counts, rows of old links; returns how many."""
    now = timezone.now()
    OneTimeLink.objects.filter(expires_at__lt=now).exclude(address="", answers={}).update(
        address="", answers={}
    )
    links, _ = OneTimeLink.objects.filter(expires_at__lt=now - KEPT).delete()
    return links + forget_used_codes() + forget_hits()
