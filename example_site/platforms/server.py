"""What all stand-ins share: an HTTP server, a contract, limits, and things that go wrong at will."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from .contract import Contract, contract

logger = logging.getLogger(__name__)

Json = dict[str, Any]
#: A person is refused whose address has this: for tests, and for whoever wants to see it in the demo.
REFUSED = "refused@"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that came in. `query` has the values of each name; `path` as it was sent, encoded."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""

    def json(self) -> Any:
        """The body; None where there is none."""
        return json.loads(self.body) if self.body else None

    def one(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next(iter(self.query.get(name, ())), default)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: JSON, or bytes as they are."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Believed:
    """What a platform holds of one person, for people to look at: a line of its page."""

    who: str
    status: str  # in the platform's own words
    topics: Mapping[str, str] = field(default_factory=dict)  # what it is called over there -> "yes" or "no"
    fields: Mapping[str, str] = field(default_factory=dict)
    out: bool = False  # she has left all of it
    waits: bool = False  # the platform has asked her by mail


class Limited(Exception):
    """Too many calls; `seconds` until there is room."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Limit:
    """At most so many calls in so many seconds, as most platforms count: a window that slides. `most_seen` is for tests."""

    def __init__(self, calls: int, seconds: float) -> None:
        self.calls, self.seconds = calls, seconds
        self.refused = 0
        self.most_seen = 0
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Raises Limited."""
        with self._lock:
            now = time.monotonic()
            while self._times and self._times[0] <= now - self.seconds:
                self._times.popleft()
            if len(self._times) >= self.calls:
                self.refused += 1
                raise Limited(self._times[0] + self.seconds - now)
            self._times.append(now)
            self.most_seen = max(self.most_seen, len(self._times))


class Faults:
    """What goes wrong with the next calls, beside what people do wrong. Each is for so many calls, then all is well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: deque[tuple[str, float]] = deque()
        self._halves = 0

    def late(self, seconds: float, times: int = 1) -> None:
        """Answer so much later."""
        self._add("late", seconds, times)

    def drop(self, times: int = 1) -> None:
        """Hang up without an answer, before anything was done."""
        self._add("drop", 0, times)

    def lose(self, times: int = 1) -> None:
        """Do it, and hang up without an answer."""
        self._add("lose", 0, times)

    def status(self, code: int, times: int = 1) -> None:
        """Answer with this, and do nothing."""
        self._add("status", code, times)

    def half(self, times: int = 1) -> None:
        """Fail every other item of the next batches, from the first on."""
        with self._lock:
            self._halves += times

    def heal(self) -> None:
        with self._lock:
            self._next.clear()
            self._halves = 0

    def take(self) -> tuple[str, float]:
        with self._lock:
            return self._next.popleft() if self._next else ("", 0.0)

    def failing(self, count: int) -> set[int]:
        """Which items of a batch of so many are to fail: for a platform's own batch calls."""
        with self._lock:
            if not self._halves:
                return set()
            self._halves -= 1
        return set(range(0, count, 2))

    def _add(self, kind: str, value: float, times: int) -> None:
        with self._lock:
            self._next.extend([(kind, value)] * times)


