"""Every block as people see it, by the page and by the element, without a site: the browser is given all it asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import translation
from playwright.sync_api import BrowserContext, Locator, Page, Route

from wagtail_prefs.blocks.registry import block_classes
from wagtail_prefs.centers.drawing import draw
from wagtail_prefs.centers.labels import labels
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Json, Pause, Spec, controls_of

ORIGIN = "https://brand.example"
STATIC = Path(__file__).resolve().parents[2] / "wagtail_prefs" / "static"
CENTER = "/prefs/api/v1/centers/00000000-0000-0000-0000-000000000007/"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: What stands for every picture.
PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" width="320" height="180" viewBox="0 0 320 180">
<rect width="320" height="180" fill="#d9e6ec"/><circle cx="250" cy="50" r="24" fill="#f2c14e"/>
<path d="M0 180 L90 80 L150 140 L210 70 L320 180Z" fill="#7a9e7e"/></svg>"""
RENDERERS = ("page", "element")


@dataclass(frozen=True)
class Variant:
    """How a person looks at it."""

    name: str
    width: int
    locale: str = "en"
    scheme: Any = "light"


VARIANTS = (
    Variant("light", 600),
    Variant("dark", 600, scheme="dark"),
    Variant("phone", 360),
    Variant("rtl", 600, locale="ar"),
)


def names() -> list[str]:
    return list(block_classes())


def center(locale: str) -> tuple[Json, Json]:
    """A document with every block's preview, each under its own name, and the preferences of somebody who chose."""
    with translation.override(locale):
        specs = [_spec(name) for name in names()]
        document = {
            "format": 1,
            "center": str(UUID(int=7)),
            "revision": "0" * 64,
            "locale": locale,
            "direction": "rtl" if translation.get_language_bidi() else "ltr",
            "title": "Every block",
            "page_url": f"{ORIGIN}/page/",
            "blocks": [spec.document for spec in specs],
            "labels": labels(),
        }
        return document, _preferences(specs)


def _spec(name: str) -> Spec:
    block = block_classes()[name]()
    block.set_name(name)
    compiled = block.preview_spec(block.get_preview_value())
    if compiled.rules.get(
        "records"
    ):  # the picker has no records to show, and draws some; here there are some
        shown = [one for one in controls_of(compiled.document) if one["type"] == "records"]
        compiled = replace(compiled, document={**compiled.document, "controls": shown})
    # Each under its own name, so that a test can say which one it is about.
    text = json.dumps(compiled.to_json(), ensure_ascii=False).replace('"preview"', f'"{name}"')
    return Spec.from_json(json.loads(text))


def _preferences(specs: list[Spec]) -> Json:
    state = ContactState(
        id=UUID(int=1),
        audience="default",
        version=3,
        timezone="Europe/Berlin",
        country="DE",
        language="en",
        choices={("news", "email"): SUBSCRIBED, ("offers", "email"): UNSUBSCRIBED},
        pauses={("", ""): Pause(datetime.now(UTC) + timedelta(days=40))},
        frequencies={("", ""): "weekly"},
        assurance="fresh",
    )
    answers = {spec.block_id: dict(block_classes()[spec.type].initial(spec, state)) for spec in specs}
    for spec in specs:  # what is only shown after another answer, shown
        for control in controls_of(spec.document):
            when = control.get("when") or {}
            if when.get("in") and when["block"] != spec.block_id:
                answers.setdefault(when["block"], {})[when["control"]] = when["in"][0]
    return {
        "version": 3,
        "revision": "0" * 64,
        "assurance": "fresh",
        "contact": {"email": "a***@e***.org"},
        "answers": answers,
        "pending": [],
        "private": {},
        "hidden": [],
        "records": {spec.block_id: RECORDS for spec in specs if spec.rules.get("records")},
        "outlook": [],
    }


RECORDS = [
    {
        "title": "By you, on this page",
        "when": "2026-11-20T09:30:00.000000Z",
        "lines": ["News by e-mail: subscribed", "How often: Everything: At most one a week"],
        "actions": [{"label": "Take this back", "style": "secondary", "do": "undo", "receipt": str(UUID(int=9))}],
    },
    {"title": "By our staff", "when": "2026-10-02T14:00:00.000000Z", "lines": ["Offers by e-mail: unsubscribed"], "actions": []},
]  # fmt: skip


def show(context: BrowserContext, renderer: str, variant: Variant) -> Page:
    """A page of that renderer with every block on it."""
    document, preferences = center(variant.locale)
    context.route("**/*", lambda route: _serve(route, document, preferences))
    page = context.new_page()
    page.set_viewport_size({"width": variant.width, "height": 900})
    page.emulate_media(color_scheme=variant.scheme, reduced_motion="reduce")
    page.goto(f"{ORIGIN}/{renderer}/{'#pc=code' if renderer == 'element' else ''}")
    page.wait_for_load_state("networkidle")
    section(page, renderer, names()[0]).wait_for()
    return page


def section(page: Page, renderer: str, name: str) -> Locator:
    """The section of a block."""
    if renderer == "page":
        return page.locator(f"section.pc-{name}")
    return page.locator("preference-center section").filter(has=page.locator(f"[id^='{name}.']"))


def _serve(route: Route, document: Json, preferences: Json) -> None:
    path = route.request.url.removeprefix(ORIGIN).partition("?")[0].partition("#")[0]
    if path == "/page/":
        return route.fulfill(content_type="text/html", body=_page(document, preferences))
    if path == "/element/":
        return route.fulfill(content_type="text/html", body=_host(document))
    if path == CENTER:
        return route.fulfill(json=document)
    if path == f"{CENTER}sessions/":
        opened = {"session": "s", "expires_at": "2099-01-01T00:00:00Z", "preferences": preferences}
        return route.fulfill(json=opened)
    file = STATIC / path.removeprefix("/static/")
    if path.startswith("/static/") and file.is_file():
        return route.fulfill(content_type=TYPES.get(file.suffix, "text/plain"), body=file.read_bytes())
    if route.request.resource_type == "image":
        return route.fulfill(content_type="image/svg+xml", body=PICTURE)
    return route.fulfill(status=404, body="")


def _page(document: Json, preferences: Json) -> str:
    with translation.override(document["locale"]):
        context = {
            "form": draw(document, preferences),
            "action": "",
            "idempotency_key": "k",
            "lang": document["locale"],
            "dir": document["direction"],
        }
        return render_to_string("wagtail_prefs/manage.html", context)


def _host(document: Json) -> str:
    return f"""<!doctype html><html lang="{document["locale"]}" dir="{document["direction"]}"><head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>A host page</title>
<style>body {{ font-family: system-ui, sans-serif; margin: 16px }}</style>
<script type="module" src="/static/wagtail_prefs/dist/preference-center.js"></script></head>
<body><main><preference-center src="{CENTER}"></preference-center></main></body></html>"""
