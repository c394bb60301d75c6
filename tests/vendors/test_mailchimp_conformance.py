"""The conformance kit, with a stand-in for Mailchimp on the other side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from example_site.platforms.mailchimp import API_KEY, AUDIENCE, Mailchimp, digest_of
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.testing.conformance import Conformance
from wagtail_prefs.backends.testing.harness import Seen
from wagtail_prefs.values import Json, Key

PATH = "wagtail_prefs.backends.mailchimp.MailchimpBackend"
NEWS, OFFERS = ("news", "email"), ("offers", "email")
GROUPS: dict[Key, str] = {NEWS: "1a2b3c4d5e", OFFERS: "2b3c4d5e6f"}
OPTIONS: Json = {
    "API_KEY": API_KEY,
    "AUDIENCE": AUDIENCE,
    "TOPICS": {topic: group for (topic, _channel), group in GROUPS.items()},
    "ATTRIBUTES": {"city": "CITY", "children": "CHILDREN"},
    "FREQUENCY_FIELDS": {"all": "PFREQ"},
    "PAUSE_FIELDS": {"all": "PPAUSE"},
}


class MailchimpHarness(VendorHarness):
    platform: Mailchimp
    unmapped = ("events", "email")
    attributes = {"city": ("Łódź – 東京 🎈", "Zürich"), "children": (3, 0)}

    def entry(self) -> Json:
        return {"BACKEND": PATH, "OPTIONS": {**OPTIONS, "URL": self.url}}

    def wrong_entry(self) -> Json:
        wrong = {**OPTIONS, "URL": self.url, "API_KEY": "ffffffffffffffffffffffffffffffff-us21"}
        return {"BACKEND": PATH, "OPTIONS": wrong}

    def seen(self, email: str) -> Seen | None:
        member = self.platform.members.get(digest_of(email))
        if member is None:
            return None
        fields = member["merge_fields"]
        in_groups = {key for key, group in GROUPS.items() if member["interests"].get(group)}
        names = {"city": "CITY", "children": "CHILDREN"}
        ends = fields.get("PPAUSE")
        return Seen(
            subscribed=frozenset(in_groups if member["status"] == "subscribed" else ()),
            opted_out=member["status"] == "unsubscribed",
            frequencies={("", ""): fields["PFREQ"]} if fields.get("PFREQ") else {},
            pauses={("", ""): datetime.fromisoformat(ends).replace(tzinfo=UTC)} if ends else {},
            attributes={name: fields[tag] for name, tag in names.items() if fields.get(tag, "") != ""},
        )

    def people(self) -> int:
        return len(self.platform.members)


class TestMailchimp(Conformance):
    @pytest.fixture
    def harness(self) -> Iterator[MailchimpHarness]:
        with Mailchimp() as platform:
            yield MailchimpHarness(platform)
