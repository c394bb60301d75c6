"""What Wagtail does to pages - workflow, copy, alias, schedule, move, sites - and what visitors are served of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from wagtail.actions.copy_for_translation import CopyPageForTranslationAction
from wagtail.models import GroupApprovalTask, Page, Site, Workflow, WorkflowTask

from tests import factories
from wagtail_prefs.centers import services
from wagtail_prefs.centers.models import PublishedCenter
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.errors import NotPublished

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _always_fresh(settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 0}


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Any:
    """Runs what waits for the commit, which a test's transaction never reaches."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def document(page: Any, **wish: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(services.current(page.translation_key, **wish).body)
    return found


def rows(page: Any) -> list[str]:
    return [row["key"] for row in document(page)["blocks"][0]["controls"][0]["rows"]]


def is_served(page: Any) -> bool:
    try:
        services.current(page.translation_key)
    except NotPublished:
        return False
    return True


def home_of(site: Site) -> Page:
    return Page.objects.get(pk=site.root_page_id)


# --- sites -----------------------------------------------------------------------------------------------------------


def two_sites() -> tuple[PreferenceCenterPage, PreferenceCenterPage]:
    """A center on each of two sites, whose topics bear the same keys."""
    brand, other = factories.make_site(), factories.make_site("other.example")
    topics = factories.make_topics(factories.make_audience(other))
    topics["news"].texts.filter(locale__language_code="en").update(label="Other news")
    here, there = factories.make_center(site=brand), factories.make_center(site=other)
    topics["events"].delete()
    services.republish(page_id=there.pk)
    return here, there


def test_two_sites_do_not_mix(client: Client) -> None:
    here, there = two_sites()
    one, two = services.current(here.translation_key), services.current(there.translation_key)
    assert one.audience_id != two.audience_id
    assert one.origins != two.origins
    assert b"Other news" not in one.body
    assert b"Other news" in two.body
    assert rows(here) == ["news", "offers", "events", "orders"]
    assert rows(there) == ["news", "offers", "orders"]
    assert document(there)["page_url"].startswith("http://other.example/")


def test_a_center_that_moves_to_another_site_has_that_sites_topics(committed: Any) -> None:
    here, there = two_sites()
    theirs = services.current(there.translation_key).audience_id
    with committed():
        here.move(home_of(Site.objects.get(hostname="other.example")), pos="last-child")
    assert services.current(here.translation_key).audience_id == theirs
    assert document(here)["page_url"].startswith("http://other.example/")
    # The block named the topics of the site it stood on, and none of those is the other site's.
    assert rows(here) == []


def test_a_center_outside_every_site_is_not_served(committed: Any) -> None:
    page = factories.make_center(site=factories.make_site("other.example"))
    assert is_served(page)
    with committed():
        Site.objects.get(hostname="other.example").delete()
    assert not is_served(page)


# --- locales ---------------------------------------------------------------------------------------------------------


def test_a_translation_is_served_when_it_is_published_and_not_before() -> None:
    page = factories.make_center()
    german = factories.make_locale("de")
    home_of(factories.make_site()).copy_for_translation(german).save_revision().publish()
    copy = CopyPageForTranslationAction(page, german).execute()
    assert copy.translation_key == page.translation_key
    assert [block.id for block in copy.body] == [block.id for block in page.body]
    assert services.current(page.translation_key, "de").locale == "en"
    copy.title = "Ihre Wahl"
    copy.save_revision().publish()
    assert document(page, locale="de")["title"] == "Ihre Wahl"
    assert document(page, locale="en")["title"] == "Your choices"
    page.unpublish()
    assert services.current(page.translation_key, "en").locale == "de"


# --- workflow --------------------------------------------------------------------------------------------------------


