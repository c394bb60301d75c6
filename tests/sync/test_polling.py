"""Platforms that are asked for their news."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.delivery.people import JOIN, LEAVE, person
from tests.factories import make_topics
from tests.statements import said
from tests.sync import platform
from tests.sync.platform import PLATFORMS, Told
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.management.chores import CHORES
from wagtail_prefs.sync import polling
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.models import Arrival, PollMark
from wagtail_prefs.sync.polling import poll_backends
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import Identifiers, InboundEvent, Outcome, Polled

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLLING = "tests.sync.platform.Polling"


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def list_(settings: Any, clock: time_machine.Traveller) -> Iterator[Told]:
    backends = {"list": {"BACKEND": POLLING}, "esp": {"BACKEND": platform.PATH}}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": backends}
    PLATFORMS.clear()
    yield PLATFORMS.setdefault("list", Told())
    PLATFORMS.clear()


def news(name: str, *changes: Any) -> InboundEvent:
    return InboundEvent(f"{name}-1", Identifiers(email=f"{name}@mail.example.org"), changes or (LEAVE,))


def mark() -> PollMark:
    return PollMark.objects.get(backend="list")


def test_news_go_the_way_of_webhooks_and_the_place_is_kept(
    list_: Told, clock: time_machine.Traveller
) -> None:
    audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
    make_topics(audience)
    contact = person("anna", JOIN)
    clock.shift(60)
    list_.pages.append(Polled((news("anna"),), "anna@mail.example.org, page 1"))
    assert poll_backends() == 1
    assert "anna" not in mark().cursor
    assert (mark().polled_at, mark().due_at) == (timezone.now(), timezone.now() + timedelta(minutes=5))
    assert work_off_arrivals() == 1
    assert contacts.load_state(contact).choices[("news", "email")] == "unsubscribed"
    assert poll_backends() == 0
    assert len(list_.cursors) == 1
    clock.shift(300)
    assert poll_backends() == 0
    assert list_.cursors == ["", "anna@mail.example.org, page 1"]
    assert poll_backends in CHORES


def test_where_there_is_more_it_is_asked_at_once_and_a_repeat_is_known(list_: Told) -> None:
    list_.pages += [
        Polled((news("anna"),), "1", more=True),
        Polled((news("anna"), news("ben")), "2", more=True),
        Polled((), ""),
    ]
    assert poll_backends() == 2
    assert list_.cursors == ["", "1", "2"]
    assert Arrival.objects.count() == 2
    assert mark().cursor == ""


def test_a_look_ends_where_there_is_no_end_of_news(list_: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "SECONDS", 0.0)
    list_.pages += [Polled((), "1", more=True)] * 3
    for _ in range(3):
        poll_backends()
    assert list_.cursors == []
    monkeypatch.setattr(polling, "SECONDS", 60.0)
    poll_backends()
    assert len(list_.cursors) == 4


def test_one_worker_at_a_time(list_: Told) -> None:
    list_.during = lambda: (setattr(list_, "during", None), poll_backends())[0]
    list_.pages.append(Polled((news("anna"),), "1"))
    assert poll_backends() == 1
    assert len(list_.cursors) == 1


def test_a_worker_that_died_delays_the_next_round(list_: Told, clock: time_machine.Traveller) -> None:
    PollMark.objects.create(backend="list", busy_until=timezone.now() + polling.LEASE)
    assert (poll_backends(), list_.cursors) == (0, [])
    clock.shift(121)
    poll_backends()
    assert list_.cursors == [""]


def test_one_that_was_overtaken_keeps_nothing(list_: Told, clock: time_machine.Traveller) -> None:
    def taken() -> None:
        list_.during = None
        PollMark.objects.update(busy_until=timezone.now() + timedelta(hours=1))

    list_.during = taken
    list_.pages.append(Polled((news("anna"),), "1"))
    assert poll_backends() == 0
    assert not Arrival.objects.exists()
    assert mark().cursor == ""


def test_a_platform_that_does_not_answer_is_asked_less_and_less(
    list_: Told, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    poll_backends()
    pauses = []
    for error in [PlatformError(Outcome.RETRY, "http-503")] * 8 + [RuntimeError("anna@mail.example.org")] * 2:
        clock.move_to(mark().due_at or START)
        list_.pages.append(error)
        poll_backends()
        due = mark().due_at
        assert due is not None
        pauses.append((due - timezone.now()) / timedelta(minutes=1))
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (5, 60)
    assert mark().code == "poll-RuntimeError"
    assert "anna" not in caplog.text
    clock.move_to(mark().due_at or START)
    list_.pages.append(Polled((news("anna"),), "1"))
    assert poll_backends() == 1
    assert (mark().code, mark().due_at) == ("", timezone.now() + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("error", "minutes"),
    [
        (PlatformError(Outcome.RATE_LIMITED, "http-429", 7200), 120),
        (PlatformError(Outcome.MISCONFIGURED, "http-401"), 15),
        (PlatformError(Outcome.RATE_LIMITED, "http-429", 1), 5),
    ],
)
def test_it_gets_the_time_it_asks_for(list_: Told, error: PlatformError, minutes: int) -> None:
    list_.pages.append(error)
    poll_backends()
    assert mark().due_at == timezone.now() + timedelta(minutes=minutes)
    assert mark().polled_at is None


def test_what_is_no_event_is_told_of_and_asked_for_again(list_: Told, clock: time_machine.Traveller) -> None:
    list_.pages.append(Polled((news("anna"), InboundEvent("x", Identifiers(email=7))), "1"))  # type: ignore[arg-type]
    assert poll_backends() == 0
    assert (mark().code, mark().cursor) == ("event-TypeError", "")
    assert not Arrival.objects.exists()


@pytest.mark.parametrize("answer", [None, Polled((None,), "1"), Polled((), 7)])  # type: ignore[arg-type]
def test_what_is_no_page_is_told_of_and_asked_for_later(list_: Told, answer: Any) -> None:
    list_.pages.append(answer)
    assert poll_backends() == 0
    assert mark().code.startswith("event-")
    assert mark().busy_until is None
    assert mark().due_at == timezone.now() + timedelta(minutes=5)


@pytest.mark.parametrize("outcome", [Outcome.MISCONFIGURED, Outcome.RATE_LIMITED])
@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e300, -1.0])
def test_nobody_is_left_alone_for_ever(list_: Told, outcome: Outcome, seconds: float) -> None:
    list_.pages.append(PlatformError(outcome, "http", seconds))
    poll_backends()
    due = mark().due_at
    assert due is not None
    assert timedelta(minutes=5) <= due - timezone.now() <= timedelta(days=1)


def test_a_place_that_cannot_be_read_any_more_is_the_beginning(list_: Told) -> None:
    PollMark.objects.create(backend="list", cursor="t9.AAAA")
    poll_backends()
    assert list_.cursors == [""]


def test_backends_that_are_not_asked_cost_nothing(settings: Any) -> None:
    broken = {"BACKEND": platform.PATH, "OPTIONS": {"BROKEN": True}}
    plain = {"BACKEND": platform.PATH}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"broken": broken, "esp": plain}}
    with CaptureQueriesContext(connection) as asked:
        assert poll_backends() == 0
    assert said(asked) == []


def test_one_that_is_not_due_costs_one_statement(list_: Told) -> None:
    poll_backends()
    with CaptureQueriesContext(connection) as asked:
        poll_backends()
    assert len(said(asked)) == 1
