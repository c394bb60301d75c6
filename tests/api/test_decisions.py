"""`POST decisions/`: what a program is told when it asks whether it may send."""

from __future__ import annotations

import json
import logging
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.api.client import Program, make_key
from tests.api.test_openapi import holds
from tests.decisions.cases import Case, World, cases, law_files
from tests.decisions.conftest import NOW, Readers
from tests.decisions.test_together import readers as weekly_readers, side_by_side
from wagtail_prefs.api.decisions import MAX_BYTES
from wagtail_prefs.api.schema import openapi
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.decisions.wire import MAX_CONTACTS
from wagtail_prefs.values import iso

DECISIONS = "/decisions/"
NEWS = {"topic": "news", "channel": "email"}
SCOPES = ("decisions:read", "sends:write")


@pytest.fixture
def readers(db: None) -> Iterator[Readers]:
    audience = factories.make_audience()
    factories.make_topics(audience)
    with time_machine.travel(NOW, tick=False):
        yield Readers(audience)


@pytest.fixture
def program(readers: Readers) -> Program:
    return Program(make_key(*SCOPES, name="The ESP", expires_at=None)[1])


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi())
    return found


def ask(program: Program, *contacts: Any, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
    body = {**NEWS, "contacts": [str(contact) for contact in contacts], **more}
    return program.post("decisions/", body, **(headers or {}))


def told(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.content
    return [(one["decision"], one["reason"]) for one in answer.json()["decisions"]]


def test_each_is_answered_in_order(program: Program, readers: Readers, description: dict[str, Any]) -> None:
    yes, no, never, nobody = readers.subscribe(), readers.make(), readers.make(), uuid.uuid4()
    readers.state(no, "news", "email", choice="unsubscribed", choice_version=1)
    paused = readers.subscribe()
    readers.state(paused, paused_until=NOW + timedelta(days=2), pause_version=2)
    asked = [str(yes), str(no).upper(), str(never), str(nobody), str(paused), str(yes)]
    answer = ask(program, *asked)
    holds(answer, description, DECISIONS, "post")
    assert told(answer) == [
        ("send", "subscribed"),
        ("refuse", "unsubscribed"),
        ("refuse", "no_consent"),
        ("refuse", "unknown"),
        ("defer", "paused"),
        ("send", "subscribed"),
    ]
    decisions = answer.json()["decisions"]
    assert [one["contact"] for one in decisions] == [one.lower() for one in asked]
    assert [one["until"] for one in decisions if one["until"]] == [iso(NOW + timedelta(days=2))]
    assert answer["Cache-Control"] == "no-store, private"
    assert not Send.objects.exists()


def test_the_words_come_in_the_language_that_is_asked_for(program: Program, readers: Readers) -> None:
    someone = readers.subscribe()
    said = {}
    for wanted in ("", "de", "de-AT,en;q=0.5", "tlh, ar;q=0.3", "x" * 5000):
        answer = ask(program, someone, headers={"Accept-Language": wanted})
        said[wanted] = answer["Content-Language"], answer.json()["decisions"][0]["rule"]
    assert [language for language, _words in said.values()] == ["en", "de", "de", "ar", "en"]
    assert said["de"] == said["de-AT,en;q=0.5"] != said[""]
    assert said[""][1] == "The contact has subscribed to this."


def test_people_can_be_named_as_the_sender_names_them(
    program: Program, readers: Readers, description: dict[str, Any]
) -> None:
    for name in ("crm/4711", "Ünïcode 🦉", 'a"b\\'):
        readers.subscribe(readers.make(external_id=name))
    asked = ["crm/4711", "nobody", 'a"b\\', "Ünïcode 🦉", "crm/4711", " crm/4711 ", "x" * 255, "\u2028"]
    answer = program.post("decisions/", {**NEWS, "contacts": asked, "by": "external_id"})
    holds(answer, description, DECISIONS, "post")
    assert [one["contact"] for one in answer.json()["decisions"]] == asked
    send, unknown = ("send", "subscribed"), ("refuse", "unknown")
    assert told(answer) == [send, unknown, send, send, send, send, unknown, unknown]
    assert told(ask(program, *Contact.objects.values_list("pk", flat=True), by="id")) == [send] * 3


def test_people_of_others_are_unknown(program: Program, readers: Readers) -> None:
    other = factories.make_audience(factories.make_site("other.example", port=443))
    factories.make_topics(other)
    theirs = Readers(other)
    someone = theirs.subscribe(theirs.make(external_id="crm-1"))
    unknown = [("refuse", "unknown")]
    assert told(ask(program, someone)) == unknown
    assert told(ask(program, someone, record="issue-1")) == unknown
    assert told(ask(program, "crm-1", by="external_id")) == unknown
    assert not Send.objects.exists()
    allowed = Program(make_key(*SCOPES, audience=other, expires_at=None)[1])
    assert told(ask(allowed, "crm-1", by="external_id")) == [("send", "subscribed")]


def test_with_a_message_its_place_is_taken(program: Program, readers: Readers) -> None:
    weekly = readers.subscribe(readers.make(external_id="crm-1", version=1))
    readers.state(weekly, frequency="weekly", frequency_version=1)
    assert told(ask(program, weekly, weekly, record="issue-1")) == [("send", "subscribed")] * 2
    assert told(ask(program, weekly, record="issue-1")) == [("send", "recorded")]
    assert told(ask(program, weekly, record="issue-2")) == [("digest", "frequency")]
    assert told(ask(program, "crm-1", record="issue-2", by="external_id")) == [("digest", "frequency")]
    (row,) = Send.objects.all()
    assert (row.message_id, row.contact, row.sender) == ("issue-1", weekly, "The ESP")
    assert (row.verdict, row.reason) == ("send", "subscribed")


def test_a_key_that_may_only_ask_takes_no_place(readers: Readers, description: dict[str, Any]) -> None:
    someone = readers.subscribe()
    asks = Program(make_key("decisions:read", expires_at=None)[1])
    assert told(ask(asks, someone)) == [("send", "subscribed")]
    refused = ask(asks, someone, record="issue-1")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:wagtail-prefs:scope-missing")
    assert "sends:write" in refused.json()["title"]
    holds(refused, description, DECISIONS, "post")
    tells = Program(make_key("sends:write", expires_at=None)[1])
    refused = ask(tells, someone, record="issue-1")
    assert "decisions:read" in refused.json()["title"]
    assert not Send.objects.exists()
    assert Program("").post("decisions/", {}).status_code == 401
    assert asks.get("decisions/").status_code == 405


def test_what_nobody_has_is_an_answer(program: Program, readers: Readers) -> None:
    someone = readers.subscribe()
    for question, reason in (
        ({"topic": "weather"}, "unknown_topic"),
        ({"topic": ""}, "unknown_topic"),
        ({"topic": "x" * 10_000}, "unknown_topic"),
        ({"channel": "post"}, "not_offered"),
        ({"channel": "fax"}, "not_offered"),
        ({"channel": ""}, "not_offered"),
    ):
        assert told(ask(program, someone, **question)) == [("refuse", reason)]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"contacts": []}, "contacts"),
        ({"contacts": [str(uuid.UUID(int=1))] * (MAX_CONTACTS + 1)}, "contacts"),
        ({"contacts": [str(uuid.UUID(int=1)), "x"]}, "contacts.1"),
        ({"contacts": [1]}, "contacts.0"),
        ({"contacts": [None]}, "contacts.0"),
        ({"contacts": [["a"]]}, "contacts.0"),
        ({"contacts": [uuid.UUID(int=1).hex]}, "contacts.0"),
        ({"contacts": ["{" + str(uuid.UUID(int=1)) + "}"]}, "contacts.0"),
        ({"contacts": [""], "by": "external_id"}, "contacts.0"),
        ({"contacts": ["a", 2**40], "by": "external_id"}, "contacts.1"),
        ({"by": "email"}, "by"),
        ({"by": ""}, "by"),
        ({"at": "2026-11-25T12:00:00"}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"at": ""}, "at"),
        ({"at": "1969-12-31T23:59:59Z"}, "at"),
        ({"at": "9999-12-31T23:59:59-23:59"}, "at"),
        ({"at": "0001-01-01T00:00:00+23:59"}, "at"),
        ({"record": ""}, "record"),
        ({"record": "x" * 201}, "record"),
        ({"record": "a\nb"}, "record"),
        ({"record": "a", "at": "2026-11-25T12:00:00Z"}, "record"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_asked_is_refused(
    program: Program, description: dict[str, Any], more: dict[str, Any], field: str
) -> None:
    answer = program.post("decisions/", {**NEWS, "contacts": [str(uuid.UUID(int=1))], **more})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    holds(answer, description, DECISIONS, "post")
    assert not Send.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"[]",
        b"{",
        b'{"topic":"news","channel":"email"}',
        b'{"topic":"news","channel":"email","contacts":"x"}',
        b'{"topic":1,"channel":"email","contacts":["x"]}',
        b'{"topic":null,"channel":"email","contacts":["x"]}',
        b'{"topic":"news","channel":"email","contacts":{"a":"b"}}',
        b'{"topic":"news","channel":"email","contacts":["x"],"more":1}',
        b'{"topic":"news","channel":"email","contacts":["x"],"record":{"message_id":"a"}}',
        b'{"topic":"news","channel":"email","contacts":["x"],"record":null}',
        b'{"topic":"news","channel":"email","contacts":["x"],"at":0}',
        b'{"topic":"news","topic":"news","channel":"email","contacts":["x"]}',
        b'{"topic":"news","channel":"email","contacts":[NaN]}',
        b'{"topic":"news","channel":"email","contacts":[1e5]}',
        b'{"topic":"news","channel":"email","contacts":[' + b"9" * 400 + b"]}",
        b'{"topic":"news","channel":"email","contacts":["\\ud800"]}',
        b'{"topic":"ne\\u0000ws","channel":"email","contacts":["x"]}',
        b'{"topic":"news","channel":"email","contacts":["\xff"]}',
        b'{"topic":"news","channel":"email","contacts":' + b"[" * 500 + b"]" * 500 + b"}",
    ],
    ids=lambda body: body[-30:].decode(errors="replace"),
)
def test_what_is_no_body_of_ours_is_refused(
    program: Program, description: dict[str, Any], body: bytes
) -> None:
    answer = program.send("POST", "decisions/", body, "application/json")
    assert answer.status_code == 400
    holds(answer, description, DECISIONS, "post")


