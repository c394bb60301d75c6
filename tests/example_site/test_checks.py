"""The demo's center is one that its own editor may publish."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from example_site.demo.center import body, make_topics
from tests import factories
from wagtail_prefs.centers.checks.gather import check_page


@pytest.fixture
def as_in_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """With the demo's senders and backends: a promise is kept by those."""
    monkeypatch.setenv("EXAMPLE_SITE_VAR", str(tmp_path))
    monkeypatch.delitem(sys.modules, "example_site.settings", raising=False)
    demo = importlib.import_module("example_site.settings")
    monkeypatch.delitem(sys.modules, "example_site.settings")  # the next to ask has another folder
    settings.WAGTAIL_PREFS = {**demo.WAGTAIL_PREFS, "LEDGER_GUARD": False}


@pytest.mark.django_db
@pytest.mark.parametrize("locale", ["en", "de"])
def test_nothing_stands_against_the_demos_center(as_in_the_demo: None, locale: str) -> None:
    topics = make_topics(
        factories.make_audience(), [factories.make_locale("en"), factories.make_locale("de")]
    )
    page = factories.make_center(body(topics, locale), locale=locale, publish=False)
    assert check_page(page) == []
