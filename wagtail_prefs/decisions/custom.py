"""The rules a site adds: WAGTAIL_PREFS["DECISION_RULES"]. They only make stricter, and where one fails, nothing is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from ..conf import conf
from .rules import Rule
from .values import Facts, Question, Ruling, Verdict

logger = logging.getLogger(__name__)

FAILED = Ruling(Verdict.REFUSE, "rule_failed", _("A rule of this site could not answer."))
_UNPREPARED = object()


def rules() -> list[Rule]:
    """The site's rules, in its order. Raises ImportError for what is not there, as check E032 does at the start."""
    return [Guarded(path, found(path)) for path in conf.decision_rules]


#: What a site gives us; it may answer anything.
SiteRule = Callable[[Facts, Question, Any], Any]


def found(path: str) -> SiteRule:
    """The rule at a dotted path: a function, or an instance of the class that stands there."""
    return as_rule(import_string(path), path)


def as_rule(given: Any, name: str) -> SiteRule:
    """A function as it is, of a class an instance. Raises TypeError for what cannot be called."""
    rule = given() if isinstance(given, type) else given
    if not callable(rule):
        raise TypeError(f"{name} is no rule: it cannot be called")
    site_rule: SiteRule = rule
    return site_rule


class Guarded(Rule):
    """A site's rule behind a guard: what it lets pass stays as strict as it was, and what it fails at is refused."""

    def __init__(self, path: str, rule: SiteRule) -> None:
        self.path = path
        self.rule = rule
        self.said = False
        self.of_few = is_of_few(rule)

    def prepare(self, contacts: Sequence[UUID]) -> Any:
        prepare = getattr(self.rule, "prepare", None)
        try:
            found = prepare(contacts) if prepare else None
            return among(found) if self.of_few else found
        except Exception as problem:  # noqa: BLE001 - whatever a site's code raises
            self._log(type(problem).__name__)
            return _UNPREPARED

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        if prepared is _UNPREPARED:
            return FAILED
        if self.of_few and facts.contact not in prepared:
            return None
        try:
            ruling = self.rule(facts, question, prepared)
        except Exception as problem:  # noqa: BLE001 - whatever a site's code raises
            self._log(type(problem).__name__)
            return FAILED
        if ruling is None:
            return None
        if isinstance(ruling, Ruling):
            if ruling.verdict is Verdict.SEND:
                return None
            if not flaw(ruling, question):
                return ruling
        self._log("it gave no sound ruling")
        return FAILED

    def _log(self, problem: str) -> None:
        """Once a call, and never what the exception says: it may say who."""
        if not self.said:
            logger.error("Decision rule %s failed, so nothing is sent: %s", self.path, problem)
            self.said = True


def is_of_few(rule: SiteRule) -> bool:
    """Whether a site's rule is asked only about the contacts that it has prepared itself for."""
    return bool(getattr(rule, "only_prepared", False))


def among(found: Any) -> frozenset[UUID]:
    """The contacts that a rule has prepared itself for.

    Raises TypeError for anything but UUIDs: ids as text would be nobody's, and the rule would hold nothing back.
    """
    contacts = frozenset(found)
    if not all(isinstance(contact, UUID) for contact in contacts):
        raise TypeError("contacts are named by their UUIDs")
    return contacts


def asked_about(rules: Sequence[tuple[Any, Any]]) -> frozenset[UUID] | None:
    """The contacts about whom one of these rules is asked, with what each has prepared; None: about everybody."""
    if not all(getattr(rule, "of_few", False) and ready is not _UNPREPARED for rule, ready in rules):
        return None
    return frozenset[UUID]().union(*(ready for _rule, ready in rules))


def flaw(answer: Any, question: Question) -> str:
    """What keeps an answer of a site's rule from being one, in words; "" for None, a refusal, and a wait that ends after
    the moment that was asked about.
    """
    if answer is None:
        return ""
    if not isinstance(answer, Ruling):
        return "it answers neither None nor a ruling"
    until = answer.until
    if answer.verdict is Verdict.SEND:
        return "it answers send, and a rule can only make stricter: answer None"
    if answer.verdict is Verdict.REFUSE:
        return "" if until is None else "it refuses until a moment: what may go out later is a wait"
    if until is None:
        return "it waits, and not until a moment"
    if until.tzinfo is None:
        return "it waits until a moment without a time zone"
    return "" if until > question.at else "it waits until a moment that is not later than the one asked about"
