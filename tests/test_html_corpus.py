"""What attackers write: the payloads of brs-kb (MIT), as they are and as links, through each library that may clean.

Both are read again by a parser of HTML that neither our tree nor nh3 knows, and both must leave the same.
"""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any

import brs_kb
import pytest
from bleach._vendor import html5lib
from hypothesis import given, strategies as st

from tests.properties import examples
from tests.test_html import ENGINES, HOSTILE_HREFS, assert_clean, walk
from wagtail_prefs import html as module
from wagtail_prefs.html import (
    TAGS,
    HtmlRefused,
    clean_html,
    html_to_tree,
    tree_to_html,
    tree_to_text,
)

ROOT = Path(__file__).resolve().parents[1]
PAYLOADS = sorted({str(entry["payload"]) for entry in brs_kb.get_all_payloads().values()})
XHTML = "{http://www.w3.org/1999/xhtml}"
# Written once more, and not as the code has it: what a browser may be sent to.
SAFE = re.compile(r"https://[^/?#@\\]+([/?#].*)?|mailto:.+|tel:[+0-9 ()-]+", re.DOTALL | re.IGNORECASE)


@pytest.fixture(params=ENGINES)
def cleaner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "engine", lambda: request.param)


@cache
def inputs() -> list[str]:
    """As they are, and what is no markup as the address of a link as well."""
    links = [text for text in PAYLOADS if "<" not in text]
    quoted = (f'<p><a href="{escape(text)}" title="{escape(text)}">x</a></p>' for text in links)
    return [*PAYLOADS, *quoted, *(f"<a href='{href}'>x</a>" for href in HOSTILE_HREFS)]


@cache
def parser() -> Any:
    return html5lib.HTMLParser(namespaceHTMLElements=True)


def assert_nothing_foreign(html: str) -> None:
    """As a browser would read it: only listed elements of HTML, only listed attributes, only safe addresses."""
    for element in parser().parseFragment(html, container="div").iter():
        if element.tag == "DOCUMENT_FRAGMENT":
            continue
        assert isinstance(element.tag, str), "a comment"
        assert element.tag.removeprefix(XHTML) in TAGS, html
        allowed = {"href", "title", "rel"} if element.tag == XHTML + "a" else set()
        assert set(element.attrib) <= allowed, html
        if "href" in element.attrib:
            bare = re.sub(r"[\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f]", "", element.attrib["href"])
            assert SAFE.fullmatch(bare), html


def assert_harmless(html: str) -> None:
    cleaned = clean_html(html)
    assert clean_html(cleaned) == cleaned
    assert_nothing_foreign(cleaned)
    tree = html_to_tree(html)
    assert_clean(tree)
    assert_nothing_foreign(tree_to_html(tree))
    assert json.loads(json.dumps(tree)) == tree  # as it travels


def test_there_is_a_corpus() -> None:
    """And it is one: `make install` brings what the two libraries are held against each other with."""
    assert len(PAYLOADS) > 4000
    assert {"nh3", "brs-kb"} <= set(
        re.findall(r"^([\w-]+)==", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)
    )


@pytest.mark.usefixtures("cleaner")
def test_nothing_that_attackers_write_gets_through() -> None:
    refused = 0
    for html in inputs():
        try:
            assert_harmless(html)
        except HtmlRefused:
            refused += 1
    assert refused < 20  # what is refused proves nothing


def test_the_look_finds_what_is_foreign() -> None:
    for html in (
        *('<a href="javascript:1">x</a>', '<p onclick="1">x</p>', "<svg></svg>", "<!-- x -->"),
        *('<a href="//evil.test">x</a>', "<script>1</script>", '<a href="https://a@b.example">x</a>'),
    ):
        with pytest.raises(AssertionError):
            assert_nothing_foreign(html)


pieces = st.lists(
    st.one_of(
        st.sampled_from(PAYLOADS),
        st.sampled_from(PAYLOADS).flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[at:])),
        st.sampled_from(PAYLOADS).flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[:at])),
        st.sampled_from(sorted(TAGS)).flatmap(lambda tag: st.sampled_from([f"<{tag}>", f"</{tag}>"])),
        st.sampled_from(["<a href=", "<a href='", '<a title="', "'", '"', ">", "<", "&", ";", "\x00", "\r"]),
    ),
    min_size=1,
    max_size=6,
).map("".join)


@pytest.mark.usefixtures("cleaner")
@pytest.mark.property
@examples(150)
@given(pieces)
def test_nor_does_what_is_pieced_together_of_it(html: str) -> None:
    try:
        assert_harmless(html)
    except HtmlRefused:
        return


# --- nh3 against bleach ----------------------------------------------------------------------------------------------

words = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn"]),
    min_size=1,
    max_size=12,
)
addresses = st.sampled_from(
    [
        "https://brand.example/a?b=c&d=1#e",
        "mailto:a@b.example",
        "tel:+49 30 1",
        "javascript:1",
        "/page/",
        "//e.test",
    ]
)
inline = st.recursive(
    words,
    lambda inner: st.tuples(st.sampled_from("b strong i em u".split()), st.lists(inner, max_size=3)).map(
        lambda node: [node[0], {}, *node[1]]
    ),
    max_leaves=6,
)
link = st.tuples(addresses, words, st.lists(words, min_size=1, max_size=2)).map(
    lambda parts: ["a", {"href": parts[0], "title": parts[1]}, *parts[2]]
)
line = st.lists(st.one_of(inline, link, st.just(["br", {}])), max_size=4)
paragraph = st.tuples(st.sampled_from("p h2 h3 h4 blockquote".split()), line).map(lambda n: [n[0], {}, *n[1]])
listing = st.tuples(st.sampled_from("ul ol".split()), st.lists(line, min_size=1, max_size=3)).map(
    lambda n: [n[0], {}, *(["li", {}, *item] for item in n[1])]
)
rich_text = st.lists(st.one_of(paragraph, listing), max_size=4)


def written(tree: list[Any]) -> str:
    """As an editor writes HTML, with addresses that may be anything."""
    return "".join(escape(node) if isinstance(node, str) else _element(*node) for node in tree)


def _element(tag: str, attributes: dict[str, str], *children: Any) -> str:
    said = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    return f"<{tag}{said}>" + ("" if tag == "br" else f"{written(list(children))}</{tag}>")


def with_each(html: str) -> list[Any]:
    """What each library leaves of it, as a tree."""
    trees = []
    for name in ENGINES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "engine", lambda name=name: name)
            trees.append(html_to_tree(html))
    return trees


if "nh3" in ENGINES:  # the same tests run without it on the second Python

    @pytest.mark.property
    @examples(150)
    @given(rich_text)
    def test_both_make_the_same_of_what_an_editor_writes(tree: list[Any]) -> None:
        by_bleach, by_nh3 = with_each(written(tree))
        assert by_nh3 == by_bleach

    def test_both_leave_the_same_links_of_what_attackers_write() -> None:
        for html in inputs():
            found = [
                sorted({node[1]["href"] for node in walk(tree) if "href" in node[1]})
                for tree in with_each(html)
            ]
            assert found[0] == found[1], html

    def test_both_leave_words_of_a_script_as_words() -> None:
        html = "<p>a<script>b</script><style>c</style></p>"
        texts = {tree_to_text(tree) for tree in with_each(html)}
        assert texts == {"abc"}


def test_every_cleaner_is_held_to_this() -> None:
    assert set(chain(ENGINES, ["nh3"])) == set(module._CLEANERS)
