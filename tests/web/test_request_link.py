"""`request-link/{center}/`: one field, one button, one answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests import factories, pages
from tests.api.asking import KINDS, Trace, address_of, plain, trace
from tests.web.conftest import post
from wagtail_prefs.access.models import AccessRequest
from wagtail_prefs.centers.drawing import draw
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import current, get_snapshot

EMAIL = "anna@mail.example.org"


def path(center: PreferenceCenterPage, query: str = "") -> str:
    return f"/prefs/request-link/{center.translation_key}/{query}"


def test_the_page_asks_for_an_address_and_nothing_else(strict: Client, center: PreferenceCenterPage) -> None:
    response = strict.get(path(center))
    assert response.status_code == 200
    page = pages.parse(response.content.decode())
    form = page.one("form")
    assert form.get("method") == "post"
    assert form.get("action") == path(center)
    field = form.one("input", id="email")
    assert (field.get("type"), field.get("autocomplete"), field.get("value")) == ("email", "email", "")
    assert "required" in field
    assert page.one("label", for_="email").words == "E-mail address (required)"
    assert form.one("button").words == "Send me my link"
    assert page.one("h1").words == page.one("title").words == "Send me my link"
    assert page.one("a").get("href") == f"/prefs/sign-up/{center.translation_key}/?locale=en"


def test_a_program_that_fills_in_everything_meets_a_field_that_nobody_sees(
    strict: Client, center: PreferenceCenterPage
) -> None:
    page = pages.parse(strict.get(path(center)).content.decode())
    trap = page.one("input", name="website")
    assert trap.get("tabindex") == "-1"
    assert trap.parent is not None
    assert trap.parent.get("aria-hidden") == "true"
    caught = post(strict, path(center), {"email": EMAIL, "website": "https://spam.example"})
    assert plain(caught)[0] == 200
    assert not AccessRequest.objects.exists()
    # It is not told that it was found out.
    person = post(strict, path(center), {"email": EMAIL, "website": ""})
    assert plain(person) == plain(caught)
    assert AccessRequest.objects.count() == 1


def test_a_request_leaves_a_row(strict: Client, center: PreferenceCenterPage) -> None:
    page = pages.parse(strict.get(path(center)).content.decode())
    response = post(strict, path(center), pages.submitted(page, {"email": f" {EMAIL}"}))
    assert response.status_code == 200
    told = pages.parse(response.content.decode())
    assert "autofocus" in told.one("div", role="status")
    assert "If that address is known to us, a mail" in told.text
    assert EMAIL not in response.content.decode()
    row = AccessRequest.objects.get()
    assert (row.kind, row.address, row.locale, row.host, row.details) == ("link", EMAIL, "en", None, {})


def test_nothing_tells_whose_address_it_is(strict: Client, center: PreferenceCenterPage) -> None:
    post(strict, path(center), {"email": EMAIL})
    found: dict[Trace, list[str]] = {}
    kinds = [kind for kind in KINDS if kind != "no_at"]
    for kind in kinds:
        email = address_of(kind)
        found.setdefault(trace(lambda email=email: post(strict, path(center), {"email": email})), []).append(
            kind
        )
    assert list(found.values()) == [kinds]
    (same,) = found
    assert (same.answer[0], same.rows[0]) == (200, 1)
    assert not [sql for sql in same.statements if "prefs_contact" in sql]


@pytest.mark.parametrize("typed", ["", "anna", "anna.mail.example.org", " "])
def test_what_is_no_address_at_all_can_be_typed_again(
    strict: Client, center: PreferenceCenterPage, typed: str
) -> None:
    response = post(strict, path(center), {"email": typed})
    assert response.status_code == 422
    page = pages.parse(response.content.decode())
    summary = page.one("div", id="problems")
    assert "autofocus" in summary
    assert summary.one("a").get("href") == "#email"
    field = page.one("input", id="email")
    assert (field.get("value"), field.get("aria-invalid")) == (typed, "true")
    assert field.get("aria-describedby") == "email.notes"
    assert page.one("div", id="email.notes").one("p", class_="pc-error").words == summary.one("a").words
    assert page.one("title").words.startswith("That did not work yet")
    assert not AccessRequest.objects.exists()


def test_what_was_typed_comes_back_as_text(strict: Client, center: PreferenceCenterPage) -> None:
    typed = '"><script>alert(1)</script>'
    page = pages.parse(post(strict, path(center), {"email": typed}).content.decode())
    assert page.one("input", id="email").get("value") == typed
    assert not list(page.all("script"))


def test_a_second_request_within_a_minute_gets_the_same_answer_and_no_row(
    strict: Client, center: PreferenceCenterPage
) -> None:
    answers = {plain(post(strict, path(center), {"email": email})) for email in (EMAIL, EMAIL.upper())}
    assert len(answers) == 1
    assert AccessRequest.objects.count() == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://testserver.evil.example"},
    ],
)
def test_no_other_website_sends_the_form(
    strict: Client, center: PreferenceCenterPage, headers: dict[str, str]
) -> None:
    assert post(strict, path(center), {"email": EMAIL}, **headers).status_code == 403
    assert not AccessRequest.objects.exists()


def test_only_forms_of_a_size_are_read(strict: Client, center: PreferenceCenterPage) -> None:
    assert post(strict, path(center), {"email": EMAIL, "x": "x" * 17 * 1024}).status_code == 413
    assert strict.post(path(center), {"email": EMAIL}, content_type="application/json").status_code == 415
    for method in ("put", "patch", "delete"):
        assert getattr(strict, method)(path(center)).status_code == 405
    assert not AccessRequest.objects.exists()


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_looking_changes_nothing(strict: Client, center: PreferenceCenterPage, method: str) -> None:
    for query in ("", "?email=anna@mail.example.org", "?email=x&do=1&website="):
        response = getattr(strict, method)(path(center, query))
        assert response.status_code == 200
        assert b"anna@" not in response.content  # an address in a link is not taken over into the page
    assert not AccessRequest.objects.exists()


def test_every_answer_is_sealed_and_in_no_frame(strict: Client, center: PreferenceCenterPage) -> None:
    for response in (
        strict.get(path(center)),
        post(strict, path(center), {"email": EMAIL}),
        post(strict, path(center), {"email": ""}),
        post(strict, path(center), {"email": EMAIL}, **{"Sec-Fetch-Site": "cross-site"}),
        strict.get("/prefs/request-link/00000000-0000-4000-8000-000000000000/"),
    ):
        assert response["Cache-Control"] == "no-store, private"
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
        assert not [name for name in response.headers if name.startswith("Access-Control")]


def test_it_speaks_the_language_that_is_asked_for(strict: Client, center: PreferenceCenterPage) -> None:
    factories.make_center(locale="de", translation_of=center)
    response = strict.get(path(center, "?locale=de"))
    assert response["Content-Language"] == "de"
    page = pages.parse(response.content.decode())
    assert page.one("html").get("lang") == "de"
    assert page.one("form").get("action") == path(center, "?locale=de")
    assert post(strict, path(center, "?locale=de"), {"email": EMAIL})["Content-Language"] == "de"
    assert AccessRequest.objects.get().locale == "de"
    assert strict.get(path(center), headers={"Accept-Language": "de"})["Content-Language"] == "de"
    assert strict.get(path(center, "?locale=" + "x" * 5000)).status_code == 200


def test_a_closed_center_sends_nobody_a_link(strict: Client, center: PreferenceCenterPage) -> None:
    center.unpublish()
    assert strict.get(path(center)).status_code == 404
    assert post(strict, path(center), {"email": EMAIL}).status_code == 404
    assert not AccessRequest.objects.exists()


def test_looking_costs_nothing(
    strict: Client, center: PreferenceCenterPage, django_assert_num_queries: Any, settings: Any
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 3600}
    strict.get(path(center))
    with django_assert_num_queries(0):
        strict.get(path(center))


# --- the ways that lead here -----------------------------------------------------------------------------------------


def test_the_page_of_a_center_leads_here_in_its_language(
    client: Client, center: PreferenceCenterPage
) -> None:
    german = factories.make_center(locale="de", translation_of=center)
    for page, locale in ((center, "en"), (german, "de")):
        found = pages.parse(client.get(page.url).content.decode())
        links = [link.get("href") for link in found.all("a", class_="pc-button")]
        assert links == [
            f"/prefs/{name}/{center.translation_key}/?locale={locale}" for name in ("request-link", "sign-up")
        ]
        for link in links:
            assert client.get(link)["Content-Language"] == locale


def test_the_frame_leads_here_and_out_of_the_frame(client: Client, center: PreferenceCenterPage) -> None:
    text = client.get(f"/prefs/embed/{center.translation_key}/").content.decode()
    for name in ("request-link", "sign-up"):
        assert f'href="/prefs/{name}/{center.translation_key}/?locale=en"' in text
    assert '<base target="_blank">' in text  # these pages are in no frame


def test_a_center_without_anything_to_choose_leads_to_no_sign_up(client: Client, db: None) -> None:
    center = factories.make_center([factories.transactional_block(), factories.frequency_block()])
    found = pages.parse(client.get(center.url).content.decode())
    assert [link.words for link in found.all("a", class_="pc-button")] == ["Send me my link"]
    assert not list(pages.parse(client.get(path(center)).content.decode()).all("a"))


def test_an_action_that_asks_for_a_link_leads_here(center: PreferenceCenterPage) -> None:
    document = get_snapshot(current(center.translation_key).digest).document
    action = {
        "type": "action",
        "name": "link",
        "label": "A fresh link",
        "style": "secondary",
        "do": "request_link",
    }
    block = {**document["blocks"][0], "controls": [action]}
    shown = pages.center(draw({**document, "blocks": [block]}, None))
    link = shown.one("a", id=f"{block['id']}.link")
    assert link.words == "A fresh link"
    assert link.get("href") == path(center, "?locale=en")
    assert not list(shown.all("button"))
