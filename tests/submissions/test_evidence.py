"""What others show of her own acts: it counts where it has a name and is younger than every no it would lift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.statements import said
from wagtail_prefs.changes import (
    Change,
    ChangeAddress,
    Confirm,
    OptIn,
    OptOut,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.errors import NotAllowed
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
NEWS = ("news", "email")
YES, NO = SetChoice(*NEWS, SUBSCRIBED), SetChoice(*NEWS, UNSUBSCRIBED)
OFFERS = SetChoice("offers", "email", SUBSCRIBED)
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
JOB = Actor(ActorType.IMPORT, "import-7")
OTHERS = [kind for kind in ActorType if not Actor(kind).is_subject]


class Day:
    """One thing an hour, beginning at noon."""

    def __init__(self, scene: Scene, clock: time_machine.Traveller) -> None:
        self.scene, self.clock = scene, clock

    def she(self, *changes: Change) -> None:
        for change in changes:
            submissions.record(self.scene.contact.pk, [change], actor=PERSON, source=Source(method="python"))
            self.clock.shift(HOUR)

    def shown(self, *changes: Change, at: datetime, actor: Actor = JOB) -> Saved:
        source = Source(method="import", evidence=Evidence("sheet 7", at))
        return submissions.record(self.scene.contact.pk, changes, actor=actor, source=source)


@pytest.fixture
def day(scene: Scene) -> Any:
    with time_machine.travel(START, tick=False) as clock:
        yield Day(scene, clock)


@pytest.mark.parametrize("kind", OTHERS)
def test_evidence_with_a_name_counts_as_her_own_act(day: Day, kind: ActorType) -> None:
    day.she(NO)
    saved = day.shown(YES, OFFERS, at=START + HOUR / 2, actor=Actor(kind, "somebody"))
    assert saved.state.choices == {NEWS: SUBSCRIBED, ("offers", "email"): SUBSCRIBED}
    body = ledger.read_body(Record.objects.get(pk=saved.receipt))
    assert (body["evidence_ref"], body["evidence_at"]) == ("sheet 7", "2026-11-22T12:30:00.000000Z")
    assert body["actor"] == {"type": kind.value, "id": "somebody"}
    assert {effect.action for effect in saved.effects} == {"given"}
    assert differences(day.scene.contact.pk) == []


@pytest.mark.parametrize("kind", OTHERS)
def test_without_a_name_it_shows_nothing(day: Day, kind: ActorType) -> None:
    with pytest.raises(NotAllowed):
        day.shown(YES, at=START, actor=Actor(kind))
    assert not Record.objects.exists()


#: noon: the first of her acts; one more each hour
@pytest.mark.parametrize(
    ("acts", "at", "asked", "counts"),
    [
        ([NO], -1, YES, False),
        ([NO], 0, YES, False),  # at the same moment: the no stands
        ([NO], 0.5, YES, True),
        ([NO], 1, YES, True),
        ([NO], 1.5, YES, False),  # from the future
        ([YES, NO], 0.5, YES, False),  # between the two
        ([NO, YES, NO], 1.5, YES, False),
        ([OptOut()], -1, YES, False),  # never asked about, but she left
        ([OptOut()], 0.5, YES, True),
        ([OptOut()], 0.5, OptIn(), True),
        ([OptOut()], -1, OptIn(), False),
        ([NO, OptOut()], 0.5, YES, False),
        ([OptOut(), OptIn()], -1, YES, False),  # lifting an opt-out brings nothing back
        ([OptOut(), OptIn()], 1.5, YES, True),
        ([NO], -1, OFFERS, True),  # her no is about another topic
        ([], -9999, YES, True),
    ],
)
def test_evidence_is_younger_than_every_no_it_lifts(
    day: Day, acts: list[Change], at: float, asked: Change, counts: bool
) -> None:
    day.she(*acts)
    before = contacts.load_state(day.scene.contact.pk)
    moment = START + at * HOUR
    if counts:
        after = day.shown(asked, at=moment).state
        assert not after.opted_out
        assert isinstance(asked, OptIn) or after.choices[asked.key] == SUBSCRIBED
    else:
        with pytest.raises(NotAllowed):
            day.shown(asked, at=moment)
        assert contacts.load_state(day.scene.contact.pk) == before


def test_one_wish_that_is_not_shown_stops_them_all(day: Day) -> None:
    """A file's row is one statement of hers: half of it would be an invention."""
    day.she(NO)
    with pytest.raises(NotAllowed):
        day.shown(OFFERS, YES, SetFrequency("", "", "weekly"), at=START - HOUR)
    assert Record.objects.count() == 1


def test_old_evidence_may_still_make_things_stricter(day: Day) -> None:
    day.she(YES)
    saved = day.shown(
        NO, SetFrequency("", "", "monthly"), SetAttribute("city", "Kassel"), at=START - 99 * HOUR
    )
    assert saved.state.choices == {NEWS: UNSUBSCRIBED}


def test_evidence_confirms_nothing_in_her_place(day: Day) -> None:
    """Whether the address is hers, only a link that was mailed there shows."""
    day.shown(SetChoice(*NEWS, PENDING), at=START)
    with pytest.raises(NotAllowed):
        day.shown(Confirm(*NEWS), at=START)
    assert contacts.load_state(day.scene.contact.pk).pending == {NEWS}


def test_a_platform_needs_evidence_for_more_mail_as_well(day: Day) -> None:
    day.she(SetFrequency("", "", "monthly"))
    crm = Actor(ActorType.BACKEND, "crm")
    with pytest.raises(NotAllowed):
        day.shown(SetFrequency("", "", "daily"), at=START - HOUR, actor=crm)
    assert day.shown(SetFrequency("", "", "daily"), at=START + HOUR, actor=crm).state.frequencies == {
        ("", ""): "daily"
    }


def test_an_address_is_changed_by_evidence_but_not_a_suppressed_one(day: Day) -> None:
    saved = day.shown(ChangeAddress("new@mail.example.org"), at=START)
    assert Contact.objects.get().email == "new@mail.example.org"
    assert "new@" not in Record.objects.get(pk=saved.receipt).body
    Contact.objects.update(suppressed=True)
    with pytest.raises(NotAllowed):
        day.shown(ChangeAddress("newer@mail.example.org"), at=START)


def test_a_yes_that_stands_takes_no_harm(day: Day) -> None:
    day.she(YES)
    saved = day.shown(YES, at=START - HOUR)
    assert saved.receipt is None
    assert saved.state.choices == {NEWS: SUBSCRIBED}


def test_evidence_costs_one_statement_more(day: Day) -> None:
    def statements(evidence: bool) -> int:
        with CaptureQueriesContext(connection) as captured:
            if evidence:
                day.shown(YES, at=START + HOUR / 2)
            else:
                day.she(NO)
        return len(said(captured))

    assert statements(evidence=False) == 5
    assert statements(evidence=True) == 6
