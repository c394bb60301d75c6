"""The answer as JSON: the same as the plain way to write it, and for the same contacts."""

from __future__ import annotations

import json
import uuid
from random import Random
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from wagtail_prefs import decide
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions import wire
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import iso

from .cases import World, cases
from .conftest import NOW, Readers


def plain(contacts: list[UUID], topic: str, channel: str, **asked: Any) -> Any:
    return [
        {
            "contact": str(one.contact),
            "decision": str(one.verdict),
            "until": iso(one.until) if one.until else None,
            "reason": one.reason,
            "rule": str(one.rule),
            "record": str(one.record) if one.record else None,
        }
        for one in decide(contacts, topic, channel, **asked)
    ]


def answered(contacts: list[str], topic: str, channel: str, **asked: Any) -> Any:
    found = json.loads(wire.answer(contacts, topic, channel, **asked))
    assert found.keys() == {"decisions"}
    return found["decisions"]


@pytest.mark.parametrize("rules", [[], ["nothing"], ["quotes"]])
def test_it_says_what_decide_says(rules: list[str], settings: Any, db: None) -> None:
    paths = [f"tests.decisions.site_rules.{name}" for name in rules]
    hours = {"sms": ["21:00", "08:00"]}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": paths, "QUIET_HOURS": hours}
    world, random = World(cases()), Random(7)
    everybody = [*world.contacts.values(), uuid.uuid4()]
    questions = sorted(
        {(case.question.topic, case.question.channel, case.question.at) for case in cases()}, key=str
    )
    reasons = set()
    for topic, channel, at in random.sample(questions, 12):
        asked = random.choices(everybody, k=random.choice([0, 1, 2, 700]))
        expected = plain(asked, topic, channel, at=at)
        assert answered([str(contact) for contact in asked], topic, channel, at=at) == expected
        reasons |= {one["reason"] for one in expected}
    assert len(reasons) > (5 if rules == ["quotes"] else 8)


def test_the_words_are_in_the_active_language(readers: Readers, settings: Any) -> None:
    paths = ["tests.decisions.site_rules.quotes"]
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "DECISION_RULES": paths}
    reader = readers.subscribe()
    for language in ("en", "de"):
        with translation.override(language):
            (said,) = answered([str(reader)], "news", "email")
        assert said["rule"] == f'"{language}" \\ </b> \n ü \u2028'


def test_an_id_may_be_written_in_capitals_and_twice(readers: Readers) -> None:
    reader = readers.subscribe()
    made = Record.objects.create(contact_ref=reader, audience="", seq=1, at=NOW, actor="system")
    found = answered([str(reader).upper(), str(reader)], "news", "email")
    assert found[0] == found[1]
    assert (found[0]["contact"], found[0]["record"]) == (str(reader), str(made.pk))


ONE = "5f0c6a52-7d0c-4a3e-9a51-8b7f6f0e4c11"


@pytest.mark.parametrize(
    "wrong",
    [
        "", "x", ONE[:-1], ONE + "1", ONE.replace("-", ""), f"{{{ONE}}}", f"urn:uuid:{ONE}", ONE.replace("5", "g"),
        ONE.replace("5", "٥"), ONE[:-1] + "\n", ONE[:35] + ",", f"{ONE[:8]},{ONE[9:]}", 7, None, [ONE], UUID(ONE), ONE.encode(),
    ],
)  # fmt: skip
def test_what_is_no_id_is_refused_by_its_place(wrong: Any, db: None) -> None:
    with (
        CaptureQueriesContext(connection) as captured,
        pytest.raises(ValueError, match=r"^contacts\[2\] is no UUID$"),
    ):
        wire.answer([ONE, ONE, wrong, "x"], "news", "email")
    assert not captured.captured_queries


