"""The one form in which moments are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.values import iso


def test_a_moment_is_written_in_utc_wherever_it_was_told() -> None:
    told = datetime(2026, 7, 1, 10, tzinfo=ZoneInfo("Europe/Berlin"))
    assert iso(told) == "2026-07-01T08:00:00.000000Z"
    assert iso(told.astimezone(UTC)) == iso(told)


@examples(100)
@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1)),  # noqa: DTZ001 - of any zone
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_what_is_written_is_read_as_the_same_moment(shown: datetime, minutes: int) -> None:
    moment = shown.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert datetime.fromisoformat(iso(moment)) == moment


def test_a_moment_without_a_zone_could_mean_anything() -> None:
    with pytest.raises(ValueError, match="time zone"):
        iso(datetime(2026, 7, 1, 10))  # noqa: DTZ001 - that is the point
