"""Opt-outs that do not arrive make themselves heard: once per outage, at both levels, and over when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from tests.delivery.crm import Crm
from tests.delivery.people import BACK, JOIN, LEAVE, OPS, OUT, person, row, save
from wagtail_prefs.delivery import alarms, drain, lanes
from wagtail_prefs.delivery.alarms import LEVELS, late_opt_outs, watch
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.delivery.signals import opt_outs_late
from wagtail_prefs.values import Outcome

pytestmark = pytest.mark.django_db

RAISED = list[tuple[str, str, int, datetime]]


@pytest.fixture(autouse=True)
def _admins(settings: Settings) -> None:
    settings.ADMINS = OPS


@pytest.fixture
def raised() -> Iterator[RAISED]:
    """(backend, level, count, since) of every signal"""
    found: RAISED = []

    def receive(sender: str, level: str, count: int, since: datetime, **_: Any) -> None:
        found.append((sender, level, count, since))

    opt_outs_late.connect(receive)
    yield found
    opt_outs_late.disconnect(receive)


def look(clock: time_machine.Traveller, **later: float) -> int:
    clock.shift(timedelta(**later))
    run_once()
    return watch()


def test_an_opt_out_that_does_not_arrive(
    crm: Crm, clock: time_machine.Traveller, raised: RAISED, caplog: pytest.LogCaptureFixture
) -> None:
    said_at = timezone.now()
    person("anna", LEAVE)
    person("ben", JOIN)
    crm.always["state"] = Outcome.RETRY
    assert look(clock, minutes=1) == 0
    assert look(clock, minutes=13) == 0
    assert look(clock, minutes=2) == 1
    assert raised == [("crm", "15m", 1, said_at)]
    assert mail.outbox == []
    assert look(clock, minutes=5) == 0
    assert look(clock, hours=24) == 1
    assert raised[1:] == [("crm", "24h", 1, said_at)]
    assert look(clock, hours=24) == 0
    (letter,) = mail.outbox
    assert letter.to == ["ops@example.org"]
    assert "crm" in letter.subject
    errors = [record.getMessage() for record in caplog.records if "alarm opt_outs" in record.getMessage()]
    assert len(errors) == 2
    for text in (*errors, str(letter.subject), str(letter.body)):
        assert "mail.example.org" not in text
    crm.always.clear()
    drain.retry_now(["crm"])
    assert look(clock, minutes=1) == 0
    assert Lane.objects.get().alarms == {}
    assert "alarm opt_outs_24h of crm is over" in caplog.text


def test_a_second_outage_is_another_one(crm: Crm, clock: time_machine.Traveller, raised: RAISED) -> None:
    for number in range(2):
        person(f"p{number}", OUT)
        crm.always["state"] = Outcome.MISCONFIGURED
        look(clock, minutes=1)
        assert look(clock, minutes=16) == 1
        crm.always.clear()
        look(clock, minutes=20)
        assert Lane.objects.get().alarms == {}
    assert [level for _, level, *_ in raised] == ["15m", "15m"]


def test_a_worker_that_comes_back_after_two_days_says_both(
    crm: Crm, clock: time_machine.Traveller, raised: RAISED
) -> None:
    person("anna", OUT)
    clock.shift(timedelta(days=2))
    lanes.pause("crm", timezone.now() + timedelta(hours=1), "http-429")
    assert watch() == 2
    assert [level for _, level, *_ in raised] == ["15m", "24h"]
    assert crm.calls == []


def test_it_is_the_opt_out_that_is_late_and_not_what_failed_before(
    crm: Crm, clock: time_machine.Traveller, raised: RAISED
) -> None:
    """Her yes has failed for days; the no that she says now has not been waiting at all."""
    contact = person("anna", JOIN)
    crm.always["state"] = Outcome.REFUSED
    run_once()
    clock.shift(timedelta(days=3))
    crm.always["state"] = Outcome.RETRY
    save(contact, LEAVE)
    assert look(clock, minutes=1) == 0
    said_at = timezone.now() - timedelta(minutes=1)
    assert look(clock, minutes=15) == 1
    assert raised == [("crm", "15m", 1, said_at)]


def test_a_pause_of_hers_that_ends_some_day_is_not_late(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", LEAVE)
    run_once()
    Delivery.objects.filter(contact=contact).update(restricts=True, due_at=timezone.now() - timedelta(days=9))
    assert crm.contacts
    assert look(clock, minutes=20) == 0


def test_a_no_that_she_took_back_is_still_news(
    crm: Crm, clock: time_machine.Traveller, raised: RAISED
) -> None:
    """She opted out and in again meanwhile: what waits is no opt-out any more, but nobody has looked: once too often."""
    contact = person("anna", OUT)
    save(contact, BACK)
    crm.always["state"] = Outcome.RETRY
    assert look(clock, minutes=16) == 1
    assert raised[0][2] == 1


def test_many_are_counted(crm: Crm, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "SAMPLE", 3)
    for number in range(7):
        person(f"p{number}", OUT)
    crm.always["state"] = Outcome.RETRY
    run_once()
    clock.shift(timedelta(minutes=16))
    late = late_opt_outs("crm", timezone.now(), LEVELS["15m"])
    assert late is not None
    assert late.count == 7


def test_whoever_fails_to_listen_stops_nobody(
    crm: Crm, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: Any) -> None:
        raise ValueError("anna@mail.example.org")

    heard: list[str] = []

    def well(level: str, **_: Any) -> None:
        heard.append(level)

    opt_outs_late.connect(broken)
    opt_outs_late.connect(well)
    try:
        person("anna", OUT)
        crm.always["state"] = Outcome.RETRY
        assert look(clock, minutes=16) == 1
    finally:
        opt_outs_late.disconnect(broken)
        opt_outs_late.disconnect(well)
    assert heard == ["15m"]
    assert "a receiver of opt_outs_late failed: ValueError" in caplog.text
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("wagtail_prefs")]
    assert not any("anna@" in text for text in ours)


def test_a_mail_that_nobody_takes_is_tried_again(
    crm: Crm, clock: time_machine.Traveller, settings: Settings, raised: RAISED
) -> None:
    person("anna", OUT)
    crm.always["state"] = Outcome.RETRY
    settings.ADMINS = "nonsense"
    look(clock, minutes=1)
    assert look(clock, hours=25) == 2
    assert mail.outbox == []
    settings.ADMINS = OPS
    assert look(clock, minutes=1) == 0
    assert len(mail.outbox) == 1
    assert look(clock, minutes=1) == 0
    assert len(mail.outbox) == 1
    assert len(raised) == 2


def test_a_backend_that_was_given_up_is_told_once(crm: Crm, clock: time_machine.Traveller) -> None:
    person("anna", JOIN)
    crm.always["state"] = Outcome.MISCONFIGURED
    for _ in range(6 * 24):
        look(clock, hours=1)
    assert len(mail.outbox) == 1
    assert "scripted-misconfigured" in str(mail.outbox[0].body)
    assert "given_up" in Lane.objects.get().alarms
    calls = len(crm.calls)
    crm.always.clear()
    for _ in range(48):
        look(clock, hours=1)
    assert len(crm.calls) == calls  # until somebody says so, and there is no opt-out
    drain.retry_now(["crm"])
    look(clock, minutes=1)
    assert Lane.objects.get().alarms == {}
    assert Delivery.objects.get().delivered == 1


def test_addresses_that_nobody_took_back(crm: Crm, clock: time_machine.Traveller) -> None:
    del crm
    alarms.unconfirmed("crm", 2)
    alarms.unconfirmed("crm", 1)
    assert look(clock, minutes=1) == 1
    assert look(clock, minutes=1) == 0
    (letter,) = mail.outbox
    assert "3 people" in str(letter.body)
    look(clock, days=1)
    assert Lane.objects.get().alarms == {}


def test_all_workers_look_once_a_minute(
    crm: Crm, clock: time_machine.Traveller, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert crm.calls == []
    watch()
    clock.shift(59)
    with django_assert_num_queries(1):
        watch()
    first = Lane.objects.get().watched_at
    clock.shift(1)
    watch()
    second = Lane.objects.get().watched_at
    assert first is not None
    assert second == first + timedelta(minutes=1)
    clock.shift(-3600)
    watch()
    assert Lane.objects.get().watched_at == timezone.now()


def test_the_number_of_queries_does_not_grow(
    crm: Crm, clock: time_machine.Traveller, django_assert_max_num_queries: Any
) -> None:
    crm.always["state"] = Outcome.RETRY
    for number in range(12):
        person(f"p{number}", OUT)
    run_once()
    clock.shift(timedelta(hours=25))
    with django_assert_max_num_queries(30):
        watch()
    clock.shift(61)
    with django_assert_max_num_queries(20):
        watch()


def test_without_a_backend_there_is_nothing_to_watch(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {}}
    with django_assert_num_queries(0):
        assert watch() == 0


def test_rows_of_backends_that_are_gone_alarm_nobody(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", OUT)
    run_once()
    assert row(contact).delivered
    assert crm.calls
    Delivery.objects.create(
        backend="gone", contact=contact, wanted=1, restricts=True, due_at=timezone.now() - timedelta(days=9)
    )
    assert look(clock, minutes=1) == 0
