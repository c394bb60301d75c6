"""System checks of limits and of the proxies before the site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured

from ..conf import conf, problem_with_function
from . import counters, limits

_SHAPE = (
    "name: [(times, seconds), ...] of whole numbers, at least one pair, at most 10,000 times and 31 days."
)
_MOST_TIMES, _MOST_SECONDS = 10_000, 31 * 86400


def check_limits(**_kwargs: Any) -> list[CheckMessage]:
    """E055: LIMITS that mean nothing, or let more through than a site may; E056: TRUSTED_PROXIES that is no number."""
    try:
        given, proxies = conf.raw.get("LIMITS", {}), conf.raw.get("TRUSTED_PROXIES", 0)
    except ImproperlyConfigured:
        return []  # E001 says so
    found: list[CheckMessage] = [
        Error(problem, hint=hint, id="wagtail_prefs.E055") for problem, hint in _problems(given)
    ]
    if not _is_number(proxies) or not 0 <= proxies <= 20:
        found.append(
            Error(
                f'WAGTAIL_PREFS["TRUSTED_PROXIES"] is {proxies!r}.',
                hint="It is how many proxies of yours add to X-Forwarded-For: 0 where browsers reach Django directly.",
                id="wagtail_prefs.E056",
            )
        )
    return found


def check_limits_cache(**_kwargs: Any) -> list[CheckMessage]:
    """E057: a LIMITS_CACHE that is none."""
    try:
        caches[conf.limits_cache]
    except (ImproperlyConfigured, InvalidCacheBackendError) as error:
        hint = f"CACHES has: {', '.join(settings.CACHES)}."
        return [
            Error(f'WAGTAIL_PREFS["LIMITS_CACHE"]: {error}', hint=hint, id="wagtail_prefs.E057"),
        ]
    return []


def check_limits_shared(**_kwargs: Any) -> list[CheckMessage]:
    """W055, of a deployment: the cache cannot count for all processes."""
    if check_limits_cache():
        return []
    cache = caches[conf.limits_cache]
    if counters.counts(cache):
        return []
    return [
        CheckWarning(
            f"The cache {conf.limits_cache!r} ({type(cache).__name__}) cannot count limits for all processes.",
            hint="The database counts what makes rows and mails, and each process counts reads by itself. With Redis or "
            'memcached in CACHES, named by WAGTAIL_PREFS["LIMITS_CACHE"], one place counts for all.',
            id="wagtail_prefs.W055",
        )
    ]


def check_sign_up(**_kwargs: Any) -> list[CheckMessage]:
    """E058: a SIGN_UP_CHECK that cannot be had."""
    try:
        problem = problem_with_function(conf.sign_up_check)
    except ImproperlyConfigured:
        return []  # E001 says so
    if not problem:
        return []
    return [
        Error(
            f'WAGTAIL_PREFS["SIGN_UP_CHECK"] {problem}.',
            hint="The dotted path of a function: (request) -> str, the reason to refuse a sign-up.",
            id="wagtail_prefs.E058",
        )
    ]


def _problems(given: Any) -> Iterator[tuple[str, str]]:
    """(what is wrong, what to do) of LIMITS."""
    if not isinstance(given, Mapping):
        yield 'WAGTAIL_PREFS["LIMITS"] must be a dict.', _SHAPE
        return
    for name, spans in given.items():
        said = f'WAGTAIL_PREFS["LIMITS"][{name!r}]'
        if name not in limits.LIMITS:
            yield f"{said} is no limit.", f"There are: {', '.join(sorted(limits.LIMITS))}."
        elif not isinstance(spans, list | tuple) or not spans or not all(map(_is_span, spans)):
            yield f"{said} is {spans!r}.", _SHAPE
        elif name in limits.BOUNDS and name in limits.LIGHT and len(spans) != 1:
            yield f"{said} has {len(spans)} spans.", "This limit takes one."
        elif name in limits.BOUNDS and not _is_bounded(spans, *limits.BOUNDS[name]):
            times, seconds = limits.BOUNDS[name]
            yield f"{said} lets too much through.", f"At most {times} in {seconds} seconds."


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_span(span: Any) -> bool:
    if not isinstance(span, list | tuple) or len(span) != 2 or not all(map(_is_number, span)):
        return False
    times, seconds = span
    return bool(0 <= times <= _MOST_TIMES and 1 <= seconds <= _MOST_SECONDS)


def _is_bounded(spans: Any, times: int, seconds: int) -> bool:
    """Whether one of the spans lets no more through in `seconds` than `times`."""
    return bool(min(most * -(-seconds // of) for most, of in spans) <= times)
