"""A center previewed as a person: drawn as hers, and whatever is pressed there writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.translation import override
from wagtail.models import GroupPagePermission, Page

from tests import factories, pages
from tests.editing import form_of
from tests.web.conftest import choose, path_of, post
from wagtail_prefs.access.services import manage_url
from wagtail_prefs.admin.preview import Wrote, reading_only
from wagtail_prefs.backends.base import Backend
from wagtail_prefs.backends.registry import backends
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.personas import LABELS
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.contacts.services import load_targets
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.ledger.services import batches_since
from wagtail_prefs.topics.models import Audience, Topic
from wagtail_prefs.values import ChangeBatch, Operation, Target

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor(client: Client) -> Client:
    factories.make_site()
    client.force_login(factories.make_editor())
    return client


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    return factories.make_center()


def address(page: Page) -> str:
    return reverse("wagtailadmin_pages:preview_on_edit", args=[page.pk])


def preview(client: Client, page: PreferenceCenterPage, mode: str, **changed: Any) -> pages.Element:
    """What the panel shows after the editor has opened it, or typed something."""
    told = client.post(address(page), form_of(page, **changed)).json()
    assert told == {"is_valid": True, "is_available": True}
    response = client.get(address(page), {"mode": mode, "in_preview_panel": "true"})
    assert response.status_code == 200
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    return pages.parse(response.content.decode())


def page_of(response: Any) -> pages.Element:
    return pages.parse(response.content.decode())


def fill(shown: pages.Element, change: dict[str, str | None] | None = None) -> tuple[str, dict[str, Any]]:
    """Where the form of a drawn page goes, and what it sends after some of it was changed."""
    data: dict[str, Any] = pages.submitted(shown)
    for name, value in (change or {}).items():
        data.pop(name, None)
        if value is not None:
            data[name] = value
    action = next(shown.all("form")).get("action")
    assert action
    return action, data


def box(page: PreferenceCenterPage, topic: str, channel: str = "email") -> str:
    return f"{factories.block_id(page, 'topics')}.choices.{topic}.{channel}"


def ticked(shown: pages.Element) -> set[str]:
    boxes = (box for box in shown.all("input", type="checkbox") if "checked" in box)
    return {name.partition(".")[2] for box in boxes if (name := box.get("name"))}


def writes(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in queries.captured_queries if not query["sql"].startswith("SELECT")]


def raw_record(answer: pages.Element) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(answer.one("details").all("pre")).text)
    return found


def operations(answer: pages.Element) -> list[dict[str, Any]]:
    record = set(map(id, answer.one("details").all("pre")))
    return [json.loads(pre.text) for pre in answer.all("pre") if id(pre) not in record]


# --- drawing ---------------------------------------------------------------------------------------------------------


def test_the_panel_offers_everybody(editor: Client, center: PreferenceCenterPage) -> None:
    html = editor.get(reverse("wagtailadmin_pages:edit", args=[center.pk])).content.decode()
    for name, label in LABELS.items():
        assert f'<option value="{name}">{label}</option>' in html
    assert center.default_preview_mode == ""


def test_a_visitor_without_a_link_sees_what_she_saw_before(
    editor: Client, center: PreferenceCenterPage
) -> None:
    shown = preview(editor, center, "")
    assert not list(shown.all("form"))
    assert "open the link in one of our mails" in shown.words


def test_each_persona_meets_the_page_with_her_own_choices(
    editor: Client, center: PreferenceCenterPage
) -> None:
    everything = {f"choices.{key}" for key in ("news.email", "news.sms", "offers.email", "offers.sms")}
    everything |= {"choices.events.email"}
    for mode in LABELS:
        shown = preview(editor, center, mode)
        wanted = everything if mode in {"subscribed", "paused", "language", "country"} else set()
        assert ticked(shown) == wanted, mode
        assert "p***@e***.org" in shown.words
        assert "preview@" not in shown.words
        assert str(LABELS[mode]) in shown.one("aside", class_="pc pc-staff").words
    assert "You get no marketing from us" in preview(editor, center, "opted_out").words


def test_a_preview_asks_and_writes_nothing(editor: Client, center: PreferenceCenterPage) -> None:
    preview(editor, center, "new")  # Wagtail keeps what is typed, and a profile of the user
    for mode in LABELS:
        with CaptureQueriesContext(connection) as queries:
            assert editor.get(address(center), {"mode": mode}).status_code == 200
        assert writes(queries) == []


def test_what_is_typed_is_what_is_drawn(editor: Client, center: PreferenceCenterPage) -> None:
    typed = {"body-0-value-heading": "Only <b>typed</b>"}
    assert "Only <b>typed</b>" in preview(editor, center, "subscribed", **typed).words


def test_another_language_is_that_of_a_page_that_exists(editor: Client, center: PreferenceCenterPage) -> None:
    alone = preview(editor, center, "language")
    assert "no page is published in it" in alone.one("aside", class_="pc pc-staff").words
    assert alone.one("html").get("lang") == "en"
    german = factories.make_center(locale="de", translation_of=center, title="Ihre Post")
    shown = preview(editor, center, "language")
    assert (
        "German" in shown.one("aside", class_="pc pc-staff").words
        and "is published in it" in shown.one("aside", class_="pc pc-staff").words
    )
    assert shown.one("aside", class_="pc pc-staff").get("lang") == "en"
    assert shown.one("h1").words == "Ihre Post"
    assert "Neues" in shown.words
    answer = page_of(editor.post(*fill(shown, {box(german, "news"): None})))
    assert "News" not in answer.words
    assert raw_record(answer)["language"] == "de"
    (told,) = operations(answer)
    assert told["contact"]["language"] == "de"


def test_another_country_says_what_differs(editor: Client, center: PreferenceCenterPage) -> None:
    assert "Law: " in preview(editor, center, "country").one("aside", class_="pc pc-staff").words
    country = {"type": "country", "value": {"rule": "not_in", "values": "UY"}, "id": "c0"}
    only = factories.unsubscribe_all_block(heading="Not in Uruguay", conditions=[country])
    page = factories.make_center([factories.topics_block(), only])
    said = preview(editor, page, "country").one("aside", class_="pc pc-staff").words
    assert "She lives in UY" in said
    assert "Not shown to her: Not in Uruguay." in said


def test_the_invited_see_what_is_private(editor: Client, center: PreferenceCenterPage) -> None:
    assert (
        "No topic on this page is private"
        in preview(editor, center, "invited").one("aside", class_="pc pc-staff").words
    )
    Topic.objects.filter(key="offers").update(private=True)
    shown = preview(editor, center, "invited")
    assert "No topic" not in shown.one("aside", class_="pc pc-staff").words
    assert "Offers" in shown.one("form").words
    assert "Offers" not in preview(editor, center, "subscribed").one("form").words


def test_an_editor_is_told_in_her_own_language(editor: Client, center: PreferenceCenterPage) -> None:
    from wagtail.users.models import UserProfile

    profile = UserProfile.get_for_user(get_user_model().objects.get(username="editor"))
    profile.preferred_language = "ar"
    profile.save()
    shown = preview(editor, center, "subscribed")
    assert (
        shown.one("aside", class_="pc pc-staff").get("lang"),
        shown.one("aside", class_="pc pc-staff").get("dir"),
    ) == ("ar", "rtl")
    assert (shown.one("html").get("lang"), shown.one("html").get("dir")) == ("en", "ltr")
    assert "Save my choices" in shown.words
    answer = page_of(editor.post(*fill(shown)))
    assert (answer.one("html").get("lang"), answer.one("html").get("dir")) == ("ar", "rtl")


# --- pressing a button -----------------------------------------------------------------------------------------------


def test_saving_shows_what_would_be_and_writes_nothing(editor: Client, center: PreferenceCenterPage) -> None:
    action, data = fill(preview(editor, center, "subscribed"), {box(center, "news"): None})
    with CaptureQueriesContext(connection) as queries:
        response = editor.post(action, data)
    assert writes(queries) == []
    assert response.status_code == 200
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    answer = page_of(response)
    assert "News by e-mail: unsubscribed" in answer.words
    assert "E-mail: you get 2 of 3 topics." in answer.words
    assert raw_record(answer)["effects"][0]["path"] == "choice:news:email"
    (told,) = operations(answer)
    assert told["choices"]["news"] == {"email": "unsubscribed", "sms": "subscribed"}
    for model in (Contact, State, Record, SideValue, Delivery):
        assert not model.objects.exists()


def test_an_action_is_pressed_and_the_way_back_leads_to_the_same_persona(
    editor: Client, center: PreferenceCenterPage
) -> None:
    shown = preview(editor, center, "paused")
    button = next(shown.all("button", name="do"))
    answer = page_of(editor.post(*fill(shown, {"do": button.get("value")})))
    assert "You are unsubscribed from everything" in answer.words
    assert operations(answer)[0]["opted_out"] is True
    back = next(answer.all("a")).get("href")
    assert back and back.endswith("?mode=paused&in_preview_panel=true")
    assert ticked(page_of(editor.get(back))) == ticked(shown)


@pytest.mark.parametrize(
    ("mode", "change"),
    [
        ("subscribed", {"news.email": None, "offers.sms": None}),
        ("new", {"news.email": "1", "acknowledged": "1", "frequency.all": "weekly"}),
        ("opted_out", {"events.email": "1"}),
        ("subscribed", {"do": "unsubscribe"}),
    ],
)
def test_the_dry_run_is_what_a_save_comes_to(
    editor: Client, center: PreferenceCenterPage, mode: str, change: dict[str, str | None]
) -> None:
    """The same form, once for the persona, once by the link of somebody who did the same before."""
    Audience.objects.update(key="brand")
    edit = reverse("wagtailadmin_pages:edit", args=[center.pk])
    assert editor.post(edit, form_of(center) | {"action-publish": "1"}).status_code == 302
    contact = factories.make_contact(language="en", timezone="UTC")
    keys = [("news", "email"), ("news", "sms"), ("offers", "email"), ("offers", "sms"), ("events", "email")]
    if mode != "new":
        choose(contact, *(SetChoice(topic, channel, "subscribed") for topic, channel in keys))
    if mode == "opted_out":
        from wagtail_prefs.changes import OptOut

        choose(contact, OptOut())
    shown = preview(editor, center, mode)
    names = [name for name in pages.submitted(shown) if not name.startswith("was.")]
    names += [f"{box.get('name')}" for box in shown.all("input", type="checkbox")]
    filled: dict[str, str | None] = {}
    for name, value in change.items():
        if name == "do":
            filled["do"] = next(shown.all("button", name="do")).get("value")
        else:
            filled[next(full for full in names if full.endswith(f".{name}"))] = value
    answer = page_of(editor.post(*fill(shown, filled)))

    link = path_of(manage_url(contact, center.translation_key))
    visitor = Client()
    theirs = fill(page_of(visitor.get(link)), filled)[1]
    assert post(visitor, link, theirs).status_code == 303

    real = json.loads(Record.objects.order_by("-seq")[0].body)
    made_up = raw_record(answer)
    for name in ("record_id", "subject_ref", "event_time_utc"):
        assert real.pop(name) != made_up.pop(name)
    assert made_up == real
    target = load_targets([contact.pk])[contact.pk]
    (planned,) = backends["database"].plan(target, batches_since(contact.pk, real["seq"] - 1))
    (told,) = operations(answer)
    assert {**told, "contact": None} == {**json.loads(json.dumps(planned.payload)), "contact": None}
    assert ("carries a no" in answer.words) == planned.restricts


def test_nothing_changed_says_so(editor: Client, center: PreferenceCenterPage) -> None:
    answer = page_of(editor.post(*fill(preview(editor, center, "new"))))
    assert "Nothing would change, so nothing would be recorded." in answer.words
    assert "Nothing has changed since your last save." in answer.words
    assert not list(answer.all("pre"))


def test_content_that_changed_meanwhile_is_not_guessed_at(
    editor: Client, center: PreferenceCenterPage
) -> None:
    action, data = fill(preview(editor, center, "subscribed"))
    preview(editor, center, "subscribed", **{"body-0-value-heading": "Other words"})
    response = editor.post(action, data)
    assert response.status_code == 409
    assert "has changed since this preview was drawn" in page_of(response).words
    assert response["X-Frame-Options"] == "SAMEORIGIN"


def test_a_refused_form_comes_back_as_it_was(editor: Client, center: PreferenceCenterPage) -> None:
    action, data = fill(preview(editor, center, "subscribed"), {box(center, "news"): None})
    strange = f"{factories.block_id(center, 'topics')}.choices.moon.email"
    response = editor.post(action, {**data, strange: "1"})
    assert response.status_code == 422
    again = page_of(response)
    assert "This is not offered here." in again.words
    assert "choices.news.email" not in ticked(again)
    assert fill(again)[0] == action


@pytest.mark.parametrize("spoiled", ["base_version", "revision", "idempotency_key", "do"])
def test_a_form_that_is_none_is_no_error_of_ours(
    editor: Client, center: PreferenceCenterPage, spoiled: str
) -> None:
    action, data = fill(preview(editor, center, "new"))
    for value in ("", "x\x00", "9" * 400, "not even one"):
        assert editor.post(action, {**data, spoiled: value}).status_code in {409, 422}
    assert editor.post(action).status_code == 409


def test_a_version_from_the_future_is_taken_as_todays(editor: Client, center: PreferenceCenterPage) -> None:
    action, data = fill(preview(editor, center, "subscribed"), {box(center, "news"): None})
    assert editor.post(action, {**data, "base_version": "99"}).status_code == 200


# --- a page that is being made ---------------------------------------------------------------------------------------


def test_a_page_that_was_never_saved_can_be_tried(editor: Client, center: PreferenceCenterPage) -> None:
    home = factories.make_site().root_page
    url = reverse(
        "wagtailadmin_pages:preview_on_add", args=["wagtail_prefs", "preferencecenterpage", home.pk]
    )
    form = {name: "" if name.endswith("-id") else value for name, value in form_of(center).items()}
    form |= {"slug": "", "title": ""}
    assert editor.post(url, form).json() == {"is_valid": True, "is_available": True}
    shown = page_of(editor.get(url, {"mode": "subscribed", "in_preview_panel": "true"}))
    news = next(name for name in pages.submitted(shown) if name.endswith(".news.email"))
    action, data = fill(shown, {news.removeprefix("was."): None})
    with CaptureQueriesContext(connection) as queries:
        response = editor.post(action, data)
    assert response.status_code == 200
    assert writes(queries) == []
    assert "News by e-mail: unsubscribed" in page_of(response).words
    back = next(page_of(response).all("a")).get("href")
    assert back and editor.get(back).status_code == 200
    assert PreferenceCenterPage.objects.count() == 1


def test_a_site_without_an_audience_can_be_previewed(editor: Client) -> None:
    page = factories.make_center(
        [factories.transactional_block(), factories.unsubscribe_all_block()], publish=False
    )
    Audience.objects.all().delete()
    shown = preview(editor, page, "subscribed")
    answer = page_of(editor.post(*fill(shown, {"do": next(shown.all("button", name="do")).get("value")})))
    assert "unsubscribed from everything" in answer.words
    assert not Audience.objects.exists()


# --- who may, and how ------------------------------------------------------------------------------------------------


def test_only_whoever_may_edit_the_page_may_try_it(
    editor: Client, center: PreferenceCenterPage, client: Client
) -> None:
    action, data = fill(preview(editor, center, "subscribed"))
    assert Client().post(action, data).status_code == 302  # to the login
    group = Group.objects.create(name="elsewhere")
    group.permissions.add(Permission.objects.get(codename="access_admin"))
    other = factories.make_center()
    GroupPagePermission.objects.create(
        group=group, page=other, permission=Permission.objects.get(codename="change_page")
    )
    user = get_user_model().objects.create_user("somebody", password="password")
    user.groups.add(group)
    staff = Client()
    staff.force_login(user)
    refused = staff.post(action, data)
    assert refused.status_code == 302 and "preview" not in refused["Location"]
    assert staff.post(*fill(preview(staff, other, "subscribed"))).status_code == 200


def test_a_foreign_site_cannot_press_the_button(editor: Client, center: PreferenceCenterPage) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(get_user_model().objects.get(username="editor"))
    # Wagtail's admin has given the browser its cookie long before.
    strict.get(reverse("wagtailadmin_pages:edit", args=[center.pk]))
    token = strict.cookies["csrftoken"].value
    strict.post(address(center), form_of(center), headers={"X-CSRFToken": token})
    action, data = fill(page_of(strict.get(address(center), {"mode": "new"})))
    assert strict.post(action, data).status_code == 200
    assert strict.post(action, data, headers={"Origin": "https://evil.test"}).status_code == 403
    data.pop("csrfmiddlewaretoken")
    assert strict.post(action, data).status_code == 403


def test_only_posts_of_known_personas_to_centers_are_answered(
    editor: Client, center: PreferenceCenterPage
) -> None:
    def url(page: int | None, persona: str) -> str:
        return reverse("wagtail_prefs_dry_run", args=[page, persona])

    assert editor.get(url(center.pk, "new")).status_code == 405
    assert editor.delete(url(center.pk, "new")).status_code == 405
    assert editor.post(url(center.pk, "nobody")).status_code == 404
    assert editor.post(url(0, "new")).status_code == 404
    assert editor.post(url(factories.make_site().root_page.pk, "new")).status_code == 404
    home = factories.make_site().root_page.pk
    for app, model in (("wagtailcore", "page"), ("auth", "user"), ("no", "model")):
        add = reverse("wagtail_prefs_dry_run_add", args=[app, model, home, "new"])
        assert editor.post(add).status_code == 404


# --- what stands behind ----------------------------------------------------------------------------------------------


class Broken(Backend):
    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        raise RuntimeError("the key is hunter2")


class Writing(Backend):
    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        Audience.objects.create(key="written", name="written")
        return []


class Silent(Backend):
    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        return []


class Strange(Backend):
    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        return [Operation("k", target.state.id, 1, "send", {"what": {1, 2}})]


class Markup(Backend):
    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        return [
            Operation("k", target.state.id, 1, "<i>kind</i>", {"text": "</pre><script>alert(1)</script>"})
        ]


def test_a_backend_that_cannot_plan_is_named_and_the_others_are_shown(
    editor: Client, center: PreferenceCenterPage, settings: Any
) -> None:
    names = ("Broken", "Writing", "Silent", "Strange", "Markup")
    settings.WAGTAIL_PREFS = deepcopy(settings.WAGTAIL_PREFS) | {
        "BACKENDS": {
            "unset": {"BACKEND": "wagtail_prefs.backends.webhook.WebhookBackend", "OPTIONS": {}},
            **{name.lower(): {"BACKEND": f"{__name__}.{name}"} for name in names},
        }
    }
    response = editor.post(*fill(preview(editor, center, "subscribed"), {box(center, "news"): None}))
    assert response.status_code == 200
    html = response.content.decode()
    assert "<script>" not in html and "<i>" not in html
    assert "hunter2" not in html
    answer = page_of(response)
    problems = [alert.words for alert in answer.all("div", role="alert")]
    assert [text.rpartition(": ")[2] for text in problems[:1]] == ["RuntimeError"]
    assert len(problems) == 4
    assert any(text.endswith("TypeError") for text in problems)
    assert any(text.endswith("Wrote") for text in problems)
    assert any("needs" in text and "URL" in text for text in problems)
    assert "Nothing would be told to it." in answer.words
    assert operations(answer) == [{"text": "</pre><script>alert(1)</script>"}]
    transaction.set_rollback(False)  # Django distrusts a transaction in which something failed
    assert not Audience.objects.filter(key="written").exists()


def test_a_site_without_backends(editor: Client, center: PreferenceCenterPage, settings: Any) -> None:
    settings.WAGTAIL_PREFS = deepcopy(settings.WAGTAIL_PREFS) | {"BACKENDS": {}}
    answer = page_of(editor.post(*fill(preview(editor, center, "subscribed"), {box(center, "news"): None})))
    assert "No backend is configured." in answer.words


def test_words_of_editors_are_text(editor: Client) -> None:
    topics = factories.make_topics()
    evil = "<script>alert(1)</script>"
    topics["news"].texts.update(label=evil)
    page = factories.make_center([factories.topics_block(topics.values(), heading=evil)], title=evil)
    for response in (
        editor.post(*fill(preview(editor, page, "subscribed"), {box(page, "news"): None})),
        editor.post(*fill(preview(editor, page, "subscribed"), {"1.2": "x"})),
    ):
        assert evil not in response.content.decode()
        assert evil in page_of(response).words


def test_the_guard_lets_questions_through_and_nothing_else() -> None:
    Audience.objects.create(key="y", name="y")
    with reading_only():
        with transaction.atomic():
            assert not Audience.objects.filter(key="x").exists()
        for attempt in (
            lambda: Audience.objects.create(key="x", name="x"),
            lambda: Audience.objects.filter(key="y").delete(),
            lambda: Audience.objects.update(name="y"),
            lambda: connection.cursor().execute("  \n update nothing set x = 1"),
        ):
            with pytest.raises(Wrote), transaction.atomic():
                attempt()
    Audience.objects.create(key="x", name="x")


def test_what_it_costs(
    editor: Client, center: PreferenceCenterPage, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    """Not more questions than Wagtail's own preview of the page, but for the audience and for translations."""
    action, data = fill(preview(editor, center, "subscribed"), {box(center, "news"): None})
    with CaptureQueriesContext(connection) as usual:
        editor.get(address(center), {"mode": ""})
    for mode in LABELS:
        with django_assert_max_num_queries(len(usual) + 3):
            assert editor.get(address(center), {"mode": mode}).status_code == 200
    with django_assert_max_num_queries(len(usual) + 2):
        assert editor.post(action, data).status_code == 200


def test_no_words_are_made_before_the_language_is_known() -> None:
    from wagtail_prefs.centers.previewing import modes

    with override("de"):
        assert [name for name, _label in modes()] == ["", *LABELS]
        assert all(isinstance(label, str) for _name, label in modes())
