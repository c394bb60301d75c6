"""How the own page loads: one style sheet holds it up, nothing moves, and the element comes without a flash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, ViewportSize, expect

from tests import pages

from . import page_states

OWN = f"{page_states.gallery.ORIGIN}/own/"

PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1100, "height": 800}
#: Notes every layout shift from the beginning, whether or not somebody had just pressed something.
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((one) => one.toJSON())))
  .observe({ type: 'layout-shift', buffered: true });
"""
#: Where everything stands: words by themselves, fields by their ids, and the whole page.
PLACES = """() => {
  const root = document.querySelector('preference-center')?.shadowRoot ?? document;
  const at = { page: [0, 0, document.documentElement.scrollWidth, document.documentElement.scrollHeight] };
  for (const one of root.querySelectorAll('h1, h2, h3, h1 ~ p, h2 ~ p, li, tbody th, label, legend, button, input[id], select[id]')) {
    const { x, y, width, height } = one.getBoundingClientRect();
    const name = one.id && one.matches('input, select') ? `#${one.id}` : one.innerText.trim();
    // A label is as wide as its line in one, and as its words in the other: nobody sees that.
    const seen = one.matches('label') && one.querySelector('input');
    if (width > 2 && name && !seen) at[name] ??= [x, y + scrollY, width, height].map(Math.round);
  }
  return at;
}"""


def moved(before: Any, after: Any) -> dict[str, Any]:
    """What begins more than a pixel or two from where it began: rounding, and the width of a border."""
    assert len(before.keys() & after.keys()) > 25
    return {
        name: (place, after[name])
        for name, place in before.items()
        if name in after
        and any(abs(was - now) > 2 for was, now in zip(place[:2], after[name][:2], strict=True))
    } | ({"page": (before["page"], after["page"])} if abs(before["page"][3] - after["page"][3]) > 2 else {})


def taken_over(page: Page) -> None:
    expect(page.locator("preference-center")).to_be_visible()
    expect(page.locator("form[method=post]")).to_have_count(0)


@pytest.fixture
def own(new_context: Callable[..., BrowserContext]) -> Callable[..., Page]:
    """Opens somebody's page, with the element not let in yet."""

    def make(size: ViewportSize, locale: str = "en") -> Page:
        html, answers = page_states.with_element(
            page_states.snapshot(locale, *page_states.BLOCKS), page_states.person()
        )
        context = new_context(viewport=size, reduced_motion="reduce")
        page = page_states.show(context, html, answers=answers)
        page.add_init_script(SHIFTS)
        return page

    return make


@pytest.mark.parametrize("locale", ["en", "ar"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_moves_while_it_loads_or_when_the_element_comes(
    own: Callable[..., Page], size: ViewportSize, locale: str
) -> None:
    page = own(size, locale)
    places: list[Any] = []

    def look(route: Route) -> None:
        places.append(page.evaluate(PLACES))
        route.fallback()

    page.route("**/preference-center.js", look)
    page.goto(OWN)
    taken_over(page)
    before, after = places[0], page.evaluate(PLACES)
    assert moved(before, after) == {}
    assert page.evaluate("shifts") == []


def test_one_style_sheet_holds_the_first_paint_up_and_nothing_else(own: Callable[..., Page]) -> None:
    page = own(PHONE)
    asked: list[Request] = []

    def note(request: Request) -> None:  # a bound method of a list bears no name for Playwright
        asked.append(request)

    page.on("request", note)
    page.goto(OWN)
    taken_over(page)
    paint, resources = page.evaluate(
        """() => [
          performance.getEntriesByName('first-contentful-paint')[0].startTime,
          performance.getEntriesByType('resource').map((one) => one.toJSON()),
        ]"""
    )
    path = "/static/wagtail_prefs"
    names = {one["name"].removeprefix(page_states.gallery.ORIGIN): one for one in resources}
    blocking = [name for name, one in names.items() if one["renderBlockingStatus"] == "blocking"]
    assert blocking == [f"{path}/css/center.css"]
    # Beside it, only the small script is asked for before there is something to read; it waits with all the rest.
    early = {name for name, one in names.items() if one["startTime"] < paint}
    assert early <= {f"{path}/css/center.css", f"{path}/own-page.js"}
    urls = [one.url.removeprefix(page_states.gallery.ORIGIN) for one in asked]
    assert urls[:3] == ["/own/", f"{path}/css/center.css", f"{path}/own-page.js"]
    assert urls[3] == f"{path}/dist/preference-center.js"
    assert len(urls) == 6  # the document and the session of the element, and no more


def test_no_state_of_the_page_waits_for_anything_but_its_style_sheet() -> None:
    for name, html in page_states.states().items():
        page = pages.parse(html)
        links = list(page.all("link"))
        assert [one.get("rel") for one in links] == ["stylesheet"], name
        assert not list(page.all("style")), name
        assert not [one for one in page.all("script") if one.get("type") != "module"], name
        assert not [one for one in page.all("img") if one.get("loading") != "lazy"], name
