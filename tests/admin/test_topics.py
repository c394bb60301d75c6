"""The topics library as editors use it: who has a topic, where it stands, archive and bring back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from wagtail.models import ModelLogEntry
from wagtail.search import index as search_index

from tests import factories
from tests.topics.test_library import topic_form
from wagtail_prefs.admin.topic_numbers import by_channel, centers_with, mapped
from wagtail_prefs.backends.base import Backend
from wagtail_prefs.centers import services as centers
from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.contacts.models import State
from wagtail_prefs.decisions.services import decide
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db

TOPIC = "wagtailsnippets_wagtail_prefs_topic"
HERSELF = Actor(ActorType.SUBJECT_SESSION)
YES, NO = SUBSCRIBED, UNSUBSCRIBED


PRINTED = re.findall(
    r"```python\n(.*?)```",
    (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "manage-topics.md").read_text(),
    re.DOTALL,
)
exec("".join(PRINTED))  # the backend of the page: MailHouse


class Choosy(Backend):
    """Has a list for the news by e-mail, and for nothing else."""

    def maps(self, topic: str, channel: str) -> bool:
        return (topic, channel) == ("news", "email")


class Clumsy(Backend):
    """Of whom nobody has read the code."""

    def describe_topic(self, key: str) -> str:
        return str({}[key])


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(factories.make_editor())
    return client


def url(action: str, topic: Topic) -> str:
    return reverse(f"{TOPIC}:{action}", args=[topic.pk])


def person(name: str, *changes: Any, audience: Any = None) -> Any:
    contact = factories.make_contact(f"{name}@mail.example.org", audience=audience)
    for change in changes:
        submissions.record(contact.pk, [change], actor=HERSELF, source=Source(method="python"))
    return contact


def people() -> None:
    """Three who get news, one of them twice; one who left, one who waits, one of another audience."""
    person("a", SetChoice("news", "email", YES), SetChoice("news", "sms", YES))
    person("b", SetChoice("news", "email", YES))
    person("c", SetChoice("news", "sms", YES))
    person("d", SetChoice("news", "email", YES), OptOut())
    person("e", SetChoice("news", "email", PENDING))
    person("f", SetChoice("offers", "email", YES), SetChoice("news", "email", NO))
    other = factories.make_audience(factories.make_site("other.example"))
    person("g", SetChoice("news", "email", YES), audience=other)


def staff(client: Client, *codenames: str) -> Client:
    user = get_user_model().objects.create_user("staff", "staff@brand.example", "password")
    user.user_permissions.set(Permission.objects.filter(codename__in=["access_admin", *codenames]))
    client.force_login(user)
    return client


def test_the_list_says_how_many_people_have_each_topic(editor: Client) -> None:
    factories.make_topics()
    people()
    listed = editor.get(reverse(f"{TOPIC}:list")).context["object_list"]
    assert {topic.key: topic.subscribers for topic in listed} == {
        "news": 3,
        "offers": 1,
        "events": 0,
        "orders": 0,
    }
    first = editor.get(reverse(f"{TOPIC}:list"), {"ordering": "-subscribers"}).context["object_list"]
    assert [topic.key for topic in first][:2] == ["news", "offers"]


def test_a_yes_that_has_ended_is_counted_no_more(editor: Client) -> None:
    factories.make_topics()
    people()
    State.objects.filter(topic="offers").update(choice_until="2020-01-01T00:00:00Z")
    listed = editor.get(reverse(f"{TOPIC}:list")).context["object_list"]
    assert {topic.key: topic.subscribers for topic in listed}["offers"] == 0


def test_the_list_costs_the_same_for_more_topics_and_more_people(editor: Client) -> None:
    audience = factories.make_audience()
    factories.make_topics(audience)
    editor.get(reverse(f"{TOPIC}:list"))  # content types and site are known from here on
    counts = []
    for more in (0, 10):
        for number in range(more):
            Topic.objects.create(
                audience=audience, key=f"more-{number}", channels=["email"], archived=number % 2
            )
            person(f"p{number}", SetChoice(f"more-{number}", "email", YES))
        with CaptureQueriesContext(connection) as queries:
            assert editor.get(reverse(f"{TOPIC}:list")).status_code == 200
        counts.append(len(queries))
        assert sum("subscribers" in query["sql"] for query in queries) == 1
    # Only what prefetches merges and headings for other topics may come to it.
    assert counts[0] == counts[1]


def test_the_editor_sees_who_has_it_where_it_stands_and_where_it_goes(editor: Client, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BACKENDS": {
            "choosy": {"BACKEND": "tests.admin.test_topics.Choosy"},
            "clumsy": {"BACKEND": "tests.admin.test_topics.Clumsy"},
            "crm": {"BACKEND": "tests.admin.test_topics.MailHouse", "OPTIONS": {"LISTS": {"news": "7"}}},
            "broken": {"BACKEND": "no.such.Backend"},
        },
    }
    topics = factories.make_topics()
    page = factories.make_center(title="Your <mail>")
    people()
    html = editor.get(url("edit", topics["news"])).content.decode()
    assert "Who has it, and where it goes" in html
    assert "The list “7”" in html
    assert "The settings of this backend must be mended." in html
    assert "Your &lt;mail&gt;" in html
    assert reverse("wagtailadmin_pages:edit", args=[page.pk]) in html
    assert [
        (item.label, item.subscribed, item.unsubscribed, item.waiting) for item in by_channel(topics["news"])
    ] == [
        ("E-mail", 2, 2, 1),
        ("Text message", 2, 0, 0),
    ]
    assert [item.words for item in mapped(topics["news"])][1] == (
        "Under its key, “news”. Not by Text message: nothing is named for that in the settings."
    )
    assert [item.words for item in mapped(topics["offers"])] == [
        "The settings of this backend must be mended.",
        "Not at all: nothing is named for it in the settings.",
        "The backend could not say it.",
        "Under its key, “offers”.",
    ]
    assert "Who has it, and where it goes" not in editor.get(reverse(f"{TOPIC}:add")).content.decode()


def test_the_edit_view_asks_a_fixed_number_of_questions(editor: Client) -> None:
    topics = factories.make_topics()
    factories.make_center()
    editor.get(url("edit", topics["news"]))
    counts = []
    for more in (0, 8):
        for number in range(more):
            person(f"p{number}", SetChoice("news", "email", YES), SetChoice("news", "post", NO))
        with CaptureQueriesContext(connection) as queries:
            editor.get(url("edit", topics["news"]))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_topic_stands_where_people_can_choose_it_or_are_told_that_it_comes() -> None:
    topics = factories.make_topics()
    shown = factories.make_center([factories.topics_block([topics["news"], topics["orders"]])])
    factories.make_center([factories.topics_block([topics["offers"]])], title="Another")
    factories.make_center([factories.topics_block([topics["news"]])], title="A draft", publish=False)
    for key in ("news", "orders"):
        (place,) = centers_with(topics[key])
        assert (place.title, place.locale) == ("Your choices", "en")
        assert place.edit_url == reverse("wagtailadmin_pages:edit", args=[shown.pk])
    assert centers_with(topics["events"]) == []
    Topic.objects.filter(pk=topics["news"].pk).update(private=True)
    centers.publish(shown)
    assert len(centers_with(topics["news"])) == 1


def test_archiving_says_what_it_means_and_keeps_every_choice(
    editor: Client, django_capture_on_commit_callbacks: Any
) -> None:
    news = factories.make_topics()["news"]
    page = factories.make_center()
    people()
    states, records = list(State.objects.order_by("pk").values()), Record.objects.count()
    asked = editor.get(url("archive", news)).content.decode()
    assert "Your choices" in asked
    assert "Yes, archive it" in asked
    news.refresh_from_db()
    assert not news.archived  # looking changes nothing
    before = centers.current(page.translation_key).digest
    with django_capture_on_commit_callbacks(execute=True):
        assert editor.post(url("archive", news)).status_code == 302
    news.refresh_from_db()
    assert news.archived
    assert (list(State.objects.order_by("pk").values()), Record.objects.count()) == (states, records)
    # Nobody is shown it or sent it any more.
    digest = centers.current(page.translation_key).digest
    assert digest != before
    assert not any("news" in path for spec in centers.get_snapshot(digest).specs for path in spec.paths)
    contact = State.objects.filter(topic="news", choice=YES).first().contact_id
    assert decide([contact], "news", "email")[0].reason == "archived"

    back = editor.get(url("bring_back", news)).content.decode()
    assert "Yes, bring it back" in back
    with django_capture_on_commit_callbacks(execute=True):
        editor.post(url("bring_back", news))
    assert centers.current(page.translation_key).digest == before
    assert (list(State.objects.order_by("pk").values()), Record.objects.count()) == (states, records)
    logged = ModelLogEntry.objects.filter(object_id=str(news.pk)).order_by("pk")
    assert [entry.action for entry in logged] == [
        "wagtail_prefs.topic.archive",
        "wagtail_prefs.topic.bring_back",
    ]
    assert [str(entry.message) for entry in logged] == ["Archived", "Brought back"]
    assert editor.get(reverse(f"{TOPIC}:history", args=[news.pk])).status_code == 200


def test_doing_it_twice_says_it_once(editor: Client) -> None:
    news = factories.make_topics()["news"]
    for _time in range(2):
        editor.post(url("archive", news))
    assert ModelLogEntry.objects.filter(action="wagtail_prefs.topic.archive").count() == 1


def test_the_form_archives_nothing_by_the_way(editor: Client) -> None:
    news = factories.make_topics()["news"]
    assert 'name="archived"' not in editor.get(url("edit", news)).content.decode()


def test_buttons_are_those_that_can_be_used(editor: Client) -> None:
    topics = factories.make_topics()
    listing = editor.get(reverse(f"{TOPIC}:list")).content.decode()
    for key, actions in {"news": {"archive", "merge"}, "orders": {"archive"}}.items():
        edit = editor.get(url("edit", topics[key])).content.decode()
        for html in (listing, edit):
            shown = {
                action for action in ("archive", "merge", "bring_back") if url(action, topics[key]) in html
            }
            assert shown == actions
    editor.post(url("archive", topics["news"]))
    html = editor.get(url("edit", topics["news"])).content.decode()
    assert url("bring_back", topics["news"]) in html
    assert url("archive", topics["news"]) not in html


@pytest.mark.parametrize("action", ["archive", "bring_back", "merge"])
def test_only_who_may_change_topics_gets_there(client: Client, action: str) -> None:
    news = factories.make_topics()["news"]
    archived = action == "bring_back"
    Topic.objects.filter(pk=news.pk).update(archived=archived)
    staff(client, "view_topic", "add_topic", "delete_topic")
    for answer in (client.get(url(action, news)), client.post(url(action, news))):
        assert answer.status_code == 302
        assert answer["Location"] == reverse("wagtailadmin_home")
    news.refresh_from_db()
    assert news.archived is archived
    assert url(action, news) not in client.get(reverse(f"{TOPIC}:list")).content.decode()
    get_user_model().objects.get(username="staff").user_permissions.add(
        Permission.objects.get(codename="change_topic")
    )
    assert client.get(url(action, news)).status_code == 200
    assert client.get(reverse(f"{TOPIC}:archive", args=[news.pk + 100])).status_code == 404


def update_index(model: Any) -> None:
    for item in model.objects.all():
        search_index.insert_or_update_object(item)


def test_visitors_of_the_admin_must_sign_in(client: Client) -> None:
    news = factories.make_topics()["news"]
    assert reverse("wagtailadmin_login") in client.post(url("archive", news))["Location"]


def test_an_archived_topic_cannot_be_chosen_for_a_center(editor: Client) -> None:
    topics = factories.make_topics()
    Topic.objects.filter(key="offers").update(archived=True)
    for name in ("choose", "choose_results"):
        chooser = reverse(f"wagtailsnippetchoosers_wagtail_prefs_topic:{name}")
        html = editor.get(chooser).content.decode()
        assert "News" in html
        assert "Offers" not in html
        update_index(Topic)
        assert "News" in editor.get(chooser, {"q": "news"}).content.decode()
        assert "Offers" not in editor.get(chooser, {"q": "offers"}).content.decode()
    # One that stands in a block already keeps its place in the form.
    page = factories.make_center([factories.topics_block([topics["offers"], topics["news"]])])
    assert "Offers" in editor.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()


@pytest.mark.parametrize("said", [SetChoice("recipes", "email", YES), SetChoice("recipes", "email", NO)])
def test_what_people_were_asked_about_does_not_become_what_is_always_sent(editor: Client, said: Any) -> None:
    editor.post(reverse(f"{TOPIC}:add"), topic_form())
    topic = Topic.objects.get()
    elsewhere = factories.make_audience(factories.make_site("other.example"))
    Topic.objects.create(audience=elsewhere, key="recipes", channels=["email"])
    person("f", said, audience=elsewhere)
    always = {**topic_form(transactional="on"), "texts-0-id": topic.texts.get().pk, "texts-INITIAL_FORMS": 1}
    assert editor.post(url("edit", topic), always).status_code == 302
    Topic.objects.filter(pk=topic.pk).update(transactional=False)
    person("a", said)
    answer = editor.post(url("edit", topic), always)
    assert answer.context["form"].errors.keys() == {"transactional"}
    topic.refresh_from_db()
    assert not topic.transactional
    # What is always sent already can be saved as ever, whatever was said before.
    Topic.objects.filter(pk=topic.pk).update(transactional=True)
    assert editor.post(url("edit", topic), always).status_code == 302
