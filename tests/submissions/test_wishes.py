"""A pause is asked for in days, and lasts until such a day begins where the person lives."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from wagtail_prefs.changes import OptOut, Pause, PauseFor
from wagtail_prefs.errors import InvalidAnswers
from wagtail_prefs.submissions.wishes import resolved
from wagtail_prefs.values import ContactState

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def somebody(timezone: str) -> ContactState:
    return ContactState(id=UUID(int=1), audience="default", timezone=timezone)


def until(wish: PauseFor, timezone: str, now: datetime = NOON) -> datetime:
    (pause,) = resolved([wish], somebody(timezone), now)
    assert isinstance(pause, Pause)
    assert pause.key == wish.key
    return pause.until


def test_a_month_ends_when_its_last_day_begins_where_she_lives() -> None:
    wish = PauseFor("", "email", "P1M")
    assert until(wish, "Europe/Berlin") == datetime(2026, 2, 27, 23, tzinfo=UTC)
    assert until(wish, "America/New_York") == datetime(2026, 2, 28, 5, tzinfo=UTC)
    assert until(wish, "Pacific/Kiritimati") == datetime(2026, 2, 28, 10, tzinfo=UTC)  # it is February there


def test_a_day_is_hers() -> None:
    wish = PauseFor("news", "", day=date(2026, 3, 3))
    assert until(wish, "Asia/Tokyo") == datetime(2026, 3, 2, 15, tzinfo=UTC)
    assert until(wish, "no such zone") == datetime(2026, 3, 3, tzinfo=UTC)


def test_a_pause_that_has_ended_already_is_refused_in_words() -> None:
    wish = PauseFor("", "", day=date(2026, 2, 1))
    assert until(wish, "America/New_York") > NOON
    with pytest.raises(InvalidAnswers):
        resolved([wish], somebody("Pacific/Kiritimati"), NOON)  # there, that day has begun


def test_what_is_exact_stays_as_it_is() -> None:
    wishes = (OptOut(), Pause("", "", NOON))
    assert resolved(wishes, somebody(""), NOON) == wishes


@pytest.mark.parametrize("given", [{}, {"length": "P1M", "day": date(2026, 3, 3)}])
def test_a_wish_says_one_thing(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="length or until"):
        PauseFor("", "", **given)  # type: ignore[arg-type]


def test_no_record_can_hold_a_wish() -> None:
    with pytest.raises(TypeError):
        PauseFor("", "", "P1M").to_json()
