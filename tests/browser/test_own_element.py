"""The element on our own page: with JavaScript it takes over from the form, and without it nothing is missing."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, Locator, Page, Route, expect

from tests.example_site.conftest import Demo

from .center import LEAVE, SAVE, accessible, box, button, heading, often, save, status
from .conftest import Visitor
from .inside import Inside
from .test_embedded import Watched
from .test_own_page import walk_to

TITLE = "Your post, your choice"


def element(page: Page) -> Locator:
    return page.locator("preference-center")


def taken_over(page: Page) -> None:
    """Waits until the form is gone, and the element stands in its place."""
    expect(page.locator("form[method=post]")).to_have_count(0)
    expect(element(page)).to_be_visible()
    expect(heading(page, TITLE)).to_have_count(1)


def form_stays(page: Page) -> None:
    """Waits until the element has given up."""
    expect(page.locator("#pc-element")).to_have_count(0)
    expect(element(page)).to_have_count(0)
    expect(heading(page, TITLE)).to_have_count(1)


def test_the_element_takes_over_saves_and_keeps_the_secret(
    demo: Demo, inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, watch = watched()
    page.goto(anna["manage_url"])
    taken_over(page)
    expect(page.get_by_text("v***@c***.example")).to_be_visible()
    expect(box(page, "Group rides")).to_be_checked()
    expect(box(page, "Repair evenings")).not_to_be_checked()
    expect(often(page)).to_have_value("weekly")
    assert page.url == anna["manage_url"]  # no code is left in it
    box(page, "Group rides").focus()
    walk_to(page, SAVE)

    box(page, "Repair evenings").check()
    save(page)
    record = inside.ask("records", contact=anna["id"])[-1]
    assert (record["seq"], record["actor"], record["body"]["method"]) == (2, "subject-session", "element")
    assert inside.ask("state", contact=anna["id"])["choices"]["repair-evenings:email"] == "subscribed"
    accessible(page)

    page.reload()
    taken_over(page)
    expect(box(page, "Repair evenings")).to_be_checked()
    # Away to another site, and back.
    page.goto(f"{demo.place.customer}/")
    expect(heading(page, TITLE)).to_be_visible()
    assert page.evaluate("document.referrer") == ""
    page.go_back()
    taken_over(page)
    expect(box(page, "Repair evenings")).to_be_checked()
    button(page, LEAVE).click()
    expect(status(page)).to_contain_text("You are unsubscribed from everything")
    assert inside.ask("state", contact=anna["id"])["opted_out"]

    # security.md TK-10: nobody was told of the link but by opening it, and the tab keeps nothing.
    token = urlsplit(anna["manage_url"]).path.strip("/").rpartition("/")[2]
    asked = [one for one in watch.requests if token in f"{one.url} {one.all_headers()} {one.post_data}"]
    assert {(one.url, one.resource_type) for one in asked} == {(anna["manage_url"], "document")}
    assert not [
        one
        for one in watch.requests
        if "referer" in one.all_headers() and "/l/" in one.all_headers()["referer"]
    ]
    assert {urlsplit(one.url).netloc for one in watch.requests} == {
        urlsplit(url).netloc for url in (demo.place.site, demo.place.customer)
    }
    assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [0, 0, ""]
    assert watch.complaints == []


def test_what_is_done_before_the_script_is_there_counts_as_well(watched: Watched, visitor: Visitor) -> None:
    page, _ = watched()

    def begin(route: Route) -> None:
        often(page).focus()
        route.continue_()

    page.route("**/own-page.js", begin)
    page.goto(visitor()["manage_url"])
    form_stays(page)
    expect(often(page)).to_be_focused()


def test_the_page_of_the_next_person_in_this_tab_is_hers(watched: Watched, visitor: Visitor) -> None:
    anna, berta = visitor(), visitor()
    page, _ = watched()
    page.goto(anna["manage_url"])
    taken_over(page)
    box(page, "Group rides").uncheck()
    save(page)
    # Even where her own code is refused, nobody else's choices come up.
    page.route("**/sessions/**", lambda route: route.fulfill(status=401, json={"title": "no"}))
    page.goto(berta["manage_url"])
    form_stays(page)
    expect(box(page, "Group rides")).to_be_checked()


def test_its_policy_lets_no_other_script_run_and_no_text_become_html(
    watched: Watched, visitor: Visitor
) -> None:
    page, watch = watched()
    page.goto(visitor()["manage_url"])
    taken_over(page)
    assert watch.complaints == []
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<p></p>'")
    with pytest.raises(Error):
        page.evaluate("fetch('http://evil.localhost/')")
    page.evaluate(
        """() => {
          const parsed = document.implementation.createHTMLDocument();
          const script = parsed.createElement('script');
          script.append('document.title = "ran"');
          document.body.append(document.adoptNode(script));
        }"""
    )
    assert page.title() == TITLE
    assert any("script-src" in one or "TrustedScript" in one for one in watch.complaints)


def no_answer(route: Route) -> None:
    route.abort()


def refused(route: Route) -> None:
    route.fulfill(status=503, body="")


def nothing(route: Route) -> None:
    route.fulfill(status=200, content_type="text/javascript", body="")


@pytest.mark.parametrize(
    ("what", "becomes"),
    [
        ("**/api/v1/centers/**", no_answer),
        ("**/sessions/**", refused),
        ("**/embed/*.js", no_answer),
        ("**/embed/*.js", nothing),
        ("**/own-page.js", no_answer),
    ],
)
def test_where_anything_is_missing_the_form_stays_and_works(
    inside: Inside, watched: Watched, visitor: Visitor, what: str, becomes: Callable[[Route], None]
) -> None:
    anna = visitor()
    page, _ = watched()
    page.route(what, becomes)
    page.goto(anna["manage_url"])
    page.wait_for_load_state("networkidle")
    expect(heading(page, TITLE)).to_be_visible()
    box(page, "Repair evenings").check()
    save(page)
    assert inside.ask("records", contact=anna["id"])[-1]["actor"] == "subject-link"


def test_a_form_that_somebody_has_begun_to_fill_in_is_not_taken_away(
    inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, _ = watched()
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    page.route("**/sessions/**", hold)
    page.goto(anna["manage_url"])
    box(page, "Repair evenings").check()
    while not late:
        page.wait_for_timeout(20)
    late[0].continue_()
    form_stays(page)
    expect(box(page, "Repair evenings")).to_be_checked()
    save(page)
    # What a save did stands on the page of the form, and stays there.
    page.wait_for_load_state("networkidle")
    expect(status(page)).to_contain_text("Repair evenings by e-mail: subscribed")
    expect(page.locator("#pc-element")).to_have_count(0)
    assert inside.ask("records", contact=anna["id"])[-1]["actor"] == "subject-link"
    assert button(page, SAVE).count() == 1


def test_without_javascript_the_form_is_all_there_is(
    inside: Inside, watched: Watched, visitor: Visitor
) -> None:
    anna = visitor()
    page, watch = watched(java_script_enabled=False)
    page.goto(anna["manage_url"])
    box(page, "Repair evenings").check()
    save(page)
    assert inside.ask("records", contact=anna["id"])[-1]["actor"] == "subject-link"
    assert watch.complaints == []
