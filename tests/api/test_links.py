"""`POST links/`: links for merge fields."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries, Settings

from tests.api.client import Program, make_key
from tests.api.test_openapi import holds
from tests.factories import make_audience, make_center, make_contact, make_site, make_topics
from wagtail_prefs.access import services as access
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.api.links import MAX_BYTES, MAX_CONTACTS
from wagtail_prefs.api.schema import openapi
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db

LINKS = "/links/"
PAIR = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    site = make_site(origins=["https://shop.example"])
    return make_center(site=site, host_pages="https://shop.example/mail")


@pytest.fixture
def program(center: PreferenceCenterPage) -> Program:
    return Program(make_key("links:write")[1])


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi())
    return found


def ask(program: Program, center: PreferenceCenterPage, *contacts: Any, **more: Any) -> Any:
    ids = [str(getattr(contact, "pk", contact)) for contact in contacts]
    return program.post("links/", {"contacts": ids, "center": str(center.translation_key), **more})


def test_the_links_work(program: Program, center: PreferenceCenterPage, description: dict[str, Any]) -> None:
    anna, ben = make_contact(), make_contact("ben@mail.example.org")
    answer = ask(program, center, anna, ben, topic="news")
    holds(answer, description, LINKS, "post")
    assert answer.json()["unknown"] == []
    links = {link["contact"]: link for link in answer.json()["links"]}
    assert list(links) == [str(anna.pk), str(ben.pk)]
    manage, out = (links[str(anna.pk)][name] for name in ("manage", "unsubscribe"))
    assert manage.startswith("http://localhost/prefs/l/v1.")
    assert anna.email not in answer.content.decode()
    page = Client().get(manage)
    assert (page.status_code, b"a***@m***.org" in page.content) == (200, True)
    assert Client().post(out, PAIR).status_code == 200
    assert load_state(anna.pk).choices == {("news", "email"): "unsubscribed"}
    assert load_state(ben.pk).version == 0


def test_without_a_topic_the_way_out_leads_out_of_everything(
    program: Program, center: PreferenceCenterPage
) -> None:
    anna = make_contact()
    (link,) = ask(program, center, anna).json()["links"]
    Client().post(link["unsubscribe"], PAIR)
    assert load_state(anna.pk).opted_out


def test_a_host_page_can_be_where_the_link_leads(program: Program, center: PreferenceCenterPage) -> None:
    anna = make_contact()
    (link,) = ask(program, center, anna, host=0).json()["links"]
    answer = Client().get(link["manage"])
    assert answer.status_code == 302
    assert answer["Location"].startswith("https://shop.example/mail#pc=")
    for host in (1, -1, 2**40):
        refused = ask(program, center, anna, host=host)
        assert (refused.status_code, list(refused.json()["errors"])) == (422, ["host"])


def test_who_is_not_there_is_named(program: Program, center: PreferenceCenterPage) -> None:
    anna, gone = make_contact(), make_contact("gone@mail.example.org")
    elsewhere = make_contact(audience=make_audience(make_site("other.example", port=443)))
    her = Actor(ActorType.SUBJECT_LINK)
    submissions.erase(gone.pk, actor=her, source=Source(method="page"))
    unknown = uuid4()
    answer = ask(program, center, gone, elsewhere, anna, unknown, anna)
    assert [link["contact"] for link in answer.json()["links"]] == [str(anna.pk)]
    assert answer.json()["unknown"] == [str(gone.pk), str(elsewhere.pk), str(unknown)]


def test_whoever_was_merged_gets_the_links_of_whom_she_is(
    program: Program, center: PreferenceCenterPage
) -> None:
    old, new = make_contact(), make_contact("anna@work.example.org")
    submissions.merge_contacts(
        old.pk, new.pk, actor=Actor(ActorType.SUBJECT_LINK), source=Source(method="page")
    )
    (link,) = ask(program, center, old).json()["links"]
    assert link["contact"] == str(old.pk)
    token = link["manage"].rstrip("/").rpartition("/")[2]
    opened = access.open_link(token, Purpose.MANAGE)
    assert (opened.contact_id, opened.link_id) == (new.pk, new.link_id)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"topic": "unheard-of"}, "topic"),
        ({"topic": "orders"}, "topic"),  # always sent: there is nothing to leave
        ({"topic": "x" * 300}, "topic"),
        ({"topic": "news", "channel": "post"}, "channel"),
        ({"channel": "email"}, "channel"),
        ({"contacts": []}, "contacts"),
        ({"contacts": ["x"]}, "contacts"),
        ({"contacts": [1]}, "contacts"),
        ({"contacts": ["00000000-0000-4000-8000-00000000000g"]}, "contacts"),
        ({"contacts": ["00000000-0000-4000-8000-000000000000"] * (MAX_CONTACTS + 1)}, "contacts"),
    ],
    ids=str,
)
def test_what_no_link_can_be_about_is_refused(
    program: Program,
    center: PreferenceCenterPage,
    description: dict[str, Any],
    more: dict[str, Any],
    field: str,
) -> None:
    make_topics()
    answer = ask(program, center, make_contact(), **more)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    holds(answer, description, LINKS, "post")


def test_the_center_must_be_published(
    program: Program, center: PreferenceCenterPage, description: dict[str, Any]
) -> None:
    anna = make_contact()
    for wrong in ("x", "00000000-0000-4000-8000-000000000000"):
        answer = program.post("links/", {"contacts": [str(anna.pk)], "center": wrong})
        assert answer.status_code == 404
        holds(answer, description, LINKS, "post")
    center.unpublish()
    assert ask(program, center, anna).status_code == 404


def test_a_thousand_cost_as_many_statements_as_one(
    program: Program,
    center: PreferenceCenterPage,
    django_assert_num_queries: DjangoAssertNumQueries,
    settings: Settings,
) -> None:
    # So that a slow machine does not note a use, or fetch the center, in between.
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 3600}
    audience = make_audience()
    people = Contact.objects.bulk_create(Contact(audience=audience) for _number in range(MAX_CONTACTS))
    ask(program, center, people[0], topic="news")  # notes the use of the key, and fetches the center
    with CaptureQueriesContext(
        connection,
    ) as one:
        assert len(ask(program, center, people[0], topic="news").json()["links"]) == 1
    before = list(Contact.objects.order_by("pk").values())
    with django_assert_num_queries(len(one)):
        answer = ask(program, center, *people, topic="news")
    assert len(answer.json()["links"]) == MAX_CONTACTS
    assert len(one) <= 6
    assert list(Contact.objects.order_by("pk").values()) == before
    body = {"contacts": [str(uuid4())] * 1800, "center": str(center.translation_key)}
    assert len(json.dumps(body)) > MAX_BYTES
    assert program.post("links/", body).status_code == 413
