"""Who is responsible, as an editor writes it down and as records of consent tell it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_audience, make_editor
from wagtail_prefs.topics.models import Audience

pytestmark = pytest.mark.django_db
EDIT = "wagtailsnippets_wagtail_prefs_audience:edit"
FILLED = {
    "controller_name": "Brand Ltd",
    "controller_address": "1 Example Street, Example Town",
    "controller_contact": "privacy@brand.example",
    "privacy_url": "https://brand.example/privacy",
    "authority": "The Commissioner",
    "data_locations": "de, IE us-ca",
    "recipients": " Mailer plc \r\n\r\nPrinter  GmbH\r\nMailer plc",
}


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(make_editor())
    return client


def send(editor: Client, audience: Audience, **fields: str) -> Any:
    given = {
        "name": audience.name,
        "key": audience.key,
        "site": str(audience.site_id or ""),
        **FILLED,
        **fields,
    }
    return editor.post(reverse(EDIT, args=[audience.pk]), given)


def test_what_is_written_is_kept_and_shown_again(editor: Client) -> None:
    audience = make_audience()
    assert send(editor, audience).status_code == 302
    audience.refresh_from_db()
    assert audience.data_locations == ["DE", "IE", "US-CA"]
    assert audience.recipients == ["Mailer plc", "Printer GmbH"]
    assert (audience.controller_name, audience.controller_contact) == ("Brand Ltd", "privacy@brand.example")
    page = editor.get(reverse(EDIT, args=[audience.pk])).content.decode()
    assert 'value="DE, IE, US-CA"' in page
    assert "Mailer plc\nPrinter GmbH</textarea>" in page
    assert "[&quot;" not in page  # no JSON


def test_all_of_it_may_stay_empty(editor: Client) -> None:
    audience = make_audience()
    assert send(editor, audience, **dict.fromkeys(FILLED, "")).status_code == 302
    audience.refresh_from_db()
    assert (audience.data_locations, audience.recipients) == ([], [])


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("data_locations", "DE, Germany", "“Germany” is no code of a country"),
        ("data_locations", "EU", "“EU” is no code"),
        ("data_locations", "DE, <b>x", "“&lt;b&gt;x” is no code"),
        ("controller_contact", "call us", "Write an e-mail address, or the address of a page"),
        (
            "controller_contact",
            "javascript:alert(1)//@x",
            "Write an e-mail address, or the address of a page",
        ),
        ("controller_contact", "privacy@", "Write an e-mail address, or the address of a page"),
        ("privacy_url", "nowhere", "Enter a valid URL"),
        ("recipients", "x" * 256, "At most 100 lines of 255 letters"),
        ("recipients", "\n".join(map(str, range(101))), "At most 100 lines of 255 letters"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_saved(
    editor: Client, field: str, value: str, told: str
) -> None:
    audience = make_audience()
    answer = send(editor, audience, **{field: value})
    assert answer.status_code == 200
    assert told in answer.content.decode()
    audience.refresh_from_db()
    assert audience.controller_name == ""


def test_a_page_is_a_contact_too(editor: Client) -> None:
    audience = make_audience()
    send(editor, audience, controller_contact="https://brand.example/privacy/@team")
    audience.refresh_from_db()
    assert audience.controller_contact == "https://brand.example/privacy/@team"
