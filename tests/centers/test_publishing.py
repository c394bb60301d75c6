"""Publish compiles once; what is served follows what is live, and a draft never leaks."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from wagtail.models import Page

from tests import factories
from wagtail_prefs.canonical import canonical, sha256_hex
from wagtail_prefs.centers import services
from wagtail_prefs.centers.embedding import EmbedSettings
from wagtail_prefs.centers.models import CenterSnapshot
from wagtail_prefs.errors import NotPublished
from wagtail_prefs.topics.models import Topic, TopicGroupText, TopicText

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _always_fresh(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 0}


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Any:
    """Runs what waits for the commit, which a test's transaction never reaches."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def body(page: Any, **wish: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(services.current(page.translation_key, **wish).body)
    return document


def words(page: Any) -> str:
    return services.current(page.translation_key).body.decode()


def test_the_document_is_what_the_reference_says() -> None:
    page = factories.make_center()
    document = body(page)
    assert set(document) == {
        *("format", "center", "revision", "locale", "direction", "title", "page_url", "blocks", "labels")
    }
    assert document["center"] == str(page.translation_key)
    assert document["page_url"] == page.full_url
    kinds = ["topics", "frequency", "privacy_notice", "transactional", "unsubscribe_all"]
    assert [block["type"] for block in document["blocks"]] == kinds
    assert set(document["labels"]) == {
        *(
            "save",
            "saving",
            "saved",
            "nothing_changed",
            "discard",
            "unsaved",
            "loading",
            "load_failed",
            "retry",
        ),
        *(
            "offline",
            "expired_title",
            "expired_text",
            "open_link",
            "request_link",
            "sign_up",
            "your_email",
            "ends_soon",
            "error_title",
            "server_error",
        ),
        *(
            "too_many",
            "merged_title",
            "pending",
            "locked",
            "not_chosen",
            "required",
            "own_page",
            "outlook_title",
        ),
        "signed_in_as",
    }
    assert "{email}" in document["labels"]["signed_in_as"]


def test_a_snapshot_is_named_by_its_content() -> None:
    page = factories.make_center()
    center = services.current(page.translation_key)
    snapshot = services.get_snapshot(center.digest)
    document = {name: value for name, value in snapshot.document.items() if name != "revision"}
    specs = [spec.to_json() for spec in snapshot.specs]
    assert (
        sha256_hex({"document": document, "specs": specs}) == center.digest == snapshot.document["revision"]
    )
    assert center.body == canonical(snapshot.document)
    assert center.etag == f'"{center.digest}"'


def test_what_is_read_back_equals_what_was_compiled() -> None:
    page = factories.make_center()
    compiled = services.publish(page)
    assert compiled == services.get_snapshot(compiled.digest)


def test_publishing_again_changes_nothing() -> None:
    page = factories.make_center()
    before = services.current(page.translation_key)
    page.save_revision().publish()
    services.publish(page)
    assert services.current(page.translation_key) == before
    assert CenterSnapshot.objects.count() == 1


def test_a_new_revision_is_a_new_snapshot_and_the_old_one_stays() -> None:
    page = factories.make_center()
    old = services.current(page.translation_key).digest
    page.title = "Other words"
    page.save_revision().publish()
    new = services.current(page.translation_key).digest
    assert new != old
    assert services.get_snapshot(old).document["title"] == "Your choices"
    assert services.get_snapshot(new).document["title"] == "Other words"


def test_an_unpublished_center_is_gone_and_its_snapshot_stays() -> None:
    page = factories.make_center()
    digest = services.current(page.translation_key).digest
    page.unpublish()
    with pytest.raises(NotPublished):
        services.current(page.translation_key)
    assert services.get_snapshot(digest).digest == digest


def test_a_deleted_center_is_gone() -> None:
    page = factories.make_center()
    key = page.translation_key
    page.delete()
    with pytest.raises(NotPublished):
        services.current(key)


def test_a_draft_is_not_served() -> None:
    page = factories.make_center(publish=False)
    with pytest.raises(NotPublished):
        services.current(page.translation_key)


def test_a_scheduled_center_is_not_served_before_its_time() -> None:
    page = factories.make_center(publish=False)
    page.go_live_at = timezone.now() + timedelta(days=1)
    page.save_revision().publish()
    with pytest.raises(NotPublished):
        services.current(page.translation_key)
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        call_command("publish_scheduled")
        assert words(page)


def test_changed_words_of_a_topic_are_served_and_the_draft_is_not(committed: Any) -> None:
    page = factories.make_center()
    page.title = "A secret draft"
    page.save_revision()
    with committed():
        text = TopicText.objects.get(topic__key="news", locale__language_code="en")
        text.label = "Fresh news"
        text.save()
    assert "Fresh news" in words(page)
    assert "A secret draft" not in words(page)


