"""A platform is away for hours. Nobody's wish is lost, and nobody's yes comes after her no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests.delivery.people import JOIN, JOIN_OFFERS, LEAVE, OUT, WEEKLY, person, row, save
from tests.faults.delivering import Receiver
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.contacts.services import load_target
from wagtail_prefs.delivery.alarms import watch
from wagtail_prefs.delivery.lanes import FAILURES
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import run_once

WISHES = (JOIN, WEEKLY, LEAVE, JOIN_OFFERS, OUT)
PEOPLE = 200
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def platform() -> Iterator[HTTPServer]:
    """The one that will be away; the other one is `httpserver`."""
    server = HTTPServer(host="127.0.0.1", port=0)
    server.start()
    yield server
    server.clear()
    if server.is_running():
        server.stop()


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


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["503", "refused"])
def test_a_platform_that_is_away_for_23_hours(
    httpserver: HTTPServer, platform: HTTPServer, settings: Settings, kind: str
) -> None:
    """It delays no other one, and is whole within its next round after it is back: also who failed just before that, and
    who would have waited until tomorrow."""
    well, away = Receiver(httpserver), Receiver(platform)
    _configure(settings, well=well, away=away)
    with time_machine.travel(NOON, tick=False) as clock:
        people = [person(f"p{number}", WISHES[number % 5]) for number in range(PEOPLE)]
        run_once()
        assert len(well.contacts) == len(away.contacts) == PEOPLE
        heard = len(platform.log)
        leave, come_back = _outage(kind, platform, away)
        leave()
        waiting: set[int] = set()
        for hour in range(23):
            for number in range(hour, PEOPLE, 23):
                save(people[number], WISHES[(number + 1) % 5])
                waiting.add(number)
            run_once()
            assert _whole("well", well, people, sample=0)
            behind = Delivery.objects.filter(backend="away", due_at__isnull=False)
            assert behind.count() == len(waiting)
            clock.shift(timedelta(hours=1))
        # A call an hour, but for the first five: nobody hammers at it, and who was not tried counts no failure.
        assert len(platform.log) - heard <= (FAILURES + 22 if kind == "503" else 0)
        assert behind.filter(attempts=0).count() >= PEOPLE - FAILURES - 22
        come_back()
        run_once()
        assert _whole("away", away, people)
        assert not Delivery.objects.filter(due_at__isnull=False).exists()
        assert Lane.objects.get(backend="away").open_since is None
        # A further wish goes its way as if nothing had been.
        save(people[0], OUT)
        run_once()
        assert _whole("away", away, people)
    assert away.repeats == well.repeats == 0


@pytest.mark.django_db
def test_a_platform_that_is_away_for_days_is_given_up_until_somebody_says_so(
    httpserver: HTTPServer, platform: HTTPServer, settings: Settings
) -> None:
    settings.ADMINS = [("Ops", "ops@example.org")]
    well, away = Receiver(httpserver), Receiver(platform)
    _configure(settings, well=well, away=away)
    with time_machine.travel(NOON, tick=False) as clock:
        people = [person(f"p{number}", WISHES[number % 5]) for number in range(20)]
        leavers = [contact for number, contact in enumerate(people) if number % 5 in {2, 4}]
        away.status = 503

        def days(count: int) -> int:
            """So many of them, with a worker that looks every two hours; returns how many calls were made."""
            before = len(platform.log)
            for _ in range(12 * count):
                run_once()
                watch()
                clock.shift(timedelta(hours=2))
            return len(platform.log) - before

        days(5)
        days(1)
        assert Lane.objects.get(backend="away").disabled_at is not None
        assert len(mail.outbox) == 2  # opt-outs late for a day; given up
        assert days(6) in {5, 6, 7}
        assert len(mail.outbox) == 2
        newcomer = person("newcomer", JOIN)
        away.status = 204
        days(2)
        assert set(away.contacts) == {str(contact) for contact in leavers}
        assert _whole("well", well, [*people, newcomer])
        call_command("prefs_deliver", "--once", "--now", stdout=StringIO())
        assert _whole("away", away, [*people, newcomer])
        assert Lane.objects.get(backend="away").disabled_at is None
        watch()
        clock.shift(timedelta(minutes=1))
        watch()
        assert Lane.objects.get(backend="away").alarms == {}
        assert len(mail.outbox) == 2
    assert away.repeats == 0


def _configure(settings: Settings, **receivers: Receiver) -> None:
    settings.WAGTAIL_PREFS = {
        **next(iter(receivers.values())).options(),
        "BACKENDS": {alias: receiver.options()["BACKENDS"]["hook"] for alias, receiver in receivers.items()},
    }


def _outage(
    kind: str, server: HTTPServer, receiver: Receiver
) -> tuple[Callable[[], None], Callable[[], None]]:
    """How it begins, and how it ends."""
    if kind == "refused":
        server.port = int(server.url_for("/").rsplit(":", 1)[1].strip("/"))  # the same one again
        return server.stop, server.start

    def answer(status: int) -> None:
        receiver.status = status

    return lambda: answer(503), lambda: answer(204)


def _whole(alias: str, receiver: Receiver, people: list[UUID], *, sample: int = 20) -> bool:
    """Whether it knows the newest version of everybody, and what some of them want."""
    wanted = dict(Delivery.objects.filter(backend=alias).values_list("contact", "wanted"))
    known = {contact: receiver.contacts[str(contact)]["version"] for contact in people}
    return known == wanted and all(
        receiver.contacts[str(contact)][name] == value
        for contact in people[:sample]
        for name, value in desired_state(load_target(contact)).items()
    )