Handler = Callable[..., Answer]


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Marks what answers a call: `@route("PUT", "/lists/{list}/members/{hash}")`; the names become arguments, decoded."""

    def marked(handler: Handler) -> Handler:
        handler.__dict__.setdefault("routes", []).append((method, path))
        return handler

    return marked


class Platform:
    """Subclass it: `name` (of its contract), `prefix` (of its API's paths), methods with `@route`, `allowed`, `problem`.

    All state in plain attributes, changed under `self.lock`, which every handler holds.
    """

    name: ClassVar[str]
    #: What the paths of the contract begin with beyond the host: "/3.0".
    prefix: ClassVar[str] = ""

    def __init__(self, *, strict: bool = True, limit: Limit | None = None) -> None:
        #: Whether requests are held against the contract; without, it is as fast as it can be.
        self.strict = strict
        self.limit = limit
        self.faults = Faults()
        self.lock = threading.RLock()
        self.violations: list[str] = []
        self.is_away = False
        self.crashes: list[str] = []  # tracebacks of mistakes in this stand-in
        self.calls: list[tuple[str, str, int]] = []  # method, path, status
        #: Addresses that the platform takes nothing of.
        self.refused: set[str] = set()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._routes = list(self._marked())
        self.forget_everybody()

    # --- for a platform to write -------------------------------------------------------------------------------------

    def forget_everybody(self) -> None:
        """Begin anew, with lists, groups and fields as the demo has them."""
        raise NotImplementedError

    def allowed(self, call: Call) -> Answer | None:
        """What to say to a call with wrong credentials; None where they are right."""
        raise NotImplementedError

    def problem(self, status: int, code: str, call: Call | None = None) -> Answer:
        """An error in the platform's own form: 400 for what breaks the contract, 404 for no such call."""
        raise NotImplementedError

    def too_many(self, seconds: float) -> Answer:
        """What it says where the limit is reached."""
        return self.problem(429, "too-many-requests")

    def believes(self) -> list[Believed]:
        """Everybody it knows."""
        raise NotImplementedError

    def set_up(self, names: Mapping[str, str]) -> None:
        """For the demo: have topics of these ids, with these names, and the fields of `demo_options`."""
        raise NotImplementedError

    def leave(self, email: str) -> None:
        """She uses the platform's own way out."""
        raise NotImplementedError

    def confirm(self, email: str) -> None:
        """She follows the mail that the platform sent to ask her; nothing where it sends none."""

    def hook(self, email: str) -> tuple[bytes, dict[str, str]] | None:
        """Body and headers of the webhook that tells of her leaving; None where the platform is asked instead."""
        return None

    # --- what happens to a call --------------------------------------------------------------------------------------

    def handle(self, call: Call) -> Answer:
        """Answer a call, as the platform would."""
        if self.is_away:
            return self.problem(503, "out-of-order", call)
        refusal = self.allowed(call)
        if refusal is not None:
            return refusal
        if self.limit is not None:
            try:
                self.limit.take()
            except Limited as limited:
                return self.too_many(limited.seconds)
        path = call.path.removeprefix(self.prefix)
        for method, parts, handler in self._routes:
            names = _fits(parts, path) if method == call.method else None
            if names is None:
                continue
            if self.strict:
                found = self.contract.problems(
                    call.method, path, urlsplit(call.url).query, call.headers, call.body
                )
                if found:
                    self.violations += [f"{method} {'/'.join(parts)}: {text}" for text in found]
                    return self.problem(400, "bad-request", call)
            with self.lock:
                return handler(self, call, **names)
        return self.problem(404, "no-such-call", call)

    @cached_property
    def contract(self) -> Contract:
        return contract(self.name)

    def _marked(self) -> Iterator[tuple[str, list[str], Handler]]:
        for attribute in dir(type(self)):
            handler = getattr(type(self), attribute)
            for method, path in getattr(handler, "routes", ()):
                yield method, path.split("/"), handler

    # --- serving -----------------------------------------------------------------------------------------------------

    @property
    def origin(self) -> str:
        if self._server is None:
            raise RuntimeError("open the platform first")
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Where its API stands."""
        return self.origin + self.prefix

    def open(self, port: int = 0) -> None:
        self._server = _Server(self, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name=self.name)
        self._thread.start()

    def close(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.hang_up()
            self._server.server_close()
            self._server = self._thread = None

    def __enter__(self) -> Any:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fits(parts: list[str], path: str) -> dict[str, str] | None:
    """The names of a route with what stands for them in a path; None where it is another."""
    given = path.split("/")
    if len(given) != len(parts):
        return None
    names = {}
    for part, segment in zip(parts, given, strict=True):
        before, brace, rest = part.partition("{")
        if not brace:
            if part != segment:
                return None
            continue
        name, _, after = rest.partition("}")
        if not segment.startswith(before) or not segment.endswith(after) or segment == "":
            return None
        names[name] = unquote(segment[len(before) : len(segment) - len(after)])
    return names


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, platform: Platform, port: int) -> None:
        self.platform = platform
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def hang_up(self) -> None:
        """Close the connections that clients keep, so that no thread is left to the next test."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not wait for the answer is none of our business."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def _handle(self) -> None:
        platform = self.server.platform
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind, value = platform.faults.take()
        parts = urlsplit(self.path)
        call = Call(
            self.command,
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            dict(self.headers.items()),
            body,
            f"http://{self.headers.get('Host', '')}{self.path}",
        )
        if kind == "late":
            time.sleep(value)
        if kind == "drop":
            self._hang_up()
            return
        try:
            answer = (
                platform.problem(int(value), "out-of-order") if kind == "status" else platform.handle(call)
            )
        except Exception:
            # A mistake of ours, that a test must not take for the platform's weather.
            logger.exception("%s %s", self.command, platform.name)
            platform.crashes.append(traceback.format_exc(limit=-3))
            answer = platform.problem(500, "internal-error")
        platform.calls.append((self.command, parts.path, answer.status))
        if kind == "lose":
            self._hang_up()
            return
        self._send(answer)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, answer: Answer) -> None:
        content = answer.content
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        headers = {"Content-Type": "application/json; charset=utf-8", **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and answer.status != 204:
            self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle  # noqa: N815 - the names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Nothing: it would be addresses."""
