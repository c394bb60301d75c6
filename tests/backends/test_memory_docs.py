"""docs/reference/memory-backend.md says what happens: its tests pass, and can fail."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from tests import factories
from wagtail_prefs.backends import memory
from wagtail_prefs.backends.memory import MemoryBackend, Store
from wagtail_prefs.values import Outcome

PAGE = (Path(__file__).parents[2] / "docs/reference/memory-backend.md").read_text()


def code(number: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[number], found)
    return found


def page_tests() -> dict[str, Callable[[Store], None]]:
    return {name: function for name, function in code(1).items() if name.startswith("test_")}


@pytest.fixture
def crm(settings: Settings) -> Store:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **code(0)["WAGTAIL_PREFS"], "SENDERS": {}}
    factories.make_audience()
    memory.clear()
    return memory.store("crm")


@pytest.mark.django_db
@pytest.mark.parametrize("name", page_tests())
def test_the_page_tests_pass(crm: Store, name: str) -> None:
    page_tests()[name](crm)
    assert crm.operations


@pytest.mark.django_db
@pytest.mark.parametrize("name", page_tests())
def test_the_page_tests_fail_where_nothing_arrives(crm: Store, name: str) -> None:
    crm.fail(Outcome.RETRY, times=memory.ALWAYS)
    with pytest.raises((AssertionError, KeyError, SystemExit)):
        page_tests()[name](crm)


def test_what_the_page_names_is_there() -> None:
    named = set(re.findall(r"^\| `(\w+)", PAGE, re.MULTILINE)) - {"wagtail_prefs"}
    store = Store()
    assert len(named) == 12
    for name in named:
        assert hasattr(memory, name) or hasattr(store, name)
    public = {name for name, _ in inspect.getmembers(store) if not name.startswith("_")}
    assert public - {"take", "forget", "look_up"} <= named
    signature = str(inspect.signature(Store.fail)).replace("'", '"')
    for parameter in inspect.signature(Store.fail).parameters:
        assert parameter == "self" or parameter in PAGE, signature
    for outcome in Outcome:
        assert f"`{outcome.name}`" in PAGE
    for option in MemoryBackend.known_options:
        assert f"`{option}`" in PAGE
