"""A manage link that is too old, or leads to a closed page, still unsubscribes, or asks for a new one - and does nothing more (TK-05)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.web.conftest import path_of, post
from wagtail_prefs.access.models import AccessRequest
from wagtail_prefs.access.services import Purpose, make_token, manage_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import unpublish
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.values import ActorType


def without_nonce(response: Any) -> str:
    nonce = response["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
    body: str = response.content.decode()
    return body.replace(nonce, "")


def aged(contact: Contact, center: PreferenceCenterPage, days: float, **more: Any) -> str:
    issued = timezone.now() - timedelta(days=days)
    token = make_token(Purpose.MANAGE, contact, center=center.translation_key, issued=issued, **more)
    return f"/prefs/l/{token}/"


def test_after_59_days_the_page_is_whole(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    assert "News" in strict.get(aged(contact, center, 59)).content.decode()


@pytest.mark.parametrize("days", [61, 400])
def test_an_old_link_shows_nothing_of_her_and_two_buttons(
    strict: Client, contact: Contact, center: PreferenceCenterPage, days: int
) -> None:
    response = strict.get(aged(contact, center, days))
    page = pages.parse(response.content.decode())
    assert response.status_code == 200
    assert "too old" in page.one("h1").words
    assert "The link in any newer mail" in page.text
    assert "News" not in page.text
    assert "@" not in page.text
    buttons = {button.words: button.get("value") for button in page.all("button")}
    assert buttons == {"Send me a new link": "new_link", "Unsubscribe from everything": "opt_out"}
    assert [element.get("type") for element in page.all("input")] == []


def test_an_old_link_with_a_host_page_stays_on_our_own(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    assert strict.get(aged(contact, center, 61, host=0)).status_code == 200


def test_its_button_unsubscribes_from_everything_once(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    path = aged(contact, center, 400)
    page = pages.parse(strict.get(path).content.decode())
    button = page.one("button", value="opt_out")
    for _again in range(3):
        response = post(strict, path, {str(button.get("name")): button.get("value")})
        page = pages.parse(response.content.decode())
        assert page.one("h1").words == "You are unsubscribed"
        assert not list(page.all("button"))
    assert load_state(contact.pk).opted_out
    record = Record.objects.get(contact_ref=contact.pk, seq=contact.version + 1)
    assert record.actor == ActorType.SUBJECT_LINK
    assert load_state(contact.pk).version == contact.version + 1


def test_it_saves_no_choices(
    strict: Client, manage: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    form: dict[str, Any] = pages.submitted(pages.parse(strict.get(manage).content.decode()))
    form[f"{factories.block_id(center, 'topics')}.choices.events.email"] = ["1"]
    response = post(strict, aged(contact, center, 61), form)
    assert response.status_code == 200
    assert load_state(contact.pk).version == contact.version


def test_its_other_button_asks_for_a_new_link_and_types_no_address(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    path = aged(contact, center, 400, host=0)
    response = post(strict, path, {"do": "new_link"})
    page = pages.parse(response.content.decode())
    assert response.status_code == 200
    assert page.one("h1").words == "Look into your mailbox"
    assert "@" not in page.text
    row = AccessRequest.objects.get()
    assert (row.kind, row.address, row.center, row.host) == (
        "link",
        contact.email,
        center.translation_key,
        0,
    )
    # Pressing it again says the same, and a second mail does not go out at once.
    again = post(strict, path, {"do": "new_link"})
    assert without_nonce(again) == without_nonce(response)
    assert AccessRequest.objects.count() == 1
    assert load_state(contact.pk).version == contact.version


def test_the_mail_will_be_in_her_language(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    Contact.objects.filter(pk=contact.pk).update(language="de")
    post(strict, aged(contact, center, 61), {"do": "new_link"})
    assert AccessRequest.objects.get().locale == "de"


def test_whoever_left_can_still_have_a_new_link(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    path = aged(contact, center, 61)
    post(strict, path, {"do": "opt_out"})
    page = pages.parse(strict.get(path).content.decode())
    assert page.one("h1").words == "You are unsubscribed"
    assert page.one("button").get("value") == "new_link"


@pytest.mark.parametrize(
    "data", [{"do": ["new_link", "opt_out"]}, {"do": "new_links"}, {"new_link": "1"}, {"x": "1"}]
)
def test_no_other_form_asks_for_one(
    strict: Client, contact: Contact, center: PreferenceCenterPage, data: dict[str, Any]
) -> None:
    assert post(strict, aged(contact, center, 61), data).status_code == 200
    assert not AccessRequest.objects.exists()
    assert not load_state(contact.pk).opted_out


def test_whoever_has_no_address_is_promised_no_mail(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    Contact.objects.filter(pk=contact.pk).update(email="")
    path = aged(contact, center, 61)
    assert pages.parse(strict.get(path).content.decode()).one("button").get("value") == "opt_out"
    assert "mailbox" not in post(strict, path, {"do": "new_link"}).content.decode()
    assert not AccessRequest.objects.exists()


def test_a_link_that_is_not_old_asks_for_none(strict: Client, manage: str) -> None:
    post(strict, manage, {"do": "new_link"})
    assert not AccessRequest.objects.exists()


def test_its_button_is_refused_from_another_website(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    response = post(strict, aged(contact, center, 61), {"do": "opt_out"}, **{"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert not load_state(contact.pk).opted_out
    response = post(strict, aged(contact, center, 61), {"do": "new_link"}, **{"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert not AccessRequest.objects.exists()


def test_the_link_of_a_closed_center_is_404_and_still_unsubscribes(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    path = path_of(manage_url(contact, center.translation_key))
    unpublish(center)
    response = strict.get(path)
    assert response.status_code == 404
    assert "closed" in pages.parse(response.content.decode()).one("h1").words
    assert "new_link" not in response.content.decode()
    assert post(strict, path, {"do": "new_link"}).status_code == 200
    assert not AccessRequest.objects.exists()
    assert post(strict, path, {"do": "opt_out"}).status_code == 200
    assert load_state(contact.pk).opted_out
