from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from pytest_django import Settings

from tests.delivery.crm import CRMS, Crm

PATH = "tests.delivery.crm.CrmBackend"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def configure(settings: Settings) -> Iterator[Callable[..., None]]:
    """Configure CRMs by alias, with their options."""

    def configured(**aliases: dict[str, Any]) -> None:
        entries = {alias: {"BACKEND": PATH, "OPTIONS": options} for alias, options in aliases.items()}
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": entries}

    CRMS.clear()
    yield configured
    CRMS.clear()


@pytest.fixture
def crm(configure: Callable[..., None]) -> Crm:
    """The only backend, under the alias `crm`."""
    configure(crm={})
    return CRMS.setdefault("crm", Crm())


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller
