"""Backends by alias."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from wagtail_prefs.backends.checks import check_backends
from wagtail_prefs.backends.database import DatabaseBackend
from wagtail_prefs.backends.registry import UnknownBackend, backends

DATABASE = "wagtail_prefs.backends.database.DatabaseBackend"
WEBHOOK = "wagtail_prefs.backends.webhook.WebhookBackend"


def configure(settings: Settings, **entries: object) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": entries}


class Breaking(DatabaseBackend):
    """Somebody's own, that cannot be made."""

    def __init__(self, *_: object) -> None:
        raise ValueError("a secret of the settings")


def test_one_that_cannot_be_made_says_so_without_its_secrets(settings: Settings) -> None:
    configure(settings, crm={"BACKEND": f"{__name__}.Breaking"})
    with pytest.raises(ImproperlyConfigured, match=r'"crm"\] cannot be made: ValueError\.$'):
        backends["crm"]
    (error,) = check_backends()
    assert error.id == "wagtail_prefs.E003"
    assert "secret" not in error.msg


def test_a_backend_is_made_once_for_a_thread(settings: Settings) -> None:
    configure(settings, crm={"BACKEND": DATABASE})
    made = backends["crm"]
    assert isinstance(made, DatabaseBackend)
    assert made.alias == "crm"
    assert backends["crm"] is made
    others: list[object] = []
    thread = threading.Thread(target=lambda: others.append(backends["crm"]))
    thread.start()
    thread.join()
    assert others != [made]


def test_new_settings_make_new_backends(settings: Settings) -> None:
    configure(settings, crm={"BACKEND": DATABASE})
    before = backends["crm"]
    configure(settings, crm={"BACKEND": DATABASE, "OPTIONS": {"ENFORCES": ["choice"]}})
    assert backends["crm"] is not before
    assert list(backends) == ["crm"]
    assert "crm" in backends
    assert "database" not in backends


def test_an_unknown_alias_says_what_to_do(settings: Settings) -> None:
    configure(settings, crm={"BACKEND": DATABASE})
    with pytest.raises(UnknownBackend, match=r'no backend "crn".*BACKENDS.*one of: crm'):
        backends["crn"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a string", 'must be a dict with "BACKEND"'),
        ({}, 'must be a dict with "BACKEND"'),
        ({"BACKEND": DATABASE, "OPTION": {}}, "unknown keys: OPTION"),
        ({"BACKEND": "wagtail_prefs.backends.nowhere.Backend"}, "cannot be imported"),
        ({"BACKEND": "wagtail_prefs.values.Target"}, "must be a subclass"),
        ({"BACKEND": DATABASE, "OPTIONS": []}, "must be a dict"),
        ({"BACKEND": DATABASE, "OPTIONS": {"URL": ""}}, "unknown keys URL; known: ENFORCES"),
        ({"BACKEND": DATABASE, "OPTIONS": {"ENFORCES": ["moon"]}}, "not moon"),
        ({"BACKEND": WEBHOOK, "OPTIONS": {}}, 'needs "URL": the https address'),
        (
            {"BACKEND": WEBHOOK, "OPTIONS": {"URL": "https://crm.example/", "TIMEOUT": "10"}},
            '"TIMEOUT".*wrong type',
        ),
        (
            {"BACKEND": WEBHOOK, "OPTIONS": {"URL": "https://crm.example/", "TIMEOUT": True}},
            '"TIMEOUT".*wrong type',
        ),
    ],
)
def test_settings_that_cannot_work_are_named(settings: Settings, entry: object, message: str) -> None:
    configure(settings, crm=entry)
    with pytest.raises(ImproperlyConfigured, match=message):
        backends["crm"]


def test_a_process_that_never_delivers_never_loads_requests() -> None:
    script = """
import os, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()
import wagtail_prefs.delivery.services
from wagtail_prefs.backends.webhook import WebhookBackend
secret = "whsec_d2FndGFpbC1wcmVmcy10ZXN0LWtleS0wMA=="
WebhookBackend("hook", {"URL": "https://crm.example/", "SECRET": secret}).capabilities
sys.exit("wagtail_prefs.backends.transport" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
