"""The account of an erasure: who asked, and which platform has followed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.delivery.people import HERSELF, JOIN, save
from tests.factories import make_contact, make_topics
from wagtail_prefs.backends import memory
from wagtail_prefs.contacts.models import Contact, Suppression
from wagtail_prefs.delivery import retiring, services as delivery
from wagtail_prefs.delivery.backoff import JITTER, SCHEDULE
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.rights import erasure as erasures
from wagtail_prefs.rights.erasure import (
    Step,
    There,
    erase_person,
    follow_erasures,
    known_there,
    overdue,
    settle_by_hand,
    stuck,
)
from wagtail_prefs.rights.models import Erasure
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Outcome, Source

pytestmark = pytest.mark.django_db
STAFF, BY_STAFF = Actor(ActorType.ADMIN, "7"), Source(method="staff")


@pytest.fixture
def anna() -> UUID:
    make_topics()
    contact: UUID = make_contact("anna@mail.example.org").pk
    save(contact, JOIN)
    return contact


def told() -> None:
    while Delivery.objects.filter(due_at__lte=timezone.now()).exists():
        delivery.run_once()


def states(erasure: Erasure) -> dict[str, str]:
    erasure.refresh_from_db()
    return {alias: entry["state"] for alias, entry in erasure.backends.items()}


def test_it_is_followed_until_the_last_platform_has_confirmed(anna: UUID) -> None:
    told()
    before = timezone.now()
    found = erase_person(anna, actor=STAFF, source=BY_STAFF, reason="She asked by letter.")
    assert Contact.objects.get(pk=anna).erased_at is not None
    assert (found.by, found.reason) == ("admin:7", "She asked by letter.")
    assert found.due_at - before > timedelta(days=29)
    assert set(states(found).values()) == {Step.WAITING} and found.done_at is None
    assert follow_erasures() == 0  # nothing new
    told()
    assert follow_erasures() == 1
    assert set(states(found).values()) == {Step.DONE} and found.done_at is not None
    assert not overdue(timezone.now() + timedelta(days=90)).exists()
    assert ledger.first_broken(anna) is None


class Keeps(memory.MemoryBackend):
    """A platform that can leave her alone, and not delete."""

    capabilities = replace(memory.MemoryBackend.capabilities, erases=False)


@pytest.fixture
def crm(settings: Any) -> Iterator[memory.Store]:
    """The only platform, in memory."""
    configure(settings, "wagtail_prefs.backends.memory.MemoryBackend")
    memory.store("crm").clear()
    yield memory.store("crm")
    memory.store("crm").clear()


def configure(settings: Any, backend: str) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"crm": {"BACKEND": backend}}}


def test_a_platform_that_is_away_for_23_hours_has_forgotten_her_by_the_eighth_try(crm: memory.Store) -> None:
    """The worker looks every ten minutes; nobody does anything else."""
    start, look = datetime(2026, 6, 1, 9, tzinfo=UTC), timedelta(minutes=10)
    tries = timedelta(seconds=sum(SCHEDULE) * (1 + JITTER)) + len(SCHEDULE) * look
    with time_machine.travel(start, tick=False) as clock:
        make_topics()
        contact = make_contact("anna@mail.example.org").pk
        save(contact, JOIN)
        told()
        assert str(contact) in crm.contacts
        crm.fail(Outcome.RETRY, memory.ALWAYS)
        found = erase_person(contact, actor=STAFF, source=BY_STAFF)
        while found.done_at is None and timezone.now() < found.due_at:
            if timezone.now() >= start + timedelta(hours=23):
                crm.mend()
            else:
                assert set(states(found).values()) == {Step.WAITING} and str(contact) in crm.contacts
            clock.shift(look)
            delivery.run_once()
            follow_erasures()
            found.refresh_from_db()
    assert states(found) == {"crm": Step.DONE}
    assert found.done_at is not None and found.done_at - start <= tries
    assert [who.email for who in crm.erased] == ["anna@mail.example.org"] and str(contact) not in crm.contacts


def test_a_platform_that_cannot_delete_waits_for_somebody_who_can(crm: memory.Store, settings: Any) -> None:
    configure(settings, f"{__name__}.Keeps")
    make_topics()
    contact = make_contact("anna@mail.example.org").pk
    save(contact, JOIN)
    told()
    found = erase_person(contact, actor=STAFF, source=BY_STAFF)
    told()
    follow_erasures()
    assert states(found) == {"crm": Step.KEEPS} and found.done_at is None and stuck(found) == ["crm"]
    # Whoever deletes her there finds her by what the platform calls her; her address is gone.
    assert known_there(found) == [There("crm", (str(contact),), (), ())]
    # It learns to, but she is long forgotten here: nobody has told it since whom to delete.
    configure(settings, "wagtail_prefs.backends.memory.MemoryBackend")
    follow_erasures()
    assert states(found) == {"crm": Step.KEEPS}
    assert settle_by_hand(found, "crm", "admin:9")
    assert states(found) == {"crm": Step.BY_HAND} and found.done_at
    assert Delivery.objects.get().remote_id == "" and known_there(found) == []


def test_an_address_is_no_id_that_is_kept(crm: memory.Store, settings: Any) -> None:
    configure(settings, f"{__name__}.Keeps")
    make_topics()
    contact = make_contact("anna@mail.example.org").pk
    save(contact, JOIN)
    told()
    Delivery.objects.update(remote_id="anna@mail.example.org")
    found = erase_person(contact, actor=STAFF, source=BY_STAFF)
    assert known_there(found) == []  # the engine takes care of it
    told()
    follow_erasures()
    assert states(found) == {"crm": Step.KEEPS}
    assert known_there(found) == [There("crm", (), (), ())]


def test_a_platform_of_which_nobody_knows_what_it_can_is_looked_at_again(
    crm: memory.Store, settings: Any
) -> None:
    make_topics()
    contact = make_contact("anna@mail.example.org").pk
    save(contact, JOIN)
    told()
    found = erase_person(contact, actor=STAFF, source=BY_STAFF)
    told()
    configure(settings, "no.such.Backend")
    follow_erasures()
    assert states(found) == {"crm": Step.WAITING}
    configure(settings, "wagtail_prefs.backends.memory.MemoryBackend")
    follow_erasures()
    assert states(found) == {"crm": Step.DONE}


def test_whom_no_platform_knows_is_done_at_once(anna: UUID) -> None:
    found = erase_person(anna, actor=HERSELF, source=Source(method="page"))
    assert found.backends == {}
    assert found.done_at is not None
    assert found.by == "subject-session"


def test_again_is_the_same_account(anna: UUID) -> None:
    first = erase_person(anna, actor=STAFF, source=BY_STAFF)
    again = erase_person(anna, actor=STAFF, source=BY_STAFF, reason="twice")
    assert again.pk == first.pk and again.reason == ""
    assert Erasure.objects.count() == Suppression.objects.count() == 1
    with pytest.raises(UnknownContact):
        erase_person(UUID(int=1), actor=STAFF, source=BY_STAFF)


def test_whoever_erases_there_is_an_account_and_it_is_followed(anna: UUID) -> None:
    told()
    submissions.erase(anna, actor=Actor(ActorType.BACKEND, "crm"), source=Source(method="inbound"))
    found = erasures.account_of(anna)
    assert (found.by, found.reason, found.contact) == ("backend:crm", "", anna)
    assert set(states(found).values()) == {Step.WAITING}
    told()
    follow_erasures()
    assert set(states(found).values()) == {Step.DONE} and found.done_at
    # Somebody asks for it who does not know that it is done.
    assert erase_person(anna, actor=STAFF, source=BY_STAFF, reason="By letter") == found
    found.refresh_from_db()
    assert (found.by, found.reason) == ("backend:crm", "")


def test_whom_she_was_has_no_account_of_her_own(anna: UUID) -> None:
    bea = make_contact("bea@mail.example.org").pk
    save(bea, JOIN)
    submissions.merge_contacts(bea, anna, actor=HERSELF, source=Source(method="python"))
    submissions.erase(anna, actor=HERSELF, source=Source(method="python"))
    assert Erasure.objects.get().contact == anna


def test_by_the_id_of_whom_she_was_before_it_is_her(anna: UUID) -> None:
    bea = make_contact("bea@mail.example.org").pk
    save(bea, JOIN)
    told()
    submissions.merge_contacts(bea, anna, actor=HERSELF, source=Source(method="python"))
    told()
    found = erase_person(bea, actor=STAFF, source=BY_STAFF)
    assert found.contact == anna
    told()
    follow_erasures()
    assert set(states(found).values()) <= {Step.DONE} and found.done_at


def test_a_platform_that_is_away_is_waited_for_and_then_it_is_late(
    anna: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    told()
    found = erase_person(anna, actor=STAFF, source=BY_STAFF)
    now = timezone.now()
    assert not overdue(now).exists()
    assert overdue(now + timedelta(days=28)).get() == found
    # It never confirms: after 30 days the engine gives the address up, and only somebody over there can do it.
    monkeypatch.setattr(retiring.timezone, "now", lambda: now + timedelta(days=31))
    retiring.forget_retired()
    follow_erasures()
    aliases = list(states(found))
    assert aliases and set(states(found).values()) == {Step.GIVEN_UP}
    assert stuck(found) == sorted(aliases)
    for alias in aliases:
        assert settle_by_hand(found, alias, "admin:9")
        assert not settle_by_hand(found, alias, "admin:9")
    assert not settle_by_hand(found, "no such platform", "admin:9")
    assert set(states(found).values()) == {Step.BY_HAND} and found.done_at
    follow_erasures()
    assert set(states(found).values()) == {Step.BY_HAND}


def test_a_platform_that_refuses_is_named(anna: UUID) -> None:
    told()
    found = erase_person(anna, actor=STAFF, source=BY_STAFF)
    Delivery.objects.filter(contact=anna).update(last_outcome="refused")
    follow_erasures()
    assert set(states(found).values()) == {Step.FAILING}
    assert found.done_at is None


def test_a_platform_that_left_the_settings_is_named(anna: UUID) -> None:
    told()
    found = erase_person(anna, actor=STAFF, source=BY_STAFF)
    with without_backends():
        follow_erasures()
    assert set(states(found).values()) == {Step.GONE}


def test_a_rollback_leaves_her_and_no_account(anna: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[Erasure]:
        raise RuntimeError

    monkeypatch.setattr(erasures, "_look", fails)
    with pytest.raises(RuntimeError):
        erase_person(anna, actor=STAFF, source=BY_STAFF)
    assert Contact.objects.get(pk=anna).erased_at is None
    assert not Erasure.objects.exists()


def test_where_nothing_is_open_one_statement_is_asked_and_many_cost_as_few(anna: UUID) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert follow_erasures() == 0
    assert len(asked) == 1
    people = [make_contact(f"p{number}@mail.example.org").pk for number in range(5)]
    for contact in people:
        save(contact, JOIN)
    told()
    for contact in people:
        erase_person(contact, actor=STAFF, source=BY_STAFF)
    told()
    with CaptureQueriesContext(connection) as asked:
        assert follow_erasures() == 5
    assert len(asked) <= 8
    assert not Erasure.objects.filter(done_at=None).exists()


def without_backends() -> override_settings:
    return override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "BACKENDS": {}})


def later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    now = timezone.now() + timedelta(days=days)
    monkeypatch.setattr(retiring.timezone, "now", lambda: now)


@pytest.mark.parametrize("left", ["before", "after"])
def test_a_platform_that_left_is_never_taken_for_one_that_confirmed(
    anna: UUID, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told()
    Delivery.objects.update(delivered_at=timezone.now() - timedelta(days=1))
    if left == "after":
        found = erase_person(anna, actor=STAFF, source=BY_STAFF)
    with without_backends():
        if left == "before":
            found = erase_person(anna, actor=STAFF, source=BY_STAFF)
        follow_erasures()
        assert set(states(found).values()) == {Step.GONE}
        later(monkeypatch, 31)
        retiring.forget_retired()
        follow_erasures()
        assert set(states(found).values()) == {Step.GIVEN_UP} and found.done_at is None
    # It comes back, and is brought up to date with a person of whom nothing is left to tell it.
    Delivery.objects.filter(contact=anna).update(delivered=F("wanted"), delivered_at=timezone.now())
    follow_erasures()
    assert set(states(found).values()) == {Step.GIVEN_UP} and found.done_at is None


def test_a_platform_that_comes_back_in_time_confirms(anna: UUID) -> None:
    told()
    found = erase_person(anna, actor=STAFF, source=BY_STAFF)
    with without_backends():
        follow_erasures()
    assert set(states(found).values()) == {Step.GONE}
    told()
    follow_erasures()
    assert set(states(found).values()) == {Step.DONE} and found.done_at


def test_whoever_was_merged_into_her_long_ago_is_followed_as_well(anna: UUID) -> None:
    bea = make_contact("bea@mail.example.org").pk
    save(bea, JOIN)
    told()
    submissions.merge_contacts(bea, anna, actor=HERSELF, source=Source(method="python"))
    told()
    Delivery.objects.update(delivered_at=timezone.now() - timedelta(days=90))
    found = erase_person(anna, actor=STAFF, source=BY_STAFF)
    told()
    follow_erasures()
    assert set(states(found).values()) == {Step.DONE} and found.done_at
    assert erase_person(bea, actor=STAFF, source=BY_STAFF) == erasures.account_of(bea) == found


def test_those_that_wait_for_people_keep_nobody_from_her_turn(
    anna: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    bea = make_contact("bea@mail.example.org").pk
    save(bea, JOIN)
    told()
    stays = erase_person(anna, actor=STAFF, source=BY_STAFF)
    Delivery.objects.filter(contact=anna).update(last_outcome="refused", due_at=None)
    found = erase_person(bea, actor=STAFF, source=BY_STAFF)
    told()
    monkeypatch.setattr(erasures, "BATCH", 1)
    assert follow_erasures() == 2
    assert set(states(found).values()) == {Step.DONE} and found.done_at
    assert set(states(stays).values()) == {Step.FAILING}


def test_the_button_pressed_twice_at_once_is_one_account(anna: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    first = erase_person(anna, actor=STAFF, source=BY_STAFF)
    known, asked = erasures._account, []

    def not_yet(contact: UUID) -> Erasure | None:
        asked.append(contact)
        return None if len(asked) == 1 else known(contact)

    monkeypatch.setattr(erasures, "_account", not_yet)
    assert erase_person(anna, actor=STAFF, source=BY_STAFF) == first


def test_a_worker_looks_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    monkeypatch.setattr(erasures, "_rounds", [])
    monkeypatch.setattr(erasures, "follow_erasures", lambda: rounds.append(1) or 1)
    monkeypatch.setattr(erasures, "_ring", lambda: None)
    clock = iter([100.0, 159.0, 161.0])
    monkeypatch.setattr(erasures.time, "monotonic", lambda: next(clock))
    assert [erasures.follow_now_and_then() for _ in range(3)] == [1, 0, 1]


def test_it_rings_before_it_is_late_once_a_day_until_it_is_done(
    crm: memory.Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(erasures, "PAUSE", 0)
    monkeypatch.setattr(erasures, "_told", [])
    with time_machine.travel(datetime(2026, 6, 1, 9, tzinfo=UTC), tick=False) as clock:
        make_topics()
        contact = make_contact("anna@mail.example.org").pk
        save(contact, JOIN)
        told()
        found = erase_person(contact, actor=STAFF, source=BY_STAFF)
        rang = []
        for day in range(34):
            for _ in range(3):
                caplog.clear()
                erasures.follow_now_and_then()
                rang += [(day, record.getMessage()) for record in caplog.records if "alarm" in record.message]
            clock.shift(timedelta(days=1))
            if day == 31:
                settle_by_hand(found, "crm", "admin:9")
    assert [day for day, _ in rang] == [28, 29, 30, 31]
    assert rang[0][1].startswith("alarm erasures: 1 not done, of which 0 must have been;")
    assert rang[-1][1].startswith("alarm erasures: 1 not done, of which 1 must have been;")
    assert all("anna" not in line and str(contact) not in line for _, line in rang)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_what_somebody_settles_during_a_round_stays_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    make_topics()
    contact: UUID = make_contact("anna@mail.example.org").pk
    save(contact, JOIN)
    told()
    found = erase_person(contact, actor=STAFF, source=BY_STAFF)
    Delivery.objects.filter(contact=contact).update(last_outcome="refused")
    follow, settling = erasures._follow, []

    def meanwhile(alias: str) -> None:
        try:
            settle_by_hand(found, alias, "admin:9")
        finally:
            connection.close()

    def slowly(held: list[Erasure], now: datetime) -> int:
        for alias in held[0].backends:
            settling.append(threading.Thread(target=meanwhile, args=[alias]))
            settling[-1].start()
        time.sleep(0.3)
        return follow(held, now)

    monkeypatch.setattr(erasures, "_follow", slowly)
    follow_erasures()
    for thread in settling:
        thread.join(10)
    assert settling and set(states(found).values()) == {Step.BY_HAND} and found.done_at
