"""A preference center as a visitor meets it - element or page, it is the same: roles and names, nothing else."""

from __future__ import annotations

import json
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect

#: security.md WC-01
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

LOOKS: tuple[tuple[str, Literal["light", "dark"], ViewportSize], ...] = (
    ("wide", "light", {"width": 1100, "height": 800}),
    ("dark", "dark", {"width": 1100, "height": 800}),
    ("narrow", "light", {"width": 320, "height": 640}),
)

SAVE = "Save my choices"
SAVED = "Your choices are saved."
LEAVE = "Unsubscribe from everything"
COME_BACK = "Let me choose again"


def box(page: Page, topic: str, channel: str = "E-mail") -> Locator:
    return page.get_by_role("checkbox", name=f"{topic} {channel}", exact=True)


def often(page: Page, scope: str = "Everything") -> Locator:
    return page.get_by_role("combobox", name=scope, exact=True)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def heading(page: Page, name: str) -> Locator:
    return page.get_by_role("heading", name=name, exact=True)


def status(page: Page) -> Locator:
    return page.get_by_role("status")


def save(page: Page) -> None:
    """Press the button, and wait until it is said that it worked."""
    button(page, SAVE).click()
    expect(status(page)).to_contain_text(SAVED)


def form_only(page: Page) -> None:
    """The own page keeps its form, as where the element cannot come."""
    page.route("**/own-page.js", lambda route: route.fulfill(content_type="text/javascript", body=""))


def accessible(page: Page) -> None:
    """Fails with what axe finds, in light and dark, in a wide window and in one of 320 px; nothing needs scrolling
    sideways (WCAG 1.4.10).
    """
    problems: list[str] = []
    page.wait_for_load_state()  # a form of the own page leads to another page
    # Else a colour is measured half-way between light and dark.
    page.emulate_media(reduced_motion="reduce")
    for look, scheme, size in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        found = Axe().run(page, options={"runOnly": TAGS, "resultTypes": ["violations"]}).response
        problems += [
            f"{look}: {rule['id']}: {rule['help']}\n  {json.dumps(node['target'])} {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]
        problems += [f"{look}: {problem}" for problem in too_wide(page)]
    assert not problems, "\n".join(problems)


def too_wide(page: Page) -> list[str]:
    """Whether one must scroll sideways, in words."""
    wide, narrow = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    return [f"{wide} px are too wide for {narrow} px"] if wide > narrow else []
