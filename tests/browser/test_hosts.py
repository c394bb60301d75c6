"""The element on websites that are careless, crowded or hostile: it draws, saves once, and complains of nothing.

What a strict policy does is tested in test_embedded.py and `frontend/tests/browser/strict.test.ts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, BrowserType, Error, Page, expect

from tests.example_site.conftest import until
from wagtail_prefs.values import Json

from .center import SAVE, SAVED, accessible
from .conftest import PATIENCE
from .gallery import CENTER, ORIGIN as SITE
from .hosts import CODE, FRAMING, HOST, Hosts, a_box, document, drawn, save, snippet
from .test_blocks import FAULTS
from .watch import Watch

SAVED_ANSWER = {"topics": {"choices": {"offers": {"email": True}}}}


@pytest.fixture
def context(browse: Callable[..., BrowserContext]) -> BrowserContext:
    return browse()


@pytest.fixture
def hosts(context: BrowserContext) -> Hosts:
    return Hosts(context)


@pytest.fixture
def watch(context: BrowserContext, hosts: Hosts) -> Watch:
    return Watch(context)


def works(page: Page, hosts: Hosts) -> None:
    """The center of somebody is there, and one save arrives as it was meant."""
    drawn(page)
    assert save(page, hosts)["answers"] == SAVED_ANSWER


# The script


def test_the_script_twice_in_one_page(hosts: Hosts, watch: Watch) -> None:
    """By the pinned address, by another address, and once more: a theme, a plugin and an editor each had the code."""
    script = snippet().partition("</script>")[0] + "</script>"
    other = script.replace(".js", ".js?again")
    assert other != script
    page = hosts.open(script + snippet() + other + script)
    works(page, hosts)
    assert sorted(hosts.asked) == ["GET ", "PATCH preferences/", "POST sessions/"]
    assert watch.complaints == []


def test_two_elements_of_one_center_share_the_one_code(hosts: Hosts, watch: Watch) -> None:
    page = hosts.open(snippet() + snippet())
    expect(page.get_by_role("button", name=SAVE, exact=True)).to_have_count(2)
    assert hosts.asked.count("POST sessions/") == 1
    assert watch.complaints == []


def test_the_element_before_its_script_and_its_script_very_late(hosts: Hosts, watch: Watch) -> None:
    script, _, rest = snippet().partition("</script>\n")
    page = hosts.open(rest)
    expect(page.get_by_role("link", name="Manage your preferences")).to_be_visible()
    page.evaluate(
        """(html) => {
            const [, src, integrity] = html.match(/src="([^"]+)" integrity="([^"]+)"/);
            const script = Object.assign(document.createElement('script'), { type: 'module', crossOrigin: '', integrity, src });
            document.head.append(script);
        }""",
        script,
    )
    works(page, hosts)
    assert watch.complaints == []


def test_a_script_of_another_content_does_not_run_and_the_link_stays(hosts: Hosts, watch: Watch) -> None:
    changed = snippet().replace("integrity=", 'integrity="sha384-' + "A" * 64 + '" data-was=')
    page = hosts.open(changed)
    expect(page.get_by_role("link", name="Manage your preferences")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("customElements.get('preference-center')") is None
    assert any("integrity" in one for one in watch.complaints)
    assert hosts.asked == []


# Frameworks of others. What React does is tested with its page of the documentation (test_embed_docs.py).

MAP = {
    "imports": {
        "preact": "/npm/preact/dist/preact.mjs",
        "lit": "/npm/lit/index.js",
        "lit-html": "/npm/lit-html/lit-html.js",
        "lit-html/": "/npm/lit-html/",
        "lit-element/": "/npm/lit-element/",
        "@lit/reactive-element": "/npm/@lit/reactive-element/reactive-element.js",
    }
}
PREACT = """import { h, render } from 'preact';
  globalThis.heard = 0;
  const view = (count) => h('section', { title: count }, h('preference-center', { src: SRC, locale: 'en',
    'onpreference-center-saved': () => { heard += 1; draw(); } }, h('a', { href: '/own/' }, 'own ' + count)));
  globalThis.draw = () => render(view((globalThis.count ?? 0) + 1), document.getElementById('root'));
  draw();"""
LIT = """import { LitElement, html } from 'lit';
  globalThis.heard = 0;
  customElements.define('x-page', class extends LitElement {
    static properties = { count: { type: Number } };
    constructor() { super(); this.count = 0; globalThis.draw = () => { this.count += 1; }; }
    render() {
      return html`<section title=${this.count}><preference-center .src=${SRC} locale="en"
        @preference-center-saved=${() => { heard += 1; draw(); }}><a href="/own/">own ${this.count}</a></preference-center></section>`;
    }
  });
  document.getElementById('root').append(document.createElement('x-page'));"""


@pytest.mark.parametrize("code", [PREACT, LIT], ids=["preact", "lit"])
def test_a_page_that_a_framework_draws(hosts: Hosts, watch: Watch, code: str) -> None:
    """It draws around the element again and again: what was begun stays, and its handlers hear of the save."""
    script = snippet().partition("</script>")[0] + "</script>"
    own = code.replace("SRC", f"'{SITE}{CENTER}'")
    head = f"<script type='importmap'>{json.dumps(MAP)}</script>"
    page = hosts.open(f"<div id='root'></div>{script}<script type='module'>{own}</script>", head=head)
    drawn(page)
    a_box(page).check()
    page.evaluate("draw(); draw()")
    expect(page.locator("section[title='2'], section[title='1']").first).to_be_attached()
    expect(a_box(page)).to_be_checked()
    works(page, hosts)
    page.wait_for_function("heard === 1")
    expect(page.get_by_role("status").filter(has_text=SAVED)).to_have_count(1)
    assert hosts.asked.count("POST sessions/") == 1
    # Lit says that it is a build for development; ours is the one that is shipped.
    assert [one for one in watch.complaints if "dev-mode" not in one] == []


# Names and prototypes

#: What a page can hide from whoever asks `document` for it, by an image or a form of that name.
CLOBBERED = (
    "createElement createElementNS createTextNode createComment createDocumentFragment importNode adoptNode baseURI body "
    "head documentElement defaultView activeElement adoptedStyleSheets addEventListener removeEventListener dispatchEvent "
    "visibilityState hidden hasFocus cookie readyState fonts styleSheets location implementation querySelector "
    "getElementById contains append nodeType ownerDocument"
).split()


def test_images_and_forms_that_hide_natives(hosts: Hosts, watch: Watch) -> None:
    names = "".join(
        f'<img alt="" name="{name}"><form name="{name}"></form><a id="{name}"></a>' for name in CLOBBERED
    )
    page = hosts.open(names + snippet())
    hidden = page.evaluate(
        "(names) => names.filter((name) => document[name] instanceof HTMLCollection)", CLOBBERED
    )
    assert {"createElement", "createElementNS", "body", "visibilityState", "baseURI"} <= set(hidden)
    works(page, hosts)
    assert watch.complaints == []


#: Added by libraries of old and by attackers: enumerable, and of names that a document's controls leave out.
POLLUTION = """
for (const name of ['each', 'include', 'toJSON2', 'x'])
  Object.defineProperty(Array.prototype, name, { value() { return this; }, enumerable: true, configurable: true, writable: true });