def test_what_makes_no_sense_is_refused_as_decide_does(readers: Readers) -> None:
    for wrong in ({"at": NOW.replace(tzinfo=None)}, {"record": ""}, {"at": NOW, "record": "m"}):
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            wire.answer([ONE], "news", "email", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 1000"):
        wire.answer([ONE] * 1001, "news", "email")
    assert len(answered([ONE] * 1000, "news", "email")) == 1000
    assert answered([], "news", "email") == []


def test_it_takes_places_and_costs_what_decide_costs(readers: Readers) -> None:
    people = [readers.subscribe() for _ in range(3)]
    with CaptureQueriesContext(connection) as captured:
        wire.answer([str(contact) for contact in people], "news", "email")
    assert len(captured) == 1
    found = answered([str(contact) for contact in people], "news", "email", record="m")
    assert [one["reason"] for one in found] == ["subscribed"] * 3
    assert [one["contact"] for one in found] == [str(contact) for contact in people]
    assert Send.objects.filter(message_id="m").count() == 3
    again = answered([str(contact) for contact in people], "news", "email", record="m")
    assert [one["reason"] for one in again] == ["recorded"] * 3


# External ids


@pytest.fixture
def named(readers: Readers) -> dict[str, UUID]:
    """Readers with an id of their own: two said yes, one never, one was erased."""
    made = {
        name: readers.make(version=1, external_id=name)
        for name in ("crm-1", "CRM-1", 'q"uo\\te\u2028x', "ünï", "7", "x" * 255)
    }
    for name in ("crm-1", "ünï"):
        readers.subscribe(made[name])
    return made


def test_contacts_may_be_named_by_the_ids_of_the_sender(readers: Readers, named: dict[str, UUID]) -> None:
    audience = readers.audience.pk
    others = ["crm-2", " crm-1 ", "crm-1", "x" * 256, "nul\0", "\ud800", str(named["7"])]
    asked = [*named, *others]
    expected = plain([named.get(name.strip(), uuid.uuid4()) for name in asked], "news", "email")
    found = answered(asked, "news", "email", audience=audience, external=True)
    assert [one.pop("contact") for one in found] == asked  # as they were given
    assert len([one.pop("contact") for one in expected]) == len(asked)
    assert found == expected
    reasons = [one["reason"] for one in found]
    assert reasons[:6] == ["subscribed", *["no_consent"] * 2, "subscribed", *["no_consent"] * 2]
    assert reasons[6:] == ["unknown", *["subscribed"] * 2, *["unknown"] * 4]


def test_external_ids_are_those_of_one_audience(readers: Readers, named: dict[str, UUID]) -> None:
    club = Audience.objects.create(key="club", name="Club")
    Contact.objects.create(audience=club, external_id="crm-1")
    assert [
        one["reason"] for one in answered(["crm-1", "ünï"], "news", "email", audience=club.pk, external=True)
    ] == [
        "unknown_topic",
        "unknown",
    ]
    with pytest.raises(ValueError, match="of an audience"):
        wire.answer(["crm-1"], "news", "email", external=True)


@pytest.mark.parametrize("wrong", ["", 7, None, ["crm-1"], b"crm-1"])
def test_what_is_no_external_id_is_refused_by_its_place(wrong: Any, readers: Readers) -> None:
    with pytest.raises(ValueError, match=r"^contacts\[1\] is no external id$"):
        wire.answer(["x", wrong], "news", "email", audience=readers.audience.pk, external=True)
    with pytest.raises(ValueError, match="at most 1000"):
        wire.answer(["x"] * 1001, "news", "email", audience=readers.audience.pk, external=True)


def test_who_has_no_external_id_is_found_under_none(readers: Readers) -> None:
    readers.subscribe()
    found = answered([" ", "\t"], "news", "email", audience=readers.audience.pk, external=True)
    assert [one["reason"] for one in found] == ["unknown", "unknown"]


def test_external_ids_cost_one_statement_more(readers: Readers, named: dict[str, UUID]) -> None:
    usual = {"audience": readers.audience.pk, "sender": "shop", "external": True}
    with CaptureQueriesContext(connection) as captured:
        wire.answer([*named, "nobody"], "news", "email", **usual)  # type: ignore[arg-type] # of mixed types
    assert len(captured) == 2
    found = answered([*named, "nobody"], "news", "email", record="m", **usual)
    assert [one["reason"] for one in found].count("subscribed") == 2
    rows = Send.objects.values_list("contact", "sender", "verdict", "reason")
    assert sorted(rows) == sorted((named[name], "shop", "send", "subscribed") for name in ("crm-1", "ünï"))
    again = answered([*named, "nobody"], "news", "email", record="m", **usual)
    assert [one["reason"] for one in again].count("recorded") == 2


def test_ids_of_another_audience_are_answered_as_ids_of_nobody(readers: Readers) -> None:
    club = Audience.objects.create(key="club", name="Club")
    stranger = readers.subscribe(Contact.objects.create(audience=club, version=1).pk)
    reader, nobody = readers.subscribe(), uuid.uuid4()
    found = answered([str(stranger), str(nobody), str(reader)], "news", "email", audience=readers.audience.pk)
    assert [one["reason"] for one in found] == ["unknown", "unknown", "subscribed"]
    assert {**found[0], "contact": str(nobody)} == found[1]
