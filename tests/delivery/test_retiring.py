"""Whoever moves is left alone at her old address, whoever is erased is forgotten: also by platforms that are away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from tests.delivery.crm import Crm
from tests.delivery.people import HERSELF, JOIN, LEAVE, WEEKLY, person, row, save
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.changes import ChangeAddress
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery import drain, engine, lanes
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.retiring import KEPT, Retired, forget_retired, moved_away, read, to_forget
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import Identifiers, Outcome, Source

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")
OLD, NEW = "anna@mail.example.org", "anna@web.example.com"


def move(contact: UUID, address: str) -> None:
    save(contact, ChangeAddress(address))


def erase(contact: UUID) -> None:
    submissions.erase(contact, actor=HERSELF, source=PYTHON)


def held(contact: UUID, backend: str = "crm") -> list[Retired]:
    entries, unreadable = read(backend, contact, row(contact, backend).retired)
    assert not unreadable
    return entries


# --- what a save writes -----------------------------------------------------------------------------------------------


def test_a_move_is_noted_for_every_backend_that_knows_her(configure: Callable[..., Any]) -> None:
    configure(a={}, b={})
    contact = person("anna", JOIN)
    run_once()
    with CaptureQueriesContext(connection) as queries:
        move(contact, NEW)
    for alias in "ab":
        waiting = row(contact, alias)
        assert OLD not in waiting.retired
        assert (waiting.restricts, waiting.retired_at is None) == (True, False)
        (entry,) = held(contact, alias)
        assert (entry.erased, entry.email, entry.remote) == (False, OLD, f"remote-{contact}")
    # One statement to look, and one to write, whatever the number of backends.
    told = [
        query["sql"] for query in queries if "retired_at" in query["sql"] and "INSERT" not in query["sql"]
    ]
    assert [sql.split()[0] for sql in told] == ["SELECT", "UPDATE"]


@pytest.mark.usefixtures("crm")
def test_what_no_platform_has_heard_of_is_not_noted() -> None:
    contact = person("anna", JOIN)
    move(contact, NEW)
    assert (row(contact).retired, row(contact).retired_at) == ("", None)


def test_a_first_delivery_under_way_counts_as_heard(crm: Crm) -> None:
    contact = person("anna", JOIN)
    crm.during = lambda _: move(contact, NEW)
    run_once_with(crm)
    assert crm.contacts[str(contact)]["leave"] == [OLD]
    assert row(contact).retired == ""


def run_once_with(crm: Crm) -> None:
    """Deliver; what happens during the first call happens once."""
    during = crm.during
    assert during is not None

    def once(operations: Any) -> None:
        crm.during = None
        during(operations)

    crm.during = once
    run_once()
    run_once()


@pytest.mark.usefixtures("crm")
def test_what_is_not_saved_is_not_noted() -> None:
    contact = person("anna", JOIN)
    run_once()
    with transaction.atomic():
        move(contact, NEW)
        transaction.set_rollback(True)
    assert row(contact).retired == ""


@pytest.mark.usefixtures("crm")
def test_an_ordinary_save_asks_nothing_more() -> None:
    contact = person("anna", JOIN)
    run_once()
    with CaptureQueriesContext(connection) as queries:
        save(contact, WEEKLY)
    assert not [
        query for query in queries if "SELECT" in query["sql"] and "wagtail_prefs_delivery" in query["sql"]
    ]


# --- moved ------------------------------------------------------------------------------------------------------------


def test_the_old_address_is_told_first_and_forgotten_here(crm: Crm) -> None:
    contact = person("anna", JOIN)
    run_once()
    move(contact, NEW)
    assert run_once().done == 1
    ((operation,),) = crm.calls[1:]
    assert operation.restricts
    target, _ = crm.plans[-1]
    (retired,) = target.retired
    # What she still goes by is not there: whoever leaves the old address alone must not find her by it.
    assert retired == Identifiers(email=OLD)
    assert target.identifiers.email == NEW
    after = row(contact)
    assert (after.retired, after.retired_at, after.restricts, after.due_at) == ("", None, False, None)


def test_it_stays_until_the_platform_took_it(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    run_once()
    move(contact, NEW)
    crm.script.extend([Outcome.RETRY, Outcome.REFUSED])
    for _ in range(2):
        run_once()
        due_at = row(contact).due_at
        assert (
            due_at is not None
        )  # never given up, also where the refused operation restricts nothing by itself
        assert [entry.email for entry in held(contact)] == [OLD]
        clock.move_to(due_at)
    run_once()
    assert row(contact).retired == ""


def test_who_comes_back_to_an_address_is_not_left_alone_there(crm: Crm) -> None:
    contact = person("anna", JOIN)
    run_once()
    move(contact, NEW)
    move(contact, OLD.upper())
    run_once()
    assert [one.email for one in crm.plans[-1][0].retired] == [NEW]


def test_an_address_that_another_has_taken_is_left_to_her(crm: Crm) -> None:
    contact = person("anna", JOIN)
    run_once()
    move(contact, NEW)
    other = person("anna", JOIN)
    assert other != contact
    run_once()
    retired = {target.state.id: target.retired for target, _ in crm.plans}
    assert retired[contact] == ()
    assert crm.contacts[str(other)]["contact"]["email"] == OLD


def test_the_same_address_in_another_audience_is_told_once_more(crm: Crm) -> None:
    contact = person("anna", JOIN)
    elsewhere = Audience.objects.create(key="second", name="Second")
    twin = contacts.get_or_create(elsewhere.pk, OLD).id
    save(twin, WEEKLY)
    run_once()
    move(contact, NEW)
    crm.calls.clear()
    run_once()
    run_once()
    assert crm.contacts[str(contact)]["leave"] == [OLD]
    told = [operation.contact for call in crm.calls for operation in call]
    assert told == [contact, twin]


def test_a_move_during_the_call_is_not_taken_for_told(crm: Crm) -> None:
    contact = person("anna", JOIN)
    run_once()
    save(contact, WEEKLY)
    crm.during = lambda _: move(contact, NEW)
    crm.calls.clear()
    run_once_with(crm)
    assert [("leave" in call[0].payload) for call in crm.calls] == [False, True]
    assert row(contact).retired == ""


# --- erased -----------------------------------------------------------------------------------------------------------


def test_whoever_is_erased_is_forgotten_and_nothing_else_is_said(crm: Crm) -> None:
    contact = person("anna", JOIN)
    run_once()
    crm.calls.clear()
    erase(contact)
    assert run_once().done == 1
    assert crm.calls == []
    assert crm.erased == [Identifiers(email=OLD, remote={"crm": f"remote-{contact}"})]
    after = row(contact)
    assert (after.retired, after.retired_at, after.remote_id, after.due_at) == ("", None, "", None)
    assert after.log[0]["kinds"] == ["erase"]


def test_also_by_the_addresses_that_were_not_taken_back_yet(crm: Crm) -> None:
    contact = person("anna", JOIN)
    run_once()
    move(contact, NEW)
    erase(contact)
    run_once()
    assert [one.email for one in crm.erased] == [OLD, NEW]


def test_and_whoever_was_merged_into_her(crm: Crm) -> None:
    anna, twin = person("anna", JOIN), person("twin", JOIN)
    run_once()
    submissions.merge_contacts(twin, anna, actor=HERSELF, source=PYTHON)
    run_once()
    erase(anna)
    run_once()
    assert {one.email for one in crm.erased} == {OLD, "twin@mail.example.org"}


def test_whom_no_platform_has_heard_of_it_hears_nothing_of(crm: Crm) -> None:
    contact = person("anna", JOIN)
    erase(contact)
    run_once()
    assert (crm.calls, crm.erased) == ([], [])
    assert row(contact).due_at is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Outcome.RETRY, ""),
        (Outcome.REFUSED, ""),
        (PlatformError(Outcome.RETRY, "http-503"), "http-503"),
        (RuntimeError(OLD), "crash-RuntimeError"),
    ],
)
def test_a_failed_erasure_is_tried_for_ever(
    crm: Crm, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture, answer: Any, code: str
) -> None:
    contact = person("anna", JOIN)
    run_once()
    erase(contact)
    crm.erasing = answer
    for _ in range(9):
        lanes.reopen(["crm"])
        run_once()
        failing = row(contact)
        assert failing.due_at is not None
        assert failing.due_at <= timezone.now() + timedelta(days=1.1)
        assert (failing.last_code, failing.restricts) == (code, True)
        clock.move_to(failing.due_at)
    assert OLD not in caplog.text
    crm.erasing = Outcome.DONE
    run_once()
    assert [one.email for one in crm.erased][-1] == OLD
    assert row(contact).retired == ""


def test_a_platform_that_cannot_forget_is_an_error_every_day(
    configure: Callable[..., Any], clock: time_machine.Traveller
) -> None:
    configure(crm={"ERASES": False})
    contact = person("anna", JOIN)
    run_once()
    erase(contact)
    run_once()
    parked = row(contact)
    assert parked.due_at == timezone.now() + timedelta(days=1)
    assert (parked.last_outcome, parked.last_code) == ("refused", "cannot-erase")
    assert [(entry["kind"], entry["restricts"]) for entry in parked.parked] == [("erase", True)]


def test_who_signs_up_again_meanwhile_is_not_lost_with_what_was_forgotten(
    crm: Crm, clock: time_machine.Traveller
) -> None:
    contact = person("anna", JOIN)
    run_once()
    erase(contact)
    crm.erasing = Outcome.RETRY
    run_once()
    again = person("anna", LEAVE)
    run_once()
    assert row(again).delivered == row(again).wanted
    crm.erasing = Outcome.DONE
    clock.shift(timedelta(days=1))
    crm.calls.clear()
    run_once()
    run_once()
    assert [call[0].contact for call in crm.calls] == [again]  # what she is now, once more


# --- their end --------------------------------------------------------------------------------------------------------


def test_after_thirty_days_they_are_forgotten_aloud(
    crm: Crm, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    anna, ben = person("anna", JOIN), person("ben", JOIN)
    run_once()
    move(anna, NEW)
    erase(ben)
    crm.always["state"] = Outcome.RETRY
    crm.erasing = Outcome.RETRY
    run_once()
    clock.shift(KEPT - timedelta(days=1))
    assert forget_retired() == 0
    move(anna, "anna@box.example.org")
    clock.shift(timedelta(days=1, seconds=1))
    caplog.clear()
    assert forget_retired() == 2
    assert forget_retired() == 0
    (record,) = caplog.records
    assert (record.levelno, "crm: 2 rows" in record.getMessage()) == (logging.ERROR, True)
    # What is younger has its own time.
    assert [entry.email for entry in held(anna)] == [NEW]
    gone = row(ben)
    assert (gone.retired, gone.retired_at, gone.remote_id, gone.due_at) == ("", None, "", None)


@pytest.mark.usefixtures("crm")
def test_with_nothing_to_forget_a_look_is_one_statement(django_assert_num_queries: Any) -> None:
    person("anna", JOIN)
    with django_assert_num_queries(1):
        assert forget_retired() == 0


def test_what_cannot_be_read_any_more_is_a_failure_and_stops_nothing_else(
    crm: Crm, settings: Settings, clock: time_machine.Traveller
) -> None:
    contact = person("anna", JOIN)
    run_once()
    move(contact, NEW)
    Delivery.objects.update(retired="gone." + "A" * 60)
    run_once()
    failing = row(contact)
    assert crm.contacts[str(contact)]["contact"]["email"] == NEW
    assert (failing.last_code, failing.last_outcome, failing.due_at) == (
        "unreadable",
        "refused",
        timezone.now() + timedelta(days=1),
    )


def test_a_line_of_one_row_says_nothing_in_another(crm: Crm) -> None:
    anna, ben = person("anna", JOIN), person("ben", JOIN)
    run_once()
    move(anna, NEW)
    stolen = row(anna).retired
    assert read("crm", ben, stolen) == ([], 1)
    assert read("other", anna, stolen) == ([], 1)


# --- the rules --------------------------------------------------------------------------------------------------------


def entry(email: str = OLD, external_id: str = "", remote: str = "", *, erased: bool = False) -> Retired:
    return Retired(erased, email, external_id, remote, "2026-01-01T00:00:00.000000Z")


def test_what_she_still_goes_by_is_left_out() -> None:
    hers = Identifiers(email=NEW, external_id="7", remote={"crm": "r2"})
    found = moved_away(
        [entry(external_id="7", remote="r1"), entry("x@example.org", "8", "r2")], "crm", hers, []
    )
    assert found == (
        Identifiers(email=OLD, remote={"crm": "r1"}),
        Identifiers(email="x@example.org", external_id="8"),
    )
    assert moved_away([entry(), entry("")], "crm", hers, [OLD]) == ()


def test_each_is_forgotten_once() -> None:
    assert to_forget([entry(), entry(), entry("", "", "")], "crm", "") == [Identifiers(email=OLD)]
    assert to_forget([entry(remote="")], "crm", "r1") == [Identifiers(email=OLD, remote={"crm": "r1"})]
    # One who was erased before anybody noted what she went by.
    assert to_forget([], "crm", "r1") == [Identifiers(remote={"crm": "r1"})]
    assert to_forget([], "crm", "") == []


def test_retry_now_tries_an_erasure(crm: Crm) -> None:
    contact = person("anna", JOIN)
    run_once()
    erase(contact)
    crm.erasing = Outcome.REFUSED
    run_once()
    crm.erasing = Outcome.DONE
    assert drain.retry_now(["crm"]) == 1
    assert run_once().done == 1
    assert Contact.objects.get(pk=contact).erased_at is not None


# --- too late ---------------------------------------------------------------------------------------------------------


def overtaken(crm: Crm, clock: time_machine.Traveller, change: Callable[[], object]) -> None:
    """A worker hangs in its call; its lease ends, she changes, another worker tells that; then the call lands."""

    def meanwhile(_: Any) -> None:
        crm.during = None
        clock.shift(61)
        change()
        assert drain.drain("crm").done == 1

    crm.during = meanwhile
    engine.deliver("crm")


def test_whom_a_late_call_brings_back_is_forgotten_once_more(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    overtaken(crm, clock, lambda: erase(contact))
    assert [one.email for one in crm.erased] == [OLD]
    assert crm.contacts[str(contact)]["contact"]["email"] == OLD  # it landed
    run_once()
    assert [one.email for one in crm.erased] == [OLD, OLD]
    assert row(contact).retired == ""


def test_an_old_address_that_a_late_call_brings_back_is_left_alone_once_more(
    crm: Crm, clock: time_machine.Traveller
) -> None:
    contact = person("anna", JOIN)
    overtaken(crm, clock, lambda: move(contact, NEW))
    assert crm.contacts[str(contact)]["contact"]["email"] == OLD
    crm.contacts.clear()
    run_once()
    assert crm.contacts[str(contact)]["contact"]["email"] == NEW
    assert crm.contacts[str(contact)]["leave"] == [OLD]
    assert row(contact).retired == ""


def test_a_late_call_about_what_she_is_now_notes_nothing(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    overtaken(crm, clock, lambda: save(contact, LEAVE))
    assert row(contact).retired == ""
