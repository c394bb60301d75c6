"""Each state of element and page, in each look: axe finds nothing, nothing overflows, is cut off or is empty."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, ViewportSize

from . import gallery, page_states, states
from .center import TAGS
from .test_blocks import FAULTS

DESK: ViewportSize = {"width": 1000, "height": 900}
NARROW: ViewportSize = {"width": 320, "height": 800}
Scheme = Literal["light", "dark"]
#: name, colours, forced colours, window; from right to left is a page of its own
LOOKS: Sequence[tuple[str, Scheme, Literal["active", "none"], ViewportSize]] = (
    ("light", "light", "none", DESK),
    ("dark", "dark", "none", DESK),
    ("forced", "light", "active", DESK),
    ("narrow", "light", "none", NARROW),
)
#: Letters and lines further apart, and twice as large: a desk of half the size (WCAG 1.4.4, 1.4.12).
SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }');
  for (const root of [document, ...[...document.querySelectorAll('*')].map((one) => one.shadowRoot).filter(Boolean)])
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
}"""
#: Names of states, in so many portions as may run side by side.
PORTIONS = 3
PAGE_STATES = tuple(page_states.states())


def portions(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start::PORTIONS] for start in range(PORTIONS)]


def drawn(page: Page, renderer: str) -> Locator:
    """What is looked at. Where the center never comes, that is what the host page wrote."""
    center = page.locator("preference-center .center:has(form)")
    return center if renderer == "element" and center.count() else page.locator("main")


def faults(page: Page, renderer: str) -> list[str]:
    """What axe and our own look find on the page as it is."""
    found = Axe().run(page, options={"runOnly": TAGS, "resultTypes": ["violations"]}).response
    problems = [
        f"{rule['id']}: {json.dumps(node['target'])} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
    return problems + list(drawn(page, renderer).evaluate(FAULTS))


def look_at(page: Page, renderer: str) -> Iterator[tuple[str, str]]:
    for name, scheme, forced, size in LOOKS:
        page.emulate_media(color_scheme=scheme, forced_colors=forced, reduced_motion="reduce")
        page.set_viewport_size(size)
        yield from ((name, fault) for fault in faults(page, renderer))
    page.set_viewport_size({"width": 500, "height": 450})
    page.evaluate(SPACED)
    yield from (("spaced", fault) for fault in drawn(page, renderer).evaluate(FAULTS))


def problems(opened: Callable[[str, str], Page], names: Sequence[str], renderer: str) -> list[Any]:
    """(state, look, fault) of all these states."""
    found: list[Any] = []
    for name in names:
        page = opened(name, "en")
        found += [(name, look, fault) for look, fault in look_at(page, renderer)]
        page.close()
        page = opened(name, "ar")
        page.set_viewport_size(DESK)
        found += [(name, "rtl", fault) for fault in faults(page, renderer)]
        page.close()
    return found


@pytest.mark.parametrize("names", portions(tuple(states.SCENES)), ids=lambda names: names[0])
def test_the_element(browse: Callable[..., BrowserContext], names: Sequence[str]) -> None:
    def opened(name: str, locale: str) -> Page:
        return states.show(browse(), name, locale)

    assert problems(opened, names, "element") == []


@pytest.mark.parametrize("names", portions(PAGE_STATES), ids=lambda names: names[0])
def test_the_page_without_javascript(browse: Callable[..., BrowserContext], names: Sequence[str]) -> None:
    html = {locale: page_states.states(locale) for locale in ("en", "ar")}

    def opened(name: str, locale: str) -> Page:
        page = page_states.show(browse(), html[locale][name])
        page.goto(f"{gallery.ORIGIN}/page/")
        return page

    assert problems(opened, names, "page") == []


def test_a_fault_would_be_found(browse: Callable[..., BrowserContext]) -> None:
    page = states.show(browse(), "open")
    page.locator("preference-center").evaluate(
        """one => {
            one.shadowRoot.querySelector('h2').style.color = '#bbb';
            one.shadowRoot.querySelector('[part=save]').textContent = '';
            const first = one.shadowRoot.querySelector('section h3');
            first.style.cssText = 'width: 2em; overflow: hidden; white-space: nowrap';
        }"""
    )
    told = "\n".join(fault for _look, fault in look_at(page, "element"))
    assert "color-contrast" in told
    assert "button-name" in told
    assert "cut off" in told
