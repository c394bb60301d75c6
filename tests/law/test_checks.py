"""What a site sets is held against the law of the file, and against what the product promises."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from wagtail_prefs.conf import conf
from wagtail_prefs.contacts.checks import check_locations
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.law.checks import check_periods
from wagtail_prefs.topics.models import Audience


def ids(found: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("wagtail_prefs.") for message in found]


def periods(settings: Settings, **given: Any) -> list[str]:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **given}
    return ids(check_periods())


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("MANAGE_LINK_DAYS", 60, []),
        ("MANAGE_LINK_DAYS", 400, []),
        ("MANAGE_LINK_DAYS", 59, ["W034"]),  # Canada asks for sixty
        ("MANAGE_LINK_DAYS", 30, ["W034"]),
        ("MANAGE_LINK_DAYS", 29, ["E034"]),
        ("MANAGE_LINK_DAYS", "60", ["E034"]),
        ("MANAGE_LINK_DAYS", True, ["E034"]),
        ("SOFT_OPT_IN_MONTHS", 1, []),
        ("SOFT_OPT_IN_MONTHS", 0, ["E034"]),
        ("SOFT_OPT_IN_MONTHS", 1201, ["E034"]),
        ("REASK_DAYS", 365, []),
        ("REASK_DAYS", 730, []),
        ("REASK_DAYS", 364, ["E034"]),  # upward only
        ("REASK_DAYS", None, ["E034"]),
    ],
)
def test_periods(settings: Settings, name: str, value: Any, found: list[str]) -> None:
    assert periods(settings, **{name: value}) == found


def test_two_mistakes_are_two_errors(settings: Settings) -> None:
    assert periods(settings, REASK_DAYS=1, SOFT_OPT_IN_MONTHS=-1) == ["E034", "E034"]


def test_a_shorter_time_is_not_followed_whatever_checks_are_silenced(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "REASK_DAYS": 30}
    assert conf.reask_days == 365


def test_the_law_that_is_named_is_one_of_the_file(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "MANAGE_LINK_DAYS": 45}
    (warning,) = check_periods()
    assert "Canada" in warning.msg and "60" in warning.msg


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("country", "places", "found"),
    [
        ("RU", [], ["W012"]),
        ("RU-MOW", [], ["W012"]),
        ("RU", ["DE"], ["W012"]),
        ("RU", ["DE", "RU"], []),
        ("RU", ["ru-mow"], []),
        ("DE", [], []),
        ("", [], []),
        ("TR", ["TR"], ["I013"]),
    ],
)
def test_lw_15_where_data_of_people_in_russia_is(country: str, places: list[str], found: list[str]) -> None:
    audience = Audience.objects.create(key="brand", name="Brand", data_locations=places)
    Audience.objects.create(key="nobody", name="Nobody")
    Contact.objects.create(audience=audience, country=country)
    assert ids(check_locations(databases=["default"])) == found
    assert check_locations(databases=None) == []
    for message in check_locations(databases=["default"]):
        assert "brand" in message.msg and message.hint
