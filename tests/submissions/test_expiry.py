"""What has ended by itself is written down once, for those who cannot reckon with dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import time_machine

from tests import factories
from wagtail_prefs.changes import Change, OptOut, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NEWS, OFFERS, EVENTS = (("news", "email"), ("offers", "email"), ("events", "email"))


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def say(contact: UUID, *changes: Change, actor: Actor = PERSON) -> None:
    submissions.record(contact, changes, actor=actor, source=PYTHON)


def yes(key: tuple[str, str], days: float | None = None) -> SetChoice:
    return SetChoice(*key, SUBSCRIBED, None if days is None else START + days * DAY)


def wait(key: tuple[str, str], days: float | None = None) -> SetChoice:
    return SetChoice(*key, PENDING, None if days is None else START + days * DAY)


def test_what_has_ended_becomes_a_no_and_what_waited_is_gone(
    scene: Scene, clock: time_machine.Traveller
) -> None:
    contact = scene.contact.pk
    say(contact, yes(NEWS, 1), wait(OFFERS, 1), yes(EVENTS, 3))
    clock.shift(2 * DAY)
    assert submissions.expire_due() == 1
    state = contacts.load_state(contact)
    assert state.choices == {NEWS: UNSUBSCRIBED, EVENTS: SUBSCRIBED}
    assert state.pending == frozenset()
    assert state.until == {EVENTS: START + 3 * DAY}
    record = Record.objects.get(seq=2)
    assert (record.actor, record.at) == ("system", START + 2 * DAY)
    row = Delivery.objects.get()
    assert (row.wanted, row.restricts) == (2, True)
    assert differences(contact) == []
    assert submissions.expire_due() == 0
    assert Record.objects.count() == 2


@pytest.mark.parametrize(("after", "ended"), [(timedelta(microseconds=-1), 0), (timedelta(0), 1)])
def test_it_ends_at_its_moment_and_not_before(
    scene: Scene, clock: time_machine.Traveller, after: timedelta, ended: int
) -> None:
    say(scene.contact.pk, yes(NEWS, 1))
    clock.move_to(START + DAY + after)
    assert submissions.expire_due() == ended


def test_a_wait_that_ends_leaves_the_no_it_stood_on(scene: Scene, clock: time_machine.Traveller) -> None:
    say(scene.contact.pk, SetChoice(*NEWS, UNSUBSCRIBED))
    say(scene.contact.pk, wait(NEWS, 1), actor=Actor(ActorType.API, "form"))
    clock.shift(2 * DAY)
    assert submissions.expire_due() == 1
    assert contacts.load_state(scene.contact.pk).choices == {NEWS: UNSUBSCRIBED}


def test_what_she_said_since_is_left_alone(scene: Scene, clock: time_machine.Traveller) -> None:
    contact = scene.contact.pk
    say(contact, yes(NEWS, 1), yes(OFFERS, 1), yes(EVENTS, 1))
    say(contact, SetChoice(*NEWS, UNSUBSCRIBED))
    clock.shift(2 * DAY)
    say(contact, yes(OFFERS))
    assert submissions.expire_due() == 1
    state = contacts.load_state(contact)
    assert state.choices == {NEWS: UNSUBSCRIBED, OFFERS: SUBSCRIBED, EVENTS: UNSUBSCRIBED}
    assert state.until == {}
    assert differences(contact) == []


def test_many_are_done_in_rounds_and_none_is_forgotten(scene: Scene, clock: time_machine.Traveller) -> None:
    people = [factories.make_contact(f"p{number}@mail.example.org").pk for number in range(7)]
    for contact in people:
        say(contact, yes(NEWS, 1), yes(OFFERS, 1))
    clock.shift(2 * DAY)
    rounds = []
    while done := submissions.expire_due(limit=3):
        rounds.append(done)
        assert len(rounds) < 20
    assert not State.objects.exclude(choice_until=None).exists()
    for contact in people:
        assert set(contacts.load_state(contact).choices.values()) == {UNSUBSCRIBED}
        assert differences(contact) == []


@pytest.mark.parametrize("how", ["erased", "merged"])
def test_one_who_is_gone_does_not_stop_the_others(
    scene: Scene, clock: time_machine.Traveller, how: str
) -> None:
    """However her row comes to be still there, it is no reason to do nothing for anybody."""
    people = [factories.make_contact(f"p{number}@mail.example.org") for number in range(2)]
    first, second = sorted(people, key=lambda contact: contact.pk)
    say(second.pk, yes(NEWS, 1))
    if how == "erased":
        submissions.erase(first.pk, actor=PERSON, source=PYTHON)
    else:
        submissions.merge_contacts(first.pk, scene.contact.pk, actor=PERSON, source=PYTHON)
    State.objects.create(
        contact=first, topic="news", channel="email", choice="subscribed", choice_until=START + DAY
    )
    clock.shift(2 * DAY)
    assert submissions.expire_due(limit=1) == 1
    assert contacts.load_state(second.pk).choices == {NEWS: UNSUBSCRIBED}


def test_neither_an_erasure_nor_an_opt_out_nor_a_merge_leaves_a_date_behind(
    scene: Scene, clock: time_machine.Traveller
) -> None:
    people = [factories.make_contact(f"p{number}@mail.example.org").pk for number in range(3)]
    for contact in people:
        say(contact, yes(NEWS, 1), wait(OFFERS, 1))
    say(people[0], OptOut())
    submissions.erase(people[1], actor=PERSON, source=PYTHON)
    submissions.merge_contacts(people[2], scene.contact.pk, actor=PERSON, source=PYTHON)
    left = State.objects.exclude(choice_until=None).values_list("contact_id", "topic")
    assert list(left) == [(scene.contact.pk, "news")]  # the winner goes on with it, and its date
    clock.shift(2 * DAY)
    assert submissions.expire_due() == 1
    assert Contact.objects.get(pk=scene.contact.pk).version == 2
