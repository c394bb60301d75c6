"""The way from the page of a backend to those that bring it up to everybody and compare it."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from ..delivery import backfill


def section(alias: str) -> dict[str, Any]:
    """What `backends/_moving.html` shows on the page of a backend: the backfill under way, and where the pages are."""
    return {
        "backfill": backfill.running().filter(backend=alias).first(),
        "backfill_url": reverse("prefs_backfills:one", args=[alias]),
        "comparison_url": reverse("prefs_comparisons:one", args=[alias]),
    }
