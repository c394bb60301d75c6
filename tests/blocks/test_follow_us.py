"""Links that are safe to follow, and a keyword with what the law wants beside it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from tests.blocks.conftest import compiled
from wagtail_prefs.blocks.follow_us import FollowUsBlock, LinkBlock
from wagtail_prefs.html import tree_to_text

GOOD = {"kind": "mastodon", "address": "https://social.example/@brand", "label": ""}


def controls(**value: Any) -> dict[str, Any]:
    return {control["name"]: control for control in compiled("follow_us", **value).document["controls"]}


def test_a_link_is_called_as_its_place_or_as_the_editor_says() -> None:
    own = {**GOOD, "address": "https://blog.example/", "kind": "blog"}
    items = controls(links=[GOOD, own, {**GOOD, "address": "https://x.example/", "label": "Join us"}])[
        "links"
    ]["items"]
    assert items == [
        {"label": "Mastodon", "href": "https://social.example/@brand"},
        {"label": "Our blog", "href": "https://blog.example/"},
        {"label": "Join us", "href": "https://x.example/"},
    ]


@pytest.mark.parametrize(
    "address",
    [
        "http://social.example/",
        "javascript:alert(1)",
        "https://brand@evil.example/",
        "ftp://social.example/",
        "mailto:us@brand.example",
        "",
    ],
)
def test_what_is_no_safe_page_is_no_link(address: str) -> None:
    link = {**GOOD, "address": address}
    assert "links" not in controls(links=[link])
    block = LinkBlock()
    with pytest.raises(ValidationError):
        block.clean(block.to_python(link))


def test_the_keyword_stands_with_its_number_and_its_terms() -> None:
    content = controls()["keyword"]["content"]
    assert tree_to_text(content[:1]) == "Text JOIN to 12345"
    assert tree_to_text(content[1:]) == "Two messages a month at your usual rate. STOP ends it."
    assert "keyword" not in controls(number="")
    assert "keyword" not in controls(keyword="")


def test_nothing_is_asked_and_nothing_recorded() -> None:
    spec = compiled("follow_us")
    assert FollowUsBlock.fields(spec) == {}
    assert (spec.rules, spec.paths, spec.needs) == ({}, {}, ())


def test_the_editor_is_told_what_is_missing() -> None:
    block = FollowUsBlock()
    assert set(block.problems({"links": []})) == {"links"}
    assert set(block.problems({"links": [GOOD, GOOD]})) == {"links"}
    assert set(block.problems({"links": [GOOD], "keyword": "JOIN"})) == {"number", "terms"}
    assert set(block.problems({"links": [GOOD], "number": "12345"})) == {"keyword"}
    assert block.problems({"links": [], "keyword": "JOIN", "number": "1", "terms": "Free."}) == {}


@pytest.mark.parametrize("keyword", ["JOIN US", "<b>", "a" * 21, "-"])
def test_a_keyword_is_one_word(keyword: str) -> None:
    child = FollowUsBlock().child_blocks["keyword"]
    assert child.clean("JOIN") == "JOIN"
    with pytest.raises(ValidationError, match=r"word|characters"):
        child.clean(keyword)
