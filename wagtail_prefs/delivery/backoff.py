"""When to try again (security.md BK-05)."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

#: Seconds after which each try follows the one before: eight tries in 27 h 35 min. Then one a day, for ever: nothing
#: that a person wished is dropped because a platform was away.
SCHEDULE = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
DAILY = 86_400
JITTER = 0.1


def delay(
    failures: int,
    retry_after: float | None = None,
    *,
    uniform: Callable[[float, float], float] = random.uniform,
) -> timedelta:
    """How long to wait after so many failures in a row, and never less than the platform asked for."""
    seconds = SCHEDULE[failures] if failures < len(SCHEDULE) else DAILY
    jittered = seconds * uniform(1 - JITTER, 1 + JITTER)
    return timedelta(seconds=max(jittered, retry_after or 0))
