"""Whether the database will hold what saving a choice relies on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning as CheckWarning


def check_database(**_kwargs: Any) -> list[CheckMessage]:
    """W010: SQLite that takes its lock only at the first write, so two saves of one contact can meet."""
    return [
        CheckWarning(
            f"The SQLite database {alias!r} does not begin its transactions with IMMEDIATE.",
            hint='Set OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 20}; without it, people who save at the '
            "same moment get errors.",
            obj=alias,
            id="wagtail_prefs.W010",
        )
        for alias, database in settings.DATABASES.items()
        if database.get("ENGINE") == "django.db.backends.sqlite3"
        and str(database.get("OPTIONS", {}).get("transaction_mode", "")).upper() != "IMMEDIATE"
    ]
