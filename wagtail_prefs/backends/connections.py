"""Connections that are made to checked addresses only, and exchanges that end in time."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from ..conf import conf
from .addresses import is_public

#: Seconds to connect to one address, and how many of a name's addresses are tried.
CONNECT_SECONDS = 3.0
_ADDRESSES_TRIED = 2


class Refused(OSError):
    """The name leads to an address we do not talk to."""


def resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    """The addresses of a host, each once, in the resolver's order. Refuses all of them if one is not public."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not conf.allow_private_hosts and not all(is_public(str(entry[4][0])) for entry in found):
        raise Refused
    return list(dict.fromkeys((entry[0], entry[4]) for entry in found))


class Deadline:
    """Ends an exchange when its time is up: a peer that sends one byte now and then never runs into a read timeout."""

    def __init__(self) -> None:
        self.passed = False
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None

    def watch(self, sock: socket.socket) -> None:
        """Keep a second handle on the connection, which stays good when TLS takes the first one over."""
        with self._lock:
            self._release()
            self._handle = socket.socket(fileno=os.dup(sock.fileno()))

    def expire(self) -> None:
        with self._lock:
            self.passed = True
            if self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        with self._lock:
            self._release()

    def _release(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


_current: contextvars.ContextVar[Deadline | None] = contextvars.ContextVar("deadline", default=None)


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Give the exchanges of this block, on this thread, so many seconds together."""
    limit = Deadline()
    timer = threading.Timer(seconds, limit.expire)
    timer.daemon = True
    token = _current.set(limit)
    timer.start()
    try:
        yield limit
    finally:
        timer.cancel()
        limit.release()
        _current.reset(token)


def hide_from_logs(_record: logging.LogRecord) -> bool:
    """urllib3 logs host and path of every call at DEBUG, and the path of a webhook is often its password."""
    return _current.get() is None


class _Guarded(HTTPConnection):
    """Connects to an address that passed, while `host` stays the name: SNI, certificate and Host header follow it."""

    def _new_conn(self) -> socket.socket:
        error: OSError | None = None
        try:
            for family, address in resolve(self.host, self.port)[:_ADDRESSES_TRIED]:
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

    def request(self, *args: Any, **kwargs: Any) -> None:
        limit = _current.get()
        if limit is not None and self.sock is not None:  # a kept connection
            limit.watch(self.sock)
        super().request(*args, **kwargs)


class _GuardedTLS(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLS


class GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
