"""Taking a submission back: her own, within its days, path by path, and never over a later no."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from tests.statements import said
from wagtail_prefs.changes import (
    Change,
    ChangeAddress,
    ClearAttribute,
    Confirm,
    GiveReason,
    OptIn,
    OptOut,
    Pause,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.errors import BadToken, KeyReused, UnknownReceipt
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.ledger.verify import verify
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")
NEWS = ("news", "email")
YES, NO = SetChoice(*NEWS, SUBSCRIBED), SetChoice(*NEWS, UNSUBSCRIBED)
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER, LATEST = datetime(2027, 2, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)


def say(scene: Scene, *changes: Change, actor: Actor = PERSON) -> Saved:
    return submissions.record(scene.contact.pk, changes, actor=actor, source=PYTHON)


def undo(scene: Scene, saved: Saved | UUID, *, key: str | None = None, epoch: int = 0) -> Saved:
    receipt = saved if isinstance(saved, UUID) else UUID(saved.receipt)
    return submissions.undo(
        link_id=scene.contact.link_id,
        epoch=epoch,
        snapshot=scene.snapshot,
        receipt=receipt,
        actor=PERSON,
        source=PYTHON,
        idempotency_key=key,
        assurance="fresh",  # attributes are on no page here, and so personal
    )


def whole(scene: Scene) -> None:
    assert differences(scene.contact.pk) == []
    assert verify().problems == []


@pytest.mark.parametrize(
    ("before", "act"),
    [
        ([], [YES]),
        ([YES], [NO]),
        ([NO], [YES]),
        ([SetChoice(*NEWS, SUBSCRIBED, LATER)], [NO]),
        ([SetChoice(*NEWS, SUBSCRIBED, LATER)], [YES]),
        ([YES, SetChoice("offers", "email", SUBSCRIBED)], [OptOut()]),
        ([YES, OptOut()], [OptIn()]),
        ([YES, OptOut()], [SetChoice("offers", "email", SUBSCRIBED)]),
        ([SetFrequency("", "", "weekly")], [SetFrequency("", "", "daily")]),
        ([], [SetFrequency("", "email", "daily")]),
        ([Pause("", "", LATER)], [Pause("", "", LATEST)]),
        ([Pause("", "", LATER)], [Resume("", "")]),
        ([SetAttribute("city", "Kassel")], [SetAttribute("city", "Bonn")]),
        ([SetAttribute("city", "Kassel")], [ClearAttribute("city")]),
        ([SetAttribute("likes", ("a", "b")), SetAttribute("child", False)], [ClearAttribute("likes")]),
        ([], [SetAttribute("language", "de"), GiveReason("other", "too much")]),
        ([SetChoice(*NEWS, PENDING)], [NO]),
    ],
)
def test_everything_is_as_it_was(scene: Scene, before: list[Change], act: list[Change]) -> None:
    with time_machine.travel(START):
        for change in before:
            say(scene, change)
        was = contacts.load_state(scene.contact.pk)
        saved = say(scene, *act)
        assert saved.receipt
        back = undo(scene, saved)
        is_ = contacts.load_state(scene.contact.pk)
    assert is_ == back.state
    assert back.yielded == ()
    # What waited for her confirmation was answered, and does not wait again.
    assert replace(is_, versions={}, version=0) == replace(
        was, versions={}, version=0, pending=frozenset(), until=is_.until
    )
    assert is_.until == was.until
    assert {effect.action for effect in back.effects} == {"restored"}
    whole(scene)


def test_the_undo_is_a_record_of_its_own_and_can_be_taken_back(scene: Scene) -> None:
    say(scene, YES)
    gone = scene.save(scene.choose(news=False))
    back = undo(scene, gone)
    assert (back.version, back.state.choices) == (3, {NEWS: SUBSCRIBED})
    assert [line.text for line in back.applied] == ["News by e-mail: subscribed"]
    record = Record.objects.get(pk=back.receipt)
    body = ledger.read_body(record)
    assert body["changes"] == [{"change": "Undo", "v": 1, "record": gone.receipt}]
    assert (record.seq, body["effects"][0]["action"]) == (3, "restored")
    again = undo(scene, back)
    assert again.state.choices == {NEWS: UNSUBSCRIBED}
    whole(scene)


@pytest.mark.parametrize(
    ("age", "possible"),
    [
        (timedelta(0), True),
        (timedelta(days=30) - timedelta(seconds=1), True),
        (timedelta(days=30), False),
        (timedelta(days=400), False),
    ],
)
def test_a_receipt_is_good_for_thirty_days(scene: Scene, age: timedelta, possible: bool) -> None:
    with time_machine.travel(START, tick=False) as clock:
        saved = scene.save(scene.choose(news=True))
        clock.move_to(START + age)
        assert [entry.undoable for entry in submissions.history(scene.contact.pk, scene.snapshot)] == [
            possible
        ]
        if possible:
            assert undo(scene, saved).state.choices == {}
        else:
            with pytest.raises(UnknownReceipt):
                undo(scene, saved)
            with override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "UNDO_DAYS": 500}):
                assert undo(scene, saved).state.choices == {}


def test_nobody_takes_back_what_is_not_hers(scene: Scene) -> None:
    other = replace(scene, contact=factories.make_contact("bea@mail.example.org"))
    hers = other.save(other.choose(news=True))
    mine = scene.save(scene.choose(news=True))
    for receipt in (UUID(hers.receipt), uuid.uuid4(), scene.contact.pk):
        with pytest.raises(UnknownReceipt):
            undo(scene, receipt)
    with pytest.raises(BadToken):
        undo(scene, mine, epoch=1)
    assert [contacts.load_state(one.contact.pk).version for one in (scene, other)] == [1, 1]


@pytest.mark.parametrize("final", ["address", "erasure"])
def test_what_is_final_is_taken_back_by_nothing(scene: Scene, final: str) -> None:
    if final == "address":
        saved = say(scene, YES, ChangeAddress("new@mail.example.org"))
        error: type[Exception] = UnknownReceipt
    else:
        saved = submissions.erase(scene.contact.pk, actor=PERSON, source=PYTHON)
        error = BadToken
    with pytest.raises(error):
        undo(scene, saved, epoch=1 if final == "address" else 0)  # another address calls her old links back
    assert not submissions.history(scene.contact.pk, scene.snapshot)[0].undoable


def test_the_same_key_undoes_once(scene: Scene) -> None:
    say(scene, YES)
    gone = scene.save(scene.choose(news=False))
    first = undo(scene, gone, key="once")
    scene.save(scene.choose(news=False))
    again = undo(scene, gone, key="once")
    assert (again.receipt, again.version, again.applied) == (first.receipt, first.version, first.applied)
    assert again.state.choices == {NEWS: UNSUBSCRIBED}
    with pytest.raises(KeyReused):
        undo(scene, first, key="once")
    assert Record.objects.count() == 4


def test_undoing_twice_changes_nothing_more(scene: Scene) -> None:
    say(scene, YES)
    gone = scene.save(scene.choose(news=False))
    undo(scene, gone)
    second = undo(scene, gone)
    assert second.receipt is None
    assert [(item.path, item.kept, item.rule) for item in second.yielded] == [
        ("choice:news:email", SUBSCRIBED, "changed")
    ]
    assert Record.objects.count() == 3


def test_a_later_no_stands_and_the_rest_is_restored(scene: Scene) -> None:
    scene.save(scene.choose(news=True, offers=True))
    left = scene.save({scene.leave: {"opted_out": True}})
    scene.save(scene.choose(news=True))
    scene.save(scene.choose(news=False))
    saved = undo(scene, left)
    assert saved.state.choices == {NEWS: UNSUBSCRIBED, ("offers", "email"): SUBSCRIBED}
    rules = {item.path: item.rule for item in saved.yielded}
    assert rules["choice:news:email"] == "refused"
    words = [line.text for line in saved.merged if line.path.endswith("news.email")]
    assert words == ["News by e-mail: not brought back, because you said no to it later."]
    whole(scene)


def test_a_personal_value_comes_back_and_an_erased_one_does_not(scene: Scene) -> None:
    say(scene, SetAttribute("city", "Kassel"), SetAttribute("shoe", 38))
    moved = say(scene, SetAttribute("city", "Bonn"), SetAttribute("shoe", 40))
    old = Record.objects.get(seq=1)
    SideValue.objects.filter(record=old.pk, name="attribute:shoe").delete()  # retention has been there
    saved = undo(scene, moved)
    assert saved.state.attributes == {"city": "Kassel", "shoe": 40}
    assert [(item.path, item.rule) for item in saved.yielded] == [("attribute:shoe", "erased")]
    record = Record.objects.get(pk=saved.receipt)
    assert "Kassel" not in record.body
    assert (
        SideValue.objects.get(record=record.pk, name="attribute:city").value
        == '{"after":"Kassel","before":"Bonn"}'
    )
    whole(scene)


def test_a_side_value_that_was_tampered_with_is_not_restored(scene: Scene) -> None:
    say(scene, SetAttribute("city", "Kassel"))
    moved = say(scene, SetAttribute("city", "Bonn"))
    first = Record.objects.get(seq=1)
    SideValue.objects.filter(record=first.pk).update(value='{"after":"Eve","before":null}')
    saved = undo(scene, moved)
    assert saved.state.attributes == {"city": "Bonn"}
    assert [item.rule for item in saved.yielded] == ["erased"]


def test_a_pause_that_has_ended_is_not_brought_back(scene: Scene) -> None:
    with time_machine.travel(START, tick=False) as clock:
        say(scene, Pause("", "", START + timedelta(days=2)))
        resumed = say(scene, Resume("", ""))
        clock.move_to(START + timedelta(days=3))
        assert undo(scene, resumed).state.pauses == {}
    whole(scene)


def test_a_confirmed_sign_up_is_taken_back_and_does_not_wait_again(scene: Scene) -> None:
    say(scene, SetChoice(*NEWS, PENDING), actor=Actor(ActorType.API, "form"))
    given = say(scene, Confirm(*NEWS))
    state = undo(scene, given).state
    assert (state.choices, state.pending) == ({}, frozenset())
    whole(scene)


def test_what_staff_or_an_import_did_she_may_take_back(scene: Scene) -> None:
    say(scene, YES)
    done = say(scene, NO, actor=Actor(ActorType.ADMIN, "staff"))
    assert undo(scene, done).state.choices == {NEWS: SUBSCRIBED}


STATEMENTS = [
    "UPDATE contact",  # the lock
    "SELECT record",  # state, previous record, idempotency key
    "SELECT record",  # what is to be taken back
    "SELECT record",  # the chain before it
    "SELECT sidevalue",
    "SELECT record",  # the chain with it
    "SELECT sidevalue",
    "SELECT record",  # whether she left since
    "INSERT state",
    "INSERT record",
    "UPDATE waiting",  # what waits for the frequency that was there is looked at
    "INSERT delivery",
]


@pytest.mark.parametrize("length", [0, 40])
def test_the_statements_of_an_undo_are_these_however_long_the_history(scene: Scene, length: int) -> None:
    for number in range(length):
        say(scene, SetChoice("offers", "email", UNSUBSCRIBED if number % 2 else SUBSCRIBED))
    scene.save({**scene.choose(news=True, events=True), scene.frequency: {"frequency": {"all": "weekly"}}})
    gone = scene.save({**scene.choose(news=False), scene.frequency: {"frequency": {"all": "monthly"}}})
    with CaptureQueriesContext(connection) as captured:
        undo(scene, gone, key="k")
    found = [(sql.split()[0], re.search(r"wagtail_prefs_(\w+)", sql)) for sql in said(captured)]
    assert [f"{verb} {table[1] if table else ''}" for verb, table in found] == STATEMENTS


def test_an_undo_with_a_personal_value_is_one_statement_more(scene: Scene) -> None:
    say(scene, SetAttribute("city", "Kassel"))
    moved = say(scene, SetAttribute("city", "Bonn"))
    with CaptureQueriesContext(connection) as captured:
        undo(scene, moved)
    without_waiting = len(STATEMENTS) - 1  # nobody waits for the end of a city
    assert len(said(captured)) == without_waiting + 1


def test_a_minute_is_enough_for_two_tabs(scene: Scene) -> None:
    """One takes back, the other saves what the first has just taken back: the later wish stands."""
    first = scene.save(scene.choose(news=True))
    undo(scene, first)
    saved = scene.save(scene.choose(news=True), base=1)
    assert saved.state.choices == {NEWS: SUBSCRIBED}
    assert timezone.now() - Record.objects.get(seq=3).at < timedelta(minutes=1)
    whole(scene)
