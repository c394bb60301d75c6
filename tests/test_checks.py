"""Settings that cannot work stop the site with words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from wagtail_prefs.contacts.checks import check_database

GOOD_KEY = {"kid": "k1", "key": "x" * 32}


def found(settings: Any, **changed: Any) -> list[str]:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **changed}
    return sorted(str(message.id) for message in run_checks() if str(message.id).startswith("wagtail_prefs."))


def test_the_settings_of_the_tests_are_fine(settings: Any) -> None:
    assert found(settings) == []


def test_an_unknown_key_is_an_error(settings: Any) -> None:
    assert "wagtail_prefs.E001" in found(settings, BACKEND={})


def test_a_setting_that_is_no_dict_is_an_error(settings: Any) -> None:
    settings.WAGTAIL_PREFS = ["BACKENDS"]
    assert "wagtail_prefs.E001" in [message.id for message in run_checks()]


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{"kid": "k1"}],
        ["secret"],
        [{"kid": "k1", "key": "short"}],
        [GOOD_KEY, {"kid": "k1", "key": "y" * 32}],
    ],
)
def test_keys_that_cannot_sign_are_an_error(settings: Any, keys: list[Any]) -> None:
    assert "wagtail_prefs.E002" in found(settings, SIGNING_KEYS=keys)


def test_the_secret_key_is_no_signing_key(settings: Any) -> None:
    settings.SECRET_KEY = "z" * 50
    assert "wagtail_prefs.E002" in found(settings, SIGNING_KEYS=[{"kid": "k1", "key": "z" * 50}])


def test_development_needs_no_keys(settings: Any) -> None:
    settings.DEBUG = True
    assert "wagtail_prefs.E002" not in found(settings, SIGNING_KEYS=[])


def test_a_good_key_is_fine(settings: Any) -> None:
    assert found(settings, SIGNING_KEYS=[GOOD_KEY, {"kid": "k2", "key": "y" * 40}]) == []


def test_a_backend_that_cannot_be_imported_is_an_error(settings: Any) -> None:
    assert found(settings, BACKENDS={"crm": {"BACKEND": "nowhere.Backend"}}) == ["wagtail_prefs.E003"]
    assert found(settings, BACKENDS={"crm": {"BACKEND": "builtins.dict"}}) == ["wagtail_prefs.E003"]


def test_sqlite_without_immediate_transactions_is_a_warning(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}
    monkeypatch.setitem(settings.DATABASES, "archive", sqlite)
    assert [message.id for message in check_database()] == ["wagtail_prefs.W010"]
    monkeypatch.setitem(
        settings.DATABASES, "archive", {**sqlite, "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
    )
    assert check_database() == []
