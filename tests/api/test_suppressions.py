"""`GET suppressions/`: whom not to write to, as a file."""

from __future__ import annotations

import csv
import gc
import io
import json
import logging
from typing import Any

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.core.signals import request_finished
from django.db import close_old_connections, connection, transaction
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries, Settings
from wagtail.models import ModelLogEntry

from tests.api.client import Program, make_key
from tests.api.test_openapi import holds
from tests.factories import make_audience, make_contact, make_site, make_topics
from wagtail_prefs.api import suppressions as view
from wagtail_prefs.api.schema import openapi
from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions import suppressions
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Audience, Topic
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db

HER, PAGE = Actor(ActorType.SUBJECT_LINK), Source(method="page")
NEWS = "suppressions/?topic=news&channel=email"


@pytest.fixture
def audience(db: None) -> Audience:
    audience = make_audience()
    make_topics(audience)
    return audience


class Reader(Program):
    """A program that reads what it asks for to its end."""

    def get(self, path: str, **headers: str) -> Any:
        answer = self.send("GET", path, **headers)
        answer.read = answer.getvalue() if answer.streaming else answer.content
        return answer


@pytest.fixture
def program(audience: Audience) -> Reader:
    return Reader(make_key("suppressions:read")[1])


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi())
    return found


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return str(answer.read.decode())


def close(answer: Any) -> None:
    """As a server does, but for the connection of the test: the test client's own iterator would bring that back."""
    if not answer.is_async:
        answer._iterator.close()
    request_finished.disconnect(close_old_connections)
    answer.close()
    request_finished.connect(close_old_connections)


def lines(answer: Any) -> list[dict[str, Any]]:
    *rows, end = [json.loads(line) for line in text(answer).splitlines()]
    assert end == {"end": True, "rows": len(rows)}
    return rows


def reasons(answer: Any) -> dict[str, str]:
    return {row["contact"]: row["reason"] for row in lines(answer)}


def say(contact: Contact, *changes: Any) -> None:
    submissions.record(contact.pk, changes, actor=HER, source=PAGE)


def reading() -> int:
    """Files under way, but for those that a test asked for and threw away."""
    gc.collect()
    return len(view._reading)


def people(audience: Audience, count: int) -> list[Contact]:
    """Who was never asked: the law wants to be."""
    return Contact.objects.bulk_create(Contact(audience=audience) for _number in range(count))


def test_a_file_names_whom_not_to_write_to(program: Reader) -> None:
    never, leaver, reader = (make_contact(f"{name}@mail.example.org") for name in ("never", "left", "reads"))
    say(leaver, OptOut())
    say(reader, SetChoice("news", "email", SUBSCRIBED))
    Contact.objects.filter(pk=leaver.pk).update(external_id="crm-1")
    answer = program.get(NEWS)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="suppressions.csv"'
    assert answer["Cache-Control"] == "no-store, private"
    content = text(answer)
    assert content.splitlines() == [
        "contact,external_id,reason,until",
        *sorted([f"{never.pk},,no_consent,", f"{leaver.pk},crm-1,opted_out,"]),
        "#end,2,,",
    ]
    assert "@" not in content
    for accept in ({"Accept": "application/x-ndjson"}, {"Accept": "text/html, application/x-ndjson;q=0.5"}):
        answer = program.get(NEWS, **accept)
        assert answer["Content-Type"] == "application/x-ndjson"
        assert reasons(answer) == {str(never.pk): "no_consent", str(leaver.pk): "opted_out"}
    assert text(program.get(f"{NEWS}&format=csv", Accept="application/x-ndjson")) == content
    assert text(program.get(NEWS, Accept="application/json")) == content
    assert {"contact": str(leaver.pk), "external_id": "crm-1", "reason": "opted_out", "until": None} in lines(
        program.get(f"{NEWS}&format=ndjson")
    )


