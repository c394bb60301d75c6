"""The suite as a whole."""

from __future__ import annotations

from .arriving import Arriving
from .contract import Contract
from .failing import Failing


class Conformance(Arriving, Failing, Contract):
    """Name a subclass `Test…`, and give it a fixture `harness`: docs/how-to/write-a-backend.md.

    Every test runs the real engine on the test database. What the backend's capabilities rule out is skipped, with the
    reason.
    """
