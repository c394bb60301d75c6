"""`p/{token}/`: whoever was told that her pause has ended pauses once more, or does nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.web.conftest import choose, path_of, post
from wagtail_prefs.access import revocations
from wagtail_prefs.access.models import AccessRequest
from wagtail_prefs.access.services import Purpose, make_token, pause_url
from wagtail_prefs.blocks.pause import LENGTHS
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import unpublish
from wagtail_prefs.changes import Change, OptOut, Pause, Resume, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.decisions.services import decide
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Key, Source

AUCKLAND = ZoneInfo("Pacific/Auckland")


@pytest.fixture
def paused(contact: Contact) -> Contact:
    """Her pause of everything ended an hour ago."""
    Contact.objects.filter(pk=contact.pk).update(timezone="Pacific/Auckland")
    over = timezone.now() - timedelta(hours=1)
    with time_machine.travel(over - timedelta(days=30)):
        choose(contact, Pause("", "", over))
    return Contact.objects.get(pk=contact.pk)


@pytest.fixture
def path(paused: Contact, center: PreferenceCenterPage) -> str:
    return path_of(pause_url(paused, "", center.translation_key))


def aged(contact: Contact, center: PreferenceCenterPage | None, days: float) -> str:
    issued = timezone.now() - timedelta(days=days)
    key = center.translation_key if center else None
    return f"/prefs/p/{make_token(Purpose.PAUSE, contact, center=key, issued=issued)}/"


def seen(client: Client, path: str) -> pages.Element:
    response = client.get(path)
    assert response.status_code == 200
    return pages.parse(response.content.decode())


def pressed(client: Client, path: str, name: str, value: str) -> tuple[str, pages.Element]:
    """Where a button leads, and the page there."""
    response = post(client, path, {name: value})
    assert response.status_code == 303
    location = str(response["Location"])
    assert location.startswith(f"{path}?saved=")
    return location.rpartition("=")[2], seen(client, location)


def until(contact: Contact, key: Key = ("", "")) -> datetime | None:
    pause = load_state(contact.pk).pauses.get(key)
    return pause.until if pause else None


def test_it_says_that_it_has_ended_and_offers_three_lengths(strict: Client, path: str) -> None:
    page = seen(strict, path)
    assert page.one("h1").words == "Your pause has ended"
    assert "you need not do anything" in page.words
    assert {button.get("value"): button.words for button in page.all("button")} == {
        code: str(LENGTHS[code][1]) for code in ("P7D", "P1M", "P3M")
    }
    assert "@" not in page.text
    assert list(page.all("script")) == []


@pytest.mark.parametrize(("length", "day"), [("P7D", 27), ("P1M", 20), ("P3M", 20)])
def test_one_press_pauses_from_today_on_in_her_time_zone(
    strict: Client, center: PreferenceCenterPage, contact: Contact, length: str, day: int
) -> None:
    Contact.objects.filter(pk=contact.pk).update(timezone="Pacific/Auckland")
    # In Auckland it is the 20th already.
    with time_machine.travel(datetime(2027, 3, 19, 12, 30, tzinfo=UTC), tick=False):
        path = path_of(pause_url(contact, "", center.translation_key))
        receipt, page = pressed(strict, path, "for", length)
        ends = until(contact)
        assert ends is not None
        assert (ends.astimezone(AUCKLAND).day, ends.astimezone(AUCKLAND).hour) == (day, 0)
        assert f"{ends.astimezone(AUCKLAND):%B} {day}, 2027" in page.one("h1").words
        assert "Your pause is saved." in page.words
        assert decide(contact.pk, "news", "email").verdict == "defer"
    record = Record.objects.get(pk=receipt)
    assert (record.contact_ref, record.actor) == (contact.pk, ActorType.SUBJECT_LINK)


def test_what_was_paused_is_what_is_paused(strict: Client, contact: Contact, center: Any) -> None:
    pressed(strict, path_of(pause_url(contact, "email", center.translation_key)), "for", "P1M")
    assert until(contact, ("", "email")) is not None
    assert until(contact) is None


def test_it_is_taken_back_once_and_by_nobody_else(
    strict: Client, path: str, paused: Contact, center: PreferenceCenterPage
) -> None:
    receipt, page = pressed(strict, path, "for", "P1M")
    button = page.one("button", name="undo")
    assert button.get("value") == receipt
    other = factories.make_contact("other@mail.example.org")
    theirs = path_of(pause_url(other, "", center.translation_key))
    assert pressed(strict, theirs, "undo", receipt)[0] == "late"
    assert until(paused) is not None
    assert "as it was before" in pressed(strict, path, "undo", receipt)[1].words
    assert until(paused) is None
    assert decide(paused.pk, "news", "email").verdict == "send"
    version = load_state(paused.pk).version
    page = pressed(strict, path, "undo", receipt)[1]
    assert load_state(paused.pk).version == version
    assert "undo" not in {button.get("name") for button in page.all("button")}


def test_nothing_but_a_pause_is_taken_back_here(strict: Client, path: str, paused: Contact) -> None:
    """Whoever learned of a receipt of hers cannot undo an opt-out with this page."""
    choose(paused, OptOut())
    receipt = str(Record.objects.filter(contact_ref=paused.pk).latest("seq").pk)
    assert pressed(strict, path, "undo", receipt)[0] == "late"
    assert load_state(paused.pk).opted_out


def test_the_same_press_again_records_nothing(strict: Client, path: str, paused: Contact) -> None:
    pressed(strict, path, "for", "P1M")
    version = load_state(paused.pk).version
    where, page = pressed(strict, path, "for", "P1M")
    assert where == "nothing"
    assert "You are pausing until" in page.words
    assert load_state(paused.pk).version == version


@pytest.mark.parametrize(
    "data",
    [
        {"x": "y"},
        {"for": "P9Y"},
        {"for": "P7D; DROP"},
        {"do": "for"},
        {"for": "P7D", "undo": "x"},
        {"undo": ["x", "y"], "for": ["P7D"]},
    ],
)
def test_any_other_form_shows_the_page(strict: Client, path: str, paused: Contact, data: Any) -> None:
    version = load_state(paused.pk).version
    assert post(strict, path, data).status_code == 200
    assert load_state(paused.pk).version == version


@pytest.mark.parametrize("receipt", ["x", "'\"><script>", "0" * 32, "paused", "\x00"])
def test_a_made_up_receipt_is_no_message(strict: Client, path: str, receipt: str) -> None:
    page = pages.parse(strict.get(path, {"saved": receipt}).content.decode())
    assert list(page.all("div", role="status")) == []
    assert list(page.all("script")) == []
    assert pressed(strict, path, "undo", receipt)[0] == "late"


def test_who_has_left_meanwhile_is_told_so_and_pauses_nothing(
    strict: Client, path: str, paused: Contact
) -> None:
    choose(paused, OptOut())
    page = seen(strict, path)
    assert page.one("h1").words == "You are unsubscribed"
    assert list(page.all("button")) == []


def test_who_pauses_already_sees_until_when(strict: Client, path: str, paused: Contact) -> None:
    choose(paused, Pause("", "", datetime(2090, 5, 3, 12, tzinfo=UTC)))
    page = seen(strict, path)
    assert page.one("h1").words == "You are pausing until May 4, 2090"  # in Auckland
    pressed(strict, path, "for", "P7D")
    ends = until(paused)
    assert ends is not None
    assert ends < timezone.now() + timedelta(days=8)  # her newest word


def test_its_way_on_is_a_manage_link_as_old_as_itself(
    strict: Client, paused: Contact, center: PreferenceCenterPage
) -> None:
    path = aged(paused, center, 59)
    way = seen(strict, path).one("main").one("a").get("href")
    assert way
    assert seen(strict, way).one("h1").words != "This link is too old"
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        assert seen(strict, way).one("h1").words == "This link is too old"


def test_an_old_one_offers_a_new_link_and_the_way_out_and_no_pause(
    strict: Client, paused: Contact, center: PreferenceCenterPage
) -> None:
    path = aged(paused, center, 61)
    page = seen(strict, path)
    assert page.one("h1").words == "This link is too old"
    assert {button.get("value") for button in page.all("button")} == {"new_link", "opt_out"}
    before = until(paused)
    post(strict, path, {"for": "P1M"})
    assert until(paused) == before
    assert post(strict, path, {"do": "new_link"}).status_code == 200
    assert AccessRequest.objects.count() == 1
    post(strict, path, {"do": "opt_out"})
    assert load_state(paused.pk).opted_out


def test_it_works_without_a_center(strict: Client, paused: Contact) -> None:
    path = path_of(pause_url(paused))
    assert list(seen(strict, path).one("main").all("a")) == []
    pressed(strict, path, "for", "P1M")
    assert decide(paused.pk, "news", "email").verdict == "defer"
    old = aged(paused, None, 61)
    assert {button.get("value") for button in seen(strict, old).all("button")} == {"opt_out"}
    post(strict, old, {"do": "opt_out"})
    assert Record.objects.filter(contact_ref=paused.pk).latest("seq").actor == ActorType.SUBJECT_LINK
    assert load_state(paused.pk).opted_out


def test_it_works_when_the_center_is_closed(
    strict: Client, path: str, paused: Contact, center: PreferenceCenterPage
) -> None:
    unpublish(center)
    assert list(seen(strict, path).one("main").all("a")) == []
    pressed(strict, path, "for", "P7D")
    assert until(paused) is not None


@pytest.mark.parametrize("how", ["contact", "center", "erased"])
def test_called_back_it_opens_nothing(
    strict: Client, path: str, paused: Contact, center: PreferenceCenterPage, how: str
) -> None:
    if how == "contact":
        revocations.contact(paused.pk)
    elif how == "center":
        with time_machine.travel(timezone.now() + timedelta(seconds=2)):
            revocations.center(center.translation_key)
    else:
        submissions.erase(paused.pk, actor=Actor(ActorType.SYSTEM), source=Source(method="api"))
    assert strict.get(path).status_code == 404
    assert post(strict, path, {"for": "P1M"}).status_code == 404


def test_a_form_of_another_website_is_refused(strict: Client, path: str, paused: Contact) -> None:
    before = until(paused)
    response = post(strict, path, {"for": "P1M"}, Origin="https://evil.example")
    assert response.status_code == 403
    assert post(strict, path, {"for": "P1M"}, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert until(paused) == before


def test_whoever_was_merged_pauses_for_whom_she_became(strict: Client, path: str, paused: Contact) -> None:
    winner = factories.make_contact("winner@mail.example.org")
    submissions.merge_contacts(
        paused.pk, winner.pk, actor=Actor(ActorType.SYSTEM), source=Source(method="api")
    )
    pressed(strict, path, "for", "P1M")
    assert until(winner) is not None


@pytest.mark.parametrize("change", [SetChoice("events", "email", SUBSCRIBED), Resume("", "")])
def test_what_she_changed_since_stays(strict: Client, path: str, paused: Contact, change: Change) -> None:
    receipt, _page = pressed(strict, path, "for", "P1M")
    choose(paused, change)
    pressed(strict, path, "undo", receipt)
    state = load_state(paused.pk)
    assert state.choices.get(("events", "email")) == (SUBSCRIBED if isinstance(change, SetChoice) else None)
    pause = state.pauses.get(("", ""))
    assert pause is None or pause.until < timezone.now()


def test_it_speaks_her_language(strict: Client, paused: Contact) -> None:
    Contact.objects.filter(pk=paused.pk).update(language="ar")
    response = strict.get(path_of(pause_url(Contact.objects.get(pk=paused.pk))))
    assert response["Content-Language"] == "ar"
    assert 'dir="rtl"' in response.content.decode()


def test_it_takes_few_statements(
    strict: Client, path: str, paused: Contact, statements: Callable[[], Any]
) -> None:
    strict.get(path)
    with statements() as shown:
        strict.get(path)
    assert len(shown) <= 3  # the link, the center, the state
    with statements() as pause:
        post(strict, path, {"for": "P1M"})
    assert len(pause) <= 9
