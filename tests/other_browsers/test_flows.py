"""What visitors do most, in Firefox and in WebKit: Chromium's own tests stand in `tests/browser`."""

from __future__ import annotations

from tests.browser.inside import Inside
from tests.example_site.conftest import Demo

from .conftest import Visitor
from .view import View

TITLE = "Your post, your choice"
SAVE, SAVED = "Save my choices", "Your choices are saved."
RIDES, REPAIRS = "Group rides E-mail", "Repair evenings E-mail"
TAKE_BACK = "Take this back"


def test_it_draws_and_saves_on_another_origin(
    demo: Demo, inside: Inside, visitor: Visitor, view: View
) -> None:
    anna = visitor()
    view.browser.open(anna["embed_url"])
    view.until_drawn()
    assert view.ask("return location.href") == f"{demo.place.customer}/"  # no code is left in it
    assert (view.ticked(RIDES), view.ticked(REPAIRS)) == (True, False)
    assert not view.is_in("dirty")

    view.tick(RIDES)
    view.tick(REPAIRS)
    assert view.is_in("dirty")
    view.press(SAVE)
    view.until_said(SAVED)
    assert view.is_in("saved")
    assert not view.is_in("dirty")
    record = inside.ask("records", contact=anna["id"])[-1]
    assert (record["seq"], record["actor"]) == (2, "subject-session")
    choices = inside.ask("state", contact=anna["id"])["choices"]
    assert choices == {
        "rides:email": "unsubscribed",
        "repair-evenings:email": "subscribed",
        "offers:sms": "subscribed",
    }

    view.browser.open(f"{demo.place.customer}/")  # the tab keeps her session
    view.until_drawn()
    assert (view.ticked(RIDES), view.ticked(REPAIRS)) == (False, True)


def test_an_undo_takes_a_save_back(inside: Inside, visitor: Visitor, view: View) -> None:
    anna = visitor()
    view.browser.open(anna["embed_url"])
    view.until_drawn()
    view.tick(RIDES)
    view.press(SAVE)
    view.until_said(SAVED)
    assert inside.ask("state", contact=anna["id"])["choices"]["rides:email"] == "unsubscribed"

    view.press(TAKE_BACK)  # the first of them belongs to the newest entry
    view.until_ticked(RIDES, True)
    assert not view.is_in("dirty")
    state = inside.ask("state", contact=anna["id"])
    assert (state["version"], state["choices"]["rides:email"]) == (3, "subscribed")


def test_the_whole_of_it_by_keyboard(inside: Inside, visitor: Visitor, view: View) -> None:
    anna = visitor()
    view.browser.open(anna["embed_url"])
    view.until_drawn()
    walk_to(view, f"checkbox: {RIDES}")
    assert view.ask("return getComputedStyle(root.activeElement).outlineStyle") not in {"none", ""}
    view.browser.press(" ")
    view.until_ticked(RIDES, False)
    walk_to(view, f"submit: {SAVE}")
    view.browser.press("Enter")
    view.until_said(SAVED)
    assert view.focused() == f"submit: {SAVE}"
    assert inside.ask("state", contact=anna["id"])["choices"]["rides:email"] == "unsubscribed"


def walk_to(view: View, control: str) -> None:
    """Presses Tab until a control has the focus; fails when all of the page was passed."""
    passed = []
    for _ in range(100):
        view.browser.press("Tab")
        passed.append(view.focused())
        if passed[-1] == control:
            return
    raise AssertionError(f"{control} is not among {passed}")


def test_its_styles_come_and_the_policy_of_the_site_is_kept(visitor: Visitor, view: View) -> None:
    """A second element on the same page, drawn while somebody listens: a driver comes too late for the first."""
    view.browser.open(visitor()["embed_url"])
    view.until_drawn()
    view.ask(
        """
        window.heard = [];
        addEventListener('error', ({ message }) => heard.push(message));
        addEventListener('unhandledrejection', ({ reason }) => heard.push(String(reason)));
        addEventListener('securitypolicyviolation', (event) => heard.push(event.effectiveDirective));
        const another = element.cloneNode(true);
        another.style.setProperty('--pc-accent', 'rgb(1, 2, 3)');
        element.replaceWith(another);
        """
    )
    view.until_drawn()
    assert view.ask("return root.adoptedStyleSheets.length") == 1
    color = "return getComputedStyle(root.querySelector('[part=save]')).backgroundColor"
    view.until(lambda: view.ask(color) == "rgb(1, 2, 3)", "the accent on the button")
    assert view.ask("return root.querySelector('[part=save]').getBoundingClientRect().height") >= 44
    view.tick(REPAIRS)
    view.press(SAVE)
    view.until_said(SAVED)
    assert view.ask("return heard") == []

    # The policy is in force, and a breach would have been heard.
    view.ask("document.head.append(Object.assign(document.createElement('style'), { textContent: 'p {}' }))")
    view.until(lambda: any("style-src" in one for one in view.ask("return heard")), "a complaint")


def test_it_takes_over_from_the_form_of_our_own_page(inside: Inside, visitor: Visitor, view: View) -> None:
    anna = visitor()
    view.browser.open(anna["manage_url"])
    view.until_drawn()
    view.until(lambda: view.ask("return !document.querySelector('form[method=post]')"), "the form is gone")
    view.tick(REPAIRS)
    view.press(SAVE)
    view.until_said(SAVED)
    record = inside.ask("records", contact=anna["id"])[-1]
    assert (record["seq"], record["body"]["method"]) == (2, "element")


def test_our_own_page_without_javascript(
    demo: Demo, inside: Inside, visitor: Visitor, view_without_scripts: View
) -> None:
    view, anna = view_without_scripts, visitor()
    view.browser.open(anna["manage_url"])
    assert view.ask("return said(document.querySelector('h1'))") == TITLE
    assert (view.ticked(RIDES), view.ticked(REPAIRS)) == (True, False)
    view.tick(REPAIRS)
    view.press(SAVE)
    view.until_said(SAVED)
    view.until_said("Repair evenings by e-mail: subscribed")
    record = inside.ask("records", contact=anna["id"])[-1]
    assert (record["seq"], record["actor"]) == (2, "subject-link")
    assert inside.ask("state", contact=anna["id"])["choices"]["repair-evenings:email"] == "subscribed"

    view.press(TAKE_BACK)
    view.until_ticked(REPAIRS, False)
    assert "repair-evenings:email" not in inside.ask("state", contact=anna["id"])["choices"]

    # Scripts are off indeed: on the other site nothing becomes of the element, and its link leads to our page.
    view.browser.open(f"{demo.place.customer}/")
    assert view.ask("return element.matches(':not(:defined)')")
    view.press("Manage your preferences")
    view.until(lambda: view.ask("return location.origin") == demo.place.site, "our own page")
    assert view.ask("return said(document.querySelector('h1'))") == TITLE
