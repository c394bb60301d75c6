"""An editor's way: log in, find the center, look at blocks and at the preview, change a heading, publish."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, expect

from tests.example_site.conftest import Demo, until
from wagtail_prefs.blocks.registry import block_classes

from .center import box, button, heading
from .composing import label_of, publish
from .conftest import Visitor
from .test_embedded import TITLE, Watched, open_center

BEFORE, AFTER = "What always comes", "What comes in any case"


@pytest.fixture
def editor(demo: Demo, watched: Watched) -> Page:
    """The center's page in the editor."""
    page, _ = watched(viewport={"width": 1440, "height": 1000})
    return open_editor(demo, page)


def open_editor(demo: Demo, page: Page) -> Page:
    sign_in(demo, page)
    find_center(page)
    return page


def sign_in(demo: Demo, page: Page) -> None:
    admin = demo.facts["admin"]
    page.goto(admin["url"])
    page.get_by_role("textbox", name="Username").fill(admin["user"])
    page.get_by_role("textbox", name="Password").fill(admin["password"])
    button(page, "Sign in").click()


def find_center(page: Page) -> None:
    page.get_by_role("button", name="Preferences").click()
    page.get_by_role("link", name="Preference centers").click()
    page.get_by_role("link", name=TITLE).first.click()
    expect(button(page, "Toggle preview")).to_be_visible()


def field(page: Page, name: str, value: str) -> Locator:
    """The text field that holds a value now; blocks repeat their fields' names."""
    fields = page.get_by_role("textbox", name=name, exact=True)
    until(lambda: any(one.input_value() == value for one in fields.all()))
    return next(one for one in fields.all() if one.input_value() == value)


def frame(page: Page) -> FrameLocator:
    """What the preview panel shows, and what the block picker shows: the one that is on screen."""
    return page.get_by_title("Preview", exact=True).filter(visible=True).content_frame


def test_a_published_heading_is_on_the_customers_site_after_a_reload(
    editor: Page, watched: Watched, visitor: Visitor
) -> None:
    visiting, watch = watched()
    anna = visitor()
    open_center(visiting, anna)
    expect(heading(visiting, BEFORE)).to_be_visible()

    button(editor, "Toggle preview").click()
    shown = frame(editor)
    expect(shown.get_by_role("heading", name=BEFORE)).to_be_visible()
    written = field(editor, "Heading", BEFORE)
    written.clear()
    written.press_sequentially(AFTER, delay=60)  # at once would be faster than the panel can look
    expect(shown.get_by_role("heading", name=AFTER)).to_be_visible()
    # A draft is nobody's business.
    visiting.reload()
    expect(heading(visiting, BEFORE)).to_be_visible()

    publish(editor)

    def reloaded() -> bool:
        visiting.reload()
        expect(heading(visiting, TITLE)).to_be_visible()
        return heading(visiting, AFTER).is_visible()

    until(reloaded)
    expect(box(visiting, "Group rides")).to_be_checked()
    assert watch.complaints == []

    # The other tests find the demo as it was.
    find_center(editor)
    field(editor, "Heading", AFTER).fill(BEFORE)
    publish(editor)


def test_the_picker_shows_what_each_block_looks_like(editor: Page) -> None:
    button(editor, "Insert a block").first.click()
    options = editor.get_by_role("listbox").first
    names = options.get_by_role("option").all_inner_texts()
    blocks = {label_of(name): name for name in block_classes()}
    assert sorted(names) == sorted(blocks)
    for index, label in enumerate(names):
        options.get_by_role("button", name="Preview", exact=True).nth(index).click()
        shown = frame(editor).locator(f"section.pc-{blocks[label]}")
        expect(shown).to_be_visible()
        expect(shown).to_contain_text(re.compile(r"\w+ \w+"))
        # The frame is small: nothing of the site stands above the block.
        expect(frame(editor).get_by_role("banner")).to_have_count(0)
