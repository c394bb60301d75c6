"""Acme, a CRM that is small and strict, on loopback: what docs/how-to/write-a-backend.md says of its API is so."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "acme-token-for-tests-only"
LISTS = ("17", "18", "19")
MOST = 50


class Acme:
    """What it knows stands in `contacts`, by address."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        self.refused: list[str] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="acme")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON."""
        if token != f"Bearer {TOKEN}":
            return 401, {"code": "unauthorized"}
        with self._lock:
            match method, [unquote(part) for part in path.split("/")[2:]]:
                case "GET", ["lists"]:
                    return 200, {"lists": list(LISTS)}
                case "POST", ["contacts", "batch"]:
                    return self._batch(json.loads(body))
                case "GET", ["contacts"]:
                    return 200, {"contacts": list(self.contacts)}
                case "GET", ["contacts", email]:
                    return (
                        (200, self.contacts[email]) if email in self.contacts else (404, {"code": "unknown"})
                    )
                case "DELETE", ["contacts", email]:
                    return (204, None) if self.contacts.pop(email, None) else (404, {"code": "unknown"})
                case "DELETE", ["sandbox"]:
                    self.contacts.clear()
                    self.refused.clear()
                    return 204, None
                case "PUT", ["sandbox", "refused"]:
                    self.refused[:] = json.loads(body)
                    return 204, None
        return 404, {"code": "no_such_call"}

    def _batch(self, body: Any) -> tuple[int, Any]:
        if set(body) != {"contacts"}:
            return 400, {"code": "bad_request"}
        if len(body["contacts"]) > MOST:
            return 413, {"code": "too_many"}
        emails = [contact.get("email") for contact in body["contacts"]]
        if len(set(emails)) < len(emails):
            return 400, {"code": "twice"}
        errors = []
        for index, contact in enumerate(body["contacts"]):
            if code := self._wrong(contact):
                errors.append({"index": index, "code": code})
            else:
                self._write(contact)
        return 200, {"errors": errors}

    def _wrong(self, contact: Any) -> str:
        if set(contact) - {"email", "blocked", "lists", "fields"}:
            return "unknown_key"
        if "@" not in contact["email"] or contact["email"] in self.refused:
            return "bad_address"
        if set(contact.get("lists", {})) - set(LISTS):
            return "unknown_list"
        if not all(isinstance(value, bool) for value in contact.get("lists", {}).values()):
            return "bad_list"
        return ""

    def _write(self, contact: dict[str, Any]) -> None:
        known = self.contacts.setdefault(
            contact["email"], {"email": contact["email"], "blocked": False, "lists": {}, "fields": {}}
        )
        known["blocked"] = contact.get("blocked", known["blocked"])
        known["lists"] |= contact.get("lists", {})
        fields = {**known["fields"], **contact.get("fields", {})}
        known["fields"] = {name: value for name, value in fields.items() if value is not None}


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, acme: Acme) -> None:
        self.acme = acme
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):  # HTTP/1.0: a call a connection
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("Authorization", "")
        status, said = self.server.acme.answer(self.command, self.path, token, body)
        content = b"" if said is None else json.dumps(said).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - the names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Nothing: it would be addresses."""
