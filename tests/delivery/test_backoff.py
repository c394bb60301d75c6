"""When to try again."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from wagtail_prefs.delivery.backoff import DAILY, SCHEDULE, delay


def exact(failures: int, retry_after: float | None = None) -> float:
    return delay(failures, retry_after, uniform=lambda low, high: (low + high) / 2).total_seconds()


def test_the_schedule() -> None:
    assert [exact(n) for n in range(1, 8)] == [5, 300, 1800, 7200, 18000, 36000, 36000]
    assert sum(SCHEDULE) == timedelta(hours=27, minutes=35, seconds=5).total_seconds()
    assert [exact(n) for n in (8, 9, 1000)] == [DAILY] * 3


@pytest.mark.parametrize(("asked", "waits"), [(None, 300), (1, 300), (900, 900)])
def test_never_sooner_than_the_platform_asked(asked: float | None, waits: float) -> None:
    assert exact(2, asked) == waits


@given(st.integers(min_value=0, max_value=10_000), st.integers())
def test_jitter_spreads_by_a_tenth(failures: int, seed: int) -> None:
    middle = exact(failures)
    waits = delay(failures, uniform=random.Random(seed).uniform).total_seconds()
    assert 0.9 * middle - 1e-6 <= waits <= 1.1 * middle + 1e-6