for (const name of ['x', 'polluted', 'href', 'src', 'when', 'text', 'heading', 'layout', 'locked', 'actions', 'records',
  'private', 'hidden', 'pending', 'outlook', 'errors', 'receipt', 'applied', 'merged', 'disabled', 'required', 'key', 'is',
  'dir', 'style', 'onclick', 'onClick', 'onclickcapture', 'innerHTML', 'srcdoc', 'html', '__html', 'image', 'help', 'notes',
  'personal', 'autocomplete', 'min', 'max', 'single', 'cell', 'max_length', 'do', 'of_contact', 'default', 'signal', 'method'])
  Object.defineProperty(Object.prototype, name, {
    value: 'javascript:globalThis.ran = 1', enumerable: true, configurable: true, writable: true });
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_prototypes_that_others_added_to(hosts: Hosts, watch: Watch, when: str) -> None:
    body = snippet() if when == "after" else f"<script>{POLLUTION}</script>{snippet()}"
    page = hosts.open(body)
    if when == "after":
        drawn(page)
        page.evaluate(f"() => {{ {POLLUTION} }}")
    works(page, hosts)
    assert page.evaluate("globalThis.ran") is None
    root = "document.querySelector('preference-center').shadowRoot"
    planted = page.evaluate(
        f"[...{root}.querySelectorAll('*')].flatMap((one) => [...one.attributes, one])"
        ".filter((one) => String(one.value ?? one.textContent).includes('javascript:')).map((one) => one.name ?? one.localName)"
    )
    assert planted == []
    assert watch.complaints == []


