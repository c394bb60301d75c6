"""Rules that a site adds: they only make stricter, and close where they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wagtail_prefs import decide
from wagtail_prefs.decisions import answers
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.decisions.testing import CONTACT, Unsound, ask
from wagtail_prefs.decisions.values import CapFact, TopicFacts
from wagtail_prefs.topics.models import Topic

from . import site_rules
from .cases import World, cases
from .conftest import NOW, Readers

WITH = Callable[..., None]


@pytest.fixture
def with_rules(settings: Any) -> WITH:
    def add(*names: str) -> None:
        paths = [f"tests.decisions.site_rules.{name}" for name in names]
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": paths}

    return add


def test_a_rule_knows_who_is_asked_about(readers: Readers, with_rules: WITH) -> None:
    with_rules("dislikes")
    people = [readers.subscribe() for _ in range(20)]
    decided = decide(people, "news", "email")
    assert [decision.reason for decision in decided] == [
        "disliked" if contact.int % 2 else "subscribed" for contact in people
    ]


def test_a_rule_knows_who_sends_which_message(readers: Readers, with_rules: WITH) -> None:
    with_rules("campaign")
    reader = readers.subscribe()
    assert decide(reader, "news", "email").verdict == "send"
    assert decide(reader, "news", "email", sender="cart").reason == "campaign"
    assert decide(reader, "news", "email", record="cart-7").reason == "campaign"
    assert decide(reader, "news", "email", record="7", sender="news").verdict == "send"
    assert ask(site_rules.campaign, sender="cart").until == ask(site_rules.campaign, message="cart-1").until
    # Also at the end of a pause of hers.
    readers.state(reader, paused_until=NOW + timedelta(days=3), pause_version=1)
    found = decide(reader, "news", "email", sender="cart")
    assert (found.reason, found.until) == ("campaign", datetime(2026, 12, 27, tzinfo=UTC))


def test_a_rule_prepares_itself_once_for_all(
    readers: Readers, with_rules: WITH, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    prepare = site_rules.ticket.prepare
    monkeypatch.setattr(
        site_rules.ticket,
        "prepare",
        lambda self, contacts: (calls.append(list(contacts)), prepare(self, contacts))[1],
    )
    monkeypatch.setattr(answers, "CHUNK", 2)
    with_rules("ticket")
    people = [readers.subscribe() for _ in range(5)]
    decided = decide([*people, people[0]], "news", "email")
    assert calls == [people]
    assert {decision.reason for decision in decided} == {"open_ticket"}
    assert {str(decision.rule) for decision in decided} == {"A ticket is open."}


@pytest.mark.parametrize("others", [(), ("nothing",), ("ticket",)])
def test_a_rule_about_few_is_asked_about_these_alone(
    readers: Readers, with_rules: WITH, others: tuple[str, ...]
) -> None:
    with_rules("every_other", *others)
    people = sorted(readers.subscribe() for _ in range(5))
    rest = "open_ticket" if others == ("ticket",) else "subscribed"
    said = ["every_other", rest, "every_other", rest, "every_other"]
    assert [decision.reason for decision in decide(people, "news", "email")] == said
    assert [decision.reason for decision in decide(people, "news", "email", record="m")] == said


def test_the_kit_asks_a_rule_about_few_as_decide_does() -> None:
    assert ask(site_rules.every_other, prepared={CONTACT}).reason == "every_other"
    assert ask(site_rules.every_other, prepared=()).verdict == "send"
    with pytest.raises(Unsound, match="UUIDs"):
        ask(site_rules.by_text)


@pytest.mark.parametrize(
    "rule", ["by_text", "by_nothing", "broken", "unprepared", "backwards", "naive", "talkative"]
)
def test_a_rule_that_fails_sends_nothing_and_says_so_without_names(
    rule: str, readers: Readers, with_rules: WITH, caplog: pytest.LogCaptureFixture
) -> None:
    with_rules(rule, "nothing")
    people = [readers.subscribe() for _ in range(3)]
    with caplog.at_level(logging.ERROR):
        decided = decide(people, "news", "email", record="m")
    assert {(decision.verdict, decision.reason) for decision in decided} == {("refuse", "rule_failed")}
    assert not Send.objects.exists()
    (said,) = caplog.records
    assert rule in said.getMessage()
    assert "@" not in caplog.text
    assert not any(str(contact) in caplog.text for contact in people)


def test_a_failing_rule_does_not_stop_what_is_always_sent(readers: Readers, with_rules: WITH) -> None:
    with_rules("broken", "unprepared")
    assert decide(readers.make(), "orders", "email").verdict == "send"


def test_a_rule_that_is_not_there_stops_the_call(readers: Readers, with_rules: WITH) -> None:
    with_rules("no_such_rule")
    with pytest.raises(ImportError):
        decide(readers.subscribe(), "news", "email", record="m")
    assert not Send.objects.exists()


def test_a_rule_sees_all_there_is_to_know(readers: Readers, with_rules: WITH) -> None:
    """Ours look at few facts, and the others are fetched for a site's rules only."""
    with_rules("witness")
    site_rules.SEEN.clear()
    reader = readers.subscribe(readers.make(version=1, country="DE", timezone="Europe/Berlin"))
    readers.state(reader, frequency="weekly")
    last = NOW - timedelta(days=20)
    Send.objects.create(message_id="old", contact=reader, topic="news", channel="email", at=last)
    decide(reader, "news", "email")
    (seen,) = site_rules.SEEN
    topic = Topic.objects.get(key="news")
    assert (seen.contact, seen.country, seen.timezone) == (reader, "DE", "Europe/Berlin")
    assert seen.topic == TopicFacts(frozenset(topic.channels), topic.basis)
    assert len(topic.channels) > 1
    assert seen.caps == (CapFact("all", "weekly", last),)


@pytest.mark.parametrize("hours", [{}, {"email": ["21:00", "08:00"], "sms": ["00:00", "23:00"]}])
def test_what_our_rules_do_not_look_at_changes_no_answer(
    hours: dict[str, Any], with_rules: WITH, settings: Any, db: None
) -> None:
    world = World(cases())
    everybody = list(world.contacts.values())
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "QUIET_HOURS": hours}
    questions = sorted(
        {(case.question.topic, case.question.channel, case.question.at) for case in cases()}, key=str
    )
    for topic, channel, at in questions[::12]:
        with_rules()
        few = decide(everybody, topic, channel, at=at)
        with_rules("nothing")
        assert decide(everybody, topic, channel, at=at) == few
