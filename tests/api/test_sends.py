"""`sends/`: what a program tells of what it sent elsewhere, and of what it did not send after all."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.api.client import Program, make_key
from tests.api.test_openapi import holds
from tests.decisions.conftest import NOW, Readers
from wagtail_prefs import decide, record
from wagtail_prefs.api.schema import openapi
from wagtail_prefs.api.sends import MAX_BYTES, MAX_SENDS
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

SENDS, SEND = "/sends/", "/sends/{message_id}/"
NOBODY = str(uuid.UUID(int=1))
HERSELF = Actor(ActorType.SUBJECT_LINK)


@pytest.fixture
def readers(db: None) -> Iterator[Readers]:
    audience = factories.make_audience()
    factories.make_topics(audience)
    with time_machine.travel(NOW, tick=False):
        yield Readers(audience)


@pytest.fixture
def program(readers: Readers) -> Program:
    return Program(make_key("sends:write", name="The\tESP " + "x" * 90, expires_at=None)[1])


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi())
    return found


def message(contact: Any = NOBODY, **more: Any) -> dict[str, Any]:
    return {"message_id": "issue-1", "contact": str(contact), "topic": "news", "channel": "email", **more}


def tell(program: Program, *messages: Any) -> Any:
    return program.post("sends/", {"sends": list(messages)})


def noted(new: bool, verdict: str, reason: str) -> dict[str, Any]:
    return {"new": new, "verdict": verdict, "reason": reason}


def test_one_message_is_noted_and_judged(
    program: Program, readers: Readers, description: dict[str, Any]
) -> None:
    someone = readers.subscribe()
    answer = program.post("sends/", message(someone, at="2026-11-25T12:30:00+01:00"))
    holds(answer, description, SENDS, "post")
    assert (answer.status_code, answer.json()) == (200, noted(True, "send", "subscribed"))
    (row,) = Send.objects.all()
    assert (row.message_id, row.contact, row.topic, row.channel) == ("issue-1", someone, "news", "email")
    assert (row.at, row.sender) == (NOW - timedelta(minutes=30), "TheESP " + "x" * 57)
    again = program.post("sends/", message(someone))
    assert again.json() == noted(False, "send", "subscribed")
    assert list(Send.objects.values_list("at", flat=True)) == [row.at]


def test_many_are_told_of_at_once(program: Program, readers: Readers, description: dict[str, Any]) -> None:
    yes, no = readers.subscribe(readers.make(external_id="crm/1")), readers.make()
    gone = readers.make()
    for choice, whom in ((UNSUBSCRIBED, no), (SUBSCRIBED, gone)):
        record(whom, SetChoice("news", "email", choice), by=HERSELF)
    submissions.erase(gone, actor=HERSELF, source=Source(method="page"))
    by_name = {name: value for name, value in message().items() if name != "contact"}
    answer = tell(
        program,
        message(yes),
        message(str(no).upper()),
        message(gone),
        message(uuid.uuid4()),
        message(yes, message_id="x", topic="weather"),
        {**by_name, "external_id": "crm/1"},
        {**by_name, "external_id": "crm/1", "topic": "offers"},
        {**by_name, "external_id": "nobody"},
        message(yes, message_id="order", topic="orders"),
    )
    holds(answer, description, SENDS, "post")
    assert answer.json()["sends"] == [
        noted(True, "send", "subscribed"),
        noted(True, "refuse", "unsubscribed"),
        noted(False, "refuse", "erased"),
        noted(False, "refuse", "unknown"),
        noted(False, "refuse", "unknown_topic"),
        noted(False, "send", "subscribed"),
        noted(False, "refuse", "reused"),
        noted(False, "refuse", "unknown"),
        noted(True, "send", "transactional"),
    ]
    assert set(Send.objects.values_list("message_id", "contact", "counts")) == {
        ("issue-1", yes, True), ("issue-1", no, True), ("order", yes, False),
    }  # fmt: skip


def test_it_counts_from_now_on(program: Program, readers: Readers) -> None:
    weekly = readers.subscribe()
    readers.state(weekly, frequency="weekly", frequency_version=1)
    assert tell(program, message(weekly, at="2026-11-23T08:00:00Z")).status_code == 200
    assert decide(weekly, "news", "email").verdict == "digest"
    assert program.send("DELETE", "sends/issue-1/").json() == {"freed": 1}
    assert decide(weekly, "news", "email").verdict == "send"


def test_a_row_from_before_anything_was_judged_says_nothing(
    program: Program, readers: Readers, description: dict[str, Any]
) -> None:
    someone = readers.subscribe()
    Send.objects.create(message_id="issue-1", contact=someone, topic="news", channel="email", at=NOW)
    answer = program.post("sends/", message(someone))
    holds(answer, description, SENDS, "post")
    assert answer.json() == {"new": False, "verdict": None, "reason": None}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"message_id": ""}, "message_id"),
        ({"message_id": "x" * 201}, "message_id"),
        ({"message_id": "a\u2028b"}, "message_id"),
        ({"contact": "x"}, "contact"),
        ({"contact": ""}, "contact"),
        ({"external_id": "crm-1"}, "contact"),
        ({"channel": "fax"}, "channel"),
        ({"channel": ""}, "channel"),
        ({"at": "2026-11-25"}, "at"),
        ({"at": "1969-01-01T00:00:00Z"}, "at"),
        ({"at": ""}, "at"),
    ],
    ids=str,
)
def test_where_one_cannot_be_read_none_is_noted(
    program: Program, readers: Readers, description: dict[str, Any], more: dict[str, Any], field: str
) -> None:
    someone = readers.subscribe()
    bad = {**message(someone), **more}
    alone = program.post("sends/", bad)
    assert (alone.status_code, list(alone.json()["errors"])) == (422, [field])
    holds(alone, description, SENDS, "post")
    together = tell(program, message(someone, message_id="good"), bad, bad)
    assert (together.status_code, list(together.json()["errors"])) == (
        422, [f"sends.1.{field}", f"sends.2.{field}"],
    )  # fmt: skip
    holds(together, description, SENDS, "post")
    assert not Send.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"sends": []}, 422),
        ({"sends": [message()] * (MAX_SENDS + 1)}, 422),
        ({"sends": [message()], "more": 1}, 400),
        ({"sends": message()}, 400),
        ({"sends": [1]}, 400),
        ({"sends": [None]}, 400),
        ({"sends": [{}]}, 400),
        ({"sends": [{"sends": [message()]}]}, 400),
        ({}, 400),
        ({**message(), "more": 1}, 400),
        ({**message(), "at": 1}, 400),
        ({**message(), "at": None}, 400),
        ({**message(), "topic": ["news"]}, 400),
        ({**message(), "message_id": {"a": "b"}}, 400),
        ('{"sends": [NaN]}', 400),
        ('{"message_id": "a", "message_id": "a", "contact": "x", "topic": "t", "channel": "email"}', 400),
        ('{"sends": [' + "9" * 5000 + "]}", 400),
        ('{"sends": ' + "[" * 300 + "]" * 300 + "}", 400),
        ('{"message_id": "\\ud800", "contact": "x", "topic": "t", "channel": "email"}', 400),
        ('{"message_id": "a", "contact": "x", "topic": "\\u0000", "channel": "email"}', 400),
        (b"\xff", 400),
        (b" " * (MAX_BYTES + 1), 413),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_message_is_refused(
    program: Program, description: dict[str, Any], body: Any, status: int
) -> None:
    answer = program.post("sends/", body)
    assert answer.status_code == status
    holds(answer, description, SENDS, "post")
    assert not Send.objects.exists()


def test_it_takes_a_key_that_may(readers: Readers, description: dict[str, Any]) -> None:
    may_not = Program(make_key("decisions:read", expires_at=None)[1])
    for status, program in ((401, Program("")), (403, may_not)):
        for path, shown, method in (("sends/", SENDS, "POST"), ("sends/issue-1/", SEND, "DELETE")):
            answer = program.send(method, path, message() if method == "POST" else None)
            assert answer.status_code == status
            holds(answer, description, shown, method.lower())
    for method, path in (("GET", "sends/"), ("DELETE", "sends/"), ("GET", "sends/x/"), ("POST", "sends/x/")):
        assert may_not.send(method, path).status_code == 405


#: As ids are made up by senders; a tilde stands in the way of nobody.
IDS = [
    "issue-1",
    "<4711.x@esp.example>",
    "a/b",
    "a//b/",
    "/",
    "a?b=c&d#e",
    "100%",
    "%2F",
    "ü🦉 +",
    "..a",
    "x" * 200,
]


@pytest.mark.parametrize("name", IDS, ids=lambda name: name[:20])
def test_any_id_can_be_given_back(
    program: Program, readers: Readers, description: dict[str, Any], name: str
) -> None:
    first, second = readers.subscribe(), readers.subscribe()
    for one in (name, "another"):
        tell(program, message(first, message_id=one), message(second, message_id=one))
    path = f"sends/{quote(name, safe='')}/"
    answer = program.send("DELETE", f"{path}?contact={first}")
    holds(answer, description, SEND, "delete")
    assert (answer.status_code, answer.json()) == (200, {"freed": 1})
    assert [program.send("DELETE", path).json()["freed"] for _again in range(2)] == [1, 0]
    assert set(Send.objects.values_list("message_id", "contact")) == {("another", first), ("another", second)}


def test_only_those_of_its_own_people(program: Program, readers: Readers) -> None:
    other = factories.make_audience(factories.make_site("other.example", port=443))
    factories.make_topics(other)
    theirs, ours = Readers(other).subscribe(), readers.subscribe()
    stranger = Program(make_key("sends:write", audience=other, expires_at=None)[1])
    tell(program, message(ours))
    tell(stranger, message(theirs))
    assert [one["reason"] for one in tell(program, message(theirs)).json()["sends"]] == ["unknown"]
    assert program.send("DELETE", f"sends/issue-1/?contact={theirs}").json() == {"freed": 0}
    assert program.send("DELETE", "sends/issue-1/").json() == {"freed": 1}
    assert set(Send.objects.values_list("contact", flat=True)) == {theirs}


def test_of_one_who_was_merged(program: Program, readers: Readers) -> None:
    old, new = readers.make(address_key="a"), readers.make(address_key="b")
    record(old, SetChoice("news", "email", SUBSCRIBED), by=HERSELF)
    tell(program, message(old))
    submissions.merge_contacts(old, new, actor=HERSELF, source=Source(method="page"))
    assert (
        tell(program, message(old), message(new)).json()["sends"] == [noted(False, "send", "subscribed")] * 2
    )
    assert program.send("DELETE", f"sends/issue-1/?contact={old}").json() == {"freed": 1}


@pytest.mark.parametrize(
    "query",
    [
        "contact=",
        "contact=x",
        "contacts=" + NOBODY,
        f"contact={NOBODY}&contact={NOBODY}",
        f"contact={NOBODY}&x=1",
        "x",
    ],
)
def test_a_slip_of_the_pen_frees_nobody(
    program: Program, readers: Readers, description: dict[str, Any], query: str
) -> None:
    tell(program, message(readers.subscribe()))
    answer = program.send("DELETE", f"sends/issue-1/?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["contact"])
    holds(answer, description, SEND, "delete")
    for name in ("x" * 201, "a%00b", "a%07"):
        answer = program.send("DELETE", f"sends/{name}/")
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["message_id"])
        holds(answer, description, SEND, "delete")
    assert Send.objects.count() == 1


def test_a_thousand_of_the_longest_can_be_told_of(program: Program, readers: Readers) -> None:
    owl = "\N{OWL}"
    people = Contact.objects.bulk_create(
        Contact(audience=readers.audience, external_id=f"{owl * 251}{number:04}")
        for number in range(MAX_SENDS)
    )
    messages = [
        {
            "message_id": f"{owl * 196}{number:04}",
            "external_id": person.external_id,
            "topic": ("news", "offers")[number % 2],
            "channel": "email",
            "at": "2026-11-25T11:59:59.123456+00:00",
        }
        for number, person in enumerate(people)
    ]
    text = json.dumps({"sends": messages}, ensure_ascii=False).encode()
    assert 1_900_000 < len(text) < MAX_BYTES
    answer = program.send("POST", "sends/", text, "application/json")
    assert answer.json()["sends"] == [noted(True, "refuse", "no_consent")] * MAX_SENDS
    with CaptureQueriesContext(connection) as again:
        answer = program.send("POST", "sends/", text, "application/json")
    assert answer.json()["sends"] == [noted(False, "refuse", "no_consent")] * MAX_SENDS
    assert sum("SAVEPOINT" not in query["sql"] for query in again) <= 8
    with CaptureQueriesContext(connection) as freeing:
        assert program.send("DELETE", f"sends/{quote(messages[7]['message_id'])}/").json() == {"freed": 1}
    assert len(freeing) == 2  # the key, and the places


def test_a_program_can_tell_as_often_as_its_key_may(
    program: Program, readers: Readers, settings: Any, description: dict[str, Any]
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"key_calls": [(1, 60)]}}
    assert tell(program, *[message()] * 100).status_code == 200
    answer = tell(program, message())
    assert answer.status_code == 429
    holds(answer, description, SENDS, "post")
    answer = program.send("DELETE", "sends/issue-1/")
    assert answer.status_code == 429
    holds(answer, description, SEND, "delete")


def test_nobody_stands_in_the_log(
    program: Program, readers: Readers, caplog: pytest.LogCaptureFixture
) -> None:
    someone = readers.subscribe(readers.make(external_id="rosa-4711"))
    with caplog.at_level(logging.DEBUG):
        tell(program, message(someone, message_id="to-rosa"))
        tell(program, {**message(), "external_id": "rosa-4711"})
        program.post("sends/", message("rosa-4711"))
    said = [entry.getMessage() for entry in caplog.records if entry.name != "django.db.backends"]
    for secret in (str(someone), someone.hex, "rosa", program.key):
        assert not [line for line in said if secret in line]
