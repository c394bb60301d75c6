"""Mail scanners open every link of a mail in a real browser, and follow what they find (security.md EM-05)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, expect

from tests.example_site.conftest import Demo, until

from .center import SAVE, button
from .inside import Inside


def test_a_scanner_that_follows_every_link_changes_nothing(
    demo: Demo, inside: Inside, browse: Callable[..., BrowserContext]
) -> None:
    contact = demo.facts["contacts"][4]
    mail = demo.mail_to(contact)
    single = inside.ask("once", contact=contact["id"])
    until(lambda: inside.ask("settled"))
    before = inside.ask("fingerprint")

    # The clock is moved, not waited for: what a page means to do later, it does now.
    context = browse()
    context.clock.install()
    page = context.new_page()
    ours = {urlsplit(url).netloc for url in (demo.place.site, demo.place.customer)}
    waiting = list(dict.fromkeys([*mail["links"], mail["list_unsubscribe"].strip("<>"), *single]))
    assert len(waiting) >= 3 + len(single)
    seen: set[str] = set()
    answers: list[int] = []
    while waiting:
        url = waiting.pop()
        if url in seen or urlsplit(url).netloc not in ours:
            continue
        seen.add(url)
        answer = page.goto(url)
        assert answer
        answers.append(answer.status)
        page.wait_for_load_state("networkidle")
        page.clock.fast_forward("00:30")
        page.wait_for_load_state("networkidle")
        # Links in shadow roots count; `page.content()` would not show them.
        found = [link.evaluate("link => link.href") for link in page.get_by_role("link").all()]
        waiting += [link.partition("#")[0] for link in found]
    assert set(answers) == {200}
    assert len(seen) >= 6  # the three of the mail, and pages of the site and the customer

    assert inside.ask("fingerprint") == before
    # Nor is any link used up.
    for url in single:
        page.goto(url)
        expect(page.get_by_role("main").get_by_role("button").first).to_be_visible()
    page.goto(contact["embed_url"])
    expect(button(page, SAVE)).to_be_visible()
