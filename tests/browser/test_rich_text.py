"""What the cleaner leaves of what attackers write, as a real browser reads it (security.md HT-07)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.test_html import ENGINES
from tests.test_html_corpus import inputs
from wagtail_prefs import html as module
from wagtail_prefs.html import TAGS, HtmlRefused, clean_html

#: Everything in a text that is not on the list, by the browser's own parser and its own idea of an address.
FOREIGN = """([texts, tags]) => {
  const listed = new Set(tags.map((tag) => tag.toUpperCase()));
  const found = [];
  for (const text of texts) {
    const read = new DOMParser().parseFromString(`<div>${text}</div>`, 'text/html');
    if (read.head.childNodes.length || read.body.children.length !== 1) found.push(`broke out: ${text}`);
    for (const one of read.body.querySelectorAll('div *')) {
      if (one.namespaceURI !== 'http://www.w3.org/1999/xhtml' || !listed.has(one.nodeName)) found.push(`tag: ${text}`);
      for (const { name } of one.attributes)
        if (one.nodeName !== 'A' || !['href', 'title', 'rel'].includes(name)) found.push(`attribute ${name}: ${text}`);
      if (one.hasAttribute('href') && !['https:', 'mailto:', 'tel:'].includes(one.protocol)) found.push(`link: ${text}`);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("engine", ENGINES)
def test_chromium_finds_nothing_foreign(
    browse: Callable[..., BrowserContext], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr(module, "engine", lambda: engine)
    cleaned = []
    for text in inputs():
        try:
            cleaned.append(clean_html(text))
        except HtmlRefused:
            continue
    assert len(cleaned) > 4000
    page: Any = browse().new_page()
    assert page.evaluate(FOREIGN, [cleaned, sorted(TAGS)]) == []
    planted = ["<p onclick=x>a</p>", "<svg><a></a></svg>", '<a href="javascript:1">a</a>', "</div><p>b</p>"]
    assert len(page.evaluate(FOREIGN, [planted, sorted(TAGS)])) >= len(planted)
