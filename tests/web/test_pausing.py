"""A pause, asked for on the page without JavaScript: with a button, a pick and a day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.web.conftest import post
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    topics = factories.make_topics()
    pause = {
        "heading": "Pause",
        "text": "",
        "lengths": ["P7D", "P1M"],
        "dates": True,
        "overall": True,
        "channels": ["sms"],
        "topics": [topics["news"].pk],
    }
    return factories.make_center([*factories.all_blocks(), factories.block("pause", pause, "rest")])


@pytest.fixture
def contact(center: PreferenceCenterPage) -> Contact:
    contact = factories.make_contact()
    Contact.objects.filter(pk=contact.pk).update(timezone="Asia/Tokyo")
    return Contact.objects.get(pk=contact.pk)


def sent(client: Client, path: str, **given: str) -> pages.Element:
    """The page after the form was sent with these answers."""
    data = pages.submitted(pages.parse(client.get(path).content.decode()))
    data |= {name if name == "do" else f"rest.{name}": [value] for name, value in given.items()}
    response = post(client, path, data)
    if response.status_code == 303:
        response = client.get(response["Location"])
    return pages.parse(response.content.decode())


def held(contact: Contact) -> Any:
    return load_state(contact.pk).pauses


def day(days: int) -> str:
    return (timezone.now().astimezone(TOKYO).date() + timedelta(days=days)).isoformat()


def day_shown(page: pages.Element, name: str) -> str | None:
    return page.one("input", id=f"rest.{name}").get("value")


def test_a_button_pauses_everything_until_a_day_of_hers_and_another_ends_it(
    strict: Client, manage: str, contact: Contact
) -> None:
    page = sent(strict, manage, do="rest.for-p7d")
    until = held(contact)[("", "")].until.astimezone(TOKYO)
    assert (until.date().isoformat(), until.hour) == (day(7), 0)
    assert day_shown(page, "until") == day(7)
    assert "Paused until" in page.words
    page = sent(strict, manage, do="rest.resume")
    assert held(contact) == {}
    assert day_shown(page, "until") in {"", None}
    assert "Paused until" not in page.words


def test_what_was_saved_names_the_day_that_the_page_shows(
    strict: Client, manage: str, contact: Contact
) -> None:
    """Midnight in Tokyo is yesterday in the records, which are in UTC."""
    from django.utils.formats import date_format

    page = sent(strict, manage, **{"until--channel-sms": day(40)})
    shown = date_format(timezone.now().astimezone(TOKYO).date() + timedelta(days=40), "DATE_FORMAT")
    assert f"Pause: Text message: until {shown}" in page.words
    assert f"Text message: paused until {shown}." in page.words


def test_a_pick_and_a_day_pause_what_they_stand_beside(strict: Client, manage: str, contact: Contact) -> None:
    page = sent(strict, manage, **{"for.topic:news": "P7D", "until--channel-sms": day(40)})
    assert day_shown(page, "until--topic-news") == day(7)
    assert day_shown(page, "until--channel-sms") == day(40)
    assert set(held(contact)) == {("news", ""), ("", "sms")}
    page = sent(strict, manage, **{"until--channel-sms": ""})
    assert set(held(contact)) == {("news", "")}


def test_a_day_that_is_over_is_refused_beside_its_input(
    strict: Client, manage: str, contact: Contact
) -> None:
    page = sent(strict, manage, until=day(-3))
    assert "This day is over. Choose a later one." in page.words
    assert day_shown(page, "until") == day(-3)  # nothing she typed is lost
    assert held(contact) == {}


def test_a_length_and_a_day_together_are_refused_in_words(
    strict: Client, manage: str, contact: Contact
) -> None:
    page = sent(strict, manage, **{"for.topic:news": "P7D", "until--topic-news": day(40)})
    assert "This contradicts another of these answers." in page.words
    assert held(contact) == {}


def test_saving_something_else_leaves_a_pause_as_it_is(strict: Client, manage: str, contact: Contact) -> None:
    sent(strict, manage, do="rest.for-p1m")
    before = held(contact)
    sent(strict, manage, **{"for.topic:news": "P7D"})
    assert held(contact)[("", "")] == before[("", "")]


def test_a_pause_until_today_is_none(strict: Client, manage: str, contact: Contact) -> None:
    page = sent(strict, manage, until=day(0))
    assert "A pause ends in the future. Choose a later day." in page.words
    assert held(contact) == {}
