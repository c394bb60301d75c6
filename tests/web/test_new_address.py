"""`c/{token}/` of a new address: one press moves her there, and what the old mailbox holds opens nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.blocks.asking import asking
from tests.web.conftest import choose, path_of, post
from tests.web.test_fresh import SHOP, bearer, form_of, issued, look
from wagtail_prefs.access import services as access
from wagtail_prefs.access.models import OneTimeLink
from wagtail_prefs.access.services import Purpose, manage_url, one_click_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

NEW = "zoe@else.example.org"
PRESS = {"do": ""}
STAFF = Actor(ActorType.ADMIN, "staff")


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    site = factories.make_site(origins=[SHOP])
    return factories.make_center(asking(), site=site, host_pages=f"{SHOP}/mail")


@pytest.fixture
def contact(center: PreferenceCenterPage) -> Contact:
    contact = factories.make_contact()
    choose(contact, SetChoice("news", "email", SUBSCRIBED))
    return Contact.objects.get(pk=contact.pk)


@pytest.fixture
def moving(contact: Contact, center: PreferenceCenterPage) -> str:
    """The path of the link that was mailed to her new address."""
    key = center.translation_key
    return path_of(access.issue(Purpose.CHANGE_ADDRESS, contact, center=key, address=NEW))


def stored(contact: Contact) -> str:
    return Contact.objects.get(pk=contact.pk).email


def test_from_her_page_to_her_new_address(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    """Everything as she does it: a fresh link, the form, the mail to the new address, the press there."""
    action, data = form_of(post(strict, issued(contact, center), {"do": "open"}))
    response = post(strict, action, {**data, "profile.email": NEW})
    assert response.status_code == 200
    page = look(response)
    assert "It counts once you have confirmed it there" in page.one("div", id="saved").words
    assert page.one("input", id="profile.email").get("value") == ""
    assert stored(contact) == contact.email
    path = urlsplit(Mail.objects.get(kind="change_address").context["url"]).path
    done = look(post(strict, path, PRESS))
    assert stored(contact) == NEW
    assert "z***@e***.org" in done.text
    link = next(done.all("a"))
    assert "checked" in look(strict.get(path_of(str(link.get("href"))))).one(
        "input", id="topics.choices.news.email"
    )


def test_looking_changes_nothing(strict: Client, moving: str, contact: Contact) -> None:
    for _time in range(100):
        response = strict.get(moving)
        assert response.status_code == 200
    strict.head(moving)
    strict.options(moving)
    page = look(response)
    assert page.one("h1").words == "Is this your address?"
    assert "z***@e***.org" in page.text
    assert NEW not in response.content.decode() and contact.email not in response.content.decode()
    assert response["Cache-Control"] == "no-store, private"
    assert stored(contact) == contact.email
    assert OneTimeLink.objects.get().used_at is None


def test_one_press_moves_her_and_is_recorded_as_her_own_act(
    strict: Client, moving: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    response = post(strict, moving, PRESS)
    page = look(response)
    assert page.one("h1").words == "Your new address counts"
    assert page.one("div", role="status")
    assert stored(contact) == NEW
    body = read_body(Record.objects.latest("seq"))
    assert (body["actor"]["type"], body["method"]) == ("subject-link", "page")
    assert body["form_id"] == str(center.translation_key)
    assert NEW not in str(body) and contact.email not in str(body)
    notice = Mail.objects.get()
    assert (notice.kind, notice.to) == ("address_changed", contact.email)
    assert NEW not in str(notice.context)
    # Pressed again, the link is none: it was made before she moved.
    again = post(strict, moving, PRESS)
    assert (again.status_code, look(again).one("h1").words) == (404, "This link does not work")
    assert Record.objects.count() == 2


def test_nothing_of_before_opens_anything_but_the_way_out(
    strict: Client, moving: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    """CVE-2026-34828: elsewhere, sessions and links lived on after the address had changed."""
    key = center.translation_key
    twin = factories.make_contact("twin@mail.example.org")
    old_links = [
        path_of(manage_url(contact, key)),
        path_of(manage_url(contact, key, host=0)),
        path_of(manage_url(twin, key)),
        issued(contact, center),
        path_of(access.issue(Purpose.CONFIRM, contact, center=key)),
        path_of(access.issue(Purpose.CHANGE_ADDRESS, contact, center=key, address="other@else.example.org")),
    ]
    out = path_of(one_click_url(contact, "news", "email", key))
    link = access.open_link(access.make_token(Purpose.MANAGE, contact, center=key), Purpose.MANAGE)
    code = access.make_code(link, key, SHOP)
    bearers = {
        "http://localhost": bearer(contact, center),
        SHOP: access.start_session(link, key, SHOP, assurance="link"),
    }
    submissions.merge_contacts(twin.pk, contact.pk, actor=STAFF, source=Source(method="admin"))
    api = f"/prefs/api/v1/centers/{key}"
    json = "application/json"
    for origin, session in bearers.items():
        headers = {"Origin": origin, "Authorization": f"Bearer {session}"}
        assert strict.get(f"{api}/preferences/", headers=headers).status_code == 200
    assert strict.get(old_links[2]).status_code == 200

    assert post(strict, moving, PRESS).status_code == 200

    for path in (*old_links, moving):
        for response in (strict.get(path), post(strict, path, {"do": "open"})):
            assert response.status_code == 404, path
    for origin, session in bearers.items():
        headers = {"Origin": origin, "Authorization": f"Bearer {session}", "Idempotency-Key": "late"}
        for response in (
            strict.get(f"{api}/preferences/", headers=headers),
            strict.get(f"{api}/preferences/history/", headers=headers),
            strict.post(f"{api}/preferences/step-up/", "{}", content_type=json, headers=headers),
            strict.post(f"{api}/sessions/", "{}", content_type=json, headers=headers),
        ):
            assert response.status_code == 401
    late = strict.post(f"{api}/sessions/", {"code": code}, content_type=json, headers={"Origin": SHOP})
    assert late.status_code == 401
    # A form that stood open.
    data = {"session": bearers["http://localhost"], "base_version": "1"}
    assert post(strict, old_links[0], data).status_code == 404
    # The way out of an old mail stays open.
    assert post(strict, out, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert load_state(contact.pk).choices["news", "email"] == UNSUBSCRIBED


def test_an_address_of_somebody_else_changes_nothing_and_tells_nothing_more(
    strict: Client, moving: str, contact: Contact
) -> None:
    factories.make_contact(NEW)
    response = post(strict, moving, PRESS)
    page = look(response)
    assert response.status_code == 422
    assert page.one("h1").words == "This address cannot be used for this"
    assert not list(page.all("a", "button"))
    assert stored(contact) == contact.email
    assert not Mail.objects.exists()
    assert strict.get(moving).status_code == 200  # it can be tried again, should the other one be gone


def test_a_day_later_it_is_too_late(strict: Client, moving: str, contact: Contact) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1), tick=False):
        for response in (strict.get(moving), post(strict, moving, PRESS)):
            assert look(response).one("h1").words == "This link is too old"
            assert not list(look(response).all("button"))
    assert stored(contact) == contact.email


def test_another_website_cannot_press(strict: Client, moving: str, contact: Contact) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert post(strict, moving, PRESS, **headers).status_code == 403
    assert stored(contact) == contact.email


def test_it_works_without_the_center_it_was_asked_on(
    strict: Client,
    moving: str,
    contact: Contact,
    center: PreferenceCenterPage,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        center.unpublish()
    assert strict.get(moving).status_code == 200
    page = look(post(strict, moving, PRESS))
    assert page.one("h1").words == "Your new address counts"
    assert not list(page.all("a"))
    assert stored(contact) == NEW


def test_an_erased_contact_has_no_such_link(strict: Client, moving: str, contact: Contact) -> None:
    submissions.erase(contact.pk, actor=STAFF, source=Source(method="admin"))
    assert strict.get(moving).status_code == post(strict, moving, PRESS).status_code == 404


def test_what_it_costs(strict: Client, moving: str, statements: Callable[[], Any], settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 60}  # on a busy machine, too
    strict.get(moving)
    with statements() as looking:
        strict.get(moving)
    with statements() as moved:
        assert post(strict, moving, PRESS).status_code == 200
    counts = len(looking), len(moved)
    assert counts[0] == 1 and counts[1] <= 25, counts


def test_its_page_stands_up_to_what_an_address_may_hold(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    address = '"<script>alert(1)</script>"@else.example.org'
    key = center.translation_key
    path = path_of(access.issue(Purpose.CHANGE_ADDRESS, contact, center=key, address=address))
    text = strict.get(path).content.decode()
    assert "<script" not in text
    pages.parse(text)
