"""Editors' words are words: whatever stands in a label, it comes out as text (security.md HT-01, HT-08)."""

from __future__ import annotations

from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client
from wagtail.models import Locale

from tests import factories, pages
from tests.centers.test_form import BLOCK, control, preferences, row, snapshot
from tests.web.conftest import path_of, post
from wagtail_prefs.access.services import manage_url, one_click_url
from wagtail_prefs.centers.drawing import draw
from wagtail_prefs.topics.models import Topic, TopicGroup, TopicGroupText, TopicText

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "</title><svg/onload=alert(1)>",
    "{{ settings.SECRET_KEY }}{% load static %}",
    "%(title)s %s {email}",
    "&lt;b&gt;&amp;",
    "javascript:alert(1)",
]
TAGS = set(
    "html head meta title link body main div header h1 h2 p form section input button table caption thead tbody tr td th"
    " label span fieldset legend select option ul ol li a strong b bdi nav textarea figure img figcaption time".split()
)


def harmless(text: str) -> pages.Element:
    """The page, which holds our own tags and attributes and nothing else."""
    page = pages.parse(text)
    for element in page.all():
        if element.tag == "script":  # the one of ours, and with nothing in it
            assert element.get("src") == "/static/wagtail_prefs/own-page.js"
            assert element.get("nonce") and not element.text
            continue
        assert element.tag in TAGS - {"svg"}, element.tag
        assert not [name for name in element.attributes if name.startswith("on")]
        assert not (element.get("src") or "").startswith("x")
        assert not (element.get("href") or "").startswith("javascript")
    return page


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_in_a_center_come_out_as_text(strict: Client, db: None, words: str) -> None:
    audience = factories.make_audience()
    english = Locale.objects.get(language_code="en")
    group = TopicGroup.objects.create(audience=audience, key="group")
    TopicGroupText.objects.create(group=group, locale=english, label=words)
    topics = []
    for key in ("one", "two"):
        topic = Topic.objects.create(
            audience=audience, key=key, group=group, channels=["email"], transactional=key == "two"
        )
        TopicText.objects.create(
            topic=topic, locale=english, label=f"{key} {words}", text=words, cadence=words
        )
        topics.append(topic)
    center = factories.make_center(
        [
            factories.topics_block(topics, heading=words, text=words),
            factories.privacy_block(heading=words, content=words),
            factories.unsubscribe_all_block(heading=words, button=words[:80]),
        ],
        title=words,
    )
    contact = factories.make_contact()
    manage = path_of(manage_url(contact, center.translation_key))
    first = strict.get(manage)
    page = harmless(first.content.decode())
    assert page.one("h1").text == words
    assert page.one("title").words == " ".join(words.split())
    name = f"{factories.block_id(center, 'topics')}.choices.one"
    assert page.one("span", id=f"{name}.name").text == f"one {words}"

    form: dict[str, Any] = {**pages.submitted(page), f"{name}.email": ["1"]}
    told = harmless(strict.get(post(strict, manage, form)["Location"]).content.decode())
    assert f"one {words} by e-mail: subscribed" in told.one("div", id="saved").text
    refused = post(strict, manage, {**form, words: words, f"{name}.{words}": words, "base_version": words})
    harmless(refused.content.decode())

    unsubscribe = path_of(one_click_url(contact, "one", "email", center.translation_key))
    assert f"one {words} by e-mail" in harmless(strict.get(unsubscribe).content.decode()).one("h1").text
    harmless(strict.get(f"{manage}?locale={words}&saved={words}").content.decode())
    harmless(strict.get(center.url).content.decode().replace("<!doctype html>", ""))


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_in_every_control_come_out_as_text(words: str) -> None:
    common = {"label": words, "help": words, "required": True}
    options = [{"key": "one", "label": words, "help": words}]
    media = {"src": f"/media/{words}", "alt": words, "width": 1000, "height": 1000}
    every = [
        control("toggle", "a", **common),
        control("one_of", "b", options=options, **common),
        control("many_of", "c", options=options, **common),
        control("select", "d", options=options, **common),
        control("scale", "e", constraints={"min": 1, "max": 3}, min_label=words, max_label=words, **common),
        control("text", "f", format="plain", constraints={"max_length": 2000}, **common),
        control("text", "g", format="long", **common),
        control("text", "h", format=words, personal=True, **common),
        control("date", "i", constraints={"min": words, "max": words}, **common),
        control("action", "j", style=words, do={"answers": {}}, **common),
        control("action", "k", style="primary", do="erase", **common),
        control(
            "rich_text", "l", content=[words, ["p", {"class": words}, words], ["a", {"href": words}, words]]
        ),
        control(
            "links", "m", items=[{"label": words, "href": words}, {"label": words, "href": "//evil.example"}]
        ),
        control("image", "n", **{**common, "media": media}),
        control("records", "o", **common),
        control("hologram", "p", **common),
        control(
            "matrix",
            "q",
            cell="toggle",
            single=False,
            rows=[row("one", **{**common, "group": words, "locked": words, "media": media})],
            columns=options,
            **common,
        ),
        control(
            "matrix", "r", cell="one_of", single=True, rows=[row("one", **common)], columns=options, **common
        ),
    ]
    where = snapshot((BLOCK, every))
    where.document["labels"].update(
        dict.fromkeys(("pending", "locked", "required", "own_page", "not_chosen"), words)
    )
    answers = {"f": words, "g": words, "h": words, "i": words, "d": "one", "b": "one", "c": ["one"], "e": 2}
    records = [{"title": words, "when": "2026-11-22T08:00:00Z", "lines": [words], "actions": []}]
    seen = preferences(
        {BLOCK: answers},
        contact={"email": words},
        records={BLOCK: records},
        pending=[f"{BLOCK}.a", f"{BLOCK}.q.one.one"],
        outlook=[{"text": words, "kind": "topics"}],
    )
    errors = {BLOCK: {name: [words] for name in "abcdefghi"}, words: {words: [words]}}
    for form in (draw(where.document, seen, errors=errors), draw(where.document, None)):
        page = pages.parse(render_to_string("wagtail_prefs/center.html", {"form": form, "action": words}))
        for element in page.all():
            assert element.tag in TAGS
            assert not [name for name in element.attributes if name.startswith("on")]
            assert not (element.get("href") or "").startswith(("javascript", "//", "data"))


def test_a_control_of_a_newer_server_is_told_and_linked() -> None:
    where = snapshot((BLOCK, [control("hologram", "p", label="Shape", help="Turn it.")]))
    page = pages.center(draw(where.document, preferences({})))
    section = page.one("section")
    assert "Shape Turn it. Own page" in section.words
    assert section.one("a").get("href") == where.document["page_url"]


def test_a_button_that_this_page_cannot_serve_is_not_drawn() -> None:
    where = snapshot(
        (BLOCK, [control("action", "call_me", style="danger", do="call_me"), control("toggle", "a")])
    )
    page = pages.center(draw(where.document, preferences({})))
    assert not list(page.all("button", name="do"))


def test_the_enter_key_presses_save_and_no_action() -> None:
    where = snapshot(
        (
            BLOCK,
            [
                control("action", "leave", style="danger", do={"answers": {"out": True}}),
                control("text", "name"),
            ],
        )
    )
    first = next(pages.center(draw(where.document, preferences({}))).all("button"))
    assert first.get("name") is None
    assert (first.get("tabindex"), first.get("aria-hidden")) == ("-1", "true")
