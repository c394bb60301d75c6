"""The kit on the platform in memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance import desired
from wagtail_prefs.backends import memory
from wagtail_prefs.backends.testing import Conformance, Harness, Seen


class MemoryHarness(Harness):
    def entry(self) -> dict[str, Any]:
        return {"BACKEND": "wagtail_prefs.backends.memory.MemoryBackend"}

    def seen(self, email: str) -> Seen | None:
        return desired.of(email, memory.store(self.alias).contacts.values())

    def people(self) -> int:
        return len(memory.store(self.alias).contacts)

    def reset(self) -> None:
        memory.clear()


class TestMemory(Conformance):
    @pytest.fixture
    def harness(self) -> MemoryHarness:
        return MemoryHarness()
