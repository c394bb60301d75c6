"""Many leave by one click, and nothing was sent: the log says so, once a day (security.md AB-07)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from pytest_django import DjangoAssertNumQueries

from wagtail_prefs.decisions import alarm
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.ledger.models import DayCount

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    alarm.forget_what_was_told()
    with time_machine.travel(NOON, tick=False):
        yield
    alarm.forget_what_was_told()


def left(count: int, *, days_ago: int = 0, audience: str = "shop", method: str = "one_click") -> None:
    DayCount.objects.create(
        day=NOON.date() - timedelta(days=days_ago),
        audience=audience,
        topic=f"topic-{uuid4().hex[:8]}",
        channel="email",
        event="opt_out",
        action="set",
        method=method,
        count=count,
    )


def rings() -> int:
    alarm._next_look = 0.0
    return alarm.watch_unsubscriptions()


def test_ten_times_as_many_as_usual_ring_once(caplog: pytest.LogCaptureFixture) -> None:
    for day in range(1, 29):
        left(20, days_ago=day)
    left(200)
    assert rings() == 0
    left(1)
    assert (rings(), rings()) == (1, 0)
    (record,) = [record for record in caplog.records if record.name == "wagtail_prefs.alarm"]
    assert record.levelname == "ERROR"
    assert "201 by one click today in audience shop, 20.0 a day before" in record.getMessage()


def test_few_never_ring() -> None:
    left(50)
    assert rings() == 0
    left(1)
    assert rings() == 1


def test_audiences_and_other_ways_are_counted_apart() -> None:
    for day in range(1, 29):
        left(500, days_ago=day, audience="shop")
    left(100, audience="club")
    left(5000, audience="shop", method="page")
    left(5000, audience="shop", days_ago=29)
    assert rings() == 1


def test_a_mail_explains_it() -> None:
    left(1000)
    mail = Send.objects.create(
        message_id="m1", contact=uuid4(), topic="news", channel="email", at=NOON - timedelta(days=2)
    )
    assert rings() == 0
    mail.at = NOON - timedelta(days=4)
    mail.save()
    assert rings() == 1


def test_it_looks_now_and_then(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        for _ in range(5):
            alarm.watch_unsubscriptions()
