"""The editor of a center: what stops a publish and how it is told, and the code for other websites."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from wagtail.admin.forms.pages import WagtailAdminPageForm
from wagtail.admin.panels import ObjectList
from wagtail.admin.viewsets.pages import PageViewSet, page_viewset_registry
from wagtail.models import GroupApprovalTask, Page, PageLogEntry, Workflow, WorkflowPage, WorkflowTask
from wagtail.test.utils import WagtailTestUtils

from tests import factories, pages
from tests.editing import form_of
from wagtail_prefs.admin.centers import CenterPageViewSet
from wagtail_prefs.centers import embed
from wagtail_prefs.centers.checks.audit import OVERRULED, UNCHECKED, accepted
from wagtail_prefs.centers.models import PublishedCenter
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.topics.models import Topic, TopicText

pytestmark = pytest.mark.django_db

PUBLISH = {"action-publish": "1"}
SIDE = "prefs-checks"


@pytest.fixture
def editor(client: Client) -> Client:
    factories.make_site()
    client.force_login(factories.make_editor())
    return client


def draft(blocks: list[dict[str, Any]] | None = None) -> PreferenceCenterPage:
    return factories.make_center(blocks, publish=False)


def without(kind: str) -> list[dict[str, Any]]:
    return [block for block in factories.all_blocks() if block["type"] != kind]


def operational() -> list[dict[str, Any]]:
    """A page with one warning and no error."""
    return [factories.topics_block(heading="2024_NL_v2"), *without("topics")]


def address(page: Page) -> str:
    return reverse("wagtailadmin_pages:edit", args=[page.pk])


def send(client: Client, page: PreferenceCenterPage, **changed: Any) -> Any:
    return client.post(address(page), form_of(page, **changed))


def side_panel(html: str) -> Any:
    return WagtailTestUtils.get_soup(html).select_one(f'[data-side-panel="{SIDE}"]')


def codes_in(element: Any) -> list[str]:
    return [one["data-finding"] for one in element.select("[data-finding]")]


def again(page: Page) -> PreferenceCenterPage:
    return PreferenceCenterPage.objects.get(pk=page.pk)


def is_live(page: Page) -> bool:
    return bool(Page.objects.get(pk=page.pk).live)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_an_error_stops_a_publish_and_is_told_at_the_top(editor: Client) -> None:
    page = draft(without("unsubscribe_all"))
    refused = send(editor, page, **PUBLISH)
    assert refused.status_code == 200
    assert not is_live(page)
    assert not PublishedCenter.objects.exists()
    assert any("Nobody can leave here" in text for text in refused.context["form"].non_field_errors())
    html = refused.content.decode()
    assert html.count("Nobody can leave here") >= 2  # in Wagtail's message, and in the panel


def test_an_error_stands_beside_its_block_and_field(editor: Client) -> None:
    page = draft()
    TopicText.objects.filter(topic__key="news", locale__language_code="en").delete()
    refused = send(editor, page, **PUBLISH)
    (error,) = refused.context["form"].errors["body"].as_data()
    told = error.as_json_data()["blockErrors"][0]["blockErrors"]["topics"]["messages"]
    assert len(told) == 1
    assert "Neues" in told[0]
    block = page.body[0].id
    assert f'href="#block-{block}-section"' in refused.content.decode()


def test_a_draft_with_errors_is_saved(editor: Client) -> None:
    page = draft(without("unsubscribe_all"))
    assert send(editor, page, title="Still a draft").status_code == 302
    assert again(page).get_latest_revision_as_object().title == "Still a draft"


def test_a_new_page_is_checked_in_the_site_that_it_will_stand_in(editor: Client) -> None:
    page = draft()
    form = form_of(page, slug="another", **PUBLISH)
    home = factories.make_site().root_page
    url = reverse("wagtailadmin_pages:add", args=["wagtail_prefs", "preferencecenterpage", home.pk])
    response = editor.post(url, form)
    assert response.status_code == 302, response.context["form"].errors
    assert PreferenceCenterPage.objects.get(slug="another").live


def test_a_new_page_without_ids_for_its_blocks_shows_its_errors(editor: Client) -> None:
    """A browser sends them; who posts without still learns what is wrong, and where."""
    form = {**form_of(draft(without("unsubscribe_all")), slug="another", **PUBLISH)}
    form = {
        name: "" if name.startswith("body-") and name.endswith("-id") else value
        for name, value in form.items()
    }
    home = factories.make_site().root_page
    url = reverse("wagtailadmin_pages:add", args=["wagtail_prefs", "preferencecenterpage", home.pk])
    TopicText.objects.filter(topic__key="news", locale__language_code="en").delete()
    refused = editor.post(url, form)
    assert refused.status_code == 200
    (error,) = refused.context["form"].errors["body"].as_data()
    assert list(error.as_json_data()["blockErrors"]) == [0]


def test_a_schedule_is_checked_as_well(editor: Client) -> None:
    soon = (timezone.now() + timedelta(days=2)).strftime("%Y-%m-%d %H:%M")
    page = draft(without("privacy_notice"))
    assert send(editor, page, go_live_at=soon, **PUBLISH).status_code == 200
    page = draft()
    assert send(editor, page, go_live_at=soon, **PUBLISH).status_code == 302
    assert again(page).get_latest_revision().approved_go_live_at


def test_an_old_version_is_checked_when_one_goes_back_to_it(editor: Client) -> None:
    page = draft(without("unsubscribe_all"))
    old = page.save_revision()
    url = reverse("wagtailadmin_pages:revisions_revert", args=[page.pk, old.pk])
    shown = editor.get(url).content.decode()
    assert codes_in(side_panel(shown)) == ["unsubscribe-missing"]


def test_text_of_an_editor_stays_text(editor: Client) -> None:
    evil = '<img src=x onerror="alert(1)">_NL_v2'
    page = draft([factories.topics_block(heading=evil), *without("topics")])
    for html in (editor.get(address(page)).content.decode(), send(editor, page, **PUBLISH).content.decode()):
        assert "<img src=x" not in html
        assert "&lt;img src=x" in html


# --- warnings ---------------------------------------------------------------------------------------------------------


def test_a_warning_stops_a_publish_until_somebody_says_why(editor: Client) -> None:
    page = draft(operational())
    stopped = send(editor, page, **PUBLISH)
    assert stopped.status_code == 200
    assert set(stopped.context["form"].errors) == {"publish_anyway"}
    assert 'name="publish_anyway"' in stopped.content.decode()
    silent = send(editor, page, publish_anyway="on", overrule_reason="  ", **PUBLISH)
    assert set(silent.context["form"].errors) == {"overrule_reason"}
    assert not is_live(page)
    assert (
        send(
            editor, page, publish_anyway="on", overrule_reason="Everybody calls it that", **PUBLISH
        ).status_code
        == 302
    )
    assert is_live(page)
    entry = PageLogEntry.objects.get(page_id=page.pk, action=OVERRULED)
    assert entry.user.username == "editor"
    assert entry.data == {
        "codes": ["name-operational"],
        "findings": [f"name-operational:{page.body[0].id}"],
        "reason": "Everybody calls it that",
    }
    assert entry.revision == Page.objects.get(pk=page.pk).live_revision
    assert entry.message == "Published in spite of warnings (name-operational): Everybody calls it that"


def test_a_reason_stays_text_in_the_history(editor: Client) -> None:
    page = draft(operational())
    reason = "<script>alert(1)</script>"
    send(editor, page, publish_anyway="on", overrule_reason=reason, **PUBLISH)
    for url in (
        reverse("wagtailadmin_pages:history", args=[page.pk]),
        reverse("wagtailadmin_reports:site_history"),
    ):
        html = editor.get(url).content.decode()
        assert reason not in html
        assert "&lt;script&gt;alert(1)" in html


def test_the_other_screens_of_the_page_type_open(editor: Client) -> None:
    page = factories.make_center()
    for url in (
        reverse("wagtailadmin_pages:type_use", args=["wagtail_prefs", "preferencecenterpage"]),
        reverse("wagtailadmin_explore", args=[page.pk]),
        reverse("wagtailadmin_explore", args=[page.get_parent().pk]),
        reverse("wagtailadmin_pages:copy", args=[page.pk]),
        reverse("wagtailadmin_pages:history", args=[page.pk]),
    ):
        assert editor.get(url).status_code == 200, url


def test_what_was_overruled_does_not_ask_again_and_something_new_does(editor: Client) -> None:
    page = draft(operational())
    send(editor, page, publish_anyway="on", overrule_reason="Known", **PUBLISH)
    assert send(editor, page, **PUBLISH).status_code == 302
    assert PageLogEntry.objects.filter(page_id=page.pk, action=OVERRULED).count() == 1
    page = PreferenceCenterPage.objects.get(pk=page.pk)
    page.body[1].value["heading"] = "CRM-4711"
    stopped = send(editor, page, **PUBLISH)
    assert stopped.status_code == 200
    assert [one.block_id for one in stopped.context["form"].open_warnings] == [str(page.body[1].id)]
    send(editor, page, publish_anyway="on", overrule_reason="That too", **PUBLISH)
    assert len(accepted(page)) == 2


def test_nobody_is_asked_for_a_reason_without_a_warning(editor: Client) -> None:
    page = draft()
    assert 'name="publish_anyway"' not in editor.get(address(page)).content.decode()
    assert send(editor, page, publish_anyway="on", overrule_reason="Why not", **PUBLISH).status_code == 302
    assert not PageLogEntry.objects.filter(action=OVERRULED).exists()


def test_errors_and_warnings_are_told_together(editor: Client) -> None:
    page = draft([block for block in operational() if block["type"] != "unsubscribe_all"])
    refused = send(editor, page, publish_anyway="on", overrule_reason="Never mind", **PUBLISH)
    assert refused.status_code == 200
    assert codes_in(side_panel(refused.content.decode())) == ["unsubscribe-missing", "name-operational"]
    assert not PageLogEntry.objects.filter(action=OVERRULED).exists()


def test_a_reason_for_a_new_page_is_logged_too(editor: Client) -> None:
    page = draft(operational())
    home = factories.make_site().root_page
    url = reverse("wagtailadmin_pages:add", args=["wagtail_prefs", "preferencecenterpage", home.pk])
    form = form_of(page, slug="another", publish_anyway="on", overrule_reason="So be it", **PUBLISH)
    assert editor.post(url, form).status_code == 302
    made = PreferenceCenterPage.objects.get(slug="another")
    assert PageLogEntry.objects.get(action=OVERRULED).page_id == made.pk


# --- the side panel ---------------------------------------------------------------------------------------------------


def test_the_side_panel_lists_what_the_draft_lacks_and_counts_it(editor: Client) -> None:
    page = draft([block for block in operational() if block["type"] != "unsubscribe_all"])
    html = editor.get(address(page)).content.decode()
    panel = side_panel(html)
    assert codes_in(panel) == ["unsubscribe-missing", "name-operational"]
    assert panel.select_one(f'a[href="#block-{page.body[0].id}-section"]')
    toggle = WagtailTestUtils.get_soup(html).select_one(f'[data-side-panel-toggle="{SIDE}"]')
    assert toggle.select_one("[data-side-panel-toggle-counter]").text.strip() == "2"


def test_a_page_with_nothing_to_mend_says_so(editor: Client) -> None:
    html = editor.get(address(draft())).content.decode()
    assert codes_in(side_panel(html)) == []
    assert "Nothing stands against publishing" in side_panel(html).text


def test_the_side_panel_comes_anew_with_each_autosave(editor: Client) -> None:
    page = draft()
    form = form_of(page)
    kept = {name: value for name, value in form.items() if not name.startswith("body-4-")}
    saved = editor.post(address(page), {**kept, "body-count": "4"}, headers={"accept": "application/json"})
    assert saved.json()["success"] is True
    html = saved.json()["html"]
    assert "unsubscribe-missing" in html
    assert f"[data-side-panel='{SIDE}']" in html
    assert f"[data-side-panel-toggle='{SIDE}'] [data-side-panel-toggle-counter]" in html


def test_a_page_that_is_not_saved_yet_has_a_place_for_the_panel(editor: Client) -> None:
    home = factories.make_site().root_page
    url = reverse("wagtailadmin_pages:add", args=["wagtail_prefs", "preferencecenterpage", home.pk])
    assert "Save a draft" in side_panel(editor.get(url).content.decode()).text


def test_what_was_overruled_is_still_listed_and_says_so(editor: Client) -> None:
    page = draft(operational())
    send(editor, page, publish_anyway="on", overrule_reason="Known", **PUBLISH)
    assert "Overruled" in side_panel(editor.get(address(page)).content.decode()).text


def test_other_pages_have_no_such_panel(editor: Client) -> None:
    home = factories.make_site().root_page
    assert f'data-side-panel="{SIDE}"' not in editor.get(address(home)).content.decode()


def queries_of_the_editor(client: Client, page: Page) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.get(address(page))
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address(page)).status_code == 200
    return len(asked)


def test_the_side_panel_costs_the_same_for_a_larger_library_and_little_at_all(
    editor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = draft()
    before = queries_of_the_editor(editor, page)
    audience = factories.make_audience()
    for number in range(15):
        topic = Topic.objects.create(audience=audience, key=f"more-{number}", channels=["email"])
        TopicText.objects.create(topic=topic, locale=factories.make_locale("en"), label=f"More {number}")
    assert queries_of_the_editor(editor, page) == before
    with monkeypatch.context() as patch:
        from wagtail_prefs.admin import panels

        patch.setattr(panels, "check_page", lambda _page: [])
        assert before - queries_of_the_editor(editor, page) <= 10


def test_a_sites_own_viewset_for_its_page_type_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    own = PageViewSet("own", model=PreferenceCenterPage)
    monkeypatch.setitem(page_viewset_registry.values_by_class, PreferenceCenterPage, own)
    CenterPageViewSet("ours", model=PreferenceCenterPage).on_register()
    assert page_viewset_registry.get_by_type(PreferenceCenterPage) is own


def test_a_form_that_is_not_built_on_ours_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreferenceCenterPage, "base_form_class", WagtailAdminPageForm)
    panels = ObjectList(PreferenceCenterPage.content_panels).bind_to_model(PreferenceCenterPage)
    fields = panels.get_form_class().base_fields
    assert "body" in fields
    assert "publish_anyway" not in fields


# --- other ways to a publication --------------------------------------------------------------------------------------


def test_what_code_publishes_is_not_stopped_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "wagtail_prefs.centers.checks.audit"):
        page = factories.make_center(without("unsubscribe_all"))
    assert page.live
    entry = PageLogEntry.objects.get(page_id=page.pk, action=UNCHECKED)
    assert entry.data == {"codes": ["unsubscribe-missing"], "findings": ["unsubscribe-missing:"]}
    assert "unsubscribe-missing" in entry.message
    assert "unsubscribe-missing" in caplog.text


def test_a_good_page_that_code_publishes_leaves_no_trace() -> None:
    page = factories.make_center()
    assert not PageLogEntry.objects.filter(page_id=page.pk, action=UNCHECKED).exists()


def bulk_publish(client: Client, *chosen: Page, below: bool = False) -> Any:
    query = "&".join(f"id={page.pk}" for page in chosen)
    url = reverse("wagtail_bulk_action", args=["wagtailcore", "page", "publish"])
    data = {"include_descendants": "on"} if below else {}
    return client.post(f"{url}?{query}&next={reverse('wagtailadmin_home')}", data, follow=True)


def test_several_pages_are_published_only_when_none_is_stopped(editor: Client) -> None:
    fine, bad = draft(), draft(without("unsubscribe_all"))
    shown = bulk_publish(editor, fine, bad).content.decode()
    assert not is_live(fine)
    assert not is_live(bad)
    assert "Nobody can leave here" in shown
    bulk_publish(editor, fine)
    assert is_live(fine)


def test_drafts_below_the_chosen_pages_are_looked_at_too(editor: Client) -> None:
    bad = draft(without("unsubscribe_all"))
    home = factories.make_site().root_page
    bulk_publish(editor, home, below=True)
    assert not is_live(bad)
    bulk_publish(editor, home)  # without what stands below it
    assert is_live(home)


def in_moderation(page: PreferenceCenterPage) -> Any:
    """The page submitted to a workflow of one approval."""
    from django.contrib.auth.models import Group

    task = GroupApprovalTask.objects.create(name="Look at it")
    task.groups.add(Group.objects.get_or_create(name="Moderators")[0])
    workflow = Workflow.objects.create(name="Four eyes")
    WorkflowTask.objects.create(workflow=workflow, task=task, sort_order=1)
    WorkflowPage.objects.create(workflow=workflow, page=factories.make_site().root_page)
    page.save_revision()
    return workflow.start(page, factories.make_editor()).current_task_state


def approve(client: Client, page: Page, state: Any, action: str = "approve") -> Any:
    url = reverse("wagtailadmin_pages:workflow_action", args=[page.pk, action, state.pk])
    return client.post(url, {"comment": ""})


def test_an_approval_past_the_form_is_checked(editor: Client) -> None:
    page = draft(without("unsubscribe_all"))
    state = in_moderation(page)
    stopped = approve(editor, page, state)
    assert stopped.url == address(page)
    assert "Nobody can leave here" in editor.get(stopped.url).content.decode()
    assert not is_live(page)


def test_a_good_page_is_approved(editor: Client) -> None:
    page = draft()
    approve(editor, page, in_moderation(page))
    assert is_live(page)


def test_a_bad_page_can_be_sent_back(editor: Client) -> None:
    page = draft(without("unsubscribe_all"))
    state = in_moderation(page)
    response = send(
        editor,
        page,
        **{
            "action-workflow-action": "1",
            "workflow-action-name": "reject",
            "workflow-action-extra-data": "{}",
        },
    )
    assert response.status_code == 302
    state.refresh_from_db()
    assert state.status == "rejected"


def test_no_second_button_opens_the_way(editor: Client) -> None:
    """Wagtail does what the first of several buttons says, so that one is checked."""
    page = draft(without("unsubscribe_all"))
    in_moderation(page)
    reject = {"action-workflow-action": "1", "workflow-action-name": "reject"}
    assert send(editor, page, **PUBLISH, **reject).status_code == 200
    assert send(editor, page, **PUBLISH, **{"action-cancel-workflow": "1"}).status_code == 200
    assert not is_live(page)


def test_a_bad_page_is_not_submitted(editor: Client) -> None:
    page = draft(without("unsubscribe_all"))
    in_moderation(page).workflow_state.cancel()
    assert send(editor, page, **{"action-submit": "1"}).status_code == 200
    assert send(editor, draft(), **{"action-submit": "1"}).status_code == 302


# --- code for other websites ------------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "preference-center.js"
    path.write_bytes(b"export const built = true;\n")
    monkeypatch.setattr(embed, "SCRIPT", path)
    return path


def test_a_published_center_shows_its_code_and_where_it_may_stand(editor: Client, script: Path) -> None:
    site = factories.make_site(origins=["https://shop.example", "https://www.example"])
    page = factories.make_center(host_pages="https://shop.example/account/")
    html = editor.get(address(page)).content.decode()
    code = WagtailTestUtils.get_soup(html).select_one("#prefs-embed-code")
    snippet = pages.parse(code.text.strip())
    assert str(snippet.one("script").get("integrity")).startswith("sha384-")
    assert snippet.one("preference-center").get("locale") == "en"
    assert "name" not in code.attrs  # no part of the form
    assert code["data-w-clipboard-target"] == "value"
    assert "<code>https://shop.example</code>" in html
    assert "<code>https://www.example</code>" not in html  # narrowed by the page's own list
    assert 'href="https://shop.example/account/"' in html
    assert reverse("wagtailsettings:edit", args=["wagtail_prefs", "embedsettings", site.pk]) in html


def test_a_draft_has_no_code(editor: Client, script: Path) -> None:
    assert "prefs-embed-code" not in editor.get(address(draft())).content.decode()


def test_without_the_script_there_is_no_code_and_the_editor_opens(editor: Client, script: Path) -> None:
    page = factories.make_center()
    script.unlink()
    html = editor.get(address(page)).content.decode()
    assert "prefs-embed-code" not in html
    assert "The script of this installation is missing" in html


def test_who_may_not_change_the_origins_gets_no_link_to_them(client: Client, script: Path) -> None:
    from django.contrib.auth.models import Group
    from wagtail.models import GroupPagePermission

    site = factories.make_site()
    page = factories.make_center()
    user = factories.make_editor("writer")
    user.is_superuser = False
    user.save()
    group = Group.objects.create(name="Writers")
    group.permissions.add(Permission.objects.get(codename="access_admin"))
    change = Permission.objects.get(codename="change_page")
    GroupPagePermission.objects.create(group=group, page=site.root_page, permission=change)
    user.groups.add(group)
    client.force_login(user)
    html = client.get(address(page)).content.decode()
    assert "prefs-embed-code" in html
    assert reverse("wagtailsettings:edit", args=["wagtail_prefs", "embedsettings", site.pk]) not in html
