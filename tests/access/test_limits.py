"""Limits: no span of time holds more than they let, wherever the hits are counted."""

from __future__ import annotations

import logging
import random
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from hypothesis import given, strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from tests.properties import examples
from tests.redis_server import cache_of, serving
from wagtail_prefs.access import counters, limits
from wagtail_prefs.access.models import Hits

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class PlacesCache(LocMemCache):
    """A cache that is said to be shared, with the clock of the tests; Redis has its own."""


@pytest.fixture(autouse=True)
def _the_defaults(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {
        name: value for name, value in settings.WAGTAIL_PREFS.items() if name != "LIMITS"
    }


@pytest.fixture(params=["process", "database", "cache"])
def name(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """A limit of three in ten seconds and four in a minute, counted in each of the three places."""
    named = "api_read" if request.param == "process" else "link_address"
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {named: [(3, 10), (4, 60)]}}
    if request.param == "cache":
        settings.CACHES = {"default": {"BACKEND": f"{__name__}.PlacesCache"}}
        monkeypatch.setattr(counters, "NOT_COUNTING", ())
    return named


def test_a_limit_and_when_there_is_room_again(name: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        assert [limits.hit(name, "a").allowed for _ in range(5)] == [True, True, True, False, False]
        assert limits.hit(name, "b").allowed
        clock.shift(4)
        assert 0 < limits.hit(name, "a").retry_after <= 7
        clock.shift(8)
        assert limits.hit(name, "a") == limits.Verdict(True)  # the fourth of the minute
        refused = limits.hit(name, "a")
        assert not refused.allowed and 40 <= refused.retry_after <= 60
        clock.shift(50)
        assert limits.hit(name, "a").allowed


def test_what_is_refused_makes_nobody_wait_longer(name: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        passed = 0
        for _second in range(150):
            passed += limits.hit(name, "a").allowed
            clock.shift(1)
        # Four in a minute, for as long as one asks: in 150 seconds there is room for three times four at most.
        assert 9 <= passed <= 12


def test_retry_after_is_when_there_is_room(name: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(40):
            verdict = limits.hit(name, "a")
            if not verdict.allowed:
                clock.shift(verdict.retry_after)
                assert limits.hit(name, "a").allowed
            clock.shift(random.random() * 5)


def spans_hold(moments: list[float], spans: list[tuple[int, int]]) -> bool:
    """No span of time, wherever it begins, holds more than it may: each begins where a hit was."""
    return all(
        sum(start <= moment < start + seconds for moment in moments) <= times
        for times, seconds in spans
        for start in moments
    )


WAITS = st.lists(st.sampled_from([0, 0, 0.1, 1, 2.5, 5, 9.9, 10, 30, 59, 61]), min_size=10, max_size=60)


@pytest.mark.property
@examples(60)
@given(waits=WAITS)
def test_no_span_holds_more(waits: list[float]) -> None:
    spans = [(2, 10), (5, 60)]
    process, cache = counters.ProcessCounter(), PlacesCache("spans", {})
    cache.clear()
    Hits.objects.all().delete()
    passed: dict[str, list[float]] = {"process": [], "cache": [], "database": []}
    with time_machine.travel(NOON, tick=False) as clock:
        for wait in waits:
            clock.shift(wait)
            now = datetime.now(UTC).timestamp()
            took = {
                "process": process.take("a", spans),
                "cache": counters.take_in_cache(cache, "a", spans),
                "database": counters.take_in_database("a", spans),
            }
            for place, left in took.items():
                assert left >= 0
                if not left:
                    passed[place].append(now)
    for moments in passed.values():
        assert moments and spans_hold(moments, spans)
    # These two let everything through that they may; a place of a cache may come free up to a second later.
    assert passed["process"] == passed["database"]
    assert len(passed["cache"]) <= len(passed["process"])


@pytest.mark.property
@examples(60)
@given(waits=WAITS, others=st.lists(st.integers(0, 2), min_size=60, max_size=60))
def test_what_each_process_lets_through_by_itself(waits: list[float], others: list[int]) -> None:
    """Three processes with a quarter of eight each: 8 of the first, and 2 more for each of the others."""
    times, seconds = 8, 10
    shared = counters.ProcessCounter()
    allowances = [counters.Allowance() for _process in range(3)]
    passed: list[tuple[int, float]] = []
    with time_machine.travel(NOON, tick=False) as clock:
        for wait, process in zip(waits, others, strict=False):
            clock.shift(wait)
            hits = allowances[process].take("a", times // 4, seconds)
            left = [shared.take("a", [(times, seconds)]) for _hit in range(hits)]
            if not left or not left[-1]:
                passed.append((process, datetime.now(UTC).timestamp()))
    assert spans_hold([moment for _process, moment in passed], [(times + 2 * 2, seconds)])
    for process in range(3):
        assert spans_hold([moment for one, moment in passed if one == process], [(times, seconds)])


def test_who_is_in_no_hurry_is_counted_here_alone(
    settings: Settings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CACHES = cache_of(redis_url)
    asked: list[str] = []
    real = counters.take_in_cache
    monkeypatch.setattr(
        counters, "take_in_cache", lambda cache, key, of: asked.append(key) or real(cache, key, of)
    )
    with time_machine.travel(NOON, tick=False):
        assert all(limits.hit_lightly("api_read", "a").allowed for _ in range(15))
        assert asked == []
        # One more, and Redis is told of all: exactly the limit passes.
        assert sum(limits.hit_lightly("api_read", "a").allowed for _ in range(185)) == 45
        assert len(asked) == 200
        assert len(set(asked)) == 1


def test_an_allowance_remembers_so_much() -> None:
    allowance = counters.Allowance(most=100)
    for number in range(300):
        for _ in range(2):
            allowance.take(number, 1, 60)
    assert len(allowance._kept) <= 100
    for number in range(300):
        allowance.take(number, 1, 60)
    assert len(allowance._kept) <= 100


def test_one_statement_whatever_there_is(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Of all three spans, for an address that was there and one that was not, within the limit and beyond."""
    statements: set[str] = set()
    for address in ("a@example.org", "a@example.org", "b@example.org"):
        with django_assert_num_queries(1) as found:
            limits.hit("link_address", "1", address)
        sql = found.captured_queries[0]["sql"]
        statements.add(sql.partition("VALUES")[0])
    assert len(statements) == 1
    assert Counter(Hits.objects.values_list("count", flat=True)) == {0: 1, 1: 1}


def test_the_database_keeps_no_address() -> None:
    limits.hit("link_address", "default", "anna@mail.example.org")
    row = Hits.objects.get()
    assert len(row.key) == 40 and set(row.key) <= set("0123456789abcdef")
    assert len(row.moments) == 1


def test_the_row_does_not_grow(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"link_network": [(5, 10)]}}
    with time_machine.travel(NOON, tick=False) as clock:
        for _ in range(30):
            limits.hit("link_network", "203.0.113.7")
            clock.shift(3)
    assert len(Hits.objects.get().moments) == 5


def test_old_counts_go_away() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        limits.hit("link_network", "203.0.113.7")
        clock.shift(3500)
        limits.hit("link_network", "203.0.113.8")
        clock.shift(200)
        assert limits.forget_hits() == 1
        assert Hits.objects.count() == 1


def test_light_limits_leave_the_database_alone(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        for name in limits.LIGHT:
            while limits.hit(name, "a").allowed:
                pass


def test_an_alarm_lets_everything_through_and_rings_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"link_site": [(3, 3600)]}}
    with time_machine.travel(NOON, tick=False) as clock:
        assert all(limits.hit("link_site", "1").allowed for _ in range(7))
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        clock.shift(3600)
        for _ in range(4):
            limits.hit("link_site", "1")
        assert len(caplog.records) == 2
        assert Hits.objects.count() == 1


def test_a_limit_that_is_reached_is_told_once(caplog: pytest.LogCaptureFixture, name: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock, caplog.at_level(logging.WARNING):
        for _ in range(20):
            limits.hit(name, "anna@mail.example.org")
        assert len(caplog.records) == 1
        assert "anna" not in caplog.text
        clock.shift(61)
        for _ in range(20):
            limits.hit(name, "anna@mail.example.org")
        assert len(caplog.records) == 2


def test_nothing_is_a_limit_too(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"link_network": [(0, 60)]}}
    assert limits.hit("link_network", "a") == limits.Verdict(False, 60)
    assert not Hits.objects.exists()


@pytest.mark.parametrize(
    "cache",
    [
        {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nonexistent/there"},
        {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "no_such_table"},
    ],
)
def test_caches_that_cannot_count_are_not_asked(settings: Settings, cache: dict[str, Any]) -> None:
    settings.CACHES = {"default": cache}
    assert [limits.hit("link_address", "a").allowed for _ in range(3)] == [True, False, False]
    assert Hits.objects.count() == 1


class TestRedis:
    @pytest.fixture(autouse=True)
    def _on_redis(self, settings: Settings, redis_url: str) -> Iterator[None]:
        settings.CACHES = cache_of(redis_url)
        caches["default"].clear()
        yield
        caches["default"].clear()

    def test_the_limit_passes_and_no_more(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(0):
            assert sum(limits.hit("api_read", "a").allowed for _ in range(200)) == 60
            assert [limits.hit("link_address", "a").allowed for _ in range(3)] == [True, False, False]
            refused = limits.hit("api_read", "a")
        assert 50 <= refused.retry_after <= 61

    def test_what_is_refused_takes_no_place_of_a_longer_span(self, settings: Settings) -> None:
        spans = [(1, 1), (2, 60)]
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"link_address": spans}}
        for _ in range(10):
            limits.hit("link_address", "a")
        key = next(iter(self.keys())).split(".")[2]
        assert sorted(self.keys()) == sorted([f"wagtail_prefs.limit.{key}.1.{self.place(1)}", *self.keys(60)])
        assert len(self.keys(60)) == 1

    def keys(self, seconds: int | None = None) -> list[str]:
        client = caches["default"]._cache.get_client()  # type: ignore[attr-defined]  # Redis's own
        found = [name.decode().removeprefix(":1:") for name in client.keys("*")]
        return [name for name in found if seconds is None or name.split(".")[3] == str(seconds)]

    def place(self, seconds: int) -> str:
        return self.keys(seconds)[0].split(".")[4]

    def test_every_key_ends_by_itself(self) -> None:
        for name in limits.LIMITS:
            limits.hit(name, "a")
            limits.hit(name, "a")
        client = caches["default"]._cache.get_client()  # type: ignore[attr-defined]  # Redis's own
        assert len(self.keys()) > 10
        assert all(client.ttl(key) > 0 for key in client.keys("*"))

    def test_an_alarm_counts_here_as_well(self, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"link_site": [(3, 86400 * 365)]}}
        for _ in range(6):
            assert limits.hit("link_site", "1").allowed
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert not Hits.objects.exists()


def test_a_cache_that_is_down_stops_nothing_and_lets_nothing_through(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings.CACHES = cache_of(f"redis://127.0.0.1:{port}")
    with time_machine.travel(NOON, tick=False):
        assert [limits.hit("link_address", "a").allowed for _ in range(3)] == [True, False, False]
        assert sum(limits.hit("api_read", "a").allowed for _ in range(99)) == 60
        limits.hit("link_site", "a")
    assert Hits.objects.count() == 2
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 1 and "ConnectionError" in told[0]


def test_a_cache_that_is_there_again_counts_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings.CACHES = cache_of(f"redis://127.0.0.1:{port}")
    limits.hit("link_network", "a")
    assert Hits.objects.count() == 1
    with serving(port):
        limits.hit("link_network", "b")  # it is not asked again at once
        assert Hits.objects.count() == 2
        monkeypatch.setattr(limits.time, "monotonic", lambda: 10.0**9)
        assert limits.hit("link_network", "c").allowed
        assert Hits.objects.count() == 2
        assert caches["default"]._cache.get_client().dbsize() == 1  # type: ignore[attr-defined]  # Redis's own
        caches["default"].close()


class SilentCache(LocMemCache):
    """As a client that hides that its server is down."""

    def add(self, *_args: Any, **_kwargs: Any) -> bool:
        return False

    def get_many(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        return {}

    def incr(self, key: str, *_args: Any, **_kwargs: Any) -> int:
        raise ValueError(key)


def test_a_cache_that_hides_that_it_is_down(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.SilentCache"}}
    monkeypatch.setattr(counters, "NOT_COUNTING", ())
    assert [limits.hit("link_address", "a").allowed for _ in range(3)] == [True, False, False]
    limits.forget_process()
    assert limits.hit("link_site", "a").allowed
    assert Hits.objects.count() == 2


def test_a_process_remembers_so_much() -> None:
    counter = counters.ProcessCounter(most=100)
    spans = [(1, 60)]
    assert not any(counter.take(str(number), spans) for number in range(100))
    counter.take("0", spans)
    assert not counter.take("100", spans)  # number 1 was asked for longest ago, and goes
    assert counter.take("0", spans)
    assert not counter.take("1", spans)
    assert len(counter._kept) == 100
