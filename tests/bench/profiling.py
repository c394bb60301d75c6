"""Where the time of an endpoint or a call goes, in this process: its CPU time without a server, then cProfile."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

from . import calls, chains, statements
from .places import Places
from .requests import Answer, Exchange, Source, Traffic

BATCHES = 20
REQUESTS = 50
SPELL_SECONDS = 0.1
LINES = 45


def show(places: Places, name: str) -> None:
    """Print the statements, the CPU time, the functions with the most time of their own, and those with the most in all."""
    if name in {one.name for one in calls.CALLS}:
        _show_call(name)
    else:
        _show_endpoint(places, name)


def _show_endpoint(places: Places, endpoint: str) -> None:
    requests = Traffic(places, statements.in_process).source(endpoint)
    _print_statements(statements.of(requests))
    _ask(requests)
    # The best batch: what disturbs a process only ever adds to it.
    best = min(_ask(requests) for _ in range(BATCHES))
    print(f"{endpoint}: {best * 1e6:,.0f} µs CPU a request in process, without PostgreSQL")
    profile = cProfile.Profile(time.process_time)  # not the clock: it counts what others do
    for _ in range(BATCHES):
        _ask(requests, profile)
    _print(profile)


def _show_call(name: str) -> None:
    chains.wait_for_no_disk()
    source = calls.source(name)
    _print_statements(statements.of_call(source))
    made = calls.spell({name: source}, BATCHES * SPELL_SECONDS)[name]
    own, database = (min(getattr(one, part) for one in made) for part in ("own", "postgres"))
    print(f"{name}: {own * 1e6:,.0f} µs CPU in this process at best, {database * 1e6:,.0f} µs in PostgreSQL")
    profile = cProfile.Profile(time.process_time)
    spent = 0.0
    while spent < BATCHES * SPELL_SECONDS:
        call = next(source)
        start = time.perf_counter()
        profile.runcall(call)
        spent += time.perf_counter() - start
    _print(profile)


def _print_statements(found: list[str]) -> None:
    for statement in found:
        print("SQL:", statement[:240])


def _print(profile: cProfile.Profile) -> None:
    stats = pstats.Stats(profile)
    stats.sort_stats("tottime").print_stats(LINES)
    stats.sort_stats("cumulative").print_stats(LINES)


def _ask(requests: Source, profile: cProfile.Profile | None = None) -> float:
    """Handle a batch; returns the CPU seconds of one request."""
    handler = WSGIHandler()
    spent = 0.0
    for _ in range(REQUESTS):
        exchange = next(requests)
        environ = _environ(exchange)
        with profile or nullcontext():
            start = time.process_time()
            response = handler(environ, _started)
            spent += time.process_time() - start
        exchange.accept(Answer(response.status_code, b"", getattr(response, "content", b"")))
        response.close()
    return spent / REQUESTS


def _started(*_: Any) -> Callable[[bytes], object]:
    return lambda _: None


def _environ(exchange: Exchange) -> dict[str, Any]:
    headers = {"Host": "localhost", "Accept": "application/json", **exchange.headers}
    kind = headers.pop("Content-Type", "application/octet-stream")
    request = RequestFactory().generic(exchange.method, exchange.path, exchange.body, kind, headers=headers)
    return request.environ
