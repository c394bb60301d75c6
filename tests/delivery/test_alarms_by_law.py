"""LW-16: a deadline is calendar hours of UTC, whatever the day is called, and it is that of the person's country."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
import yaml
from django.core import mail
from django.utils import timezone
from pytest_django import Settings

from tests.delivery.crm import Crm
from tests.delivery.people import LEAVE, OPS, person
from tests.delivery.test_alarms import RAISED, look, raised  # noqa: F401 - a fixture
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.alarms import late_by_law
from wagtail_prefs.delivery.checks import check_deliveries
from wagtail_prefs.delivery.models import Lane
from wagtail_prefs.law.services import SHIPPED
from wagtail_prefs.values import Outcome

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _hours(settings: Settings, tmp_path: Path) -> None:
    """Germany: 12 hours. France: 2 business days, so the policy's day. Russia: at once, as the file has it."""
    settings.ADMINS = OPS
    data: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    data["jurisdictions"]["DE"]["honour"] = {
        "v": {"value": 12, "unit": "hours"},
        "src": ["UWG"],
        "conf": "high",
    }
    path = tmp_path / "law.yaml"
    path.write_text(yaml.safe_dump(data))
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "JURISDICTIONS": str(path)}


def leaves(crm: Crm, country: str) -> datetime:
    """Somebody there leaves just now, and the platform does not hear it."""
    contact = person(f"p{country.lower()}", LEAVE)
    Contact.objects.filter(pk=contact).update(country=country)
    crm.always["state"] = Outcome.RETRY
    return timezone.now()


def test_lw_16_the_hours_of_her_country_ring_between_a_quarter_of_an_hour_and_a_day(
    crm: Crm,
    clock: time_machine.Traveller,
    raised: RAISED,  # noqa: F811
) -> None:
    said_at = leaves(crm, "DE")
    leaves(crm, "FR")
    assert look(clock, minutes=16) == 1
    assert look(clock, hours=11, minutes=43) == 0
    assert mail.outbox == []
    assert look(clock, minutes=1) == 1
    assert [(level, count) for _, level, count, _ in raised] == [("15m", 2), ("law", 1)]
    assert raised[1][3] == said_at
    assert [found.id for found in check_deliveries(databases=["default"])] == ["wagtail_prefs.E042"]
    (letter,) = mail.outbox
    assert "crm" in letter.subject
    assert look(clock, hours=12) == 1
    assert [level for _, level, *_ in raised] == ["15m", "law", "24h"]
    assert [found.id for found in check_deliveries(databases=["default"])] == ["wagtail_prefs.E041"]
    crm.always.clear()
    clock.shift(timedelta(hours=9))
    look(clock, minutes=1)
    assert Lane.objects.get().alarms == {}


@pytest.mark.parametrize("country", ["RU", "", "JP"])
def test_at_once_is_given_its_minutes_and_rings_once(
    crm: Crm,
    clock: time_machine.Traveller,
    raised: RAISED,  # noqa: F811
    country: str,
) -> None:
    leaves(crm, country)
    assert look(clock, minutes=14) == 0
    assert look(clock, minutes=2) == 1
    assert [level for _, level, *_ in raised] == ["15m"]


@pytest.mark.parametrize(
    "said_at",
    [
        datetime(2026, 3, 28, 20, 0, tzinfo=UTC),  # the night in which Berlin's clocks go forward
        datetime(2026, 10, 24, 20, 0, tzinfo=UTC),  # and back
        datetime(2026, 3, 7, 23, 0, tzinfo=UTC),  # New York's
        datetime(2026, 12, 24, 17, 0, tzinfo=UTC),  # Christmas Eve, before a holiday, a holiday and a Sunday
        datetime(2026, 12, 31, 23, 30, tzinfo=UTC),
        datetime(2028, 2, 28, 23, 0, tzinfo=UTC),  # before a leap day
        datetime(2026, 11, 20, 18, 0, tzinfo=UTC),  # a Friday evening
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_lw_16_no_clock_change_and_no_holiday_makes_it_longer(
    crm: Crm, settings: Settings, said_at: datetime, zone: str
) -> None:
    settings.TIME_ZONE = zone
    deadline = said_at + timedelta(hours=12)
    with time_machine.travel(said_at, tick=False):
        leaves(crm, "DE")
        assert late_by_law("crm", deadline - timedelta(seconds=1)) is None
        late = late_by_law("crm", deadline)
    assert late is not None
    assert (late.count, late.since) == (1, said_at)
