"""Every piece of code in docs/how-to/embed is put to work, as somebody would who reads it.

A comment above a block says what it is: `part` of a page, a whole `page`, `css`, a `module`, a `policy`, `python`, a
React `component` and the `app` around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests import factories
from tests.docs.blocks import Block, blocks
from tests.example_site.conftest import until
from wagtail_prefs.centers.embed import element

from .gallery import ORIGIN as SITE
from .hosts import CODE, FRAME, FRAMING, HOST, Hosts, document, drawn, snippet
from .react import draw, hydrate, open_drawn
from .watch import Watch

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "embed"
#: What stands in the documentation for a center of one's own.
EXAMPLE = UUID("0b6f3c1e-5a0d-4a57-9c53-2f1f6f0f8a11")


def own(code: str) -> str:
    """The code with the reader's own version, hash and center in it."""
    script = element()
    for example, real in (
        ("0123456789abcdef", script.version),
        ("sha384-…", script.integrity),
        (str(EXAMPLE), str(UUID(int=7))),
    ):
        code = code.replace(example, real)
    assert "…" not in code
    return code


def found(*verbs: str) -> list[Block]:
    return [block for path in sorted(FOLDER.glob("*.md")) for block in blocks(path) if block.verb in verbs]


def named(block: Block) -> str:
    (page,) = [path.stem for path in FOLDER.glob("*.md") if block in list(blocks(path))]
    return f"{page}-{block.line}"


PARTS = [block for block in found("part") if "<iframe" not in block.code]
FRAMES = [block for block in found("part") if "<iframe" in block.code]
#: So that no block is left out, and none is only there to be looked at.
COUNTS = {"part": 5, "page": 1, "css": 1, "module": 2, "policy": 1, "component": 1, "app": 1, "python": 1}


@pytest.fixture
def hosts(browse: Callable[..., BrowserContext]) -> Hosts:
    return Hosts(browse())


@pytest.fixture
def watch(hosts: Hosts) -> Watch:
    return Watch(hosts.context)


def test_every_block_is_tried() -> None:
    tried = {verb: len(found(verb)) for verb in COUNTS}
    assert tried == COUNTS
    fences = sum(path.read_text().count("```") for path in FOLDER.glob("*.md"))
    assert fences == 2 * sum(COUNTS.values())


@pytest.mark.parametrize("block", PARTS, ids=named)
def test_a_part_of_a_page(hosts: Hosts, watch: Watch, block: Block) -> None:
    drawn(hosts.open(own(block.code)))
    assert watch.complaints == []


@pytest.mark.parametrize("block", PARTS, ids=named)
def test_a_part_of_a_page_without_our_site(hosts: Hosts, block: Block) -> None:
    """The link is there until the center is, and whenever it cannot come."""
    hosts.context.route(f"{SITE}/**", lambda route: route.abort())
    page = hosts.open(own(block.code))
    link = page.get_by_role("link", name="Manage your preferences")
    expect(link).to_be_visible()
    expect(link).to_have_attribute("href", f"{SITE}/choices/")


def test_the_whole_page_with_colours_events_and_the_policy(hosts: Hosts, watch: Watch) -> None:
    (whole,), (css,), (policy,) = found("page"), found("css"), found("policy")
    name, _, value = policy.code.strip().partition(": ")
    assert name == "Content-Security-Policy"
    # The host's own style and script, which its own policy has to allow.
    value += "; style-src 'self'; script-src-elem https://host.example https://brand.example/prefs/embed/"
    listening = found("module")[0]
    hosts.pages |= {
        f"{HOST}/": own(whole.code).replace(
            "</head>",
            '<link rel="stylesheet" href="/own.css"><script type="module" src="/own.js"></script></head>',
        ),
        f"{HOST}/own.css": css.code,
        f"{HOST}/own.js": listening.code,
    }
    hosts.headers |= {
        f"{HOST}/": {name: value},
        f"{HOST}/own.css": {"Content-Type": "text/css"},
    }
    said: list[str] = []
    hosts.context.on("console", lambda message: said.append(message.text))
    page = hosts.context.new_page()
    page.goto(f"{HOST}/{CODE}")
    drawn(page)
    button = page.get_by_role("button", name="Save my choices", exact=True)
    expect(button).to_have_css("text-transform", "uppercase")
    expect(button).to_have_css("background-color", "rgb(122, 31, 92)")
    outline = "getComputedStyle(document.querySelector('preference-center')).outlineStyle"
    assert page.evaluate(outline) == "none"
    page.locator("[id='topics.choices.offers.email']").check()
    page.wait_for_function(f"{outline} === 'solid'")
    button.click()
    expect(page.get_by_role("status").filter(has_text="saved")).to_have_count(1)
    assert "saved 4" in said
    assert watch.complaints == []


