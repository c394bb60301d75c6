"""The reference backend. Its class is imported on first use, after the models of all apps are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import DatabaseBackend

__all__ = ["DatabaseBackend"]


def __getattr__(name: str) -> Any:
    # `models` of this package is read while apps load; importing the class then would be a circle.
    if name == "DatabaseBackend":
        from .backend import DatabaseBackend  # noqa: PLC0415

        return DatabaseBackend
    raise AttributeError(name)
