"""Whether the site's file of jurisdictions can be used, and whether what the site sets keeps to it."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from ..conf import DEFAULTS, conf
from .services import BadLaw, current
from .validation import MOST_MONTHS


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


def check_periods(**_kwargs: Any) -> list[CheckMessage]:
    """E034: periods that mean nothing, or are looser than this product promises; W034: a link that ends before the
    longest time that a law of the file asks for.
    """
    try:
        given = {name: conf.raw.get(name, DEFAULTS[name]) for name in _PERIODS}
    except ImproperlyConfigured:
        return []  # E001 says so
    problems = [
        f'WAGTAIL_PREFS["{name}"] is {given[name]!r}; it is a whole number from {least} to {most}.'
        for name, (least, most) in _PERIODS.items()
        if not _is_whole(given[name]) or not least <= given[name] <= most
    ]
    if problems:
        return [
            Error(problem, hint="docs/reference/settings.md", id="wagtail_prefs.E034") for problem in problems
        ]
    try:
        wanted, where = (0, "") if check_law() else max(_link_days(), default=(0, ""))
    except ImproperlyConfigured:
        return []
    if given["MANAGE_LINK_DAYS"] >= wanted:
        return []
    return [
        CheckWarning(
            f"Links to the page end after {given['MANAGE_LINK_DAYS']} days, and the law of {where} asks for {wanted}.",
            hint="They can still unsubscribe then, for ever. Set MANAGE_LINK_DAYS higher, so that they also open the page.",
            id="wagtail_prefs.W034",
        )
    ]


#: setting -> (least, most). For a year a no is a no (security.md LW-10); a link opens the page for a month at least.
_PERIODS = {
    "MANAGE_LINK_DAYS": (30, 36_500),
    "SOFT_OPT_IN_MONTHS": (1, MOST_MONTHS),
    "REASK_DAYS": (DEFAULTS["REASK_DAYS"], 36_500),
}


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _link_days() -> list[tuple[int, str]]:
    """For how many days a link must work, by each law that is sure of it."""
    facts = [
        (entry, entry.facts["link_valid_days"])
        for entry in current().jurisdictions.values()
        if "link_valid_days" in entry.facts
    ]
    return [
        (fact.value, entry.name)
        for entry, fact in facts
        if fact.value is not None and fact.confidence != "low" and not fact.uncertain
    ]
