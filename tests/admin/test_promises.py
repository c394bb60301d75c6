"""The report on promises: its numbers and words, who may see whom, and what it costs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.admin.test_exports import FORMULAS
from tests.admin.test_results import Tables, file_of, tables, turned_away
from tests.factories import make_audience, make_contact, make_editor, make_site, make_topics
from wagtail_prefs.decisions import promises
from wagtail_prefs.decisions.models import DecisionCount, Send
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.topics.models import Audience, Topic, TopicText

pytestmark = pytest.mark.django_db

INDEX, DOWNLOAD = "prefs_promises:index", "prefs_promises:download"
MONDAY = date(2026, 11, 2)
NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
ASKED = {"since": "2026-11-02", "until": "2026-11-22", "unit": "week"}

OVER_TIME, BY_TOPIC = "Answers and sends over time", "Numbers by topic, channel and sender"
REASONS, NEWEST = "Why it should not have been sent", "The newest of them"


def count(day: date, event: str, number: int, **more: Any) -> None:
    row = {
        "audience_id": make_audience().pk,
        "topic": "news",
        "channel": "email",
        "sender": "shop",
        "reason": "",
        **more,
    }
    DecisionCount.objects.create(day=day, event=event, count=number, **row)


@pytest.fixture
def editor(client: Client) -> Client:
    make_topics()
    client.force_login(make_editor())
    return client


@pytest.fixture
def kept() -> None:
    """Three weeks in which everything went well."""
    make_topics()
    count(MONDAY, "asked_send", 1000, reason="subscribed")
    count(MONDAY, "asked_refuse", 100, reason="opted_out")
    count(MONDAY + timedelta(days=7), "asked_defer", 60, reason="paused", sender="django")
    count(MONDAY + timedelta(days=7), "asked_digest", 44, reason="frequency", sender="django")
    count(MONDAY, "sent", 990, reason="subscribed")
    count(MONDAY + timedelta(days=14), "sent", 60, reason="subscribed", sender="django", topic="offers")
    count(MONDAY + timedelta(days=14), "late", 60, sender="django", topic="offers")


@pytest.fixture
def broken(kept: None) -> Send:
    """And then three went out that should not have."""
    contact = make_contact()
    row = {"contact": contact.pk, "topic": "news", "channel": "email", "sender": "shop"}
    for number in range(2):
        at = NOON + timedelta(hours=number)
        Send.objects.create(
            message_id=f"week-47-{number}", at=at, verdict="refuse", reason="opted_out", **row
        )
    Send.objects.create(
        message_id="week-47-2", at=NOON, verdict="defer", reason="paused", **{**row, "sender": "esp"}
    )
    Send.objects.create(message_id="good", at=NOON, verdict="send", reason="subscribed", **row)
    promises.count_sends()
    return Send.objects.get(message_id="week-47-1")


def sentence(page: str) -> str:
    found = re.search(r'<p class="prefs-promises__sentence.*?</p>', page, re.DOTALL)
    assert found, "no sentence"
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def test_the_numbers_where_everything_was_kept(editor: Client, kept: None) -> None:
    answer = editor.get(reverse(INDEX), ASKED)
    found = tables(answer)
    assert found[OVER_TIME] == [
        ["Week", "Asked", "Send", "Wait", "Do not send", "Obeyed", "Sent", "Against a no", "Too early", "Waited, then sent"],
        ["11/02/2026", "1100", "1000", "0", "100", "1100", "990", "0", "0", "0"],
        ["11/09/2026", "104", "0", "104", "0", "104", "0", "0", "0", "0"],
        ["11/16/2026", "0", "0", "0", "0", "0", "60", "0", "0", "60"],
        ["In all", "1204", "1000", "104", "100", "1204", "1050", "0", "0", "60"],
    ]  # fmt: skip
    assert [row[:5] for row in found[BY_TOPIC][1:]] == [
        ["News", "E-mail", "django", "104", "0"],
        ["News", "E-mail", "shop", "1100", "1000"],
        ["Offers", "E-mail", "django", "0", "0"],
    ]
    assert set(found) == {OVER_TIME, BY_TOPIC}
    page = answer.content.decode()
    assert sentence(page) == "1204 of 1204 answers were obeyed: nothing was sent against a no."
    assert "prefs-promises__sentence--broken" not in page


def test_the_numbers_where_something_was_broken(editor: Client, broken: Send) -> None:
    answer = editor.get(reverse(INDEX), ASKED)
    page, found = answer.content.decode(), tables(answer)
    assert sentence(page) == "2 messages were sent against a no. 1 was sent too early."
    assert "prefs-promises__sentence--broken" in page
    assert found[OVER_TIME][-1][5:9] == ["1201", "1054", "2", "1"]
    assert found[REASONS][1:] == [
        ["The contact has unsubscribed from everything.opted_out", "Against a no", "2"],
        ["The contact has paused this.paused", "Too early", "1"],
    ]
    assert found[NEWEST][1][5] == "week-47-1"
    assert {row[5] for row in found[NEWEST][1:]} == {"week-47-0", "week-47-1", "week-47-2"}
    newest = found[NEWEST][1]
    assert newest[1:5] == [
        "News",
        "E-mail",
        "shop",
        "Against a no: The contact has unsubscribed from everything.",
    ]
    assert newest[6].startswith(str(broken.contact))
    assert reverse("prefs_contacts:person", args=[broken.contact]) in page


@pytest.mark.parametrize(
    ("filters", "total"),
    [
        ({}, ["1204", "1054", "2"]),
        ({"topic": "news"}, ["1204", "994", "2"]),
        ({"topic": "offers"}, ["0", "60", "0"]),
        ({"channel": "email"}, ["1204", "1054", "2"]),
        ({"sender": "shop"}, ["1100", "993", "2"]),
        ({"sender": "django", "topic": "news"}, ["104", "0", "0"]),
        ({"since": "2026-11-03"}, ["104", "64", "2"]),
        ({"until": "2026-11-08"}, ["1100", "990", "0"]),
        ({"unit": "day"}, ["1204", "1054", "2"]),
        ({"unit": "month"}, ["1204", "1054", "2"]),
    ],
)
def test_filters(editor: Client, broken: Send, filters: dict[str, str], total: list[str]) -> None:
    found = tables(editor.get(reverse(INDEX), {**ASKED, **filters}))
    last = found[OVER_TIME][-1]
    assert [last[1], last[6], last[7]] == total
    assert (NEWEST in found) is (total[2] != "0")


def test_each_sentence() -> None:
    from wagtail_prefs.admin.promises_numbers import sentence as of
    from wagtail_prefs.decisions.promises import Sums

    assert of(Sums(yes=1)) == "1 of 1 answer was obeyed: nothing was sent against a no."
    assert of(Sums(sent=500)) == "500 messages were sent, and none against a no. Nobody had asked before."
    assert of(Sums(yes=9, sent=5, early=1)).endswith("1 message was sent too early.")
    assert of(Sums(yes=9, sent=5, early=1, broken=1)) == "1 message was sent against a no."


def test_each_chart_has_its_words_and_its_table(editor: Client, broken: Send) -> None:
    page = editor.get(reverse(INDEX), ASKED).content.decode()
    drawings = re.findall(r'<svg class="prefs-chart__drawing".*?</svg>', page, re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        assert 'role="img"' in drawing
        for name in re.findall(r'aria-labelledby="([^"]+)"', drawing)[0].split():
            assert re.search(rf'<(title|desc) id="{name}">[^<]+</', drawing)
    assert "style=" not in "".join(drawings)
    ids = re.findall(r'\bid="(prefs-[^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert len(Tables(page).tables) == 4
    assert "11/16/2026: Against a no 2, Too early 1" in drawings[0]


def test_mails_that_waited_stand_beside(editor: Client, kept: None) -> None:
    contact = make_contact()

    def wait(outcome: str, at: datetime | None = None, **more: Any) -> None:
        row = {"contact": contact.pk, "audience_id": contact.audience_id, "topic": "news", "channel": "email"}
        Waiting.objects.create(
            message_id=str(uuid.uuid4()), kind="defer", reason="paused", created_at=NOON, expires_at=NOON, due_at=NOON,
            outcome=outcome, settled_at=at, **{**row, **more},
        )  # fmt: skip

    wait("")
    wait("expired", NOON)
    wait("expired", NOON)
    wait("refused", NOON)
    wait("expired", NOON - timedelta(days=60))
    wait("expired", NOON, sender="elsewhere")
    wait("expired", NOON, audience_id=0)
    answer = editor.get(reverse(INDEX), {**ASKED, "sender": ""})
    found = tables(answer)["What became of mails that waited"]
    assert found == [["Outcome", "Number"], ["Not wanted any more", "1"], ["Pointless by now", "3"]]
    assert "1 mail waits now." in answer.content.decode()


def test_names_are_escaped(editor: Client) -> None:
    topics = make_topics()
    evil = '"><script>alert(1)</script>'
    TopicText.objects.filter(topic=topics["news"]).update(label=evil)
    contact = make_contact()
    Send.objects.create(
        message_id=evil, contact=contact.pk, topic="news", channel="<i>x", at=NOON, sender=evil, verdict="refuse", reason=evil
    )  # fmt: skip
    promises.count_sends()
    page = editor.get(reverse(INDEX), ASKED).content.decode()
    assert "<script>alert" not in page
    assert "<i>x" not in page
    assert page.count("&lt;script&gt;") >= 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "2026-11-23"}, {"since": "nonsense"}, {"until": "9999-99-99"}, {"unit": "year"},
        {"since": "0001-01-01", "until": "9999-12-31", "unit": "month"}, {"topic": "nonsense"}, {"channel": "x" * 5000},
        {"sender": "x" * 65}, {"sender": "a\0b"}, {"audience": "nobody"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_and_shows_nothing(
    editor: Client, kept: None, wrong: dict[str, str]
) -> None:
    assert tables(editor.get(reverse(INDEX), {**ASKED, **wrong})) == {}
    assert editor.get(reverse(DOWNLOAD), {**ASKED, **wrong}).status_code == 404


@pytest.mark.parametrize(("since", "until"), [("0001-01-01", "0001-01-07"), ("9999-12-20", "9999-12-31")])
def test_the_ends_of_the_calendar(editor: Client, kept: None, since: str, until: str) -> None:
    answer = editor.get(reverse(INDEX), {"since": since, "until": until, "unit": "day"})
    assert "Nobody asked whether a message may be sent" in answer.content.decode()


def test_it_says_how_to_begin_and_how_far_it_is(editor: Client) -> None:
    page = editor.get(reverse(INDEX)).content.decode()
    assert "Nobody asked whether a message may be sent" in page
    assert "wagtail_prefs.send(message" in page
    assert "What was sent is not counted yet" in page
    promises.count_sends()
    count(timezone.now().date(), "asked_send", 7)
    page = editor.get(reverse(INDEX)).content.decode()
    assert "What was sent is counted up to" in page
    assert sentence(page).startswith("7 of 7 answers")


def test_a_site_without_audiences(client: Client) -> None:
    client.force_login(make_editor())
    Topic.objects.all().delete()
    Audience.objects.all().delete()
    assert "There is no audience yet" in client.get(reverse(INDEX)).content.decode()
    assert client.get(reverse(DOWNLOAD)).status_code == 404


# The file


def test_the_file_holds_everything_that_was_counted_and_nobody(editor: Client, broken: Send) -> None:
    answer = editor.get(reverse(DOWNLOAD), ASKED)
    assert answer["Content-Disposition"] == 'attachment; filename="promises.csv"'
    rows = file_of(answer)
    assert rows[0] == [
        "Beginning",
        "Topic key",
        "Topic",
        "Channel",
        "Sender",
        "What",
        "Code",
        "Rule",
        "Number",
    ]
    assert [
        "2026-11-16", "news", "News", "E-mail", "shop", "Sent against a no", "opted_out",
        "The contact has unsubscribed from everything.", "2",
    ] in rows  # fmt: skip
    assert len(rows) == 1 + DecisionCount.objects.count()
    assert str(broken.contact) not in str(rows)
    assert broken.message_id not in str(rows)
    assert editor.get(reverse(DOWNLOAD), {**ASKED, "format": "pdf"}).status_code == 404
    workbook = editor.get(reverse(DOWNLOAD), {**ASKED, "format": "xlsx"})
    assert b"".join(workbook.streaming_content).startswith(b"PK")
    entry = ModelLogEntry.objects.filter(action="wagtail_prefs.promises.download").latest("pk")
    assert entry.data == {"since": "2026-11-02", "until": "2026-11-22", "format": "xlsx"}
    assert entry.message == "Downloaded the report on promises from 2026-11-02 to 2026-11-22"


def test_no_column_of_the_file_holds_a_formula(editor: Client) -> None:
    for formula in FORMULAS:
        text = formula.replace("\0", "")  # PostgreSQL takes none
        count(MONDAY, text[:14], 1, topic=text, channel=text[:16], sender=text, reason=text)
    rows = file_of(editor.get(reverse(DOWNLOAD), ASKED))
    assert len(rows) == 1 + len(FORMULAS)
    for row in rows[1:]:
        for cell in row[1:-1]:
            assert cell.startswith("'") or cell == "", row


# Who may


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize(
    ("codenames", "sees", "takes", "people"),
    [
        (("view_contact", "export_contact"), False, False, False),
        (("results_contact",), True, False, False),
        (("download_contact",), False, False, False),
        (("results_contact", "download_contact"), True, True, False),
        (("results_contact", "view_contact"), True, False, True),
    ],
)
def test_who_may_see_take_and_look_at_people(
    client: Client,
    broken: Send,
    codenames: tuple[str, ...],
    sees: bool,
    takes: bool,
    people: bool,
    everywhere: bool,
) -> None:
    client.force_login(make_staff("staff", *codenames, site=None if everywhere else make_site()))
    page = client.get(reverse(INDEX), ASKED)
    assert turned_away(page) is not sees
    assert turned_away(client.get(reverse(DOWNLOAD), ASKED)) is not takes
    home = client.get(reverse("wagtailadmin_home")).content.decode()
    assert (reverse(INDEX) in home) is sees
    if sees:
        text = page.content.decode()
        assert (reverse(DOWNLOAD) in text) is takes
        assert broken.message_id in text
        assert (str(broken.contact) in text) is people
    for url in (INDEX, DOWNLOAD):
        assert client.post(reverse(url), ASKED).status_code in {302, 405}


def test_nobody_sees_the_numbers_of_another_site(client: Client, broken: Send) -> None:
    elsewhere = make_audience(make_site("other.example", port=443))
    count(MONDAY, "asked_send", 777, audience_id=elsewhere.pk)
    client.force_login(
        make_staff("both", "results_contact", "download_contact", "view_contact", site=elsewhere.site)
    )
    page = client.get(reverse(INDEX), ASKED)
    assert tables(page)[OVER_TIME][-1][1] == "777"
    assert NEWEST not in tables(page)
    for url in (INDEX, DOWNLOAD):
        answer = client.get(reverse(url), {**ASKED, "audience": make_audience().key})
        assert answer.status_code == 404 or tables(answer) == {}


def test_an_id_that_may_hold_an_address_is_not_shown(client: Client, broken: Send) -> None:
    Send.objects.filter(pk=broken.pk).update(message_id="cart of anna@mail.example.org")
    client.force_login(make_staff("staff", "results_contact", "view_contact"))
    page = client.get(reverse(INDEX), ASKED)
    assert str(broken.contact) in page.content.decode()
    assert "anna@" not in page.content.decode()


def test_whom_it_went_to_is_shown_only_where_she_may_be_looked_at(client: Client, broken: Send) -> None:
    """Results here, people elsewhere."""
    elsewhere = make_site("other.example", port=443)
    make_audience(elsewhere)
    user = make_staff("here", "results_contact", site=make_site())
    user.groups.add(*make_staff("there", "view_contact", site=elsewhere).groups.all())
    client.force_login(user)
    page = client.get(reverse(INDEX), ASKED).content.decode()
    assert broken.message_id in page
    assert str(broken.contact) not in page


# What it costs


def test_the_cost_of_the_page_does_not_grow(editor: Client, broken: Send) -> None:
    seen = []
    for days in (1, 30):
        for day in range(days):
            for sender in ("shop", "esp", f"s{day}"):
                count(MONDAY - timedelta(days=day), "asked_send", 1, sender=sender, reason=f"r{days}")
            Send.objects.create(
                message_id=f"{days} {day}", contact=broken.contact, topic="news", channel="email", at=NOON, verdict="refuse"
            )  # fmt: skip
        editor.get(reverse(INDEX), {**ASKED, "since": "2026-09-01"})
        with CaptureQueriesContext(connection) as queries:
            editor.get(reverse(INDEX), {**ASKED, "since": "2026-09-01"})
        seen.append(len(queries))
    assert seen[0] == seen[1] <= 22
    sums = [query["sql"] for query in queries if 'FROM "wagtail_prefs_send"' in query["sql"]]
    assert len(sums) == 1  # the list; numbers are read from counts


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_cost_of_the_file_does_not_grow(
    editor: Client, kept: None, kind: str, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    b"".join(editor.get(reverse(DOWNLOAD), {**ASKED, "format": kind}).streaming_content)
    with django_assert_max_num_queries(15):
        answer = editor.get(reverse(DOWNLOAD), {**ASKED, "format": kind})
        b"".join(answer.streaming_content)
