"""Every state of the element: what the site answers, and what somebody does, until it is in it. No site: see `gallery`.

Those of the page without JavaScript are in `page_states`, under the same names where both have them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import translation
from django.utils.translation import gettext
from playwright.sync_api import BrowserContext, Page, Route, expect

from wagtail_prefs.centers.preferences import preferences
from wagtail_prefs.centers.values import Snapshot
from wagtail_prefs.values import UNSUBSCRIBED, ContactState, Json, Pause

from . import gallery, page_states
from .page_states import BLOCKS, EMAIL, RECEIPT, person, snapshot

#: method and path below the center -> what is answered there: (status, JSON), or one of these
HANGS, AWAY = "hangs", "away"
Answer = tuple[int, Json] | str
Answers = Mapping[str, Answer]
#: What the host page's own children say, until the center is there.
CHILD = "Manage your preferences"


@dataclass(frozen=True)
class Scene:
    """`change` makes the answers of a center others; `act` is what a person does, with the words of her language."""

    state: ContactState = field(default_factory=person)
    blocks: tuple[str, ...] = BLOCKS
    spec: Any = None
    code: bool = True
    fresh: bool = False
    change: Callable[[dict[str, Any]], None] = lambda answers: None
    act: Callable[[Page, Callable[[str], str]], None] = lambda page, said: None
    #: Words that are there when it is in the state; of the plugin, or the host page's own.
    seen: str = ""
    clock: bool = False


def tick(page: Page, said: Callable[[str], str]) -> None:
    page.locator("preference-center input[type=checkbox]:not(:checked):enabled").first.check()


def save(page: Page, said: Callable[[str], str]) -> None:
    tick(page, said)
    page.locator("preference-center [part=save]").click()


def sign_up(page: Page, said: Callable[[str], str]) -> None:
    page.get_by_role("button", name=said("Sign up"), exact=True).click()


def signed_up(page: Page, said: Callable[[str], str]) -> None:
    sign_up(page, said)
    tick(page, said)
    page.locator("preference-center input[type=email]").fill(EMAIL)
    page.locator("preference-center [part=save]").click()


def wait_for_the_end(page: Page, said: Callable[[str], str]) -> None:
    page.clock.fast_forward(11_000)


def _without(*labels: str) -> Callable[[dict[str, Any]], None]:
    def change(answers: dict[str, Any]) -> None:
        document = answers["GET "][1]
        document["labels"] = {key: word for key, word in document["labels"].items() if key not in labels}

    return change


def _answer(call: str, answer: Answer) -> Callable[[dict[str, Any]], None]:
    return lambda answers: answers.update({call: answer})


def _merged(answers: dict[str, Any]) -> None:
    saved = dict(answers["PATCH preferences/"][1])
    saved["merged"] = [{"path": "frequency:all", "text": gettext("Something was changed in the meantime")}]
    answers["PATCH preferences/"] = 200, saved


def _refused(answers: dict[str, Any]) -> None:
    text = gettext("Choose a day from tomorrow on.")
    answers["PATCH preferences/"] = (
        422,
        {"title": text, "errors": {"pause": {"until": [text]}, "topics": {"": [text]}}},
    )


def _ends_soon(answers: dict[str, Any]) -> None:
    opened = answers["POST sessions/"][1]
    soon = datetime.now(UTC) + timedelta(seconds=100)
    answers["POST sessions/"] = 200, {**opened, "expires_at": soon.isoformat()}


SCENES: Mapping[str, Scene] = {
    "loading": Scene(change=_answer("POST sessions/", HANGS), seen="Loading your choices …"),
    "closed": Scene(code=False, change=_without("sign_up", "request_link")),
    "closed-sign-up": Scene(code=False, seen="Sign up"),
    "signing-up": Scene(code=False, act=sign_up, seen="E-mail address"),
    "signed-up": Scene(
        code=False, act=signed_up, change=lambda answers: answers.update({"POST signups/": (202, {"text": gettext("Nearly there")})}), seen="Nearly there"
    ),
    "open": Scene(seen="Save my choices"),
    "dirty": Scene(act=tick, seen="You have changes that are not saved yet."),
    "saving": Scene(act=save, change=_answer("PATCH preferences/", HANGS), seen="Saving …"),
    "saved": Scene(act=save, seen="Your choices are saved."),
    "merged": Scene(act=save, change=_merged, seen="Something was changed in the meantime"),
    "refused": Scene(act=save, change=_refused, seen="Some of it could not be saved"),
    "offline": Scene(
        act=save,
        change=_answer("PATCH preferences/", AWAY),
        seen="You are offline. Nothing is lost: save again when you are back.",
    ),
    "expired": Scene(change=_answer("POST sessions/", (401, {"title": "401"})), seen="This page was open for too long"),
    "ended-soon": Scene(
        change=_ends_soon,
        act=wait_for_the_end,
        seen="This page locks in two minutes. Save your changes now, or open the link again.",
        clock=True,
    ),
    "failed": Scene(change=_answer("POST sessions/", (500, {})), seen="Your choices could not be loaded."),
    "unpublished": Scene(change=_answer("GET ", (404, {"title": "404"})), seen=CHILD),
    "empty": Scene(blocks=(), seen="Open this on our own page"),
    "pending": Scene(state=person(choices={}, pending=frozenset({("news", "email")})), seen="Not confirmed yet"),
    "masked": Scene(blocks=("profile", "unsubscribe_all")),
    "fresh": Scene(fresh=True),
    "paused": Scene(state=person(pauses={("", ""): Pause(datetime.now(UTC) + timedelta(days=40))})),
    "opted-out": Scene(
        state=person(opted_out=True, choices={("news", "email"): UNSUBSCRIBED}), seen="You get no marketing from us."
    ),
    "unknown-control": Scene(spec=page_states._unknown, seen="Open this on our own page"),
}  # fmt: skip


def show(context: BrowserContext, name: str, locale: str = "en") -> Page:
    """A host page with the element in that state, in that language."""
    scene = SCENES[name]
    with translation.override(locale):
        shown = snapshot(locale, *scene.blocks, change=scene.spec)
        answers = _answers(shown, scene)
        scene.change(answers)

        def said(text: str) -> str:
            with translation.override(locale):
                return gettext(text)

        page = context.new_page()
        if scene.clock:
            page.clock.install()
        page.route("**/*", lambda route: _serve(route, shown, answers))
        page.goto(f"{gallery.ORIGIN}/element/{'#pc=code' if scene.code else ''}")
        element = page.locator("preference-center")
        # What hangs or fails never becomes a form.
        if name != "unpublished":
            element.locator("form").wait_for()
        if name not in ("loading", "unpublished"):
            expect(element.get_by_role("status")).not_to_contain_text(said("Loading your choices …"))
        scene.act(page, said)
        if scene.seen:
            expect(
                element.get_by_text(scene.seen if scene.seen == CHILD else said(scene.seen)).first
            ).to_be_visible()
        return page


def _answers(shown: Snapshot, scene: Scene) -> dict[str, Any]:
    assurance: Any = "fresh" if scene.fresh else "link"
    found = preferences(
        shown, scene.state, EMAIL, assurance=assurance, records=lambda limit: gallery.RECORDS[:limit]
    )
    opened = {"session": "s", "expires_at": "2099-01-01T00:00:00Z", "preferences": found}
    saved = {
        "version": 4,
        "receipt": RECEIPT,
        "applied": [{"path": "x", "text": shown.document["title"]}],
        "merged": [],
    }
    return {
        "GET ": (200, {**shown.document, "revision": shown.digest}),
        "POST sessions/": (200, opened),
        "GET preferences/": (200, found),
        "PATCH preferences/": (200, {**saved, "preferences": {**found, "version": 4}}),
    }


def _serve(route: Route, shown: Snapshot, answers: Mapping[str, Any]) -> None:
    path = route.request.url.partition("?")[0].removeprefix(gallery.ORIGIN)
    if path.startswith(gallery.CENTER):
        answer = answers.get(f"{route.request.method} {path.removeprefix(gallery.CENTER)}", (404, {}))
        if answer == HANGS:
            return None
        if answer == AWAY:
            return route.abort("internetdisconnected")
        status, said = answer
        return route.fulfill(status=status, json=said)
    if path == "/element/":
        # axe takes a page that paints nothing for a white one, also in the dark.
        host = (
            gallery._host(shown.document)
            .replace("></preference-center>", f'><a href="/page/">{CHILD}</a></preference-center>')
            .replace("<style>", "<style>html { background: Canvas; color: CanvasText } ")
        )
        return route.fulfill(content_type="text/html", body=host)
    return gallery._serve(route, shown.document, {})
