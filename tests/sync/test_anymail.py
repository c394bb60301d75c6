"""Bounces and complaints by way of django-anymail: its own webhooks, with what services really send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from anymail import signals
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path

from tests.delivery.people import HERSELF, JOIN, OUT, person, save
from tests.factories import make_audience, make_site, make_topics
from tests.statements import said
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.submissions.services import record
from wagtail_prefs.sync import anymail
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.models import Arrival
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings(
        "ignore::anymail.exceptions.AnymailNotSupportedWarning"
    ),  # it still reads them
]

urlpatterns = [path("anymail/", include("anymail.urls"))]

WORD = "user:a-word"
KEY = "a-signing-key-of-mailgun"
ANNA = "anna@mail.example.org"
Post = Callable[..., Any]


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.sync.test_anymail"
    settings.ANYMAIL = {"WEBHOOK_SECRET": WORD, "MAILGUN_WEBHOOK_SIGNING_KEY": KEY}
    audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
    make_topics(audience)


def post(service: str, event: Any, *, word: str = WORD) -> Any:
    """A webhook of a service, with the password that its address has."""
    return Client(raise_request_exception=True).post(
        f"/anymail/{service}/tracking/",
        json.dumps(event),
        content_type="application/json",
        headers={"Authorization": f"Basic {base64.b64encode(word.encode()).decode()}"},
    )


def postmark(kind: str = "HardBounce", **more: Any) -> Any:
    now = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    event = {
        "RecordType": "Bounce",
        "Type": kind,
        "ID": 4711,
        "Email": ANNA,
        "BouncedAt": now,
        "MessageID": "m-1",
    }
    return post("postmark", {**event, **more})


def mailgun(event: str, *, signed_with: str = KEY, **more: Any) -> Any:
    stamp, token = str(int(time.time())), f"token-{event}-{len(more)}"
    signature = hmac.new(signed_with.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    return post(
        "mailgun",
        {
            "signature": {"timestamp": stamp, "token": token, "signature": signature},
            "event-data": {"event": event, "timestamp": time.time() + 1, "recipient": ANNA, **more},
        },
    )


def is_dead(contact: UUID) -> bool:
    return Contact.objects.get(pk=contact).email_dead_at is not None


def is_out(contact: UUID) -> bool:
    return contacts.load_state(contact).opted_out


def test_a_hard_bounce_marks_the_address_dead_in_every_audience() -> None:
    other = make_audience(make_site("other.example", port=443))
    here, there = person("anna", JOIN), contacts.get_or_create(other.pk, ANNA).pk
    assert postmark().status_code == 200
    assert not is_dead(here)
    row = Arrival.objects.get()
    assert (row.backend, row.state) == ("anymail:postmark", "waiting")
    assert work_off_arrivals() == 1
    row.refresh_from_db()
    assert (row.state, row.code) == ("done", "dead")
    assert is_dead(here)
    assert is_dead(there)
    assert not is_out(here)


def test_a_complaint_is_an_opt_out_by_the_service_too() -> None:
    contact = person("anna", JOIN)
    assert mailgun("complained").status_code == 200
    work_off_arrivals()
    assert is_dead(contact)
    assert is_out(contact)
    body = read_body(Record.objects.latest("at"))
    assert (body["actor"], body["method"]) == ({"type": "backend", "id": "anymail:mailgun"}, "inbound")


def test_whoever_left_at_the_service_left() -> None:
    contact = person("anna", JOIN)
    assert mailgun("unsubscribed").status_code == 200
    work_off_arrivals()
    assert (is_out(contact), is_dead(contact)) == (True, False)


def test_a_repeat_is_known() -> None:
    person("anna")
    postmark()
    postmark()
    assert Arrival.objects.count() == 1
    post(
        "postmark",
        {"RecordType": "Bounce", "Type": "HardBounce", "ID": 4711, "Email": "ben@mail.example.org"},
    )
    assert Arrival.objects.count() == 2


SOFT: list[Post] = [
    lambda: postmark("SoftBounce"),
    lambda: postmark("Transient"),
    lambda: postmark("Blocked"),
    lambda: postmark(RecordType="Delivery"),
    lambda: postmark(RecordType="Open", Recipient=ANNA),
    lambda: postmark(RecordType="SubscriptionChange", Recipient=ANNA, SuppressSending=False),
    lambda: mailgun("failed", severity="temporary", reason="generic"),
    lambda: mailgun("failed", severity="permanent", reason="bounce", **{"delivery-status": {"message": "552 5.2.2 Mailbox full"}}),
    lambda: mailgun("failed", severity="permanent", reason="bounce", **{"delivery-status": {"message": "550 5.7.1 Policy"}}),
    lambda: mailgun("delivered"),
    lambda: post("brevo", {"event": "soft_bounce", "email": ANNA, "ts_epoch": 1790000000000, "id": 1}),
    lambda: post("mailjet", {"event": "bounce", "email": ANNA, "time": 1790000000, "error": "mailbox inactive", "hard_bounce": False}),
    lambda: post("resend", {"type": "email.bounced", "created_at": "2026-11-22T09:00:00Z", "data": {"to": [ANNA], "email_id": "1", "headers": [], "bounce": {"type": "Transient", "message": "sent a general bounce message"}}}),
    lambda: post("sendgrid", [{"event": "bounce", "type": "blocked", "email": ANNA, "timestamp": 1790000000, "sg_event_id": "1"}]),
    lambda: post("sendgrid", [{"event": "dropped", "reason": "Unsubscribed Address", "email": ANNA, "timestamp": 1790000000}]),
    lambda: post("sparkpost", [{"msys": {"message_event": {"type": "bounce", "bounce_class": "22", "raw_rcpt_to": ANNA, "timestamp": "1790000000"}}}]),
    lambda: postmark("AutoResponder"),
]  # fmt: skip
HARD: list[Post] = [
    lambda: postmark("BadEmailAddress"),
    lambda: mailgun("failed", severity="permanent", reason="bounce", **{"delivery-status": {"message": "550 5.1.1 No such user"}}),
    lambda: post("brevo", {"event": "hard_bounce", "email": ANNA, "ts_epoch": 1790000000000, "id": 1}),
    lambda: post("brevo", {"event": "invalid_email", "email": ANNA, "ts_epoch": 1790000009000, "id": 2}),
    lambda: post("mailjet", {"event": "bounce", "email": ANNA, "time": 1790000000, "error": "user unknown", "hard_bounce": True}),
    lambda: post("resend", {"type": "email.bounced", "created_at": "2026-11-22T09:00:00Z", "data": {"to": [ANNA], "email_id": "1", "headers": [], "bounce": {"type": "Permanent", "message": "sent a hard bounce message"}}}),
    lambda: post("sendgrid", [{"event": "bounce", "type": "bounce", "email": ANNA, "timestamp": 1790000000, "sg_event_id": "1"}]),
    lambda: post("sendgrid", [{"event": "dropped", "reason": "Bounced Address", "email": ANNA, "timestamp": 1790000009}]),
    lambda: post("sparkpost", [{"msys": {"message_event": {"type": "bounce", "bounce_class": "10", "raw_rcpt_to": ANNA, "timestamp": "1790000000"}}}]),
]  # fmt: skip


def test_what_may_be_over_tomorrow_does_nothing() -> None:
    contact = person("anna", JOIN)
    for number, send in enumerate(SOFT):
        assert send().status_code == 200
        assert not Arrival.objects.exists(), number
    assert not is_dead(contact)


def test_what_is_for_good_is() -> None:
    contact = person("anna", JOIN)
    for number, send in enumerate(HARD):
        Contact.objects.update(email_dead_at=None)
        assert send().status_code == 200
        assert work_off_arrivals() == 1, number
        assert is_dead(contact), number
    assert not is_out(contact)


@pytest.mark.parametrize(
    ("send", "status"),
    [
        (lambda: mailgun("complained", signed_with="another-key"), 400),
        (lambda: post("postmark", {}, word="user:wrong"), 400),
    ],
)
def test_what_the_service_did_not_say_is_not_heard(send: Post, status: int) -> None:
    contact = person("anna", JOIN)
    assert send().status_code == status
    work_off_arrivals()
    assert not is_dead(contact)


def test_whom_nobody_knows_is_nobody() -> None:
    postmark()
    work_off_arrivals()
    assert Arrival.objects.get().state == "unknown"
    assert not Contact.objects.exists()


def by_link(contact: UUID) -> None:
    record(contact, [JOIN], actor=Actor(ActorType.SUBJECT_LINK), source=Source(method="page"))


def late(kind: str, **more: Any) -> Arrival:
    """An event that was an hour on its way."""
    postmark(kind, BouncedAt=(datetime.now(UTC) - timedelta(hours=1)).isoformat(), **more)
    work_off_arrivals()
    return Arrival.objects.latest("pk")


def test_an_address_that_she_came_by_since_is_alive() -> None:
    contact = person("anna")
    by_link(contact)
    assert (late("HardBounce").code, is_dead(contact)) == ("older", False)
    # what she did signed in shows nothing about her mailbox
    other = person("ben")
    save(other, JOIN)
    late("HardBounce", ID=4712, Email="ben@mail.example.org")
    assert is_dead(other)


def test_a_complaint_from_before_she_came_back_is_over() -> None:
    contact = person("anna", OUT)
    save(contact, JOIN)
    assert HERSELF.type is ActorType.SUBJECT_SESSION
    assert late("SpamComplaint").code == "older"
    assert (is_dead(contact), is_out(contact)) == (False, False)


def test_a_webhook_costs_one_statement_whomever_it_is_about() -> None:
    person("anna", JOIN)
    costs = []
    for address in (ANNA, "nobody@mail.example.org"):
        with CaptureQueriesContext(connection) as asked:
            postmark(Email=address, ID=len(address))
        costs.append(len(said(asked)))
    assert costs == [1, 1]


def test_it_is_connected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    anymail.connect()
    listening = [one for one in signals.tracking.receivers if one[0][0] == "wagtail_prefs.anymail"]
    assert len(listening) == 1


def test_without_anymail_nothing_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anymail.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(anymail.importlib, "import_module", lambda _name: pytest.fail("it was asked for"))
    anymail.connect()


@pytest.mark.parametrize("values", [{"recipient": None}, {"recipient": ""}, {"recipient": 7}])
def test_an_event_about_nobody_says_nothing(values: dict[str, Any]) -> None:
    event = AnymailTrackingEvent(event_type=EventType.BOUNCED, reject_reason=RejectReason.BOUNCED, **values)
    assert anymail.read(event) is None


def test_events_without_an_id_or_a_moment_are_told_apart() -> None:
    def event(**values: Any) -> Any:
        start = {"event_type": "complained", "recipient": ANNA, "message_id": "m-1"}
        return anymail.read(AnymailTrackingEvent(**{**start, **values}))

    naive = datetime(2026, 11, 22, 9)  # noqa: DTZ001 - what a service should not say
    found = [
        event(),
        event(message_id="m-2"),
        event(recipient="ben@mail.example.org"),
        event(event_type="unsubscribed"),
    ]
    assert len({one.event_id for one in found}) == 4
    assert event(timestamp=naive).at is None


@pytest.mark.parametrize(
    ("answer", "soft"),
    [
        ("450 4.2.1 Try later", True),
        ("421 Too many", True),
        ("smtp; 451 Local error", True),
        ("550 5.1.1 Unknown user", False),
        ("550 No such user at 4.2.2.2", False),
        ("host mx [5.7.1.9] said: 550 5.1.1 unknown", False),
        ("554 5.7.1 Blocked", True),
        ("552 5.2.2 Full", True),
        (None, False),
    ],
)
def test_what_a_mail_server_answered(answer: str | None, soft: bool) -> None:
    assert anymail.is_soft(SimpleNamespace(mta_response=answer, esp_event=None)) is soft
