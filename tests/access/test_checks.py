"""Limits and proxies that cannot be meant are said before the site starts."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from wagtail_prefs.access import limits
from wagtail_prefs.access.checks import (
    check_limits,
    check_limits_cache,
    check_limits_shared,
    check_sign_up,
)


def found(settings: Settings, **changed: Any) -> list[str]:
    settings.WAGTAIL_PREFS = {
        **{name: value for name, value in settings.WAGTAIL_PREFS.items() if name != "LIMITS"},
        **changed,
    }
    checks = (check_limits, check_limits_cache, check_sign_up)
    return [str(message.id).removeprefix("wagtail_prefs.") for check in checks for message in check()]


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"links": [(1, 60)]},
        {"link_network": []},
        {"link_network": (20, 3600)},
        {"link_network": [20]},
        {"link_network": [("20", 3600)]},
        {"link_network": [(20.0, 3600)]},
        {"link_network": [(True, 3600)]},
        {"link_network": [(-1, 3600)]},
        {"link_network": [(20, 0)]},
        {"link_network": "20/h"},
        {"link_network": None},
        {"link_site": [(10**9, 3600)]},
        # more than a site may let through
        {"link_network": [(61, 3600)]},
        {"link_network": [(2, 60)]},
        {"link_address": [(1, 60), (11, 86400)]},
        {"api_read": [(301, 60)]},
        {"api_read": [(60, 60), (100, 120)]},
        {"bad_token_network": [(121, 60)]},
    ],
)
def test_limits_that_cannot_be_meant(settings: Settings, given: Any) -> None:
    assert found(settings, LIMITS=given) == ["E055"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {name: list(spans) for name, spans in limits.LIMITS.items()},
        {name: [bound] for name, bound in limits.BOUNDS.items()},
        {"link_network": [(1, 60)]},
        {"link_network": ((0, 3600),)},
        {"link_site": [(10_000, 3600)]},
        {"link_address": [(1, 60), (10, 86400 * 7)]},
    ],
)
def test_limits_that_can(settings: Settings, given: Any) -> None:
    assert found(settings, LIMITS=given) == []


@pytest.mark.parametrize(
    ("proxies", "good"), [(0, True), (3, True), (-1, False), ("1", False), (True, False)]
)
def test_proxies(settings: Settings, proxies: Any, good: bool) -> None:
    assert found(settings, TRUSTED_PROXIES=proxies) == ([] if good else ["E056"])


def test_a_cache_that_is_none(settings: Settings) -> None:
    assert found(settings, LIMITS_CACHE="nowhere") == ["E057"]
    assert check_limits_shared() == []


def test_a_check_of_sign_ups_that_is_none(settings: Settings) -> None:
    assert found(settings, SIGN_UP_CHECK="nowhere.at.all") == ["E058"]
    assert found(settings, SIGN_UP_CHECK="django.VERSION") == ["E058"]
    assert found(settings, SIGN_UP_CHECK="django.setup") == []


@pytest.mark.django_db  # one of deployments looks for keys that were used
def test_a_cache_that_cannot_count_is_a_warning_of_deployments(settings: Settings) -> None:
    def warned() -> bool:
        return "wagtail_prefs.W055" in [message.id for message in run_checks(include_deployment_checks=True)]

    assert warned()
    assert "wagtail_prefs.W055" not in [message.id for message in run_checks()]
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "limits": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1"},
    }
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS_CACHE": "limits"}
    assert not warned()


def test_every_bound_is_of_a_limit_and_holds_its_default() -> None:
    assert set(limits.BOUNDS) <= set(limits.LIMITS)
    assert set(limits.LIGHT) <= set(limits.LIMITS)
    assert set(limits.ALARMS) <= set(limits.LIMITS)
    assert check_limits() == []
