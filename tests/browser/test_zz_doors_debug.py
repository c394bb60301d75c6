from .center import form_only, button, SAVE
from playwright.sync_api import expect
def test_it(watched, visitor):
    for only in (True, False):
        page, _ = watched()
        if only: form_only(page)
        page.goto(visitor()["manage_url"])
        expect(button(page, SAVE).last).to_be_visible()
        page.wait_for_load_state("networkidle")
        for _i in range(4):
            page.keyboard.press("Tab")
            print(page.evaluate("""() => { let f = document.activeElement; while (f.shadowRoot?.activeElement) f = f.shadowRoot.activeElement;
              const s = getComputedStyle(f); return [f.outerHTML.slice(0,300), s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow] }"""))
    raise AssertionError
