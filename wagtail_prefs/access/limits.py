"""How often something may be done: counted atomically, whoever asks at the same moment (security.md AB-03, s5).

A limit is named, and counts by what the caller gives it: an address, a network, a center, a key. What it counts by
stands in the cache or in the database only as a keyed hash. A span of time is a fixed window, so that one atomic step
decides: `add` and `incr` of a cache that all processes share, or one upsert.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.core.cache import caches
from django.db import connection

from .. import keys
from ..canonical import canonical
from ..conf import conf
from .models import Hits

logger = logging.getLogger("wagtail_prefs.limits")

#: name -> [(times, seconds)]; all of them must have room (security.md s5)
LIMITS: Mapping[str, Sequence[tuple[int, int]]] = {
    "link_address": [(1, 60), (3, 3600), (5, 86400)],
    "link_network": [(20, 3600)],
    "link_site": [(1000, 3600)],  # an alarm, see `ALARMS`
    "sign_up_network": [(20, 3600)],
    "confirm_address": [(1, 86400), (2, 86400 * 7)],
    "bad_token_network": [(30, 60)],
    "api_read": [(60, 60)],
    "api_write": [(20, 60)],
    "key_calls": [(1200, 60)],  # of one API key
}
#: Limits that only warn: what they count goes on.
ALARMS = frozenset({"link_site"})
#: Limits of what makes no row and no mail: where no shared cache counts, each process counts for itself.
LIGHT = frozenset({"api_read", "bad_token_network", "key_calls"})
#: Caches that one process has for itself.
_OWN = ("LocMemCache", "DummyCache")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether there is room; `retry_after` is the seconds until there is."""

    allowed: bool
    retry_after: int = 0


def spans(name: str) -> Sequence[tuple[int, int]]:
    """The (times, seconds) of a limit, as the site's settings have them."""
    return conf.limits.get(name, LIMITS[name])


def hit(name: str, *by: str) -> Verdict:
    """Count once, and say whether it was still within the limit. What is beyond it is counted as well."""
    now = time.time()
    found = Verdict(True)
    for times, seconds in spans(name):
        window = int(now // seconds)
        key = keys.digest("limit", canonical([name, seconds, window, *by]))
        count = _count(name, key, (window + 1) * seconds - now)
        if count > times:
            found = Verdict(False, max(found.retry_after, int((window + 1) * seconds - now) + 1))
            if count == times + 1:
                logger.warning("limit %s reached: %s in %s s", name, times, seconds)
    return Verdict(True) if name in ALARMS else found


def _count(name: str, key: str, left: float) -> int:
    cache = caches[conf.limits_cache]
    shared = type(cache).__name__ not in _OWN
    if not shared and name not in LIGHT:
        return _count_in_database(key, left)
    timeout = left + 5  # a window is named by its number, so a key that lives on a little does no harm
    stored = f"wagtail_prefs.limit.{key}"
    for _try in range(3):
        if cache.add(stored, 1, timeout):
            return 1
        try:
            return int(cache.incr(stored))
        except ValueError:  # it ended between the two
            continue
    return 1


def _count_in_database(key: str, left: float) -> int:
    table = connection.ops.quote_name(Hits._meta.db_table)
    ends = datetime.fromtimestamp(time.time() + left, UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} AS kept (key, count, expires_at) VALUES (%s, 1, %s) "  # noqa: S608 - names, no values
            "ON CONFLICT (key) DO UPDATE SET count = kept.count + 1 RETURNING count",
            [key, connection.ops.adapt_datetimefield_value(ends)],
        )
        return int(cursor.fetchone()[0])


def forget_hits() -> int:
    """Delete the counts whose time is over; returns how many."""
    return Hits.objects.filter(expires_at__lt=datetime.now(UTC)).delete()[0]
