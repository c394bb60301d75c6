"""The conformance kit, with a stand-in for Salesforce on the other side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from example_site.platforms.salesforce import CLIENT_ID, CLIENT_SECRET, KEY, Salesforce
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.testing.conformance import Conformance
from wagtail_prefs.backends.testing.driver import Driver, yes
from wagtail_prefs.backends.testing.harness import Seen
from wagtail_prefs.contacts.addresses import canonical_email
from wagtail_prefs.values import Json, Key

PATH = "wagtail_prefs.backends.salesforce.SalesforceBackend"
NEWS, OFFERS = ("news", "email"), ("offers", "email")
TYPES: dict[Key, str] = {NEWS: "0eB000000000001AAA", OFFERS: "0eB000000000002AAA"}
FIELDS = {"city": "City__c", "children": "Children__c", "member": "Member__c"}
OPTIONS: Json = {
    "INSTANCE": "https://copperlane.my.salesforce.com",
    "CLIENT_ID": CLIENT_ID,
    "CLIENT_SECRET": CLIENT_SECRET,
    "TOPICS": {topic: remote for (topic, _channel), remote in TYPES.items()},
    "ATTRIBUTES": FIELDS,
    "FREQUENCY_FIELDS": {"all": "Pref_Freq__c"},
}


class SalesforceHarness(VendorHarness):
    platform: Salesforce
    unmapped = ("events", "email")
    attributes = {"city": ("Łódź – 東京 🎈", "Zürich"), "children": (3, 0), "member": (True, False)}

    def entry(self) -> Json:
        # The token is fetched past the proxy: what it counts and spoils are the calls of deliveries.
        return {"BACKEND": PATH, "OPTIONS": {**OPTIONS, "URL": self.url, "LOGIN_URL": self.platform.origin}}

    def wrong_entry(self) -> Json:
        entry = self.entry()
        return {**entry, "OPTIONS": {**entry["OPTIONS"], "CLIENT_SECRET": "another-secret-0123456789"}}

    def seen(self, email: str) -> Seen | None:
        person = self.platform.person(email) or self.platform.person(canonical_email(email))
        if person is None:
            return None
        consents = self.platform.consents(person[KEY])
        out = self.platform.has_left(person[KEY])
        said = {key: consents.get(f"{key[0]}.{key[1]}", {}) for key in TYPES}
        now = datetime.now(UTC)
        begins = {
            datetime.fromisoformat(consent["EffectiveFromDate"]).replace(tzinfo=UTC)
            for consent in said.values()
            if consent.get("PrivacyConsentStatus") == "OptIn"
        }
        later = {moment for moment in begins if moment > now}
        return Seen(
            subscribed=frozenset(
                key
                for key, consent in said.items()
                if consent.get("PrivacyConsentStatus") == "OptIn" and not out
            ),
            refused=frozenset(
                key for key, consent in said.items() if consent.get("PrivacyConsentStatus") == "OptOut"
            ),
            opted_out=out,
            frequencies={("", ""): person["Pref_Freq__c"]} if person.get("Pref_Freq__c") else {},
            pauses={("", ""): later.pop()} if len(later) == 1 and later == begins else {},
            attributes={
                name: person[field] for name, field in FIELDS.items() if person.get(field) is not None
            },
        )

    def people(self) -> int:
        return len(self.platform.records["Individual"])


class TestSalesforce(Conformance):
    @pytest.fixture
    def harness(self) -> Iterator[SalesforceHarness]:
        with Salesforce() as platform:
            yield SalesforceHarness(platform)

    def test_who_was_never_named_is_forgotten_by_our_key(
        self, crm: Driver, harness: SalesforceHarness
    ) -> None:
        """Salesforce took the person and not her address, so it never answered with a key."""
        harness.refuse("gone@mail.example.org")
        person = crm.person(yes(NEWS), email="gone@mail.example.org")
        other = crm.person(yes(NEWS), email="other@mail.example.org")
        crm.deliver()
        assert harness.people() == 2
        assert crm.row(person).remote_id == ""
        crm.erase(person)
        crm.pass_time(timedelta(days=1))
        crm.deliver()
        assert list(harness.platform.records["Individual"]) == [crm.row(other).remote_id]
