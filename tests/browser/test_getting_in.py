"""Getting in, and getting in again: sign-up, "send me my link", personal fields, another address - by mail, without a login."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.example_site.conftest import Demo, Json, until

from .center import SAVE, accessible, box, button, save, status
from .conftest import Visitor
from .inside import Inside
from .test_embedded import Watched

SECRET = re.compile(r"/(?:l|c|u)/v1\.")


def mails_to(demo: Demo, address: str) -> list[Json]:
    return [mail for mail in demo.mails() if mail["to"] == address]


def newest_mail(demo: Demo, address: str, beside: int = 0) -> Json:
    """The newest of more than `beside` mails that an address has got."""
    until(lambda: len(mails_to(demo, address)) > beside)
    return mails_to(demo, address)[0]


def link_of(mail: Json, kind: str) -> str:
    (found,) = {link for link in mail["links"] if f"/prefs/{kind}/" in link}
    return found


def to_sign_up(page: Page) -> None:
    page.get_by_role("link", name="Sign up").click()


def to_ask_for_a_link(page: Page) -> None:
    """By the center's own page, where the link leads that stands in the element until it is drawn."""
    page.goto(page.locator("preference-center > a").get_attribute("href") or "")
    page.get_by_role("link", name="Send me my link").click()


def test_signing_up_on_a_phone_without_javascript(
    demo: Demo, inside: Inside, watched: Watched, crm_knows: Callable[..., None]
) -> None:
    page, watch = watched(java_script_enabled=False, viewport={"width": 390, "height": 800})
    address = "newcomer@customer.example"
    page.goto(demo.place.customer)
    to_sign_up(page)
    box(page, "Service reminders", "Post").check()
    box(page, "Offers and used bikes", "E-mail").check()
    page.get_by_role("textbox", name="E-mail address").fill(address)
    page.wait_for_timeout(1_100)  # in less, nobody reads a form and fills it in: it would come back
    page.get_by_role("main").get_by_role("button", name=re.compile("Sign")).last.click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert address not in page.url
    mail = newest_mail(demo, address)
    assert not mail["list_unsubscribe"]
    assert inside.ask("by_address", email=address)["choices"] == {}

    page.goto(link_of(mail, "c"))
    page.goto(link_of(mail, "c"))  # a scanner was there first
    assert inside.ask("by_address", email=address)["choices"] == {}
    page.get_by_role("main").get_by_role("button").first.click()
    expect(status(page)).to_be_visible()
    known = inside.ask("by_address", email=address)
    assert known["choices"] == {"service:post": "subscribed", "offers:email": "subscribed"}
    crm_knows(known, lambda there: there["version"] >= known["version"])
    # From there to all of her choices.
    page.get_by_role("main").get_by_role("link").first.click()
    expect(box(page, "Service reminders", "Post")).to_be_checked()
    assert page.context.cookies() == []
    for request in watch.requests:
        assert not SECRET.search(request.all_headers().get("referer", ""))


def test_asking_for_ones_link(demo: Demo, watched: Watched, visitor: Visitor) -> None:
    known, stranger = visitor()["email"], "nobody-we-know@customer.example"
    page, _watch = watched()
    said = []
    for address in (known, stranger):
        page.goto(demo.place.customer)
        to_ask_for_a_link(page)
        page.get_by_role("textbox", name="E-mail address").fill(address)
        page.get_by_role("main").get_by_role("button").last.click()
        expect(status(page)).to_be_visible()
        said.append(page.get_by_role("main").inner_text())
        assert address not in page.url
    assert said[0] == said[1]
    page.goto(link_of(newest_mail(demo, known), "l"))
    expect(button(page, SAVE).last).to_be_visible()
    assert mails_to(demo, stranger) == []


def test_asking_for_ones_link_in_the_element(demo: Demo, watched: Watched, visitor: Visitor) -> None:
    known, stranger = visitor()["email"], "nobody-else-we-know@customer.example"
    page, _watch = watched()
    said = []
    for address in (known, stranger):
        page.goto(demo.place.customer)
        page.get_by_role("textbox", name=re.compile("^E-mail address")).fill(address)
        page.get_by_role("button", name="Send me my link").click()
        expect(page.get_by_role("status")).to_contain_text("link")
        said.append(page.get_by_role("status").inner_text())
        assert address not in page.url
    assert said[0] == said[1]
    page.goto(link_of(newest_mail(demo, known), "l"))
    expect(button(page, SAVE).last).to_be_visible()
    assert mails_to(demo, stranger) == []


def test_personal_fields_take_a_fresh_link_and_a_new_address_its_own_yes(
    demo: Demo, inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    contact = visitor()
    page, _watch = watched(java_script_enabled=False)
    page.goto(contact["manage_url"])
    # Behind an old mail the fields are shut.
    name = page.get_by_label("Given name")
    expect(name).not_to_be_editable()
    page.get_by_role("button", name=re.compile("fresh link")).first.click()
    expect(status(page)).to_be_visible()
    fresh = link_of(newest_mail(demo, contact["email"]), "l")
    page.goto(fresh)
    page.goto(fresh)  # looking uses nothing up
    page.get_by_role("main").get_by_role("button").first.click()
    expect(page.get_by_label("Given name")).to_be_editable()
    page.get_by_label("Given name").fill("Sam")
    moved = f"moved-{contact['email']}"
    page.get_by_label(re.compile("New e-mail address")).fill(moved)
    save(page)
    assert inside.ask("state", contact=contact["id"])["email"] == contact["email"]
    # Used up: the same link opens nothing more.
    page.goto(fresh)
    expect(page.get_by_label("Given name")).to_have_count(0)

    page.goto(link_of(newest_mail(demo, moved), "c"))
    before = len(mails_to(demo, contact["email"]))
    page.get_by_role("main").get_by_role("button").first.click()
    expect(status(page)).to_be_visible()
    after = inside.ask("state", contact=contact["id"])
    assert after["email"] == moved
    assert after["choices"]["rides:email"] == "subscribed"  # what she chose moves with her
    told = newest_mail(demo, contact["email"], before)
    assert moved not in str(told)
    # What an old mail opens is over; its way out is not.
    page.goto(contact["manage_url"])
    expect(button(page, SAVE)).to_have_count(0)
    page.goto(contact["one_click_url"])
    page.get_by_role("button", name="Unsubscribe", exact=True).click()
    expect(status(page)).to_be_visible()
    assert inside.ask("state", contact=contact["id"])["choices"]["rides:email"] == "unsubscribed"


def test_the_pages_are_accessible(demo: Demo, watched: Watched) -> None:
    page, _watch = watched()
    for go in (to_sign_up, to_ask_for_a_link):
        page.goto(demo.place.customer)
        go(page)
        accessible(page)
        # And what is said of no address at all, where the browser lets that pass.
        page.evaluate("document.querySelectorAll('form').forEach((form) => { form.noValidate = true })")
        page.get_by_role("textbox", name="E-mail address").fill("")
        page.get_by_role("main").get_by_role("button").last.click()
        expect(page.get_by_role("alert").or_(page.get_by_role("status")).first).to_be_visible()
        accessible(page)
