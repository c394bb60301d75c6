"""What a screen still shows and nobody offers any more: the rest is saved, this is named, and no choice is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.apps import apps
from django.core import serializers

from tests import factories
from tests.submissions.conftest import Scene
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import merged_of, read_body
from wagtail_prefs.topics.models import Topic

pytestmark = pytest.mark.django_db

KEPT = ("contact", "state", "record", "sidevalue", "delivery", "subscriber", "subscription")


@pytest.fixture(autouse=True)
def _always_fresh(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 0}


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Any:
    return lambda: django_capture_on_commit_callbacks(execute=True)


def people() -> str:
    """Everything that is stored of people, as one text."""
    models = [apps.get_model("wagtail_prefs", name) for name in KEPT]
    return json.dumps([serializers.serialize("json", model.objects.order_by("pk")) for model in models])


def page_of(scene: Scene) -> PreferenceCenterPage:
    return PreferenceCenterPage.objects.get(translation_key=scene.snapshot.center)


def archive(topic: Topic) -> None:
    topic.archived = True
    topic.save()


@pytest.mark.parametrize("end", [Topic.delete, archive])
def test_the_end_of_a_topic_changes_nobody(scene: Scene, committed: Any, end: Any) -> None:
    scene.save({**scene.choose(news=True, offers=False), scene.frequency: {"frequency": {"all": "weekly"}}})
    before, state = people(), load_state(scene.contact.pk)
    with committed():
        for key in ("news", "offers"):
            end(Topic.objects.get(key=key))
    assert people() == before
    assert load_state(scene.contact.pk) == state


def test_taking_blocks_away_changes_nobody(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    scene.save({scene.leave: {"opted_out": True}})
    before = people()
    page = page_of(scene)
    page.body = [block for block in page.body.raw_data if block["type"] == "privacy_notice"]
    page.save_revision().publish()
    assert people() == before
    page.unpublish()
    page.delete()
    assert people() == before


@pytest.mark.parametrize("end", [Topic.delete, archive])
def test_an_old_screen_is_saved_but_for_what_is_gone(scene: Scene, committed: Any, end: Any) -> None:
    with committed():
        end(Topic.objects.get(key="news"))
    assert centers.current(scene.snapshot.center).digest != scene.snapshot.digest
    saved = scene.save(scene.choose(news=True, events=True))
    assert load_state(scene.contact.pk).choices == {("events", "email"): "subscribed"}
    (line,) = saved.merged
    assert (line.path, line.text) == (
        f"{scene.topics}.choices.news.email", "News by e-mail: not saved, because it is no longer offered.",
    )  # fmt: skip
    assert [one.path for one in saved.applied] == [f"{scene.topics}.choices.events.email"]
    (kept,) = merged_of(read_body(Record.objects.get()))
    assert (kept.path, kept.wanted, kept.kept, kept.rule) == ("choice:news:email", "subscribed", None, "gone")


def test_a_no_is_taken_of_what_is_gone(scene: Scene, committed: Any) -> None:
    scene.save(scene.choose(news=True))
    with committed():
        Topic.objects.get(key="news").delete()
    saved = scene.save(scene.choose(news=False))
    assert saved.merged == ()
    assert load_state(scene.contact.pk).choices == {("news", "email"): "unsubscribed"}


def test_where_all_is_gone_nothing_is_recorded_and_it_is_named(scene: Scene, committed: Any) -> None:
    with committed():
        Topic.objects.all().delete()
        factories.make_audience()
    before = people()
    saved = scene.save(scene.choose(news=True))
    assert saved.receipt is None
    assert [line.path for line in saved.merged] == [f"{scene.topics}.choices.news.email"]
    assert people() == before


def test_what_left_the_page_and_not_the_library_is_saved(scene: Scene) -> None:
    page = page_of(scene)
    page.body = [factories.topics_block([Topic.objects.get(key="events")])]
    page.save_revision().publish()
    saved = scene.save({**scene.choose(news=True), scene.frequency: {"frequency": {"all": "weekly"}}})
    assert saved.merged == ()
    state = load_state(scene.contact.pk)
    assert state.choices == {("news", "email"): "subscribed"}
    assert state.frequencies == {("", ""): "weekly"}


def test_an_unpublished_center_takes_what_still_exists(scene: Scene) -> None:
    page_of(scene).unpublish()
    archive(Topic.objects.get(key="offers"))
    saved = scene.save(scene.choose(news=True, offers=True))
    assert [line.path for line in saved.merged] == [f"{scene.topics}.choices.offers.email"]
    assert load_state(scene.contact.pk).choices == {("news", "email"): "subscribed"}


def test_a_topic_of_the_same_key_on_another_site_is_another_one(scene: Scene, committed: Any) -> None:
    factories.make_topics(factories.make_audience(factories.make_site("other.example")))
    with committed():
        Topic.objects.get(key="news", audience__site__hostname="localhost").delete()
    assert len(scene.save(scene.choose(news=True)).merged) == 1
    assert load_state(scene.contact.pk).choices == {}


def test_the_published_screen_costs_nothing_more(
    scene: Scene, settings: Any, django_assert_num_queries: Any
) -> None:
    from wagtail_prefs.changes import SetChoice
    from wagtail_prefs.submissions.gone import gone_topics

    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 60}
    wish = [SetChoice("news", "email", "subscribed")]
    gone_topics(scene.snapshot, wish)
    with django_assert_num_queries(0):
        assert gone_topics(scene.snapshot, wish) == frozenset()
    page = page_of(scene)
    page.title = "Other words"
    page.save_revision().publish()
    gone_topics(scene.snapshot, wish)
    with django_assert_num_queries(0):  # it is offered still
        assert gone_topics(scene.snapshot, wish) == frozenset()
    with django_assert_num_queries(0):  # and a no is not asked about
        gone_topics(scene.snapshot, [SetChoice("other", "email", "unsubscribed")])
    with django_assert_num_queries(1):
        assert gone_topics(scene.snapshot, [SetChoice("other", "email", "subscribed")]) == {"other"}
