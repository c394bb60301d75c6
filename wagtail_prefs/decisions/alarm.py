"""Rings where far more people unsubscribe by one click than ever, and nothing was sent: somebody has got hold of links, or
a sender's list (security.md AB-07). Nothing is stopped by it: an unsubscription always works.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta

from ..ledger.models import DayCount
from .models import Send

logger = logging.getLogger("wagtail_prefs.alarm")

#: How many times the days before it a day may have, how many days these are, and below how many nobody is told.
TIMES, DAYS, FEW = 10, 28, 50
#: A mail that went out so long ago still explains that people leave.
SENT_WITHIN = timedelta(days=3)
LOOK_EVERY_SECONDS = 600

_next_look = 0.0
_told: set[tuple[date, str]] = set()


def watch_unsubscriptions() -> int:
    """Look now and then whether today is out of the ordinary; returns how many alarms rang. Each rings once a day."""
    global _next_look  # noqa: PLW0603 - of this worker
    if time.monotonic() < _next_look:
        return 0
    _next_look = time.monotonic() + LOOK_EVERY_SECONDS
    now = datetime.now(UTC)
    rang = 0
    for audience, count, usual in _unusual(now.date()):
        if (now.date(), audience) in _told or Send.objects.filter(at__gte=now - SENT_WITHIN).exists():
            continue
        _told.add((now.date(), audience))
        rang += 1
        logger.error(
            "alarm unsubscriptions: %s by one click today in audience %s, %.1f a day before, and nothing was sent",
            count,
            audience,
            usual,
        )
    return rang


def _unusual(today: date) -> list[tuple[str, int, float]]:
    """(audience, today's number, the usual number of a day) where today is out of the ordinary."""
    new, before = Counter[str](), Counter[str]()
    rows = DayCount.objects.filter(
        day__gte=today - timedelta(days=DAYS), method="one_click", event__in=("opt_out", "left")
    )
    for audience, day, count in rows.values_list("audience", "day", "count"):
        (new if day >= today else before)[audience] += count
    return [
        (audience, count, before[audience] / DAYS)
        for audience, count in new.items()
        if count > max(TIMES * before[audience] / DAYS, FEW)
    ]


def forget_what_was_told() -> None:
    """Begin anew, for tests."""
    global _next_look  # noqa: PLW0603 - of this worker
    _next_look = 0.0
    _told.clear()