def test_a_thousand_of_the_longest_names_can_be_asked_about(
    program: Program, readers: Readers, description: dict[str, Any]
) -> None:
    owl = "\N{OWL}"
    readers.subscribe(readers.make(external_id=f"{owl * 252}007"))
    names = [f"{owl * 252}{number:03}" for number in range(MAX_CONTACTS)]
    body = {
        "topic": "x" * 64,
        "channel": "email",
        "contacts": names,
        "by": "external_id",
        "record": owl * 200,
    }
    text = json.dumps({**body, **NEWS}, ensure_ascii=False)
    assert 1_000_000 < len(text.encode()) < MAX_BYTES
    assert Counter(told(program.send("POST", "decisions/", text.encode(), "application/json"))) == {
        ("send", "subscribed"): 1,
        ("refuse", "unknown"): MAX_CONTACTS - 1,
    }
    large = program.send("POST", "decisions/", b" " * (MAX_BYTES + 1), "application/json")
    assert large.status_code == 413
    holds(large, description, DECISIONS, "post")
    other = program.send("POST", "decisions/", text.encode(), "text/plain")
    assert other.status_code == 415
    holds(other, description, DECISIONS, "post")


def test_a_thousand_cost_as_many_statements_as_one(program: Program, readers: Readers) -> None:
    audience = readers.audience
    people = Contact.objects.bulk_create(
        Contact(audience=audience, external_id=f"crm-{number}") for number in range(MAX_CONTACTS)
    )
    for person in people[:3]:
        readers.subscribe(person.pk)
    ask(program, people[0].pk)  # notes the use of the key

    def statements(*contacts: Any, **more: Any) -> int:
        with CaptureQueriesContext(connection) as found:
            assert len(told(ask(program, *contacts, **more))) == len(contacts)
        begin_and_end = [query for query in found if "SAVEPOINT" in query["sql"]]
        return len(found) - len(begin_and_end)

    everybody = [person.pk for person in people]
    names = [person.external_id for person in people]
    recording = 3 if connection.vendor == "postgresql" else 2 + (not _begins_immediately())
    for record in ("a", "b"):
        some = {1: everybody[:1], MAX_CONTACTS: everybody}[1 if record == "a" else MAX_CONTACTS]
        assert statements(*some) == 2  # the key, and the facts
        assert statements(*some, record=record) == 1 + recording
    assert statements(*names[:1], by="external_id") == statements(*names, by="external_id") == 3


