"""The report on results: its numbers, its charts with their tables, who may see and download it, and what it costs."""

from __future__ import annotations

import csv
import io
import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, strategies as st
from openpyxl import load_workbook
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.admin.test_exports import FORMULAS
from tests.factories import make_audience, make_editor, make_site, make_topics
from tests.ledger import chains
from tests.properties import examples
from wagtail_prefs.admin import results_numbers as numbers
from wagtail_prefs.ledger import counts, seals
from wagtail_prefs.ledger.models import CountMark, DayCount
from wagtail_prefs.topics.models import Audience, Topic, TopicText

pytestmark = pytest.mark.django_db

INDEX, DOWNLOAD = "prefs_results:index", "prefs_results:download"
MONDAY = date(2026, 11, 2)
ASKED = {"since": "2026-11-02", "until": "2026-11-22", "unit": "week"}


def count(day: date, event: str, number: int, **more: str) -> None:
    row = {
        "audience": make_audience().key, "topic": "news", "channel": "email", "action": _ACTIONS.get(event, "set"),
        "method": "page", **more,
    }  # fmt: skip
    DayCount.objects.create(day=day, event=event, count=number, **row)


_ACTIONS = {
    "opt_in": "given",
    "opt_out": "withdrawn",
    "refusal": "refused",
    "left": "withdrawn",
    "resume": "cleared",
}


@pytest.fixture
def editor(client: Client) -> Client:
    make_topics()
    client.force_login(make_editor())
    return client


@pytest.fixture
def some() -> None:
    """Three weeks, two topics."""
    make_topics()
    count(MONDAY, "opt_in", 7)
    count(MONDAY + timedelta(days=6), "opt_in", 4, method="element")
    count(MONDAY + timedelta(days=7), "opt_out", 3)
    count(MONDAY + timedelta(days=7), "opt_out", 2, action="expired", method="expiry")
    count(MONDAY + timedelta(days=14), "opt_in", 5, topic="offers", channel="sms")
    count(MONDAY + timedelta(days=14), "refusal", 6, topic="offers", channel="sms")
    count(MONDAY + timedelta(days=14), "left", 1, topic="", channel="")
    count(MONDAY + timedelta(days=14), "pause", 8, topic="", channel="")
    count(MONDAY + timedelta(days=15), "resume", 9, topic="news", channel="")


