"""A no to a channel as a whole, from the lock to the decision: what it takes, what it leaves, what brings it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.statements import said
from wagtail_prefs import decide
from wagtail_prefs.changes import Change, Confirm, OptIn, OptOut, SetChoice, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.errors import InvalidAnswers, NotAllowed
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SMS, NEWS, OFFERS = ("", "sms"), ("news", "sms"), ("offers", "sms")
NO = SetChoice(*SMS, UNSUBSCRIBED)


@pytest.fixture(autouse=True)
def clock() -> Any:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def say(scene: Scene, *changes: Change, actor: Actor = PERSON, evidence: Evidence | None = None) -> Saved:
    source = Source(method="python", evidence=evidence)
    return submissions.record(scene.contact.pk, changes, actor=actor, source=source)


def take_back(scene: Scene, saved: Saved) -> Saved:
    return submissions.undo(
        link_id=scene.contact.link_id,
        epoch=0,
        snapshot=scene.snapshot,
        receipt=UUID(saved.receipt),
        actor=PERSON,
        source=Source(method="python"),
        idempotency_key=None,
    )


def answers(scene: Scene, sms: str | None = None, **topics: bool) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if sms:
        found[scene.channels] = {"channels": {"sms": sms}}
    if topics:
        found[scene.topics] = {"choices": {topic: {"sms": value} for topic, value in topics.items()}}
    return found


def test_what_the_page_says_is_what_senders_are_told(scene: Scene) -> None:
    scene.save(answers(scene, news=True, offers=True))
    no = scene.save(answers(scene, sms="no"))
    assert {line.text for line in no.applied} == {
        "Text messages at all: unsubscribed",
        "News by text message: unsubscribed",
        "Offers by text message: unsubscribed",
    }
    refused = decide(scene.contact.pk, "news", "sms")
    assert (refused.reason, str(refused.record), refused.static) == ("channel_refused", no.receipt, True)
    yes = scene.save(answers(scene, news=True))
    told = decide(scene.contact.pk, "news", "sms")
    assert (told.reason, str(told.record)) == ("subscribed", yes.receipt)
    assert decide(scene.contact.pk, "offers", "sms").reason == "channel_refused"
    assert decide(scene.contact.pk, "news", "email").reason == "no_consent"
    scene.save(answers(scene, sms="yes"))
    assert decide(scene.contact.pk, "news", "sms").reason == "subscribed"
    assert decide(scene.contact.pk, "offers", "sms").reason == "unsubscribed"
    assert differences(scene.contact.pk) == []


def test_a_no_and_a_yes_to_one_of_its_topics_in_one_save_are_asked_back(scene: Scene) -> None:
    with pytest.raises(InvalidAnswers) as refused:
        scene.save(answers(scene, sms="no", news=True))
    assert refused.value.errors.keys() == {scene.channels, scene.topics}
    assert refused.value.errors[scene.channels].keys() == {"channels.sms"}
    scene.save(answers(scene, sms="no", news=False))
    scene.save(answers(scene, sms="yes", news=True))


def test_the_row_keeps_what_it_holds_for_the_scope(scene: Scene) -> None:
    say(scene, SetFrequency("", "sms", "weekly"))
    say(scene, NO)
    say(scene, SetFrequency("", "sms", "monthly"))
    state = contacts.load_state(scene.contact.pk)
    assert (state.choices, state.frequencies) == ({SMS: UNSUBSCRIBED}, {SMS: "monthly"})
    assert (state.versions["choice::sms"], state.versions["frequency:channel:sms"]) == (2, 3)


def test_a_no_costs_no_statement_more(scene: Scene) -> None:
    scene.save(answers(scene, news=True, offers=True))
    scene.save(answers(scene, sms="yes"))  # whatever is remembered, is
    with CaptureQueriesContext(connection) as queries:
        scene.save(answers(scene, sms="no"), base=2)
    assert len(said(queries)) <= 6


def test_a_stale_yes_stays_behind_a_no_to_its_channel(scene: Scene) -> None:
    scene.save(answers(scene, sms="no"))
    stale = scene.save(answers(scene, news=True), base=0)
    assert [(item.path, item.kept, item.rule) for item in stale.yielded] == [
        ("choice:news:sms", UNSUBSCRIBED, "stricter")
    ]
    assert stale.state.choices == {SMS: UNSUBSCRIBED, NEWS: UNSUBSCRIBED}


def test_evidence_must_be_younger_than_her_word_on_the_channel(
    scene: Scene, clock: time_machine.Traveller
) -> None:
    say(scene, NO)
    clock.shift(2 * HOUR)
    job, yes = Actor(ActorType.IMPORT, "sheet"), SetChoice(*NEWS, SUBSCRIBED)
    for moment in (START - HOUR, START):
        with pytest.raises(NotAllowed):
            say(scene, yes, actor=job, evidence=Evidence("sheet 7", moment))
        with pytest.raises(NotAllowed):
            say(scene, SetChoice(*SMS, SUBSCRIBED), actor=job, evidence=Evidence("sheet 7", moment))
    with pytest.raises(NotAllowed):
        say(scene, SetChoice(*SMS, SUBSCRIBED), actor=job)
    shown = say(scene, yes, actor=job, evidence=Evidence("sheet 7", START + HOUR))
    assert shown.state.choices == {SMS: UNSUBSCRIBED, NEWS: SUBSCRIBED}


def test_anybody_may_say_no_for_her_and_a_platform_too(scene: Scene) -> None:
    say(scene, SetChoice(*NEWS, SUBSCRIBED))
    assert say(scene, NO, actor=Actor(ActorType.BACKEND, "crm")).state.choices[NEWS] == UNSUBSCRIBED


def test_undo_brings_back_what_the_no_took(scene: Scene) -> None:
    say(scene, SetChoice(*NEWS, SUBSCRIBED))
    no = say(scene, NO)
    back = take_back(scene, no)
    assert back.state.choices == {NEWS: SUBSCRIBED}
    assert differences(scene.contact.pk) == []


def test_undo_goes_over_no_later_no_to_the_channel_also_if_that_was_taken_back(scene: Scene) -> None:
    say(scene, SetChoice(*NEWS, SUBSCRIBED))
    left = say(scene, SetChoice(*NEWS, UNSUBSCRIBED))
    say(scene, NO)
    for _ in range(2):
        kept = take_back(scene, left)
        assert [(item.path, item.rule) for item in kept.yielded] == [("choice:news:sms", "refused")]
        assert kept.state.choices[NEWS] == UNSUBSCRIBED
        say(scene, SetChoice(*SMS, SUBSCRIBED))


def test_a_no_that_an_undo_brings_back_leaves_the_exceptions_from_before(scene: Scene) -> None:
    say(scene, NO)
    say(scene, SetChoice(*NEWS, SUBSCRIBED))
    yes = say(scene, SetChoice(*SMS, SUBSCRIBED))
    say(scene, SetChoice(*OFFERS, SUBSCRIBED))
    back = take_back(scene, yes)
    assert back.state.choices == {SMS: UNSUBSCRIBED, NEWS: SUBSCRIBED, OFFERS: UNSUBSCRIBED}


def test_a_request_waits_for_her_and_ends_by_itself(scene: Scene, clock: time_machine.Traveller) -> None:
    say(scene, NO)
    form = Actor(ActorType.API, "sign-up")
    waits = say(scene, SetChoice(*SMS, PENDING, START + HOUR), actor=form)
    assert (waits.state.choices, waits.state.pending) == ({SMS: UNSUBSCRIBED}, {SMS})
    clock.shift(2 * HOUR)
    assert submissions.expire_due() == 1
    assert contacts.load_state(scene.contact.pk).pending == frozenset()
    say(scene, SetChoice(*SMS, PENDING, START + 9 * HOUR), actor=form)
    assert say(scene, Confirm(*SMS)).state.choices == {SMS: SUBSCRIBED}


def test_leaving_everything_takes_the_channels_too_and_brings_none_back(scene: Scene) -> None:
    say(scene, SetChoice(*SMS, SUBSCRIBED))
    assert say(scene, OptOut()).state.choices == {SMS: UNSUBSCRIBED}
    assert say(scene, OptIn()).state.choices == {SMS: UNSUBSCRIBED}
    assert decide(scene.contact.pk, "news", "sms").reason == "channel_refused"
