"""The conformance kit, with a stand-in for Braze on the other side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from example_site.platforms.braze import API_KEY, Braze
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.testing.conformance import Conformance
from wagtail_prefs.backends.testing.harness import Seen
from wagtail_prefs.contacts.addresses import canonical_email
from wagtail_prefs.values import Json, Key

PATH = "wagtail_prefs.backends.braze.BrazeBackend"
NEWS, OFFERS = ("news", "email"), ("offers", "email")
GROUPS: dict[Key, str] = {
    NEWS: "11111111-1111-4111-8111-111111111111",
    OFFERS: "22222222-2222-4222-8222-222222222222",
}
OPTIONS: Json = {
    "INSTANCE": "https://rest.fra-01.braze.eu",
    "API_KEY": API_KEY,
    "TOPICS": {topic: {channel: group} for (topic, channel), group in GROUPS.items()},
    "ATTRIBUTES": {name: name for name in ("city", "children", "member", "interests")},
    "FREQUENCY_FIELDS": {"all": "pref_freq"},
    "PAUSE_FIELDS": {"all": "pref_paused_until"},
}


class BrazeHarness(VendorHarness):
    platform: Braze
    unmapped = ("events", "email")

    def entry(self) -> Json:
        return {"BACKEND": PATH, "OPTIONS": {**OPTIONS, "URL": self.url}}

    def wrong_entry(self) -> Json:
        return {"BACKEND": PATH, "OPTIONS": {**OPTIONS, "URL": self.url, "API_KEY": "another-key-0123456789"}}

    def seen(self, email: str) -> Seen | None:
        person = self.platform.person(email) or self.platform.person(canonical_email(email))
        if person is None:
            return None
        groups, held = person["groups"], person["custom_attributes"]
        out = person["email_subscribe"] == "unsubscribed"
        ends = held.get("pref_paused_until")
        return Seen(
            subscribed=frozenset(
                key for key, group in GROUPS.items() if groups.get(group) == "subscribed" and not out
            ),
            refused=frozenset(key for key, group in GROUPS.items() if groups.get(group) == "unsubscribed"),
            opted_out=out,
            frequencies={("", ""): held["pref_freq"]} if "pref_freq" in held else {},
            pauses={("", ""): datetime.fromisoformat(ends)} if ends else {},
            attributes={name: held[name] for name in self.attributes if name in held},
        )

    def people(self) -> int:
        return len(self.platform.profiles)


class TestBraze(Conformance):
    @pytest.fixture
    def harness(self) -> Iterator[BrazeHarness]:
        with Braze() as platform:
            yield BrazeHarness(platform)
