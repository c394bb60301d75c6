"""The conformance kit, with a stand-in for HubSpot on the other side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from example_site.platforms.hubspot import (
    ACCESS_TOKEN,
    CLIENT_SECRET,
    SUBSCRIBED,
    UNSUBSCRIBED,
    WEBHOOK_URL,
    Hubspot,
)
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.testing.conformance import Conformance
from wagtail_prefs.backends.testing.harness import Seen
from wagtail_prefs.values import Json, Key

PATH = "wagtail_prefs.backends.hubspot.HubspotBackend"
NEWS, OFFERS = ("news", "email"), ("offers", "email")
TYPES: dict[Key, str] = {NEWS: "101", OFFERS: "102"}
OPTIONS: Json = {
    "ACCESS_TOKEN": ACCESS_TOKEN,
    "CLIENT_SECRETS": [CLIENT_SECRET],
    "TOPICS": {topic: remote for (topic, _channel), remote in TYPES.items()},
    "ATTRIBUTES": {"city": "city", "children": "children", "member": "is_member", "interests": "interests"},
    "FREQUENCY_FIELDS": {"all": "pref_freq"},
    "PAUSE_FIELDS": {"all": "pref_pause"},
}


class HubspotHarness(VendorHarness):
    platform: Hubspot
    unmapped = ("events", "email")

    def entry(self) -> Json:
        # Its webhooks are signed for that address, whatever the address of the tests is.
        return {"BACKEND": PATH, "OPTIONS": {**OPTIONS, "URL": self.url, "WEBHOOK_URL": WEBHOOK_URL}}

    def wrong_entry(self) -> Json:
        wrong = {**OPTIONS, "URL": self.url, "ACCESS_TOKEN": "pat-eu1-ffffffff-1111-2222-3333-444444444444"}
        return {"BACKEND": PATH, "OPTIONS": wrong}

    def seen(self, email: str) -> Seen | None:
        folded = email.lower()
        held = self.platform.statuses.get(folded, {})
        contact = next(
            (each for each in self.platform.contacts.values() if each["properties"]["email"] == folded), None
        )
        is_out = folded in self.platform.out
        if contact is None and not held and not is_out:
            return None
        properties = contact["properties"] if contact else {}
        ends = properties.get("pref_pause")
        return Seen(
            subscribed=frozenset(
                key for key, remote in TYPES.items() if held.get(remote) == SUBSCRIBED and not is_out
            ),
            refused=frozenset(key for key, remote in TYPES.items() if held.get(remote) == UNSUBSCRIBED),
            opted_out=is_out,
            frequencies={("", ""): properties["pref_freq"]} if properties.get("pref_freq") else {},
            pauses={("", ""): datetime.fromisoformat(ends).replace(tzinfo=UTC)} if ends else {},
            attributes=_typed(properties),
        )

    def people(self) -> int:
        emails = {each["properties"]["email"] for each in self.platform.contacts.values()}
        return len(emails | set(self.platform.statuses) | self.platform.out)


def _typed(properties: dict[str, str]) -> dict[str, Any]:
    """What the texts stand for."""
    reads: dict[str, tuple[str, Any]] = {
        "city": ("city", str),
        "children": ("children", int),
        "member": ("is_member", "true".__eq__),
        "interests": ("interests", lambda text: text.split(";")),
    }
    return {
        name: read(properties[field])
        for name, (field, read) in reads.items()
        if properties.get(field, "") != ""
    }


class TestHubspot(Conformance):
    @pytest.fixture
    def harness(self) -> Iterator[HubspotHarness]:
        with Hubspot() as platform:
            yield HubspotHarness(platform)
