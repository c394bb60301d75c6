"""`preferences/export/` and `preferences/erasure/`: for a fresh session, and for nobody else."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext

from tests.api.conftest import Visit
from tests.api.test_openapi import holds
from tests.api.test_step_up import NAME, asked, enter_fresh  # noqa: F401 - a fixture
from wagtail_prefs.api.schema import openapi
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.rights.models import Erasure

pytestmark = pytest.mark.django_db


def call(visit: Visit, what: str, body: object = None, key: str = "one") -> HttpResponse:
    return visit.post(f"preferences/{what}/", {} if body is None else body, **{"Idempotency-Key": key})


@pytest.mark.parametrize("what", ["export", "erasure"])
def test_an_old_mail_opens_neither(asked: Visit, what: str) -> None:  # noqa: F811
    answer = call(asked, what)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:wagtail-prefs:step-up-required"
    assert Contact.objects.get().erased_at is None


@pytest.mark.parametrize("what", ["export", "erasure"])
def test_without_a_session_or_with_words_of_ones_own_nothing_happens(asked: Visit, what: str) -> None:  # noqa: F811
    enter_fresh(asked)
    assert call(asked, what, {"contact": "somebody"}).status_code == 400
    assert call(asked, what, key="").status_code == 400
    asked.session = ""
    assert call(asked, what).status_code == 401
    assert Contact.objects.get().erased_at is None


def test_the_answer_is_her_data(asked: Visit) -> None:  # noqa: F811
    enter_fresh(asked)
    answer = call(asked, "export")
    assert answer.status_code == 200 and answer["Cache-Control"] == "no-store, private"
    data = answer.json()
    holds(answer, json.loads(openapi()), "/centers/{center}/preferences/export/", "post")
    assert data["format"] == 1 and data["text"]
    assert {"name": "given_name", "value": NAME} in data["profile"]


def test_what_an_export_costs(asked: Visit) -> None:  # noqa: F811
    enter_fresh(asked)
    call(asked, "export")
    with CaptureQueriesContext(connection) as captured:
        call(asked, "export")
    assert len(captured) <= 24, [query["sql"][:80] for query in captured]


def test_erasing_ends_the_session_and_is_accounted_for(asked: Visit) -> None:  # noqa: F811
    enter_fresh(asked)
    answer = call(asked, "erasure")
    assert answer.status_code == 200
    holds(answer, json.loads(openapi()), "/centers/{center}/preferences/erasure/", "post")
    contact = Contact.objects.get()
    assert contact.erased_at is not None
    assert Erasure.objects.get().contact == contact.pk
    assert call(asked, "erasure").status_code == 401
    assert NAME not in json.dumps([str(row) for row in Erasure.objects.values()])