def _begins_immediately() -> bool:
    return getattr(connection, "transaction_mode", None) == "IMMEDIATE"


def test_a_program_can_ask_as_often_as_its_key_may(
    program: Program, readers: Readers, settings: Any, description: dict[str, Any]
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"key_calls": [(2, 60)]}}
    someone = readers.subscribe()
    answers = [ask(program, *[someone] * 100) for _call in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0
    holds(answers[-1], description, DECISIONS, "post")


def test_nobody_stands_in_the_log(
    program: Program, readers: Readers, caplog: pytest.LogCaptureFixture
) -> None:
    someone = readers.subscribe(readers.make(external_id="rosa@mail.example.org"))
    with caplog.at_level(logging.DEBUG):
        caplog.handler.setLevel(logging.DEBUG)
        ask(program, someone, record="issue-4711")
        ask(program, "rosa@mail.example.org", by="external_id")
        ask(program, "rosa@mail.example.org")
    said = [entry.getMessage() for entry in caplog.records if entry.name != "django.db.backends"]
    for secret in (str(someone), someone.hex, "rosa", "issue-4711", program.key):
        assert not [line for line in said if secret in line]


@pytest.mark.django_db
def test_the_table_of_cases_holds_over_http(
    settings: Any, tmp_path: Path, tell: Any, description: dict[str, Any]
) -> None:
    """Each line of docs/reference/decisions-cases.md, asked by the key of its audience."""
    laws = law_files(tmp_path)
    world = World(cases())
    programs = {
        name: Program(make_key(*SCOPES, audience=audience, expires_at=None)[1])
        for name, audience in world.audiences.items()
    }
    usual = {**settings.WAGTAIL_PREFS, "LIMITS": {"key_calls": [(10**6, 60)]}}
    together: dict[Any, list[Case]] = defaultdict(list)
    for case in cases():
        together[case.site, case.question, case.message, case.given.audience].append(case)
    wrong = []
    for (site, question, message, audience), lines in together.items():
        settings.WAGTAIL_PREFS = {**usual, **site.prefs(laws)}
        settings.TIME_ZONE = site.tz
        moment = {"record": message} if message else {"at": question.at.isoformat()}
        contacts = [str(world.contacts[case.line]) for case in lines]
        body = {"topic": question.topic, "channel": question.channel, "contacts": contacts, **moment}
        with time_machine.travel(question.at, tick=False):
            answer = programs[audience].post("decisions/", body)
        assert answer.status_code == 200, answer.content
        for case, decision in zip(lines, answer.json()["decisions"], strict=True):
            verdict, reason, until = case.answer
            expected = (str(world.contacts[case.line]), verdict, reason, iso(until) if until else None)
            found = tuple(decision[name] for name in ("contact", "decision", "reason", "until"))
            if found != expected:
                wrong.append(f"{case} -> {found}")
    holds(answer, description, DECISIONS, "post")
    assert wrong == []
    tell(f"decision cases over HTTP: {len(cases())} in {len(together)} calls")


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_calls_at_once_one_may_send(live_server: Any, tell: Any) -> None:
    """A weekly cap of one: whoever asks for it over HTTP at the same moment, one message goes out to each."""
    senders, rounds = 8, 12
    with time_machine.travel(NOW):
        contacts = weekly_readers(rounds)
        keys = [make_key(*SCOPES, expires_at=None)[1] for _sender in range(senders)]
        verdicts: list[Counter[tuple[str, str]]] = [Counter() for _round in range(rounds)]

        def act(sender: int, number: int) -> None:
            message = f"round {number} of {sender}"
            answer = requests.post(
                f"{live_server.url}/prefs/api/v1/decisions/",
                json={**NEWS, "contacts": [str(contacts[number])], "record": message},
                headers={"Authorization": f"Bearer {keys[sender]}"},
                timeout=60,
            )
            verdicts[number].update(told(answer))

        assert side_by_side(senders, rounds, act) == []
    expected = {("send", "subscribed"): 1, ("digest", "frequency"): senders - 1}
    assert [number for number, count in enumerate(verdicts) if count != expected] == []
    assert Counter(Send.objects.values_list("contact", flat=True)) == Counter(contacts)
    tell(f"decisions over HTTP at once: {rounds} rounds of {senders} calls, one send each")