def test_a_host_that_wraps_fetch_and_freezes_the_rest(hosts: Hosts, watch: Watch) -> None:
    """Analytics wrap `fetch`; careful hosts freeze what scripts may change."""
    head = """<script>
      const original = fetch;
      window.fetch = function (...rest) { window.seen = (window.seen ?? 0) + 1; return original.apply(this, rest); };
      for (const one of [Object, Array, Function, String, Promise, Map, Set, JSON, Math])
        Object.freeze(one.prototype ?? one);
    </script>"""
    works(hosts.open(head=head), hosts)
    assert watch.complaints == []


# Looks

HOSTILE_CSS = """<style>
  html { font-size: 62.5% }
  * { all: unset }
  button { display: none !important; font-size: 2px !important }
  input, select, textarea, label, table, form, h2, h3, p, li, a { display: none !important; visibility: hidden !important }
  ::slotted(*), ::part(x) { display: none !important }
  body { display: block; font: 16px/1 serif; letter-spacing: normal }
</style>"""


@pytest.mark.parametrize("width", [1100, 320])
def test_the_css_of_the_host(hosts: Hosts, watch: Watch, width: int) -> None:
    page = hosts.open(head=HOSTILE_CSS)
    page.set_viewport_size({"width": width, "height": 800})
    works(page, hosts)
    # As large as the page's text, whatever it makes of a rem; nothing overflows, is cut off or too small to hit.
    root = "document.querySelector('preference-center').shadowRoot"
    assert page.evaluate(f"getComputedStyle({root}.querySelector('label')).fontSize") == "16px"
    assert page.evaluate(f"getComputedStyle({root}.querySelector('[part=save]')).display") != "none"
    faults = {
        index: found
        for index, section in enumerate(page.locator("preference-center section").all())
        if (found := section.evaluate(FAULTS))
    }
    assert faults == {}
    assert watch.complaints == []


def test_a_host_with_tiny_rems_is_accessible(hosts: Hosts) -> None:
    main = f"<main><h1>A host</h1>{snippet()}</main>"
    page = hosts.open(main, head="<style>html { font-size: 62.5% } body { font: 1.6rem sans-serif }</style>")
    drawn(page)
    accessible(page)


# Where it stands


def test_moved_in_the_page_with_a_draft(hosts: Hosts, watch: Watch) -> None:
    page = hosts.open(f"<div id='a'>{snippet()}</div><div id='b'></div>")
    drawn(page)
    a_box(page).check()
    page.evaluate("document.getElementById('b').append(document.querySelector('preference-center'))")
    expect(a_box(page)).to_be_checked()
    works(page, hosts)
    assert sorted(hosts.asked) == ["GET ", "PATCH preferences/", "POST sessions/"]
    assert watch.complaints == []


def test_taken_out_and_put_back_later(hosts: Hosts, watch: Watch) -> None:
    """A single-page app: the tab keeps her session, and the code is not needed again."""
    page = hosts.open()
    drawn(page)
    page.evaluate(
        """async () => {
            const element = document.querySelector('preference-center');
            element.remove();
            await new Promise((resolve) => setTimeout(resolve));
            document.body.append(element);
        }"""
    )
    works(page, hosts)
    assert hosts.asked.count("POST sessions/") == 1
    assert watch.complaints == []


