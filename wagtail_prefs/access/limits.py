"""How often something may be done: counted atomically, whoever asks at the same moment (security.md AB-03, s5).

A limit is named, and counts by what the caller gives it: an address, a network, a center, a key. What it counts by
stands in the cache or in the database only as a keyed hash. No span of time, wherever it begins, holds more hits than
the limit: `counters` says how. docs/reference/limits.md has the table.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.core.cache import BaseCache, caches

from .. import keys
from ..canonical import canonical
from ..conf import conf
from . import counters
from .counters import Span
from .models import Hits

logger = logging.getLogger("wagtail_prefs.limits")

#: name -> [(times, seconds)]; all of them must have room (security.md s5)
LIMITS: Mapping[str, Sequence[Span]] = {
    "link_address": [(1, 60), (3, 3600), (5, 86400)],
    "link_network": [(20, 3600)],
    "link_site": [(1000, 3600)],  # an alarm, see `ALARMS`
    "new_address_contact": [(3, 3600), (5, 86400)],
    "receipt_contact": [(3, 3600), (10, 86400)],
    "sign_up_network": [(20, 3600)],
    "confirm_address": [(1, 86400), (2, 86400 * 7)],
    "bad_token_network": [(30, 60)],
    "api_read": [(60, 60)],
    "api_write": [(20, 60)],
    "key_calls": [(1200, 60)],  # of one API key
    "key_files": [(60, 60), (1000, 3600)],  # of people, that one API key fetches
    "receipt_check": [(30, 60)],
    "inbound": [(1200, 60)],  # of one backend that tells us of events
}
#: name -> (times, seconds): a site's own limit may not let more through. Where a name is absent, the site decides.
BOUNDS: Mapping[str, Span] = {
    "link_address": (10, 86400),
    "link_network": (60, 3600),
    "new_address_contact": (10, 86400),
    "receipt_contact": (20, 86400),
    "sign_up_network": (60, 3600),
    "confirm_address": (3, 86400 * 7),
    "bad_token_network": (120, 60),
    "api_read": (300, 60),
    "api_write": (60, 60),
}
#: Limits that only warn: what they count goes on.
ALARMS = frozenset({"link_site"})
#: Limits of what needs a signed session, or a guess, and makes no mail: where no shared cache counts, each process counts
#: for itself, and the database is left alone.
LIGHT = frozenset(
    {"api_read", "api_write", "bad_token_network", "key_calls", "key_files", "inbound", "receipt_check"}
)

#: How long a cache that failed is not asked again: one that does not answer at all would hold up every request.
PAUSE_SECONDS = 30

_process = counters.ProcessCounter()
_allowance = counters.Allowance()
#: When each limit that is reached was last told of, and by when to tell again.
_told: dict[str, float] = {}
_MOST_TOLD = 10_000
#: alias of a cache that failed -> when to ask it again
_down: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether there is room; `retry_after` is the seconds until there is."""

    allowed: bool
    retry_after: int = 0


_PASSED = Verdict(True)


def spans(name: str) -> Sequence[Span]:
    """The (times, seconds) of a limit, as the site's settings have them."""
    return conf.limits.get(name, LIMITS[name])


def hit(name: str, *by: str) -> Verdict:
    """Count once, and say whether it was still within the limit. What is refused is not counted.

    Where it may be the database that counts (all but `LIGHT`), call it outside a transaction: one that is rolled back
    counts nothing, and one that is open makes everybody wait who is counted by the same.
    """
    of = spans(name)
    key = keys.digest("limit", canonical([name, *by]))[:40]
    if name in ALARMS:
        _sound(name, key, of)
        return Verdict(True)
    closed = [seconds for times, seconds in of if times < 1]
    if closed:
        return Verdict(False, max(closed))
    wait = _count(
        name,
        in_cache=lambda cache: counters.take_in_cache(cache, key, of),
        in_database=lambda: counters.take_in_database(key, of),
        in_process=lambda: _process.take(key, of),
    )
    if not wait:
        return Verdict(True)
    _tell(name, key, wait)
    return Verdict(False, wait)


def hit_lightly(name: str, *by: str) -> Verdict:
    """As `hit`, for what is asked all the time and must cost nothing: a quarter of the limit is each process's own.

    So of n processes a span may hold a quarter of the limit more for each but the first.
    """
    times, seconds = min(spans(name))
    hits = _allowance.take((name, by), times // 4, seconds)
    for _earlier in range(hits - 1):
        hit(name, *by)
    return hit(name, *by) if hits else _PASSED


def _sound(name: str, key: str, of: Sequence[Span]) -> None:
    """Count by the clock, and say so once in a span that has more than the limit."""
    for times, seconds in of:
        if _tally(name, f"{key}{seconds:x}", seconds) == times + 1:
            logger.error("alarm %s: more than %s in %s s", name, times, seconds)


def _tally(name: str, key: str, seconds: int) -> int:
    return _count(
        name,
        in_cache=lambda cache: counters.tally_in_cache(cache, key, seconds),
        in_database=lambda: counters.tally_in_database(key, seconds),
    )


def _count(
    name: str,
    *,
    in_cache: Callable[[BaseCache], int],
    in_database: Callable[[], int],
    in_process: Callable[[], int] | None = None,
) -> int:
    """The count of a shared cache, where there is one that answers. A cache that is down lets nothing through, and stops
    nothing: the next best counts.
    """
    alias = conf.limits_cache
    if _down.get(alias, 0) <= time.monotonic():
        try:
            cache = caches[alias]
            if counters.counts(cache):
                return in_cache(cache)
        except Exception as error:  # noqa: BLE001 - each client library has errors of its own
            _down[alias] = time.monotonic() + PAUSE_SECONDS
            logger.error(  # noqa: TRY400 - its traceback is that of a network
                "the cache %r does not count limits (%s); for %s s the database does, or each process",
                alias,
                type(error).__name__,
                PAUSE_SECONDS,
            )
    if in_process is not None and name in LIGHT:
        return in_process()
    return in_database()


def _tell(name: str, key: str, wait: int) -> None:
    """Log a limit that is reached, once until there is room again. Not by whom: a part of the keyed hash tells one from
    another.
    """
    now = time.time()
    if _told.get(key, 0) > now:
        return
    if len(_told) >= _MOST_TOLD:
        _told.clear()
    _told[key] = now + wait
    logger.warning("limit %s reached by %s: none for %s s", name, key[:8], wait)


def forget_process() -> None:
    """Forget what this process counted and knows by itself, for tests."""
    _process.forget()
    _allowance.forget()
    _told.clear()
    _down.clear()


def forget_hits() -> int:
    """Delete the counts whose time is over; returns how many."""
    return Hits.objects.filter(expires_at__lt=datetime.now(UTC)).delete()[0]
