"""The editor's screens, used as a browser uses them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from wagtail.test.utils.form_data import inline_formset, nested_form_data, rich_text, streamfield

from tests import factories
from wagtail_prefs.centers.embedding import EmbedSettings
from wagtail_prefs.centers.models import PublishedCenter
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.topics.models import Audience, Topic

pytestmark = pytest.mark.django_db

TOPIC = "wagtailsnippets_wagtail_prefs_topic"


@pytest.fixture
def editor(client: Client) -> Client:
    factories.make_site()
    client.force_login(factories.make_editor())
    return client


def listed(items: list[Any]) -> dict[str, Any]:
    """A ListBlock as its form posts it."""
    data: dict[str, Any] = {"count": str(len(items))}
    for index, item in enumerate(items):
        data[str(index)] = {"value": item, "order": str(index), "deleted": "", "type": "item", "id": ""}
    return data


def topic_form(**values: Any) -> dict[str, Any]:
    locale = factories.make_locale("en")
    texts = inline_formset(
        [{"locale": locale.pk, "label": "Recipes", "text": "One a week.", "cadence": "weekly"}], min=1
    )
    channels = values.pop("channels", ["email", "sms"])
    fields = {
        "key": "recipes",
        "sort_order": "0",
        "group": "",
        "audience": "",
        "basis": "consent",
        "texts": texts,
    }
    return {**nested_form_data({**fields, **values}), "channels": channels}


def center_form(topics: list[Topic], *, action: str = "action-publish", **values: Any) -> dict[str, Any]:
    texts = {"text": rich_text(""), "conditions": streamfield([])}
    form = nested_form_data(
        {
            "title": "Your mail, your choice",
            "slug": "choices",
            "host_pages": "",
            "comments": inline_formset([]),
            "body": streamfield(
                [
                    (
                        "topics",
                        {
                            "heading": "Topics",
                            **texts,
                            "topics": listed([topic.pk for topic in topics]),
                        },
                    ),
                    (
                        "privacy_notice",
                        {
                            "heading": "Your data",
                            **texts,
                            "notice": "privacy",
                            "content": rich_text("<p>For what you choose here.</p>"),
                            "policy_url": "",
                            "uses": listed([]),
                        },
                    ),
                    ("transactional", {"heading": "What always comes", **texts}),
                    ("unsubscribe_all", {"heading": "", **texts, "still_comes": rich_text(""), "button": ""}),
                ]
            ),
            action: "1",
            **values,
        }
    )
    return {**form, "body-0-value-channels": ["email"]}


def test_every_list_opens_on_an_empty_site(editor: Client) -> None:
    names = [
        f"{TOPIC}:list",
        "wagtailsnippets_wagtail_prefs_topicgroup:list",
        "wagtailsnippets_wagtail_prefs_audience:list",
        "prefs_centers:index",
    ]
    for name in names:
        assert editor.get(reverse(name)).status_code == 200, name
    empty = editor.get(reverse(f"{TOPIC}:list")).content.decode()
    assert "No topics yet" in empty
    assert reverse(f"{TOPIC}:add") in empty


def test_opening_the_add_form_makes_no_audience(editor: Client) -> None:
    assert editor.get(reverse(f"{TOPIC}:add")).status_code == 200
    assert not Audience.objects.exists()


def test_a_topic_is_made_on_a_site_without_an_audience(editor: Client) -> None:
    response = editor.post(reverse(f"{TOPIC}:add"), topic_form())
    assert response.status_code == 302, response.context["form"].errors
    topic = Topic.objects.get()
    assert topic.channels == ["email", "sms"]
    assert topic.audience.site is not None
    assert str(topic) == "Recipes"


def test_a_topic_needs_a_channel_and_words(editor: Client) -> None:
    response = editor.post(reverse(f"{TOPIC}:add"), topic_form(channels=[]))
    assert response.status_code == 200
    assert response.context["form"].errors.keys() == {"channels"}
    assert not Topic.objects.exists()


def test_the_key_of_a_saved_topic_cannot_be_changed(editor: Client) -> None:
    topic = factories.make_topics()["news"]
    url = reverse(f"{TOPIC}:edit", args=[topic.pk])
    assert 'name="key"' in editor.get(url).content.decode()
    texts = [
        {"id": text.pk, "locale": text.locale_id, "label": text.label, "text": "", "cadence": ""}
        for text in topic.texts.all()
    ]
    form = topic_form(key="renamed", channels=["sms"], texts=inline_formset(texts, initial=len(texts), min=1))
    response = editor.post(url, form)
    assert response.status_code == 302, response.context["form"].errors
    topic.refresh_from_db()
    assert (topic.key, topic.channels) == ("news", ["sms"])


def test_a_topic_is_found_by_its_words(editor: Client) -> None:
    factories.make_topics()
    found = editor.get(reverse(f"{TOPIC}:list"), {"q": "Neues"}).content.decode()
    assert reverse(f"{TOPIC}:edit", args=[Topic.objects.get(key="news").pk]) in found
    assert reverse(f"{TOPIC}:edit", args=[Topic.objects.get(key="events").pk]) not in found


def test_the_chooser_finds_a_topic_made_in_the_admin_by_its_words(editor: Client) -> None:
    editor.post(reverse(f"{TOPIC}:add"), topic_form())
    chooser = reverse("wagtailsnippetchoosers_wagtail_prefs_topic:choose_results")
    assert "Recipes" in editor.get(chooser, {"q": "recip"}).content.decode()
    assert "Recipes" not in editor.get(chooser, {"q": "holidays"}).content.decode()


def test_the_key_of_an_audience_is_fixed(editor: Client) -> None:
    audience = factories.make_audience()
    url = reverse("wagtailsnippets_wagtail_prefs_audience:edit", args=[audience.pk])
    response = editor.post(url, {"name": "Brand", "key": "renamed", "site": audience.site_id})
    assert response.status_code == 302
    audience.refresh_from_db()
    assert (audience.name, audience.key) == ("Brand", "default")


def test_the_list_of_topics_costs_the_same_for_more_topics(
    editor: Client, django_assert_max_num_queries: Any
) -> None:
    audience = factories.make_audience()
    factories.make_topics(audience)
    editor.get(reverse(f"{TOPIC}:list"))  # content types and site are known from here on
    for number in range(10):
        Topic.objects.create(audience=audience, key=f"more-{number}", channels=["email"])
    with django_assert_max_num_queries(30):
        editor.get(reverse(f"{TOPIC}:list"))


def test_a_center_is_composed_and_published_through_the_form(editor: Client) -> None:
    topics = factories.make_topics()
    home = factories.make_site().root_page
    url = reverse("wagtailadmin_pages:add", args=["wagtail_prefs", "preferencecenterpage", home.pk])
    assert editor.get(url).status_code == 200
    response = editor.post(url, center_form([topics["news"], topics["offers"]]))
    assert response.status_code == 302, response.context["form"].errors
    page = PreferenceCenterPage.objects.get()
    assert page.live
    published = PublishedCenter.objects.get(center=page.translation_key)
    assert published.page_url == "http://localhost/choices/"
    assert editor.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).status_code == 200
    assert editor.get(reverse("prefs_centers:index")).status_code == 200


def test_a_draft_may_be_unfinished_and_publishing_says_what_is_missing(editor: Client) -> None:
    home = factories.make_site().root_page
    url = reverse("wagtailadmin_pages:add", args=["wagtail_prefs", "preferencecenterpage", home.pk])
    unfinished = center_form([])
    response = editor.post(url, {key: value for key, value in unfinished.items() if key != "action-publish"})
    assert response.status_code == 302, response.context["form"].errors
    page = PreferenceCenterPage.objects.get()
    assert not page.live
    edit = reverse("wagtailadmin_pages:edit", args=[page.pk])
    refused = editor.post(edit, center_form([]))
    assert refused.status_code == 200
    assert "body" in refused.context["form"].errors
    assert not PublishedCenter.objects.exists()


def test_a_notice_that_is_not_translated_keeps_the_page_from_being_published(editor: Client) -> None:
    """LW-17, by the form: the words of the English page on the German one."""
    factories.make_topics()
    notice = "<p>We use your address for what you choose here.</p>"
    blocks = [
        {**block, "value": {**block["value"], "content": notice}}
        for block in [factories.privacy_block(), factories.unsubscribe_all_block()]
    ]
    english = factories.make_center(blocks)
    german = factories.make_center(english.body.raw_data, locale="de", publish=False, translation_of=english)
    edit = reverse("wagtailadmin_pages:edit", args=[german.pk])
    for content, words in ((notice, True), ("<p>Ihre Adresse brauchen wir nur hierfür.</p>", False)):
        form = center_form(list(Topic.objects.filter(key="news")))
        (place,) = (name for name in form if name.endswith("value-notice"))
        form[place.replace("-notice", "-content")] = rich_text(content)
        answer = editor.post(edit, form)
        assert answer.status_code == (200 if words else 302)
        assert ("People must be told in the language of the page" in answer.content.decode()) is words
        published = PublishedCenter.objects.filter(center=english.translation_key, locale="de")
        assert published.exists() is not words


def test_a_host_page_that_the_site_does_not_allow_is_refused_in_words(editor: Client) -> None:
    topics = factories.make_topics()
    home = factories.make_site().root_page
    url = reverse("wagtailadmin_pages:add", args=["wagtail_prefs", "preferencecenterpage", home.pk])
    form = center_form([topics["news"]], host_pages="https://shop.example/account/")
    refused = editor.post(url, form)
    assert refused.status_code == 200
    assert "https://shop.example may not embed" in str(refused.context["form"].errors["host_pages"])
    factories.make_site(origins=["https://shop.example"])
    assert editor.post(url, form).status_code == 302


def test_allowed_origins_have_their_own_screen_and_are_checked(editor: Client) -> None:
    site = factories.make_site()
    url = reverse("wagtailsettings:edit", args=["wagtail_prefs", "embedsettings", site.pk])
    assert editor.get(url).status_code == 200
    refused = editor.post(url, {"origins": "https://*.example"})
    assert refused.status_code == 200
    assert "is not an origin" in refused.content.decode()
    assert editor.post(url, {"origins": "https://www.example\r\n"}).status_code == 302
    assert EmbedSettings.for_site(site).origin_list == ["https://www.example"]


def test_allowed_origins_need_a_permission_of_their_own(client: Client) -> None:
    from django.contrib.auth.models import Permission

    site = factories.make_site()
    user = factories.make_editor()
    user.is_superuser = False
    user.save()
    user.user_permissions.add(Permission.objects.get(codename="access_admin"))
    client.force_login(user)
    url = reverse("wagtailsettings:edit", args=["wagtail_prefs", "embedsettings", site.pk])
    assert client.post(url, {"origins": "https://evil.test"}).status_code == 302
    assert not EmbedSettings.objects.filter(origins="https://evil.test").exists()
    user.user_permissions.add(Permission.objects.get(codename="change_embedsettings"))
    client.post(url, {"origins": "https://www.example"})
    assert EmbedSettings.for_site(site).origin_list == ["https://www.example"]
