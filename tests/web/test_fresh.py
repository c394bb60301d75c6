"""A fresh link: works once, opens what is personal, and a page of it saves at that assurance until its session ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.blocks.asking import asking
from tests.web.conftest import path_of, post
from wagtail_prefs.access import services as access
from wagtail_prefs.access.models import OneTimeLink
from wagtail_prefs.access.services import Purpose, manage_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import SetAttribute
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

SHOP = "https://shop.example"
NAME = "Zacharias"
OPEN, AGAIN = {"do": "open"}, {"do": "again"}
STAFF = Actor(ActorType.ADMIN, "staff")


def make() -> tuple[PreferenceCenterPage, Contact]:
    page = factories.make_center(
        asking(), site=factories.make_site(origins=[SHOP]), host_pages=f"{SHOP}/mail"
    )
    contact = factories.make_contact()
    submissions.record(
        contact.pk,
        [SetAttribute("given_name", NAME)],
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=Source(method="element"),
    )
    return page, contact


@pytest.fixture
def made(db: None) -> tuple[PreferenceCenterPage, Contact]:
    return make()


@pytest.fixture
def center(made: tuple[PreferenceCenterPage, Contact]) -> PreferenceCenterPage:
    return made[0]


@pytest.fixture
def contact(made: tuple[PreferenceCenterPage, Contact]) -> Contact:
    return made[1]


@pytest.fixture
def manage(contact: Contact, center: PreferenceCenterPage) -> str:
    return path_of(manage_url(contact, center.translation_key))


@pytest.fixture
def fresh(contact: Contact, center: PreferenceCenterPage) -> str:
    return issued(contact, center)


def issued(contact: Contact, center: PreferenceCenterPage, host: int | None = None) -> str:
    return path_of(access.issue(Purpose.FRESH, contact, center=center.translation_key, host=host))


def look(response: Any) -> pages.Element:
    return pages.parse(response.content.decode())


def form_of(response: Any) -> tuple[str, dict[str, Any]]:
    """Where the page's form goes, and what it sends as it stands."""
    page = look(response)
    return str(next(page.all("form")).get("action")), dict(pages.submitted(page))


def opened(client: Client, path: str) -> Any:
    response = post(client, path, OPEN)
    assert response.status_code == 200, response.content
    return response


def name_on(response: Any) -> str | None:
    return look(response).one("input", id="profile.given_name").get("value")