def test_a_workflow_publishes_when_it_is_approved() -> None:
    page = factories.make_center()
    editor = factories.make_editor()
    task = GroupApprovalTask.objects.create(name="Legal")
    task.groups.add(Group.objects.get_or_create(name="Moderators")[0])
    workflow = Workflow.objects.create(name="Legal reads it")
    WorkflowTask.objects.create(workflow=workflow, task=task, sort_order=0)

    page.title = "Words for the lawyers"
    page.save_revision(user=editor)
    state = workflow.start(page, editor)
    assert document(page)["title"] == "Your choices"
    state.current_task_state.task.on_action(state.current_task_state, editor, "reject")
    assert document(page)["title"] == "Your choices"

    page.save_revision(user=editor)
    state.resume(editor)
    state.refresh_from_db()
    state.current_task_state.task.on_action(state.current_task_state, editor, "approve")
    assert document(page)["title"] == "Words for the lawyers"


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_is_a_center_of_its_own() -> None:
    page = factories.make_center(host_pages="https://shop.example/account/")
    before = services.current(page.translation_key)
    copy = page.copy(update_attrs={"slug": "copied", "title": "A copy"}, keep_live=True)
    assert copy.translation_key != page.translation_key
    assert services.current(page.translation_key) == before
    served = services.current(copy.translation_key)
    assert served.digest != before.digest
    assert json.loads(served.body)["center"] == str(copy.translation_key)
    assert served.page_url.endswith("/copied/")
    # Answers are keyed by the blocks of one center, so that two centers may have blocks of the same ids.
    with pytest.raises(Exception, match="refused"):
        services.answers_to_changes(services.get_snapshot(served.digest), {"no-such-block": {}})
    copy.unpublish()
    assert services.current(page.translation_key) == before


def test_a_copy_that_is_no_live_page_is_not_served() -> None:
    page = factories.make_center()
    copy = page.copy(update_attrs={"slug": "copied"}, keep_live=False)
    assert not is_served(copy)
    assert is_served(page)


def test_a_copy_on_another_site_shows_nothing_of_the_first() -> None:
    here, there = two_sites()
    target = home_of(Site.objects.get(hostname="other.example"))
    copy = here.copy(to=target, update_attrs={"slug": "copied"}, keep_live=True)
    assert (
        services.current(copy.translation_key).audience_id
        == services.current(there.translation_key).audience_id
    )
    assert rows(copy) == []


def test_an_alias_is_served_as_its_original_is(client: Client, committed: Any) -> None:
    page = factories.make_center()
    with committed():
        alias = page.create_alias(update_slug="alias")
    assert alias.translation_key != page.translation_key
    assert client.get(alias.url).status_code == 200
    assert document(alias)["title"] == "Your choices"
    assert document(alias)["page_url"].endswith("/alias/")

    page.title = "Other words"
    with committed():
        page.save_revision().publish()
    assert document(alias)["title"] == document(page)["title"] == "Other words"
    page.title = "A draft"
    page.save_revision()
    assert document(alias)["title"] == "Other words"

    with committed():
        page.unpublish()
    assert not is_served(alias)


def test_an_alias_of_a_draft_is_not_served(committed: Any) -> None:
    page = factories.make_center(publish=False)
    with committed():
        alias = page.create_alias(update_slug="alias")
    assert not is_served(alias)


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_center_that_expires_is_served_no_more() -> None:
    page = factories.make_center(publish=False)
    page.expire_at = timezone.now() + timedelta(days=2)
    page.save_revision().publish()
    assert is_served(page)
    with time_machine.travel(timezone.now() + timedelta(days=3)):
        call_command("publish_scheduled")
    assert not is_served(page)
    assert not PublishedCenter.objects.filter(center=page.translation_key).exists()


def test_changes_that_are_scheduled_wait_for_their_day() -> None:
    page = factories.make_center()
    page.title = "From Monday on"
    page.go_live_at = timezone.now() + timedelta(days=1)
    page.save_revision().publish()
    assert is_served(page)
    assert document(page)["title"] == "Your choices"
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        call_command("publish_scheduled")
    assert document(page)["title"] == "From Monday on"
