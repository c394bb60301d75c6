"""Nothing personal stands in what Wagtail keeps and shows by itself, and nothing unpublished in what anybody can ask for.

A person goes through every door with words that occur nowhere else; then every column of every table is read, and every
answer of Wagtail's APIs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core import mail as django_mail
from django.core.cache import caches
from django.db import connection
from django.test import Client, RequestFactory
from django_tasks import default_task_backend
from wagtail.contrib.sitemaps import Sitemap
from wagtail.models import APIToken, Page, ReferenceIndex
from wagtail.search import index

from tests import factories, pages
from wagtail_prefs.access.services import manage_url, one_click_url
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import GiveReason, SetAttribute
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.mail import services as mail
from wagtail_prefs.mail.sending import drain as send_mails
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Topic, TopicText
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.wagtail_apis")]

MARK = "qzxwvq"  # in every word of hers, and in nothing else
#: Where she may be found: as she is today, behind the salted values of the ledger, and as a CRM of ours knows her.
#: A file that staff have sent holds her until it is written or discarded, for a day at most.
HERS = {"contact", "state", "sidevalue", "subscriber", "subscription", "importupload"}


def local(url: str) -> str:
    return url.removeprefix("http://localhost")


def question(key: str, kind: str = "text") -> dict[str, Any]:
    answer = {"type": kind, "value": {"personal": False}}
    return factories.block(
        "question",
        {"heading": "", "question": "Anything else?", "key": key, "purpose": "to know", "answer": [answer]},
        key,
    )


def post(client: Client, path: str, data: dict[str, Any]) -> Any:
    return client.post(path, urlencode(data, doseq=True), content_type="application/x-www-form-urlencoded")


@pytest.fixture
def center() -> PreferenceCenterPage:
    topics = factories.make_topics().values()
    return factories.make_center([*factories.all_blocks(topics), question("wish"), question("note")])


@pytest.fixture
def person(center: PreferenceCenterPage, django_capture_on_commit_callbacks: Callable[..., Any]) -> Contact:
    """Somebody who has told us something by the page, the API, Python and one click; the CRM has heard of it."""
    contact = factories.make_contact(f"{MARK}-anna@mail.example.org", language="en")
    Contact.objects.filter(pk=contact.pk).update(external_id=f"{MARK}-7")
    actor = Actor(ActorType.SUBJECT_SESSION)
    client = Client(enforce_csrf_checks=True)
    with django_capture_on_commit_callbacks(execute=True):
        path = local(manage_url(contact, center.translation_key))
        form = pages.submitted(pages.parse(client.get(path).content.decode()))
        assert post(client, path, {**form, "wish.answer": f"{MARK} by the page"}).status_code == 303

        snapshot = centers.get_snapshot(centers.current(center.translation_key).digest)
        topics = factories.block_id(center, "topics")
        submissions.submit(
            link_id=contact.link_id,
            epoch=0,
            snapshot=snapshot,
            base_version=1,
            answers={
                "note": {"answer": f"{MARK} by the API"},
                topics: {"choices": {"news": {"email": True}}},
            },
            actor=actor,
            source=Source(method="element", ip="203.0.113.77", language="en"),
            idempotency_key=f"{MARK}-key",
        )
        told = [SetAttribute("given_name", f"{MARK} Given"), GiveReason("other", f"{MARK} reason")]
        submissions.record(contact.pk, told, actor=actor, source=Source(method="python"))
        one_click = local(one_click_url(contact, "news", "email", center.translation_key))
        assert post(client, one_click, {"List-Unsubscribe": "One-Click"}).status_code == 200
    delivery.run_once()
    state = load_state(contact.pk)
    assert sum(MARK in str(value) for value in state.attributes.values()) >= 3  # she has come through
    assert state.choices == {("news", "email"): "unsubscribed"}
    return contact


def tables_with(word: str) -> dict[str, set[str]]:
    """{table: columns} that hold a word, also inside JSON and bytes."""
    found: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for column, value in zip(columns, row, strict=True):
                    text = (
                        bytes(value).decode(errors="replace")
                        if isinstance(value, bytes | memoryview)
                        else str(value)
                    )
                    if word in text:
                        found.setdefault(table, set()).add(column)
    return found


def everything_of_wagtails_apis(client: Client, **headers: Any) -> dict[str, str]:
    """Every list and every page of API v2 and v3, by address."""
    answers: dict[str, str] = {}

    def ask(path: str) -> Any:
        answer = client.get(path, headers=headers)
        assert answer.status_code in {200, 401, 403, 404, 422}, (path, answer.status_code)
        answers[path] = answer.content.decode() if answer.status_code == 200 else ""
        return answer

    for tail in ("", "?fields=*", "?search=qzxwvq", "?type=wagtail_prefs.PreferenceCenterPage&fields=*"):
        ask(f"/api/v2/pages/{tail}")
    for tail in ("images/", "documents/"):
        ask(f"/api/v2/{tail}")
    for pk in Page.objects.values_list("pk", flat=True):
        ask(f"/api/v2/pages/{pk}/?fields=*")
        for tail in ("", "revisions/"):
            ask(f"/api/v3/pages/{pk}/{tail}")
        for revision in Page.objects.get(pk=pk).revisions.values_list("pk", flat=True):
            ask(f"/api/v3/pages/{pk}/revisions/{revision}/")
    for tail in (
        "pages/",
        "pages/?search=qzxwvq",
        "schema/",
        "sites/",
        "whoami/",
        "redirects/",
        "locales/",
        "openapi.json",
    ):
        ask(f"/api/v3/{tail}")
    for model in apps.get_app_config("wagtail_prefs").get_models():
        ask(f"/api/v3/snippets/{model._meta.label}/")
        ask(f"/api/v3/schema/{model._meta.label}/")
    return answers


def as_staff(user: Any) -> dict[str, str]:
    _token, key = APIToken.create_token(user=user, name="tests")
    return {"Authorization": f"Bearer {key}"}


# --- what is personal ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("person")
def test_a_person_stands_in_her_own_tables_only() -> None:
    found = tables_with(MARK)
    assert {"wagtail_prefs_contact", "wagtail_prefs_state", "wagtail_prefs_sidevalue"} <= set(
        found
    )  # the look works
    assert set(found) <= {f"wagtail_prefs_{name}" for name in HERS}, found


#: What is not encrypted though a site encrypts: names of ours that other programs know her by, what the database backend
#: writes for other programs, and a file that waits for a day at most.
PLAIN = {
    "wagtail_prefs_contact": {"external_id"},
    "wagtail_prefs_subscriber": {"email", "phone", "external_id", "attributes"},
    "wagtail_prefs_subscription": {"email"},
}


@pytest.fixture
def encrypted(settings: Any) -> None:
    keys = [{"kid": "e1", "key": "0123456789abcdef0123456789abcdef"}]
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "ENCRYPTION_KEYS": keys}


@pytest.mark.usefixtures("encrypted", "person")
def test_with_encryption_no_column_holds_her_but_those_for_others() -> None:
    found = tables_with(MARK)
    assert "email" in found["wagtail_prefs_subscriber"]  # the look works
    assert {table: columns - PLAIN.get(table, set()) for table, columns in found.items()} == {
        table: set() for table in found
    }


def test_caches_sessions_tasks_and_heads_of_mails_tell_nothing_of_her(
    center: PreferenceCenterPage,
    person: Contact,
    settings: Any,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}
    default_task_backend.clear()
    with django_capture_on_commit_callbacks(execute=True):
        mail.post(
            "access_link",
            to=person.email,
            audience_id=person.audience_id,
            locale="en",
            context={"url": manage_url(person, center.translation_key), "center_title": "Mail from us"},
            contact=person.pk,
        )
    results = default_task_backend.results
    assert results
    assert not [one for one in results if MARK in f"{one.args}{one.kwargs}"]
    send_mails()
    (sent,) = django_mail.outbox
    heads = {name: value for name, value in sent.message().items() if name != "To"}
    assert MARK in sent.message()["To"]
    assert MARK not in str(heads)
    assert "Subject" in heads
    kept = caches["default"]._cache
    caches["default"].set("look", MARK)
    assert [key for key, value in kept.items() if MARK.encode() in value] == [":1:look"]  # the look works
    assert not [key for key in kept if MARK in key]
    assert not [session for session in Session.objects.all() if MARK in str(session.get_decoded())]


@pytest.mark.usefixtures("person")
def test_wagtails_apis_and_searches_tell_nothing_of_her(client: Client) -> None:
    for answers in (
        everything_of_wagtails_apis(client),
        everything_of_wagtails_apis(client, **as_staff(factories.make_editor())),
    ):
        assert any('"id"' in text for text in answers.values())
        # The search says in its answer what was asked, and in its links.
        told = {path for path, text in answers.items() if MARK in text.replace("search=qzxwvq", "")}
        assert told == set()
    assert not Page.objects.live().search(MARK)


def test_only_pages_and_topics_are_searched_and_referenced() -> None:
    ours = set(apps.get_app_config("wagtail_prefs").get_models())
    personal = {model for model in ours if model._meta.model_name in {*HERS, "record", "delivery"}}
    assert len(personal) == len(HERS) + 2
    assert not personal & set(index.get_indexed_models())
    assert not [model for model in personal if ReferenceIndex.model_is_indexable(model)]
    assert all(getattr(model, "wagtail_reference_index_ignore", False) for model in personal)
    for model in personal:
        assert not hasattr(model, "api_fields"), model


def test_api_v3_offers_of_ours_the_page_with_what_every_page_has(client: Client) -> None:
    center = factories.make_center()
    schema = client.get("/api/v3/openapi.json").content.decode()
    assert set(re.findall(r"wagtail_prefs\.\w+", schema)) == {"wagtail_prefs.PreferenceCenterPage"}
    ours, plain = (client.get(f"/api/v3/pages/{pk}/").json() for pk in (center.pk, center.get_parent().pk))
    assert set(ours) == set(plain)
    assert set(ours["meta"]) == set(plain["meta"])
    ours, plain = (
        client.get(f"/api/v2/pages/{pk}/?fields=*").json() for pk in (center.pk, center.get_parent().pk)
    )
    assert set(ours) == set(plain)


# --- what is not published -------------------------------------------------------------------------------------------


def everything_public(client: Client) -> str:
    """What anybody can ask for: both of Wagtail's APIs, the sitemap, the search, our documents and the pages."""
    told = list(everything_of_wagtails_apis(client).values())
    request = RequestFactory().get("/", headers={"host": "localhost"})
    told += [str(page.get_sitemap_urls(request)) for page in Sitemap(request).items()]
    told += [page.title for page in Page.objects.live().public().search("qzxwvqdraft")]
    for page in PreferenceCenterPage.objects.all():
        told.append(client.get(f"/prefs/api/v1/centers/{page.translation_key}/").content.decode())
        told.append(client.get(page.url).content.decode() if page.url else "")
    return "\n".join(told)


