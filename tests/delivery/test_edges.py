"""A pause that ends by itself is told to platforms that must be told; until then nothing waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, WEEKLY, person, row, save
from wagtail_prefs.changes import Pause
from wagtail_prefs.delivery import drain
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.rows import WAITING
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import Outcome

pytestmark = pytest.mark.django_db


@pytest.fixture
def crm(configure: Callable[..., Any]) -> Crm:
    configure(crm={"WAKES": True})
    return CRMS.setdefault("crm", Crm())


def pause(days: int, topic: str = "", channel: str = "") -> Pause:
    return Pause(topic, channel, timezone.now() + timedelta(days=days))


def test_a_row_sleeps_until_the_pause_ends_and_says_it_under_another_key(
    crm: Crm, clock: time_machine.Traveller
) -> None:
    contact = person("anna", JOIN, pause(3))
    run_once()
    end = timezone.now() + timedelta(days=3)
    asleep = row(contact)
    assert (asleep.due_at, asleep.delivered, asleep.wanted) == (end, 2, 2)
    assert crm.contacts[str(contact)]["paused"] == [["", ""]]
    # It waits for nothing: nobody counts it, and "retry now" does not wake it.
    assert run_once().waiting == 0
    assert not Delivery.objects.filter(WAITING).exists()
    assert drain.retry_now(["crm"]) == 0
    clock.move_to(end - timedelta(seconds=1))
    assert run_once().done == 0
    clock.move_to(end)
    assert run_once().done == 1
    assert crm.contacts[str(contact)]["paused"] == []
    first, second = (call[0].key for call in crm.calls)
    assert first != second
    assert crm.plans[-1][0].ended == 1
    assert crm.plans[-1][1] == []
    assert row(contact).due_at is None


def test_of_several_pauses_each_end_is_told(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN, pause(3), pause(1, "news"), pause(2, "", "sms"))
    ends = []
    while (due_at := (run_once(), row(contact).due_at)[1]) is not None:
        ends.append(due_at)
        clock.move_to(due_at)
    assert [(end - ends[0]).days for end in ends] == [0, 1, 2]
    assert len({call[0].key for call in crm.calls}) == len(crm.calls) == 4


def test_a_new_wish_does_not_lose_the_end(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN, pause(3))
    run_once()
    asleep = row(contact).due_at
    clock.shift(60)
    save(contact, WEEKLY)
    assert row(contact).due_at == timezone.now()
    run_once()
    assert row(contact).due_at == asleep


def test_an_end_that_fails_is_tried_again(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN, pause(1))
    run_once()
    clock.shift(timedelta(days=1))
    crm.script.append(Outcome.RETRY)
    assert run_once().failed == 1
    assert run_once().waiting == 1
    assert drain.retry_now(["crm"]) == 1
    assert run_once().done == 1
    assert crm.contacts[str(contact)]["paused"] == []


def test_what_was_refused_is_tried_again_when_the_pause_ends(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN, pause(1))
    crm.script.append(Outcome.REFUSED)
    run_once()
    assert row(contact).due_at == timezone.now() + timedelta(days=1)
    clock.shift(timedelta(days=1))
    assert run_once().done == 1


def test_a_platform_that_looks_at_dates_itself_is_not_told(
    configure: Callable[..., Any], clock: time_machine.Traveller
) -> None:
    configure(crm={})
    contact = person("anna", JOIN, pause(1))
    run_once()
    assert row(contact).due_at is None
