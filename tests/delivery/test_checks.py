"""Somebody must be delivering."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from tests.delivery.crm import Crm
from tests.delivery.people import JOIN, LEAVE, person
from wagtail_prefs.delivery import lanes
from wagtail_prefs.delivery.checks import check_deliveries
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import Outcome

pytestmark = pytest.mark.django_db


def found() -> list[str | None]:
    return [message.id for message in check_deliveries(databases=["default"])]


@pytest.mark.usefixtures("crm")
def test_rows_that_wait_without_a_worker(clock: time_machine.Traveller) -> None:
    assert found() == []
    person("anna", JOIN)
    assert found() == []
    clock.shift(timedelta(minutes=11))
    (message,) = check_deliveries(databases=["default"])
    assert message.id == "wagtail_prefs.W040"
    assert "crm" in message.msg
    assert message.hint is not None
    assert "prefs_deliver --loop" in message.hint
    lanes.enter("crm", timezone.now())
    assert found() == []


def test_an_opt_out_that_is_stuck_is_an_error(crm: Crm, clock: time_machine.Traveller) -> None:
    person("anna", LEAVE)
    person("ben", JOIN)
    crm.always["state"] = Outcome.RETRY
    run_once()
    clock.shift(timedelta(minutes=14))
    run_once()
    assert found() == []
    clock.shift(timedelta(minutes=2))
    run_once()
    assert found() == ["wagtail_prefs.W044"]
    clock.shift(timedelta(hours=24))
    run_once()
    (message,) = check_deliveries(databases=["default"])
    assert message.id == "wagtail_prefs.E041"
    assert "anna" not in str(message)
    crm.always.clear()
    clock.shift(timedelta(days=2))
    run_once()
    assert found() == []


def test_a_backend_that_was_given_up(crm: Crm, clock: time_machine.Traveller) -> None:
    lanes.misconfigured("crm", timezone.now(), "http-401")
    clock.shift(timedelta(days=5))
    assert found() == []
    lanes.misconfigured("crm", timezone.now(), "http-401")
    assert found() == ["wagtail_prefs.W047"]
    lanes.reopen(["crm"])
    assert found() == []


@pytest.mark.usefixtures("crm")
def test_without_permission_to_ask_the_database_it_does_not(clock: time_machine.Traveller) -> None:
    person("anna", JOIN)
    clock.shift(timedelta(hours=1))
    assert check_deliveries() == []
    assert found() == ["wagtail_prefs.W040"]


@pytest.mark.usefixtures("crm")
def test_it_does_not_stop_a_migration(clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch) -> None:
    person("anna", JOIN)
    clock.shift(timedelta(hours=1))
    monkeypatch.setattr("sys.argv", ["manage.py", "migrate"])
    assert found() == []
    monkeypatch.setattr("sys.argv", ["manage.py", "check"])
    assert found() == ["wagtail_prefs.W040"]


@pytest.mark.django_db(transaction=True)
def test_before_the_first_migration_there_is_nothing_to_say() -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(Delivery)
        editor.delete_model(Lane)
    try:
        assert found() == []
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Lane)
            editor.create_model(Delivery)


def test_a_worker_says_once_in_a_while_that_it_is_there(crm: Crm, clock: time_machine.Traveller) -> None:
    run_once()
    first = Lane.objects.get().seen_at
    clock.shift(10)
    run_once()
    assert Lane.objects.get().seen_at == first
    clock.shift(10)
    run_once()
    assert Lane.objects.get().seen_at == timezone.now()
