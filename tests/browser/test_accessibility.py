"""axe finds nothing on any page that a visitor meets, in any of its states, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.example_site.conftest import Demo

from .center import LEAVE, SAVE, accessible, box, button, form_only, heading, often, save, status, too_wide
from .conftest import Visitor
from .inside import Inside
from .test_embedded import Watched, refuse_frequency

OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(demo: Demo, inside: Inside, watched: Watched, visitor: Visitor) -> OpenPage:
    """Opens a page by its name here, for somebody new."""

    def open_page(which: str, *, language: str = "en", **options: Any) -> Page:
        somebody = visitor(language)
        url = {
            "customer": somebody["embed_url"],
            "own": somebody["manage_url"],
            "one-click": somebody["one_click_url"],
            "closed": f"{demo.place.customer}/",
            "center": demo.facts["centers"][0]["url"],
            "center in German": f"{demo.place.site}/de/ihre-post/",
            "old link": demo.place.site + inside.ask("old_link", contact=somebody["id"]),
            "no link": f"{demo.place.site}/prefs/l/v1.no.such/",
            "home": f"{demo.place.site}/",
            "crm": f"{demo.place.crm}/",
            "mailbox": f"{demo.place.mailbox}/",
            "mail": demo.mails()[0]["url"],
        }[which]
        page, _ = watched(**options)
        form_only(page)
        page.goto(url)
        page.wait_for_load_state("networkidle")
        expect(page.get_by_role("heading").first).to_be_visible()
        return page

    return open_page


@pytest.mark.parametrize("which", ["customer", "own"])
def test_choices_before_and_after_a_save(open_page: OpenPage, which: str) -> None:
    page = open_page(which)
    accessible(page)
    box(page, "Repair evenings").check()
    save(page)
    accessible(page)
    button(page, LEAVE).click()
    expect(button(page, LEAVE)).to_have_count(0)
    accessible(page)


@pytest.mark.parametrize("which", ["customer", "own", "one-click", "center in German"])
def test_in_german(open_page: OpenPage, which: str) -> None:
    page = open_page(which, language="de", locale="de-DE")
    assert page.evaluate("document.documentElement.lang") == "de"
    accessible(page)


@pytest.mark.parametrize("which", ["customer", "own"])
def test_from_right_to_left(watched: Watched, visitor: Visitor, which: str) -> None:
    page, _ = watched()
    page.route("**/api/v1/centers/*/?*", turn_document)
    page.route("**/prefs/l/*/", turn_page)
    form_only(page)
    page.goto(visitor()["manage_url" if which == "own" else "embed_url"])
    title = heading(page, "How often?")
    expect(title).to_be_visible()
    assert title.evaluate("one => getComputedStyle(one).direction") == "rtl"
    accessible(page)


def turn_document(route: Route) -> None:
    """The same center, as it comes in a language that is written from right to left."""
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "direction": "rtl"})


def turn_page(route: Route) -> None:
    answer = route.fetch(max_redirects=0)
    route.fulfill(response=answer, body=answer.text().replace('dir="ltr"', 'dir="rtl"'))


def test_refused_answers_on_the_customers_site(open_page: OpenPage) -> None:
    page = open_page("customer")
    refuse_frequency(page)
    often(page).select_option(label="At most one a month")
    button(page, SAVE).click()
    expect(page.get_by_role("alert")).to_be_visible()
    accessible(page)


def test_refused_answers_on_the_own_page(open_page: OpenPage) -> None:
    page = open_page("own")
    often(page).evaluate("one => { one.options[0].value = 'hourly'; one.selectedIndex = 0; }")
    button(page, SAVE).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Some of it could not be saved")
    accessible(page)
    alert.get_by_role("link").first.click()
    expect(often(page)).to_be_focused()


def test_an_expired_session(open_page: OpenPage) -> None:
    page = open_page("customer")
    page.evaluate(
        "for (const name of Object.keys(sessionStorage)) sessionStorage.setItem(name, 's1.demo.e30.AAAA')"
    )
    page.reload()
    expect(page.get_by_text("This page was open for too long")).to_be_visible()
    accessible(page)


@pytest.mark.parametrize("which", ["closed", "center", "no link", "home", "crm", "mailbox", "mail"])
def test_pages_for_anybody(open_page: OpenPage, which: str) -> None:
    accessible(open_page(which))


@pytest.mark.parametrize(("which", "press"), [("one-click", "Unsubscribe"), ("old link", LEAVE)])
def test_leaving(open_page: OpenPage, which: str, press: str) -> None:
    page = open_page(which)
    accessible(page)
    button(page, press).click()
    expect(status(page)).to_contain_text("You are unsubscribed")
    accessible(page)


def test_a_receipt_its_page_for_anybody_and_what_that_says(open_page: OpenPage) -> None:
    page = open_page("own")
    box(page, "Repair evenings").check()
    save(page)
    page.get_by_role("link", name="Your receipt").click()
    expect(heading(page, "Your receipt")).to_be_visible()
    accessible(page)
    files = page.get_by_role("list").get_by_role("link")
    expect(files).to_have_count(3)
    with page.expect_download() as started:
        files.first.click()
    file = started.value.path()
    page.get_by_role("link", name="Show somebody that it is genuine").click()
    expect(heading(page, "Is this receipt genuine?")).to_be_visible()
    assert "Repair" not in page.content()
    accessible(page)
    page.get_by_label("The file, as it was downloaded").set_input_files(file)
    button(page, "Check it").click()
    expect(heading(page, "This receipt is genuine")).to_be_visible()
    accessible(page)
    page.get_by_label("Or all that stands in it").fill(file.read_text().replace("given", "refused"))
    button(page, "Check it").click()
    expect(heading(page, "This receipt was changed")).to_be_visible()
    accessible(page)


@pytest.mark.parametrize("which", ["customer", "own"])
def test_letters_of_double_size_with_more_space_between_them(open_page: OpenPage, which: str) -> None:
    """WCAG 1.4.4 and 1.4.12."""
    page = open_page(which, viewport={"width": 1280, "height": 900}, bypass_csp=True)
    page.add_style_tag(
        content="html { font-size: 200% } * { line-height: 1.5 !important; letter-spacing: .12em !important; "
        "word-spacing: .16em !important }"
    )
    assert too_wide(page) == []


@pytest.mark.parametrize("which", ["customer", "own"])
def test_ticks_are_seen_in_forced_colours(open_page: OpenPage, which: str) -> None:
    """The system then paints over backgrounds, and a tick that is drawn as one would be gone."""
    page = open_page(which, forced_colors="active")
    rides = box(page, "Group rides")
    ticked = rides.screenshot()
    rides.uncheck()
    rides.blur()
    page.mouse.move(0, 0)
    assert rides.screenshot() != ticked
