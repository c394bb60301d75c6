"""The kit on the webhook, with a receiver that does what docs/reference/webhook.md asks of one."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from standardwebhooks.webhooks import Webhook
from werkzeug import Request, Response

from tests.conformance import desired
from tests.faults.delivering import SECRET, WEBHOOK, Receiver
from wagtail_prefs.backends.testing import Conformance, HttpHarness, Seen


class Forgetful(Receiver):
    """Forgets people when it is told to."""

    def _receive(self, request: Request) -> Response:
        body = request.get_data()
        event = Webhook(SECRET).verify(body, dict(request.headers))
        if event["type"] != "contact.erased":
            return super()._receive(request)
        named = event["contact"].items()
        for contact in [key for key, known in self.contacts.items() if named <= known["contact"].items()]:
            del self.contacts[contact]
        return Response(status=204)


class WebhookHarness(HttpHarness):
    trusts_status = True

    def __init__(self, server: HTTPServer) -> None:
        self.receiver = Forgetful(server)
        super().__init__(self.receiver.url)

    def entry(self) -> dict[str, Any]:
        return {"BACKEND": WEBHOOK, "OPTIONS": {"URL": self.url, "SECRET": SECRET}}

    def seen(self, email: str) -> Seen | None:
        return desired.of(email, self.receiver.contacts.values())

    def people(self) -> int:
        return len(self.receiver.contacts)

    def reset(self) -> None:
        self.receiver.contacts.clear()


class TestWebhook(Conformance):
    @pytest.fixture
    def harness(self, httpserver: HTTPServer) -> WebhookHarness:
        return WebhookHarness(httpserver)
