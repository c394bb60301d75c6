"""Four connections of one client: each asks again as soon as it is answered.

One process and one thread, because it runs on the cores that it measures: the less it disturbs, the better.
"""

from __future__ import annotations

import gc
import selectors
import socket
import time
from dataclasses import dataclass, field

from .requests import Answer, Exchange, Source

CONNECTIONS = 4
TIMEOUT = 30


@dataclass(slots=True)
class Run:
    """What one endpoint did under load: seconds of each request, bytes of the last body, the time it all took."""

    seconds: list[float] = field(default_factory=list)
    body_bytes: int = 0
    elapsed: float = 0.0


@dataclass(slots=True)
class _Asked:
    exchange: Exchange
    start: float
    received: bytearray = field(default_factory=bytearray)


def run(port: int, requests: Source, seconds: float) -> Run:
    """Load one endpoint for so long. Raises AssertionError when an answer is not what it should be."""
    found = Run()
    gc.collect()
    gc.freeze()  # what was made before is not looked through while requests wait
    start = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(CONNECTIONS):
            _ask(selector, port, next(requests))
        while selector.get_map():
            ready = selector.select(TIMEOUT)
            if not ready:
                raise TimeoutError(f"no answer within {TIMEOUT} seconds")
            for key, _ in ready:
                answer = _receive(selector, key)
                if answer is None:
                    continue
                now = time.perf_counter()
                found.seconds.append(now - key.data.start)
                key.data.exchange.accept(answer)
                found.body_bytes = len(answer.body)
                if now - start < seconds:
                    _ask(selector, port, next(requests))
    found.elapsed = time.perf_counter() - start
    gc.unfreeze()
    return found


def _ask(selector: selectors.BaseSelector, port: int, exchange: Exchange) -> None:
    """Connect anew and send: gunicorn's sync workers keep no connection."""
    start = time.perf_counter()
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    connection.sendall(exchange.to_bytes())
    selector.register(connection, selectors.EVENT_READ, _Asked(exchange, start))


def _receive(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> Answer | None:
    """Read what has come; the whole answer once the server has closed."""
    connection, asked = key.fileobj, key.data
    assert isinstance(connection, socket.socket)
    some = connection.recv(65536)
    asked.received += some
    if some:
        return None
    selector.unregister(connection)
    connection.close()
    headers, found, body = bytes(asked.received).partition(b"\r\n\r\n")
    assert found, "the server closed without an answer"
    return Answer(int(headers[9:12]), headers, body)