def test_what_is_not_published_reaches_nobody(
    client: Client, django_capture_on_commit_callbacks: Callable[..., Any], settings: Any
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 0}
    page = factories.make_center()
    with django_capture_on_commit_callbacks(execute=True):
        # A draft of a live page, a page that never was live, a topic that no published page shows.
        page.title = "qzxwvqdraft title"
        page.search_description = "qzxwvqdraft description"
        page.body = [
            {**block, "value": {**block["value"], "heading": "qzxwvqdraft heading"}}
            for block in page.body.raw_data
        ]
        page.save_revision()
        never = factories.make_center(
            publish=False, title="qzxwvqdraft page", search_description="qzxwvqdraft"
        )
        never.slug = "qzxwvqdraft-slug"
        never.save()
        unused = Topic.objects.create(
            audience=factories.make_audience(), key="qzxwvqdraft-topic", channels=["email"]
        )
        TopicText.objects.create(topic=unused, locale=factories.make_locale("en"), label="qzxwvqdraft label")
        # And then something makes the live center compile again.
        text = TopicText.objects.get(topic__key="news", locale__language_code="en")
        text.label = "Fresh news"
        text.save()
    told = everything_public(client)
    assert "Fresh news" in told  # the look sees what is public
    asked = re.sub(r"search=qzxwvq\w*", "", told)
    assert "qzxwvqdraft" not in asked
    with django_capture_on_commit_callbacks(execute=True):
        page.save_revision().publish()
    assert "qzxwvqdraft heading" in everything_public(client)
