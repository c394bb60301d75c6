"""Rules that a site adds: they only make stricter, and close where they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from wagtail_prefs import decide
from wagtail_prefs.decisions.models import Send

from .conftest import Readers

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


def test_a_rule_prepares_itself_once_for_all(
    readers: Readers, with_rules: WITH, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.decisions import site_rules
    from wagtail_prefs.decisions import services

    calls = []
    prepare = site_rules.ticket.prepare
    monkeypatch.setattr(
        site_rules.ticket,
        "prepare",
        lambda self, contacts: (calls.append(list(contacts)), prepare(self, contacts))[1],
    )
    monkeypatch.setattr(services, "CHUNK", 2)
    with_rules("ticket")
    people = [readers.subscribe() for _ in range(5)]
    decided = decide([*people, people[0]], "news", "email")
    assert calls == [people]
    assert {decision.reason for decision in decided} == {"open_ticket"}
    assert {str(decision.rule) for decision in decided} == {"A ticket is open."}


@pytest.mark.parametrize("rule", ["broken", "unprepared", "backwards", "naive", "talkative"])
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
