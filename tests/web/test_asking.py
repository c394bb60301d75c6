"""Questions, profile, role and reason on a page of their own: asked, saved, shown again, and told of without values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests import factories, pages
from tests.blocks.asking import asking
from tests.web.conftest import path_of
from wagtail_prefs.access.services import manage_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state

Send = Callable[..., Any]


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    return factories.make_center(asking())


@pytest.fixture
def contact(center: PreferenceCenterPage) -> Contact:
    return factories.make_contact()


@pytest.fixture
def manage(contact: Contact, center: PreferenceCenterPage) -> str:
    return path_of(manage_url(contact, center.translation_key))


def look(client: Client, path: str) -> pages.Element:
    return pages.parse(client.get(path).content.decode())


def ids(page: pages.Element) -> set[str]:
    return {found for one in page.all() if (found := one.get("id"))}


def test_answers_are_kept_as_attributes_and_shown_again(
    send: Send, strict: Client, manage: str, contact: Contact
) -> None:
    change = {"question.answer": "blue", "profile.country": "AT", "role.role": "press"}
    told = pages.parse(strict.get(send(manage, change)["Location"]).content.decode()).one("div", id="saved")
    held = load_state(contact.pk)
    assert held.attributes == {"colour": ["blue"], "country": "AT", "role": "press"}
    assert held.country == "AT"
    sent = pages.submitted(look(strict, manage))
    assert (sent["question.answer"], sent["profile.country"], sent["role.role"]) == (
        ["blue"],
        ["AT"],
        ["press"],
    )
    assert "Which colour?: saved" in told.text
    assert not {"blue", "AT", "press"} & set(told.words.replace(":", " ").split())


def test_a_role_shows_its_topics_after_the_save(send: Send, strict: Client, manage: str) -> None:
    assert "topics.choices.news.name" in ids(look(strict, manage))
    assert "topics.choices.events.name" not in ids(look(strict, manage))
    send(manage, {"role.role": "member"})
    assert "topics.choices.events.name" in ids(look(strict, manage))
    send(manage, {"role.role": "press"})
    assert "topics.choices.events.name" not in ids(look(strict, manage))


def test_the_reason_is_asked_after_the_opt_out_and_taken_from_any_mail(
    send: Send, strict: Client, manage: str, contact: Contact
) -> None:
    assert "reason.reason" not in ids(look(strict, manage))
    send(manage, {"do": "leave.opt_out"})
    assert "reason.reason" in ids(look(strict, manage))
    send(manage, {"reason.reason": "too_many", "reason.reason_text": "Too\nloud."})
    held = load_state(contact.pk)
    assert held.attributes == {"reason": {"code": "too_many"}, "reason_text": "Too\nloud."}
    page = look(strict, manage)
    assert pages.submitted(page)["reason.reason"] == ["too_many"]
    assert "loud" not in page.text


@pytest.mark.parametrize("name", ["profile.given_name", "profile.email"])
def test_no_name_and_no_address_is_taken_from_an_old_mail(strict: Client, manage: str, name: str) -> None:
    page = look(strict, manage)
    assert "readonly" in page.one("input", id=name)
    assert name not in pages.submitted(page)
