"""Whether the database guards the ledger."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from ..conf import conf
from . import guard


def check_guard(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """E020: a trigger of the guard is missing; W020: the guard is switched off.

    Runs where Django lets checks ask the database (`check --database`, `migrate`). `migrate` itself is not stopped
    by what it is about to put right.
    """
    try:
        wanted = conf.ledger_guard
    except ImproperlyConfigured:
        return []  # E001 says so
    found: list[CheckMessage] = []
    for alias in databases or ():
        if not wanted and guard.tables(alias):
            found.append(
                CheckWarning(
                    'WAGTAIL_PREFS["LEDGER_GUARD"] is False: the database would let anybody change ledger records.',
                    hint="The setting is for the settings of tests only.",
                    obj=alias,
                    id="wagtail_prefs.W020",
                )
            )
        elif wanted and sys.argv[1:2] != ["migrate"] and (lacking := guard.missing(alias)):
            found.append(
                Error(
                    f"The ledger is not guarded against changes: {', '.join(lacking)} missing.",
                    hint="Run `manage.py migrate`, which puts the guard up, and prefs_verify_ledger, which tells "
                    "whether anything was changed meanwhile.",
                    obj=alias,
                    id="wagtail_prefs.E020",
                )
            )
    return found
