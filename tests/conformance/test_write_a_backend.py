"""docs/how-to/write-a-backend.md: its module and its test, as they stand there, against the CRM that it describes."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from tests.backends.states import target
from tests.conformance.acme import LISTS, TOKEN, Acme
from tests.docs.blocks import Block, blocks
from wagtail_prefs.backends.base import Backend
from wagtail_prefs.backends.registry import backends
from wagtail_prefs.values import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/write-a-backend.md"
MODULE, SETTINGS, TEST = (block for block in blocks(PAGE) if block.language == "python")


def _module(name: str, block: Block) -> types.ModuleType:
    module = types.ModuleType(name)
    exec(compile(block.code, f"{PAGE}, line {block.line}", "exec"), module.__dict__)
    return module


with pytest.MonkeyPatch.context() as account:  # which one it is, is settled when there is one
    account.setenv("ACME_URL", "http://acme.invalid")
    account.setenv("ACME_TOKEN", TOKEN)
    page = _module("page", TEST)


@pytest.fixture(autouse=True)
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[Acme]:
    """The page's module where its settings look for it, and Acme's API on loopback."""
    monkeypatch.setitem(sys.modules, "brand", types.ModuleType("brand"))
    monkeypatch.setitem(sys.modules, "brand.acme", _module("brand.acme", MODULE))
    server = Acme()
    monkeypatch.setattr(page, "URL", server.url)
    yield server
    server.close()


class TestPage(page.TestAcme):  # type: ignore[misc,name-defined]
    """All tests of the kit, as a reader of the page runs them."""


@pytest.fixture
def backend(acme: Acme, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The backend of the settings on the page, but for the address."""
    monkeypatch.setenv("ACME_TOKEN", TOKEN)
    said: dict[str, Any] = {
        "os": os,
        "WAGTAIL_PREFS": {**settings.WAGTAIL_PREFS, "ALLOW_PRIVATE_HOSTS": True},
    }
    exec(SETTINGS.code, said)
    said["WAGTAIL_PREFS"]["BACKENDS"]["acme"]["OPTIONS"]["URL"] = acme.url
    settings.WAGTAIL_PREFS = said["WAGTAIL_PREFS"]
    return backends["acme"]


def test_module_and_settings_have_less_than_a_hundred_lines() -> None:
    lines = [line for block in (MODULE, SETTINGS) for line in block.code.splitlines() if line.strip()]
    assert len(lines) < 100


def test_what_the_page_calls_the_api_is_the_api(acme: Acme) -> None:
    table = PAGE.read_text().partition("## The platform")[2].partition("## 1.")[0]
    calls = [line.split("`")[1].split() for line in table.splitlines() if line.startswith("| `")]
    assert len(calls) == 7
    for method, said_of in calls:
        body = {"GET": b"", "DELETE": b"", "PUT": b"[]", "POST": b'{"contacts": []}'}[method]
        path = said_of.replace("{email}", "reader%40mail.example.org")
        status, said = acme.answer(method, f"/api{path}", f"Bearer {TOKEN}", body)
        assert status < 300 or said == {"code": "unknown"}


def test_the_settings_of_the_page_work(backend: Backend, acme: Acme) -> None:
    assert backend.check() == []
    assert backend.maps("news", "email")
    assert not backend.maps("events", "email")
    someone = target(attributes={"city": "Bremen", "children": "2"}, versions={})
    (result,) = backend.execute(backend.plan(someone, []))
    assert result.outcome is Outcome.DONE
    (known,) = acme.contacts.values()
    assert known["lists"] == {"17": True, "18": False}
    assert known["fields"] == {
        "town": "Bremen",
        "kids": 2,
        "frequency": "W",
        "paused_until": "2027-01-01T00:00:00.000000Z",
    }


def test_what_does_not_fit_is_shown_and_keeps_nothing_else(backend: Backend, acme: Acme) -> None:
    someone = target(attributes={"city": "Bremen", "children": "many"}, versions={})
    (result,) = backend.execute(backend.plan(someone, []))
    assert (result.outcome, result.code) == (Outcome.REFUSED, "attribute-children")
    (known,) = acme.contacts.values()
    assert known["fields"]["town"] == "Bremen"
    assert "kids" not in known["fields"]


def test_a_list_that_is_not_there_is_found(settings: Settings, backend: Backend) -> None:
    assert "20" not in LISTS
    entry = settings.WAGTAIL_PREFS["BACKENDS"]["acme"]
    options = {**entry["OPTIONS"], "TOPICS": {"news": "17", "events": "20"}}
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BACKENDS": {"acme": {**entry, "OPTIONS": options}},
    }
    assert [problem.text for problem in backends["acme"].check()] == ["Acme has no list 20."]
