"""The element against a page written by hand (`pages/layout.js`): 40 topics on three channels, in one Chromium, slowed down.

Times are what a person waits for: from the call that draws to the finished layout, and from a press to the layout after
it. Both take turns in one page, so that what else the machine does meets both alike.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import quantiles
from typing import Any

from playwright.sync_api import Page, Route, sync_playwright

from .endpoints import Figure

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "wagtail_prefs" / "static" / "wagtail_prefs" / "dist" / "preference-center.js"
ORIGIN = "https://bench.example"
BASE = f"{ORIGIN}/centers/1/"
TOPICS, CHANNELS = 40, ("email", "sms", "post")
#: How much slower than this machine, as phones are.
SLOWER = 4
CHANGES = 12
#: name of the figure -> how it is called
LABELS = {
    "element_drawn": "element, 40 topics",
    "hand_drawn": "hand-written, 40 topics",
    "element_changed": "element, one change",
    "hand_changed": "hand-written, one change",
}


def document() -> dict[str, Any]:
    return {
        "format": 1,
        "center": "1",
        "revision": "0" * 64,
        "locale": "en",
        "direction": "ltr",
        "title": "Your choices",
        "page_url": f"{ORIGIN}/choices/",
        "labels": {
            "save": "Save",
            "discard": "Discard changes",
            "unsaved": "You have changes that are not saved yet.",
        },
        "blocks": [
            {
                "id": "b",
                "type": "topics",
                "heading": "Topics",
                "text": [],
                "controls": [
                    {
                        "type": "matrix",
                        "name": "choices",
                        "label": "Topics",
                        "cell": "toggle",
                        "columns": [{"key": channel, "label": channel.title()} for channel in CHANNELS],
                        "rows": [
                            {
                                "key": f"topic-{number}",
                                "label": f"Topic {number}",
                                "help": "What it is about.",
                            }
                            for number in range(TOPICS)
                        ],
                    }
                ],
            }
        ],
    }


def preferences() -> dict[str, Any]:
    choices = {
        f"topic-{number}": {channel: number % 3 == place for place, channel in enumerate(CHANNELS)}
        for number in range(TOPICS)
    }
    return {
        "version": 1,
        "revision": "0" * 64,
        "assurance": "link",
        "contact": {},
        "answers": {"b": {"choices": choices}},
    }


def measure(rounds: int) -> dict[str, Figure]:
    """The figures by the names of `LABELS`; times in milliseconds, of the slowed-down browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 900, "height": 1000})
            page.route("**/*", _serve)
            page.goto(f"{ORIGIN}/")
            page.evaluate("(base) => sessionStorage.setItem(`preference-center ${base}`, 's')", BASE)
            found = _run(page, rounds)
        finally:
            browser.close()
    inputs = TOPICS * len(CHANNELS)
    assert {one["count"] for side in found.values() for one in side} == {inputs}, (
        "one of them drew something else"
    )
    figures: dict[str, Figure] = {}
    for name, side in found.items():
        figures[f"{name}_drawn"] = _figure([one["drawn"] for one in side])
        figures[f"{name}_changed"] = _figure([time for one in side for time in one["changed"]])
    return figures


def _run(page: Page, rounds: int) -> dict[str, list[dict[str, Any]]]:
    css = page.evaluate(
        """async (base) => {
            const element = document.createElement('preference-center');
            element.setAttribute('src', base);
            const loaded = new Promise((resolve) => element.addEventListener('preference-center-loaded', resolve));
            document.body.append(element);
            await loaded;
            const [sheet] = element.shadowRoot.adoptedStyleSheets;
            element.remove();
            return [...sheet.cssRules].map((rule) => rule.cssText).join('\\n');
        }""",
        BASE,
    )
    page.evaluate(
        "([base, css, rounds, changes]) => run(base, css, rounds, changes)", [BASE, css, 2, CHANGES]
    )
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    found: dict[str, list[dict[str, Any]]] = page.evaluate(
        "([base, css, rounds, changes]) => run(base, css, rounds, changes)", [BASE, css, rounds, CHANGES]
    )
    return found


def _figure(times: list[float]) -> Figure:
    cuts = quantiles(times, n=100, method="inclusive")
    return Figure(1e3 / cuts[49], cuts[49], cuts[98], 0.0, 0.0, 0, 0)


def _serve(route: Route) -> None:
    path = route.request.url.removeprefix(ORIGIN)
    if path == "/":
        host = (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Bench</title>"
            '<script type="module" src="/element.js"></script><script src="/layout.js"></script><body></body></html>'
        )
        return route.fulfill(content_type="text/html", body=host)
    if path == "/element.js":
        return route.fulfill(content_type="text/javascript", body=SCRIPT.read_bytes())
    if path == "/layout.js":
        # No network in what is measured: both are answered at once.
        answers = {BASE: document(), f"{BASE}preferences/": preferences()}
        fetching = (
            f"const answers = {json.dumps(answers)};\n"
            "window.fetch = async (address) => new Response(JSON.stringify(answers[String(address).split('?')[0]]), "
            "{ headers: { 'Content-Type': 'application/json' } });\n"
        )
        script = (Path(__file__).parent / "pages" / "layout.js").read_text()
        return route.fulfill(content_type="text/javascript", body=fetching + script)
    return route.fulfill(status=404, body="")


def _chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise FileNotFoundError("No Chromium: run `make install`.")
    return found


def main() -> None:
    """`python -m tests.bench.layout`: this one alone."""
    figures = measure(21)
    for name, label in LABELS.items():
        print(f"{label:<26} {figures[name].p50:7.2f} ms {figures[name].p99:7.2f} ms")
    for what in ("drawn", "changed"):
        print(f"{what}: {figures[f'element_{what}'].p50 / figures[f'hand_{what}'].p50:.2f} x by hand")


if __name__ == "__main__":
    main()