def test_the_policy_alone_is_enough(hosts: Hosts, watch: Watch) -> None:
    (whole,), (policy,) = found("page"), found("policy")
    name, _, value = policy.code.strip().partition(": ")
    hosts.pages[f"{HOST}/"] = own(whole.code)
    hosts.headers[f"{HOST}/"] = {name: value}
    page = hosts.context.new_page()
    page.goto(f"{HOST}/{CODE}")
    drawn(page)
    # And it is one: nothing of another place.
    page.evaluate("document.body.append(Object.assign(new Image(), { src: 'https://evil.example/a.png' }))")
    expect(page.locator("body > img")).to_have_count(1)
    page.wait_for_function("document.querySelector('body > img').complete")
    assert [one for one in watch.complaints if "evil.example" in one]
    assert [one for one in watch.complaints if "evil.example" not in one] == []


def test_it_can_be_added_later(hosts: Hosts, watch: Watch) -> None:
    script = snippet().partition("</script>")[0] + "</script>"
    later = found("module")[1]
    page = hosts.open(f"{script}<main></main><script type='module'>{own(later.code)}</script>")
    drawn(page)
    assert sorted(hosts.asked) == ["GET ", "POST sessions/"]
    assert watch.complaints == []


def test_the_code_from_python(db: None, rf: object) -> None:
    (block,) = found("python")
    page = factories.make_center(site=factories.make_site(origins=[HOST]))
    lines = block.code.strip().splitlines()
    names: dict[str, object] = {"page": page}
    exec("\n".join([*lines[:-1], f"snippets = {lines[-1]}"]), names)
    embedded, framed = names["snippets"]  # type: ignore[misc]
    assert str(page.translation_key) in embedded and "<preference-center" in embedded
    assert str(page.translation_key) in framed and "<iframe" in framed


# React


@pytest.fixture(scope="module")
def react(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    (component,), (app,) = found("component"), found("app")
    files = {"PreferenceCenter.tsx": own(component.code), "Page.tsx": app.code}
    return draw(tmp_path_factory.mktemp("react"), files)


@pytest.mark.parametrize("first", ["element", "react"])
def test_react_takes_over_what_the_server_drew(
    hosts: Hosts, watch: Watch, react: dict[str, str], first: str
) -> None:
    """Whichever script is there first: the element may be drawn before React looks at the page, or after."""
    said: list[str] = []
    hosts.context.on("console", lambda message: said.append(message.text))
    assert "<a href=" in react["html"]
    if first == "element":
        page = open_drawn(hosts, react)
        drawn(page)
        page.evaluate("window.before = document.querySelector('preference-center')")
        hydrate(page)
        assert page.evaluate("before === document.querySelector('preference-center')")  # not drawn anew
    else:
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        hosts.context.route(f"{SITE}/prefs/embed/*.js", hold)
        page = open_drawn(hosts, react)
        hydrate(page)
        for route in held:
            route.fallback()
        drawn(page)
    assert page.locator("script[src*='/prefs/embed/']").count() == 1
    page.locator("[id='topics.choices.offers.email']").check()
    page.get_by_role("button", name="Save my choices", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="saved")).to_have_count(1)
    assert "saved 4" in said
    assert hosts.asked.count("POST sessions/") == 1
    assert watch.complaints == []


def test_react_would_say_so_if_something_were_different(
    hosts: Hosts, watch: Watch, react: dict[str, str]
) -> None:
    """What the test above rests on."""
    page = open_drawn(hosts, react)
    page.evaluate("document.querySelector('preference-center').setAttribute('src', '/other/')")
    hydrate(page)
    assert any("hydrat" in one for one in watch.complaints)


# Frames


def frame_page(hosts: Hosts, block: Block) -> Page:
    hosts.pages[f"{HOST}/"] = document(own(block.code))
    page = hosts.context.new_page()
    page.set_viewport_size({"width": 1000, "height": 900})
    page.goto(f"{HOST}/")
    expect(page.frame_locator("iframe").get_by_role("heading", name="Every block")).to_be_visible()
    return page


@pytest.mark.parametrize("block", FRAMES, ids=named)
def test_a_frame_shows_the_center_and_changes_nothing(hosts: Hosts, watch: Watch, block: Block) -> None:
    page = frame_page(hosts, block)
    inner = page.frame_locator("iframe")
    assert inner.locator("input:enabled, select:enabled, textarea:enabled, button:enabled").count() == 0
    hosts.pages[f"{SITE}/choices/"] = "<title>Our own site</title>"
    with page.context.expect_page() as opened:
        inner.get_by_role("link", name="page").last.click()
    assert opened.value.title() == "Our own site"
    assert hosts.asked == []
    assert [one for one in watch.complaints if "noopener" not in one] == []


