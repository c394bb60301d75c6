"""Draining: rounds for one backend after the other, or side by side, until nothing is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import DatabaseError
from django.utils import timezone

from ..conf import conf
from . import lanes, rows
from .engine import Tally, deliver

logger = logging.getLogger("wagtail_prefs.delivery")


@dataclass(frozen=True, slots=True)
class Round:
    """What running came to: rows brought up to date, rows that failed this time, rows with something left to do."""

    done: int
    failed: int
    waiting: int


def never() -> bool:
    return False


def drain(alias: str, limit: int | None = None, stopping: Callable[[], bool] = never) -> Tally:
    """Rounds for one backend until nothing is due, a round brought nothing but failures, or `limit` rows were tried."""
    total = Tally()
    while not stopping():
        left = None if limit is None else limit - total.claimed
        if left is not None and left <= 0:
            break
        tally = guarded(alias, left, stopping)
        total.claimed += tally.claimed
        total.done += tally.done
        total.failed += tally.failed
        if not tally.claimed or (tally.failed and not tally.done):
            break
    return total


def guarded(alias: str, limit: int | None = None, stopping: Callable[[], bool] = never) -> Tally:
    """One round; what goes wrong with this backend stays with this backend."""
    try:
        return deliver(alias, limit, stopping)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - a backend is anybody's code, its settings anybody's typing
        # The type and not the text, which may hold a secret of the settings.
        code = f"unusable-{type(error).__name__}"
        logger.error("delivery to %s: cannot be used (%s)", alias, code)  # noqa: TRY400
        lanes.misconfigured(alias, timezone.now(), code)
        return Tally()


def run(aliases: Iterable[str], limit: int | None = None) -> Round:
    """Drain these backends one after the other."""
    names = sorted(aliases)
    tallies = [drain(alias, limit) for alias in names]
    return Round(sum(t.done for t in tallies), sum(t.failed for t in tallies), rows.waiting(names))


def retry_now(aliases: Iterable[str]) -> int:
    """Make due what waits for its next try and what was parked, and reopen the lanes. Returns how many rows."""
    names = sorted(aliases)
    lanes.reopen(names)
    return rows.make_due(names, timezone.now())


def configured() -> list[str]:
    return sorted(conf.backends)