def test_its_headers_say_what_it_holds(program: Reader, settings: Settings) -> None:
    answer = program.get(NEWS)
    assert (answer["Prefs-Topic"], answer["Prefs-Channel"]) == ("news", "email")
    assert answer["Prefs-As-Of"].endswith("Z")
    assert answer["Prefs-Next-Since"][:28] < answer["Prefs-As-Of"]
    assert answer["Prefs-Rules-Not-Held"] == "frequency, pauses"
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "QUIET_HOURS": {"email": ["21:00", "08:00"]},
        "DECISION_RULES": ["tests.decisions.site_rules.ticket"],
    }
    assert (
        program.get(f"{NEWS}&paused=1")["Prefs-Rules-Not-Held"]
        == "frequency, quiet_hours, tests.decisions.site_rules.ticket"
    )
    assert program.get("suppressions/?topic=orders&channel=email")["Prefs-Rules-Not-Held"] == "none"
    head = program.send("HEAD", NEWS)
    assert (head.status_code, head.content, head["Prefs-Topic"]) == (200, b"", "news")


def test_what_is_always_sent_stops_for_nobody_but_who_can_get_nothing(program: Reader) -> None:
    leaver, dead = make_contact("left@mail.example.org"), make_contact("dead@mail.example.org")
    say(leaver, OptOut())
    contacts.mark_dead(dead.pk, dead.created_at)
    answer = program.get("suppressions/?topic=orders&channel=email&format=ndjson")
    assert reasons(answer) == {str(dead.pk): "dead_address"}


