"""A mapping that names topics which do not exist is told of, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.db import ProgrammingError, connection
from pytest_django import DjangoAssertNumQueries, Settings

from tests import factories
from wagtail_prefs.backends.checks import check_backends, check_inbound, check_mappings

from .test_http import CrmBackend

PATH = f"{CrmBackend.__module__}.CrmBackend"


def found(settings: Settings, *, databases: list[str] | None, **topics: Any) -> list[CheckMessage]:
    entry = {"BACKEND": PATH, "OPTIONS": {"URL": "https://crm.example", "TOPICS": topics}}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"crm": entry}}
    return [
        message for message in run_checks(databases=databases) if message.id and message.id.endswith("W005")
    ]


@pytest.mark.django_db
def test_a_topic_that_there_is_not_is_named(settings: Settings) -> None:
    factories.make_topics()
    assert found(settings, databases=["default"], news=1, offers=2) == []
    (message,) = found(settings, databases=["default"], news=1, nwes=2, jobs=3)
    assert message.msg == 'The mapping of "crm" names topics that there are not: jobs, nwes.'
    assert message.obj == "crm"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "backends",
    [
        [],
        ["crm"],
        {1: {"BACKEND": PATH}},
        {"crm": {"BACKEND": "nowhere"}},
        {"crm": {"BACKEND": PATH, "OPTIONS": {}}},
        {"a crm": {"BACKEND": "wagtail_prefs.backends.memory.MemoryBackend"}},
        {"x" * 65: {"BACKEND": "wagtail_prefs.backends.memory.MemoryBackend"}},
    ],
)
def test_settings_that_cannot_be_read_are_told_of_once(settings: Settings, backends: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "SENDERS": {}, "BACKENDS": backends}
    assert [message.id for message in check_backends()] == ["wagtail_prefs.E003"]
    assert check_mappings(databases=["default"]) == []


def test_settings_that_are_no_dict_are_another_checks_business(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = ["BACKENDS"]
    assert check_backends() == check_mappings(databases=["default"]) == []


@pytest.mark.django_db
def test_without_a_database_nothing_is_asked(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert found(settings, databases=None, nowhere=1) == []


@pytest.mark.django_db
def test_before_the_first_migration_nothing_is_wrong(settings: Settings) -> None:
    assert len(found(settings, databases=["default"], nowhere=1)) == 1

    def missing(*_: Any) -> None:
        raise ProgrammingError("no such table")

    with connection.execute_wrapper(missing):
        assert check_mappings(databases=["default"]) == []


@pytest.mark.parametrize(
    ("path", "secrets", "told"),
    [
        ("tests.sync.platform.Polling", ["a-secret-of-22-letters"], True),
        ("wagtail_prefs.backends.memory.MemoryBackend", ["a-secret-of-22-letters"], True),
        ("wagtail_prefs.backends.memory.MemoryBackend", [], False),
        ("tests.sync.platform.Platform", ["a-secret-of-22-letters"], False),
        ("nowhere", ["a-secret-of-22-letters"], False),  # E003 says so
    ],
)
def test_secrets_of_a_backend_that_takes_no_webhooks_are_told_of(
    settings: Settings, path: str, secrets: list[str], told: bool
) -> None:
    entry = {"BACKEND": path, "INBOUND_SECRETS": secrets}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"crm": entry}}
    found = check_inbound()
    assert [message.id for message in found] == ["wagtail_prefs.W006"] * told
    assert "a-secret" not in str(found)
    assert [message.id for message in run_checks() if message.id == "wagtail_prefs.W006"] == [
        "wagtail_prefs.W006"
    ] * told
