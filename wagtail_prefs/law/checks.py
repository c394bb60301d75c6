"""Whether the site's file of jurisdictions can be used."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from ..conf import conf
from .services import BadLaw, current


def check_law(**_kwargs: Any) -> list[CheckMessage]:
    """E030: a file of `JURISDICTIONS` that is absent or that says what cannot be meant; one message for each problem."""
    try:
        path = conf.jurisdictions
        current()
    except ImproperlyConfigured:
        return []  # E001 says so
    except BadLaw as bad:
        return [
            Error(
                f'The file of WAGTAIL_PREFS["JURISDICTIONS"]: {problem}',
                hint="docs/reference/jurisdictions.md says what stands in it.",
                obj=path,
                id="wagtail_prefs.E030",
            )
            for problem in bad.problems
        ]
    return []