def test_adopted_into_the_document_of_a_frame(hosts: Hosts, watch: Watch) -> None:
    page = hosts.open(f"{snippet()}<iframe title='inner' width='900' height='900'></iframe>")
    drawn(page)
    a_box(page).check()
    page.evaluate(
        "document.querySelector('iframe').contentDocument.body.append(document.querySelector('preference-center'))"
    )
    inner = page.frame_locator("iframe")
    box = inner.locator("[id='topics.choices.offers.email']")
    expect(box).to_be_checked()
    # A sheet belongs to one document: there is a new one.
    radius = "(one) => getComputedStyle(one).borderTopLeftRadius"
    assert inner.locator("[part=block]").first.evaluate(radius) == "12px"
    inner.get_by_role("button", name=SAVE, exact=True).click()
    expect(inner.get_by_role("status").filter(has_text="saved")).to_have_count(1)
    assert [one["answers"] for one in hosts.saves] == [SAVED_ANSWER]
    assert watch.complaints == []


def test_inside_a_closed_shadow_root(hosts: Hosts, watch: Watch) -> None:
    _, _, rest = snippet().partition("</script>\n")
    script = snippet().removesuffix(rest)
    page = hosts.open(
        f"""{script}<x-host lang="en"></x-host><script>
        const host = document.querySelector('x-host');
        window.inner = host.attachShadow({{ mode: 'closed' }});
        inner.setHTMLUnsafe({json.dumps(rest)});
        window.heard = [];
        for (const name of ['loaded', 'saved', 'failed'])
          addEventListener('preference-center-' + name, (event) => heard.push([name, event.target.localName]));
        </script>"""
    )
    root = "inner.querySelector('preference-center').shadowRoot"
    page.wait_for_function(f"{root}?.querySelector('[part=save]')")
    assert page.evaluate("document.querySelector('x-host').shadowRoot") is None
    radius = f"getComputedStyle({root}.querySelector('[part=block]')).borderTopLeftRadius"
    assert page.evaluate(radius) == "12px"
    for path in (
        f"{root}.getElementById('topics.choices.offers.email')",
        f"{root}.querySelector('[part=save]')",
    ):
        found = page.evaluate_handle(path).as_element()
        assert found
        found.click()
    page.wait_for_function("heard.length === 2")
    # Out of the closed root the host only learns that it was in there.
    assert page.evaluate("heard") == [["loaded", "x-host"], ["saved", "x-host"]]
    assert [one["answers"] for one in hosts.saves] == [SAVED_ANSWER]
    assert watch.complaints == []


@pytest.fixture
def without_third_parties(
    browser_type: BrowserType, browser_type_launch_args: Json, tmp_path: Path
) -> Iterator[BrowserContext]:
    """A browser that lets no third party keep anything: what stands in a frame of another website has no storage."""
    profile = tmp_path / "Default"
    profile.mkdir()
    settings = {"profile": {"block_third_party_cookies": True, "cookie_controls_mode": 1}}
    (profile / "Preferences").write_text(json.dumps(settings))
    context = browser_type.launch_persistent_context(
        str(tmp_path), **browser_type_launch_args, locale="en-GB"
    )
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def test_third_parties_may_keep_nothing(without_third_parties: BrowserContext) -> None:
    """The host stands in a frame of a partner's website."""
    hosts = Hosts(without_third_parties)
    watch = Watch(without_third_parties)
    hosts.pages[f"{HOST}/"] = document()
    frame = f'<iframe title="inner" src="{HOST}/{CODE}" width="900" height="900"></iframe>'
    hosts.pages[f"{FRAMING}/"] = document(frame)
    page = without_third_parties.new_page()
    page.goto(f"{FRAMING}/")
    inner = page.frame_locator("iframe")
    box = inner.locator("[id='topics.choices.offers.email']")
    box.check()
    button = inner.get_by_role("button", name=SAVE, exact=True)
    # In a frame of others no press counts in the first half second (EB-14): press until one does.
    until(lambda: button.click() or hosts.saves)
    expect(inner.get_by_role("status").filter(has_text="saved")).to_have_count(1)
    assert [one["answers"] for one in hosts.saves] == [SAVED_ANSWER]
    with pytest.raises(Error, match="sessionStorage"):  # it is blocked indeed
        inner.locator("body").evaluate("() => sessionStorage.length")
    assert without_third_parties.cookies() == []
    assert watch.complaints == []
