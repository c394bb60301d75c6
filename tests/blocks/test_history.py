"""What was recorded stands in no document: it comes with the preferences."""

from __future__ import annotations

import pytest

from tests.blocks.conftest import compiled
from wagtail_prefs.blocks.history import MOST, HistoryBlock


def test_the_document_says_where_the_records_go_and_nothing_else() -> None:
    spec = compiled("history")
    [control] = spec.document["controls"]
    assert (control["type"], control["name"]) == ("records", "history")
    assert spec.rules == {"records": "history", "entries": 5}
    assert HistoryBlock.fields(spec) == {}
    assert spec.needs == ()


@pytest.mark.parametrize(("wanted", "shown"), [(None, 1), (0, 1), (-3, 1), (7, 7), (10_000, MOST)])
def test_there_is_an_end_to_what_one_page_shows(wanted: int | None, shown: int) -> None:
    assert compiled("history", entries=wanted).rules["entries"] == shown
