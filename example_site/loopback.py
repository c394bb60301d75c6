"""A small HTTP server for the demo's side characters: standard library, loopback only, one function per request."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.template import Context, Engine

from .place import HOST

MAX_BODY = 1024 * 1024
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: Message
    body: bytes = b""
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_cross_site(self) -> bool:
        """Whether a browser says that another site made it send this."""
        return self.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}


@dataclass(frozen=True, slots=True)
class Response:
    """What goes out."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


App = Callable[[Request], Response]


def see_other(location: str) -> Response:
    """After a POST: show `location`."""
    return Response(status=303, headers={"Location": location})


def static(path: Path, content_type: str) -> Response:
    """A file that belongs to a page, read at every request: nothing here is busy."""
    return Response(path.read_bytes(), content_type=content_type)


def problem(status: int, text: str) -> Response:
    """A refusal in plain words."""
    return Response(f"{text}\n".encode(), status, "text/plain; charset=utf-8")


class Templates:
    """HTML with Django's autoescaping, without a Django project."""

    def __init__(self, folder: Path) -> None:
        if not settings.configured:
            settings.configure(USE_I18N=False, USE_TZ=True)
        self._engine = Engine(dirs=[str(folder)])

    def render(self, name: str, **context: Any) -> Response:
        return Response(self._engine.get_template(name).render(Context(context, use_tz=False)).encode())


def serve(app: App, port: int, *, csp: str = CSP) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = ThreadingHTTPServer((HOST, port), partial(_Handler, app, csp))
    server.daemon_threads = True

    def stop(*_: object) -> None:
        # shutdown() waits for the loop that this very thread runs.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with server:
        server.serve_forever(poll_interval=0.1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "demo"
    sys_version = ""
    timeout = 30

    def __init__(self, app: App, csp: str, *args: Any) -> None:
        self._app = app
        self._csp = csp
        super().__init__(*args)

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: paths may hold tokens."""

    def _answer(self) -> None:
        response = self._respond()
        self.send_response(response.status)
        headers = {
            "Content-Type": response.content_type,
            "Content-Length": str(len(response.body)),
            "Content-Security-Policy": self._csp,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            **response.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def _respond(self) -> Response:
        _, port = self.request.getsockname()
        if self.headers.get("Host") not in {f"{name}:{port}" for name in (HOST, "localhost")}:
            # A name that somebody made point to loopback must not read what is here.
            return problem(421, "This server answers on loopback only.")
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            return problem(413, "The body is too large.")
        target = urlsplit(self.path)
        return self._app(
            Request(
                method="GET" if self.command == "HEAD" else self.command,
                path=target.path,
                headers=self.headers,
                body=self.rfile.read(int(length)),
                query=last_values(target.query),
            )
        )


def last_values(text: str) -> dict[str, str]:
    """A query or an urlencoded form as a dict; the last value of each name counts."""
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
