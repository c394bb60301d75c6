"""The element on another origin, under that site's strict policy, as a visitor meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, BrowserType, Error, Page, Route, expect

from tests.example_site.conftest import Demo, Json

from .center import COME_BACK, LEAVE, SAVE, SAVED, box, button, heading, often, save, status
from .conftest import PATIENCE, Visitor
from .inside import Inside
from .watch import Watch

TITLE = "Your post, your choice"

Watched = Callable[..., tuple[Page, Watch]]


def open_center(page: Page, visitor: Json) -> Page:
    page.goto(visitor["embed_url"])
    expect(button(page, SAVE)).to_be_visible()
    return page


def open_from_the_mail(demo: Demo, page: Page, contact: Json, link: str) -> Page:
    """Finds her mail in the mailbox, and presses a link in it; mail clients open a new tab."""
    page.goto(f"{demo.place.mailbox}/")
    page.get_by_label("To").fill(contact["email"])
    button(page, "Find").click()
    page.get_by_role("link", name=contact["email"]).click()
    mail = page.get_by_title("The mail as it looks").content_frame
    with page.context.expect_page() as opened:
        mail.get_by_role("link", name=link).click()
    return opened.value


def test_from_a_mail_to_the_crm_through_a_foreign_site(
    demo: Demo, inside: Inside, watched: Watched, crm_knows: Callable[..., None]
) -> None:
    contact = demo.facts["contacts"][0]
    before = inside.ask("state", contact=contact["id"])
    mailbox, watch = watched()
    page = open_from_the_mail(demo, mailbox, contact, "The same in the members’ corner")

    # She lands on the customer's site, and the code is gone from the address.
    expect(heading(page, TITLE)).to_be_visible()
    expect(page).to_have_url(f"{demo.place.customer}/")
    expect(page.get_by_text("t***@c***.example")).to_be_visible()
    assert contact["email"] not in page.content()

    expect(box(page, "Group rides")).not_to_be_checked()
    expect(box(page, "Offers and used bikes", "Text message")).to_be_checked()
    box(page, "Group rides").check()
    box(page, "Offers and used bikes", "Text message").uncheck()
    often(page).select_option(label="At most one every three months")
    save(page)

    # The ledger and the state say so at once.
    record = inside.ask("records", contact=contact["id"])[-1]
    assert (record["seq"], record["actor"]) == (before["version"] + 1, "subject-session")
    after = inside.ask("state", contact=contact["id"])
    assert changed(before["choices"], after["choices"]) == {
        "rides:email": "subscribed",
        "offers:sms": "unsubscribed",
    }
    assert changed(before["frequencies"], after["frequencies"]) == {":": "quarterly"}

    # The CRM says so soon.
    crm_knows(contact, lambda known: known["version"] == after["version"])
    known = demo.known()[contact["id"]]
    assert known["choices"]["rides"]["email"] == "subscribed"
    assert known["choices"]["offers"]["sms"] == "unsubscribed"
    assert known["frequencies"]["all"] == "quarterly"
    mailbox.goto(f"{demo.place.crm}/")
    entry = mailbox.get_by_role("listitem").filter(has=heading(mailbox, contact["email"]))
    expect(entry).to_contain_text(f"version {after['version']}")
    expect(entry).to_contain_text("quarterly")

    page.reload()
    expect(box(page, "Group rides")).to_be_checked()
    expect(box(page, "Offers and used bikes", "Text message")).not_to_be_checked()
    expect(often(page)).to_have_value("quarterly")

    assert watch.complaints == []
    assert_secrets_kept(demo, page, watch, contact)
    assert page.context.cookies() == []


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in after.items() if before.get(key) != value}


def assert_secrets_kept(demo: Demo, page: Page, watch: Watch, contact: Json) -> None:
    """security.md TK-10: the link stays with us, the code leaves no trace, the tab keeps a session and no more."""
    # As it stood in the mail: `prefs_demo --json` may have made another in the next second.
    link = next(one for one in watch.requests if one.url.startswith(f"{demo.place.site}/prefs/l/"))
    token = urlsplit(link.url).path.strip("/").rpartition("/")[2]
    redirect = link.response()
    assert redirect
    where, _, code = redirect.headers["location"].partition("#pc=")
    assert where == f"{demo.place.customer}/"
    assert len(code) > 40

    told = watch.sent_to(demo.place.customer)
    reach = watch.in_reach(page)
    for secret in (token, code, contact["email"]):
        assert secret not in told
        assert secret not in reach
    assert page.evaluate("document.referrer") == ""
    kept = page.evaluate("Object.entries(sessionStorage)")
    assert [name.split()[0] for name, _ in kept] == ["preference-center"]
    assert kept[0][1].startswith("s1.")
    assert page.evaluate("localStorage.length") == 0


def test_unsubscribing_from_everything_and_coming_back(
    inside: Inside, watched: Watched, visitor: Visitor, crm_knows: Callable[..., None]
) -> None:
    anna = visitor()
    page, watch = watched()
    open_center(page, anna)
    expect(box(page, "Group rides")).to_be_checked()
    button(page, LEAVE).click()
    expect(status(page)).to_contain_text(SAVED)
    expect(box(page, "Group rides")).not_to_be_checked()
    expect(button(page, LEAVE)).to_have_count(0)
    assert inside.ask("state", contact=anna["id"])["opted_out"]
    crm_knows(anna, lambda known: known["opted_out"])

    # Coming back brings nothing back but the way to choose.
    button(page, COME_BACK).click()
    expect(button(page, LEAVE)).to_be_visible()
    expect(box(page, "Group rides")).not_to_be_checked()
    now = inside.ask("state", contact=anna["id"])
    assert not now["opted_out"]
    assert set(now["choices"].values()) == {"unsubscribed"}
    assert watch.complaints == []


def test_a_save_while_offline_waits_and_goes_out(inside: Inside, watched: Watched, visitor: Visitor) -> None:
    anna = visitor()
    page, _ = watched()
    open_center(page, anna)
    box(page, "Repair evenings").check()
    page.context.set_offline(True)
    button(page, SAVE).click()
    expect(status(page)).to_contain_text("You are offline")
    expect(box(page, "Repair evenings")).to_be_checked()
    assert inside.ask("state", contact=anna["id"])["version"] == 1

    page.context.set_offline(False)
    expect(status(page)).to_contain_text(SAVED)
    assert inside.ask("state", contact=anna["id"])["choices"]["repair-evenings:email"] == "subscribed"
    assert len(inside.ask("records", contact=anna["id"])) == 2


def test_a_save_whose_answer_got_lost_is_recorded_once(
    inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, _ = watched()
    open_center(page, anna)
    box(page, "Repair evenings").check()

    def lose_the_answer(route: Route) -> None:
        if route.request.method == "PATCH":
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/preferences/**", lose_the_answer)
    button(page, SAVE).click()
    expect(status(page)).to_contain_text("You are offline")
    page.unroute("**/preferences/**")
    save(page)
    assert len(inside.ask("records", contact=anna["id"])) == 2


def test_a_session_that_ended_is_told_and_the_link_opens_a_new_one(
    watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, _ = watched()
    open_center(page, anna)
    page.evaluate(
        "for (const name of Object.keys(sessionStorage)) sessionStorage.setItem(name, 's1.demo.e30.AAAA')"
    )
    page.reload()
    expect(page.get_by_text("This page was open for too long")).to_be_visible()
    expect(page.get_by_text("please open the link in one of our mails again")).to_be_visible()
    expect(box(page, "Group rides")).to_be_disabled()
    expect(button(page, SAVE)).to_have_count(0)
    assert page.evaluate("sessionStorage.length") == 0

    open_center(page, anna)
    expect(box(page, "Group rides")).to_be_checked()


def test_a_session_that_ends_in_the_middle_keeps_what_was_edited(
    inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, _ = watched()
    open_center(page, anna)
    box(page, "Repair evenings").check()

    def forget(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "authorization": "Bearer s1.demo.e30.AAAA"})

    page.route("**/preferences/**", forget)
    button(page, SAVE).click()
    expect(page.get_by_text("This page was open for too long")).to_be_visible()
    expect(box(page, "Repair evenings")).to_be_checked()
    assert inside.ask("state", contact=anna["id"])["version"] == 1


def test_a_second_tab_with_an_old_state_is_merged_and_told(
    inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    first, _ = watched()
    open_center(first, anna)
    second = open_center(first.context.new_page(), anna)

    often(first).select_option(label="At most one every three months")
    box(first, "Group rides").uncheck()
    save(first)

    # The other tab still shows "at most one a week", and rides ticked.
    often(second).select_option(label="At most one a month")
    box(second, "Repair evenings").check()
    save(second)
    expect(status(second)).to_contain_text("Something was changed in the meantime")
    expect(status(second)).to_contain_text(
        "How often: Everything: changed elsewhere in the meantime; “At most one every three months” stays."
    )
    expect(often(second)).to_have_value("quarterly")
    # What was not touched here is as it was made there.
    expect(box(second, "Group rides")).not_to_be_checked()
    now = inside.ask("state", contact=anna["id"])
    assert now["frequencies"] == {":": "quarterly"}
    assert now["choices"] == {
        "rides:email": "unsubscribed",
        "offers:sms": "subscribed",
        "repair-evenings:email": "subscribed",
    }


def test_only_what_was_touched_is_sent(watched: Watched, visitor: Visitor) -> None:
    page, watch = watched()
    open_center(page, visitor())
    box(page, "Repair evenings").check()
    box(page, "Group rides").uncheck()
    box(page, "Group rides").check()
    save(page)
    sent = next(one for one in watch.requests if one.method == "PATCH").post_data_json
    assert list(sent["answers"].values()) == [{"choices": {"repair-evenings": {"email": True}}}]


def test_a_refused_answer_is_told_beside_its_field(
    inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, _ = watched()
    open_center(page, anna)
    refuse_frequency(page)
    often(page).select_option(label="At most one a month")
    button(page, SAVE).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Some of it could not be saved")
    link = alert.get_by_role("link", name="Everything")
    link.click()
    expect(often(page)).to_be_focused()
    expect(often(page)).to_have_attribute("aria-invalid", "true")
    expect(often(page)).to_have_value("monthly")
    assert inside.ask("state", contact=anna["id"])["version"] == 1


def refuse_frequency(page: Page) -> None:
    """Make the next save ask for what the center does not offer."""

    def spoil(route: Route) -> None:
        data = route.request.post_data or ""
        if route.request.method == "PATCH":
            route.continue_(post_data=data.replace("monthly", "daily"))
        else:
            route.continue_()

    page.route("**/preferences/**", spoil)


def test_without_a_link_the_center_is_shown_and_closed(demo: Demo, watched: Watched) -> None:
    page, watch = watched()
    page.goto(f"{demo.place.customer}/")
    expect(heading(page, TITLE)).to_be_visible()
    expect(page.get_by_text("open the link in one of our mails")).to_be_visible()
    expect(box(page, "Group rides")).to_be_disabled()
    expect(button(page, LEAVE)).to_be_disabled()
    assert watch.complaints == []


def test_the_customers_policy_would_refuse_what_other_widgets_do(demo: Demo, watched: Watched) -> None:
    """What the other tests rest on: the policy is in force, and a breach is noticed."""
    page, watch = watched()
    page.goto(f"{demo.place.customer}/")
    expect(heading(page, TITLE)).to_be_visible()
    assert watch.complaints == []
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<p></p>'")
    page.evaluate(
        "document.head.append(Object.assign(document.createElement('style'), {textContent: 'p{}'}))"
    )
    assert any("style-src" in complaint for complaint in watch.complaints)


def test_german_readers_are_led_to_the_german_page(demo: Demo, watched: Watched, visitor: Visitor) -> None:
    page, watch = watched(locale="de-DE")
    page.goto(visitor("de")["embed_url"])
    expect(heading(page, "Ihre Post, Ihre Wahl")).to_be_visible()
    expect(page).to_have_url(f"{demo.place.customer}/de/")
    box(page, "Reparaturabende", "E-Mail").check()
    button(page, "Auswahl speichern").click()
    expect(status(page)).to_contain_text("gespeichert")
    assert watch.complaints == []


def test_the_host_pages_own_link_stays_when_the_site_does_not_answer(demo: Demo, watched: Watched) -> None:
    page, _ = watched()
    page.route("**/api/v1/**", lambda route: route.abort())
    page.goto(f"{demo.place.customer}/")
    expect(page.get_by_role("link", name="Manage your preferences")).to_be_visible()


@pytest.fixture
def without_cookies(
    browser_type: BrowserType, browser_type_launch_args: Json, tmp_path: Path
) -> BrowserContext:
    """A browser whose owner forbids every cookie; names like `sessionStorage` then throw."""
    profile = tmp_path / "Default"
    profile.mkdir()
    settings = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Preferences").write_text(json.dumps(settings))
    context = browser_type.launch_persistent_context(
        str(tmp_path), **browser_type_launch_args, locale="en-GB"
    )
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def test_nothing_needs_cookies_or_storage(
    inside: Inside, visitor: Visitor, without_cookies: BrowserContext
) -> None:
    anna = visitor()
    watch = Watch(without_cookies)
    page = without_cookies.new_page()
    open_center(page, anna)
    with pytest.raises(Error, match="sessionStorage"):
        page.evaluate("sessionStorage.length")  # it is blocked indeed
    box(page, "Repair evenings").check()
    save(page)
    assert inside.ask("state", contact=anna["id"])["choices"]["repair-evenings:email"] == "subscribed"
    assert without_cookies.cookies() == []
    assert watch.complaints == []
