"""Where the time of one endpoint goes, in this process: its CPU time without a server, then cProfile."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

from . import statements
from .places import Places
from .requests import Answer, Exchange, Source, Traffic

BATCHES = 20
REQUESTS = 50
LINES = 45


def show(places: Places, endpoint: str) -> None:
    """Print the statements, the CPU time, the functions with the most time of their own, and those with the most in all."""
    requests = Traffic(places, statements.in_process).source(endpoint)
    for statement in statements.of(requests):
        print("SQL:", statement[:240])
    _ask(requests)
    # The best batch: what disturbs a process only ever adds to it.
    best = min(_ask(requests) for _ in range(BATCHES))
    print(f"{endpoint}: {best * 1e6:,.0f} µs CPU a request in process, without PostgreSQL")
    profile = cProfile.Profile(time.process_time)  # not the clock: it counts what others do
    for _ in range(BATCHES):
        _ask(requests, profile)
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
