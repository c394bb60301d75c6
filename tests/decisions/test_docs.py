"""The pages about decisions say what is so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.utils import translation

from tests import factories
from tests.docs import explained
from tests.docs.blocks import blocks
from wagtail_prefs import decide
from wagtail_prefs.decisions import custom
from wagtail_prefs.decisions.rules import RULES, YES
from wagtail_prefs.decisions.values import Verdict
from wagtail_prefs.values import Actor, ActorType

from .cases import cases
from .conftest import NOW, Readers

REFERENCE = explained.DOCS / "reference" / "decisions.md"
EXPLANATION = explained.DOCS / "explanation" / "decisions.md"


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.mark.django_db
def test_the_explanation_is_so() -> None:
    factories.make_topics()
    rosa = factories.make_contact("rosa@mail.example.org", country="DE", timezone="Europe/Berlin")
    names = {
        "rosa": rosa.pk,
        "herself": Actor(ActorType.SUBJECT_LINK),
        "christmas": datetime(2026, 12, 24, 23, tzinfo=UTC),
    }
    with time_machine.travel(NOW, tick=False):
        assert explained.run(EXPLANATION, names) == 18
    assert f"{len(cases())} cases stand" in EXPLANATION.read_text()


def test_the_reference_names_every_reason_in_order() -> None:
    lines = REFERENCE.read_text().split("## Reasons")[1].split("## ")[0].splitlines()
    table = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")
    ]
    verdicts = {case.reason: case.verdict for case in cases()}
    assert [row[0] for row in table[: len(RULES)]] == [rule.code for rule in RULES]
    for (reason, verdict, static, *_behind, words), rule in zip(table, RULES, strict=False):
        assert (static, words) == ("yes" if rule.static else "no", str(rule.words)), reason
        assert Verdict(verdict) == verdicts[reason], reason
    rest = {row[0]: row for row in table[len(RULES) :]}
    words_of = {"rule_failed": custom.FAILED.rule, **YES}
    assert {reason: row[4] for reason, row in rest.items()} == {
        name: str(of) for name, of in words_of.items()
    }
    assert all(Verdict(row[1]) == verdicts[reason] and row[2] == "no" for reason, row in rest.items())


@pytest.mark.django_db
def test_the_rule_of_the_reference_can_be_used(
    readers: Readers, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, other = readers.subscribe(), readers.subscribe()

    class Ticket:
        """The shop's model."""

        objects: Any

        def filter(self, contact__in: list[UUID], open: bool) -> Ticket:  # noqa: A002 - a field of the shop's
            assert sorted(contact__in) == sorted([waiting, other])
            assert open
            return self

        def values_list(self, *_fields: str, flat: bool) -> list[UUID]:
            return [waiting]

    Ticket.objects = Ticket()
    for name in ("shop", "shop.models", "shop.rules"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["shop.models"].__dict__["Ticket"] = Ticket
    (code,) = [block.code for block in blocks(REFERENCE) if "OpenTicket" in block.code]
    exec(code, sys.modules["shop.rules"].__dict__)
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": ["shop.rules.OpenTicket"]}
    decided = decide([waiting, other], "news", "email")
    assert [decision.reason for decision in decided] == ["open_ticket", "subscribed"]
    assert str(decided[0].rule) == "She waits for an answer of ours."
