"""Whatever an editor, an import or an API writes, a center holds the listed tags and safe links only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings as hypothesis_settings, strategies as st

from wagtail_prefs.html import (
    MAX_BYTES,
    TAGS,
    HtmlRefused,
    check_size,
    clean_html,
    href_is_allowed,
    html_to_tree,
    tree_to_html,
    tree_to_text,
)

HOSTILE_HREFS = [
    "javascript:alert(1)",
    "javascript:123",
    "JaVaScRiPt:1",
    "java\tscript:1",
    "java\nscript:alert(1)",
    "\x01javascript:1",
    "java\u200bscript:1",
    "\u00a0javascript:1",
    "data:1",
    "data:text/html,<script>1</script>",
    "vbscript:1",
    "//evil.test",
    "/\\evil.test",
    "\\\\evil.test",
    "/relative",
    "relative",
    "#fragment",
    "?query",
    "",
    "http://evil.test/",
    "https:evil.test",
    "https:///evil.test",
    "https://user@evil.test/",
    "https://user:pass@evil.test/",
    "https://a\\@evil.test/",
    "ftp://evil.test/",
    "file:///etc/passwd",
    "blob:https://evil.test/1",
    "mailto:",
    "tel:1;phone-context=evil",
    "tel:javascript",
    "intent://evil",
    "feed:javascript:1",
    "jar:https://evil.test!/",
    "view-source:https://evil.test/",
]


def walk(tree: list[Any]) -> Any:
    for node in tree:
        if isinstance(node, list):
            yield node
            yield from walk(node[2:])
        else:
            assert isinstance(node, str)


def assert_clean(tree: list[Any]) -> None:
    for node in walk(tree):
        tag, attributes = node[0], node[1]
        assert tag in TAGS
        assert set(attributes) <= ({"href", "title"} if tag == "a" else set())
        if "href" in attributes:
            assert href_is_allowed(attributes["href"])


@pytest.mark.parametrize("href", HOSTILE_HREFS)
def test_a_hostile_link_is_no_link(href: str) -> None:
    assert not href_is_allowed(href)
    tree = html_to_tree(f'<p><a href="{href.replace(chr(34), "&quot;")}" title="t">text</a></p>')
    assert_clean(tree)
    assert all("href" not in node[1] for node in walk(tree))
    assert tree_to_text(tree) == "text"


@pytest.mark.parametrize(
    "href",
    [
        "https://brand.example",
        "https://brand.example/a?b=c#d",
        "HTTPS://brand.example/",
        "mailto:a@b.example",
        "tel:+49 30 1-2",
    ],
)
def test_an_ordinary_link_stays(href: str) -> None:
    assert html_to_tree(f'<a href="{href}">x</a>') == [["a", {"href": href}, "x"]]


def test_loopback_without_encryption_is_for_development(settings: Any) -> None:
    assert not href_is_allowed("http://localhost:8000/x")
    settings.DEBUG = True
    assert href_is_allowed("http://localhost:8000/x")
    assert href_is_allowed("http://127.0.0.1/")
    assert not href_is_allowed("http://localhost.evil.test/")
    assert not href_is_allowed("http://127.0.0.1.evil.test/")
    assert not href_is_allowed("http://localhost@evil.test/")
    assert html_to_tree('<a href="/page/">x</a>', "http://localhost:8000/de/") == [
        ["a", {"href": "http://localhost:8000/page/"}, "x"]
    ]


def test_links_of_the_site_are_written_in_full() -> None:
    tree = html_to_tree('<a href="/privacy/">x</a><a href="//evil.test/">y</a>', "https://brand.example/de/")
    assert [node[1] for node in walk(tree)] == [{"href": "https://brand.example/privacy/"}, {}]


@pytest.mark.parametrize(
    ("html", "tree"),
    [
        ("", []),
        ("plain & <b>bold</b>", ["plain & ", ["b", {}, "bold"]]),
        ("<p class='x' style='y' id='z' onclick='1'>a<br>b</p>", [["p", {}, "a", ["br", {}], "b"]]),
        ("<ul><li>1</li><li>2</li></ul>", [["ul", {}, ["li", {}, "1"], ["li", {}, "2"]]]),
        ("<!-- note -->x<svg onload=1></svg>", ["x"]),
        ("<img src=x onerror=1>y", ["y"]),
        ("&lt;script&gt;1&lt;/script&gt;", ["<script>1</script>"]),
    ],
)
def test_a_text_becomes_a_tree(html: str, tree: list[Any]) -> None:
    assert html_to_tree(html) == tree


def test_what_is_written_back_is_escaped() -> None:
    tree = [
        '<&">',
        ["a", {"href": 'https://a.example/?x=1&y="', "title": "<"}, "t"],
        ["script", {}, "1"],
        ["p"],
        7,
    ]
    html = tree_to_html(tree)
    assert html.startswith("&lt;&amp;&quot;&gt;<a ")
    assert 'rel="noopener noreferrer nofollow"' in html
    assert "<script" not in html
    assert tree_to_html([["a", {"href": "javascript:1", "onclick": "1"}, "t"]]) == (
        '<a rel="noopener noreferrer nofollow">t</a>'
    )


@pytest.mark.parametrize(
    "html",
    [
        "a" * (MAX_BYTES + 1),
        "ä" * (MAX_BYTES // 2 + 1),
        "<b>" * 65,
        "<i></p>" * 2000,
        "<a><b><i><u>" * 1000,
        "<a " + " ".join(f"a{n}" for n in range(20_000)) + ">",
        "<a " + " ".join(f"a{n}=1" for n in range(21)) + ">",
    ],
    ids=["long", "long in bytes", "deep", "crossed", "nested", "attributes by thousands", "attributes"],
)
def test_what_would_take_long_is_refused_before_bleach_sees_it(
    html: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(*_: object) -> None:
        raise AssertionError("bleach was asked")

    monkeypatch.setattr("bleach.sanitizer.Cleaner.clean", seen)
    with pytest.raises(HtmlRefused):
        clean_html(html)
    with pytest.raises(HtmlRefused):
        html_to_tree(html)
    with pytest.raises(AssertionError, match="bleach was asked"):  # the look works
        clean_html("<b>x</b>")


def test_an_ordinary_long_text_passes() -> None:
    check_size("<p>" + "word " * 100 + "</p>" + "<ul>" + "<li><b>x</b> y</li>" * 500 + "</ul>")


markup = st.lists(
    st.one_of(
        st.sampled_from(sorted(TAGS)).map(lambda tag: f"<{tag}>"),
        st.sampled_from(sorted(TAGS)).map(lambda tag: f"</{tag}>"),
        st.sampled_from(
            [
                "<script>",
                "</script>",
                "<style>",
                "<svg>",
                "<math>",
                "<template>",
                "<noscript>",
                "<textarea>",
                "<title>",
                "<!--",
                "-->",
                "<![CDATA[",
                "<?",
                "<img src=x onerror=1>",
                "<a href='",
                "'>",
                '<a title="',
                '">',
                "<",
                ">",
                "&",
                "&#106;avascript:1",
                "&colon;",
                "\x00",
                "<table><td>",
                "<form action=//x>",
            ]
        ),
        st.sampled_from(HOSTILE_HREFS).map(lambda href: f'<a href="{href}" target=x>'),
        st.text(max_size=8),
    ),
    max_size=30,
).map("".join)


@hypothesis_settings(max_examples=300, deadline=None)
@given(markup)
@example("<p><a href='https://a.example/'><p>x</a></p>")
@example('<a href="https://a.example/"><a href="https://b.example/">x</a>')
def test_no_markup_yields_a_foreign_tag_attribute_or_scheme(html: str) -> None:
    try:
        tree = html_to_tree(html)
        cleaned = clean_html(html)
    except HtmlRefused:
        return
    assert_clean(tree)
    assert clean_html(cleaned) == cleaned
    # What the server writes for the page holds no more than the tree did.
    assert_clean(html_to_tree(tree_to_html(tree)))


def test_importing_the_module_does_not_load_bleach() -> None:
    import subprocess
    import sys

    code = "import sys, wagtail_prefs.html; sys.exit('bleach' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
