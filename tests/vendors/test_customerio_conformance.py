"""The conformance kit, with a stand-in for Customer.io on the other side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from example_site.platforms.customerio import (
    API_KEY,
    APP_KEY,
    PREFERENCES,
    SIGNING_KEY,
    SITE_ID,
    Customerio,
)
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.testing.conformance import Conformance
from wagtail_prefs.backends.testing.harness import Seen
from wagtail_prefs.contacts.addresses import canonical_email
from wagtail_prefs.values import Json, Key

PATH = "wagtail_prefs.backends.customerio.CustomerioBackend"
NEWS, OFFERS = ("news", "email"), ("offers", "email")
TOPICS: dict[Key, str] = {NEWS: "topic_1", OFFERS: "topic_2"}
OPTIONS: Json = {
    "SITE_ID": SITE_ID,
    "API_KEY": API_KEY,
    "APP_KEY": APP_KEY,
    "SIGNING_KEYS": [SIGNING_KEY],
    "TOPICS": {topic: remote for (topic, _channel), remote in TOPICS.items()},
    "ATTRIBUTES": {"city": "city", "children": "children", "member": "member"},
    "FREQUENCY_FIELDS": {"all": "pref_freq"},
    "PAUSE_FIELDS": {"all": "pref_paused_until"},
}


class CustomerioHarness(VendorHarness):
    platform: Customerio
    unmapped = ("events", "email")
    attributes = {"city": ("Łódź – 東京 🎈", "Zürich"), "children": (3, 0), "member": (True, False)}

    def entry(self) -> Json:
        return {"BACKEND": PATH, "OPTIONS": {**OPTIONS, "URL": self.url}}

    def wrong_entry(self) -> Json:
        return {"BACKEND": PATH, "OPTIONS": {**OPTIONS, "URL": self.url, "API_KEY": "another-key-0123456789"}}

    def seen(self, email: str) -> Seen | None:
        person = self.platform.person(email) or self.platform.person(canonical_email(email))
        if person is None:
            return None
        held = person["attributes"]
        topics = held.get(PREFERENCES, {}).get("topics", {})
        out = held.get("unsubscribed") is True
        ends = held.get("pref_paused_until")
        return Seen(
            subscribed=frozenset(
                key for key, remote in TOPICS.items() if topics.get(remote) is True and not out
            ),
            refused=frozenset(key for key, remote in TOPICS.items() if topics.get(remote) is False),
            opted_out=out,
            frequencies={("", ""): held["pref_freq"]} if "pref_freq" in held else {},
            pauses={("", ""): datetime.fromtimestamp(ends, UTC)} if ends else {},
            attributes={name: held[name] for name in ("city", "children", "member") if name in held},
        )

    def people(self) -> int:
        return len(self.platform.people)


class TestCustomerio(Conformance):
    @pytest.fixture
    def harness(self) -> Iterator[CustomerioHarness]:
        with Customerio() as platform:
            yield CustomerioHarness(platform)
