"""The settings: every key documented, checked, and read anew on each use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from wagtail_prefs.conf import DEFAULTS, check_keys, check_senders, check_settings, conf

ROOT = Path(__file__).resolve().parents[1]
KEY = "0123456789abcdef0123456789abcdef"


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)) == set(DEFAULTS)


def test_every_setting_is_read_somewhere() -> None:
    code = "".join(
        path.read_text() for path in (ROOT / "wagtail_prefs").rglob("*.py") if path.name != "conf.py"
    )
    code += "".join(path.read_text() for path in (ROOT / "blocks").rglob("*.py"))
    accessors = {name for name, value in vars(type(conf)).items() if isinstance(value, property)} - {"raw"}
    assert len(accessors) == len(DEFAULTS)
    unread = {name for name in accessors if f"conf.{name}" not in code}
    assert unread <= {"senders"}  # held by the check below; the publish check of promises reads it


def test_an_unknown_key_is_an_error_at_the_check_and_at_the_first_use() -> None:
    with override_settings(WAGTAIL_PREFS={"SIGNNING_KEYS": []}):
        assert [problem.id for problem in check_settings()] == ["wagtail_prefs.E001"]
        with pytest.raises(ImproperlyConfigured, match="SIGNNING_KEYS"):
            _ = conf.channels


def test_settings_are_not_kept() -> None:
    with override_settings(WAGTAIL_PREFS={"MAX_BODY_BYTES": 5}):
        assert conf.max_body_bytes == 5
    assert conf.max_body_bytes == DEFAULTS["MAX_BODY_BYTES"]


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        ([], 1),
        ([{"kid": "a", "key": KEY}], 0),
        ([{"kid": "a", "key": "short"}], 1),
        ([{"kid": "a", "key": KEY}, {"kid": "a", "key": KEY[::-1]}], 1),
        ([{"kid": "a.b", "key": KEY}], 1),
        ([{"kid": "a" * 17, "key": KEY}], 1),
        ([{"key": KEY}], 1),
    ],
)
def test_signing_keys(keys: list[dict[str, str]], problems: int) -> None:
    with override_settings(WAGTAIL_PREFS={"SIGNING_KEYS": keys}):
        assert [problem.id for problem in check_keys()] == ["wagtail_prefs.E002"] * problems


def test_secret_key_is_no_signing_key_and_development_needs_none() -> None:
    with override_settings(SECRET_KEY=KEY, WAGTAIL_PREFS={"SIGNING_KEYS": [{"kid": "a", "key": KEY}]}):
        assert [problem.id for problem in check_keys()] == ["wagtail_prefs.E002"]
    with override_settings(DEBUG=True, WAGTAIL_PREFS={}):
        assert check_keys() == []
        assert len(conf.signing_keys) == 1
    with override_settings(WAGTAIL_PREFS={}), pytest.raises(ImproperlyConfigured):
        _ = conf.signing_keys


@pytest.mark.parametrize(
    ("senders", "problems"),
    [
        ({}, 0),
        ({"email": {"default": "decide", "news": "database"}}, 0),
        ({"fax": {"default": "decide"}}, 1),
        ({"email": {"default": "nobody"}}, 1),
        ({"email": "decide"}, 1),
    ],
)
def test_senders(senders: dict[str, Any], problems: int) -> None:
    with override_settings(WAGTAIL_PREFS={"SENDERS": senders}):
        assert [problem.id for problem in check_senders()] == ["wagtail_prefs.E004"] * problems
