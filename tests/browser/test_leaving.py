"""Leaving is never harder than joining (security.md LW-03, LW-04), by both renderers, whatever an editor has made of the page.

Without a site: what the browser sends is noted, and answered as the site would.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, Route, ViewportSize, expect

from wagtail_prefs.centers.checks.leaving import far_down, more_presses, weaker_button
from wagtail_prefs.centers.checks.missing import no_way_out
from wagtail_prefs.centers.checks.values import Facts, Finding
from wagtail_prefs.centers.preferences import preferences
from wagtail_prefs.centers.values import Snapshot
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Json

from . import gallery, page_states as states
from .center import COME_BACK, LEAVE, SAVE, SAVED, box, button
from .test_own_page import focus_shows

PHONE: ViewportSize = {"width": 390, "height": 844}
OWN = f"{gallery.ORIGIN}/own/"
SAVES = f"{gallery.CENTER}preferences/"
#: As an editor does it who wants nobody to go: every question first, and the way out below all of it.
HOSTILE = [
    *(name for name in gallery.names() if name not in {"unsubscribe_all", "rich_text"}),
    "unsubscribe_all",
]
COMPOSED = {
    "usual": ["topics", "frequency", "privacy_notice", "unsubscribe_all"],
    "hostile": HOSTILE,
    "first": ["unsubscribe_all", "topics"],
}
GONE = states.person(opted_out=True, choices={("news", "email"): UNSUBSCRIBED})


MORE = states.person(choices={**states.person().choices, ("news", "sms"): SUBSCRIBED})


@dataclass
class Visit:
    """A page in a browser, and all that was sent, asked or opened on it."""

    page: Page
    shown: Snapshot
    renderer: str
    sent: list[Any] = field(default_factory=list)
    state: ContactState = field(default_factory=states.person)
    dialogs: list[str] = field(default_factory=list)
    loads: int = 0

    def preferences(self) -> Json:
        return preferences(
            self.shown, self.state, states.EMAIL, records=lambda limit: gallery.RECORDS[:limit]
        )

    def hear(self, body: Any, leaves: bool, comes_back: bool) -> None:
        """What else is saved here is always the same: one box more, or one less."""
        self.sent.append(body)
        ticked = {("news", "sms"): SUBSCRIBED} if self.state.choices.keys() != MORE.choices.keys() else {}
        saved = states.person(choices={**states.person().choices, **ticked})
        self.state = GONE if leaves else states.person() if comes_back else saved

    def form(self, route: Route) -> str:
        self.loads += 1
        if route.request.method == "POST":
            sent = parse_qs(route.request.post_data or "", keep_blank_values=True)
            pressed = sent.get("do", [""])[0]
            self.hear(sent, pressed.endswith("opt_out"), pressed.endswith("opt_in"))
        return states.page(self.shown, self.state)

    def session(self, _route: Route) -> Json:
        ends = "2099-01-01T00:00:00Z"
        return {"session": "s", "expires_at": ends, "preferences": self.preferences()}

    def save(self, route: Route) -> Json:
        sent = json.loads(route.request.post_data or "{}")
        outs = [fields["opted_out"] for fields in sent["answers"].values() if "opted_out" in fields]
        self.hear(sent, outs == [True], outs == [False])
        return {
            "version": 4,
            "receipt": states.RECEIPT,
            "applied": [],
            "merged": [],
            "preferences": {**self.preferences(), "version": 4},
        }


Open = Callable[..., Visit]


@pytest.fixture
def visit(new_context: Callable[..., BrowserContext]) -> Open:
    """Opens a center of these blocks, drawn by the page or by the element that took it over."""

    def make(renderer: str, *blocks: str, size: ViewportSize = PHONE) -> Visit:
        shown = states.snapshot("en", *blocks)
        context = new_context(viewport=size, reduced_motion="reduce", java_script_enabled=True)
        html, answers = states.with_element(shown, states.person())
        visit = Visit(None, shown, renderer)  # type: ignore[arg-type]  # one line later
        answers[SAVES] = visit.save
        answers[f"{gallery.CENTER}sessions/"] = visit.session
        visit.page = states.show(context, html if renderer == "element" else visit.form, answers=answers)

        def ask(dialog: Dialog) -> None:
            visit.dialogs.append(dialog.message)
            dialog.dismiss()

        visit.page.on("dialog", ask)
        visit.page.goto(OWN)
        if renderer == "element":
            expect(visit.page.locator("preference-center")).to_be_visible()
        return visit

    return make


LOOK = """(button) => {
  // The colour behind it is that of the nearest ancestor which paints one, also outside the shadow root.
  const parent = (one) => one.parentElement ?? one.parentNode?.host ?? null;
  const rgb = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  let behind = [255, 255, 255, 255];
  for (let one = button; one; one = parent(one)) {
    const colour = rgb(getComputedStyle(one).backgroundColor);
    if (colour[3] === 255) { behind = colour; break; }
  }
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((one) => (one /= 255) <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(button);
  const [dark, bright] = [light(rgb(style.color)), light(behind)].sort((a, b) => a - b);
  const { width, height } = button.getBoundingClientRect();
  return { contrast: (bright + 0.05) / (dark + 0.05), size: parseFloat(style.fontSize), weight: parseFloat(style.fontWeight),
    border: parseFloat(style.borderTopWidth), opacity: parseFloat(style.opacity), width, height };
}"""


def order(page: Page) -> list[str]:
    """All buttons that can be pressed, in the order of the document."""
    found: list[str] = page.get_by_role("button").evaluate_all(
        "all => all.map((one) => one.innerText.trim())"
    )
    return found


@pytest.mark.parametrize("composed", ["usual", "hostile"])
@pytest.mark.parametrize("renderer", gallery.RENDERERS)
def test_one_press_ends_everything_and_one_brings_back(visit: Open, renderer: str, composed: str) -> None:
    """What joining one topic takes is a tick and a press; leaving it takes the same, and leaving all of it one press."""
    seen = visit(renderer, *COMPOSED[composed])
    page = seen.page
    leave, save = button(page, LEAVE), button(page, SAVE).last
    expect(leave).to_have_count(1)

    # As large, as heavy and as readable as the button that saves, in light and in dark, and before it.
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        out, in_ = leave.evaluate(LOOK), save.evaluate(LOOK)
        assert out["contrast"] >= 4.5, (scheme, out)
        for what in ("size", "weight", "border", "opacity"):
            assert out[what] >= in_[what], (what, out, in_)
        assert out["height"] >= min(in_["height"], 44)
        assert min(out["width"], out["height"]) >= 24
    names = order(page)
    assert names.index(LEAVE) < len(names) - 1 - names[::-1].index(SAVE)

    # In by two presses, and out by the same two: a tick, and the button.
    for number, on in enumerate((True, False), 1):
        box(page, "News", "Text message").set_checked(on)
        button(page, SAVE).last.click()
        for _ in range(500):
            if len(seen.sent) >= number:
                break
            page.wait_for_timeout(20)
        assert len(seen.sent) == number
        page.wait_for_load_state()
        if renderer == "page":
            page.goto(OWN)
        else:
            expect(page.get_by_role("status")).to_contain_text(SAVED)
            page.reload()
            expect(page.locator("preference-center")).to_be_visible()

    # Everything by one: nothing is asked, nothing is filled in, no page lies between.
    loads, sent = seen.loads, len(seen.sent)
    button(page, LEAVE).click()
    expect(button(page, COME_BACK)).to_be_visible()
    assert len(seen.sent) == sent + 1
    assert seen.state.opted_out
    assert seen.loads == loads + (renderer == "page")
    assert seen.dialogs == []
    assert page.url == OWN
    # And the way back takes one as well, from the place of the press.
    button(page, COME_BACK).click()
    expect(button(page, LEAVE)).to_be_visible()
    assert len(seen.sent) == sent + 2
    assert seen.dialogs == []


@pytest.mark.parametrize("renderer", gallery.RENDERERS)
def test_nothing_that_is_missing_or_wrong_holds_the_way_out_up(visit: Open, renderer: str) -> None:
    """A draft that could not be saved stays where it is; the button takes nothing else along."""
    seen = visit(renderer, *HOSTILE)
    page = seen.page
    required = page.locator("[required]")
    assert required.count() == 0
    page.get_by_role("textbox").first.fill("x" * 40)
    date = page.locator("input[type=date]").first
    date.fill("2020-01-01")
    button(page, LEAVE).click()
    expect(button(page, COME_BACK)).to_be_visible()
    assert seen.state.opted_out
    (sent,) = seen.sent
    if renderer == "element":
        assert sent["answers"] == {"unsubscribe_all": {"opted_out": True}}
    else:
        assert sent["do"] == ["unsubscribe_all.opt_out"]


def test_a_way_out_below_all_questions_is_told_to_the_editor() -> None:
    """And where there is none at all, nothing is published (tests/centers/test_checks.py)."""
    told = {
        name: [one.code for one in audit(states.snapshot("en", *blocks))] for name, blocks in COMPOSED.items()
    }
    assert told == {"usual": [], "hostile": ["leaving-far"], "first": []}


def audit(shown: Snapshot) -> list[Finding]:
    return [
        one for rule in (no_way_out, far_down, more_presses, weaker_button) for one in rule(shown, Facts())
    ]


# --- by keyboard -----------------------------------------------------------------------------------------------------

#: Where the focus is, what it is called, and whether something else covers it (WCAG 2.4.11).
FOCUSED = """() => {
  let one = document.activeElement;
  while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
  if (one === document.body) return null;
  const { left, top, width, height } = one.getBoundingClientRect();
  const shows = (x, y) => {
    let there = document.elementFromPoint(x, y);
    while (there?.shadowRoot?.elementFromPoint(x, y) && there.shadowRoot.elementFromPoint(x, y) !== there)
      there = there.shadowRoot.elementFromPoint(x, y);
    return !!there && (there === one || one.contains(there) || there.contains(one) || one.labels?.[0]?.contains(there));
  };
  const points = [shows(left + width / 2, top + height / 2), shows(left + 2, top + 2), shows(left + width - 2, top + height - 2)];
  // A browser brings the line into view in which one writes, and not the whole of a large field.
  const covered = one.localName === 'textarea' ? !points.includes(true) : points.includes(false);
  return { name: one.id || one.innerText.trim(), y: Math.round(top + scrollY), x: Math.round(left), covered,
    sticky: !!one.closest('.up'), rtl: getComputedStyle(one).direction === 'rtl' };
}"""


def walk(page: Page, *, back: bool = False) -> list[Any]:
    """Where Tab leads until it leaves the page or begins anew."""
    stops: list[Any] = []
    for _ in range(90):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        stop = page.evaluate(FOCUSED)
        if stop is None or (stops and stop == stops[0]):
            return stops
        assert focus_shows(page), f"nobody sees the focus on {stop}"
        assert not stop["covered"], f"something covers {stop}"
        stops.append(stop)
    raise AssertionError(f"a trap: {stops[-4:]}")


def out_of_order(stops: list[Any]) -> list[Any]:
    """Neighbours of which the second stands neither below the first nor beside it in the direction of reading."""
    return [
        (was, now)
        for was, now in itertools.pairwise(stops)
        if now["name"] != was["name"]  # day, month and year of one date
        and (
            now["y"] < was["y"] - 24
            or (abs(now["y"] - was["y"]) <= 24 and (now["x"] > was["x"]) is now["rtl"])
        )
    ]


@pytest.mark.parametrize("size", [PHONE, {"width": 1100, "height": 700}], ids=["phone", "desk"])
@pytest.mark.parametrize("renderer", gallery.RENDERERS)
def test_tab_goes_as_the_eye_does_and_nothing_covers_it(
    visit: Open, renderer: str, size: ViewportSize
) -> None:
    page = visit(renderer, *HOSTILE, size=size).page
    stops = walk(page)
    assert len(stops) > 25
    assert out_of_order([one for one in stops if not one["sticky"]]) == []
    # With something to save, the element's bar floats over the page.
    box(page, "News", "Text message").check()
    page.evaluate("document.activeElement.shadowRoot?.activeElement?.blur(); document.activeElement.blur()")
    walk(page)
    walk(page, back=True)


@pytest.mark.parametrize("composed", COMPOSED)
@pytest.mark.parametrize("renderer", gallery.RENDERERS)
def test_three_keys_are_enough(visit: Open, renderer: str, composed: str) -> None:
    """security.md WC-02, wherever the editor put the way out: the head leads to it. The page behind a mail's own link is
    tested with the site.
    """
    seen = visit(renderer, *COMPOSED[composed])
    page = seen.page
    ahead = page.get_by_role("link", name=LEAVE, exact=True)
    assert ahead.count() == (composed != "first")
    keys = 0
    while not button(page, LEAVE).evaluate("one => one.getRootNode().activeElement === one"):
        page.keyboard.press("Enter" if keys and ahead.count() else "Tab")
        keys += 1
        assert keys < 3
    page.keyboard.press("Enter")
    expect(button(page, COME_BACK)).to_be_visible()
    assert seen.state.opted_out
    if renderer == "page":
        return
    # The focus has not fallen to the beginning of the page: the way back is as near.
    expect(page.get_by_role("status")).to_have_count(1)
    focus = page.evaluate(FOCUSED)
    assert focus is not None
    for _ in range(2):
        if button(page, COME_BACK).evaluate("one => one.getRootNode().activeElement === one"):
            break
        page.keyboard.press("Tab")
    expect(button(page, COME_BACK)).to_be_focused()
    page.keyboard.press("Enter")
    expect(button(page, LEAVE)).to_be_visible()
    assert page.evaluate(FOCUSED) is not None


@pytest.mark.parametrize("name", ["refused", "saved"])
def test_what_the_page_says_has_the_focus_and_is_said_once(
    new_context: Callable[..., BrowserContext], name: str
) -> None:
    page = states.show(new_context(viewport=PHONE), states.states()[name])
    page.goto(OWN)
    said = page.locator("#problems" if name == "refused" else "#saved")
    expect(said).to_be_focused()
    assert page.get_by_role("status").count() == (name == "saved")
    assert page.get_by_role("alert").count() == (name == "refused")
    assert focus_shows(page)
    # From there, one Tab leads to what is wrong, or to the way back.
    page.keyboard.press("Tab")
    if name == "refused":
        page.keyboard.press("Enter")
        expect(page.locator("[id='pause.until']")).to_be_focused()
    else:
        expect(page.get_by_role("button", name="Take this back").first).to_be_focused()