def test_of_other_audiences_there_is_nobody(program: Reader, audience: Audience) -> None:
    elsewhere = make_audience(make_site("other.example", port=443))
    make_topics(elsewhere)
    theirs = make_contact("anna@mail.example.org", audience=elsewhere)
    ours = make_contact("ben@mail.example.org")
    assert set(reasons(program.get(f"{NEWS}&format=ndjson"))) == {str(ours.pk)}
    other = Reader(make_key("suppressions:read", audience=elsewhere)[1])
    assert set(reasons(other.get(f"{NEWS}&format=ndjson"))) == {str(theirs.pk)}
    since = other.get(NEWS)["Prefs-Next-Since"]
    assert program.get(f"{NEWS}&since={since}").json()["type"] == "urn:wagtail-prefs:full-file-needed"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("channel=email", "topic"),
        ("topic=news", "channel"),
        ("topic=unheard-of&channel=email", "topic"),
        ("topic=old&channel=email", "topic"),
        ("topic=%00&channel=email", "topic"),
        ("topic=" + "x" * 300 + "&channel=email", "topic"),
        ("topic=news&channel=post", "channel"),
        ("topic=news&channel=pigeon", "channel"),
        ("topic=news&channel=email&since=yesterday", "since"),
        ("topic=news&channel=email&since=2026-11-01T00:00:00.000000Z", "since"),
        ("topic=news&channel=email&since=9026-11-01T00:00:00.000000Z~0123456789abcdef", "since"),
        ("topic=news&channel=email&since=0001-01-01T00:00:00.000000Z~0123456789abcdef", "since"),
        ("topic=news&channel=email&since=2026-13-41T00:00:00.000000Z~0123456789abcdef", "since"),
        ("topic=news&channel=email&cursor=1", "cursor"),
        ("topic=news&channel=email&cursor=" + "z" * 36, "cursor"),
        ("topic=news&channel=email&paused=yes", "paused"),
        ("topic=news&channel=email&format=xml", "format"),
        ("topic=news&channel=email&sinced=x", "parameters"),
        ("topic=news&topic=offers&channel=email", "topic"),
    ],
)
def test_a_question_that_is_wrong_is_never_answered_with_nobody(
    program: Reader, audience: Audience, description: dict[str, Any], query: str, field: str
) -> None:
    Topic.objects.create(audience=audience, key="old", channels=["email"], archived=True)
    make_contact()
    answer = program.get(f"suppressions/?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    holds(answer, description, "/suppressions/", "get")
    assert answer.json()["errors"][field][0] not in {"", "None"}


def test_it_takes_a_key_that_may(program: Reader, description: dict[str, Any]) -> None:
    others = Reader(make_key("contacts:read", "links:write", "decisions:read")[1])
    for who, status in ((others, 403), (Reader("wpk_x"), 401)):
        answer = who.get(NEWS)
        assert answer.status_code == status
        holds(answer, description, "/suppressions/", "get")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert program.send(method, NEWS).status_code == 405
    assert set(description["paths"]["/suppressions/"]["get"]["responses"]["200"]["content"]) == set(
        view.MEDIA
    )


def test_who_fetched_a_file_is_noted(program: Reader, audience: Audience) -> None:
    answer = program.get(NEWS)
    entries = ModelLogEntry.objects.filter(action=suppressions.FETCHED)
    entry = entries.get()
    assert entry.object_id == str(audience.pk)
    assert (entry.data["topic"], entry.data["channel"]) == ("news", "email")
    assert program.key.startswith(f"wpk_{entry.data['key']}_")
    assert entry.message == "Fetched a file of whom not to write to"
    program.get(f"{NEWS}&since={answer['Prefs-Next-Since']}")
    program.send("HEAD", NEWS)
    program.get("suppressions/?topic=unheard-of&channel=email")
    assert entries.count() == 1


def test_a_file_of_changes_says_who_is_suppressed_now(program: Reader) -> None:
    with time_machine.travel("2026-11-01T12:00Z", tick=False):
        stays, comes, goes = (make_contact(f"{name}@mail.example.org") for name in ("a", "b", "c"))
        say(goes, SetChoice("news", "email", SUBSCRIBED))
    with time_machine.travel("2026-11-02T12:00Z", tick=False):
        first = program.get(f"{NEWS}&format=ndjson")
        assert set(reasons(first)) == {str(stays.pk), str(comes.pk)}
    with time_machine.travel("2026-11-03T12:00Z", tick=False):
        say(comes, SetChoice("news", "email", SUBSCRIBED))
        say(goes, OptOut())
        second = program.get(f"{NEWS}&format=ndjson&since={first['Prefs-Next-Since']}")
        came = {"contact": str(comes.pk), "external_id": "", "reason": "", "until": None, "suppressed": False}
        went = {**came, "contact": str(goes.pk), "reason": "opted_out", "suppressed": True}
        assert lines(second) == sorted([came, went], key=lambda row: str(row["contact"]))
        table = list(csv.reader(io.StringIO(text(program.get(f"{NEWS}&since={first['Prefs-Next-Since']}")))))
        assert table == [
            ["contact", "external_id", "reason", "until", "suppressed"],
            *sorted([[str(comes.pk), "", "", "", "false"], [str(goes.pk), "", "opted_out", "", "true"]]),
            ["#end", "2", "", "", ""],
        ]
    with time_machine.travel("2026-11-04T12:00Z", tick=False):  # what may have been under way comes twice
        third = program.get(f"{NEWS}&format=ndjson&since={second['Prefs-Next-Since']}")
        assert lines(third) == lines(second)
        assert lines(program.get(f"{NEWS}&format=ndjson&since={third['Prefs-Next-Since']}")) == []


def test_other_rules_need_a_full_file(
    program: Reader, audience: Audience, description: dict[str, Any]
) -> None:
    since = program.get(NEWS)["Prefs-Next-Since"]
    assert program.get(f"{NEWS}&since={since}").status_code == 200
    Topic.objects.filter(audience=audience, key="news").update(basis="contract")
    for query in (NEWS, f"{NEWS}&paused=1", "suppressions/?topic=news&channel=sms"):
        answer = program.get(f"{query}&since={since}")
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:wagtail-prefs:full-file-needed")
        holds(answer, description, "/suppressions/", "get")


def test_a_cut_file_goes_on_behind_the_last_contact(
    program: Reader, audience: Audience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppressions, "PIECE", 5)
    people(audience, 23)
    whole = text(program.get(NEWS))
    answer = program.send("GET", NEWS)
    pieces = iter(answer)
    first = b"".join(next(pieces) for _piece in range(3)).decode()
    close(answer)
    assert "#end" not in first
    *_before, last, _empty = first.split("\r\n")
    answer = program.get(f"{NEWS}&cursor={last.split(',')[0]}")
    assert "Prefs-Next-Since" not in answer  # it would be later than the first part
    rest = text(answer)
    assert (first + rest).splitlines()[:-1] == whole.splitlines()[:-1]
    assert rest.splitlines()[-1] == "#end,13,,"


def test_a_file_that_cannot_be_finished_does_not_look_finished(
    program: Reader, audience: Audience, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(suppressions, "PIECE", 5)
    people(audience, 12)
    answer = program.send("GET", NEWS)
    pieces = iter(answer)
    got = next(pieces) + next(pieces)
    with connection.cursor() as cursor:  # what a piece reads is gone, as when a server stops
        cursor.execute("ALTER TABLE wagtail_prefs_state RENAME TO wagtail_prefs_lost")
    try:
        with pytest.raises(suppressions.Cut), caplog.at_level(logging.ERROR), transaction.atomic():
            got += b"".join(pieces)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE wagtail_prefs_lost RENAME TO wagtail_prefs_state")
    assert got.count(b"\r\n") == 6
    assert b"#end" not in got
    assert "were cut after 5 rows" in caplog.text
    assert "wagtail_prefs_state" not in caplog.text  # nothing of what the driver said
    close(answer)
    assert not reading()


def test_a_key_reads_few_files_at_once_and_not_too_many(
    program: Reader, audience: Audience, settings: Settings, description: dict[str, Any]
) -> None:
    under_way = [program.send("GET", NEWS) for _file in range(view.AT_ONCE)]
    next(iter(under_way[0]))  # one is read, the other was not begun yet
    answer = program.get(NEWS)
    assert (answer.status_code, answer["Retry-After"]) == (429, str(view.RETRY_AFTER))
    holds(answer, description, "/suppressions/", "get")
    assert text(Reader(make_key("suppressions:read")[1]).get(NEWS))  # another key has files of its own
    for one in under_way:
        close(one)
        close(one)
    assert not reading()
    assert text(program.get(NEWS))
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"key_files": [(2, 3600)]}}
    busy = Reader(make_key("suppressions:read")[1])
    assert [busy.get(NEWS).status_code for _file in range(3)] == [200, 200, 429]
    assert program.get("suppressions/?topic=x&channel=email").status_code == 422  # is no file


