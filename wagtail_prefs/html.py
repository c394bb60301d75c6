"""Rich text in and out. The only importer of bleach, and the only place that marks HTML as safe.

Two barriers that do not trust each other (security.md HT-01..07): bleach cleans against a closed list, and what it
returns is read into a tree that holds nothing else. Renderers draw the tree, never the string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
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

_VOID: Final = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)
# C0 and C1 controls, spaces, soft hyphen, zero-width and direction characters: browsers drop some of them from a
# scheme, so a scheme is judged without any of them.
_INVISIBLE: Final = re.compile(
    r"[\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_HREF: Final = re.compile(
    r"(?:https://[^\s\\/@]+(?:[/?#].*)?|mailto:[^\s]+|tel:\+?[0-9 ()-]+)\Z", re.IGNORECASE
)
_LOOPBACK_HREF: Final = re.compile(
    r"http://(?:localhost|[a-z0-9-]+\.localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?(?:[/?#].*)?\Z",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)((?:[^>\"']|\"[^\"]*\"|'[^']*')*)")
_ATTRIBUTE: Final = re.compile(r"[^\s\"'=/]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?")
# A second pass of the cleaner must change nothing; what keeps changing is not ordinary text.
_PASSES: Final = 4


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
    for closing, name, attributes in _TAG.findall(html):
        tag = name.lower()
        if closing:
            if tag in open_tags:
                del open_tags[len(open_tags) - 1 - open_tags[::-1].index(tag) :]
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


def clean_html(html: str) -> str:
    """Return the HTML with nothing in it but the listed tags and safe links. Idempotent; raises HtmlRefused."""
    check_size(html)
    return _bleach(html)


def html_to_tree(html: str, base_url: str = "") -> Tree:
    """Turn stored rich text into the array form of docs/reference/center-document.md; raises HtmlRefused.

    Wagtail's links to pages and documents are written out first; `base_url` makes them absolute.
    """
    if not html:
        return []
    from wagtail.rich_text import expand_db_html  # noqa: PLC0415 - needs the apps

    check_size(html)
    reader = _TreeReader()
    reader.feed(_bleach(_absolute(expand_db_html(html), base_url)))
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


def _bleach(html: str) -> str:
    from bleach.sanitizer import Cleaner  # noqa: PLC0415 - 50 ms that no start-up and no visitor should pay

    # A new one each time: a Cleaner is not thread-safe.
    cleaner = Cleaner(
        tags=TAGS,
        attributes=lambda tag, name, value: (
            tag == "a" and (name == "title" or (name == "href" and href_is_allowed(value)))
        ),
        protocols=frozenset(["https", "mailto", "tel", *(["http"] if settings.DEBUG else [])]),
        strip=True,
        strip_comments=True,
    )
    for _ in range(_PASSES):
        cleaned: str = cleaner.clean(html)
        if cleaned == html:
            return cleaned
        html = cleaned
    raise HtmlRefused("This text cannot be cleaned to a stable form. Paste it as plain text.")


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
