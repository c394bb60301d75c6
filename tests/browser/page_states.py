"""Every state of the page without JavaScript, drawn without a site: name -> HTML, from the templates as the views fill them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from playwright.sync_api import BrowserContext, Page, Route

from wagtail_prefs.blocks.base import control
from wagtail_prefs.centers.compile import _with_step_up
from wagtail_prefs.centers.drawing import draw
from wagtail_prefs.centers.form import OPT_OUT
from wagtail_prefs.centers.labels import labels
from wagtail_prefs.centers.preferences import preferences
from wagtail_prefs.centers.values import Snapshot, make_snapshot
from wagtail_prefs.contacts.rules import OPTED_OUT
from wagtail_prefs.submissions.words import Words
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Effect, Json, Merged, Pause, Spec
from wagtail_prefs.web.personal import has_way_out
from wagtail_prefs.web.receipts import Told

from . import gallery

#: What an editor usually puts on a page, in her order.
BLOCKS = ("topics", "frequency", "pause", "profile", "unsubscribe_all", "history")
RECEIPT = str(UUID(int=9))
EMAIL = "anybody@brand.example"


def snapshot(locale: str, *names: str, change: Any = None) -> Snapshot:
    """A center of these blocks; `change` is given each spec."""
    with translation.override(locale):
        specs = [_with_step_up(gallery._spec(name)) for name in names]
        specs = [change(spec) for spec in specs] if change else specs
        document: Json = {
            "format": 1,
            "center": str(UUID(int=7)),
            "locale": locale,
            "direction": "rtl" if translation.get_language_bidi() else "ltr",
            "title": _("Your choices"),
            "page_url": f"{gallery.ORIGIN}/page/",
            "blocks": [spec.document for spec in specs],
            "labels": labels(),
        }
    return make_snapshot(document, specs)


def person(**change: Any) -> ContactState:
    """Somebody who gets news by e-mail, once a week."""
    state = ContactState(
        id=UUID(int=1),
        audience="default",
        version=3,
        timezone="Europe/Berlin",
        country="DE",
        choices={("news", "email"): SUBSCRIBED, ("offers", "email"): UNSUBSCRIBED},
        frequencies={("", ""): "weekly"},
        attributes={"given_name": "…"},
    )
    return replace(state, **change)


def page(
    shown: Snapshot,
    state: ContactState,
    *,
    told: Told | None = None,
    fresh: bool = False,
    posted: QueryDict | None = None,
    errors: Any = None,
) -> str:
    """The page of `l/{token}/`."""
    assurance: Any = "fresh" if fresh else "link"
    records = gallery.RECORDS
    found = preferences(shown, state, EMAIL, assurance=assurance, records=lambda limit: records[:limit])
    form = draw(shown.document, found, posted=posted, errors=errors)
    way_out = "" if state.opted_out or has_way_out(form, shown) else OPT_OUT
    return _render(
        "manage", shown.locale, form=form, saved=told, way_out=way_out, action="", idempotency_key="k"
    )


def _render(template: str, locale: str, **context: Any) -> str:
    with translation.override(locale):
        direction = "rtl" if translation.get_language_bidi() else "ltr"
        return render_to_string(
            f"wagtail_prefs/{template}.html", {"lang": locale, "dir": direction, **context}
        )


def show(context: BrowserContext, html: str | Callable[[Route], str], *, answers: Json | None = None) -> Page:
    """A page in that browser whose document is `html`; `answers` are what the API says at each of its addresses, or how it
    answers there.
    """
    known: dict[str, Any] = answers or {}

    def serve(route: Route) -> None:
        path = route.request.url.partition("?")[0].removeprefix(gallery.ORIGIN)
        file = gallery.STATIC / path.removeprefix("/static/")
        if route.request.resource_type == "document":
            route.fulfill(content_type="text/html", body=html if isinstance(html, str) else html(route))
        elif path.startswith("/static/") and file.is_file():
            route.fulfill(content_type=gallery.TYPES.get(file.suffix, "text/plain"), body=file.read_bytes())
        elif path in known:
            said = known[path]
            route.fulfill(json=said(route) if callable(said) else said)
        elif route.request.resource_type == "image":
            route.fulfill(content_type="image/svg+xml", body=gallery.PICTURE)
        else:
            route.fulfill(status=404, body="")

    context.route("**/*", serve)
    return context.new_page()


def with_element(shown: Snapshot, state: ContactState) -> tuple[str, Json]:
    """The page with the script that lets the element take over, and what the API answers it."""
    found = preferences(shown, state, EMAIL, records=lambda limit: gallery.RECORDS[:limit])
    form = draw(shown.document, found)
    element = {
        "code": "c",
        "src": gallery.CENTER,
        "script": "/static/wagtail_prefs/dist/preference-center.js",
    }
    html = _render("manage", shown.locale, form=form, action="", idempotency_key="k", element=element)
    opened = {"session": "s", "expires_at": "2099-01-01T00:00:00Z", "preferences": found}
    document = {**shown.document, "revision": shown.digest}
    return html, {gallery.CENTER: document, f"{gallery.CENTER}sessions/": opened}


def _told(shown: Snapshot, effects: list[Effect], merged: list[Merged] | None = None) -> Told:
    words = Words(shown.specs, shown.locale, "Europe/Berlin")
    text = shown.document["labels"]["saved"]
    return Told(text, words.applied(effects, merged or []), words.merged(merged or []), f"undo.{RECEIPT}")


def _unknown(spec: Spec) -> Spec:
    if spec.type != "topics":
        return spec
    new = control("constellation", "stars", "Your stars", help="Choose what you look at at night.")
    return replace(spec, document={**spec.document, "controls": [new, *spec.document["controls"]]})


def states(locale: str = "en") -> dict[str, str]:
    """All of them, in one language."""
    shown = snapshot(locale, *BLOCKS)
    soon = datetime.now(UTC) + timedelta(days=40)
    yes, no = (
        Effect("choice:news:email", SUBSCRIBED, UNSUBSCRIBED, "withdrawn"),
        Effect("choice:offers:email", UNSUBSCRIBED, SUBSCRIBED, "given"),
    )
    rarer = Effect("frequency:all", "weekly", "monthly", "set")
    out = person(opted_out=True, choices={("news", "email"): UNSUBSCRIBED})
    refused = QueryDict(mutable=True)
    draft = {"was.pause.until": "", "pause.until": "2020-01-01", "base_version": "3"}
    refused.update(draft)
    degraded = {"action": "", "button": "opt_out", "new_link": "new_link", "expired": True}
    with translation.override(locale):
        too_early = _("Choose a day from tomorrow on.")
    return {
        "open": page(shown, person()),
        "masked": page(shown, person()),
        "fresh": page(shown, person(), fresh=True),
        "pending": page(
            shown, person(choices={}, pending=frozenset({("news", "email"), ("offers", "email")}))
        ),
        "paused": page(shown, person(pauses={("", ""): Pause(soon)})),
        "opted-out": page(shown, out),
        "saved": page(shown, person(), told=_told(shown, [yes, no, rarer])),
        "left": page(shown, out, told=_told(shown, [yes, Effect(OPTED_OUT, False, True, "withdrawn")])),
        "merged": page(
            shown,
            person(),
            told=_told(shown, [no], [Merged("frequency:all", "monthly", "quarterly", "rarer")]),
        ),
        "refused": page(
            shown, person(), posted=refused, errors={"pause": {"until": [too_early]}, "": {"": [too_early]}}
        ),
        "unknown-control": page(snapshot(locale, *BLOCKS, change=_unknown), person()),
        "empty": page(snapshot(locale), person()),
        "empty-out": page(snapshot(locale, "unsubscribe_all"), person()),
        "closed": _render("center_page", locale, snapshot=shown, request=None) if False else _closed(shown),
        "expired": _render("link_expired", locale, opted_out=False, **degraded),
        "expired-out": _render("link_expired", locale, opted_out=True, **degraded),
        "unpublished": _render(
            "link_expired", locale, opted_out=False, action="", button="opt_out", new_link="", expired=False
        ),
        "on-its-way": _render("on_its_way", locale, to_stored=True),
        "no-link": _render(
            "message", locale, title="This link does not work", text="It may have been cut off."
        ),
    }


def _closed(shown: Snapshot) -> str:
    form = draw(shown.document, None)
    ways = [SimpleNamespace(href="#", label=shown.document["labels"]["request_link"])]
    return _render("sign_up", shown.locale, form=form, ways=ways)
