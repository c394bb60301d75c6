"""The send calendar: what is planned and what was sent, who sees it, what it costs, and that looking changes nothing."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given, strategies as st

from tests.admin.staff import make_staff
from tests.factories import make_audience, make_editor, make_site, make_topics
from tests.properties import examples
from tests.topics.test_calendar import DATES, PLANS, dated
from wagtail_prefs.admin import calendar_month as month_of
from wagtail_prefs.admin.calendar_month import PlannedTopic, limited, weeks, window
from wagtail_prefs.decisions import periods
from wagtail_prefs.decisions.models import DecisionCount, Send, SendCountMark
from wagtail_prefs.topics.models import Audience, Topic, TopicGroup, TopicText
from wagtail_prefs.values import FREQUENCIES, Planned, SendDays

ROOT = Path(__file__).resolve().parents[2]
INDEX = "prefs_calendar:index"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOVEMBER = {"month": "2026-11"}
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def plan(key: str, number: int | None, per: str, on: Any = None, **fields: Any) -> Topic:
    topic = make_topics()[key]
    for name, value in {"planned": number, "planned_per": per, "planned_on": on, **fields}.items():
        setattr(topic, name, value)
    topic.save()
    return topic


def sent(day: date, topic: str, number: int, **fields: Any) -> None:
    row = {
        "audience_id": make_audience().pk,
        "channel": "email",
        "sender": "",
        "event": "sent",
        "reason": "subscribed",
    }
    DecisionCount.objects.create(day=day, topic=topic, count=number, **{**row, **fields})


@pytest.fixture
def some(db: None) -> None:
    plan("news", 1, "week", {"weekdays": [4]})
    plan("offers", 1, "month", {"weekdays": [4], "weeks": [2]})
    plan("events", 2, "month")
    sent(date(2026, 11, 12), "news", 1200)
    sent(date(2026, 11, 12), "news", 30, channel="sms", event="sent_refuse")
    sent(date(2026, 11, 12), "news", 7, event="late")
    sent(date(2026, 11, 12), "news", 9, event="asked_send")
    sent(date(2026, 11, 12), "gone", 3)
    sent(date(2026, 10, 12), "news", 77)
    SendCountMark.objects.create(pk=SendCountMark.ONLY, at=NOW)


@pytest.fixture
def editor(client: Client, db: None) -> Client:
    make_topics()
    client.force_login(make_editor())
    return client


class Page(HTMLParser):
    """The cells of the calendar by the day in them, its headers, and the days of the list for phones."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headers: list[dict[str, str | None]] = []
        self.cells: dict[str, str] = {}
        self.items: dict[str, str] = {}
        self.sums: list[str] = []
        self._inside = ""
        self._text = ""
        self._day = ""
        self._depth = 0
        self.feed(text[text.index('<table class="prefs-calendar"') :])

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        values = dict(attrs)
        if tag == "th":
            self.headers.append(values)
        if tag == "td" or (tag == "li" and not self._inside):
            self._inside, self._text, self._day, self._depth = tag, "", "", 0
        elif tag == self._inside:
            self._depth += 1
        if tag == "time":
            self._day = values["datetime"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag != self._inside:
            return
        if self._depth:
            self._depth -= 1
            return
        text = " ".join(self._text.split())
        if self._day:
            (self.cells if tag == "td" else self.items)[self._day] = text
        elif tag == "td":
            self.sums.append(text)
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self._text += data


def page(client: Client, **asked: str) -> Page:
    answer = client.get(reverse(INDEX), {**NOVEMBER, **asked})
    assert answer.status_code == 200
    return Page(answer.content.decode())


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_a_month_with_what_is_planned_and_sent(editor: Client, some: None) -> None:
    found = page(editor, channel="email")
    assert next(iter(found.cells)) == "2026-10-26"
    assert list(found.cells)[-1] == "2026-12-06"
    assert len(found.cells) == 6 * 7
    assert [header.get("scope") for header in found.headers] == ["col"] * 9 + ["row"] * 6
    assert found.cells["2026-11-05"] == "5 News"
    assert found.cells["2026-11-12"] == (
        "12 News Offers 2 messages for who gets everything News: 1200 sent gone: 3 sent"
    )
    # Since one was too much for the first time, what the frequency holds back comes in a digest when a week begins.
    assert found.cells["2026-11-02"] == "2 At most one a week: a digest of 1 message"
    assert found.cells["2026-11-16"] == "16 At most one a week: a digest of 2 messages"
    assert found.cells["2026-11-13"] == "13"
    assert "Events: some time from November 1 to November 15" in found.sums[0]
    assert found.sums[2].startswith("2 planned At most one a week: 1")


def test_phones_get_the_days_on_which_something_is(editor: Client, some: None) -> None:
    found = page(editor, channel="email")
    assert {
        day for day, text in found.cells.items() if not text.isdigit() and " " in text
    } >= found.items.keys()
    assert found.items["2026-11-12"].startswith("Thursday, November 12 News Offers")
    assert "2026-11-13" not in found.items


def test_a_plan_that_fits_a_frequency_comes_as_planned(editor: Client, some: None) -> None:
    plan("offers", None, "month")
    found = page(editor, channel="email")
    assert found.cells["2026-11-12"].startswith("12 News At most one a week: 1 message")
    assert found.cells["2026-11-16"] == "16"


def test_all_channels_together(editor: Client, some: None) -> None:
    found = page(editor)
    assert "4 messages for who gets everything" in found.cells["2026-11-12"]
    assert "News: 1230 sent" in found.cells["2026-11-12"]
    assert "2 messages for who gets everything" in found.cells["2026-11-05"]
    assert "for who gets everything" not in page(editor, most="2").cells["2026-11-05"]
    by_post = page(editor, channel="post")
    assert "News" not in by_post.cells["2026-11-05"]
    assert "Events: some time" in by_post.sums[0]


def test_somebody_who_picked_monthly_gets_one_a_month(editor: Client, some: None) -> None:
    found = page(editor, channel="email", frequency="monthly")
    gets = [day for day, text in found.cells.items() if "At most one a month:" in text]
    assert gets == ["2026-11-01", "2026-12-01"]
    assert "a digest of" in found.cells["2026-11-01"]


def test_many_a_day_are_a_number(editor: Client, some: None) -> None:
    plan("news", 1000, "week")
    found = page(editor, channel="email", most="142")
    assert found.cells["2026-11-02"] == (
        "2 News × 143 143 messages for who gets everything At most one a week: a digest of 1000 messages"
    )
    assert "142 messages" not in " ".join(found.cells.values())


def test_links_lead_to_topics_and_other_months(editor: Client, some: None) -> None:
    text = editor.get(reverse(INDEX), {**NOVEMBER, "channel": "email"}).content.decode()
    topic = Topic.objects.get(key="news")
    assert reverse("wagtailsnippets_wagtail_prefs_topic:edit", args=[topic.pk]) in text
    assert 'href="?month=2026-10&amp;channel=email"' in text
    assert 'href="?month=2026-12&amp;channel=email"' in text
    assert 'aria-current="date"' in text
    first = editor.get(reverse(INDEX), {"month": "2000-01"}).content.decode()
    assert 'rel="prev"' not in first and 'rel="next"' in first
    last = editor.get(reverse(INDEX), {"month": "2199-12"}).content.decode()
    assert 'rel="prev"' in last and 'rel="next"' not in last


def test_without_a_plan_it_says_how_to_make_one(editor: Client) -> None:
    text = editor.get(reverse(INDEX)).content.decode()
    assert "nothing is planned here yet" in text
    assert reverse("wagtailsnippets_wagtail_prefs_topic:list") in text
    assert "November 2026" in text
    assert "is not counted yet" in text
    for model in (Topic, TopicGroup, Audience):
        model.objects.all().delete()
    assert "There is no audience yet" in editor.get(reverse(INDEX)).content.decode()


def test_archived_topics_are_not_planned(editor: Client, some: None) -> None:
    plan("news", 1, "week", {"weekdays": [4]}, archived=True)
    assert page(editor, channel="email").cells["2026-11-05"] == "5"


@pytest.mark.parametrize(
    "asked",
    [
        {"month": "2026-13"}, {"month": "x"}, {"month": "1999-12"}, {"month": "9999-12"}, {"month": "2026-11-01"},
        {"channel": "fax"}, {"most": "-1"}, {"most": "many"}, {"frequency": "as_it_happens"}, {"audience": "other"},
        {"month": "<script>alert(1)</script>"}, {"audience": "\0"}, {"month": "2026-11\0"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_at_its_field(editor: Client, asked: dict[str, str]) -> None:
    answer = editor.get(reverse(INDEX), asked)
    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == asked.keys()
    assert '<table class="prefs-calendar"' not in answer.content.decode()
    assert "<script>alert" not in answer.content.decode()


def test_names_are_shown_as_they_are(editor: Client, some: None) -> None:
    TopicText.objects.filter(topic__key="news").update(label='<b onclick="x">News</b>')
    sent(date(2026, 11, 3), "<i>", 1)
    text = editor.get(reverse(INDEX), NOVEMBER).content.decode()
    assert "<b onclick" not in text and "&lt;b onclick" in text
    assert "<i>" not in text and "&lt;i&gt;" in text


# --- who, and what it costs ------------------------------------------------------------------------------------------


def test_who_works_with_topics_sees_plans_and_who_may_see_results_what_was_sent(
    client: Client, some: None
) -> None:
    client.force_login(make_staff("topics", "view_topic"))
    text = client.get(reverse(INDEX), NOVEMBER).content.decode()
    assert "News" in text and "1230 sent" not in text
    assert "shown to those who may see results" in text
    assert "wagtail_prefs/topic/edit" not in text
    client.force_login(make_staff("both", "change_topic", "results_contact"))
    text = client.get(reverse(INDEX), NOVEMBER).content.decode()
    assert "1230 sent" in text
    assert "wagtail_prefs/topic/edit" in text
    assert reverse(INDEX) in client.get(reverse("wagtailadmin_home")).content.decode()
    client.force_login(make_staff("results", "results_contact"))
    assert client.get(reverse(INDEX)).status_code == 302
    assert reverse(INDEX) not in client.get(reverse("wagtailadmin_home")).content.decode()


def test_results_of_one_site_are_not_those_of_another(client: Client, some: None) -> None:
    elsewhere = make_audience(make_site("other.example", port=443))
    user = make_staff("here", "results_contact", site=elsewhere.site)
    user.groups.add(*make_staff("topics", "change_topic").groups.all())
    client.force_login(get_user_model().objects.get(pk=user.pk))
    sent(date(2026, 11, 4), "news", 55, audience_id=elsewhere.pk)
    text = client.get(reverse(INDEX), {**NOVEMBER, "audience": make_audience().key}).content.decode()
    assert "1230 sent" not in text and "55 sent" not in text
    text = client.get(reverse(INDEX), {**NOVEMBER, "audience": elsewhere.key}).content.decode()
    assert "55 sent" in text and "1230 sent" not in text


def test_looking_changes_nothing(editor: Client, some: None) -> None:
    before = [
        list(model.objects.order_by("pk").values()) for model in (Topic, DecisionCount, Send, SendCountMark)
    ]
    assert editor.get(reverse(INDEX), NOVEMBER).status_code == 200
    assert editor.head(reverse(INDEX)).status_code == 200
    assert editor.post(reverse(INDEX)).status_code == 405
    after = [
        list(model.objects.order_by("pk").values()) for model in (Topic, DecisionCount, Send, SendCountMark)
    ]
    assert after == before


def queries(client: Client, **asked: str) -> Counter[str]:
    with CaptureQueriesContext(connection) as captured:
        client.get(reverse(INDEX), {**NOVEMBER, **asked})
    return Counter(query["sql"].split("FROM")[-1].split()[0].strip('"') for query in captured)


def test_it_asks_as_much_of_many_topics_as_of_few(editor: Client, some: None) -> None:
    page(editor)
    few = queries(editor)
    audience = make_audience()
    Topic.objects.bulk_create(
        Topic(audience=audience, key=f"t{number}", channels=["email"], planned=3, planned_per="week", planned_on={"weekdays": [1, 2, 3]})
        for number in range(40)
    )  # fmt: skip
    for number in range(30):
        sent(date(2026, 11, 1 + number % 30), "offers", 1, sender=f"s{number}")
    assert queries(editor) == few
    ours = {table: number for table, number in few.items() if table.startswith("wagtail_prefs")}
    assert ours["wagtail_prefs_decisioncount"] == ours["wagtail_prefs_sendcountmark"] == 1
    assert "wagtail_prefs_send" not in ours
    assert sum(ours.values()) <= 9


# --- the month by itself ---------------------------------------------------------------------------------------------


def topic_of(planned: Planned, key: str = "a", channels: tuple[str, ...] = ("email",)) -> PlannedTopic:
    return PlannedTopic(key, key, planned, channels)


@pytest.mark.property
@examples(60)
@given(st.lists(PLANS | dated(), max_size=4), DATES, st.sampled_from(FREQUENCIES[1:]))
def test_a_month_is_whole_weeks_with_all_that_is_planned(
    plans: list[Planned], day: date, frequency: str
) -> None:
    topics = [topic_of(one, f"t{number}") for number, one in enumerate(plans)]
    found = weeks(day, topics, {}, {}, today=day, most=1, frequency=frequency)
    days = [one for week in found for one in week.days]
    first, last = window(day)
    assert [one.day for one in days] == [first + number * DAY for number in range((last - first).days + 1)]
    assert sum(one.in_month for one in days) >= 28
    assert days[0].day.isoweekday() == 1 and days[-1].day.isoweekday() == 7
    for topic in topics:
        slots = month_of.slots(topic.planned, first, last)
        shown = [
            one.day
            for one in days
            for other in one.planned
            for _message in range(other.number)
            if other.topic is topic
        ]
        assert shown == [slot.first for slot in slots if slot.is_dated]
        some_time = [(one.first, one.last) for week in found for one in week.some_time if one.topic is topic]
        # Each once, and not in every week that it may come in.
        assert sorted(some_time) == sorted((slot.first, slot.last) for slot in slots if not slot.is_dated)
    assert all(one.is_too_much == (sum(other.number for other in one.planned) > 1) for one in days)


@pytest.mark.property
@examples(100)
@given(
    st.dictionaries(st.integers(0, 200), st.integers(1, 4), max_size=40),
    st.sampled_from(FREQUENCIES[1:]),
    st.dates(date(1990, 1, 1), date(2100, 1, 1)),
)
def test_who_picked_a_frequency_gets_one_in_each_period_and_nothing_is_lost(
    planned: dict[int, int], frequency: str, begin: date
) -> None:
    numbers = {begin + offset * DAY: number for offset, number in planned.items()}
    found = limited(numbers, frequency, begin, begin + 200 * DAY)
    zone = periods.zone("UTC", "UTC")
    got: Counter[Any] = Counter()
    for day, (number, _digest) in found.items():
        got[periods.period(frequency, datetime(day.year, day.month, day.day, 12, tzinfo=UTC), zone)] += number
    assert all(number <= 1 for number in got.values())
    reached = sum(digest or number for number, digest in found.values())
    waits = sum(planned.values()) - reached
    assert waits >= 0
    # Whatever came in a period that has ended has reached her by the next one.
    if waits:
        last = max(day for day, (number, _digest) in found.items() if number)
        span = periods.period(frequency, datetime(last.year, last.month, last.day, 12, tzinfo=UTC), zone)
        assert span is not None
        assert sum(number for day, number in numbers.items() if day >= last) >= waits
        assert span[1].date() > begin + 200 * DAY


def test_days_beside_the_month_are_in_it_too() -> None:
    found = weeks(
        date(2026, 11, 1), [topic_of(Planned(1, "week", SendDays((1,))))], {}, {}, today=NOW.date(), most=0, frequency="daily"
    )  # fmt: skip
    assert [one.day.isoformat() for one in found[0].days if one.planned] == ["2026-10-26"]
    assert [week.number for week in found] == [44, 45, 46, 47, 48, 49]
    assert found[0].days[0].is_too_much


def test_the_how_to_names_what_is_on_the_screens(editor: Client, some: None) -> None:
    make_audience(make_site("other.example", port=443))
    topic = Topic.objects.get(key="news")
    form = editor.get(reverse("wagtailsnippets_wagtail_prefs_topic:edit", args=[topic.pk]))
    shown = form.content.decode() + editor.get(reverse(INDEX), NOVEMBER).content.decode()
    words = (ROOT / "docs/how-to/plan-sends.md").read_text()
    named = re.findall(r"\*\*([^*]+)\*\*", words)
    assert len(named) >= 10
    assert [one for one in named if " ".join(one.split()) not in shown] == []
