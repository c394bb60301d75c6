"""A platform is away for hours. Nobody's wish is lost, and nobody's yes comes after her no."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests.delivery.people import JOIN, JOIN_OFFERS, LEAVE, OUT, WEEKLY, person, row, save
from tests.faults.delivering import Receiver
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.contacts.services import load_target
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.services import run_once

WISHES = (JOIN, WEEKLY, LEAVE, JOIN_OFFERS, OUT)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_an_outage_loses_nothing(httpserver: HTTPServer, settings: Settings, status: int) -> None:
    receiver = Receiver(httpserver)
    settings.WAGTAIL_PREFS = receiver.options()
    with time_machine.travel(datetime(2026, 11, 22, 12, tzinfo=UTC)) as clock:
        people = [person(f"p{number}", WISHES[number % 5]) for number in range(12)]
        run_once()
        assert len(receiver.contacts) == 12
        receiver.status = status
        for hour in range(6):
            for number, contact in enumerate(people):
                if number % 3 == hour % 3:
                    save(contact, WISHES[(number + hour) % 5])
            run_once()
            clock.shift(timedelta(hours=1))
        assert Delivery.objects.filter(due_at__isnull=False).exists()
        receiver.status = 204
        for _ in range(3):
            clock.shift(timedelta(hours=13))
            run_once()
        for contact in people:
            state = desired_state(load_target(contact))
            known = receiver.contacts[str(contact)]
            assert {name: known[name] for name in state} == state
            assert row(contact, "hook").due_at is None
    assert receiver.repeats == 0  # what was refused was not seen as delivered, what was taken not sent again


@pytest.mark.django_db
def test_after_an_outage_the_changes_of_all_versions_are_named(
    httpserver: HTTPServer, settings: Settings
) -> None:
    receiver = Receiver(httpserver)
    settings.WAGTAIL_PREFS = receiver.options()
    contact = person("anna", JOIN)
    run_once()
    receiver.status = 503
    for wish in (WEEKLY, JOIN_OFFERS, LEAVE):
        save(contact, wish)
        run_once()
    receiver.status = 204
    with time_machine.travel(datetime.now(tz=UTC) + timedelta(days=1)):
        run_once()
    known = receiver.contacts[str(contact)]
    assert known["version"] == 4
    assert known["changed"] == ["choice:news:email", "choice:offers:email", "frequency:all"]
    assert len(known["records"]) == 3
