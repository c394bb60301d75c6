"""Whether the database will hold what saving a choice relies on, and stands where the law wants it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Warning as CheckWarning
from django.db import connection

from ..topics.models import Audience
from .models import Contact


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


def check_locations(*, databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """W012, of a deployment: people in Russia, and no word of a database there. I013: people in Turkiye (security.md LW-15).

    It reads who is where, so it is asked with `--deploy` only.
    """
    if not databases or not _is_there():
        return []
    found: list[CheckMessage] = []
    for audience in Audience.objects.order_by("key"):
        places = {str(place).upper()[:2] for place in audience.data_locations}
        if "RU" not in places and _lives_in(audience, "RU"):
            what = "names no place in Russia" if places else "does not say where its data is"
            found.append(
                CheckWarning(
                    f"The audience {audience.key!r} has people in Russia, and {what}.",
                    hint="Russian law (152-FZ, art. 18(5)) wants their data collected and kept in databases in Russia. "
                    "Where that is so, name it under Topics > Audiences > Where data is; ask counsel otherwise.",
                    id="wagtail_prefs.W012",
                )
            )
        if _lives_in(audience, "TR"):
            found.append(
                Info(
                    f"The audience {audience.key!r} has people in Turkiye.",
                    hint="Consents there belong into the IYS register within three business days. This software does not "
                    "write to it; a backend of your own can (docs/how-to/write-a-backend.md).",
                    id="wagtail_prefs.I013",
                )
            )
    return found


def _lives_in(audience: Audience, country: str) -> bool:
    here = Contact.objects.filter(audience=audience, erased_at=None, merged_into=None)
    return here.filter(country__istartswith=country).exists()


def _is_there() -> bool:
    """Before the first migrate there is no table, and nobody in it."""
    return {Contact._meta.db_table, Audience._meta.db_table} <= set(connection.introspection.table_names())
