"""Her own data on the page without JavaScript: after a fresh link only, and nothing is erased by one press."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from django.test import Client
from wagtail.models import ModelLogEntry

from tests import factories
from tests.web.conftest import path_of, post
from tests.web.test_fresh import form_of, issued, look, opened
from wagtail_prefs.access.services import manage_url, one_click_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import SetAttribute
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.rights.models import Erasure
from wagtail_prefs.rights.services import EXPORTED
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db
NAME = "Zacharias"
BLOCK = {"heading": "Your data", "text": "", "export": True, "erase": True, "objection": True}


@pytest.fixture
def center() -> PreferenceCenterPage:
    factories.make_site()
    blocks = [factories.topics_block(), factories.block("your_data", BLOCK, "rights")]
    return factories.make_center(blocks)


@pytest.fixture
def contact(center: PreferenceCenterPage) -> Contact:
    found = factories.make_contact()
    submissions.record(
        found.pk,
        [SetAttribute("given_name", NAME)],
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=Source(method="element"),
    )
    return found


@pytest.fixture
def manage(contact: Contact, center: PreferenceCenterPage) -> str:
    return path_of(manage_url(contact, center.translation_key))


def buttons(response: Any) -> set[str]:
    return {str(one.get("value")) for one in look(response).all("button")} & {
        "rights.step_up", "rights.export", "rights.erase", "rights.object",
    }  # fmt: skip


def fresh_form(strict: Client, contact: Contact, center: PreferenceCenterPage) -> tuple[str, dict[str, Any]]:
    return form_of(opened(strict, issued(contact, center)))


def test_an_old_mail_has_the_button_that_mails_a_link_and_a_fresh_link_has_the_others(
    strict: Client, contact: Contact, center: PreferenceCenterPage, manage: str
) -> None:
    assert buttons(strict.get(manage)) == {"rights.step_up", "rights.object"}
    assert buttons(opened(strict, issued(contact, center))) == {
        "rights.export",
        "rights.erase",
        "rights.object",
    }


@pytest.mark.parametrize("button", ["rights.export", "rights.erase"])
def test_whoever_has_an_old_mail_gets_and_erases_nothing(
    strict: Client, contact: Contact, manage: str, button: str
) -> None:
    action, data = form_of(strict.get(manage))
    answer = post(strict, action, {**data, "do": button, "sure": "1"})
    assert answer.status_code == 422
    assert NAME not in answer.content.decode()
    contact.refresh_from_db()
    assert contact.erased_at is None


def test_the_file_holds_her_data_and_that_she_had_it_is_logged(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    action, data = fresh_form(strict, contact, center)
    answer = post(strict, action, {**data, "do": "rights.export"})
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == 'attachment; filename="my-data.zip"'
    assert answer["Cache-Control"] == "no-store, private"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert {"name": "given_name", "value": NAME} in json.loads(archive.read("data.json"))["profile"]
    entry = ModelLogEntry.objects.get(action=EXPORTED)
    assert entry.object_id == str(contact.pk) and entry.user_id is None
    assert NAME not in json.dumps(entry.data)


def test_erasing_is_asked_twice(
    strict: Client, contact: Contact, center: PreferenceCenterPage, manage: str
) -> None:
    way_out = path_of(one_click_url(contact, "news", "email", center.translation_key))
    action, data = fresh_form(strict, contact, center)
    asked = post(strict, action, {**data, "do": "rights.erase"})
    assert asked.status_code == 200
    contact.refresh_from_db()
    assert contact.erased_at is None
    there, again = form_of(asked)
    assert "given_name" not in again and data["session"] == again["session"]
    answer = post(strict, there, {**again, "do": "rights.erase"})
    assert answer.status_code == 200
    assert look(answer).one("h1").text == "Your data is erased"
    contact.refresh_from_db()
    assert contact.erased_at is not None and contact.email == ""
    assert Erasure.objects.get().by == "subject-session"
    # What was mailed to her opens nothing any more, and says so as to anybody.
    assert strict.get(manage).status_code == 404
    assert post(strict, there, {**again, "do": "rights.erase"}).status_code == 404
    assert strict.get(way_out).status_code in {200, 404}


def test_an_objection_takes_one_press_and_no_fresh_link(
    strict: Client, contact: Contact, manage: str
) -> None:
    action, data = form_of(strict.get(manage))
    assert post(strict, action, {**data, "do": "rights.object"}).status_code == 303
    page = strict.get(manage)
    assert "You have objected to advertising." in page.content.decode()
    assert "rights.object" not in buttons(page)


def test_looking_erases_nothing(
    strict: Client, contact: Contact, center: PreferenceCenterPage, manage: str
) -> None:
    for query in ("?do=rights.erase&sure=1", "?do=rights.export"):
        assert strict.get(manage + query).status_code == 200
    contact.refresh_from_db()
    assert contact.erased_at is None and not ModelLogEntry.objects.filter(action=EXPORTED).exists()
