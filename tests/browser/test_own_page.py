"""The own page behind a link, with JavaScript off, and by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.example_site.conftest import Demo

from .center import COME_BACK, LEAVE, SAVE, SAVED, box, button, form_only, heading, often, save, status
from .conftest import Visitor
from .inside import Inside
from .test_embedded import Watched, changed, open_from_the_mail
from .watch import Watch


def test_from_a_mail_to_the_crm_without_javascript(
    demo: Demo, inside: Inside, watched: Watched, crm_knows: Callable[..., None]
) -> None:
    contact = demo.facts["contacts"][1]
    before = inside.ask("state", contact=contact["id"])
    mailbox, watch = watched(java_script_enabled=False)
    page = open_from_the_mail(demo, mailbox, contact, "Choose what we send you")

    expect(heading(page, "Your post, your choice")).to_be_visible()
    # Not the very address of `prefs_demo --json`: a link holds the second in which it was made.
    expect(page).to_have_url(re.compile(rf"^{re.escape(demo.place.site)}/prefs/l/v1\.[^?#]+/$"))
    address = urlsplit(page.url).path
    assert contact["email"] not in page.content()
    expect(box(page, "Service reminders", "Post")).not_to_be_checked()
    expect(box(page, "Offers and used bikes", "Text message")).to_be_checked()
    box(page, "Service reminders", "Post").check()
    box(page, "Offers and used bikes", "Text message").uncheck()
    often(page).select_option(label="At most one every three months")
    save(page)
    expect(status(page)).to_contain_text("Service reminders by post: subscribed")
    expect(status(page)).to_contain_text("Offers and used bikes by text message: unsubscribed")
    expect(status(page)).to_contain_text("How often: Everything: At most one every three months")
    assert urlsplit(page.url).path == address

    record = inside.ask("records", contact=contact["id"])[-1]
    assert (record["seq"], record["actor"]) == (before["version"] + 1, "subject-link")
    after = inside.ask("state", contact=contact["id"])
    assert changed(before["choices"], after["choices"]) == {
        "service:post": "subscribed",
        "offers:sms": "unsubscribed",
    }
    assert changed(before["frequencies"], after["frequencies"]) == {":": "quarterly"}

    crm_knows(contact, lambda known: known["version"] == after["version"])
    known = demo.known()[contact["id"]]
    assert known["choices"]["service"]["post"] == "subscribed"
    assert known["frequencies"]["all"] == "quarterly"
    mailbox.goto(f"{demo.place.crm}/")
    entry = mailbox.get_by_role("listitem").filter(has=heading(mailbox, contact["email"]))
    expect(entry).to_contain_text(f"version {after['version']}")

    page.goto(contact["manage_url"])
    expect(status(page)).to_have_count(0)
    expect(box(page, "Service reminders", "Post")).to_be_checked()
    expect(box(page, "Offers and used bikes", "Text message")).not_to_be_checked()
    expect(often(page)).to_have_value("quarterly")
    assert page.context.cookies() == []
    assert_told_to_nobody(watch, address)


def assert_told_to_nobody(watch: Watch, token: str) -> None:
    """The link is in the address of the page, and so must not be in anything that the page asks for."""
    assert any(token in request.url for request in watch.requests)
    for request in watch.requests:
        assert token not in request.all_headers().get("referer", "")


def test_unsubscribing_from_everything_and_coming_back(
    inside: Inside, watched: Watched, visitor: Visitor, crm_knows: Callable[..., None]
) -> None:
    anna = visitor()
    page, _ = watched(java_script_enabled=False)
    page.goto(anna["manage_url"])
    box(page, "Repair evenings").check()  # a pressed action takes nothing else along
    button(page, LEAVE).click()
    expect(status(page)).to_contain_text("You are unsubscribed from everything")
    expect(box(page, "Group rides")).not_to_be_checked()
    expect(button(page, LEAVE)).to_have_count(0)
    now = inside.ask("state", contact=anna["id"])
    assert now["opted_out"]
    assert "repair-evenings:email" not in now["choices"]
    crm_knows(anna, lambda known: known["opted_out"])

    button(page, COME_BACK).click()
    expect(status(page)).to_contain_text("You are no longer unsubscribed from everything")
    expect(button(page, LEAVE)).to_be_visible()
    expect(box(page, "Group rides")).not_to_be_checked()
    now = inside.ask("state", contact=anna["id"])
    assert not now["opted_out"]
    assert set(now["choices"].values()) == {"unsubscribed"}


def test_an_old_tab_is_merged_and_told(inside: Inside, watched: Watched, visitor: Visitor) -> None:
    anna = visitor()
    old, _ = watched(java_script_enabled=False)
    old.goto(anna["manage_url"])
    new = old.context.new_page()
    new.goto(anna["manage_url"])
    often(new).select_option(label="At most one every three months")
    save(new)

    often(old).select_option(label="At most one a month")
    box(old, "Repair evenings").check()
    save(old)
    expect(status(old)).to_contain_text("Something was changed in the meantime")
    expect(status(old)).to_contain_text("“At most one every three months” stays")
    expect(often(old)).to_have_value("quarterly")
    assert inside.ask("state", contact=anna["id"])["frequencies"] == {":": "quarterly"}


def test_a_form_sent_twice_is_recorded_once(inside: Inside, watched: Watched, visitor: Visitor) -> None:
    anna = visitor()
    page, _ = watched(java_script_enabled=False)
    page.goto(anna["manage_url"])
    box(page, "Repair evenings").check()
    button(page, SAVE).dblclick()
    expect(status(page)).to_contain_text(SAVED)
    assert len(inside.ask("records", contact=anna["id"])) == 2

    # The way back shows what holds now, not what once was.
    page.go_back()
    expect(box(page, "Repair evenings")).to_be_checked()


def test_a_one_click_page_acts_when_its_button_is_pressed(
    inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, _ = watched(java_script_enabled=False)
    page.goto(anna["one_click_url"])
    expect(heading(page, "Stop getting “Group rides by e-mail”?")).to_be_visible()
    assert inside.ask("state", contact=anna["id"])["version"] == 1
    button(page, "Unsubscribe").click()
    expect(status(page)).to_contain_text("You are unsubscribed")
    now = inside.ask("state", contact=anna["id"])
    assert now["choices"]["rides:email"] == "unsubscribed"
    assert now["choices"]["offers:sms"] == "subscribed"

    page.get_by_role("link", name="See and change all of your choices").click()
    expect(box(page, "Group rides")).not_to_be_checked()
    expect(box(page, "Offers and used bikes", "Text message")).to_be_checked()


def test_an_old_link_still_unsubscribes(
    demo: Demo, inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, _ = watched(java_script_enabled=False)
    page.goto(demo.place.site + inside.ask("old_link", contact=anna["id"]))
    expect(heading(page, "This link is too old")).to_be_visible()
    expect(page.get_by_role("checkbox")).to_have_count(0)
    button(page, LEAVE).click()
    expect(status(page)).to_contain_text("You are unsubscribed")
    assert inside.ask("state", contact=anna["id"])["opted_out"]


# --- by keyboard -----------------------------------------------------------------------------------------------------


def focus_shows(page: Page) -> bool:
    """Whether a ring stands around what has the focus (WCAG 2.4.7), also inside a shadow root."""
    shows: bool = page.evaluate(
        """() => {
          let focused = document.activeElement;
          while (focused.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
          const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(focused);
          return focused === document.body
            || (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && !/, 0\\)$/.test(outlineColor));
        }"""
    )
    return shows


def walk_to(page: Page, name: str, *, most: int = 60) -> int:
    """Press Tab until the button of that name has the focus; returns how often it took."""
    page.wait_for_load_state()  # else Tab is pressed before the style sheets are there
    wanted = button(page, name)
    for presses in range(1, most + 1):
        page.keyboard.press("Tab")
        assert focus_shows(page), f"after {presses} times Tab, nobody sees where the focus is"
        if wanted.evaluate("one => one.getRootNode().activeElement === one"):
            return presses
    raise AssertionError(f"“{name}” is not reached by keyboard")


@pytest.mark.parametrize("where", ["manage_url", "embed_url"])
def test_a_choice_and_the_way_out_by_keyboard(
    inside: Inside, watched: Watched, visitor: Visitor, where: str
) -> None:
    anna = visitor()
    page, watch = watched()
    form_only(page)
    page.goto(anna[where])
    expect(button(page, SAVE).last).to_be_visible()
    rides = box(page, "Group rides")
    for _ in range(20):
        page.keyboard.press("Tab")
        if rides.evaluate("one => one.getRootNode().activeElement === one"):
            break
    page.keyboard.press("Space")
    expect(rides).not_to_be_checked()
    walk_to(page, SAVE)
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text(SAVED)
    assert inside.ask("state", contact=anna["id"])["choices"]["rides:email"] == "unsubscribed"

    walk_to(page, LEAVE)
    page.keyboard.press("Enter")
    expect(button(page, COME_BACK)).to_be_visible()
    assert inside.ask("state", contact=anna["id"])["opted_out"]
    assert watch.complaints == []


def test_three_keys_are_enough_to_leave(inside: Inside, watched: Watched, visitor: Visitor) -> None:
    """security.md WC-02, LW-03: no second page, nothing to fill in."""
    anna = visitor()
    page, watch = watched()
    page.goto(anna["one_click_url"])
    walk_to(page, "Unsubscribe")  # the first thing in the page's main part
    assert walk_to(page, LEAVE) == 1
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text("You are unsubscribed")
    assert inside.ask("state", contact=anna["id"])["opted_out"]
    assert watch.complaints == []


def test_after_a_save_the_focus_is_on_what_it_did(watched: Watched, visitor: Visitor) -> None:
    page, _ = watched()
    form_only(page)
    page.goto(visitor()["manage_url"])
    box(page, "Repair evenings").check()
    save(page)
    expect(status(page)).to_be_focused()
