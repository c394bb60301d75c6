"""What all tests of the kit begin with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ...values import Capabilities, Key, Support
from .driver import Driver
from .harness import Harness


class Suite:
    """The fixtures. A subclass gives the harness."""

    @pytest.fixture
    def harness(self) -> Harness:
        raise NotImplementedError('write a fixture "harness" that returns yours')

    @pytest.fixture
    def crm(self, harness: Harness, settings: Any, db: None) -> Iterator[Driver]:
        harness.open()
        try:
            harness.reset()
            yield Driver(harness, settings)
        finally:
            harness.close()

    @pytest.fixture
    def can(self, crm: Driver) -> Capabilities:
        return crm.backend.capabilities

    @pytest.fixture
    def news(self, harness: Harness) -> Key:
        return harness.topics[0]

    @pytest.fixture
    def offers(self, harness: Harness) -> Key:
        return harness.topics[1]


def needs(support: Support, concept: str) -> None:
    """Skip what is about something that the platform does not have."""
    if support is Support.NONE:
        pytest.skip(f"capabilities.{concept} is none")
