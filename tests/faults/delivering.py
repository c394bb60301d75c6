"""A receiver of webhooks that keeps what it gets, and worker processes that deliver to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.db import connection
from pytest_httpserver import HTTPServer
from standardwebhooks.webhooks import Webhook
from werkzeug import Request, Response

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_d2FndGFpbC1wcmVmcy10ZXN0LWtleS0wMA=="
WEBHOOK = "wagtail_prefs.backends.webhook.WebhookBackend"
PATIENCE = 60.0


class Receiver:
    """Does what docs/reference/webhook.md asks of a receiver: verify, drop repeats, ignore older versions."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("/hook")
        self.status = 204
        self.log: list[tuple[str, bytes]] = []
        self.repeats = 0
        self.contacts: dict[str, dict[str, Any]] = {}
        #: Called with the number of requests so far, before the answer.
        self.before_answer: Callable[[int], None] = lambda _: None
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        server.expect_request("/hook", method="POST").respond_with_handler(self._receive)

    def _receive(self, request: Request) -> Response:
        if self.status >= 300:
            return Response(status=self.status)
        body = request.get_data()
        event = Webhook(SECRET).verify(body, dict(request.headers))
        with self._lock:
            message = request.headers["webhook-id"]
            self.log.append((message, body))
            if message in self._seen:
                self.repeats += 1
            else:
                self._seen.add(message)
                self._write(event)
            count = len(self.log)
        self.before_answer(count)
        return Response(status=self.status)

    def _write(self, event: dict[str, Any]) -> None:
        contact = event["contact"]
        if event["type"] == "contact.erased":
            for known, kept in list(self.contacts.items()):
                if known == contact.get("id") or kept["contact"]["email"] == contact.get("email"):
                    del self.contacts[known]
        elif event["version"] > self.contacts.get(contact["id"], {"version": 0})["version"]:
            self.contacts[contact["id"]] = event

    def options(self, *, lease: int = 60) -> dict[str, Any]:
        """The settings of the plugin that deliver here."""
        return {
            **django_settings.WAGTAIL_PREFS,
            "BACKENDS": {"hook": {"BACKEND": WEBHOOK, "OPTIONS": {"URL": self.url, "SECRET": SECRET}}},
            "ALLOW_PRIVATE_HOSTS": True,
            "DELIVERY_LEASE_SECONDS": lease,
        }


@contextmanager
def worker(folder: Path, options: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process on the test's own database."""
    folder.mkdir(exist_ok=True)
    (folder / "worker_settings.py").write_text(
        "from tests.settings import *\n\nimport json\n\nWAGTAIL_PREFS = json.loads("
        + repr(json.dumps(options))
        + ")\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "prefs_deliver", "--loop", "--interval", "0.1"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "worker_settings",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "DATABASE_URL": _database_url(),
        },
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _database_url() -> str:
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    return (
        f"postgres://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"
    )


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    waiting = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        waiting.wait(0.05)
