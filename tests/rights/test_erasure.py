"""The account of an erasure: who asked, and which platform has followed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.delivery.people import HERSELF, JOIN, save
from tests.factories import make_contact, make_topics
from wagtail_prefs.contacts.models import Contact, Suppression
from wagtail_prefs.delivery import retiring, services as delivery
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.rights import erasure as erasures
from wagtail_prefs.rights.erasure import Step, erase_person, follow_erasures, overdue, settle_by_hand, stuck
from wagtail_prefs.rights.models import Erasure
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

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
    from django.conf import settings

    with override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "BACKENDS": {}}):
        follow_erasures()
    assert set(states(found).values()) == {Step.GONE}


def test_a_rollback_leaves_her_and_no_account(anna: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise RuntimeError

    monkeypatch.setattr(erasures, "_follow", fails)
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
    assert len(asked) <= 6
