"""Releases below which a package we stand on has a known hole (security.md SC-01): installed once, they are forgotten."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.core.checks import CheckMessage, Warning as CheckWarning

#: {package: the first release of its line that we know of no open hole in}
MINIMUMS = {"Django": "5.2.19", "wagtail": "8.0.1", "djangorestframework": "3.18.3", "bleach": "6.4.0"}


def is_older(installed: str, minimum: str) -> bool:
    """Whether a release is older than another; what is no number ends the comparison ("6.1rc1" counts as 6.1)."""
    return _numbers(installed) < _numbers(minimum)


def _numbers(release: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", release)
    return tuple(map(int, found[0].split("."))) if found else ()


def check_versions(**_kwargs: Any) -> list[CheckMessage]:
    """W006: a package that should be updated."""
    found: list[CheckMessage] = []
    for package, minimum in MINIMUMS.items():
        try:
            installed = version(package)
        except PackageNotFoundError:  # installed in some other way: nothing can be said
            continue
        if is_older(installed, minimum):
            found.append(
                CheckWarning(
                    f"{package} {installed} has holes that {minimum} closes.",
                    hint=f"Update it: pip install '{package}>={minimum}'",
                    id="wagtail_prefs.W006",
                )
            )
    return found
