"""A program with an API key, as the tests of its routes have it."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from tests.factories import make_audience
from wagtail_prefs.access import api_keys
from wagtail_prefs.access.api_keys import Scope
from wagtail_prefs.access.models import ApiKey
from wagtail_prefs.topics.models import Audience


def make_key(
    *scopes: str, audience: Audience | None = None, name: str = "crm", **values: Any
) -> tuple[ApiKey, str]:
    """A key for a year, of the default audience; with no scopes named, with all of them."""
    values.setdefault("expires_at", timezone.now() + timedelta(days=365))
    return api_keys.make(name, audience or make_audience(), scopes or Scope.values, **values)


@dataclass
class Program:
    """What it sends, one call a method."""

    key: str
    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))
    numbers: Any = field(default_factory=itertools.count)

    def send(self, method: str, path: str, body: Any = None, content_type: str = "", **headers: str) -> Any:
        given = {"Authorization": f"Bearer {self.key}", **headers}
        data = body if isinstance(body, bytes | str) else b"" if body is None else json.dumps(body)
        return self.client.generic(
            method,
            f"/prefs/api/v1/{path}",
            data,
            content_type=content_type or ("application/json" if body is not None else ""),
            headers={name: value for name, value in given.items() if value},
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.send("POST", path, body, **headers)

    def change(self, contact: Any, *changes: Any, evidence: Any = None, key: str = "", **headers: str) -> Any:
        body = {"changes": list(changes), **({"evidence": evidence} if evidence is not None else {})}
        return self.send(
            "PATCH",
            f"contacts/{contact}/",
            body,
            **{"Idempotency-Key": key or f"key-{next(self.numbers)}", **headers},
        )


def choose(topic: str, value: str, channel: str = "email", **more: Any) -> dict[str, Any]:
    """One choice as it travels."""
    return {"change": "SetChoice", "v": 1, "topic": topic, "channel": channel, "value": value, **more}
