"""The demo of the browser tests, and two browsers that are not Chromium."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Visitor, inside, visitor
from tests.example_site.conftest import demo, make_demo

from .engines import Failed, Firefox, WebKit, a_display, twice
from .view import View

__all__ = ["Visitor", "demo", "inside", "make_demo", "visitor"]

Start = Callable[[bool], View]


@pytest.fixture(scope="package")
def display() -> Iterator[str]:
    with a_display() as display:
        yield display


@pytest.fixture(scope="package")
def firefoxes() -> Iterator[dict[bool, Firefox]]:
    """Those that run, by whether they run scripts."""
    running: dict[bool, Firefox] = {}
    yield running
    for firefox in running.values():
        firefox.close()


@pytest.fixture
def firefox(firefoxes: dict[bool, Firefox]) -> Start:
    def start(scripts: bool) -> View:
        def window() -> Firefox:
            one = firefoxes.pop(scripts, None) or Firefox(scripts)
            try:
                one.fresh()
            except Failed:  # it has ended meanwhile, or hangs
                one.close()
                raise
            firefoxes[scripts] = one
            return one

        return View(twice(window))

    return start


@pytest.fixture
def webkit(display: str, tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(scripts: bool) -> View:
            one = twice(lambda: WebKit(scripts, display, tmp_path))
            stack.callback(one.close)
            return View(one)

        yield start


@pytest.fixture(params=["firefox", "webkit"])
def start(request: pytest.FixtureRequest) -> Start:
    started: Start = request.getfixturevalue(request.param)
    return started


@pytest.fixture
def view(start: Start) -> View:
    return start(True)


@pytest.fixture
def view_without_scripts(start: Start) -> View:
    return start(False)
