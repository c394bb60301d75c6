"""Preference centers for Wagtail: composed by editors, trusted by visitors, with choices that arrive."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .decisions.asking import may_ask as may_ask
    from .decisions.headers import add_headers as add_headers
    from .decisions.services import decide as decide
    from .sending.services import send as send
    from .submissions.door import contact_for as contact_for, record as record

__version__ = "0.1.0"

#: What Python code asks of us, and where it stands: imported when it is first used, because models wait for the apps.
_DOORS = {
    "add_headers": "decisions.headers",
    "contact_for": "submissions.door",
    "decide": "decisions.services",
    "may_ask": "decisions.asking",
    "record": "submissions.door",
    "send": "sending.services",
}


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_DOORS[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_DOORS])