def test_changed_topics_and_groups_are_served(committed: Any) -> None:
    page = factories.make_center()
    with committed():
        Topic.objects.get(key="news").delete()
        heading = TopicGroupText.objects.get(group__key="community", locale__language_code="en")
        heading.label = "Round the corner"
        heading.save()
    matrix = body(page)["blocks"][0]["controls"][0]
    assert [row["key"] for row in matrix["rows"]] == ["offers", "events", "orders"]
    assert matrix["rows"][1]["group"] == "Round the corner"
    with committed():
        topic = Topic.objects.get(key="offers")
        topic.archived = True
        topic.save()
    assert [row["key"] for row in body(page)["blocks"][0]["controls"][0]["rows"]] == ["events", "orders"]


def test_a_topic_saved_with_all_its_texts_compiles_each_center_once(committed: Any) -> None:
    factories.make_center()
    with CaptureQueriesContext(connection) as statements, committed():
        for text in TopicText.objects.filter(topic__key="news"):
            text.save()
        Topic.objects.get(key="news").save()
    compiled = [sql for sql in statements if 'INTO "wagtail_prefs_centersnapshot"' in sql["sql"]]
    assert len(compiled) == 1


def test_a_topic_of_another_audience_touches_nothing(committed: Any) -> None:
    page = factories.make_center()
    before = services.current(page.translation_key)
    other = factories.make_audience(factories.make_site("other.example"))
    with committed():
        factories.make_topics(other)
    assert services.current(page.translation_key) == before


def test_a_block_cannot_show_a_topic_of_another_audience() -> None:
    other = factories.make_topics(factories.make_audience(factories.make_site("other.example")))
    page = factories.make_center([factories.topics_block([other["news"]])])
    assert body(page)["blocks"][0]["controls"][0]["rows"] == []


def test_a_moved_page_is_served_with_its_new_address(committed: Any) -> None:
    page = factories.make_center()
    home = Page.objects.get(pk=factories.make_site().root_page_id)
    section = home.add_child(instance=Page(title="Section", slug="section"))
    page.move(section, pos="last-child")
    assert body(page)["page_url"] == f"http://localhost/section/{page.slug}/"
    section.refresh_from_db()
    section.slug = "renamed"
    with committed():
        section.save_revision().publish()
    center = services.current(page.translation_key)
    assert center.page_url == f"http://localhost/renamed/{page.slug}/" == body(page)["page_url"]


def test_a_renamed_site_is_served_with_its_new_address(committed: Any) -> None:
    page = factories.make_center()
    site = factories.make_site()
    with committed():
        site.hostname = "brand.example"
        site.port = 443
        site.save()
    assert services.current(page.translation_key).page_url == f"https://brand.example/{page.slug}/"
    assert services.current(page.translation_key).origins == ("https://brand.example",)


def test_host_pages_narrow_what_the_site_allows(committed: Any) -> None:
    site = factories.make_site(origins=["https://a.example", "https://b.example"])
    everywhere = factories.make_center()
    narrowed = factories.make_center(host_pages="https://b.example/account/\nhttps://c.example/")
    assert services.current(everywhere.translation_key).origins == (
        "http://localhost",
        "https://a.example",
        "https://b.example",
    )
    center = services.current(narrowed.translation_key)
    assert center.origins == ("http://localhost", "https://b.example")
    assert center.host_pages == ("https://b.example/account/", "https://c.example/")
    with committed():
        setting = EmbedSettings.objects.get(site=site)
        setting.origins = ""
        setting.save()
    assert services.current(everywhere.translation_key).origins == ("http://localhost",)
    assert services.current(narrowed.translation_key).origins == ("http://localhost",)


def test_publishing_costs_a_fixed_number_of_statements() -> None:
    page = factories.make_center()
    fresh = type(page).objects.get(pk=page.pk)
    with CaptureQueriesContext(connection) as few:
        services.publish(fresh)
    audience = factories.make_audience()
    for number in range(15):
        topic = Topic.objects.create(audience=audience, key=f"more-{number}", channels=["email"])
        TopicText.objects.create(topic=topic, locale=factories.make_locale("en"), label="More")
    page.body = [factories.topics_block(Topic.objects.all())]
    page.save_revision().publish()
    fresh = type(page).objects.get(pk=page.pk)
    with CaptureQueriesContext(connection) as many:
        services.publish(fresh)
    assert len(many) <= len(few) <= 20


def test_the_body_can_be_rewritten_by_a_data_migration() -> None:
    """Wagtail's MigrateStreamData on the historical model, whose field was frozen without blocks."""
    from django.db.migrations.loader import MigrationLoader
    from wagtail.blocks.migrations.migrate_operation import MigrateStreamData
    from wagtail.blocks.migrations.operations import AlterBlockValueOperation

    page = factories.make_center()
    historical = MigrationLoader(connection).project_state().apps
    MigrateStreamData(
        "wagtail_prefs",
        "preferencecenterpage",
        "body",
        [(AlterBlockValueOperation(new_value="Rewritten"), "topics.heading")],
    ).migrate_stream_data_forward(historical, None)
    fresh = type(page).objects.get(pk=page.pk)
    assert fresh.body[0].value["heading"] == "Rewritten"
    assert fresh.get_latest_revision_as_object().body[0].value["heading"] == "Rewritten"
