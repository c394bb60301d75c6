"""Draws the pictures of the documentation into docs/images/: `make screenshots`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image, ImageDraw
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

from tests.example_site.conftest import Demo

from . import gallery, page_states, states
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


SHEETS: Sequence[tuple[str, str, ViewportSize, Any]] = (
    ("light", "en", {"width": 640, "height": 800}, "light"),
    ("phone-dark", "en", {"width": 390, "height": 800}, "dark"),
    ("rtl", "ar", {"width": 640, "height": 800}, "light"),
)


@pytest.mark.parametrize("renderer", gallery.RENDERERS)
@pytest.mark.parametrize(("look", "locale", "size", "scheme"), SHEETS, ids=[one[0] for one in SHEETS])
def test_a_sheet_of_all_states(
    browse: Callable[..., BrowserContext],
    renderer: str,
    look: str,
    locale: str,
    size: ViewportSize,
    scheme: Any,
) -> None:
    pictures: list[tuple[str, bytes]] = []
    html = page_states.states(locale)
    for name in states.SCENES if renderer == "element" else html:
        context = browse(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        if renderer == "element":
            page = states.show(context, name, locale)
        else:
            page = page_states.show(context, html[name])
            page.goto(f"{gallery.ORIGIN}/page/")
        page.mouse.move(0, 0)
        pictures.append((name, page.screenshot(animations="disabled", caret="hide")))
        context.close()
    sheet(pictures, IMAGES / f"states-{renderer}-{look}.png", size["width"])


def sheet(pictures: Sequence[tuple[str, bytes]], path: Path, width: int) -> None:
    """All of them in rows of six, each under its name."""
    thumb = (width * 300 // 640, 375) if width > 400 else (200, 410)
    step = (thumb[0] + 16, thumb[1] + 40)
    columns = 6
    rows = -(-len(pictures) // columns)
    found = Image.new("RGB", (columns * step[0] + 16, rows * step[1] + 16), "#e9ebf0")
    pen = ImageDraw.Draw(found)
    for number, (name, png) in enumerate(pictures):
        left, top = 16 + number % columns * step[0], 16 + number // columns * step[1]
        pen.text((left, top), name, fill="#1b1f29", font_size=15)
        picture = Image.open(BytesIO(png)).convert("RGB")
        picture.thumbnail(thumb, Image.Resampling.LANCZOS)
        found.paste(picture, (left, top + 22))
    found.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < 2 * MOST_BYTES, f"{path.name} is too large"


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


def test_a_backend_that_is_away(demo: Demo, draw: Draw, visitor: Visitor) -> None:
    page = draw(demo.facts["admin"]["url"], viewport={"width": 1280, "height": 1000})
    sign_in(demo, page)
    requests.post(f"{demo.place.crm}/outage", data={"state": "broken"}, timeout=20)
    try:
        for _ in range(2):
            requests.post(visitor()["one_click_url"], data={"List-Unsubscribe": "One-Click"}, timeout=20)
        page.goto(f"{demo.place.site}/admin/prefs_backends/crm/")
        for _ in range(60):
            if page.get_by_text("Away", exact=True).is_visible():
                break
            page.wait_for_timeout(500)
            page.reload()
        expect(page.get_by_text("Away", exact=True)).to_be_visible()
        keep(page, "backend-away")
    finally:
        requests.post(f"{demo.place.crm}/outage", data={"state": "healthy"}, timeout=20)


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
