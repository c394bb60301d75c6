"""Connections that are made to checked addresses only, and exchanges that end in time."""

from __future__ import annotations

import contextlib
import contextvars
import heapq
import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from ..conf import conf
from .addresses import is_own, is_public

#: Seconds to connect to one address, and how many of a name's addresses are tried.
CONNECT_SECONDS = 3.0
_ADDRESSES_TRIED = 2


class Refused(OSError):
    """The name leads to an address we do not talk to."""


def resolve(host: str, port: int, *, own_network: bool = False) -> list[tuple[Any, ...]]:
    """The addresses of a host, each once, in the resolver's order. Refuses all of them if one is not public.

    `own_network` lets those of private networks pass, too; the setting ALLOW_PRIVATE_HOSTS lets all pass.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not conf.allow_private_hosts and not all(
        is_public(address) or (own_network and is_own(address)) for address in addresses
    ):
        raise Refused
    return list(dict.fromkeys((entry[0], entry[4]) for entry in found))


class Deadline:
    """Ends an exchange when its time is up: a peer that sends one byte now and then never runs into a read timeout."""

    def __init__(self) -> None:
        self.passed = False
        self.done = False
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None

    def watch(self, sock: socket.socket) -> None:
        """Keep a second handle on the connection, which stays good when TLS takes the first one over."""
        with self._lock:
            self._release()
            self._handle = socket.socket(fileno=os.dup(sock.fileno()))

    def expire(self) -> None:
        with self._lock:
            if self.done:
                return
            self.passed = True
            if self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """It is over, in time or not."""
        with self._lock:
            self.done = True
            self._release()

    def _release(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


_current: contextvars.ContextVar[Deadline | None] = contextvars.ContextVar("deadline", default=None)


class _Watch:
    """One thread that ends whatever is over its time: a timer of its own for each exchange costs more than a small one.

    It sleeps until the next end, and longer than it must when an exchange was done before its time: looking for the one
    after it would cost each exchange a wake-up.
    """

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # threads stay behind in the parent

    def _begin(self) -> None:
        self._ends: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._running = False
        self._wakes = float("inf")

    def add(self, seconds: float, limit: Deadline) -> None:
        end = time.monotonic() + seconds
        with self._changed:
            while self._ends and self._ends[0][2].done:  # or they would stand there until their time
                heapq.heappop(self._ends)
            heapq.heappush(self._ends, (end, next(self._numbers), limit))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="prefs-deadlines", daemon=True).start()
            elif end < self._wakes:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                while self._ends and (self._ends[0][2].done or self._ends[0][0] <= time.monotonic()):
                    heapq.heappop(self._ends)[2].expire()
                self._wakes = self._ends[0][0] if self._ends else float("inf")
                self._changed.wait(max(self._wakes - time.monotonic(), 0) if self._ends else None)


_watch = _Watch()


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Give the exchanges of this block, on this thread, so many seconds together."""
    limit = Deadline()
    token = _current.set(limit)
    _watch.add(seconds, limit)
    try:
        yield limit
    finally:
        limit.release()
        _current.reset(token)


def hide_from_logs(_record: logging.LogRecord) -> bool:
    """urllib3 logs host and path of every call at DEBUG, and the path of a webhook is often its password."""
    return _current.get() is None


class _Guarded(HTTPConnection):
    """Connects to an address that passed, while `host` stays the name: SNI, certificate and Host header follow it."""

    own_network = False

    def _new_conn(self) -> socket.socket:
        error: OSError | None = None
        try:
            for family, address in self._addresses():
                sock = socket.socket(family, socket.SOCK_STREAM)
                try:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    timeout = self.timeout
                    sock.settimeout(timeout if isinstance(timeout, int | float) else CONNECT_SECONDS)
                    if (limit := _current.get()) is not None:
                        limit.watch(sock)
                    sock.connect(address)
                except OSError as problem:
                    sock.close()
                    error = problem
                else:
                    return sock
        except OSError as problem:
            error = problem
        raise NewConnectionError(self, "no connection") from error

    def _addresses(self) -> list[tuple[Any, ...]]:
        return resolve(self.host, self.port, own_network=self.own_network)[:_ADDRESSES_TRIED]

    def request(self, *args: Any, **kwargs: Any) -> None:
        limit = _current.get()
        if limit is not None and self.sock is not None:  # a kept connection
            limit.watch(self.sock)
        super().request(*args, **kwargs)


class _GuardedTLS(_Guarded, HTTPSConnection):
    pass


class _Own(_Guarded):
    own_network = True


class _OwnTLS(_GuardedTLS):
    own_network = True


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLS


class _OwnPool(HTTPConnectionPool):
    ConnectionCls = _Own


class _OwnTLSPool(HTTPSConnectionPool):
    ConnectionCls = _OwnTLS


class GuardedAdapter(HTTPAdapter):
    """For `requests`: its connections go to public addresses only, or to those of the site's own network as well."""

    def __init__(self, *, own_network: bool = False) -> None:
        self.own_network = own_network
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        plain, tls = (_OwnPool, _OwnTLSPool) if self.own_network else (_Pool, _TLSPool)
        self.poolmanager.pool_classes_by_scheme = {"http": plain, "https": tls}
