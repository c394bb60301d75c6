"""The loyalty card, installed as its users would install it, and named in the settings of the site."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.package.conftest import run
from wagtail_prefs.centers.fields import CenterStreamField
from wagtail_prefs.centers.page import PreferenceCenterPage

PACKAGE = Path(__file__).parent / "loyalty"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has put it: a module, and what pip knows of it."""
    target = tmp_path_factory.mktemp("loyalty")
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    run(*pip, "--no-index", "--no-deps", "--no-build-isolation", "--target", target, PACKAGE)
    return target


@pytest.fixture
def loyalty(installed: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A site that names the block. A process reads the setting once, so what it has made of it is made anew."""
    monkeypatch.syspath_prepend(str(installed))
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BLOCKS": {"loyalty_card": "loyalty_card.LoyaltyCardBlock"},
        "CENTER_CACHE_SECONDS": 0,
    }
    field = PreferenceCenterPage._meta.get_field("body")
    monkeypatch.setitem(vars(field), "stream_block", CenterStreamField(blank=True).stream_block)
    PreferenceCenterPage.get_edit_handler.cache_clear()
    yield
    PreferenceCenterPage.get_edit_handler.cache_clear()
    sys.modules.pop("loyalty_card", None)
