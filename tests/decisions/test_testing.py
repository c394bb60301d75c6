"""The kit for rules of a site: it answers as `decide` does, and says what is wrong with a rule that cannot be relied on."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from wagtail_prefs import decide
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions import testing
from wagtail_prefs.decisions.services import Facts, Question, Rule, Ruling, Verdict, defer, refuse
from wagtail_prefs.decisions.testing import AT, CONTACT, Unsound, ask, assert_prepares_in
from wagtail_prefs.decisions.values import CapFact, PauseFact, Standing, TopicFacts

from . import site_rules
from .conftest import Readers
from .test_custom import WITH, with_rules

__all__ = ["with_rules"]


def said(reason: Any = "closed", words: Any = "We are closed.", **more: Any) -> Any:
    return lambda _facts, _question, _prepared: Ruling(Verdict.REFUSE, reason, words, **more)


# --- what it answers -------------------------------------------------------------------------------------------------


def test_a_class_an_instance_and_a_function_are_asked() -> None:
    assert ask(site_rules.ticket, prepared={CONTACT}).reason == "open_ticket"
    assert ask(site_rules.ticket(), prepared=set()) == (
        CONTACT, "send", "subscribed", "The contact has subscribed to this.", None, None, False,
    )  # fmt: skip
    assert ask(site_rules.ticket).reason == "open_ticket"  # it prepared itself
    december = datetime(2026, 12, 24, 9, tzinfo=UTC)
    assert ask(site_rules.holidays).verdict == "send"
    found = ask(site_rules.holidays, at=december)
    assert (found.verdict, found.until) == ("defer", datetime(2026, 12, 27, tzinfo=UTC))


def test_ours_are_asked_before_hers() -> None:
    for fields, reason in (
        ({"choice": "unsubscribed"}, "unsubscribed"),
        ({"choice": ""}, "no_consent"),
        ({"opted_out": True}, "opted_out"),
        ({"standing": Standing.ERASED}, "erased"),
        ({"suppressed": True}, "suppressed"),
        ({"channel": "fax"}, "not_offered"),
        ({"about": TopicFacts(frozenset(["email"]), "consent", transactional=True)}, "transactional"),
    ):
        assert ask(site_rules.broken, **fields).reason == reason


def test_a_wait_of_hers_and_one_of_ours_are_heard_together() -> None:
    sunday = datetime(2026, 11, 29, 12, tzinfo=UTC)
    pause = (PauseFact("all", sunday + timedelta(hours=2)),)
    found = ask(site_rules.sundays, at=sunday, pauses=pause)
    assert (found.reason, found.until) == ("sunday", datetime(2026, 11, 30, tzinfo=UTC))
    caps = (CapFact("all", "weekly", sunday - timedelta(days=1)),)
    assert ask(site_rules.nothing, at=sunday, caps=caps, timezone="UTC").verdict == "digest"
    # Out of the pause into the Sunday.
    found = ask(site_rules.sundays, pauses=(PauseFact("all", sunday),))
    assert (found.reason, found.until) == ("paused", datetime(2026, 11, 30, tzinfo=UTC))


@pytest.mark.parametrize("name", ["ticket", "holidays", "sundays", "batch", "dislikes", "nothing"])
@pytest.mark.parametrize("fields", [{}, {"country": "DE"}, {"email_dead_at": AT}])
def test_decide_answers_the_same(
    name: str, fields: dict[str, Any], readers: Readers, with_rules: WITH
) -> None:
    with_rules(name)
    reader = readers.subscribe(readers.make(version=1, **fields))
    facts = {"email_dead": "email_dead_at" in fields, "country": fields.get("country", "")}
    assert Contact.objects.filter(pk=reader, **fields).exists()
    real = decide(reader, "news", "email")
    assert ask(getattr(site_rules, name), contact=reader, at=AT, **facts) == real._replace(record=None)


def test_what_is_asked_about_is_what_was_given() -> None:
    site_rules.SEEN.clear()
    ask(
        site_rules.witness,
        topic="offers",
        country="DE",
        timezone="Europe/Berlin",
        about=TopicFacts(frozenset(["email"]), "contract"),
    )
    assert {(seen.contact, seen.country, seen.timezone, seen.topic and seen.topic.basis) for seen in site_rules.SEEN} == {
        (CONTACT, "DE", "Europe/Berlin", "contract")
    }  # fmt: skip


def test_several_rules_are_asked_in_order() -> None:
    assert ask(said("one"), said("two")).reason == "one"
    assert ask(site_rules.nothing, said("two")).reason == "two"
    for arguments in ((), (said(), said())):
        with pytest.raises(TypeError):
            ask(*arguments, prepared=set())
    with pytest.raises(TypeError, match="cannot be called"):
        ask(3)
    with pytest.raises(TypeError):
        ask(said(), nonsense=True)
    with pytest.raises(ValueError, match="time zone"):
        ask(said(), at=datetime(2026, 11, 25))  # noqa: DTZ001 - that is what is wrong


# --- what is wrong with a rule ---------------------------------------------------------------------------------------


def restless(_facts: Facts, question: Question, _prepared: Any) -> Ruling:
    return defer(question.at + timedelta(hours=1), "restless", "Not now.")


def by_the_clock(_facts: Facts, _question: Question, _prepared: Any) -> Ruling:
    return refuse("clock", f"It is {time.monotonic_ns()}.")


_turns = itertools.cycle([True, False])


def by_turns(_facts: Facts, _question: Question, _prepared: Any) -> Ruling | None:
    return refuse("turns", "Every second time.") if next(_turns) else None


class Forgetful(Rule):
    """Says that time changes nothing, and it does."""

    code = "forgetful"
    words = "Not this week."
    static = True

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        return self.refuse() if question.at < AT + timedelta(days=7) else None


class Patient(Rule):
    code = "patient"
    words = "Later."
    static = True

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        return self.wait(Verdict.DEFER, max(question.at, AT) + timedelta(days=1))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (site_rules.generous, "only make stricter"),
        (site_rules.backwards, "not later than the one asked about"),
        (site_rules.naive, "without a time zone"),
        (site_rules.talkative, "neither None nor a ruling"),
        (lambda *_: True, "neither None nor a ruling"),
        (lambda *_: Ruling(Verdict.DEFER, "wait", "Wait."), "not until a moment"),
        (said(until=AT + timedelta(days=1)), "what may go out later is a wait"),
        (restless, "never lets go"),
        (by_the_clock, "in two ways"),
        (by_turns, "in two ways"),
        (Forgetful, "something else 200 days"),
        (Patient, "static, and waits"),
        (said(reason=""), "its code"),
        (said(reason=None), "its code"),
        (said(reason="x" * 65), "its code"),
        (said(reason="paused"), "a code of ours"),
        (said(reason="rule_failed"), "a code of ours"),
        (said(words=""), "nothing in words"),
        (said(words=None), "nothing in words"),
    ],
)
def test_a_bad_rule_is_told_what_is_wrong_with_it(rule: Any, words: str) -> None:
    with pytest.raises(Unsound, match=words):
        ask(rule)


@pytest.mark.parametrize("name", ["backwards", "naive", "talkative", "generous"])
def test_what_the_kit_finds_unsound_decide_does_not_follow(
    name: str, readers: Readers, with_rules: WITH
) -> None:
    with_rules(name)
    answer = decide(readers.subscribe(), "news", "email")
    assert answer.reason == ("subscribed" if name == "generous" else "rule_failed")


def test_what_a_rule_raises_comes_through() -> None:
    with pytest.raises(LookupError):
        ask(site_rules.broken)
    with pytest.raises(ConnectionError):
        ask(site_rules.unprepared)
    assert ask(site_rules.unprepared, prepared=None).verdict == "send"


# --- statements ------------------------------------------------------------------------------------------------------


class InOne(Rule):
    code = "in_one"
    words = "Known."

    def prepare(self, contacts: Sequence[UUID]) -> set[UUID]:
        return set(Contact.objects.filter(pk__in=contacts).values_list("pk", flat=True))

    def __call__(self, facts: Facts, question: Question, prepared: set[UUID]) -> Ruling | None:
        return self.refuse() if facts.contact in prepared else None


class OneByOne(InOne):
    def prepare(self, contacts: Sequence[UUID]) -> set[UUID]:
        return {contact for contact in contacts if Contact.objects.filter(pk=contact).exists()}


@pytest.mark.django_db
def test_statements_of_prepare_are_counted() -> None:
    assert_prepares_in(InOne, 1)
    assert_prepares_in(InOne(), 3)
    assert_prepares_in(site_rules.nothing, 0)
    assert_prepares_in(site_rules.ticket, 0)
    with pytest.raises(
        AssertionError, match=r"InOne.prepare makes 1 statements for 1 contacts, not 0:\n.*SELECT"
    ):
        assert_prepares_in(InOne, 0)
    with pytest.raises(AssertionError, match="1000 statements for 1000 contacts"):
        assert_prepares_in(OneByOne, 1)


def test_prepare_is_called_once() -> None:
    calls: list[list[UUID]] = []

    class Counting(InOne):
        def prepare(self, contacts: Sequence[UUID]) -> set[UUID]:
            calls.append(list(contacts))
            return {*contacts}

    assert ask(Counting).reason == "in_one"
    assert calls == [[CONTACT]]


def test_what_is_public_is_there() -> None:
    assert all(getattr(testing, name) for name in testing.__all__)
