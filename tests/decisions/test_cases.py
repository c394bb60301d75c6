"""The cases of docs/reference/decisions-cases.md: the rules as pure functions, and the whole way through a database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import time_machine

from wagtail_prefs.decisions import custom, services
from wagtail_prefs.decisions.rules import RULES, YES, Asked, Rule, judge, prepared
from wagtail_prefs.decisions.values import Decision

from .cases import PAGE, Case, Site, World, cases, facts_of, law_files

#: Pairs of neighbours whose order cannot matter: no contact is both, or one waits and the other refuses.
APART = {
    ("unknown", "erased"),
    ("erased", "merged"),
    ("unknown_topic", "archived"),
    ("channel_refused", "expired"),
    ("expired", "unsubscribed"),
    ("no_consent", "paused"),
}

Judge = Callable[..., list[Case]]


@pytest.fixture(scope="module")
def laws(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return law_files(tmp_path_factory.mktemp("laws"))


@pytest.fixture
def differing(settings: Any, laws: Mapping[str, Path]) -> Judge:
    """Finds the cases that rules answer otherwise than the page says."""
    usual = dict(settings.WAGTAIL_PREFS)
    facts = {case: facts_of(case) for case in cases()}
    contacts = [known.contact for known in facts.values()]
    ready: dict[Site, tuple[dict[Rule, Any], Asked]] = {}
    for site in {case.site for case in cases()}:
        settings.WAGTAIL_PREFS = {**usual, **site.prefs(laws)}
        settings.TIME_ZONE = site.tz
        ready[site] = dict(prepared(RULES, contacts).rules), prepared(custom.rules(), contacts)

    def asked(site: Site, rules: Sequence[Rule]) -> Asked:
        ours, theirs = ready[site]
        return Asked.of([*((rule, ours[rule]) for rule in rules), *theirs.rules])

    def find(rules: Sequence[Rule] = RULES) -> list[Case]:
        each = {site: asked(site, rules) for site in ready}
        rulings = {case: judge(known, case.question, each[case.site]) for case, known in facts.items()}
        return [
            case
            for case, ruling in rulings.items()
            if (ruling.verdict, ruling.reason, ruling.until) != case.answer
        ]

    return find


def test_the_page_has_many_cases_and_none_twice(tell: Callable[[str], None]) -> None:
    assert len(cases()) >= 200
    seen = Counter((case.text, case.question, case.message) for case in cases())
    assert [case for case, times in seen.items() if times > 1] == []
    tell(f"decision cases: {len(cases())}, written by hand in {PAGE.name}")


def test_every_reason_stands_there_three_times_or_more() -> None:
    reasons = Counter(case.reason for case in cases())
    ours = {rule.code for rule in RULES} | YES.keys() | {custom.FAILED.reason}
    assert {reason: reasons[reason] for reason in ours if reasons[reason] < 3} == {}


def test_a_wait_says_until_when_and_nothing_else_does() -> None:
    assert [
        str(case) for case in cases() if (case.until is None) != (case.verdict in {"send", "refuse"})
    ] == []


def test_the_rules_answer_as_the_page_says(differing: Judge) -> None:
    assert [str(case) for case in differing()] == []


def test_no_rule_can_be_left_out(differing: Judge) -> None:
    def is_missed(code: str) -> bool:
        left = differing([rule for rule in RULES if rule.code != code])
        return any(case.reason == code for case in left)

    assert [rule.code for rule in RULES if not is_missed(rule.code)] == []


def test_no_two_rules_can_change_places(differing: Judge) -> None:
    unnoticed = set()
    for number, (one, other) in enumerate(pairwise(RULES)):
        swapped = list(RULES)
        swapped[number : number + 2] = [other, one]
        if not differing(swapped):
            unnoticed.add((one.code, other.code))
    assert unnoticed == APART


@pytest.mark.django_db
def test_the_database_answers_as_the_page_says(settings: Any, laws: Mapping[str, Path]) -> None:
    usual = dict(settings.WAGTAIL_PREFS)
    world = World(cases())
    together: dict[Any, list[Case]] = defaultdict(list)
    for case in cases():
        together[case.site, case.question, case.message].append(case)
    wrong = []
    for (site, question, message), lines in together.items():
        settings.WAGTAIL_PREFS = {**usual, **site.prefs(laws)}
        settings.TIME_ZONE = site.tz
        contacts = [world.contacts[case.line] for case in lines]
        if message:
            with time_machine.travel(question.at, tick=False):
                decided = services.decide(contacts, question.topic, question.channel, record=message)
        else:
            decided = services.decide(contacts, question.topic, question.channel, at=question.at)
        wrong += [
            f"{case} -> {decision.verdict} {decision.reason} {decision.until} {_behind(world, decision)}"
            for case, decision in zip(lines, decided, strict=True)
            if (decision.verdict, decision.reason, decision.until) != case.answer
            or not _rests_on_the_right_record(world, decision)
            or decision.contact != world.contacts[case.line]
        ]
    assert wrong == []


def _behind(world: World, decision: Decision) -> str:
    return world.behind[decision.record] if decision.record else ""


def _rests_on_the_right_record(world: World, decision: Decision) -> bool:
    behind = _behind(world, decision).partition(":")[0]
    if decision.reason == "recorded":
        return behind in {"choice", ""}
    expected = {
        "erased": "contact",
        "merged": "contact",
        "opted_out": "opted_out",
        "channel_refused": "channel",
        "unsubscribed": "choice",
        "expired": "choice",
        "subscribed": "choice",
        "paused": "pause",
        "frequency": "frequency",
    }
    return behind == expected.get(decision.reason, "")
