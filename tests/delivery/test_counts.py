"""How much went to a backend in an hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from pytest_django import DjangoAssertNumQueries

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, person
from wagtail_prefs.delivery import counts
from wagtail_prefs.delivery.counts import count
from wagtail_prefs.delivery.models import DeliveryCount
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import Outcome

pytestmark = pytest.mark.django_db

HOUR = datetime(2026, 11, 22, 12, tzinfo=UTC)


def hours(alias: str) -> list[tuple[datetime, int, int]]:
    """(hour, done, failed), oldest first."""
    rows = DeliveryCount.objects.filter(backend=alias).order_by("hour")
    return list(rows.values_list("hour", "done", "failed"))


def test_it_adds_up_by_the_hour(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        count("crm", 3, 1, HOUR + timedelta(minutes=59, seconds=59))
    count("crm", 2, 0, HOUR)
    count("crm", 0, 1, HOUR + timedelta(hours=1))
    count("other", 7, 7, HOUR)
    with django_assert_num_queries(0):
        count("crm", 0, 0, HOUR + timedelta(hours=3))
    assert hours("crm") == [(HOUR, 5, 1), (HOUR + timedelta(hours=1), 0, 1)]


def test_rounds_are_counted(configure: Callable[..., None], clock: time_machine.Traveller) -> None:
    configure(crm={}, away={}, broken={"BATCH": "sesame"})
    CRMS.setdefault("away", Crm()).always["state"] = Outcome.RETRY
    for name in ("anna", "ben", "carla"):
        person(name, JOIN)
    run_once()
    run_once()
    clock.shift(timedelta(hours=1))
    run_once()
    assert hours("crm") == [(HOUR, 3, 0)]
    (_, none, first), (_, nothing, second) = hours("away")
    assert (none, nothing) == (0, 0)
    assert first >= 2
    assert second >= 1
    assert hours("broken") == []


def test_two_weeks_are_kept() -> None:
    count("crm", 1, 0, HOUR)
    count("gone", 1, 0, HOUR - timedelta(hours=1))
    assert counts.forget_old(HOUR + timedelta(days=14)) == 1
    assert DeliveryCount.objects.get().backend == "crm"
