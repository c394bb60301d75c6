"""What held at a moment is what was stored then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.factories import make_contact, make_topics
from wagtail_prefs.changes import Change, OptOut, Pause, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.contacts import rules, services as contacts
from wagtail_prefs.contacts.rules import recorded
from wagtail_prefs.errors import PrefsError
from wagtail_prefs.ledger import guard
from wagtail_prefs.ledger.as_of import as_of
from wagtail_prefs.ledger.fold import Gone
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HERSELF = Actor(ActorType.SUBJECT_SESSION)


def act(contact: Any, *changes: Change) -> None:
    submissions.record(contact.pk, list(changes), actor=HERSELF, source=Source(method="page"))


def stored(contact: Any, at: datetime) -> dict[str, Any]:
    """The state by other means: the rows, and what time had done to them by then."""
    state = rules.effective(contacts.load_target(contact.pk).state, at)
    return {path: value for path, (value, _until) in recorded(state).items()}


def told(contact: Any, at: datetime) -> dict[str, Any]:
    """The same by the records; what has ended is a no, or nothing."""
    found = {}
    for path, held in as_of(contact.pk, at).held.items():
        if not held.ended:
            found[path] = held.value
        elif path.startswith("choice:"):
            found[path] = UNSUBSCRIBED
    return found


CHANGES = st.one_of(
    st.builds(
        SetChoice,
        st.sampled_from(["news", "offers"]),
        st.sampled_from(["email", "sms"]),
        st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]),
    ),
    st.builds(
        SetChoice,
        st.just("events"),
        st.just("email"),
        st.sampled_from([PENDING, SUBSCRIBED]),
        st.integers(1, 40).map(lambda hours: START + hours * HOUR + timedelta(minutes=30)),
    ),
    st.builds(SetFrequency, st.just(""), st.just(""), st.sampled_from(["weekly", "monthly"])),
    st.builds(Pause, st.just(""), st.just(""), st.integers(1, 40).map(lambda hours: START + hours * HOUR)),
    st.builds(SetAttribute, st.just("city"), st.sampled_from(["Kassel", "Bonn"])),
    st.just(OptOut()),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(acts=st.lists(st.lists(CHANGES, min_size=1, max_size=3), min_size=1, max_size=6), data=st.data())
def test_any_moment_is_what_was_stored_then(acts: list[list[Change]], data: st.DataObject) -> None:
    make_topics()
    contact = make_contact(f"p{Record.objects.count()}-{data.draw(st.uuids())}@mail.example.org")
    seen: list[tuple[datetime, dict[str, Any]]] = []
    for number, changes in enumerate(acts):
        at = START + 5 * number * HOUR
        with time_machine.travel(at, tick=False):
            for change in changes:  # one that is refused is no record
                try:
                    act(contact, change)
                except (PrefsError, ValueError):  # or a pause that would end in the past
                    continue
        seen += [(at + later, stored(contact, at + later)) for later in (timedelta(), 2 * HOUR, 4 * HOUR)]
    assert as_of(contact.pk, START - HOUR).held == {}
    for at, state in seen:
        assert told(contact, at) == state


def test_each_value_names_the_record_behind_it() -> None:
    make_topics()
    contact = make_contact()
    with time_machine.travel(START, tick=False):
        act(contact, SetChoice("news", "email", SUBSCRIBED))
    with time_machine.travel(START + HOUR, tick=False):
        act(contact, SetFrequency("", "", "weekly"))
    first, second = Record.objects.filter(contact_ref=contact.pk).order_by("seq")
    then = as_of(contact.pk, START + 2 * HOUR)
    assert then.version == 2
    assert then.held["choice:news:email"].record == first
    assert then.held["frequency:all"].record == second
    assert "frequency:all" not in as_of(contact.pk, START).held
    # The moment of a record is the first at which it holds.
    assert as_of(contact.pk, START).version == 1
    assert as_of(contact.pk, START - timedelta(microseconds=1)).version == 0


def test_what_was_erased_is_said_to_be_gone() -> None:
    make_topics()
    contact = make_contact()
    with time_machine.travel(START, tick=False):
        act(contact, SetAttribute("city", "Kassel"), SetChoice("news", "email", SUBSCRIBED))
    with time_machine.travel(START + HOUR, tick=False):
        submissions.erase(contact.pk, actor=HERSELF, source=Source(method="page"))
    then = as_of(contact.pk, START).held
    assert isinstance(then["attribute:city"].value, Gone)
    assert then["choice:news:email"].value == SUBSCRIBED


def test_a_hole_in_the_chain_is_said() -> None:
    make_topics()
    contact = make_contact()
    with time_machine.travel(START, tick=False):
        for choice in (SUBSCRIBED, UNSUBSCRIBED, SUBSCRIBED):
            act(contact, SetChoice("news", "email", choice))
    with guard.taken_down("default"):
        Record.objects.filter(contact_ref=contact.pk, seq=2).delete()
    with pytest.raises(ValueError, match="missing or out of order"):
        as_of(contact.pk, START)


def test_it_takes_four_statements_however_many_records_there_are() -> None:
    make_topics()
    contact = make_contact()
    for number in range(12):
        act(contact, SetChoice("news", "email", [SUBSCRIBED, UNSUBSCRIBED][number % 2]))
    with CaptureQueriesContext(connection) as asked:
        as_of(contact.pk, datetime.now(UTC))
    assert len(asked) == 4
