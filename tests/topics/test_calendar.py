"""On which days planned messages come: as many in each period as were planned, for ever, and always on days that there are."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import assume, given, strategies as st

from tests import factories
from tests.properties import examples
from tests.topics.test_library import TOPIC, topic_form
from wagtail_prefs.topics import calendar
from wagtail_prefs.topics.calendar import (
    add_months,
    days_planned,
    has_days,
    next_days,
    period_of,
    problem,
    read,
    slots,
)
from wagtail_prefs.topics.forms import DatesField
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.topics.services import planned_of, topics_for
from wagtail_prefs.values import Per, Planned, SendDays

PERS: tuple[Per, ...] = ("week", "month", "quarter", "year")
DAY = timedelta(days=1)
DATES = st.dates(date(1901, 1, 1), date(9980, 1, 1))


def numbers(most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(1, most), unique=True, max_size=most).map(sorted).map(tuple)


def few(most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(1, most), unique=True, min_size=1, max_size=3).map(sorted).map(tuple)


#: Any boxes that can be ticked.
ANY_DAYS = st.builds(SendDays, numbers(7), numbers(5), numbers(31), numbers(12))
#: Those that an editor means.
MEANT = st.one_of(
    st.builds(SendDays, few(7)),
    st.builds(SendDays, few(7), few(5), st.just(()), st.just(()) | few(12)),
    st.builds(SendDays, st.just(()), st.just(()), few(31), st.just(()) | few(12)),
)
PLANS = st.builds(Planned, st.integers(1, 40), st.sampled_from(PERS), st.none() | ANY_DAYS | MEANT)


@st.composite
def dated(draw: st.DrawFn) -> Planned:
    """A plan whose days go with its number."""
    per, on = draw(st.sampled_from(PERS)), draw(MEANT)
    found = Planned(days_planned(Planned(1, per, on)), per, on)
    assume(found.number and has_days(found))
    return found


def periods(planned: Planned, day: date, number: int) -> list[tuple[date, date]]:
    found = [period_of(planned.per, day)]
    while len(found) < number:
        found.append(period_of(planned.per, found[-1][1]))
    return found


# --- how many, and where ---------------------------------------------------------------------------------------------


@pytest.mark.property
@examples(200)
@given(PLANS | dated(), DATES)
def test_each_period_has_as_many_as_are_planned(planned: Planned, day: date) -> None:
    whole = periods(planned, day, 3)
    found = slots(planned, whole[0][0], whole[-1][1] - DAY)
    for begin, after in whole:
        inside = [slot for slot in found if begin <= slot.first <= slot.last < after]
        assert len(inside) == planned.number
    assert len(found) == 3 * planned.number
    assert found == sorted(found)
    if has_days(planned):
        assert len({slot.first for slot in found}) == len(found)


@pytest.mark.property
@examples(200)
@given(PLANS, DATES)
def test_what_comes_some_time_leaves_no_day_out(planned: Planned, day: date) -> None:
    planned = Planned(planned.number, planned.per)
    begin, after = period_of(planned.per, day)
    parts = slots(planned, begin, after - DAY)
    if planned.number > (after - begin).days:
        assert len({slot.first for slot in parts}) == (after - begin).days
        return
    assert parts[0].first == begin
    assert parts[-1].last == after - DAY
    assert all(one.last + DAY == other.first for one, other in itertools.pairwise(parts))
    lengths = {(slot.last - slot.first).days for slot in parts}
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.property
@examples(200)
@given(dated(), DATES, st.integers(0, 800))
def test_days_are_those_that_were_ticked(planned: Planned, day: date, length: int) -> None:
    on = planned.on
    assert on is not None
    for slot in slots(planned, day, day + length * DAY):
        assert slot.is_dated
        found = slot.first
        assert day <= found <= day + length * DAY
        is_last = (found + DAY).month != found.month
        assert not on.weekdays or found.isoweekday() in on.weekdays
        assert not on.months or found.month in on.months
        assert not on.dates or found.day in on.dates or (is_last and max(on.dates) > found.day)
        if on.weeks:
            assert (found.day - 1) // 7 + 1 in on.weeks or (
                5 in on.weeks and (found + 7 * DAY).month != found.month
            )


@pytest.mark.property
@examples(200)
@given(PLANS, DATES, st.integers(0, 400), st.integers(0, 400))
def test_a_window_shows_what_a_larger_one_shows(planned: Planned, day: date, length: int, more: int) -> None:
    last = day + length * DAY
    larger = slots(planned, day - more * DAY, last + more * DAY)
    assert slots(planned, day, last) == [slot for slot in larger if slot.first <= last and slot.last >= day]


@pytest.mark.property
@examples(200)
@given(PLANS | dated(), DATES)
def test_the_next_days_are_the_first_of_all(planned: Planned, day: date) -> None:
    found = next_days(planned, day, 4)
    if not has_days(planned):
        assert found == ()
        return
    assert found == tuple(slot.first for slot in slots(planned, day, day + 1500 * DAY)[:4])
    assert len(found) == 4


@pytest.mark.property
@examples(300)
@given(PLANS)
def test_days_go_with_the_number_or_are_none(planned: Planned) -> None:
    """Whatever is stored, what is read has days only where each period has as many of them as messages."""
    stored = planned.on.to_json() if planned.on else None
    found = read(planned.number, planned.per, stored)
    assert (found.number, found.per) == (planned.number, planned.per)
    assert found.on in {None, planned.on}
    assert (found.on is not None) == has_days(planned)
    assert problem(found) is None


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        # The clocks of half of the world go back and forth in these weeks.
        (
            Planned(2, "week", SendDays((2, 4))),
            ["2026-10-20", "2026-10-22", "2026-10-27", "2026-10-29", "2026-11-03"],
        ),
        (Planned(1, "month", SendDays((2,), (1,))), ["2026-11-03", "2026-12-01", "2027-01-05"]),
        (Planned(1, "month", SendDays((1,), (5,))), ["2026-10-26", "2026-11-30", "2026-12-28"]),
        (
            Planned(2, "month", SendDays(dates=(1, 31))),
            ["2026-10-31", "2026-11-01", "2026-11-30", "2026-12-01"],
        ),
        (
            Planned(1, "quarter", SendDays((4,), (2,), months=(2, 5, 8, 11))),
            ["2026-11-12", "2027-02-11", "2027-05-13"],
        ),
        (
            Planned(2, "year", SendDays(dates=(29,), months=(2, 8))),
            ["2027-02-28", "2027-08-29", "2028-02-29", "2028-08-29"],
        ),
    ],
)
def test_days_by_hand(planned: Planned, expected: list[str]) -> None:
    found = slots(planned, date(2026, 10, 19), date(2029, 1, 1))
    assert [slot.first.isoformat() for slot in found][: len(expected)] == expected


def test_400_years_have_as_many_weeks_as_they_have() -> None:
    planned = Planned(1, "week", SendDays((7,)))
    found = slots(planned, date(2001, 1, 1), date(2400, 12, 31))
    assert len(found) == 146097 // 7
    assert {slot.first.isoweekday() for slot in found} == {7}


@pytest.mark.parametrize("day", [date(1, 1, 1), date(9999, 12, 31)])
def test_what_calendars_do_not_reach_is_refused(day: date) -> None:
    with pytest.raises(ValueError, match="no calendar"):
        slots(Planned(1, "week"), day, day)


def test_months_go_over_years() -> None:
    assert add_months(date(2026, 11, 1), 3) == date(2027, 2, 1)
    assert add_months(date(2026, 1, 1), -1) == date(2025, 12, 1)


# --- what is stored --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        None, {}, [], "weekdays", {"weekdays": []}, {"weekdays": [0]}, {"weekdays": [8]}, {"weekdays": ["1"]},
        {"weekdays": [True]}, {"weekdays": [1.0]}, {"weekdays": 1}, {"other": [1]}, {"weekdays": [1, 2]},
        {"weekdays": None}, {"months": [13]},
    ],
)  # fmt: skip
def test_what_is_no_plan_is_none(data: Any) -> None:
    assert read(1, "week", data) == Planned(1, "week")


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (Planned(2, "week", SendDays((1,))), "number"),
        (Planned(1, "week", SendDays((1,), (1,))), "not_of_a_week"),
        (Planned(1, "week", SendDays(dates=(1,))), "not_of_a_week"),
        (Planned(1, "month", SendDays((1,), (1,), months=(1,))), "not_of_a_month"),
        (Planned(1, "month", SendDays((1,), (1,), (1,))), "weeks_or_dates"),
        (Planned(1, "month", SendDays((1,))), "missing"),
        (Planned(1, "month", SendDays((), (1,))), "missing"),
        (Planned(1, "year", SendDays(months=(1,))), "missing"),
        (Planned(2, "month", SendDays((1,), (4, 5))), "same_day"),
        (Planned(2, "month", SendDays(dates=(28, 31))), "same_day"),
        (Planned(1, "quarter", SendDays(dates=(1,), months=(1, 4, 7))), "uneven"),
        (Planned(1, "quarter", SendDays(dates=(1,))), "number"),
        (Planned(3, "quarter", SendDays(dates=(1,))), None),
        (Planned(12, "year", SendDays(dates=(1,))), None),
        (Planned(1, "week"), None),
    ],
)
def test_what_is_wrong_with_days(planned: Planned, expected: str | None) -> None:
    assert problem(planned) == expected


def test_many_boxes_are_few_days_in_a_year() -> None:
    assert days_planned(Planned(1, "year", SendDays((1, 2), (1, 2), months=(3,)))) == 4
    assert days_planned(Planned(1, "quarter", SendDays(dates=(1, 15)))) == 6


# --- the form --------------------------------------------------------------------------------------------------------


def posted(**values: Any) -> dict[str, Any]:
    boxes = {name: values.pop(name) for name in ("on_weekdays", "on_weeks", "on_months") if name in values}
    return {**topic_form(**values), **boxes}


@pytest.fixture
def editor(client: Client, db: None) -> Client:
    client.force_login(factories.make_editor())
    return client


@pytest.mark.parametrize("typed", ["1, 15", "15; 1.", "1، 15", "1、15", " 15\t1 "])
def test_days_of_the_month_are_typed_as_people_write_lists(typed: str) -> None:
    assert DatesField().clean(typed) == [1, 15]


def test_an_editor_ticks_days_and_sees_them_again(editor: Client) -> None:
    form = posted(planned="2", planned_per="month", on_weekdays=["2"], on_weeks=["1", "3"])
    answer = editor.post(reverse(f"{TOPIC}:add"), form)
    assert answer.status_code == 302, answer.context["form"].errors
    topic = Topic.objects.get()
    assert topic.planned_on == {"weekdays": [2], "weeks": [1, 3]}
    assert planned_of(topic) == Planned(2, "month", SendDays((2,), (1, 3)))
    (info,) = topics_for(topic.audience_id, "en").values()
    assert info.planned == planned_of(topic)
    shown = editor.get(reverse(f"{TOPIC}:edit", args=[topic.pk]))
    html = shown.content.decode()
    assert html.count(" checked") >= 3
    assert "calendar.css" in html
    assert shown.context["form"].initial["on_weeks"] == [1, 3]
    again = posted(planned="2", planned_per="month", on_dates="15; 1.", key="recipes")
    again |= {"texts-0-id": topic.texts.get().pk, "texts-INITIAL_FORMS": "1"}
    assert editor.post(reverse(f"{TOPIC}:edit", args=[topic.pk]), again).status_code == 302
    topic.refresh_from_db()
    assert topic.planned_on == {"dates": [1, 15]}
    assert 'value="1, 15"' in editor.get(reverse(f"{TOPIC}:edit", args=[topic.pk])).content.decode()
    again["on_dates"] = ""
    assert editor.post(reverse(f"{TOPIC}:edit", args=[topic.pk]), again).status_code == 302
    topic.refresh_from_db()
    assert topic.planned_on is None


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"on_weekdays": ["1"]}, "on_weekdays", "how many messages are planned"),
        ({"planned": "2", "planned_per": "week", "on_weekdays": ["1"]}, "on_weekdays", "This is 1 day"),
        ({"planned": "1", "planned_per": "week", "on_weekdays": ["1", "2"]}, "on_weekdays", "These are 2 days"),
        ({"planned": "1", "planned_per": "week", "on_weekdays": ["8"]}, "on_weekdays", "8"),
        ({"planned": "1", "planned_per": "week", "on_dates": "1"}, "on_weekdays", "weekdays only"),
        ({"planned": "1", "on_dates": "0"}, "on_dates", "from 1 to 31"),
        ({"planned": "1", "on_dates": "32"}, "on_dates", "from 1 to 31"),
        ({"planned": "1", "on_dates": "first"}, "on_dates", "from 1 to 31"),
        ({"planned": "1", "on_dates": "<script>"}, "on_dates", "from 1 to 31"),
        ({"planned": "2", "on_dates": "28, 31"}, "on_dates", "one day"),
        ({"planned": "2", "on_weekdays": ["1"], "on_weeks": ["4", "5"]}, "on_weeks", "one day"),
        ({"planned": "1", "on_weekdays": ["1"]}, "on_weeks", "which of them"),
        ({"planned": "1", "on_dates": "1", "on_months": ["1"]}, "on_months", "every month"),
        ({"planned": "1", "on_dates": "1", "on_weekdays": ["1"], "on_weeks": ["1"]}, "on_dates", "one of the two"),
        ({"planned": "1", "planned_per": "quarter", "on_dates": "1", "on_months": ["1"]}, "on_months", "each quarter"),
    ],
)  # fmt: skip
def test_days_that_go_with_nothing_are_refused_at_their_field(
    editor: Client, values: Any, field: str, words: str
) -> None:
    answer = editor.post(reverse(f"{TOPIC}:add"), posted(**values))
    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {field}
    assert words in answer.context["form"].errors[field][0]
    assert "<script>" not in answer.content.decode()[answer.content.decode().find("on_dates") :][:2000]
    assert not Topic.objects.exists()


@pytest.mark.django_db
def test_days_that_python_left_behind_are_not_said() -> None:
    topic = factories.make_topics()["news"]
    topic.planned, topic.planned_per, topic.planned_on = 2, "week", {"weekdays": [4]}
    topic.save()
    assert planned_of(Topic.objects.get(key="news")) == Planned(2, "week")
    assert calendar.days_of(topic.planned_on) == SendDays((4,))
