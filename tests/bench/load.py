"""Four clients, one connection each, as processes of their own: they ask again as soon as they are answered."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType

from .places import Places
from .requests import Answer, Exchange, Traffic

CLIENTS = 4
TIMEOUT = 30


@dataclass(slots=True)
class Run:
    """What one endpoint did under load: seconds of each request, bytes of the last body, the time it all took."""

    seconds: list[float] = field(default_factory=list)
    body_bytes: int = 0
    elapsed: float = 0.0
    failed: str = ""


class Clients:
    """The load, as a context manager; `run` blocks until every client is done."""

    def __init__(self, port: int, places: Places) -> None:
        self.port = port
        self.places = places
        self.pipes: list[Connection] = []
        self._stack = ExitStack()

    def __enter__(self) -> Clients:
        spawn = multiprocessing.get_context("spawn")  # a fork would take Django and its connections along
        for share in range(CLIENTS):
            ours, theirs = spawn.Pipe()
            arguments = (theirs, self.port, self.places, share, CLIENTS + 1)  # one share is for `statements`
            process = spawn.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self._stack.callback(process.join)
            self._stack.callback(ours.close)
        for pipe in self.pipes:
            pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, endpoint: str, seconds: float) -> Run:
        """Load one endpoint for so long. Raises RuntimeError when an answer is not what it should be."""
        start = time.perf_counter()
        for pipe in self.pipes:
            pipe.send((endpoint, seconds))
        runs: Sequence[Run] = [pipe.recv() for pipe in self.pipes]
        elapsed = time.perf_counter() - start
        failed = [run.failed for run in runs if run.failed]
        if failed:
            raise RuntimeError(f"{endpoint}: {failed[0]}")
        return Run([one for run in runs for one in run.seconds], runs[0].body_bytes, elapsed)


def _serve(pipe: Connection, port: int, places: Places, share: int, shares: int) -> None:
    traffic = Traffic(places, share, shares, lambda exchange: exchange_with(port, exchange))
    pipe.send("ready")
    while True:
        try:
            endpoint, seconds = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        pipe.send(_load(port, traffic, endpoint, seconds))


def _load(port: int, traffic: Traffic, endpoint: str, seconds: float) -> Run:
    run = Run()
    try:
        source = traffic.source(endpoint)
        deadline = time.perf_counter() + seconds
        while (start := time.perf_counter()) < deadline:
            exchange = next(source)
            answer = exchange_with(port, exchange)
            run.seconds.append(time.perf_counter() - start)
            exchange.accept(answer)
            run.body_bytes = len(answer.body)
    except (AssertionError, OSError, ValueError) as problem:
        run.failed = f"{type(problem).__name__}: {problem}"
    return run


def exchange_with(port: int, exchange: Exchange) -> Answer:
    """Send one request and read until the server closes: gunicorn's sync workers keep no connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(exchange.to_bytes())
        received = bytearray()
        while some := connection.recv(65536):
            received += some
    headers, found, body = bytes(received).partition(b"\r\n\r\n")
    if not found:
        raise ValueError("the server closed without an answer")
    return Answer(int(headers[9:12]), headers, body)
