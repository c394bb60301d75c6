"""Every block, in both renderers, wide and narrow and from right to left: nothing overflows, is cut off or is empty."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext

from .gallery import RENDERERS, VARIANTS, Variant, names, section, show

#: What is wrong with how a section is laid out; "unseen" texts are for screen readers and have no place.
FAULTS = """section => {
  const found = [];
  const wide = document.documentElement;
  if (wide.scrollWidth > wide.clientWidth) found.push(`the page is ${wide.scrollWidth - wide.clientWidth} px too wide`);
  const box = section.getBoundingClientRect();
  if (box.height < 24) found.push(`only ${box.height} px high`);
  const controls = 'input:not([type=hidden]), select, textarea, button, a, img, li, p';
  if (![...section.querySelectorAll(controls)].some((one) => one.checkVisibility())) found.push('nothing in it');
  for (const one of section.querySelectorAll('*')) {
    const rect = one.getBoundingClientRect();
    const style = getComputedStyle(one);
    if (!one.checkVisibility() || rect.width <= 1 || rect.height <= 1 || style.clipPath !== 'none') continue;
    const what = `${one.localName} “${one.textContent.trim().slice(0, 40)}”`;
    if (rect.left < -1 || rect.right > wide.clientWidth + 1) {
      let scrolls = one.parentElement;
      while (scrolls && !/auto|scroll/.test(getComputedStyle(scrolls).overflowX)) scrolls = scrolls.parentElement;
      if (!scrolls) found.push(`beyond the edge: ${what}`);
    }
    const cut = /hidden|clip/;
    if (cut.test(style.overflowX) && one.scrollWidth > one.clientWidth + 1) found.push(`cut off: ${what}`);
    if (cut.test(style.overflowY) && one.scrollHeight > one.clientHeight + 1) found.push(`cut off below: ${what}`);
    if (one.matches('input:not([type=checkbox],[type=radio],[type=hidden]), select, textarea, button') && rect.height < 24)
      found.push(`a target of ${Math.round(rect.height)} px: ${what}`);
    if (one.localName === 'img' && !one.naturalWidth) found.push(`no picture: ${one.src}`);
  }
  return found;
}"""


@pytest.mark.parametrize(
    "variant", [one for one in VARIANTS if one.scheme == "light"], ids=lambda one: one.name
)
@pytest.mark.parametrize("renderer", RENDERERS)
def test_every_block_fits(browse: Callable[..., BrowserContext], renderer: str, variant: Variant) -> None:
    page = show(browse(), renderer, variant)
    faults = {}
    for name in names():
        one = section(page, renderer, name)
        assert one.count() == 1, f"{name} is not drawn"
        found = one.evaluate(FAULTS)
        if found:
            faults[name] = found
    assert faults == {}


def test_a_fault_would_be_found(browse: Callable[..., BrowserContext]) -> None:
    page = show(browse(), "page", VARIANTS[0])
    one = section(page, "page", names()[0])
    one.evaluate("section => { section.style.width = '3000px' }")
    assert any("too wide" in fault for fault in one.evaluate(FAULTS))
    one.evaluate("section => { section.style.width = '' }")
    one.evaluate(
        "section => { section.firstElementChild.style.cssText = 'width: 30px; overflow: hidden; white-space: nowrap' }"
    )
    assert any("cut off" in fault for fault in one.evaluate(FAULTS))
    one.evaluate("section => { section.replaceChildren() }")
    assert "nothing in it" in one.evaluate(FAULTS)
