"""A real HTTP proxy on loopback, between a backend and its platform, that lets calls go wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from .faults import Call, Fault, Faults

#: What concerns one connection only (RFC 9110 s7.6.1), and what we say ourselves.
_HOP = {
    "connection",
    "keep-alive",
    "proxy-connection",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
}
#: How long a platform may take, in seconds.
_PATIENCE = 60.0


class FaultProxy(Faults):
    """Passes calls on to `platform` (an address such as http://127.0.0.1:8001/3.1), but for the faults.

    A backend under test is given `url` for the platform's address.
    """

    has_answers = True

    def __init__(self, platform: str) -> None:
        super().__init__()
        self._to = urlsplit(platform)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._healed = threading.Event()

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("open the proxy first")
        return f"http://127.0.0.1:{self._server.server_port}{self._to.path}"

    def open(self) -> None:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="fault-proxy")
        self._thread.start()

    def close(self) -> None:
        self._healed.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def heal(self) -> None:
        super().heal()
        self._healed.set()

    def _set(self, fault: Fault) -> None:
        self._healed.clear()
        super()._set(fault)

    def wait(self, seconds: float) -> None:
        """Until so many seconds are over, or all is well again."""
        self._healed.wait(seconds)

    def forward(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> _Answer:
        """Ask the platform."""
        kind = http.client.HTTPSConnection if self._to.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._to.hostname or "", self._to.port, timeout=_PATIENCE)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() not in _HOP | {"content-length"}:
                    connection.putheader(name, value)
            if body or method in {"POST", "PUT", "PATCH"}:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def mentioned(self, path: str, body: bytes) -> bool:
        """Whether a call is about somebody who is to be refused."""
        said = texts(path, body)
        return any(text in said for text in self.refused())


_Answer = tuple[int, list[tuple[str, str]], bytes]


def texts(path: str, body: bytes) -> str:
    """All that a call says, whichever way it is written: percent-encoded, as a form, as JSON."""
    plain = body.decode(errors="replace")
    found = [unquote_plus(path), unquote_plus(path.replace("+", "%2B")), plain, unquote_plus(plain)]
    with contextlib.suppress(ValueError):
        found.append(json.dumps(json.loads(plain), ensure_ascii=False))
    return "\n".join(found)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them, so that no test leaves a thread to the next
    request_queue_size = 64

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not wait for the answer is none of our business."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        proxy = self.server.proxy
        self.close_connection = True  # one call a connection: nothing is left open when the proxy closes
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = proxy.take()
        kind = fault.kind if fault else None
        if fault is not None and kind == "delayed":
            proxy.wait(fault.seconds)
        status, headers, content = self._answer(fault, body)
        if kind == "lost":
            status = 0
        # Before the client can know of it: whoever has its answer finds the call.
        proxy.keep(Call(kind, self.command, self.path, dict(self.headers.items()), body, status))
        if status == 0:
            self._hang_up()
        else:
            self._send(status, headers, content)

    def _answer(self, fault: Fault | None, body: bytes) -> _Answer:
        proxy = self.server.proxy
        if fault is not None:
            if fault.kind == "away":
                return fault.status, _HTML, echo(self.path, body)
            if fault.kind == "slow_down":
                return 429, [*_HTML, ("Retry-After", f"{fault.seconds:g}")], echo(self.path, body)
            if fault.kind == "dropped":
                return 0, [], b""
            if fault.kind == "garbled" and not fault.done:
                return 200, _HTML, echo(self.path, body)
        if proxy.mentioned(self.path, body):
            return 422, _HTML, echo(self.path, body)
        try:
            answer = proxy.forward(self.command, self.path, self.headers.items(), body)
        except (OSError, http.client.HTTPException):
            return 502, _HTML, b"<p>The platform does not answer."
        if fault is not None and fault.kind == "garbled":
            return 200, _HTML, echo(self.path, body)
        return answer

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        if status >= 200 and status not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and status not in {204, 304}:
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle  # noqa: N815 - the names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Nothing: it would be addresses."""


_HTML = [("Content-Type", "text/html; charset=utf-8")]


def echo(path: str, body: bytes) -> bytes:
    """A page as a middlebox makes it, which repeats the call: whoever logs an answer logs an address."""
    return b"<html><h1>" + b"It went wrong.</h1><pre>" + path.encode() + b"\n" + body + b"</pre>\xff"