def test_a_frame_as_high_as_what_is_in_it(hosts: Hosts, watch: Watch) -> None:
    page = frame_page(hosts, FRAMES[1])
    high = "Number(document.querySelector('iframe').height)"
    page.wait_for_function(f"{high} > 1000")
    inner = page.frame(url=re.compile(re.escape(FRAME)))
    assert inner
    # Nothing is left to scroll, and it follows: up and down.
    # Asked from here again and again: a predicate that waits inside is eval, which the frame's policy refuses.
    until(lambda: bool(inner.evaluate("document.documentElement.scrollHeight <= innerHeight")))
    main = inner.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
    assert 0 <= page.evaluate(high) - main < 2
    before = page.evaluate(high)
    inner.evaluate("document.querySelector('main section').remove()")
    page.wait_for_function(f"{high} < {before}")
    assert watch.complaints == []


#: What an evil frame says. Each would do something if a line of the listener were missing.
LIES = [
    {"type": "preference-center:height", "height": 4000},
    {"type": "preference-center:height", "height": 10**9},
    {"type": "preference-center:height", "height": -1},
    {"type": "preference-center:height", "height": 0},
    {"type": "preference-center:height", "height": 300.5},
    {"type": "preference-center:height", "height": "5000"},
    {"type": "preference-center:height", "height": [5000]},
    {"type": "preference-center:height", "height": {"valueOf": 5000}},
    {"type": "preference-center:height"},
    {"type": "preference-center:save", "height": 5000},
    {"height": 5000},
    [],
    [{"type": "preference-center:height", "height": 5000}],
    None,
    "preference-center:height",
    5000,
    {"type": "x" * 100_000, "height": 5000},
]


def test_evil_frames_move_nothing(hosts: Hosts, watch: Watch) -> None:
    """An advertisement beside it, and another frame of our own origin: neither is that frame."""
    evil = "https://evil.example"
    for address in (f"{evil}/", f"{SITE}/other/"):
        lies = json.dumps(LIES)
        hosts.pages[address] = f"<script>for (const lie of {lies}) parent.postMessage(lie, '*')</script>"
    others = f"<iframe title='a' src='{evil}/'></iframe><iframe title='b' src='{SITE}/other/'></iframe>"
    hosts.pages[f"{HOST}/"] = document(own(FRAMES[1].code) + "<div></div>")
    page = hosts.context.new_page()
    page.goto(f"{HOST}/")
    high = "Number(document.querySelector('iframe').height)"
    page.wait_for_function(f"{high} > 1000")
    before = page.evaluate(high)
    page.evaluate(
        """(html) => {
            window.heard = 0;
            addEventListener('message', ({ origin }) => { heard += 1; });
            document.querySelector('div').innerHTML = html;
        }""",
        others,
    )
    page.wait_for_function(f"heard >= {2 * len(LIES)}")
    assert page.evaluate(high) == before
    assert watch.complaints == []


def test_the_frame_itself_led_elsewhere_moves_nothing(hosts: Hosts) -> None:
    """The same window, but what is in it now is not ours."""
    evil = "https://evil.example/"
    hosts.pages[evil] = f"<script>for (const lie of {json.dumps(LIES)}) parent.postMessage(lie, '*')</script>"
    page = frame_page(hosts, FRAMES[1])
    high = "Number(document.querySelector('iframe').height)"
    page.wait_for_function(f"{high} > 1000")
    page.evaluate(
        """(evil) => {
            window.heard = 0;
            addEventListener('message', ({ origin }) => { heard += evil.startsWith(origin); });
            const frame = document.querySelector('iframe');
            frame.height = 901;
            frame.src = evil;
        }""",
        evil,
    )
    page.wait_for_function(f"heard === {len(LIES)}")
    assert page.evaluate(high) == 901


def test_our_own_frame_is_believed_in_whole_numbers_only(hosts: Hosts) -> None:
    """Even if our site were taken over: the frame stays between 200 and 10000, and nothing else can be said."""
    hosts.pages[FRAME] = "<title>Every block</title><h1>Every block</h1>"
    page = frame_page(hosts, FRAMES[1])
    inner = page.frame(url=re.compile(re.escape(FRAME)))
    assert inner
    page.evaluate(
        """() => {
            window.heights = [];
            const frame = document.querySelector('iframe');
            addEventListener('message', () => { heights.push(Number(frame.height)); frame.height = 900; });
        }"""
    )
    inner.evaluate("(lies) => { for (const lie of lies) parent.postMessage(lie, '*') }", LIES)
    page.wait_for_function(f"heights.length === {len(LIES)}")
    assert page.evaluate("heights") == [4000, 10_000, 200, 200, *[900] * (len(LIES) - 4)]


def test_the_height_is_told_to_no_other_page(hosts: Hosts, watch: Watch) -> None:
    """The browser gives the message to the origin that the server wrote down, and shows the page to no other."""
    hosts.pages[f"{FRAMING}/"] = document(own(FRAMES[1].code))
    page = hosts.context.new_page()
    page.add_init_script("addEventListener('message', () => { window.heard = true })")
    page.goto(f"{FRAMING}/")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.heard") is None
    assert any("frame-ancestors" in one for one in watch.complaints)
