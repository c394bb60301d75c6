"""Websites of others around the element, without a site of ours: the browser is given all that it asks for.

The pages are the host's, at `HOST`; the script comes by its real embed code, and the API at `SITE` answers what the
gallery's document has. Two other origins stand for a partner who frames the host, and for an attacker.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.browser.gallery import CENTER, ORIGIN as SITE, PICTURE, STATIC, TYPES, center
from wagtail_prefs.centers.embed import build, element, embed_snippet
from wagtail_prefs.centers.values import Center
from wagtail_prefs.values import Json
from wagtail_prefs.web.responses import page as own_page

from .center import SAVE, SAVED

HOST = "https://host.example"
#: Which website may be what, by its first word.
FRAMING = "https://partner.example"
EVIL = "https://evil.example"
NODE_MODULES = Path(__file__).resolve().parents[2] / "frontend" / "node_modules"
#: The center for frames.
FRAME = f"{SITE}/prefs/embed/{UUID(int=7)}/"
#: What stands in the place of a page's own code.
CODE = "#pc=code"


def snippet(locale: str = "en") -> str:
    """The embed code as the editor's panel gives it: pinned, with its hash and a link for the rest."""
    found = Center(
        center=UUID(int=7),
        locale=locale,
        digest="",
        body=b"",
        etag="",
        audience_id=1,
        audience_key="default",
        page_url=f"{SITE}/choices/",
        host_pages=(),
        origins=(SITE, HOST),
    )
    return str(embed_snippet(found))


def document(body: str = "", *, head: str = "") -> str:
    """A host page around the embed code."""
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A host</title>{head}</head>
<body>{body or snippet()}</body></html>"""


@dataclass
class Hosts:
    """Serves pages by their full address, npm packages below `/npm/`, the script, and the API of one center."""

    context: BrowserContext
    pages: dict[str, str | bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    #: method and path of each request for the API, in order
    asked: list[str] = field(default_factory=list)
    #: what each save sent
    saves: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.document, self.preferences = center("en")
        self.context.route("**/*", self._serve)

    def open(self, body: str = "", *, head: str = "", path: str = "/") -> Page:
        """The host's page with that body, as somebody comes to it by a link in a mail."""
        self.pages[f"{HOST}{path}"] = document(body, head=head)
        page = self.context.new_page()
        page.goto(f"{HOST}{path}{CODE}")
        return page

    def _serve(self, route: Route) -> None:
        address = route.request.url.partition("#")[0].partition("?")[0]
        where = urlsplit(address)
        if address in self.pages:
            kind = "text/javascript" if where.path.endswith(".js") else "text/html; charset=utf-8"
            headers = {"Content-Type": kind, **self.headers.get(address, {})}
            return route.fulfill(headers=headers, body=self.pages[address])
        if where.path.startswith("/npm/") and (file := NODE_MODULES / where.path[5:]).is_file():
            return route.fulfill(content_type="text/javascript", body=file.read_bytes())
        if f"{where.scheme}://{where.netloc}" == SITE:
            return self._serve_site(route, where.path)
        return route.fulfill(status=404, body="")

    def _serve_site(self, route: Route, path: str) -> None:
        if path == urlsplit(FRAME).path:
            return self._frame(route)
        if path.startswith("/static/"):
            file = STATIC / path.removeprefix("/static/")
            return route.fulfill(content_type=TYPES[file.suffix], body=file.read_bytes())
        if path == "/prefs/embed.js":
            path = f"/prefs/embed/{element().version}.js"
        if path.startswith("/prefs/embed/"):
            script = build(path.rpartition("/")[2].removesuffix(".js"))
            headers = {"Content-Type": "text/javascript", "Access-Control-Allow-Origin": "*"}
            return route.fulfill(headers=headers, body=script.body)
        request = route.request
        if path.startswith(CENTER):
            self.asked.append(f"{request.method} {path.removeprefix(CENTER)}")
            return self._answer(route, path.removeprefix(CENTER))
        if request.resource_type == "image":
            return route.fulfill(content_type="image/svg+xml", body=PICTURE)
        return route.fulfill(status=404, body="")

    def _frame(self, route: Route) -> None:
        """As `web.frame` answers it, with the same headers, for a center that `HOST` may show."""
        asked = parse_qs(urlsplit(route.request.url).query).get("host", [""])[0]
        host = asked if asked in (SITE, HOST) else ""
        answer = own_page(
            "wagtail_prefs/frame.html",
            {"document": self.document, "page_url": f"{SITE}/choices/", "host": host},
            locale="en",
            ancestors=(SITE, HOST),
            scripts=bool(host),
        )
        route.fulfill(headers=dict(answer.items()), body=answer.content)

    def _answer(self, route: Route, path: str) -> None:
        request = route.request
        if path == "":
            answer: Json = self.document
        elif path == "sessions/":
            answer = {"session": "s", "expires_at": "2099-01-01T00:00:00Z", "preferences": self.preferences}
        elif request.method == "GET":
            answer = self.preferences
        else:
            body = json.loads(request.post_data or "{}")
            self.saves.append(body)
            for block, given in body.get("answers", {}).items():
                _merge(self.preferences["answers"].setdefault(block, {}), given)
            self.preferences["version"] += 1
            answer = {
                "version": self.preferences["version"],
                "receipt": str(UUID(int=9)),
                "applied": [],
                "merged": [],
                "preferences": self.preferences,
            }
        # As ours: exactly the origins that may, and never a cookie.
        if request.headers.get("origin") != HOST:
            return route.fulfill(status=403, json={"title": "origin"})
        return route.fulfill(json=answer, headers={"Access-Control-Allow-Origin": HOST, "Vary": "Origin"})


def a_box(page: Page) -> Locator:
    """A topic by e-mail that is not ticked."""
    return page.locator("[id='topics.choices.offers.email']")


def drawn(page: Page) -> None:
    """Waits until the center of somebody who is known is there."""
    expect(page.get_by_role("button", name=SAVE, exact=True)).to_be_visible()


def save(page: Page, hosts: Hosts) -> Any:
    """Ticks a box and saves; returns what was sent."""
    a_box(page).check()
    before = len(hosts.saves)
    page.get_by_role("button", name=SAVE, exact=True).click()
    expect(page.get_by_role("status").filter(has_text=SAVED)).to_have_count(1)
    assert len(hosts.saves) == before + 1
    return hosts.saves[-1]


def _merge(into: dict[str, Any], given: dict[str, Any]) -> None:
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
