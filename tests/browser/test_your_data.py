"""One's own data: downloaded and erased after a fresh link only, and never by one press, with JavaScript and without."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.example_site.conftest import Demo, Json, until

from .center import accessible
from .conftest import Visitor
from .inside import Inside
from .test_embedded import Watched
from .test_getting_in import link_of, newest_mail

DOWNLOAD, ERASE, FRESH = "Download my data", "Erase my data for good", "Send me a fresh link"


def come_in_again(demo: Demo, page: Page, contact: Json) -> None:
    """By the button beside what takes a fresh link."""
    for name in (DOWNLOAD, ERASE):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.get_by_role("button", name=FRESH).last.click()
    page.goto(link_of(newest_mail(demo, contact["email"]), "l"))
    page.get_by_role("main").get_by_role("button").first.click()
    expect(page.get_by_role("button", name=DOWNLOAD)).to_be_visible()


def is_gone(inside: Inside, contact: Json) -> bool:
    return bool(inside.ask("state", contact=contact["id"])["email"] == "")


def test_on_the_page_without_javascript(
    demo: Demo, inside: Inside, watched: Watched, visitor: Visitor, tmp_path: Path
) -> None:
    contact = visitor()
    page, _watch = watched(
        java_script_enabled=False, viewport={"width": 390, "height": 800}, accept_downloads=True
    )
    page.goto(contact["manage_url"])
    come_in_again(demo, page, contact)
    with page.expect_download() as coming:
        page.get_by_role("button", name=DOWNLOAD).click()
    file = tmp_path / coming.value.suggested_filename
    coming.value.save_as(file)
    assert file.name == "my-data.zip"
    assert contact["email"] in zipfile.ZipFile(file).read("person.csv").decode()

    page.get_by_role("button", name=ERASE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Erase your data?")
    assert not is_gone(inside, contact)
    page.get_by_role("button", name=re.compile("^Yes, erase")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your data is erased")
    assert is_gone(inside, contact)
    page.goto(contact["manage_url"])
    expect(page.get_by_role("heading", level=1)).to_have_text("This link does not work")


@pytest.mark.parametrize("sure", [False, True])
def test_in_the_element_on_the_customers_site(
    demo: Demo, inside: Inside, watched: Watched, visitor: Visitor, tmp_path: Path, sure: bool
) -> None:
    contact = visitor()
    page, _watch = watched(accept_downloads=True)
    page.goto(contact["embed_url"])
    come_in_again(demo, page, contact)
    with page.expect_download() as coming:
        page.get_by_role("button", name=DOWNLOAD).click()
    coming.value.save_as(tmp_path / "data.json")
    data = json.loads((tmp_path / "data.json").read_text())
    assert (
        data["format"] == 1 and {"field": "email", "value": contact["email"], "source": ""} in data["person"]
    )

    asked: list[str] = []
    page.on(
        "dialog", lambda dialog: (asked.append(dialog.message), dialog.accept() if sure else dialog.dismiss())
    )
    page.get_by_role("button", name=ERASE).click()
    until(lambda: bool(asked))
    if not sure:
        expect(page.get_by_role("button", name=ERASE)).to_be_visible()
        assert not is_gone(inside, contact)
        return
    expect(page.get_by_role("status").filter(has_text="Your data is erased")).to_be_visible()
    until(lambda: is_gone(inside, contact))
    expect(page.get_by_role("button", name=DOWNLOAD)).to_be_disabled()


def test_the_second_page_is_accessible(demo: Demo, watched: Watched, visitor: Visitor) -> None:
    contact = visitor()
    page, _watch = watched()
    page.goto(contact["manage_url"])
    page.get_by_role("button", name=FRESH).last.click()
    page.goto(link_of(newest_mail(demo, contact["email"]), "l"))
    page.get_by_role("main").get_by_role("button").first.click()
    page.get_by_role("button", name=ERASE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Erase your data?")
    accessible(page)
    page.get_by_role("link", name="Back to your choices").click()  # she only wanted less mail
    expect(page.get_by_role("checkbox").first).to_be_visible()
