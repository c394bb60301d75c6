"""Whatever an editor, an import or an API writes, a center holds the listed tags and safe links only."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings as hypothesis_settings, strategies as st

from wagtail_prefs import html as module
from wagtail_prefs.html import (
    MAX_BYTES,
    TAGS,
    HtmlRefused,
    check_size,
    clean_html,
    clean_stored,
    engine,
    href_is_allowed,
    html_to_tree,
    tree_to_html,
    tree_to_text,
)

ENGINES = ["bleach", *(["nh3"] if find_spec("nh3") else [])]


@pytest.fixture(autouse=True, params=ENGINES)
def cleaner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything here holds with each library that may clean."""
    monkeypatch.setattr(module, "engine", lambda: request.param)
    return str(request.param)


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
        "<i><p></i></p>" * 65,
        "<b><blockquote></b>" * 65,
        "</p>" * 65,
        '<a " ' + " ".join(f"a{n}" for n in range(21)) + ">",
        "<a/" + "/".join(f"a{n}" for n in range(21)) + ">",
        "<a x=\" ' y=' " + " ".join(f"a{n}" for n in range(21)) + ">",
        "<a><b><i><u>" * 1000,
        "<a " + " ".join(f"a{n}" for n in range(20_000)) + ">",
        "<a " + " ".join(f"a{n}=1" for n in range(21)) + ">",
    ],
    ids=[
        *(
            "long",
            "long in bytes",
            "deep",
            "crossed",
            "crossed paragraphs",
            "crossed deep",
            "ends of nothing",
        ),
        *("attributes behind a quote", "attributes behind slashes", "attributes behind quotes"),
        *("nested", "attributes by thousands", "attributes"),
    ],
)
def test_what_would_take_long_is_refused_before_it_is_cleaned(
    html: str, cleaner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(*_: object, **__: object) -> None:
        raise AssertionError("the library was asked")

    place = {"bleach": "bleach.sanitizer.Cleaner.clean", "nh3": "nh3.clean"}
    monkeypatch.setattr(place[cleaner], seen)
    with pytest.raises(HtmlRefused):
        clean_html(html)
    with pytest.raises(HtmlRefused):
        html_to_tree(html)
    with pytest.raises(AssertionError, match="the library was asked"):  # the look works
        clean_html("<b>nobody has cleaned this before</b>")


@pytest.mark.parametrize(
    "html",
    [
        "<p>" + "word " * 100 + "</p>" + "<ul>" + "<li><b>x</b> y</li>" * 500 + "</ul>",
        "<ul><li>1<li>2<li>3</ul>" * 100,
        "<blockquote><p>1<p>2</blockquote>" * 100,
        "<p>it's \"quoted\" & <i>it's</i> 1 < 2</p>" * 100,
        "<ul><li>" * 30 + "deep" + "</li></ul>" * 30,
    ],
    ids=["list", "items without an end", "paragraphs without an end", "signs", "list in list"],
)
def test_an_ordinary_long_text_passes(html: str) -> None:
    check_size(html)
    assert html_to_tree(html)


def test_where_nh3_is_installed_it_cleans(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine() == ENGINES[-1]
    engine.cache_clear()
    try:
        monkeypatch.setitem(sys.modules, "nh3", None)  # what find_spec sees where it is missing
        monkeypatch.setattr(module, "find_spec", lambda name: None)
        assert engine() == "bleach"
    finally:
        engine.cache_clear()


STORED = [
    ('<p data-block-key="a1-_">x</p>', ["data-block-key"]),
    ('<p><a id="3" linktype="page">x</a></p>', ["id", "linktype"]),
    ('<p><a id="12" linktype="document">x</a></p>', ["id", "linktype"]),
    ('<p data-block-key="a b">x</p>', []),
    ('<p data-block-key="a\n">x</p>', []),
    ('<p><a id="3e" linktype="page">x</a></p>', ["linktype"]),
    ('<p><a id="" linktype="email">x</a></p>', []),
    ('<p id="3">x</p>', []),
    ('<p linktype="page">x</p>', []),
    ('<p><a href="javascript:1">x</a></p>', []),
    ('<p><a href="https://a.example/">x</a></p>', ["href"]),
    ('<p><a href="http://a.example/b?c">x</a></p>', ["href"]),  # for the check before publishing
    ('<p><a href="http://a@b.example/">x</a></p>', []),
    ('<p><a href="ftp://a.example/">x</a></p>', []),
    ('<p onclick="1"><b style="x">x</b></p>', []),
]


@pytest.mark.parametrize(("html", "kept"), STORED)
def test_a_field_keeps_what_wagtail_writes_and_nothing_else(html: str, kept: list[str]) -> None:
    stored = clean_stored(html)
    assert sorted(re.findall(r"([\w-]+)=", stored)) == kept
    assert re.sub(r" [^>]*>", ">", stored) == re.sub(r" [^>]*>", ">", html)
    assert clean_stored(stored) == stored
    assert "http:" not in clean_html(stored)
    # Nobody but Wagtail reads what it writes.
    assert not re.search(r"(key|id|linktype)=", clean_html(html))


def test_a_center_stores_what_is_clean() -> None:
    """Whoever writes it: the admin's form, an import, an API."""
    from django.core.exceptions import ValidationError
    from wagtail.rich_text import RichText

    from wagtail_prefs.blocks.base import CenterTextBlock

    block = CenterTextBlock(required=False)
    written = "<p onclick='1' data-block-key='k1'>a<img src=x onerror=1> <a linktype='page' id='3'>b</a></p>"
    stored = block.clean(RichText(written)).source
    assert stored.replace("linktype", "id", 1).count("id=") == 2
    assert "onclick" not in stored and "<img" not in stored and 'data-block-key="k1"' in stored
    assert block.clean(RichText(stored)).source == stored
    assert not block.clean(RichText(""))
    with pytest.raises(ValidationError, match="nested"):
        block.clean(RichText("<b>" * 65))


def _calls(path: Path) -> Iterator[str]:
    """What a module calls or imports, by the last part of its name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute):
                yield called.attr
            elif isinstance(called, ast.Name):
                yield called.id


def test_nobody_else_marks_html_as_safe_or_makes_templates_of_words() -> None:
    package = Path(module.__file__).parent
    sources = [path for path in package.rglob("*.py") if "migrations" not in path.parts]
    sources += (package.parent / "blocks").glob("*.py")  # rglob does not follow the link
    assert len(sources) > 100
    forbidden = {"mark_safe", "SafeText", "Template", "from_string", "format_map", "render_value_in_context"}
    found = {(path.name, name) for path in sources for name in _calls(path) if name in forbidden}
    assert found == {("html.py", "mark_safe")}
    templates = list(package.rglob("templates/**/*.html"))
    assert len(templates) > 20
    unsafe = re.compile(r"\|\s*safe|autoescape\s+off|safeseq|\|\s*richtext")
    assert not [path for path in templates if unsafe.search(path.read_text())]


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
    stored = clean_stored(html)
    assert clean_stored(stored) == stored
    assert_clean(html_to_tree(stored))
    # What the server writes for the page holds no more than the tree did.
    assert_clean(html_to_tree(tree_to_html(tree)))


def test_importing_the_module_loads_neither_library() -> None:
    import subprocess

    code = "import sys, wagtail_prefs.html; sys.exit(bool({'bleach', 'nh3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
