"""One demo for all browser tests of a process, somebody new for each test, and a watched browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.example_site.conftest import Demo, Json, demo, make_demo, until

from .inside import Inside
from .watch import Watch

__all__ = ["demo", "make_demo"]

#: Two busy cores serve the demo, a worker, a CRM and a browser.
PATIENCE = 20_000

Visitor = Callable[..., Json]


@pytest.fixture(scope="package", autouse=True)
def _patience() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture(scope="package")
def inside(demo: Demo) -> Iterator[Inside]:
    inside = Inside(demo.env)
    yield inside
    inside.close()


@pytest.fixture(scope="package")
def visitor(inside: Inside) -> Visitor:
    """Makes somebody new, with choices and links: she gets rides by e-mail, offers by text message, one a week."""
    numbers = count(1)

    def make(language: str = "en", center: str = "") -> Json:
        made: Json = inside.ask("visitor", number=next(numbers), language=language, center=center)
        return made

    return make


@pytest.fixture
def browse(new_context: Callable[..., BrowserContext]) -> Callable[..., BrowserContext]:
    """Makes a fresh browser window, with the options of Playwright's `new_context`."""

    def make(**options: Any) -> BrowserContext:
        context = new_context(**{"locale": "en-GB", "viewport": {"width": 1100, "height": 800}, **options})
        context.set_default_timeout(PATIENCE)
        return context

    return make


@pytest.fixture
def watched(browse: Callable[..., BrowserContext]) -> Callable[..., tuple[Page, Watch]]:
    """Makes a page whose every complaint is noted."""

    def make(**options: Any) -> tuple[Page, Watch]:
        context = browse(**options)
        watch = Watch(context)
        return context.new_page(), watch

    return make


@pytest.fixture
def crm_knows(demo: Demo) -> Callable[..., None]:
    """Waits until the demo's CRM knows something of a contact."""

    def wait(contact: Json, holds: Callable[[Json], object]) -> None:
        until(lambda: (known := demo.known().get(contact["id"])) and holds(known))

    return wait
