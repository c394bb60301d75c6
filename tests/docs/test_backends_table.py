"""The tables of backends and of the kit say what the code says: `python -m tests.docs.backend_pages` writes them."""

from __future__ import annotations

import dataclasses

import pytest

from tests.docs import backend_pages
from wagtail_prefs.backends.testing import Conformance
from wagtail_prefs.values import Capabilities


@pytest.mark.parametrize(
    "page", [backend_pages.BACKENDS_PAGE, backend_pages.KIT_PAGE], ids=lambda page: page.name
)
def test_the_table_is_what_the_code_says(page: backend_pages.Path) -> None:
    assert page.read_text() == backend_pages.made(page)


def test_every_flag_is_explained_once() -> None:
    flags = [field.name for field in dataclasses.fields(Capabilities)]
    assert list(backend_pages.explained()) == flags


def test_every_test_of_the_kit_says_what_it_asks() -> None:
    asked = backend_pages.questions()
    names = [name for name in dir(Conformance) if name.startswith("test_")]
    assert len(names) > 40
    for name in names:
        (row,) = [line for line in asked.splitlines() if line.startswith(f"| `{name}` | ")]
        assert len(row) > len(name) + 40
