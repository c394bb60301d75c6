"""A preference center as a visitor meets it, in whichever browser: what she reads, and what she presses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .engines import Browser, Failed

#: Two busy cores serve the demo, a worker, a CRM and a browser.
SECONDS = 30

#: Before each question: where the center is, and what a control in it is called.
_HERE = """
const element = document.querySelector('preference-center');
const root = element?.shadowRoot ?? document;
const said = (node) => node?.textContent.replace(/\\s+/g, ' ').trim() ?? '';
const label = (node) => {
  const ids = node.getAttribute('aria-labelledby');
  return ids ? ids.split(' ').map((id) => said(root.getElementById(id))).join(' ') : said(node.labels?.[0] ?? node);
};
const seen = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest('[aria-hidden=true]');
const find = (kind, name) => [...root.querySelectorAll(kind)].find((node) => label(node) === name && seen(node));
"""
_BOX = "input[type=checkbox]"
_BUTTON = "button, a[href]"


@dataclass(frozen=True, slots=True)
class View:
    browser: Browser

    def ask(self, body: str, *values: Any) -> Any:
        return self.browser.run(_HERE + body, *values)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Polls until a condition holds. While a page goes and the next comes, browsers answer nothing useful."""
        deadline = time.monotonic() + SECONDS
        while True:
            went_wrong = ""
            try:
                if condition():
                    return
            except Failed as error:
                went_wrong = f" ({error})"
            if time.monotonic() > deadline:
                raise AssertionError(f"not in time: {what}{went_wrong}. The page says: {self._text()[:1500]}")
            time.sleep(0.1)

    def _text(self) -> str:
        try:
            text: str = self.ask("return said(root.querySelector('.center') ?? document.body)")
        except Failed as error:
            return str(error)
        return text

    def until_drawn(self) -> None:
        self.until(
            lambda: self.ask("return !!element?.shadowRoot?.querySelector('[part=save]')"), "the element"
        )

    def until_said(self, text: str) -> None:
        """In the status region."""
        body = "return [...root.querySelectorAll('[role=status]')].some((node) => said(node).includes(arguments[0]))"
        self.until(lambda: self.ask(body, text), f"status “{text}”")

    def until_ticked(self, name: str, ticked: bool) -> None:
        self.until(lambda: self.ticked(name) is ticked, f"“{name}” is {ticked}")

    def ticked(self, name: str) -> bool | None:
        """None where there is no such box."""
        found: bool | None = self.ask(f"return find('{_BOX}', arguments[0])?.checked", name)
        return found

    def tick(self, name: str) -> None:
        """Click a box."""
        before = self.ticked(name)
        self._click(_BOX, name)
        self.until_ticked(name, not before)

    def press(self, name: str) -> None:
        """Click a button, or a link."""
        self._click(_BUTTON, name)

    def is_in(self, state: str) -> bool:
        """Whether the element matches `:state(...)`."""
        return bool(self.ask("return element.matches(`:state(${arguments[0]})`)", state))

    def focused(self) -> str:
        """The kind and the name of what has the focus inside the center."""
        body = (
            "const node = root.activeElement;"
            "return node && node !== document.body ? `${node.type ?? node.tagName}: ${label(node)}` : ''"
        )
        found: str = self.ask(body)
        return found

    def _click(self, kind: str, name: str) -> None:
        """Where it is now: it may still move, as pictures come."""
        middle = f"""
            const node = find('{kind}', arguments[0]);
            if (!node) return null;
            node.scrollIntoView({{ block: 'center', behavior: 'instant' }});
            const {{ x, y, width, height }} = node.getBoundingClientRect();
            const [across, down] = [x + width / 2, y + height / 2];
            const top = root.elementFromPoint(across, down);
            return node.contains(top) || top?.contains(node) ? [across, down] : null;
        """
        found: list[Any] = []

        def stands_still() -> bool:
            found.append(self.ask(middle, name))
            return bool(found[-1]) and len(found) > 1 and found[-1] == found[-2]

        self.until(stands_still, f"“{name}” can be clicked")
        self.browser.click(*found[-1])