class Tables(HTMLParser):
    """The cells of each table, by its caption."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] | None = None
        self._in = ""
        self.feed(page)
        self.tables.pop("All keyboard shortcuts", None)  # Wagtail's own

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "caption":
            self._in = "caption"
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in {"td", "th"} and self._rows:
            self._rows[-1].append("")
            self._in = "cell"

    def handle_endtag(self, tag: str) -> None:
        if tag in {"caption", "td", "th"}:
            self._in = ""
        elif tag == "table":
            self._rows = None

    def handle_data(self, data: str) -> None:
        if self._in == "caption":
            self._rows = self.tables.setdefault(data.strip(), [])
        elif self._in == "cell" and self._rows:
            self._rows[-1][-1] += data.strip()


def tables(answer: Any) -> dict[str, list[list[str]]]:
    assert answer.status_code == 200
    return Tables(answer.content.decode()).tables


OVER_TIME, BY_TOPIC, PAUSES = "Opt-ins and opt-outs over time", "By topic and channel", "Pauses over time"


def test_the_numbers_of_each_week_topic_and_channel(editor: Client, some: None) -> None:
    found = tables(editor.get(reverse(INDEX), ASKED))
    assert found[OVER_TIME] == [
        ["Week", "Opt-ins", "Opt-outs", "Otherwise", "Change", "Refusals", "Left everything"],
        ["11/02/2026", "11", "0", "0", "11", "0", "0"],
        ["11/09/2026", "0", "3", "-2", "-5", "0", "0"],
        ["11/16/2026", "5", "0", "0", "5", "6", "1"],
        ["In all", "16", "3", "-2", "11", "6", "1"],
    ]
    assert found[BY_TOPIC][1:] == [
        ["All topics", "All channels", "0", "0", "0", "0", "0", "8", "0"],
        ["News", "All channels", "0", "0", "0", "0", "0", "0", "9"],
        ["News", "E-mail", "11", "3", "-2", "6", "0", "0", "0"],
        ["Offers", "Text message", "5", "0", "0", "5", "6", "0", "0"],
    ]
    assert found[PAUSES][1:] == [
        ["11/02/2026", "0", "0"], ["11/09/2026", "0", "0"], ["11/16/2026", "8", "9"], ["In all", "8", "9"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "total"),
    [
        ({}, ["16", "3"]),
        ({"topic": "news"}, ["11", "3"]),
        ({"channel": "sms"}, ["5", "0"]),
        ({"method": "element"}, ["4", "0"]),
        ({"topic": "news", "method": "page"}, ["7", "3"]),
        ({"since": "2026-11-03"}, ["9", "3"]),
        ({"until": "2026-11-08"}, ["11", "0"]),
        ({"unit": "day"}, ["16", "3"]),
        ({"unit": "month"}, ["16", "3"]),
    ],
)
def test_filters(editor: Client, some: None, filters: dict[str, str], total: list[str]) -> None:
    found = tables(editor.get(reverse(INDEX), {**ASKED, **filters}))
    assert found[OVER_TIME][-1][1:3] == total


def test_each_chart_has_its_words_and_its_table(editor: Client, some: None) -> None:
    page = editor.get(reverse(INDEX), ASKED).content.decode()
    drawings = re.findall(r'<svg class="prefs-chart__drawing".*?</svg>', page, re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        assert 'role="img"' in drawing
        for name in re.findall(r'aria-labelledby="([^"]+)"', drawing)[0].split():
            assert re.search(rf'<(title|desc) id="{name}">[^<]+</', drawing)
    assert "style=" not in "".join(drawings)
    assert "<script" not in "".join(drawings)
    ids = re.findall(r'\bid="(prefs-[^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "11/02/2026: Opt-ins 11, Opt-outs 0" in drawings[0]
    assert len(Tables(page).tables) == 3


def test_names_are_escaped(editor: Client) -> None:
    topics = make_topics()
    evil = '"><script>alert(1)</script>'
    TopicText.objects.filter(topic=topics["news"]).update(label=evil)
    count(MONDAY, "opt_in", 1)
    count(MONDAY, "opt_in", 1, topic=evil, channel="<i>x", method="<b>m")
    page = editor.get(reverse(INDEX), ASKED).content.decode()
    assert "<script>alert" not in page
    assert "<i>x" not in page
    assert "<b>m" not in page
    assert page.count("&lt;script&gt;") >= 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "2026-11-23"}, {"since": "nonsense"}, {"until": "9999-99-99"}, {"unit": "year"},
        {"unit": "day", "since": "2020-01-01"}, {"since": "0001-01-01", "until": "9999-12-31", "unit": "month"},
        {"topic": "nonsense"}, {"channel": "x" * 5000}, {"method": "x" * 33}, {"audience": "nobody"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_and_shows_nothing(
    editor: Client, some: None, wrong: dict[str, str]
) -> None:
    answer = editor.get(reverse(INDEX), {**ASKED, **wrong})
    assert tables(answer) == {}
    assert "w-field__errors" in answer.content.decode() or "audience" in wrong
    assert editor.get(reverse(DOWNLOAD), {**ASKED, **wrong}).status_code == 404


def test_what_is_asked_where_nothing_was_asked(editor: Client) -> None:
    count(timezone.localdate() - timedelta(days=1), "opt_in", 7)
    found = tables(editor.get(reverse(INDEX)))
    assert found[OVER_TIME][-1][1] == "7"
    assert 12 <= len(found[OVER_TIME]) - 2 <= 13


@pytest.mark.parametrize(("since", "until"), [("0001-01-01", "0001-01-07"), ("9999-12-20", "9999-12-31")])
@pytest.mark.parametrize("unit", list(numbers.UNITS))
def test_the_ends_of_the_calendar(editor: Client, since: str, until: str, unit: str) -> None:
    answer = editor.get(reverse(INDEX), {"since": since, "until": until, "unit": unit})
    assert "Nobody joined, left or paused in this time." in answer.content.decode()


def test_it_says_how_far_it_has_counted(editor: Client) -> None:
    page = editor.get(reverse(INDEX)).content.decode()
    assert "Nothing is counted yet" in page
    assert "Nobody joined, left or paused in this time." in page
    chains.append(uuid.uuid4())
    seals.seal(datetime(2026, 11, 23, tzinfo=UTC))
    assert "0 of 1 batches" in editor.get(reverse(INDEX)).content.decode()
    counts.count_new()
    page = editor.get(reverse(INDEX)).content.decode()
    assert "Counted up to" in page
    assert "Days begin at midnight in UTC" in page
    assert CountMark.objects.count() == 1


def test_a_site_without_audiences(client: Client) -> None:
    client.force_login(make_editor())
    Topic.objects.all().delete()
    Audience.objects.all().delete()
    assert "There is no audience yet" in client.get(reverse(INDEX)).content.decode()
    assert client.get(reverse(DOWNLOAD)).status_code == 404


# The file


def file_of(answer: Any) -> list[list[str]]:
    content = b"".join(answer.streaming_content).decode()
    return list(csv.reader(io.StringIO(content, newline="")))


def test_the_file_holds_everything_that_was_counted(editor: Client, some: None) -> None:
    answer = editor.get(reverse(DOWNLOAD), ASKED)
    assert answer["Content-Disposition"] == 'attachment; filename="results.csv"'
    rows = file_of(answer)
    assert rows[0] == ["Beginning", "Topic key", "Topic", "Channel", "What", "How", "Where", "Number"]
    assert ["2026-11-02", "news", "News", "E-mail", "Opt-in", "given", "Preference page", "7"] in rows
    assert [
        "2026-11-16", "", "All topics", "All channels", "Pause begun", "set", "Preference page", "8",
    ] in rows  # fmt: skip
    assert len(rows) == 1 + DayCount.objects.count()
    workbook = editor.get(reverse(DOWNLOAD), {**ASKED, "format": "xlsx"})
    sheet = load_workbook(io.BytesIO(b"".join(workbook.streaming_content))).active
    assert sheet.max_row == len(rows)
    assert {type(row[0].value).__name__ for row in sheet.iter_rows(min_row=2)} == {"date"}
    assert editor.get(reverse(DOWNLOAD), {**ASKED, "format": "pdf"}).status_code == 404


def test_no_column_of_the_file_holds_a_formula(editor: Client) -> None:
    for number, formula in enumerate(FORMULAS):
        text = formula.replace("\0", "")  # PostgreSQL takes none
        count(
            MONDAY,
            "opt_in",
            1,
            topic=text,
            channel=text[:16],
            method=text[:30],
            action=text[:14] + f"{number:02}",
        )
        DayCount.objects.filter(topic=text).update(event=text[:14] + f"{number:02}")
    topic = make_topics()["news"]
    TopicText.objects.filter(topic=topic).update(label=FORMULAS[0])
    count(MONDAY, "opt_in", 1)
    rows = file_of(editor.get(reverse(DOWNLOAD), ASKED))
    assert len(rows) == 2 + len(FORMULAS)
    for row in rows[1:]:
        for cell in row[1:-1]:
            assert cell.startswith("'") or cell in {"news", "E-mail", "Opt-in", "given", "Preference page"}, (
                row
            )


def test_who_took_a_file_is_logged_with_nothing_in_it(editor: Client, some: None) -> None:
    b"".join(editor.get(reverse(DOWNLOAD), ASKED).streaming_content)
    entry = ModelLogEntry.objects.get(action="wagtail_prefs.results.download")
    assert entry.user == get_user_model().objects.get(username="editor")
    assert entry.data == {"since": "2026-11-02", "until": "2026-11-22", "format": "csv"}
    assert entry.message == "Downloaded the results from 2026-11-02 to 2026-11-22"


# Who may


def turned_away(answer: Any) -> bool:
    return answer.status_code in {403, 404} or (
        answer.status_code == 302 and answer["Location"] == reverse("wagtailadmin_home")
    )


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize(
    ("codenames", "sees", "takes"),
    [
        ((), False, False),
        (("view_contact", "export_contact"), False, False),
        (("results_contact",), True, False),
        (("download_contact",), False, False),
        (("results_contact", "download_contact"), True, True),
    ],
)
def test_who_may_see_and_who_may_take(
    client: Client, some: None, codenames: tuple[str, ...], sees: bool, takes: bool, everywhere: bool
) -> None:
    client.force_login(make_staff("staff", *codenames, site=None if everywhere else make_site()))
    page = client.get(reverse(INDEX), ASKED)
    assert turned_away(page) is not sees
    assert turned_away(client.get(reverse(DOWNLOAD), ASKED)) is not takes
    home = client.get(reverse("wagtailadmin_home")).content.decode()
    assert (reverse(INDEX) in home) is sees
    if sees:
        assert (reverse(DOWNLOAD) in page.content.decode()) is takes
    assert client.post(reverse(INDEX), ASKED).status_code in {302, 405}
    assert client.post(reverse(DOWNLOAD), ASKED).status_code in {302, 405}


def test_nobody_sees_the_numbers_of_another_site(client: Client, some: None) -> None:
    elsewhere = make_audience(make_site("other.example", port=443))
    count(MONDAY, "opt_in", 777, audience=elsewhere.key)
    user = make_staff("here", "results_contact", site=make_site())
    both = make_staff("both", "results_contact", "download_contact", site=elsewhere.site)
    user.groups.add(*both.groups.all())
    client.force_login(both)
    page = client.get(reverse(INDEX), ASKED)
    assert tables(page)[OVER_TIME][-1][1] == "777"
    assert make_audience().name not in page.content.decode()
    for url in (INDEX, DOWNLOAD):
        answer = client.get(reverse(url), {**ASKED, "audience": make_audience().key})
        assert answer.status_code == 404 or tables(answer) == {}
    client.force_login(user)  # sees both, and takes one
    for audience, total, taken in ((make_audience(), "16", 404), (elsewhere, "777", 200)):
        asked = {**ASKED, "audience": audience.key}
        page = client.get(reverse(INDEX), asked)
        assert tables(page)[OVER_TIME][-1][1] == total
        assert (reverse(DOWNLOAD) in page.content.decode()) is (taken == 200)
        answer = client.get(reverse(DOWNLOAD), asked)
        assert answer.status_code == taken


# What it costs


def test_the_cost_of_the_page_does_not_grow(editor: Client, some: None) -> None:
    seen = []
    for days in (1, 60):
        for day in range(days):
            for topic in ("news", "offers", "events", f"t{day}"):
                count(MONDAY - timedelta(days=day), "opt_in", 1, topic=topic, method=f"m{days}")
        editor.get(reverse(INDEX), {**ASKED, "since": "2026-09-01"})
        with CaptureQueriesContext(connection) as queries:
            editor.get(reverse(INDEX), {**ASKED, "since": "2026-09-01"})
        seen.append(len(queries))
    assert seen[0] == seen[1] <= 16
    assert not [query for query in queries if "_record" in query["sql"]]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_cost_of_the_file_does_not_grow(
    editor: Client, some: None, kind: str, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    # Once before: what Django keeps for the process, as its content types, another test may have emptied.
    b"".join(editor.get(reverse(DOWNLOAD), {**ASKED, "format": kind}).streaming_content)
    with django_assert_max_num_queries(13):
        answer = editor.get(reverse(DOWNLOAD), {**ASKED, "format": kind})
        b"".join(answer.streaming_content)


# The arithmetic


@pytest.mark.property
@examples(200)
@given(
    unit=st.sampled_from(list(numbers.UNITS)),
    since=st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    days=st.integers(0, 400),
)
def test_every_day_is_in_one_period(unit: str, since: date, days: int) -> None:
    found = numbers.starts(unit, since, since + timedelta(days=days))
    assert found == sorted(set(found))
    assert {numbers.start_of(unit, since + timedelta(days=number)) for number in range(days + 1)} == set(
        found
    )


EVENTS = st.tuples(
    st.sampled_from(list(numbers.EVENTS)), st.sampled_from(list(numbers.ACTIONS)), st.integers(1, 1000)
)


@pytest.mark.property
@examples(200)
@given(said=st.lists(EVENTS))
def test_the_change_is_every_yes_that_began_less_those_that_ended(said: list[tuple[str, str, int]]) -> None:
    sums = numbers.Sums()
    for event in said:
        sums.add(*event)
    began = sum(number for event, _, number in said if event == "opt_in")
    ended = sum(number for event, _, number in said if event == "opt_out")
    assert sums.change == began - ended
