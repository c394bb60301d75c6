"""What was recorded, on the page without JavaScript, and taking it back with a button."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.web.conftest import choose, path_of, post
from wagtail_prefs.access.services import manage_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import OptOut, SetAttribute, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    history = factories.block("history", {"heading": "Your history", "text": "", "entries": 3}, "past")
    return factories.make_center([*factories.all_blocks(), history])


def entries(client: Client, path: str) -> list[pages.Element]:
    page = pages.parse(client.get(path).content.decode())
    return list(page.one("ol", **{"class": "pc-records"}).all("li"))


def button(entry: pages.Element) -> str:
    return str(entry.one("button", name="do").get("value"))


def press(client: Client, path: str, value: str) -> Any:
    data = pages.submitted(pages.parse(client.get(path).content.decode()))
    return post(client, path, {**data, "do": [value]})


def page_after(client: Client, response: Any) -> pages.Element:
    assert response.status_code == 303
    return pages.parse(client.get(response["Location"]).content.decode())


def choices(contact: Contact) -> Any:
    return load_state(contact.pk).choices


def test_the_newest_entries_are_told_in_words(strict: Client, manage: str, contact: Contact) -> None:
    for number in range(4):
        choose(contact, SetChoice("offers", "sms", SUBSCRIBED if number % 2 else UNSUBSCRIBED))
    found = entries(strict, manage)
    assert len(found) == 3
    assert "By you, on this page" in found[0].words
    assert "Offers by text message: subscribed" in found[0].words
    assert found[0].one("time").get("datetime")


def test_no_entry_tells_what_is_personal(strict: Client, manage: str, contact: Contact) -> None:
    choose(contact, SetAttribute("phone", "+4915112345678"))
    assert "4915112345678" not in strict.get(manage).content.decode()
    assert "An answer of yours was changed." in entries(strict, manage)[0].words


def test_taking_back_is_a_save_like_any_other(strict: Client, manage: str, contact: Contact) -> None:
    choose(contact, SetChoice("news", "email", UNSUBSCRIBED))
    response = press(strict, manage, button(entries(strict, manage)[0]))
    assert "News by e-mail: subscribed" in page_after(strict, response).words
    assert choices(contact)[("news", "email")] == SUBSCRIBED
    # And can itself be taken back.
    page_after(strict, press(strict, manage, button(entries(strict, manage)[0])))
    assert choices(contact)[("news", "email")] == UNSUBSCRIBED


def test_what_stays_is_said_in_words(strict: Client, manage: str, contact: Contact) -> None:
    choose(contact, SetChoice("news", "email", UNSUBSCRIBED), SetChoice("offers", "sms", SUBSCRIBED))
    taken = button(entries(strict, manage)[0])
    choose(contact, SetChoice("offers", "sms", UNSUBSCRIBED))
    page = page_after(strict, press(strict, manage, taken))
    assert "News by e-mail: subscribed" in page.words
    assert "Offers by text message: " in page.words
    assert choices(contact)[("offers", "sms")] == UNSUBSCRIBED


def test_where_nothing_can_be_restored_the_page_says_why(
    strict: Client, manage: str, contact: Contact
) -> None:
    choose(contact, SetChoice("offers", "sms", SUBSCRIBED))
    taken = button(entries(strict, manage)[0])
    choose(contact, OptOut())
    records = Record.objects.count()
    response = press(strict, manage, taken)
    assert response.status_code == 200
    assert "Offers by text message" in pages.parse(response.content.decode()).words
    assert Record.objects.count() == records


def test_pressing_twice_is_one_undo(strict: Client, manage: str, contact: Contact) -> None:
    choose(contact, SetChoice("news", "email", UNSUBSCRIBED))
    value = button(entries(strict, manage)[0])
    data = pages.submitted(pages.parse(strict.get(manage).content.decode()))
    places = {post(strict, manage, {**data, "do": [value]})["Location"] for _ in range(2)}
    assert len(places) == 1


def test_the_receipt_of_somebody_else_takes_nothing_back(
    strict: Client, manage: str, contact: Contact
) -> None:
    other = factories.make_contact("other@mail.example.org")
    choose(other, SetChoice("news", "email", SUBSCRIBED))
    theirs = Record.objects.get(contact_ref=other.pk).pk
    for receipt in (theirs, uuid.uuid4()):
        response = press(strict, manage, f"past.history.{receipt}")
        assert response.status_code == 422
        assert "This can no longer be taken back." in pages.parse(response.content.decode()).words
    assert choices(other) == {("news", "email"): SUBSCRIBED}


@pytest.mark.parametrize(
    "value",
    [
        "past.history.",
        "past.history.x",
        "past.history",
        "past.other.00000000-0000-4000-8000-000000000000",
        "gone.history.00000000-0000-4000-8000-000000000000",
        "00000000-0000-4000-8000-000000000000",
        "past.history.00000000-0000-4000-8000-00000000000\n",
    ],
)
def test_a_button_that_is_not_there_does_nothing(
    strict: Client, manage: str, contact: Contact, value: str
) -> None:
    records = Record.objects.count()
    response = press(strict, manage, value)
    assert response.status_code == 422
    assert Record.objects.count() == records


def test_what_was_being_edited_is_not_sent_with_it(strict: Client, manage: str, contact: Contact) -> None:
    choose(contact, SetChoice("news", "email", UNSUBSCRIBED))
    data = pages.submitted(pages.parse(strict.get(manage).content.decode()))
    name = next(name.removeprefix("was.") for name in data if name.endswith("offers.sms"))
    value = button(entries(strict, manage)[0])
    post(strict, manage, {**data, name: ["1"], "do": [value]})
    assert ("offers", "sms") not in choices(contact)


def test_an_entry_that_is_too_old_has_no_button(
    strict: Client, manage: str, contact: Contact, settings: Any
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "UNDO_DAYS": 0}
    assert not list(entries(strict, manage)[0].all("button"))


def test_without_a_link_there_is_no_record_on_the_page(
    strict: Client, center: PreferenceCenterPage, contact: Contact
) -> None:
    page = pages.parse(strict.get(center.get_url()).content.decode())
    assert not list(page.all("ol", **{"class": "pc-records"}))


def test_looking_back_costs_one_statement(
    strict: Client, manage: str, statements: Callable[[], Any], contact: Contact, settings: Any
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 60}  # on a busy machine, too
    strict.get(manage)
    plain = path_of(manage_url(contact, factories.make_center().translation_key))
    strict.get(plain)
    with statements() as without:
        strict.get(plain)
    with statements() as with_it:
        strict.get(manage)
    assert len(with_it) == len(without) + 1


# --- where it is told what a save did --------------------------------------------------------------------------------


@pytest.fixture
def bare(contact: Contact) -> str:
    """The path of her page on a center that shows no history."""
    return path_of(manage_url(contact, factories.make_center(title="No history").translation_key))


def take_back(page: pages.Element) -> str:
    """The button in the message of a save, "" where there is none."""
    found = list(page.one("div", id="saved").all("button", name="do"))
    assert [one.words for one in found] in ([], ["Take this back"])
    return str(found[0].get("value")) if found else ""


def test_out_in_one_press_and_back_in_one_press(strict: Client, bare: str, contact: Contact) -> None:
    before = choices(contact)
    page = pages.parse(strict.get(bare).content.decode())
    (leave,) = [one for one in page.all("button", name="do") if one.words == "Unsubscribe from everything"]
    gone = page_after(strict, press(strict, bare, str(leave.get("value"))))
    assert load_state(contact.pk).opted_out
    back = page_after(strict, press(strict, bare, take_back(gone)))
    assert "You are no longer unsubscribed from everything" in back.one("div", id="saved").words
    assert not load_state(contact.pk).opted_out
    assert choices(contact) == before
    # And an undo is a save like any other.
    page_after(strict, press(strict, bare, take_back(back)))
    assert load_state(contact.pk).opted_out


def test_a_save_that_did_nothing_offers_no_undo(strict: Client, bare: str) -> None:
    response = post(strict, bare, pages.submitted(pages.parse(strict.get(bare).content.decode())))
    assert take_back(page_after(strict, response)) == ""


def test_what_nobody_can_take_back_any_more_offers_no_button(
    strict: Client, bare: str, contact: Contact
) -> None:
    choose(contact, SetChoice("news", "email", UNSUBSCRIBED))
    told = f"{bare}?saved={Record.objects.latest('seq').pk}"
    assert take_back(pages.parse(strict.get(told).content.decode()))
    with time_machine.travel(timezone.now() + timedelta(days=30, minutes=1)):
        assert take_back(pages.parse(strict.get(told).content.decode())) == ""
    choose(contact, SetAttribute("phone", "+4915112345678"))  # personal, and she comes by an old mail
    told = f"{bare}?saved={Record.objects.latest('seq').pk}"
    assert take_back(pages.parse(strict.get(told).content.decode())) == ""


def test_the_button_of_a_message_takes_back_nothing_of_others(
    strict: Client, bare: str, contact: Contact
) -> None:
    other = factories.make_contact("other@mail.example.org")
    choose(other, SetChoice("news", "email", SUBSCRIBED))
    theirs = Record.objects.get(contact_ref=other.pk).pk
    records = Record.objects.count()
    for value in (
        f"undo.{theirs}",
        f"undo.{uuid.uuid4()}",
        "undo.",
        "undo",
        f"undo.{theirs} ",
        f"x.{theirs}",
    ):
        assert press(strict, bare, value).status_code == 422
    assert Record.objects.count() == records
    assert choices(other) == {("news", "email"): SUBSCRIBED}
