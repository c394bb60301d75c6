"""The kit on the console: whoever reads it as it is written knows what a platform would."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance import desired
from wagtail_prefs.backends.testing import Conformance, Harness, Seen


class ConsoleHarness(Harness):
    def __init__(self, console: pytest.CaptureFixture[str]) -> None:
        super().__init__()
        self.console = console
        self._contacts: dict[str, dict[str, Any]] = {}

    def entry(self) -> dict[str, Any]:
        return {"BACKEND": "wagtail_prefs.backends.console.ConsoleBackend", "OPTIONS": {"UNMASKED": True}}

    def _read(self) -> dict[str, dict[str, Any]]:
        for line in self.console.readouterr().out.splitlines():
            told = json.loads(line)
            contact = told["contact"]
            if told["kind"] == "write":
                self._contacts[contact["id"]] = told
                continue
            for known, state in list(self._contacts.items()):
                if contact.items() <= state["contact"].items():
                    del self._contacts[known]
        return self._contacts

    def seen(self, email: str) -> Seen | None:
        return desired.of(email, self._read().values())

    def people(self) -> int:
        return len(self._read())

    def reset(self) -> None:
        self._read()
        self._contacts.clear()


class TestConsole(Conformance):
    @pytest.fixture
    def harness(self, capsys: pytest.CaptureFixture[str]) -> ConsoleHarness:
        return ConsoleHarness(capsys)
