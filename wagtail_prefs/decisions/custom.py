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
    rule: Any = import_string(path)
    if isinstance(rule, type):
        rule = rule()
    if not callable(rule):
        raise TypeError(f"{path} is no rule: it cannot be called")
    site_rule: SiteRule = rule
    return site_rule


class Guarded(Rule):
    """A site's rule behind a guard: what it lets pass stays as strict as it was, and what it fails at is refused."""

    def __init__(self, path: str, rule: SiteRule) -> None:
        self.path = path
        self.rule = rule
        self.said = False

    def prepare(self, contacts: Sequence[UUID]) -> Any:
        prepare = getattr(self.rule, "prepare", None)
        try:
            return prepare(contacts) if prepare else None
        except Exception as problem:  # noqa: BLE001 - whatever a site's code raises
            self._log(type(problem).__name__)
            return _UNPREPARED

    def __call__(self, facts: Facts, question: Question, prepared: Any) -> Ruling | None:
        if prepared is _UNPREPARED:
            return FAILED
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
            if _is_sound(ruling, question):
                return ruling
        self._log("it gave no sound ruling")
        return FAILED

    def _log(self, problem: str) -> None:
        """Once a call, and never what the exception says: it may say who."""
        if not self.said:
            logger.error("Decision rule %s failed, so nothing is sent: %s", self.path, problem)
            self.said = True


def _is_sound(ruling: Ruling, question: Question) -> bool:
    """Whether it is a refusal, or a wait that ends after the moment that was asked about."""
    if ruling.verdict is Verdict.REFUSE:
        return ruling.until is None
    until = ruling.until
    return until is not None and until.tzinfo is not None and until > question.at
