"""A published center that two foreign origins may show, and one of its contacts."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from tests import factories
from wagtail_prefs.access import services as access
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact

SHOP = "https://shop.example"
BLOG = "https://blog.example"


@dataclass
class Visit:
    """What the element does, from one origin."""

    page: PreferenceCenterPage
    contact: Contact
    origin: str | None = SHOP
    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))
    session: str = ""
    keys: Any = field(default_factory=itertools.count)

    def url(self, tail: str = "") -> str:
        return f"/prefs/api/v1/centers/{self.page.translation_key}/{tail}"

    def headers(self, **more: str) -> dict[str, str]:
        found = {"Origin": self.origin} if self.origin else {}
        if self.session:
            found["Authorization"] = f"Bearer {self.session}"
        return {**found, **more}

    def code(self, origin: str = SHOP) -> str:
        token = access.make_token(Purpose.MANAGE, self.contact, center=self.page.translation_key, host=0)
        link = access.open_link(token, Purpose.MANAGE)
        return access.make_code(link, self.page.translation_key, origin)

    def post(self, tail: str, body: Any, **headers: str) -> HttpResponse:
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return self.client.post(
            self.url(tail), data, content_type="application/json", headers=self.headers(**headers)
        )

    def enter(self) -> dict[str, Any]:
        answer = self.post("sessions/", {"code": self.code()})
        assert answer.status_code == 200, answer.content
        self.session = answer.json()["session"]
        preferences: dict[str, Any] = answer.json()["preferences"]
        return preferences

    def get(self, **headers: str) -> HttpResponse:
        return self.client.get(self.url("preferences/"), headers=self.headers(**headers))

    def patch(
        self, body: Any, key: str | None = None, content_type: str = "application/json", **headers: str
    ) -> HttpResponse:
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        key = key or f"key-{next(self.keys)}"
        return self.client.patch(
            self.url("preferences/"),
            data,
            content_type=content_type,
            headers=self.headers(**{"Idempotency-Key": key, **headers}),
        )

    def undo(self, receipt: Any, key: str | None = None, **headers: str) -> HttpResponse:
        key = key or f"key-{next(self.keys)}"
        return self.post("preferences/undo/", {"receipt": receipt}, **{"Idempotency-Key": key, **headers})

    def history(self, query: str = "", **headers: str) -> HttpResponse:
        return self.client.get(self.url(f"preferences/history/{query}"), headers=self.headers(**headers))

    def body(self, answers: dict[str, Any], base: int = 0) -> dict[str, Any]:
        revision = self.client.get(self.url()).json()["revision"]
        return {"base_version": base, "revision": revision, "answers": answers}

    def choose(self, base: int = 0, **choices: bool) -> dict[str, Any]:
        topics = factories.block_id(self.page, "topics")
        return self.body(
            {topics: {"choices": {topic: {"email": value} for topic, value in choices.items()}}}, base
        )


@pytest.fixture
def visit(db: None) -> Visit:
    site = factories.make_site(origins=[SHOP, BLOG])
    page = factories.make_center(site=site, host_pages=f"{SHOP}/mail")
    return Visit(page, factories.make_contact())
