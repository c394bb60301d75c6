"""The manage page: drawn for one contact, saved by a plain form, told in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client, override_settings

from tests import factories, pages
from tests.web.conftest import choose, path_of, post
from wagtail_prefs.access.services import manage_url, redeem_code
from wagtail_prefs.centers import embed
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, ActorType

Send = Callable[..., Any]


def box(center: PreferenceCenterPage, topic: str, channel: str = "email") -> str:
    return f"{factories.block_id(center, 'topics')}.choices.{topic}.{channel}"


def page_of(response: Any) -> pages.Element:
    return pages.parse(response.content.decode())


def follow(client: Client, response: Any) -> Any:
    assert response.status_code == 303, response.content
    return client.get(response["Location"])


def test_the_page_shows_her_choices_and_ticks_nothing_else(
    strict: Client, manage: str, center: PreferenceCenterPage
) -> None:
    page = page_of(strict.get(manage))
    ticked = [element.get("id") for element in page.all("input", type="checkbox") if "checked" in element]
    assert ticked == [box(center, "news")]
    often = page.one("select", id=f"{factories.block_id(center, 'frequency')}.frequency.all")
    assert [option.get("value") for option in often.all("option") if "selected" in option] == ["weekly"]
    assert page.one("h1").words == "Your choices"


def test_no_query_and_no_header_ticks_a_box(
    strict: Client, manage: str, center: PreferenceCenterPage
) -> None:
    name = box(center, "offers")
    response = strict.get(
        manage, {name: "1", f"was.{name}": "0", "base_version": "0"}, headers={"Sec-GPC": "1"}
    )
    assert "checked" not in page_of(response).one("input", id=name)


def test_what_always_comes_cannot_be_changed_here(
    strict: Client, manage: str, center: PreferenceCenterPage
) -> None:
    page = page_of(strict.get(manage))
    row = box(center, "orders").removesuffix(".email")
    assert page.one("span", id=f"{row}.name").words == "Your orders"
    assert "Always sent" in page.one("div", id=f"{row}.notes").words
    # No box that could be pressed, and none that looks like a choice.
    boxes = [str(element.get("id")) for element in page.all("input", type="checkbox")]
    assert not [
        name for name in boxes if name.startswith(row) and "disabled" not in page.one("input", id=name)
    ]
    assert not [name for name in boxes if name.startswith(row) and "checked" in page.one("input", id=name)]


def test_a_change_is_saved_and_told_after_a_redirect(
    send: Send, strict: Client, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    response = send(manage, {box(center, "news"): None, box(center, "events"): "1"})
    page = page_of(follow(strict, response))
    told = page.one("div", id="saved")
    assert told.get("role") == "status"
    assert "autofocus" in told
    assert "News by e-mail: unsubscribed" in told.words
    assert "Events by e-mail: subscribed" in told.words
    assert page.one("title").words.startswith("Your choices are saved.")
    state = load_state(contact.pk)
    assert state.choices[("news", "email")] == UNSUBSCRIBED
    assert state.choices[("events", "email")] == SUBSCRIBED
    assert state.choices[("offers", "email")] == UNSUBSCRIBED  # drawn, not touched
    assert ("news", "sms") not in state.choices  # never asked, and still not


def test_the_record_says_who_how_and_on_what(
    send: Send, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    receipt = parse_qs(urlsplit(send(manage, {box(center, "events"): "1"})["Location"]).query)["saved"][0]
    record = Record.objects.get(pk=receipt)
    body = read_body(record)
    assert (record.contact_ref, record.actor) == (contact.pk, ActorType.SUBJECT_LINK)
    assert body["method"] == "page"
    assert body["form_id"] == str(center.translation_key)
    assert body["language"] == "en"
    assert body["source_url"] == center.full_url
    assert body["base_version"] == contact.version


def test_saving_nothing_records_nothing_and_says_so(
    send: Send, strict: Client, manage: str, contact: Contact
) -> None:
    response = send(manage)
    assert "Nothing has changed" in page_of(follow(strict, response)).one("div", id="saved").words
    assert load_state(contact.pk).version == contact.version


def test_one_press_unsubscribes_from_everything_and_ignores_the_draft(
    send: Send, strict: Client, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    button = f"{factories.block_id(center, 'unsubscribe_all')}.opt_out"
    page = page_of(follow(strict, send(manage, {"do": button, box(center, "events"): "1"})))
    state = load_state(contact.pk)
    assert state.opted_out
    assert ("events", "email") not in state.choices
    # The button is gone, the way back is there.
    values = [element.get("value") for element in page.all("button", name="do")]
    undo, *others = values  # what was pressed just now can be taken back where it is told
    assert str(undo).startswith("undo.")
    assert others == [button.replace("opt_out", "opt_in")]


def test_an_old_tab_is_merged_and_told_what_stands_instead(
    send: Send, strict: Client, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    old = pages.submitted(page_of(strict.get(manage)))
    choose(contact, OptOut())
    response = follow(strict, post(strict, manage, {**old, box(center, "events"): "1"}))
    told = page_of(response).one("div", id="saved").words
    assert "because you unsubscribed from everything in the meantime" in told
    assert "Nothing has changed" in told
    state = load_state(contact.pk)
    assert state.opted_out
    assert state.choices["events", "email"] == UNSUBSCRIBED


def test_what_was_merged_is_told_beside_what_was_saved(
    strict: Client, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    old = pages.submitted(page_of(strict.get(manage)))
    choose(contact, SetChoice("events", "email", UNSUBSCRIBED))
    changed = {box(center, "events"): "1", box(center, "news", "sms"): "1"}
    told = page_of(follow(strict, post(strict, manage, {**old, **changed}))).one("div", id="saved").words
    assert "News by text message: subscribed" in told
    assert "Something was changed in the meantime" in told
    assert "Events by e-mail: changed elsewhere in the meantime; “unsubscribed” stays." in told


def test_the_same_form_twice_is_one_save(
    strict: Client, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    form = {**pages.submitted(page_of(strict.get(manage))), box(center, "events"): "1"}
    answers = [post(strict, manage, form) for _again in range(3)]
    assert {response["Location"] for response in answers} == {answers[0]["Location"]}
    assert load_state(contact.pk).version == contact.version + 1


def test_the_form_from_before_sent_again_with_other_answers_is_another_save(
    strict: Client, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    form = pages.submitted(page_of(strict.get(manage)))
    first = post(strict, manage, {**form, box(center, "events"): "1"})
    second = post(strict, manage, {**form, box(center, "news", "sms"): "1"})
    assert first["Location"] != second["Location"]
    assert load_state(contact.pk).version == contact.version + 2


def test_a_page_from_before_the_editor_published_again_is_still_taken(
    strict: Client, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    form = {**pages.submitted(page_of(strict.get(manage))), box(center, "events"): "1"}
    center.title = "Other words"
    center.save_revision().publish()
    response = follow(strict, post(strict, manage, form))
    assert page_of(response).one("h1").words == "Other words"
    assert load_state(contact.pk).choices[("events", "email")] == SUBSCRIBED


def test_a_receipt_of_somebody_else_tells_nothing(
    send: Send, strict: Client, manage: str, center: PreferenceCenterPage, contact: Contact
) -> None:
    other = factories.make_contact("other@mail.example.org")
    choose(other, SetChoice("news", "sms", SUBSCRIBED))
    foreign = Record.objects.get(contact_ref=other.pk).pk
    for receipt in (foreign, "nonsense", "", "00000000-0000-0000-0000-000000000000"):
        page = page_of(strict.get(manage, {"saved": str(receipt)}))
        assert not list(page.all("div", id="saved"))


# --- languages -------------------------------------------------------------------------------------------------------


@pytest.fixture
def german(center: PreferenceCenterPage) -> PreferenceCenterPage:
    return factories.make_center(locale="de", translation_of=center, title="Ihre Post")


@pytest.mark.parametrize(
    ("language", "query", "accept", "expected"),
    [
        ("", {}, "", "en"),
        ("", {}, "de-AT,de;q=0.9", "de"),
        ("de", {}, "en", "de"),
        ("de", {"locale": "en"}, "de", "en"),
        ("de", {"locale": "xx"}, "", "en"),
        ("", {"locale": "d" * 300}, "de", "de"),
    ],
)
def test_the_page_speaks_her_language(
    strict: Client,
    manage: str,
    contact: Contact,
    german: PreferenceCenterPage,
    language: str,
    query: dict[str, str],
    accept: str,
    expected: str,
) -> None:
    Contact.objects.filter(pk=contact.pk).update(language=language)
    response = strict.get(manage, query, headers={"Accept-Language": accept})
    page = page_of(response)
    assert page.one("html").get("lang") == expected
    assert response["Content-Language"] == expected
    assert page.one("h1").words == {"en": "Your choices", "de": "Ihre Post"}[expected]


def test_the_german_page_is_german_through_and_through(
    strict: Client, send: Send, manage: str, contact: Contact, german: PreferenceCenterPage
) -> None:
    page = page_of(strict.get(f"{manage}?locale=de"))
    assert page.one("button", class_="pc-button pc-primary").words == "Auswahl speichern"
    assert "Neues" in page.text
    name = box(german, "events")
    response = send(f"{manage}?locale=de", {name: "1"})
    assert response["Location"].startswith(f"{manage}?locale=de&saved=")
    saved = page_of(strict.get(response["Location"]))
    assert saved.one("html").get("lang") == "de"
    assert "Termine per E-Mail: angemeldet" in saved.one("div", id="saved").words


def test_a_page_from_right_to_left(strict: Client, manage: str, center: PreferenceCenterPage) -> None:
    factories.make_center(locale="ar", translation_of=center, title="اختياراتك")
    page = page_of(strict.get(manage, {"locale": "ar"}))
    assert (page.one("html").get("lang"), page.one("html").get("dir")) == ("ar", "rtl")


# --- the way to a host page ------------------------------------------------------------------------------------------

SHOP = "https://shop.example"


@pytest.fixture
def hosted(db: None) -> PreferenceCenterPage:
    site = factories.make_site(origins=[SHOP])
    return factories.make_center(site=site, host_pages=f"{SHOP}/mail?from=us\n{SHOP}/other")


def test_a_link_with_a_host_leads_there_with_a_code_for_that_origin_only(
    strict: Client, hosted: PreferenceCenterPage
) -> None:
    contact = factories.make_contact()
    path = path_of(manage_url(contact, hosted.translation_key, host=0))
    response = strict.get(path)
    assert response.status_code == 302
    place, _hash, fragment = response["Location"].partition("#")
    assert place == f"{SHOP}/mail?from=us"
    assert "v1." not in response["Location"]
    _bearer, session = redeem_code(fragment.removeprefix("pc="), center=hosted.translation_key, origin=SHOP)
    assert session.link_id == contact.link_id


def test_a_host_page_that_was_taken_away_becomes_the_own_page(
    strict: Client, hosted: PreferenceCenterPage
) -> None:
    path = path_of(manage_url(factories.make_contact(), hosted.translation_key, host=7))
    assert page_of(strict.get(path)).one("form")


def test_a_host_page_whose_origin_is_not_allowed_any_more_becomes_the_own_page(
    strict: Client, hosted: PreferenceCenterPage
) -> None:
    from wagtail_prefs.centers.embedding import EmbedSettings
    from wagtail_prefs.centers.services import publish

    EmbedSettings.objects.update(origins="https://elsewhere.example")
    publish(hosted)
    path = path_of(manage_url(factories.make_contact(), hosted.translation_key, host=0))
    assert strict.get(path).status_code == 200


# --- cost ------------------------------------------------------------------------------------------------------------


@override_settings(
    WAGTAIL_PREFS={"SIGNING_KEYS": [{"kid": "t1", "key": "k" * 40}], "CENTER_CACHE_SECONDS": 3600}
)
@pytest.mark.parametrize("topics", [3, 60])
def test_a_page_costs_two_statements_and_a_save_seven_however_long_it_is(
    strict: Client, statements: Callable[[], Any], topics: int, db: None
) -> None:
    from wagtail_prefs.topics.models import Topic

    audience = factories.make_audience()
    made = [
        Topic.objects.create(audience=audience, key=f"topic-{number}", channels=["email", "sms"])
        for number in range(topics)
    ]
    center = factories.make_center([factories.topics_block(made)])
    contact = factories.make_contact()
    manage = path_of(manage_url(contact, center.translation_key))
    form = pages.submitted(page_of(strict.get(manage)))
    with statements() as drawn:
        strict.get(manage)
    assert len(drawn) == 2  # the link's contact, her state
    form[box(center, "topic-1")] = ["1"]
    with statements() as saved:
        response = post(strict, manage, form)
    assert len(saved) <= 1 + 6  # the link's contact, the save
    with statements() as told:
        strict.get(response["Location"])
    assert len(told) == 3  # and her record


# --- where the blocks show no way out --------------------------------------------------------------------------------


def ways_out(page: pages.Element) -> list[str]:
    return [
        str(one.get("value"))
        for one in page.all("button", name="do")
        if one.words == "Unsubscribe from everything"
    ]


def bare_page(contact: Contact, *blocks: Any) -> str:
    """Her page on a center of these blocks alone, published past the checks."""
    return path_of(manage_url(contact, factories.make_center(list(blocks), title="Bare").translation_key))


@pytest.mark.parametrize("hostile", ["no block", "no block with a way out", "hidden from her"])
def test_whoever_gets_messages_can_end_them_by_one_press(
    send: Send,
    strict: Client,
    manage: str,
    contact: Contact,
    hostile: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """security.md LW-03, against editors as well."""
    (script := tmp_path / "preference-center.js").write_bytes(b"export {};")
    monkeypatch.setattr(embed, "SCRIPT", script)
    assert list(page_of(strict.get(manage)).all("script"))
    topics, *_others = factories.all_blocks()
    (leave,) = [one for one in factories.all_blocks() if one["type"] == "unsubscribe_all"]
    only = [{"type": "country", "value": {"rule": "in", "values": "CL"}, "id": "only"}]
    hidden = {**leave, "value": {**leave["value"], "conditions": only}}
    blocks = {"no block": [], "no block with a way out": [topics], "hidden from her": [topics, hidden]}
    path = bare_page(contact, *blocks[hostile])
    drawn = page_of(strict.get(path))
    assert ways_out(drawn) == ["opt_out"]
    assert ("There is nothing to choose on this page" in drawn.words) is (hostile == "no block")
    # The element would draw the blocks only.
    assert not list(drawn.all("script"))
    page = page_of(follow(strict, send(path, {"do": "opt_out"})))
    assert "You are unsubscribed from everything" in page.one("div", id="saved").words
    assert load_state(contact.pk).opted_out
    assert ways_out(page) == []
    body = read_body(Record.objects.latest("seq"))
    assert (body["actor"]["type"], body["method"]) == ("subject-link", "page")
    # Once is enough, and the way back stands where it is told.
    again = page_of(follow(strict, send(path, {"do": "opt_out"})))
    assert "Nothing has changed" in again.one("div", id="saved").words
    (undo,) = [one.get("value") for one in page.one("div", id="saved").all("button", name="do")]
    assert not list(again.one("div", id="saved").all("button"))
    page_of(follow(strict, send(path, {"do": str(undo)})))
    assert not load_state(contact.pk).opted_out


def test_a_page_with_a_way_out_has_no_second_one(strict: Client, manage: str) -> None:
    (out,) = ways_out(page_of(strict.get(manage)))
    assert out.endswith(".opt_out")
