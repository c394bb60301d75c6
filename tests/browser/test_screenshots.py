"""Draws the pictures of the documentation into docs/images/: `make screenshots`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from tests.example_site.conftest import Demo

from . import gallery
from .center import SAVE, box, button, form_only, heading
from .conftest import Visitor
from .inside import Inside
from .test_accessibility import turn_document
from .test_editor import frame, open_editor, sign_in
from .test_embedded import TITLE

pytestmark = pytest.mark.screenshots

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
BLOCKS = IMAGES / "blocks"
MOST_BYTES = 200_000
PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1000, "height": 860}

Draw = Callable[..., Page]


@pytest.fixture
def draw(browse: Callable[..., BrowserContext]) -> Draw:
    """Opens a page that stands still."""

    def open_page(url: str, **options: Any) -> Page:
        page = browse(**{"viewport": DESK, "reduced_motion": "reduce", **options}).new_page()
        form_only(page)
        page.goto(url)
        page.wait_for_load_state("networkidle")
        return page

    return open_page


def keep(page: Page, name: str) -> None:
    path = IMAGES / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.mouse.move(0, 0)
    page.screenshot(path=path, animations="disabled", caret="hide")
    assert path.stat().st_size < MOST_BYTES, f"{path.name} is too large for a README"


@pytest.mark.parametrize(("name", "size"), [("widget", DESK), ("widget-phone", PHONE)])
def test_the_element(draw: Draw, visitor: Visitor, name: str, size: ViewportSize) -> None:
    """With something to save."""
    page = draw(visitor()["embed_url"], viewport=size)
    box(page, "Path crew").check()
    page.get_by_text("What to expect").evaluate("one => one.scrollIntoView({ block: 'start' })")
    page.mouse.wheel(0, -30)
    keep(page, name)


@pytest.mark.parametrize("variant", gallery.VARIANTS, ids=lambda one: one.name)
def test_every_block(browse: Callable[..., BrowserContext], variant: gallery.Variant) -> None:
    page = gallery.show(browse(), "element", variant)
    for name in gallery.names():
        path = BLOCKS / f"{name}{'' if variant.name == 'light' else f'-{variant.name}'}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        gallery.section(page, "element", name).screenshot(path=path, animations="disabled", caret="hide")
        assert path.stat().st_size < MOST_BYTES


def test_the_contact_sheet_of_all_blocks(browse: Callable[..., BrowserContext]) -> None:
    """Runs after those above: a row for each block, a column for each way to look at it."""
    suffixes = ["" if one.name == "light" else f"-{one.name}" for one in gallery.VARIANTS]
    rows = "".join(
        f"<tr><th>{name}</th>"
        + "".join(f'<td><img src="{(BLOCKS / f"{name}{suffix}.png").as_uri()}"></td>' for suffix in suffixes)
        + "</tr>"
        for name in gallery.names()
    )
    heads = "".join(f"<th>{one.name}</th>" for one in gallery.VARIANTS)
    sheet = BLOCKS / "sheet.html"
    sheet.write_text(
        "<!doctype html><style>body{font:14px sans-serif;margin:16px}td,th{padding:6px;vertical-align:top;"
        "text-align:left}img{width:230px}</style>"
        f"<table><tr><th></th>{heads}</tr>{rows}</table>"
    )
    page = browse(viewport={"width": 1180, "height": 900}).new_page()
    page.goto(sheet.as_uri())
    page.wait_for_load_state("networkidle")
    assert page.evaluate("[...document.images].every(one => one.naturalWidth)")
    page.screenshot(path=BLOCKS / "contact-sheet.png", full_page=True)
    sheet.unlink()


def test_the_element_in_german(draw: Draw, visitor: Visitor) -> None:
    page = draw(visitor("de")["embed_url"], locale="de-DE")
    expect(heading(page, "Ihre Post, Ihre Wahl")).to_be_visible()
    keep(page, "widget-german")


def test_the_element_from_right_to_left(browse: Callable[..., BrowserContext], visitor: Visitor) -> None:
    page = browse(viewport=DESK).new_page()
    page.route("**/api/v1/centers/*/?*", turn_document)
    page.goto(visitor()["embed_url"])
    expect(button(page, SAVE)).to_be_visible()
    keep(page, "widget-rtl")


def test_the_own_page(draw: Draw, visitor: Visitor) -> None:
    keep(draw(visitor()["manage_url"]), "page")
    keep(draw(visitor()["manage_url"], color_scheme="dark"), "page-dark")
    keep(draw(visitor()["manage_url"], viewport=PHONE), "page-phone")
    keep(draw(visitor()["one_click_url"], viewport=PHONE), "one-click-phone")


def test_the_ways_in(demo: Demo, draw: Draw, inside: Inside, visitor: Visitor) -> None:
    page = draw(demo.place.customer, viewport=PHONE)
    page.get_by_role("link", name="Sign up").click()
    keep(page, "sign-up-phone")
    fresh, _host, confirm, _address = inside.ask("once", contact=visitor()["id"])
    page.goto(fresh)
    keep(page, "fresh-link-phone")
    page.goto(confirm)
    keep(page, "confirm-phone")


def test_a_mail_of_ours_on_the_desk(demo: Demo, draw: Draw) -> None:
    page = draw(demo.facts["admin"]["url"], viewport={"width": 1280, "height": 860})
    sign_in(demo, page)
    page.goto(f"{demo.place.site}/admin/prefs_mails/")
    page.get_by_role("main").get_by_role("link", name="Confirm a sign-up").click()
    page.wait_for_load_state("networkidle")
    keep(page, "mail-preview")


def test_the_editor(demo: Demo, draw: Draw) -> None:
    page = draw(demo.facts["admin"]["url"], viewport={"width": 1280, "height": 860})
    open_editor(demo, page)
    button(page, "Toggle preview").click()
    expect(frame(page).get_by_role("heading", name=TITLE)).to_be_visible()
    keep(page, "editor")
    button(page, "Toggle preview").click()
    button(page, "Insert a block").first.click()
    page.get_by_role("listbox").first.get_by_role("button", name="Preview", exact=True).first.click()
    expect(frame(page).get_by_role("heading", name="What would you like to get?")).to_be_visible()
    keep(page, "block-picker")


def test_the_mailbox_and_the_crm(demo: Demo, draw: Draw) -> None:
    mail = demo.mail_to(demo.facts["contacts"][0])
    keep(draw(mail["url"]), "mailbox")
    keep(draw(f"{demo.place.crm}/"), "crm")
