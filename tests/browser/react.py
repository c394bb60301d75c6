"""A page of React 19, drawn on the server and made alive in the browser, by `frontend/scripts/react-page.ts`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from playwright.sync_api import Page

from .hosts import CODE, HOST, NODE_MODULES, Hosts

MODULE = "https://host.example/client.js"


def draw(folder: Path, files: dict[str, str]) -> dict[str, str]:
    """`{"html", "script"}` of these files, of which `Page.tsx` exports the page."""
    for name, code in files.items():
        (folder / name).write_text(code)
    done = subprocess.run(
        [NODE_MODULES / ".bin" / "node", "scripts/react-page.ts", folder],
        cwd=NODE_MODULES.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    drawn: dict[str, str] = json.loads(done.stdout)
    return drawn


def open_drawn(hosts: Hosts, drawn: dict[str, str]) -> Page:
    """What the server drew, as it stands before React is there."""
    hosts.pages[f"{HOST}/"] = drawn["html"]
    hosts.pages[MODULE] = drawn["script"]
    page = hosts.context.new_page()
    page.goto(f"{HOST}/{CODE}", wait_until="domcontentloaded")
    return page


def hydrate(page: Page) -> None:
    page.add_script_tag(url=MODULE, type="module")
    page.wait_for_function("globalThis.hydrated && document.querySelector('preference-center')")
    # React works in tasks of its own: let it come to its end.
    page.evaluate("new Promise((done) => requestIdleCallback(() => setTimeout(done)))")
