"""What the manage page refuses: each with its status, nothing changed, and nothing of the person lost."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F
from django.test import Client, override_settings
from django.utils.http import urlencode

from tests import factories, pages
from tests.web.conftest import path_of, post
from wagtail_prefs.access.services import Purpose, make_code, make_token, manage_url, open_link
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ledger.models import Record

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def form(strict: Client, manage: str, center: PreferenceCenterPage) -> dict[str, Any]:
    """A good form, with one change in it."""
    data: dict[str, Any] = pages.submitted(pages.parse(strict.get(manage).content.decode()))
    data[f"{factories.block_id(center, 'topics')}.choices.events.email"] = ["1"]
    return data


@pytest.fixture
def unchanged(contact: Contact) -> Callable[[], bool]:
    """Whether nothing was recorded since."""
    before = Record.objects.count()
    return lambda: Record.objects.count() == before and load_state(contact.pk).version == contact.version


def test_the_good_form_is_saved(strict: Client, manage: str, form: dict[str, Any]) -> None:
    assert post(strict, manage, form).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://testserver:81"},
        {"Origin": "http://user@testserver"},
        {"Origin": ""},
        {"Origin": "testserver"},
        {"Origin": "http://["},
        {"Origin": "http://testserver]"},
    ],
)
def test_a_form_from_another_website_is_refused(
    strict: Client, manage: str, form: dict[str, Any], unchanged: Callable[[], bool], headers: dict[str, str]
) -> None:
    response = post(strict, manage, form, **headers)
    assert response.status_code == 403
    assert unchanged()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://testserver"},
        {"Origin": "https://testserver"},  # behind a proxy that ends TLS
        {"Origin": "null", "Sec-Fetch-Site": "none"},
        {},
    ],
)
def test_a_form_of_our_own_page_is_taken(
    strict: Client, manage: str, form: dict[str, Any], headers: dict[str, str]
) -> None:
    response = strict.post(manage, urlencode(form, doseq=True), content_type=FORM, headers=headers)
    assert response.status_code == 303


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json", None),
        ("text/plain", None),
        ("multipart/form-data; boundary=x", None),
        ("", None),
        (FORM, "gzip"),
        (f"{FORM}; charset=utf-16", None),
    ],
)
def test_anything_but_an_urlencoded_form_is_415(
    strict: Client,
    manage: str,
    form: dict[str, Any],
    unchanged: Callable[[], bool],
    content_type: str,
    encoding: str | None,
) -> None:
    body = urlencode(form, doseq=True).encode()
    headers = {"Origin": "null"}
    if encoding:
        body, headers["Content-Encoding"] = gzip.compress(body), encoding
    response = strict.generic("POST", manage, body, content_type=content_type, headers=headers)
    assert response.status_code == 415
    assert unchanged()


def test_a_body_beyond_the_limit_is_413(
    strict: Client, manage: str, form: dict[str, Any], unchanged: Callable[[], bool]
) -> None:
    response = post(strict, manage, {**form, "more": "x" * 17 * 1024})
    assert response.status_code == 413
    assert "too large" in response.content.decode()
    assert unchanged()


@override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=5)
def test_the_stricter_bounds_of_a_site_are_413_as_well(
    strict: Client, manage: str, form: dict[str, Any], unchanged: Callable[[], bool]
) -> None:
    assert post(strict, manage, form).status_code == 413
    assert unchanged()


def test_a_large_center_can_be_saved_as_a_whole(strict: Client, db: None) -> None:
    from wagtail_prefs.topics.models import Topic

    audience = factories.make_audience()
    topics = [
        Topic.objects.create(audience=audience, key=f"a-topic-{number}", channels=["email", "sms"])
        for number in range(100)
    ]
    center = factories.make_center([factories.topics_block(topics)])
    contact = factories.make_contact()
    manage = path_of(manage_url(contact, center.translation_key))
    data: dict[str, Any] = pages.submitted(pages.parse(strict.get(manage).content.decode()))
    data |= {name.removeprefix("was."): ["1"] for name in data if name.startswith("was.")}
    assert len(urlencode(data, doseq=True)) > 16 * 1024
    assert post(strict, manage, data).status_code == 303
    assert len(load_state(contact.pk).choices) == 200


# --- answers that are refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nonsense", "1"),
        ("{topics}.choices.events.fax", "1"),
        ("{topics}.choices.orders.email", "1"),
        ("{topics}.choices.events.email", "yes"),
        ("{frequency}.frequency.all", "hourly"),
        ("00000000-0000-0000-0000-000000000000.choices.news.email", "1"),
        ("revision", "0" * 64),
        ("revision", ""),
        ("base_version", "x"),
        ("idempotency_key", ""),
        ("do", "{topics}.choices"),
        ("do", ""),
    ],
)
def test_answers_that_the_page_does_not_offer_are_422_and_nothing_is_lost(
    strict: Client,
    manage: str,
    center: PreferenceCenterPage,
    form: dict[str, Any],
    unchanged: Callable[[], bool],
    name: str,
    value: str,
) -> None:
    ids = {kind: factories.block_id(center, kind) for kind in ("topics", "frequency")}
    response = post(strict, manage, {**form, name.format(**ids): [value.format(**ids)]})
    assert response.status_code == 422
    assert unchanged()
    page = pages.parse(response.content.decode())
    events = f"{ids['topics']}.choices.events.email"
    assert "checked" in page.one("input", id=events)  # her tick is still there
    assert page.one("input", name=f"was.{events}").get("value") == ""  # and still a change
    summary = page.one("div", id="problems")
    assert "autofocus" in summary
    assert summary.get("tabindex") == "-1"
    assert summary.one("div", role="alert").one("h2").words == "Some of it could not be saved"
    assert page.one("title").words.startswith("Some of it could not be saved")


def test_what_she_unticked_stays_unticked_when_a_form_is_refused(
    strict: Client, manage: str, center: PreferenceCenterPage, form: dict[str, Any]
) -> None:
    news = f"{factories.block_id(center, 'topics')}.choices.news.email"
    del form[news]
    page = pages.parse(post(strict, manage, {**form, "nonsense": "1"}).content.decode())
    assert "checked" not in page.one("input", id=news)
    assert page.one("input", name=f"was.{news}").get("value") == "1"
    # What came back can be sent again, and now it is saved.
    again = pages.submitted(page)
    assert post(strict, manage, again).status_code == 303


def test_the_error_leads_to_its_field(
    strict: Client, manage: str, center: PreferenceCenterPage, form: dict[str, Any]
) -> None:
    name = f"{factories.block_id(center, 'frequency')}.frequency.all"
    page = pages.parse(post(strict, manage, {**form, name: ["hourly"]}).content.decode())
    assert page.one("div", id="problems").one("a").get("href") == f"#{name}"
    field = page.one("select", id=name)
    assert field.get("aria-invalid") == "true"
    # What she sent is no option, and none is picked in its place.
    assert next(field.all("option")).get("value") == ""
    assert not [option for option in field.all("option") if "selected" in option]
    assert page.one("div", id=f"{name}.notes").one("p", class_="pc-error").words
    assert field.get("aria-describedby") == f"{name}.notes"


# --- links that are none ---------------------------------------------------------------------------------------------


def forged(token: str) -> list[str]:
    """Cut off, bent, extended and exchanged."""
    rng = random.Random(8058)
    prefix, kid, payload, mac = token.split(".")
    bent = []
    for _ in range(60):
        at = rng.randrange(len(token))
        other = rng.choice([char for char in "ABCabc019-_." if char != token[at]])
        bent.append(token[:at] + other + token[at + 1 :])
    return [
        *bent,
        *(token[:length] for length in range(1, len(token), 17)),
        f"{prefix}.other.{payload}.{mac}",
        f"{prefix}.{kid}.{payload}.",
        f"{prefix}.{kid}..{mac}",
        token + "A",
        "v1." + "A" * 600,
        "%00",
        "ü",
        "..",
    ]


def test_every_link_that_is_none_gets_the_same_answer(
    strict: Client,
    manage: str,
    contact: Contact,
    center: PreferenceCenterPage,
    one_click: str,
    settings: Any,
) -> None:
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "LIMITS": {"bad_token_network": [(10_000, 60)]},  # beyond it there is another: test_guessing
    }
    token = manage.rstrip("/").rpartition("/")[2]
    link = open_link(token, Purpose.MANAGE)
    stranger = Contact(audience_id=contact.audience_id)
    others = [
        *forged(token),
        one_click.rstrip("/").rpartition("/")[2],  # for another purpose
        make_code(link, center.translation_key, "http://testserver"),
        make_token(Purpose.MANAGE, stranger, center=center.translation_key),  # of nobody
        make_token(Purpose.MANAGE, contact),  # without a center
    ]
    Contact.objects.filter(pk=contact.pk).update(epoch=F("epoch") + 1)
    answers = {(strict.get(manage).status_code, without_nonce(strict.get(manage)))}  # revoked
    before = Record.objects.count()
    for other in others:
        for response in (
            strict.get(f"/prefs/l/{other}/"),
            post(strict, f"/prefs/l/{other}/", {"do": "opt_out"}),
        ):
            answers.add((response.status_code, without_nonce(response)))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 404
    assert Record.objects.count() == before


def without_nonce(response: Any) -> str:
    nonce = response["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
    body: str = response.content.decode()
    assert nonce in body
    return body.replace(nonce, "")


def test_a_link_of_another_audience_does_not_open_this_center(
    strict: Client, center: PreferenceCenterPage
) -> None:
    other = factories.make_audience(factories.make_site("other.example"))
    contact = factories.make_contact("eve@mail.example.org", audience=other)
    token = make_token(Purpose.MANAGE, contact, center=center.translation_key)
    assert strict.get(f"/prefs/l/{token}/").status_code == 404
