"""`Sec-GPC: 1` (security.md LW-09): whoever sends it reads that it is honoured, on the page and in the element."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .center import accessible, box
from .conftest import Visitor
from .inside import Inside
from .test_embedded import Watched

HONOURED = "Your browser’s opt-out signal is honoured."


@pytest.mark.parametrize("where", ["manage_url", "embed_url"])
@pytest.mark.parametrize("signal", [True, False])
def test_the_page_and_the_element_say_that_the_signal_is_honoured(
    watched: Watched, visitor: Visitor, inside: Inside, where: str, signal: bool
) -> None:
    contact = visitor()
    inside.ask("share_data", topic="rides", shares=True)
    try:
        page, watch = watched(extra_http_headers={"Sec-GPC": "1"} if signal else {})
        page.goto(contact[where])
        expect(box(page, "Group rides")).to_be_checked(checked=not signal)
        told = page.get_by_text(HONOURED)
        expect(told).to_have_count(1 if signal else 0)
        if signal:
            expect(told).to_be_visible()
            accessible(page)
        assert watch.complaints == []
    finally:
        inside.ask("share_data", topic="rides", shares=False)
