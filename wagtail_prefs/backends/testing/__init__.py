"""The conformance kit: point it at a backend of your own, and see that it loses nothing (docs/reference/conformance-kit.md).

For tests only; needs pytest and pytest-django.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("arriving", "contract", "failing", "suite"))
)

from .conformance import Conformance  # noqa: E402 - after pytest was told to explain the asserts
from .driver import Driver  # noqa: E402
from .faults import Call, Faults, LocalFaults  # noqa: E402
from .harness import Harness, HttpHarness, Seen  # noqa: E402
from .proxy import FaultProxy  # noqa: E402

__all__ = [
    "Call",
    "Conformance",
    "Driver",
    "FaultProxy",
    "Faults",
    "Harness",
    "HttpHarness",
    "LocalFaults",
    "Seen",
]
