"""What the pages about vendors say is so: the settings make a backend, every option stands there, nothing is claimed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from example_site.platforms.contract import names
from wagtail_prefs.backends.registry import backends
from wagtail_prefs.values import Support

PAGES = Path(__file__).parents[2] / "docs/how-to"
#: Options that concern tests and proxies, and stand in docs/reference/backends.md.
SHARED = {"URL", "OWN_NETWORK", "APP_URL", "LOGIN_URL"}
SECRET = "a-secret-of-the-documentation-1234"


@pytest.fixture(params=names())
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(vendor: str) -> str:
    return (PAGES / f"connect-{vendor}.md").read_text()


@pytest.fixture
def entry(vendor: str, page: str) -> dict[str, Any]:
    """The backend of the page's settings."""

    class Secrets(dict[str, str]):
        def __missing__(self, name: str) -> str:
            return "0123456789abcdef0123456789abcdef-us21" if "MAILCHIMP_API" in name else SECRET

    found: dict[str, Any] = {"os": os}
    code = next(code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "BACKENDS" in code)
    with mock.patch.object(os, "environ", Secrets()):
        exec(code, found)
    configured: dict[str, Any] = found["WAGTAIL_PREFS"]["BACKENDS"]
    assert list(configured) == [vendor]
    entry: dict[str, Any] = configured[vendor]
    return entry


def test_its_settings_make_a_backend(vendor: str, entry: dict[str, Any], settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {vendor: entry}}
    backend = backends[vendor]
    assert type(backend).__module__ == f"wagtail_prefs.backends.{vendor}"
    # What the page sets up is what it explains: frequency, pause and attributes have their fields.
    capabilities = backend.capabilities
    assert Support.NONE not in {
        capabilities.choice,
        capabilities.opt_out,
        capabilities.frequency,
        capabilities.pause,
    }


def test_every_option_is_explained(vendor: str, entry: dict[str, Any], page: str, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {vendor: entry}}
    options = set(type(backends[vendor]).known_options)
    explained = {
        name
        for row in re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", page, re.MULTILINE)
        for name in re.findall(r"`([A-Z_]+)`", row)
    }
    assert options - explained - SHARED == set()
    assert explained - options == set()


def test_it_claims_no_more_than_was_tried(vendor: str, page: str) -> None:
    assert "**Contract-tested, not live-tested.**" in page
    assert f"make demo CRM={vendor}" in page
    for words in ("prefs_check", "your segments must use it", "prefs_backfill", "ENFORCES"):
        assert words in page
