"""Rich text in and out. The only importer of bleach and nh3, and the only place that marks HTML as safe.

Two barriers that do not trust each other: a cleaner works against a closed list, and what it returns is read into a
tree that holds nothing else. Renderers draw the tree, never the string. The cleaner is nh3 where that is installed
(the extra `nh3`), and bleach otherwise; see docs/reference/rich-text.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from html.parser import HTMLParser
from importlib.util import find_spec
from typing import Final
from urllib.parse import urljoin

from django.conf import settings
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from .errors import PrefsError
from .values import Tree

TAGS: Final = frozenset(
    ["p", "br", "strong", "em", "b", "i", "u", "ul", "ol", "li", "a", "h2", "h3", "h4", "blockquote"]
)
MAX_BYTES: Final = 16 * 1024
MAX_NESTING: Final = 64
MAX_ATTRIBUTES: Final = 20
#: End tags that cross another element, or end nothing.
MAX_CROSSED: Final = 64

_VOID: Final = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
# C0 and C1 controls, spaces, soft hyphen, zero-width and direction characters: browsers drop some of them from a
# scheme, so a scheme is judged without any of them.
_INVISIBLE: Final = re.compile(
    r"[\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
# No user names, no backslashes, and no sign that no host has.
_HREF: Final = re.compile(
    r"(?:https://(?:[^\s\\/@:?#%\"<>\[\]^`{|}]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#].*)?"
    r"|mailto:[^\s]+|tel:\+?[0-9 ()-]+)\Z",
    re.IGNORECASE,
)
_LOOPBACK_HREF: Final = re.compile(
    r"http://(?:localhost|[a-z0-9-]+\.localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?(?:[/?#].*)?\Z",
    re.IGNORECASE,
)
# A quote without its partner is an ordinary sign, as it is for a browser. Nothing follows the repeated group, so it is
# never tried again in another way.
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)((?:[^>\"']|\"[^\"]*\"|'[^']*'|[\"'])*)")
_ATTRIBUTE: Final = re.compile(r"[^\s\"'=/]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?")
# What a field keeps and no visitor gets: the check before publishing shows it to the editor, who can then mend it.
_PLAIN_HREF: Final = re.compile(
    r"http://(?:[^\s\\/@:?#%\"<>\[\]^`{|}]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#].*)?\Z", re.IGNORECASE
)
# What may stay open in ordinary HTML: its end is understood.
_IMPLIED: Final = frozenset(["p", "li", "dt", "dd", "option", "tr", "td", "th", "tbody", "thead"])
_HOLDERS: Final = frozenset(["ul", "ol", "dl", "table", "tbody", "thead", "tr", "blockquote", "div"])
# What Wagtail stores beside the listed attributes: links by number, and the names of paragraphs.
_STORED: Final = {
    ("a", "linktype"): re.compile(r"page|document"),
    ("a", "id"): re.compile(r"[0-9]{1,18}"),
    **{(tag, "data-block-key"): re.compile(r"[a-zA-Z0-9_-]{1,40}") for tag in sorted(TAGS)},
}
# A second pass of the cleaner must change nothing; what keeps changing is not ordinary text.
_PASSES: Final = 4

_Keep = Callable[[str, str, str], bool]


class HtmlRefused(PrefsError):
    """Rich text that is too large or too deeply nested to be cleaned in reasonable time."""


def href_is_allowed(href: str) -> bool:
    """Whether a link may stand in a center: https with a host and without user names, mailto, or tel.

    Plain http to this machine is allowed under DEBUG, so that a development site can link to itself.
    """
    bare = _INVISIBLE.sub("", href)
    if _HREF.match(bare):
        return True
    return bool(settings.DEBUG and _LOOPBACK_HREF.match(bare))


def check_size(html: str) -> None:
    """Refuse what would take bleach long, which is quadratic in places; raises HtmlRefused."""
    if len(html.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise HtmlRefused(f"This text is longer than {MAX_BYTES // 1024} KiB. Shorten it, or link to a page.")
    open_tags: list[str] = []
    crossed = 0
    for closing, name, attributes in _TAG.findall(html):
        tag = name.lower()
        if closing:
            crossed += not _close(tag, open_tags)
            if crossed > MAX_CROSSED:
                raise HtmlRefused("Too many tags of this text cross each other. Paste it as plain text.")
            continue
        if len(_ATTRIBUTE.findall(attributes)) > MAX_ATTRIBUTES:
            raise HtmlRefused(
                f"A tag of this text has more than {MAX_ATTRIBUTES} attributes. Paste it as plain text."
            )
        if tag not in _VOID:
            open_tags.append(tag)
            if len(open_tags) > MAX_NESTING:
                raise HtmlRefused(
                    f"This text is nested more than {MAX_NESTING} deep. Paste it as plain text."
                )


def _close(tag: str, open_tags: list[str]) -> bool:
    """Close a tag, and in it what needs no end; whether that is all there was to do.

    Anything else stays open, because a parser of HTML opens it anew behind the tag that crosses it - which is what
    takes long.
    """
    if tag not in open_tags:
        return False
    at = len(open_tags) - 1 - open_tags[::-1].index(tag)
    inner = open_tags[at + 1 :]
    open_tags[at:] = [name for name in inner if name not in _IMPLIED]
    return not inner or (tag in _HOLDERS and len(open_tags) == at)


@cache
def engine() -> str:
    """Which library cleans: "nh3" where it is installed, otherwise "bleach"."""
    return "nh3" if find_spec("nh3") else "bleach"


def clean_html(html: str) -> str:
    """Return the HTML with nothing in it but the listed tags and safe links. Idempotent; raises HtmlRefused."""
    check_size(html)
    return _clean(html, stored=False, cleaner=engine(), debug=settings.DEBUG)


def clean_stored(html: str) -> str:
    """The same for what a rich-text field keeps: Wagtail's links by number and its names of paragraphs stay too.

    So do links with plain http, which the check `link-insecure` then finds; a tree never holds them.
    """
    check_size(html)
    return _clean(html, stored=True, cleaner=engine(), debug=settings.DEBUG)


def html_to_tree(html: str, base_url: str = "") -> Tree:
    """Turn stored rich text into the array form of docs/reference/center-document.md; raises HtmlRefused.

    Wagtail's links to pages and documents are written out first; `base_url` makes them absolute.
    """
    if not html:
        return []
    from wagtail.rich_text import expand_db_html  # noqa: PLC0415 - needs the apps

    check_size(html)
    reader = _TreeReader()
    written_out = _absolute(expand_db_html(html), base_url)
    reader.feed(_clean(written_out, stored=False, cleaner=engine(), debug=settings.DEBUG))
    reader.close()
    return reader.tree


def tree_to_html(tree: Tree) -> SafeString:
    """Write a tree as HTML, by hand: every text and every value is escaped, and anything unknown is left out."""
    # Safe because nothing reaches the result but constants of this module and escaped text.
    return mark_safe("".join(_write(node) for node in tree))  # noqa: S308


def tree_to_text(tree: Tree) -> str:
    """The words of a tree, for hashes, labels and mails."""
    return "".join(node if isinstance(node, str) else tree_to_text(node[2:]) for node in tree)


def _write(node: object) -> str:
    if isinstance(node, str):
        return escape(node)
    if not isinstance(node, list | tuple) or len(node) < 2 or node[0] not in TAGS:
        return ""
    tag, attributes, *children = node
    written = "".join(f' {name}="{escape(value)}"' for name, value in _attributes(tag, attributes).items())
    if tag == "a":
        written += ' rel="noopener noreferrer nofollow"'
    if tag == "br":
        return "<br>"
    return f"<{tag}{written}>{''.join(_write(child) for child in children)}</{tag}>"


def _attributes(tag: str, given: Mapping[str, str | None]) -> dict[str, str]:
    if tag != "a":
        return {}
    kept = {
        name: value for name, value in given.items() if name in {"href", "title"} and isinstance(value, str)
    }
    if "href" in kept and not href_is_allowed(kept["href"]):
        del kept["href"]
    return kept


def _is_plain(href: str) -> bool:
    return bool(_PLAIN_HREF.match(_INVISIBLE.sub("", href)))


@lru_cache(maxsize=256)  # a preview compiles the same texts after every few keys
def _clean(html: str, *, stored: bool, cleaner: str, debug: bool) -> str:
    def keep(tag: str, name: str, value: str) -> bool:
        if tag == "a" and name in {"href", "title"}:
            return name == "title" or href_is_allowed(value) or (stored and _is_plain(value))
        rule = _STORED.get((tag, name)) if stored else None
        return bool(rule and rule.fullmatch(value))

    schemes = {"https", "mailto", "tel", *(["http"] if debug or stored else [])}
    clean = _CLEANERS[cleaner]
    for _ in range(_PASSES):
        cleaned = clean(html, keep, schemes)
        if cleaned == html:
            return cleaned
        html = cleaned
    raise HtmlRefused("This text cannot be cleaned to a stable form. Paste it as plain text.")


def _bleach(html: str, keep: _Keep, schemes: set[str]) -> str:
    from bleach.sanitizer import Cleaner  # noqa: PLC0415 - 50 ms that no start-up and no visitor should pay

    # A new one each time: a Cleaner is not thread-safe.
    cleaner = Cleaner(tags=TAGS, attributes=keep, protocols=schemes, strip=True, strip_comments=True)
    cleaned: str = cleaner.clean(html)
    return cleaned


def _nh3(html: str, keep: _Keep, schemes: set[str]) -> str:
    import nh3  # noqa: PLC0415 - an extra

    names = {"href", "title", *(name for _tag, name in _STORED)}
    return nh3.clean(
        html,
        tags=set(TAGS),
        clean_content_tags=set(),  # their text stays as text, as with bleach
        # `*` must be named: without it, title and lang may stand everywhere.
        attributes={"*": set(), **dict.fromkeys(TAGS, names)},
        attribute_filter=lambda tag, name, value: value if keep(tag, name, value) else None,
        url_schemes=schemes,
        strip_comments=True,
        link_rel=None,
    )


_CLEANERS: Final[Mapping[str, Callable[[str, _Keep, set[str]], str]]] = {"bleach": _bleach, "nh3": _nh3}


def _absolute(html: str, base_url: str) -> str:
    """Complete the site-relative links that Wagtail writes; it always quotes with double quotes."""

    def complete(match: re.Match[str]) -> str:
        return f'href="{escape(urljoin(base_url, match[1]))}"'

    return re.sub(r'href="(/(?!/)[^"<>\\]*)"', complete, html) if base_url else html


class _TreeReader(HTMLParser):
    """Reads cleaned HTML into a tree, and keeps nothing that is not on the list."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tree: Tree = []
        self._open: list[tuple[str, Tree]] = [("", self.tree)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            return
        node: Tree = [tag, _attributes(tag, dict(attrs))]
        self._open[-1][1].append(node)
        if tag != "br":
            self._open.append((tag, node))

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self._open]
        if tag in names[1:]:
            del self._open[len(names) - 1 - names[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        siblings = self._open[-1][1]
        # The parser may hand out one text in pieces; a tree holds it as one node, so that its hash is one.
        if siblings and isinstance(siblings[-1], str) and len(siblings) > (0 if siblings is self.tree else 2):
            siblings[-1] += data
        else:
            siblings.append(data)
