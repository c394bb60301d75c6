"""Whether every configured backend can be made."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from .registry import backends


def check_backends(**_kwargs: Any) -> list[CheckMessage]:
    """E003: a path that cannot be imported, or options that the backend refuses."""
    found: list[CheckMessage] = []
    try:
        aliases = list(backends)
    except ImproperlyConfigured:
        return []  # E001 says so
    for alias in aliases:
        try:
            backends[alias]
        except ImproperlyConfigured as problem:
            found.append(Error(str(problem), obj=alias, id="wagtail_prefs.E003"))
    return found
