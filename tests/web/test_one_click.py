"""One-click unsubscribe as mail clients really call it (RFC 8058; security.md EM-02..EM-08, EM-13)."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.web.conftest import choose, path_of
from wagtail_prefs.access.services import Purpose, make_token, one_click_headers, one_click_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import unpublish
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, ActorType

PAIR = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "----=_Part_8058"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str = "List-Unsubscribe", value: str = "One-Click", extra: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"{extra}'
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n--{BOUNDARY}--\r\n".encode()


#: what calls: method, content type, body, headers; and whether it unsubscribes
CLIENTS: dict[str, tuple[str, str, bytes, dict[str, str], bool]] = {
    "RFC 8058 s8.1, urlencoded": ("POST", FORM, PAIR, {}, True),
    "RFC 8058 s8.2, multipart": ("POST", MULTIPART, part(), {}, True),
    "multipart with a content type in the part": (
        "POST",
        MULTIPART,
        part(extra="\r\nContent-Type: text/plain; charset=UTF-8"),
        {},
        True,
    ),
    "urlencoded with a charset": ("POST", f"{FORM}; charset=UTF-8", PAIR, {}, True),
    "urlencoded with another charset": ("POST", f"{FORM}; charset=ISO-8859-1", PAIR, {}, True),
    "urlencoded with a charset in quotes": ("POST", f'{FORM}; charset="us-ascii"', PAIR, {}, True),
    "urlencoded with a charset there is not": ("POST", f"{FORM}; charset=x-unknown", PAIR, {}, True),
    "a content type in capitals": ("POST", FORM.upper(), PAIR, {}, True),
    "multipart with a charset": (
        "POST",
        f"multipart/form-data; charset=UTF-8; boundary={BOUNDARY}",
        part(),
        {},
        True,
    ),
    "multipart with its boundary in quotes": (
        "POST",
        f'multipart/form-data; boundary="{BOUNDARY}"',
        part(),
        {},
        True,
    ),
    "a part with a transfer encoding": (
        "POST",
        MULTIPART,
        part(extra="\r\nContent-Transfer-Encoding: 8bit"),
        {},
        True,
    ),
    "a part in base64": (
        "POST",
        MULTIPART,
        part(value="T25lLUNsaWNr", extra="\r\nContent-Transfer-Encoding: base64"),
        {},
        True,
    ),
    "a part with headers in lower case": (
        "POST",
        MULTIPART,
        part().replace(b"Content-Disposition", b"content-disposition"),
        {},
        True,
    ),
    "a part without quotes": ("POST", MULTIPART, part().replace(b'"', b""), {}, True),
    "two parts": ("POST", MULTIPART, part().replace(b"--\r\n", b"\r\n") + part("client", "7"), {}, True),
    "percent-encoded": ("POST", FORM, b"List%2DUnsubscribe=One%2dClick", {}, True),
    "headers in capitals": ("POST", FORM, PAIR, {"ACCEPT": "*/*", "USER-AGENT": "MAILBOX"}, True),
    "with cookies and a login of somebody's": (
        "POST",
        FORM,
        PAIR,
        {"Cookie": "theme=dark; csrftoken=" + "a" * 32, "Authorization": "Basic eDp5"},
        True,
    ),
    "with the user agent of a browser": ("POST", FORM, PAIR, {"User-Agent": "Mozilla/5.0"}, True),
    "with the user agent of a scanner": ("POST", FORM, PAIR, {"User-Agent": "python-requests/2.32"}, True),
    "from a web mail's own origin": (
        "POST",
        FORM,
        PAIR,
        {"Origin": "https://mail.example", "Sec-Fetch-Site": "cross-site"},
        True,
    ),
    "with a line end after it": ("POST", FORM, PAIR + b"\r\n", {}, True),
    "with an empty field after it": ("POST", FORM, PAIR + b"&", {}, True),
    "the pair and its opposite": ("POST", FORM, PAIR + b"&List-Unsubscribe=No", {}, False),
    "with fields of its own": ("POST", FORM, PAIR + b"&client=7", {}, True),
    "without a content type": ("POST", "", PAIR, {}, True),
    "the pair twice": ("POST", FORM, PAIR + b"&" + PAIR, {}, True),
    "an empty body": ("POST", FORM, b"", {}, False),
    "an empty body without a content type": ("POST", "", b"", {}, False),
    "an empty multipart body": ("POST", MULTIPART, b"", {}, False),
    "another value": ("POST", FORM, b"List-Unsubscribe=Yes", {}, False),
    "another case": ("POST", FORM, b"list-unsubscribe=one-click", {}, False),
    "only the name": ("POST", FORM, b"List-Unsubscribe", {}, False),
    "as a file": ("POST", MULTIPART, part(extra='; filename="a"'), {}, False),
    "as JSON": ("POST", "application/json", b'{"List-Unsubscribe": "One-Click"}', {}, False),
    "as plain text": ("POST", "text/plain", PAIR, {}, False),
    "multipart that is cut off": ("POST", MULTIPART, part()[:40], {}, False),
    "multipart without a boundary": ("POST", "multipart/form-data", part(), {}, False),
    "compressed": ("POST", FORM, gzip.compress(PAIR), {"Content-Encoding": "gzip"}, False),
    "base64 of it all": ("POST", FORM, PAIR, {"Content-Encoding": "base64"}, False),
    "another charset and too long": (
        "POST",
        f"{FORM}; charset=ISO-8859-1",
        PAIR + b"&x=" + b"x" * 20_000,
        {},
        False,
    ),
    "another charset, compressed": (
        "POST",
        f"{FORM}; charset=ISO-8859-1",
        gzip.compress(PAIR),
        {"Content-Encoding": "gzip"},
        False,
    ),
    "another charset, many fields": (
        "POST",
        f"{FORM}; charset=ISO-8859-1",
        PAIR + b"&x=" * 2000,
        {},
        False,
    ),
    "beyond every bound": ("POST", FORM, PAIR + b"&x=" + b"x" * 20_000, {}, False),
    "a method that it would override": (
        "POST",
        FORM,
        b"_method=DELETE",
        {"X-HTTP-Method-Override": "PUT"},
        False,
    ),
    "GET": ("GET", "", b"", {}, False),
    "GET with the pair in its body": ("GET", FORM, PAIR, {}, False),
    "HEAD": ("HEAD", "", b"", {}, False),
    "OPTIONS": ("OPTIONS", "", b"", {"Origin": "https://evil.example"}, False),
}


def call(client: Client, path: str, method: str, kind: str, body: bytes, headers: dict[str, str]) -> Any:
    return client.generic(method, path, body, content_type=kind, headers=headers)


def press(client: Client, path: str) -> Any:
    return call(client, path, "POST", FORM, PAIR, {})


#: Each row as it is, and some with what stands behind an address at times.
ROWS = [(name, "") for name in CLIENTS] + [
    (name, query)
    for name in ("RFC 8058 s8.1, urlencoded", "an empty body", "GET")
    for query in ("?List-Unsubscribe=One-Click", "?utm_source=mail")
]


@pytest.mark.parametrize(("name", "query"), ROWS)
def test_real_clients(strict: Client, one_click: str, contact: Contact, name: str, query: str) -> None:
    method, kind, body, headers, acts = CLIENTS[name]
    before = Record.objects.count()
    response = call(strict, one_click + query, method, kind, body, headers)
    assert response.status_code == 200
    assert "WWW-Authenticate" not in response
    assert not [header for header in response.headers if header.startswith("Access-Control-")]
    state = load_state(contact.pk)
    assert (state.choices[("news", "email")] == UNSUBSCRIBED) is acts
    assert Record.objects.count() - before == acts
    if acts:
        assert len(response.content) < 100
        assert response["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_other_methods_are_405(strict: Client, one_click: str, contact: Contact, method: str) -> None:
    response = call(strict, one_click, method, FORM, PAIR, {})
    assert response.status_code == 405
    assert set(response["Allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}
    assert load_state(contact.pk).version == contact.version


def test_the_address_in_the_header_is_the_one_that_works(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    headers = one_click_headers(contact, "news", "email", center.translation_key)
    press(strict, path_of(headers["List-Unsubscribe"].strip("<>")))
    assert load_state(contact.pk).choices[("news", "email")] == UNSUBSCRIBED


def test_only_the_list_of_the_mail_is_left(strict: Client, one_click: str, contact: Contact) -> None:
    choose(contact, SetChoice("events", "email", SUBSCRIBED), SetChoice("news", "sms", SUBSCRIBED))
    before = load_state(contact.pk).choices
    press(strict, one_click)
    after = load_state(contact.pk).choices
    assert {key for key in after if after[key] != before[key]} == {("news", "email")}


def test_the_record_and_the_deliveries_are_there_before_the_answer(
    strict: Client, one_click: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    press(strict, one_click)
    record = Record.objects.get(contact_ref=contact.pk, seq=contact.version + 1)
    body = read_body(record)
    assert record.actor == ActorType.ONE_CLICK
    assert (body["method"], body["form_id"]) == ("one_click", str(center.translation_key))
    delivery = Delivery.objects.get(contact=contact.pk)
    assert (delivery.wanted, delivery.restricts) == (record.seq, True)


def test_again_and_again_is_once(strict: Client, one_click: str, contact: Contact) -> None:
    answers = {(press(strict, one_click).status_code, press(strict, one_click).content) for _ in range(3)}
    assert answers == {(200, b"Unsubscribed.\n")}
    assert load_state(contact.pk).version == contact.version + 1


def test_an_old_mail_still_unsubscribes_after_she_came_back(
    strict: Client, one_click: str, contact: Contact
) -> None:
    press(strict, one_click)
    choose(contact, SetChoice("news", "email", SUBSCRIBED))
    press(strict, one_click)
    assert load_state(contact.pk).choices[("news", "email")] == UNSUBSCRIBED


def test_links_never_expire_and_survive_a_revocation(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    issued = timezone.now() - timedelta(days=4000)
    token = make_token(
        Purpose.UNSUBSCRIBE,
        contact,
        center=center.translation_key,
        topic="news",
        channel="email",
        issued=issued,
    )
    Contact.objects.filter(pk=contact.pk).update(epoch=F("epoch") + 1)
    unpublish(center)
    assert press(strict, f"/prefs/u/{token}/").status_code == 200
    assert load_state(contact.pk).choices[("news", "email")] == UNSUBSCRIBED


def test_somebody_who_was_never_asked_is_out_for_good(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    press(strict, path_of(one_click_url(contact, "events", "email", center.translation_key)))
    assert load_state(contact.pk).choices[("events", "email")] == UNSUBSCRIBED


def test_a_link_without_a_topic_ends_everything(strict: Client, contact: Contact) -> None:
    press(strict, path_of(one_click_url(contact, "", "")))
    assert load_state(contact.pk).opted_out


def test_a_good_link_of_somebody_who_is_gone_is_answered_like_any_other(
    strict: Client, one_click: str, contact: Contact
) -> None:
    live = press(strict, one_click)
    Contact.objects.filter(pk=contact.pk).delete()
    gone = press(strict, one_click)
    assert (gone.status_code, gone.content) == (live.status_code, live.content)
    assert strict.get(one_click).status_code == 200
    assert strict.post(one_click, {"List-Unsubscribe": "One-Click", "page": "1"}).status_code == 200


def test_a_forged_link_is_404_and_does_nothing(
    strict: Client, one_click: str, manage: str, contact: Contact
) -> None:
    token = one_click.rstrip("/").rpartition("/")[2]
    for other in (
        token[:-1],
        token[:-2] + ("AA" if token[-2:] != "AA" else "BA"),
        "x" + token,
        manage.rstrip("/").rpartition("/")[2],
        "v1.a.b.c",
    ):
        assert press(strict, f"/prefs/u/{other}/").status_code == 404
        assert strict.get(f"/prefs/u/{other}/").status_code == 404
    assert load_state(contact.pk).version == contact.version


def test_the_address_holds_nothing_personal(one_click: str, contact: Contact) -> None:
    assert "@" not in one_click
    assert "anna" not in one_click
    assert str(contact.pk) not in one_click


def test_a_call_of_a_mail_client_costs_the_link_and_the_save(
    strict: Client, one_click: str, statements: Callable[[], Any]
) -> None:
    with statements() as asked:
        press(strict, one_click)
    assert len(asked) <= 1 + 6


# --- the page for people ---------------------------------------------------------------------------------------------


def page_of(response: Any) -> pages.Element:
    assert response.status_code == 200
    return pages.parse(response.content.decode())


def test_the_page_has_one_button_and_asks_for_nothing(
    strict: Client, one_click: str, contact: Contact
) -> None:
    page = page_of(strict.get(one_click))
    assert page.one("h1").words == "Stop getting “News by e-mail”?"
    assert [button.words for button in page.all("button")] == ["Unsubscribe", "Unsubscribe from everything"]
    assert {element.get("type") for element in page.all("input", "select", "textarea")} == {"hidden"}
    assert not list(page.all("script")) and not list(page.all("meta", http_equiv="refresh"))


def buttons(page: pages.Element) -> list[str]:
    return [button.words for button in page.all("button")]


def press_on(client: Client, page: pages.Element, words: str, *ticked: str, **headers: str) -> Any:
    """What the button of these words sends, with these boxes ticked, as a browser sends it from our page."""
    (form,) = [form for form in page.all("form") if form.one("button").words == words]
    button = form.one("button")
    data: dict[str, list[str]] = {str(button.get("name")): [str(button.get("value"))]}
    for field in form.all("input"):
        if field.get("type") == "checkbox":
            assert "checked" not in field
            if field.parent is None or field.parent.words not in ticked:
                continue
        data.setdefault(str(field.get("name")), []).append(str(field.get("value")))
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin", **headers}
    return client.post(str(form.get("action")), data, headers=headers)


def pressed(client: Client, path: str, number: int) -> pages.Element:
    """The page after pressing its nth button."""
    page = page_of(client.get(path))
    return page_of(press_on(client, page, buttons(page)[number]))


def test_one_press_unsubscribes_and_offers_the_rest(strict: Client, one_click: str, contact: Contact) -> None:
    page = pressed(strict, one_click, 0)
    status = page.one("div", role="status")
    assert "autofocus" in status
    assert "You do not get “News by e-mail” any more." in status.words
    assert load_state(contact.pk).choices[("news", "email")] == UNSUBSCRIBED
    assert not load_state(contact.pk).opted_out
    manage = page.one("a").get("href")
    assert strict.get(str(manage)).status_code == 200
    assert buttons(page) == ["Take it back", "Unsubscribe from everything"]


def test_everything_ends_on_the_same_page(strict: Client, one_click: str, contact: Contact) -> None:
    page = pressed(strict, one_click, 1)
    assert "no marketing" in page.one("div", role="status").words
    assert buttons(page) == ["Take it back"]
    assert load_state(contact.pk).opted_out


def test_a_mail_client_cannot_end_everything(strict: Client, one_click: str, contact: Contact) -> None:
    strict.post(one_click, {"List-Unsubscribe": "One-Click", "everything": "1"})
    assert not load_state(contact.pk).opted_out


@pytest.mark.parametrize("why", ["old", "revoked"])
def test_the_page_does_not_make_an_old_link_young(
    strict: Client, contact: Contact, center: PreferenceCenterPage, why: str
) -> None:
    issued = timezone.now() - timedelta(days=61 if why == "old" else 1)
    token = make_token(
        Purpose.UNSUBSCRIBE,
        contact,
        center=center.translation_key,
        topic="news",
        channel="email",
        issued=issued,
    )
    if why == "revoked":
        Contact.objects.filter(pk=contact.pk).update(epoch=F("epoch") + 1)
    assert not list(page_of(strict.get(f"/prefs/u/{token}/")).all("a"))


def test_the_page_knows_the_topic_when_the_center_is_closed(
    strict: Client, one_click: str, center: PreferenceCenterPage
) -> None:
    unpublish(center)
    assert page_of(strict.get(one_click)).one("h1").words == "Stop getting “News by e-mail”?"


def test_the_page_speaks_her_language(
    strict: Client, one_click: str, contact: Contact, center: PreferenceCenterPage
) -> None:
    factories.make_center(locale="de", translation_of=center)
    Contact.objects.filter(pk=contact.pk).update(language="de")
    page = page_of(strict.get(one_click, headers={"Accept-Language": "en"}))
    assert page.one("html").get("lang") == "de"
    assert page.one("h1").words == "„Neues per E-Mail“ nicht mehr bekommen?"
