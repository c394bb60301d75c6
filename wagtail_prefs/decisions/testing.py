"""Tests of a site's rules: what `decide` would answer about somebody who exists in the test only. No database is asked.

    from wagtail_prefs.decisions.testing import CONTACT, ask

    def test_who_waits_for_an_answer_gets_no_offers():
        assert ask(OpenTicket, prepared={CONTACT}).reason == "open_ticket"
        assert ask(OpenTicket, prepared=set()).verdict == "send"

For tests of sites; no package of ours imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connections
from django.test.utils import CaptureQueriesContext

from ..values import SUBSCRIBED
from . import custom
from .answers import checked, names
from .rules import LAST, RULES, Asked, Rule, judge, prepared as prepare_all
from .values import Decision, Facts, Question, Ruling, Standing, TopicFacts, Verdict

__all__ = ["AT", "CONTACT", "Unsound", "ask", "assert_prepares_in"]

#: Whom a test asks about where it names nobody, and when: a Wednesday at noon.
CONTACT = UUID("00000000-0000-4000-8000-000000000001")
AT = datetime(2026, 11, 25, 12, tzinfo=UTC)

#: As many contacts as one call of a sender may have.
MANY = 1000
#: A rule that is static says at these distances what it says now.
_LATER = (timedelta(hours=7), timedelta(days=3), timedelta(days=200))
_MAX_REASON = 64
_UNPREPARED = object()


class Unsound(AssertionError):
    """The rule does what `decide` would not accept, or not understand: it says what."""


def ask(
    *rules: Any,
    prepared: Any = _UNPREPARED,
    topic: str = "news",
    channel: str = "email",
    at: datetime = AT,
    contact: UUID = CONTACT,
    choice: str = SUBSCRIBED,
    message: str = "",
    sender: str = "",
    about: TopicFacts | None = None,
    **facts: Any,
) -> Decision:
    """What `decide` answers with these rules behind ours: functions, `Rule`s, or classes of them.

    About a contact who has said yes to the topic on this channel and whom nothing else holds back. `facts` are further
    fields of `Facts` (`country`, `timezone`, `pauses`, `caps` ...); `about` is what the topic is: by default one that
    comes by the channel with consent. `prepared` is what the rule's `prepare` would return; left out, `prepare` is
    called, once, and may want the database.

    Raises Unsound where `decide` would refuse with `rule_failed` or not hear the rule, and for what could not be
    relied upon: another answer to the same question, a wait that never ends, a code that is none. What a rule raises
    comes through as it is. Rules are asked only about what ours would send.
    """
    if not rules:
        raise TypeError("name at least one rule")
    if prepared is not _UNPREPARED and len(rules) > 1:
        raise TypeError("`prepared` is of one rule: ask about one")
    question = Question(*names(topic, channel), checked(at), message, sender)
    whole = Facts(
        contact,
        **{
            "standing": Standing.KNOWN,
            "topic": about or TopicFacts(frozenset([channel]), "consent"),
            "choice": choice,
            **facts,
        },
    )
    hers = [_Strict(custom.as_rule(rule, _name(rule))) for rule in rules]
    ready = [(rule, rule.prepare([contact]) if prepared is _UNPREPARED else prepared) for rule in hers]
    asked = Asked.of([*prepare_all(RULES, [contact]).rules, *ready])
    ruling = judge(whole, question, asked)
    _check_end(ruling, whole, question, asked, hers)
    return Decision.of(contact, ruling, None)


def assert_prepares_in(rule: Any, statements: int) -> None:
    """That `prepare` needs no more statements than this, for one contact and for a thousand. Wants the database.

    A sender asks about a thousand at once, and each statement for each of them would be a thousand statements.
    Raises AssertionError with the statements where there are more.
    """
    prepare = getattr(custom.as_rule(rule, _name(rule)), "prepare", None)
    if prepare is None:
        return
    for number in (1, MANY):
        made = _statements(prepare, [uuid4() for _ in range(number)])
        if len(made) > statements:
            first = "\n".join(made[:5])
            raise AssertionError(
                f"{_name(rule)}.prepare makes {len(made)} statements for {number} contacts, not {statements}:\n{first}"
            )


class _Strict(Rule):
    """A rule that is held to what it may do. Unlike `custom.Guarded`, it says what is wrong."""

    def __init__(self, rule: custom.SiteRule) -> None:
        self.rule = rule
        self.name = _name(rule)

    def prepare(self, contacts: Sequence[UUID]) -> Any:
        prepare = getattr(self.rule, "prepare", None)
        return prepare(contacts) if prepare else None

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        if custom.is_of_few(self.rule) and not self._speaks_of(facts.contact, prepared):
            return None
        answer = self.rule(facts, question, prepared)
        if wrong := custom.flaw(answer, question):
            raise Unsound(f"{self.name}: {wrong}")
        if _said(answer) != _said(self.rule(facts, question, prepared)):
            raise Unsound(
                f"{self.name} answers the same question in two ways: ask `question.at`, and not the clock"
            )
        if answer is None:
            return None
        ruling: Ruling = answer
        self._check_words(ruling)
        if ruling.static:
            self._check_static(ruling, facts, question, prepared)
        return ruling

    def _speaks_of(self, contact: UUID, prepared: Any) -> bool:
        try:
            return contact in custom.among(prepared)
        except TypeError:
            raise Unsound(f"{self.name} has only_prepared, so `prepare` returns UUIDs of contacts") from None

    def _check_words(self, ruling: Ruling) -> None:
        code: Any = ruling.reason
        if not (isinstance(code, str) and 0 < len(code) <= _MAX_REASON and code.isprintable()):
            raise Unsound(f"{self.name}: its code is a text of 1 to {_MAX_REASON} printable characters")
        if code in _TAKEN:
            raise Unsound(f"{self.name}: “{code}” is a code of ours, and nobody could tell whose rule it was")
        if not str(ruling.rule or "").strip():
            raise Unsound(f"{self.name}: it says nothing in words, and people ask why")

    def _check_static(self, ruling: Ruling, facts: Facts, question: Question, prepared: Any) -> None:
        """Whoever keeps an answer because nothing but a change can make it another relies on this."""
        if ruling.verdict is not Verdict.REFUSE:
            raise Unsound(f"{self.name} is static, and waits")
        for later in _LATER:
            again = self.rule(facts, _at(question, question.at + later), prepared)
            if _said(again) != _said(ruling):
                raise Unsound(f"{self.name} is static, and answers something else {later} later")


def _check_end(
    ruling: Ruling, facts: Facts, question: Question, asked: Asked, hers: Sequence[_Strict]
) -> None:
    """Whoever waits as long as she was told must not be told to wait again."""
    if ruling.until is None or ruling.until >= LAST:
        return
    again = judge(facts, _at(question, ruling.until), asked)
    if again.until is not None:
        names_ = ", ".join(rule.name for rule in hers)
        raise Unsound(f"{names_}: it never lets go: when the wait is over, it asks to wait again")


def _at(question: Question, at: datetime) -> Question:
    return replace(question, at=at)


def _said(answer: Any) -> Any:
    """What two answers are compared by: words may be lazy, and then no two are equal."""
    if not isinstance(answer, Ruling):
        return answer
    return answer.verdict, answer.reason, answer.until, str(answer.rule)


def _statements(prepare: Any, contacts: Sequence[UUID]) -> list[str]:
    captures = [CaptureQueriesContext(connection) for connection in connections.all()]
    for capture in captures:
        capture.__enter__()
    try:
        prepare(contacts)
    finally:
        for capture in captures:
            capture.__exit__(None, None, None)
    return [query["sql"] for capture in captures for query in capture.captured_queries]


def _name(rule: Any) -> str:
    return str(getattr(rule, "__name__", type(rule).__name__))


#: Codes that decisions have without any rule of a site.
_TAKEN = {*(rule.code for rule in RULES), custom.FAILED.reason, "recorded", "subscribed", "allowed"}
