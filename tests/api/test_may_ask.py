"""`POST decisions/asking/`: what a program is told when it asks whether it may ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.api.client import Program, make_key
from tests.api.test_openapi import holds
from tests.decisions.conftest import NOW, Readers
from wagtail_prefs import record
from wagtail_prefs.api.schema import openapi
from wagtail_prefs.changes import OptOut
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import Actor, ActorType

PATH = "/decisions/asking/"
NEWS = {"topic": "news", "channel": "email"}


@pytest.fixture
def readers(db: None) -> Iterator[Readers]:
    audience = factories.make_audience()
    factories.make_topics(audience)
    with time_machine.travel(NOW, tick=False):
        yield Readers(audience)


@pytest.fixture
def program(readers: Readers) -> Program:
    return Program(make_key("decisions:read", expires_at=None)[1])


def test_each_is_answered_in_their_order_as_described(readers: Readers, program: Program) -> None:
    free, left = readers.make(external_id="7"), readers.make(external_id="8")
    record(left, OptOut(), by=Actor(ActorType.SUBJECT_SESSION))
    nobody = uuid4()
    answer = program.post(
        "decisions/asking/", {**NEWS, "contacts": [str(left), str(free), str(nobody).upper()]}
    )
    holds(answer, json.loads(openapi()), PATH, "post")
    assert answer.json()["askings"] == [
        {
            "contact": str(left),
            "may_ask": False,
            "until": "2027-11-25T12:00:00.000000Z",
            "reason": "refused",
            "rule": "The contact said no; she is not asked again so soon.",
        },
        {
            "contact": str(free),
            "may_ask": True,
            "until": None,
            "reason": "free",
            "rule": "Nothing stands in the way of asking.",
        },
        {
            "contact": str(nobody),
            "may_ask": False,
            "until": None,
            "reason": "unknown",
            "rule": "There is no such contact.",
        },
    ]
    named = program.post(
        "decisions/asking/", {**NEWS, "contacts": ["8", "7", "9"], "by": "external_id"}
    ).json()
    assert [(one["contact"], one["reason"]) for one in named["askings"]] == [
        ("8", "refused"),
        ("7", "free"),
        ("9", "unknown"),
    ]
    later = {**NEWS, "contacts": [str(left)], "at": "2027-11-25T12:00:00Z"}
    assert program.post("decisions/asking/", later).json()["askings"][0]["may_ask"] is True


def test_it_costs_one_statement_more_than_the_key(readers: Readers, program: Program) -> None:
    contacts = [str(readers.make()) for _ in range(5)]
    program.post("decisions/asking/", {**NEWS, "contacts": contacts})

    def count(path: str) -> int:
        with CaptureQueriesContext(connection) as caught:
            assert program.post(path, {**NEWS, "contacts": contacts}).status_code == 200
        return len(caught)

    assert count("decisions/asking/") <= count("decisions/")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contacts": []}, "contacts"),
        ({"contacts": ["x"]}, "contacts.0"),
        ({"contacts": [7], "by": "external_id"}, "contacts.0"),
        ({"by": "email"}, "by"),
        ({"at": "tomorrow"}, "at"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    readers: Readers, program: Program, change: dict[str, Any], field: str
) -> None:
    answer = program.post("decisions/asking/", {**NEWS, "contacts": [str(readers.make())], **change})
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]


def test_others_are_nobody_and_a_key_without_the_scope_is_refused(readers: Readers) -> None:
    contact = str(readers.make())
    club = Program(make_key("decisions:read", audience=Audience.objects.create(key="club", name="Club"))[1])
    (answer,) = club.post("decisions/asking/", {**NEWS, "contacts": [contact]}).json()["askings"]
    assert answer["reason"] == "unknown"
    other = Program(make_key("sends:write")[1])
    assert other.post("decisions/asking/", {**NEWS, "contacts": [contact]}).status_code == 403
