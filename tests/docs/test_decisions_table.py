"""The table of reasons says what the code says: `python -m tests.docs.decision_pages` writes it."""

from __future__ import annotations

from django.utils import translation

from tests.docs import decision_pages
from wagtail_prefs.decisions.rules import RULES, YES


def test_the_table_is_what_the_code_says() -> None:
    with translation.override("en"):
        assert decision_pages.PAGE.read_text() == decision_pages.made()


def test_it_has_a_row_for_every_reason() -> None:
    rows = [line for line in decision_pages.reasons().splitlines() if line.startswith("| `")]
    assert len(rows) == len(RULES) + 1 + len(YES)
    assert len({row.split("`")[1] for row in rows}) == len(rows)
