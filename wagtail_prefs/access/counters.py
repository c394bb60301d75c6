"""Where hits are counted: a cache that all processes share, the database, or this process alone.

Each keeps the moments of the hits that passed, so that no span of time, wherever it begins, ever holds more of them
than the limit; a hit that is refused leaves nothing behind, and makes nobody wait longer. Each decides in steps that
are atomic: the cache by `add`, which lets one of many through; the database by one upsert; the process by a lock.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil

from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection

from .models import Hits

#: (times, seconds)
Span = tuple[int, int]

#: Django's caches that count wrongly: kept by each process for itself, or not atomic.
NOT_COUNTING = (LocMemCache, DummyCache, FileBasedCache, DatabaseCache)

_PREFIX = "wagtail_prefs.limit"
#: How many places of many are tried before all of them are looked at, and how far apart.
_PROBES, _STRIDE = 4, 7919


class CacheKeepsNothing(Exception):
    """A cache that takes nothing in and holds nothing: it is down, and its client says nothing about it."""


def counts(cache: BaseCache) -> bool:
    """Whether a cache is one for all processes, with an atomic `add`."""
    return not isinstance(cache, NOT_COUNTING)


def take_in_cache(cache: BaseCache, key: str, spans: Sequence[Span]) -> int:
    """Take one place of each span; 0, or the seconds until there is one again.

    A span has as many places as times. `add` takes one, for one asker alone, and it comes free by itself when the span
    is over. Usually that is one journey for each span. Whatever the cache's client raises goes through.
    """
    now = time.time()
    taken: list[str] = []
    for times, seconds in spans:
        place = _take_place(cache, _places(key, times, seconds), now, seconds)
        if place is None:
            if taken:
                cache.delete_many(taken)
            return max(_wait(cache, _places(key, *span), now, span[1]) for span in spans)
        taken.append(place)
    return 0


def _places(key: str, times: int, seconds: int) -> list[str]:
    return [f"{_PREFIX}.{key}.{seconds}.{place}" for place in range(times)]


def _take_place(cache: BaseCache, places: list[str], now: float, seconds: int) -> str | None:
    # A second longer, because some caches know whole seconds only, and must not forget too early.
    ends, timeout = now + seconds, seconds + 1
    # Mostly nearly all are free, so that one at random will do, or one of a few.
    start = int(now * 1_000_000)
    for probe in range(_PROBES if len(places) > 2 * _PROBES else 1):
        place = places[(start + probe * _STRIDE) % len(places)]
        if cache.add(place, ends, timeout):
            return place
    held = cache.get_many(places)
    for place in places:
        if place not in held and cache.add(place, ends, timeout):
            return place
    if not held and not cache.get_many(places):
        raise CacheKeepsNothing
    return None


def _wait(cache: BaseCache, places: list[str], now: float, seconds: int) -> int:
    """The seconds until one of these is free; at least one, because now there was none for somebody."""
    held = cache.get_many(places)
    return _seconds(min(held.values()) - now + 1, seconds + 1) if len(held) == len(places) else 1


def tally_in_cache(cache: BaseCache, key: str, seconds: int) -> int:
    """How often in this span of the clock, this time included; for alarms."""
    stored = f"{_PREFIX}.{key}.{int(time.time() // seconds)}"
    for _try in range(3):
        # A span is named by its number, so that a key which lives on does no harm.
        if cache.add(stored, 1, 2 * seconds):
            return 1
        try:
            return int(cache.incr(stored))
        except ValueError:  # it was thrown out between the two
            continue
    raise CacheKeepsNothing


_MOMENT = {
    # the moment of the n-th newest hit; 0 where there were not so many
    "postgresql": "coalesce((kept.moments->>{place})::bigint, 0)",
    "sqlite": "coalesce(json_extract(kept.moments, '$[{place}]'), 0)",
}
_WITH_NOW = {
    # a new hit in front, and none beyond the longest list that is asked for
    "postgresql": "jsonb_insert(kept.moments, '{{0}}', %s::jsonb) - {most}",
    "sqlite": "json_remove('[' || %s || ',' || substr(kept.moments, 2), '$[{most}]')",
}


def take_in_database(key: str, spans: Sequence[Span]) -> int:
    """One statement for all spans, the same whether there is room; 0, or the seconds until there is.

    The row stays locked until the transaction ends, and what it counted is gone when that is rolled back: call it
    outside of one.
    """
    now = time.time()
    moment, vendor = int(now * 1000), connection.vendor
    room = " AND ".join(f"{_MOMENT[vendor].format(place=times - 1)} <= %s" for times, _seconds in spans)
    since = [moment - seconds * 1000 for _times, seconds in spans]
    with_now = _WITH_NOW[vendor].format(most=max(times for times, _seconds in spans))
    ends = datetime.fromtimestamp(now + max(seconds for _times, seconds in spans), UTC)
    table = connection.ops.quote_name(Hits._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} AS kept (key, count, moments, expires_at) VALUES (%s, 0, %s, %s) "  # noqa: S608 - names, no values
            "ON CONFLICT (key) DO UPDATE SET "
            f"count = CASE WHEN {room} THEN 0 ELSE kept.count + 1 END, "
            f"moments = CASE WHEN {room} THEN {with_now} ELSE kept.moments END, "
            f"expires_at = CASE WHEN {room} THEN EXCLUDED.expires_at ELSE kept.expires_at END "
            "RETURNING count, moments",
            [
                key,
                f"[{moment}]",
                connection.ops.adapt_datetimefield_value(ends),
                *since,
                *since,
                str(moment),
                *since,
            ],
        )
        refused, kept = cursor.fetchone()
    if not refused:
        return 0
    moments: list[int] = json.loads(kept) if isinstance(kept, str) else kept
    return max(
        _seconds(moments[times - 1] / 1000 + seconds - now, seconds)
        for times, seconds in spans
        if len(moments) >= times and moments[times - 1] > moment - seconds * 1000
    )


def tally_in_database(key: str, seconds: int) -> int:
    """As `tally_in_cache`."""
    window = int(time.time() // seconds)
    ends = datetime.fromtimestamp((window + 1) * seconds, UTC)
    table = connection.ops.quote_name(Hits._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} AS kept (key, count, moments, expires_at) VALUES (%s, 1, '[]', %s) "  # noqa: S608 - names, no values
            "ON CONFLICT (key) DO UPDATE SET "
            # The count of a span that is over is not carried on.
            "count = CASE WHEN kept.expires_at = EXCLUDED.expires_at THEN kept.count + 1 ELSE 1 END, "
            "expires_at = EXCLUDED.expires_at RETURNING count",
            [key, connection.ops.adapt_datetimefield_value(ends)],
        )
        return int(cursor.fetchone()[0])


class ProcessCounter:
    """Counts in the memory of this process, of so many keys at most; what was asked for longest ago is forgotten."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: dict[str, deque[float]] = {}

    def take(self, key: str, spans: Sequence[Span]) -> int:
        """0, or the seconds until there is room again."""
        now = time.time()
        longest = max(times for times, _seconds in spans)
        with self._lock:
            moments = self._kept.pop(key, None)
            if moments is None or moments.maxlen != longest:
                moments = deque(moments or (), maxlen=longest)
                while len(self._kept) >= self._most:
                    del self._kept[next(iter(self._kept))]
            self._kept[key] = moments  # last in the dict: the newest that was asked for
            wait = max(
                (
                    _seconds(moments[-times] + seconds - now, seconds)
                    for times, seconds in spans
                    if len(moments) >= times and moments[-times] > now - seconds
                ),
                default=0,
            )
            if not wait:
                moments.append(now)
        return wait

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._kept.clear()