def token_in(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


# --- the link --------------------------------------------------------------------------------------------------------


def test_looking_uses_nothing_up_and_shows_nothing_of_her(
    strict: Client, fresh: str, contact: Contact
) -> None:
    for _time in range(100):
        response = strict.get(fresh)
        assert response.status_code == 200
    strict.head(fresh)
    strict.options(fresh)
    page = look(response)
    assert [button.get("value") for button in page.all("button", name="do")] == ["open"]
    assert NAME not in page.text and contact.email not in page.text
    assert response["Cache-Control"] == "no-store, private"
    assert OneTimeLink.objects.get().used_at is None
    assert name_on(opened(strict, fresh)) == NAME


def test_it_opens_the_page_once(strict: Client, fresh: str) -> None:
    first = opened(strict, fresh)
    assert name_on(first) == NAME
    assert first["Referrer-Policy"] == "no-referrer" and first["Cache-Control"] == "no-store, private"
    for again in (post(strict, fresh, OPEN), strict.get(fresh)):
        page = look(again)
        assert page.one("h1").words == "This link was used"
        assert NAME not in page.text
    assert not Mail.objects.exists()


def test_what_is_no_press_of_its_button_uses_nothing_up(strict: Client, fresh: str) -> None:
    for data in ({"do": ""}, AGAIN, {"do": ["open", "open"]}, {"do": "profile.step_up"}):
        assert look(post(strict, fresh, data)).one("h1").words == "Open your page"
    assert post(strict, fresh, OPEN, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert post(strict, fresh, OPEN, Origin="https://evil.example").status_code == 403
    assert OneTimeLink.objects.get().used_at is None
    assert not Mail.objects.exists()


@pytest.mark.parametrize("used", [True, False])
def test_one_that_is_over_sends_another_to_the_same_address_within_the_limits(
    strict: Client, fresh: str, contact: Contact, used: bool
) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        if used:
            opened(strict, fresh)
        clock.shift(timedelta(minutes=3 if used else 16))
        page = look(strict.get(fresh))
        assert page.one("h1").words == ("This link was used" if used else "This link is too old")
        assert [button.get("value") for button in page.all("button", name="do")] == ["again"]
        first, second = post(strict, fresh, AGAIN), post(strict, fresh, AGAIN)
        assert first.status_code == second.status_code == 200
        assert look(first).text == look(second).text
        assert "mailbox" in look(first).text
        mail = Mail.objects.get()
        assert (mail.kind, mail.to) == ("fresh_link", contact.email)
        assert name_on(opened(strict, urlsplit(mail.context["url"]).path)) == NAME


def test_another_one_leads_where_the_first_did(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    path = issued(contact, center, host=0)
    assert post(strict, path, OPEN).status_code == 303
    post(strict, path, AGAIN)
    sent = urlsplit(Mail.objects.get().context["url"]).path
    assert access.look(token_in(sent), Purpose.FRESH).host == 0


def test_for_a_host_page_it_becomes_a_fresh_code(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    path = issued(contact, center, host=0)
    assert strict.get(path).status_code == 200  # and no redirect that a scanner would follow
    response = post(strict, path, OPEN)
    page, _hash, code = response["Location"].partition("#pc=")
    assert (response.status_code, page) == (303, f"{SHOP}/mail")
    assert token_in(path) not in response["Location"]
    _bearer, session = access.redeem_code(code, center=center.translation_key, origin=SHOP)
    assert session.assurance == "fresh"


def test_a_host_page_that_was_taken_away_is_replaced_by_ours(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    assert name_on(opened(strict, issued(contact, center, host=7))) == NAME


def test_a_closed_center_opens_nothing_and_leaves_the_link(
    strict: Client, fresh: str, center: PreferenceCenterPage, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        center.unpublish()
    assert strict.get(fresh).status_code == post(strict, fresh, OPEN).status_code == 404
    assert OneTimeLink.objects.get().used_at is None


def test_links_that_were_called_back_or_are_for_something_else_are_none(
    strict: Client, fresh: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    unknown = strict.get("/prefs/l/v1.t1.bm9uZQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/")
    key = center.translation_key
    confirm = path_of(access.issue(Purpose.CONFIRM, contact, center=key)).replace("/c/", "/l/")
    moves = access.issue(Purpose.CHANGE_ADDRESS, contact, center=key, address="new@mail.example.org")
    elsewhere = fresh.replace("/l/", "/c/")
    Contact.objects.filter(pk=contact.pk).update(epoch=F("epoch") + 1)
    for path in (confirm, path_of(moves).replace("/c/", "/l/"), elsewhere, fresh):
        for response in (strict.get(path), post(strict, path, OPEN)):
            assert response.status_code == 404
            assert look(response).one("h1").words == look(unknown).one("h1").words
    submissions.erase(contact.pk, actor=STAFF, source=Source(method="admin"))
    assert strict.get(fresh).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_fifty_presses_at_once_open_it_once() -> None:
    center, contact = make()
    path = issued(contact, center)
    barrier, outcomes = threading.Barrier(50), list[str]()

    def press() -> None:
        try:
            client = Client(enforce_csrf_checks=True)
            barrier.wait(30)
            outcomes.append(post(client, path, OPEN).content.decode())
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "somebody waits for ever"
    assert len(outcomes) == 50
    assert sum(NAME in text for text in outcomes) == 1
    assert sum("This link was used" in text for text in outcomes) == 49


# --- the page that it opens ------------------------------------------------------------------------------------------


def test_the_page_saves_what_is_personal_and_stays_fresh(
    strict: Client, fresh: str, contact: Contact
) -> None:
    action, data = form_of(opened(strict, fresh))
    assert token_in(fresh) not in action
    assert access.open_link(token_in(urlsplit(action).path), Purpose.MANAGE).contact_id == contact.pk
    for number, name in enumerate(("Yolanda", "Xaver"), 2):
        response = post(strict, action, {**data, "profile.given_name": name})
        assert response.status_code == 200
        assert "Given name: saved" in look(response).one("div", id="saved").words
        assert name_on(response) == name
        assert load_state(contact.pk).attributes["given_name"] == name
        assert load_state(contact.pk).version == number
        _action, data = form_of(response)
    assert "session" not in response.request["QUERY_STRING"]


def test_the_same_form_twice_is_one_save(strict: Client, fresh: str, contact: Contact) -> None:
    action, data = form_of(opened(strict, fresh))
    change = {**data, "profile.given_name": "Yolanda", "topics.choices.news.email": "1"}
    first, second = post(strict, action, change), post(strict, action, change)
    assert look(first).one("div", id="saved").words == look(second).one("div", id="saved").words
    assert Record.objects.filter(contact_ref=contact.pk).count() == 2


def test_without_a_change_it_says_so_and_stays_fresh(strict: Client, fresh: str, contact: Contact) -> None:
    action, data = form_of(opened(strict, fresh))
    response = post(strict, action, data)
    assert "Nothing has changed" in look(response).one("div", id="saved").words
    assert name_on(response) == NAME
    assert load_state(contact.pk).version == 1


def test_what_is_refused_is_drawn_again_at_the_same_assurance(
    strict: Client, fresh: str, contact: Contact
) -> None:
    action, data = form_of(opened(strict, fresh))
    response = post(strict, action, {**data, "profile.given_name": "x" * 300})
    assert response.status_code == 422
    assert name_on(response) == "x" * 300
    _action, again = form_of(response)
    assert post(strict, action, {**again, "profile.given_name": "Yolanda"}).status_code == 200
    assert load_state(contact.pk).attributes["given_name"] == "Yolanda"


def test_what_is_personal_can_be_taken_back_there_and_nowhere_else(
    strict: Client, contact: Contact, db: None
) -> None:
    page = factories.make_center(
        [*asking(), factories.block("history", {"heading": "", "text": "", "entries": 5, "conditions": []})]
    )
    manage = path_of(manage_url(contact, page.translation_key))
    assert "Take this back" not in look(strict.get(manage)).text
    action, data = form_of(opened(strict, issued(contact, page)))
    response = post(strict, action, {**data, "profile.given_name": "Yolanda"})
    (at_once, undo, _first) = [
        str(button.get("value"))
        for button in look(response).all("button", name="do")
        if ".records." in str(button.get("value")) or button.words == "Take this back"
    ]
    _action, data = form_of(response)
    plain = {name: value for name, value in data.items() if name != "session"}
    for button in (at_once, undo):
        assert post(strict, action, {**plain, "do": button}).status_code == 422
    assert load_state(contact.pk).attributes["given_name"] == "Yolanda"
    response = post(strict, action, {**data, "do": undo})
    assert response.status_code == 200
    assert name_on(response) == NAME


def test_a_session_that_ended_saves_nothing_personal_and_loses_nothing_typed(
    strict: Client, fresh: str, contact: Contact
) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        action, data = form_of(opened(strict, fresh))
        clock.shift(timedelta(minutes=31))
        change = {**data, "profile.given_name": "Yolanda", "topics.choices.news.email": "1"}
        response = post(strict, action, change)
        page = look(response)
        assert response.status_code == 422
        assert "open for too long" in page.one("div", id="problems").words
        field = page.one("input", id="profile.given_name")
        assert field.get("value") == "Yolanda" and "readonly" in field
        assert "checked" in page.one("input", id="topics.choices.news.email")
        assert page.one("button", id="profile.step_up").get("value") == "profile.step_up"
        assert NAME not in response.content.decode()
        assert not list(page.all("input", name="session"))
        assert load_state(contact.pk).version == 1
        # What is not personal is saved by the next press.
        assert post(strict, action, dict(pages.submitted(page))).status_code == 303
        assert load_state(contact.pk).choices == {("news", "email"): SUBSCRIBED}


def bearer(
    contact: Contact,
    center: PreferenceCenterPage,
    *,
    assurance: Any = "fresh",
    origin: str = "http://localhost",
) -> str:
    token = access.make_token(Purpose.MANAGE, contact, center=center.translation_key)
    link = access.open_link(token, Purpose.MANAGE)
    return access.start_session(link, center.translation_key, origin, assurance=assurance)


@pytest.mark.parametrize("which", ["link", "other", "origin", "center", "revoked", "code", "noise", "twice"])
def test_a_session_that_is_not_fresh_hers_and_of_this_page_is_none(
    strict: Client, contact: Contact, center: PreferenceCenterPage, manage: str, which: str
) -> None:
    other = factories.make_contact("bea@mail.example.org")
    good = bearer(contact, center)
    match which:
        case "link":
            session = bearer(contact, center, assurance="link")
        case "other":
            session = bearer(other, center)
        case "origin":
            session = bearer(contact, center, origin=SHOP)
        case "center":
            session = bearer(contact, factories.make_center(asking(), title="Another"))
        case "revoked":
            session = good
            Contact.objects.filter(pk=contact.pk).update(epoch=1)
            manage = path_of(manage_url(Contact.objects.get(pk=contact.pk), center.translation_key))
        case "code":
            token = access.make_token(Purpose.MANAGE, contact, center=center.translation_key)
            link = access.open_link(token, Purpose.MANAGE)
            session = access.make_code(link, center.translation_key, "http://localhost", assurance="fresh")
        case "noise":
            session = "s1.t1.\0.x"
        case "twice":
            session = "nothing"
    data = dict(pages.submitted(look(strict.get(manage))))
    change = {**data, "profile.given_name": "Yolanda", "was.profile.given_name": "", "session": session}
    if which == "twice":
        change["session"] = [session, good]
    response = post(strict, manage, change)
    assert response.status_code == 422
    assert NAME not in response.content.decode()
    assert load_state(contact.pk).attributes["given_name"] == NAME


def test_who_was_merged_opens_the_page_of_whom_she_became(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    twin = factories.make_contact("twin@mail.example.org")
    path = issued(twin, center)
    submissions.merge_contacts(twin.pk, contact.pk, actor=STAFF, source=Source(method="admin"))
    action, data = form_of(opened(strict, path))
    assert post(strict, action, {**data, "profile.given_name": "Yolanda"}).status_code == 200
    assert load_state(contact.pk).attributes["given_name"] == "Yolanda"


# --- asking for one --------------------------------------------------------------------------------------------------


def test_the_page_of_an_old_mail_shows_nothing_personal_and_offers_a_fresh_link(
    strict: Client, manage: str, contact: Contact
) -> None:
    response = strict.get(manage)
    text = response.content.decode()
    for secret in (NAME, contact.email, contact.email.partition("@")[0], "mail.example.org"):
        assert secret not in text
    page = look(response)
    assert page.one("input", id="profile.given_name").get("value") == "•••"
    assert page.one("button", id="profile.step_up").words == "Send me a fresh link"
    assert "This is personal" in page.one("div", id="profile.step_up.notes").words


def test_a_fresh_page_shows_what_she_said_and_never_the_address(
    strict: Client, fresh: str, contact: Contact
) -> None:
    text = opened(strict, fresh).content.decode()
    assert NAME in text and "profile.step_up" not in text
    assert contact.email not in text


def test_the_button_mails_a_fresh_link_and_keeps_what_was_ticked(
    strict: Client, send: Callable[..., Any], manage: str, contact: Contact
) -> None:
    pressed = {"do": "profile.step_up", "topics.choices.news.email": "1"}
    first, second = send(manage, pressed), send(manage, pressed)
    for response in (first, second):
        assert response.status_code == 200
        page = look(response)
        assert page.one("div", id="saved").get("role") == "status"
        assert "mailbox" in page.one("div", id="saved").words
        assert "checked" in page.one("input", id="topics.choices.news.email")
    assert look(first).one("div", id="saved").words == look(second).one("div", id="saved").words
    assert load_state(contact.pk).choices == {}
    mail = Mail.objects.get()
    assert (mail.kind, mail.to) == ("fresh_link", contact.email)
    assert name_on(opened(strict, urlsplit(mail.context["url"]).path)) == NAME


@pytest.mark.parametrize("button", ["step_up", "profile.step_up.x", "topics.step_up", "profile."])
def test_a_button_that_is_not_there_mails_nothing(send: Callable[..., Any], manage: str, button: str) -> None:
    assert send(manage, {"do": button}).status_code == 422
    assert not Mail.objects.exists()


def test_a_page_without_personal_fields_has_no_such_button(strict: Client, db: None) -> None:
    page = factories.make_center()
    contact = factories.make_contact()
    assert "step_up" not in strict.get(path_of(manage_url(contact, page.translation_key))).content.decode()


# --- cost ------------------------------------------------------------------------------------------------------------


def test_what_it_costs(strict: Client, fresh: str, statements: Callable[[], Any], settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 60}  # on a busy machine, too
    strict.get(fresh)
    with statements() as looking:
        strict.get(fresh)
    with statements() as opening:
        response = post(strict, fresh, OPEN)
    action, data = form_of(response)
    with statements() as saving:
        post(strict, action, {**data, "profile.given_name": "Yolanda"})
    counts = [len(one) for one in (looking, opening, saving)]
    assert counts[:2] == [1, 4] and counts[2] <= 9, counts


def test_its_form_may_end_on_the_host_page_and_nowhere_else(
    strict: Client, contact: Contact, center: PreferenceCenterPage, fresh: str
) -> None:
    """A browser holds `form-action` against redirects too: without the origin the button would do nothing at all."""
    there = strict.get(issued(contact, center, host=0))["Content-Security-Policy"]
    assert f"form-action 'self' {SHOP};" in there
    assert "form-action 'self';" in strict.get(fresh)["Content-Security-Policy"]
    center.host_pages = ""
    center.save_revision().publish()
    assert "form-action 'self';" in strict.get(issued(contact, center, host=0))["Content-Security-Policy"]
