"""Another website puts our pages into frames, or opens them and holds on to the window (security.md EB-06, T8)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.example_site.conftest import Demo

from .center import SAVE, button
from .conftest import Visitor
from .inside import Inside
from .test_embedded import Watched

#: Makes the website of somebody else show a page of this body; returns its address.
Website = Callable[[str], str]


@pytest.fixture
def website() -> Iterator[Website]:
    """A real server: a page that the test itself gave the browser may not ask loopback for frames anyway."""
    bodies: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(
                f'<!doctype html><link rel="icon" href="data:,">{bodies[int(self.path[1:])]}'.encode()
            )

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def show(body: str) -> str:
        bodies.append(body)
        return f"http://evil.localhost:{server.server_port}/{len(bodies) - 1}"

    yield show
    server.shutdown()
    server.server_close()


def test_no_other_website_frames_a_page_of_ours(
    demo: Demo, inside: Inside, watched: Watched, visitor: Visitor, website: Website
) -> None:
    slug = urlsplit(demo.facts["centers"][0]["url"]).path.strip("/").rpartition("/")[2]
    center = inside.ask("center", slug=slug, locale="en")["id"]
    somebody, root = visitor(), f"{demo.place.site}/prefs"
    ours = [
        somebody["manage_url"],
        somebody["one_click_url"],
        f"{root}/l/v1.no.such/",
        f"{root}/c/v1.no.such/",
        f"{root}/request-link/{center}/",
        f"{root}/sign-up/{center}/",
        f"{root}/me/{center}/",
        f"{root}/embed/{center}/",  # may be framed, but not there
    ]
    page, _ = watched()
    failed: dict[str, str | None] = {}
    page.on("requestfailed", lambda request: failed.update({request.url: request.failure}))
    harmless = website("<p>Anybody may frame this.</p>")
    page.goto(website("".join(f'<iframe src="{address}"></iframe>' for address in [*ours, harmless])))
    page.wait_for_load_state("networkidle")
    assert failed == dict.fromkeys(ours, "net::ERR_BLOCKED_BY_RESPONSE")
    shown = [frame.url for frame in page.frames[1:]]
    assert shown == [*["chrome-error://chromewebdata/"] * len(ours), harmless]
    assert inside.ask("state", contact=somebody["id"])["version"] == 1


def test_whoever_opens_a_page_of_ours_does_not_keep_hold_of_it(
    watched: Watched, visitor: Visitor, website: Website
) -> None:
    page, _ = watched()
    page.goto(website("<button>Open</button>"))
    page.evaluate(
        """url => document.querySelector('button').addEventListener('click', () => { window.held = open(url); })""",
        visitor()["manage_url"],
    )
    with page.expect_popup() as opened:
        button(page, "Open").click()
    ours = opened.value
    expect(button(ours, SAVE)).to_be_visible()
    assert ours.evaluate("window.opener") is None
    assert page.evaluate("[held.closed, held.length]") == [True, 0]
