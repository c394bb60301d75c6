"""Language, country and time zone: answers that rules and words go by, so they stand in the contact's own row."""

from __future__ import annotations

import uuid

import pytest

from tests import factories
from wagtail_prefs.changes import SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.decisions.services import decide
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

PERSON = Actor(ActorType.SUBJECT_SESSION)
HERE = Source(method="python")


def say(contact: Contact, *changes: object) -> Saved:
    return submissions.record(contact.pk, list(changes), actor=PERSON, source=HERE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"), [("language", "de"), ("country", "CA"), ("timezone", "Asia/Tokyo")]
)
def test_what_she_says_of_herself_is_what_holds(db: None, name: str, value: str) -> None:
    contact = factories.make_contact(**{name: "xx"})
    saved = say(contact, SetAttribute(name, value))
    contact.refresh_from_db()
    assert getattr(contact, name) == getattr(saved.state, name) == value
    assert getattr(contact, f"{name}_source") == "said"
    assert getattr(contacts.load_state(contact.pk), name) == value


def test_a_fact_has_the_length_of_its_kind() -> None:
    for name, value in (("country", "Neverland"), ("language", 7), ("timezone", ["Asia/Tokyo"])):
        with pytest.raises(ValueError, match=f"a {name} is a text"):
            SetAttribute(name, value)


def test_a_record_names_the_law_of_the_country_she_said(db: None) -> None:
    contact = factories.make_contact(country="DE")
    say(contact, SetAttribute("country", "JP"))
    saved = say(contact, SetFrequency("", "", "weekly"))
    assert '"jurisdiction":"JP"' in Record.objects.get(pk=saved.receipt).body


class TestMerged:
    """Who was merged: her address, her links and what she was sent go on with whom she became."""

    @pytest.fixture
    def pair(self, db: None) -> tuple[Contact, Contact]:
        factories.make_topics()
        old, new = (
            factories.make_contact("old@mail.example.org"),
            factories.make_contact("new@mail.example.org"),
        )
        for contact in (old, new):
            say(contact, SetChoice("news", "email", SUBSCRIBED), SetFrequency("", "", "weekly"))
        return old, new

    def merge(self, old: Contact, new: Contact) -> None:
        submissions.merge_contacts(old.pk, new.pk, actor=PERSON, source=HERE)

    def test_the_old_address_leads_to_her(self, pair: tuple[Contact, Contact]) -> None:
        old, new = pair
        self.merge(old, new)
        for spelling in ("old@mail.example.org", "OLD@mail.example.org"):
            assert factories.make_contact(spelling).pk == new.pk
        assert contacts.find(new.audience_id, "old@mail.example.org") == new

    def test_what_either_was_sent_counts(self, pair: tuple[Contact, Contact]) -> None:
        old, new = pair
        assert decide(old.pk, "news", "email", record=f"m-{uuid.uuid4()}").verdict == "send"
        self.merge(old, new)
        assert decide(new.pk, "news", "email").verdict == "digest"
        assert decide(old.pk, "news", "email").reason == "merged"

    def test_erasing_her_erases_whom_she_was(self, pair: tuple[Contact, Contact]) -> None:
        old, new = pair
        say(old, SetAttribute("shoe-size", 38))
        self.merge(old, new)
        decide(new.pk, "news", "email", record="m-1")
        submissions.erase(new.pk, actor=Actor(ActorType.ADMIN, "desk"), source=HERE)
        for contact in Contact.objects.filter(pk__in=[old.pk, new.pk]):
            assert (contact.email, contact.address_key) == ("", None)
            assert contact.erased_at is not None
        assert not SideValue.objects.exists()
        assert not Send.objects.exists()
        for email in ("old@mail.example.org", "new@mail.example.org"):
            assert factories.make_contact(email).suppressed
        with pytest.raises(UnknownContact):
            say(old, SetFrequency("", "", "daily"))