class Allowance:
    """What a process lets through before it asks anybody: the few hits of somebody who is in no hurry.

    Of each key it keeps the moments of those hits. One more than the allowance, and they are handed out to be counted
    where all processes count; from then on everything is, until nothing was for as long as the span. So of one process
    no span holds more than the limit, and of several one allowance more for each further one.
    """

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._lock = threading.Lock()
        #: key -> the moments of hits that only this process knows
        self._kept: dict[object, deque[float]] = {}
        #: key -> until when others must be asked
        self._shared: dict[object, float] = {}

    def take(self, key: object, times: int, seconds: int) -> int:
        """0 where it is within the allowance of `times`; otherwise how many hits are to be counted elsewhere, this one
        included.
        """
        now = time.time()
        with self._lock:
            if self._shared:
                until = self._shared.get(key)
                if until is not None and now < until:
                    self._shared[key] = now + seconds
                    return 1
            kept = self._kept.get(key)
            if kept is None:
                if len(self._kept) >= self._most:
                    del self._kept[next(iter(self._kept))]
                kept = self._kept[key] = deque()
            while kept and kept[0] <= now - seconds:
                kept.popleft()
            if len(kept) < times:
                kept.append(now)
                return 0
            del self._kept[key]
            if len(self._shared) >= self._most:
                self._shared = {one: until for one, until in self._shared.items() if until > now}
            self._shared[key] = now + seconds
        return len(kept) + 1

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._kept.clear()
            self._shared.clear()


def _seconds(wait: float, most: int) -> int:
    """A wait in whole seconds, at least one."""
    return min(max(ceil(wait), 1), most)
