"""`wagtail_prefs.record` and `contact_for`: the way in for the site's own code."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.utils import timezone

import wagtail_prefs
from tests import factories
from tests.docs import explained
from wagtail_prefs.changes import OptOut, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.errors import KeyReused, NotAllowed, UnknownContact
from wagtail_prefs.ids import uuid7
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source

YES = SetChoice("news", "email", SUBSCRIBED)


@pytest.fixture
def contact(db: None) -> Contact:
    factories.make_topics()
    return wagtail_prefs.contact_for("rosa@mail.example.org", country="DE")


def test_the_page_does_what_it_says(db: None) -> None:
    factories.make_topics()
    order = SimpleNamespace(placed_at=timezone.now())
    assert explained.run(explained.DOCS / "how-to" / "record-from-python.md", {"order": order}) > 10


def test_a_record_names_who_did_it_and_what_shows_it(contact: Contact) -> None:
    at = timezone.now()
    saved = wagtail_prefs.record(contact, YES, by="shop", source="checkout", evidence=Evidence("order 1", at))
    body = read_body(Record.objects.get(pk=saved.receipt))
    assert body["actor"] == {"type": "api", "id": "shop"}
    assert (body["method"], body["evidence_ref"]) == ("checkout", "order 1")
    assert body["evidence_at"] == at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert body["jurisdiction"] == "DE"
    assert body["effects"][0]["lawful_basis"] == "consent"


def test_a_contact_is_found_by_her_id_and_by_her_row(contact: Contact) -> None:
    assert wagtail_prefs.record(contact.pk, OptOut(), by="desk").state.opted_out
    with pytest.raises(UnknownContact):
        wagtail_prefs.record(uuid7(), OptOut(), by="desk")
    with pytest.raises(UnknownContact):
        wagtail_prefs.record(uuid7(), YES, by="desk", evidence=Evidence("x", timezone.now()))


def test_the_same_address_is_the_same_contact(contact: Contact) -> None:
    again = wagtail_prefs.contact_for(" Rosa@MAIL.example.org ", language="fr", country="DE")
    assert (again.pk, again.country, again.language) == (contact.pk, "DE", contact.language)
    again = wagtail_prefs.contact_for("rosa@mail.example.org", country="FR")
    assert (again.pk, again.country) == (contact.pk, "ZZ")  # nobody knows which


def test_somebody_must_act(contact: Contact) -> None:
    for nobody in ("", Actor(ActorType.ADMIN)):
        with pytest.raises(ValueError, match="who acts"):
            wagtail_prefs.record(contact, OptOut(), by=nobody)
    assert not Record.objects.filter(contact_ref=contact.pk).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (SetChoice("nws", "email", SUBSCRIBED), "no topic 'nws'; there are: events, news, offers, orders"),
        (SetChoice("news", "fax", SUBSCRIBED), "does not come by 'fax'"),
        (SetChoice("news", "post", SUBSCRIBED), "does not come by 'post'"),
    ],
)
def test_a_typing_error_is_no_choice(contact: Contact, change: SetChoice, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wagtail_prefs.record(contact, change, by="shop", evidence=Evidence("order 1", timezone.now()))


def test_a_no_is_taken_for_whatever_it_names(contact: Contact) -> None:
    saved = wagtail_prefs.record(contact, SetChoice("bygone", "email", UNSUBSCRIBED), by="desk")
    assert saved.state.choices["bygone", "email"] == UNSUBSCRIBED


def test_a_job_may_run_twice_and_not_differently(contact: Contact) -> None:
    weekly = SetFrequency("", "email", "weekly")
    first = wagtail_prefs.record(contact, weekly, by="job", idempotency_key="row 7")
    again = wagtail_prefs.record(contact, weekly, by="job", idempotency_key="row 7")
    assert again.receipt == first.receipt
    with pytest.raises(KeyReused):
        wagtail_prefs.record(contact, SetFrequency("", "email", "daily"), by="job", idempotency_key="row 7")


def test_evidence_from_the_future_shows_nothing(contact: Contact) -> None:
    tomorrow = timezone.now() + timezone.timedelta(days=1)
    with pytest.raises(NotAllowed):
        wagtail_prefs.record(contact, YES, by="shop", evidence=Evidence("order 1", tomorrow))


def test_a_channel_as_a_whole_needs_no_topic_and_a_name_that_is_one(contact: Contact) -> None:
    her = Actor(ActorType.SUBJECT_LINK)
    for value in ("unsubscribed", "subscribed"):
        saved = wagtail_prefs.record(contact, SetChoice("", "sms", value), by=her)
        assert saved.state.choices == {("", "sms"): value}
    with pytest.raises(ValueError, match="no channel 'smoke'"):
        wagtail_prefs.record(contact, SetChoice("", "smoke", "subscribed"), by=her)


def test_evidence_stands_in_one_place(contact: Contact) -> None:
    now = timezone.now()
    with pytest.raises(ValueError, match="evidence"):
        wagtail_prefs.record(
            contact, YES, by="shop", source=Source("form"), evidence=Evidence("order 1", now)
        )
    for missing in ("", "  "):
        with pytest.raises(ValueError, match="reference"):
            Evidence(missing, now)
    with pytest.raises(ValueError, match="time zone"):
        Evidence("order 1", now.replace(tzinfo=None))


def test_the_package_can_be_imported_before_django_is_set_up() -> None:
    code = "import wagtail_prefs; print(wagtail_prefs.__version__, 'record' in dir(wagtail_prefs))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [wagtail_prefs.__version__, "True"]
