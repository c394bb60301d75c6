"""The page about the file says what the file says."""

from __future__ import annotations

import re

from tests.law.table import PAGE, written
from wagtail_prefs.law.rules import DECIDED, MODELS, UNIT_HOURS
from wagtail_prefs.law.services import load, needs_consent

TEXT = PAGE.read_text()


def test_the_table_of_countries_is_the_files() -> None:
    """After a change of the file: python -m tests.law.table."""
    law = load()
    assert written(TEXT, law) == TEXT
    for key in law.jurisdictions:
        assert TEXT.count(f"| `{key}` ") == 1


def test_the_page_names_what_decides() -> None:
    (sentence,) = re.findall(r"- its name is (.*),\n", TEXT)
    assert set(re.findall(r"`(\w+)`", sentence)) == set(DECIDED)
    for unit in UNIT_HOURS:
        assert f"`{unit}`" in TEXT


def test_the_table_of_bases_is_what_is_decided() -> None:
    from dataclasses import replace

    rows = re.findall(
        r"^\| (?:`(\w+)`|any other) \| (yes|no) \| (yes|no) \| (yes|no) \|$", TEXT, re.MULTILINE
    )
    assert len(rows) == 5
    rules = load().rules_for("DE")
    for basis, *answers in rows:
        for model, answer in zip(reversed(MODELS), answers, strict=True):
            assert needs_consent(replace(rules, model=model), basis) is (answer == "yes"), (basis, model)