def test_it_is_read_in_few_statements_and_none_holds_everybody(
    program: Reader,
    audience: Audience,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    people(audience, 40)
    text(program.get(NEWS))  # notes the use of the key
    monkeypatch.setattr(suppressions, "PIECE", 10)
    postgres = connection.vendor == "postgresql"
    # The key, the topic, who writes now (PostgreSQL), the audit log and its savepoint; the file begins when it is read.
    with CaptureQueriesContext(connection) as head:
        answer = program.send("GET", NEWS)
    assert len(head) <= 5 + postgres, [query["sql"] for query in head]
    pieces = iter(answer)
    assert next(pieces).startswith(b"contact,")
    planned = 3 if postgres else 0  # how it is planned, and the transaction that this holds for
    for _piece in range(3):
        with django_assert_num_queries(2 + planned):
            assert next(pieces).count(b"\r\n") == 10
    with django_assert_num_queries(2 * (2 + planned)):
        b"".join(pieces)
    close(answer)


def test_an_asynchronous_server_reads_it_in_pieces_too(
    program: Reader, audience: Audience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppressions, "PIECE", 5)
    made = people(audience, 12)

    async def fetched() -> list[bytes]:
        answer = await AsyncClient().get(
            f"/prefs/api/v1/{NEWS}", headers={"Authorization": f"Bearer {program.key}"}
        )
        assert answer.is_async
        found = [piece async for piece in answer]
        close(answer)
        return found

    pieces = async_to_sync(fetched)()
    assert [piece.count(b"\r\n") for piece in pieces] == [1, 5, 5, 2, 1]
    assert b"".join(pieces).count(str(made[-1].pk).encode()) == 1
    assert not reading()
