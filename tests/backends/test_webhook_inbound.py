"""What the receiver of our webhooks tells us in return."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client, RequestFactory
from standardwebhooks.webhooks import Webhook

from tests.delivery.people import JOIN, JOIN_OFFERS, person
from tests.factories import make_topics
from wagtail_prefs.backends.base import BadInbound
from wagtail_prefs.backends.webhook import WebhookBackend
from wagtail_prefs.changes import GiveReason, OptOut, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.models import Arrival
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import UNSUBSCRIBED, Identifiers, Inbound, InboundEvent

OLD, NEW, FOREIGN = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
WORD = "the-word-of-the-address-22"
ANNA = {"email": "anna@mail.example.org"}


def backend() -> WebhookBackend:
    return WebhookBackend("crm", {"URL": "https://crm.example/hook", "SECRETS": [NEW, OLD]})


def message(
    kind: str, *, secret: str = NEW, ago: int = 0, message_id: str = "msg_1", **data: Any
) -> dict[str, Any]:
    """A request as the library of Standard Webhooks signs it."""
    body = data.pop("body", None)
    if body is None:
        stamp = data.pop("timestamp", "2026-11-22T09:30:00Z")
        body = json.dumps({"type": kind, "timestamp": stamp, "data": data})
    moment = datetime.now(UTC) - timedelta(seconds=ago)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body),
    }
    return {"data": body, "content_type": "application/json", "headers": headers}


def read(kind: str = "contact.unsubscribed", **values: Any) -> list[InboundEvent]:
    return backend().parse_inbound(RequestFactory().post("/", **message(kind, **values)))


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ({}, (OptOut(),)),
        ({"channel": "sms"}, (SetChoice("", "sms", UNSUBSCRIBED),)),
        ({"topic": "news", "channel": "email"}, (SetChoice("news", "email", UNSUBSCRIBED),)),
        ({"reason": "too_much"}, (OptOut(), GiveReason("too_much"))),
        (
            {"reason": "Too many, and \0 wrong \ud800ones"},
            (OptOut(), GiveReason("other", "Too many, and  wrong ones")),
        ),
        ({"reason": "anna@mail.example.org"}, (OptOut(), GiveReason("other", "anna@mail.example.org"))),
        ({"reason": "x" * 5000}, (OptOut(), GiveReason("other", "x" * 1000))),
        ({"reason": " \0"}, (OptOut(),)),
        ({"topic": None, "channel": None}, (OptOut(),)),
    ],
)
@pytest.mark.parametrize("secret", [OLD, NEW])
def test_what_somebody_left_is_read(data: dict[str, Any], changes: tuple[Any, ...], secret: str) -> None:
    (event,) = read(contact=ANNA, secret=secret, **data)
    assert event == InboundEvent(
        "msg_1", Identifiers(email=ANNA["email"]), changes, datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    )


def test_a_bounce_is_dead_for_good_only_and_a_complaint_leaves_too() -> None:
    (bounced,) = read("contact.bounced", contact=ANNA)
    assert (bounced.dead, bounced.changes) == (True, ())
    assert read("contact.bounced", contact=ANNA, permanent=False) == []
    (complained,) = read("contact.complained", contact=ANNA)
    assert (complained.dead, complained.changes) == (True, (OptOut(),))


@pytest.mark.parametrize(
    ("contact", "who"),
    [
        ({"id": "7"}, Identifiers(remote={"crm": "7"})),
        ({"external_id": "c-1", **ANNA}, Identifiers(email=ANNA["email"], external_id="c-1")),
    ],
)
def test_whom_it_is_about(contact: dict[str, str], who: Identifiers) -> None:
    (event,) = read(contact=contact)
    assert event.identifiers == who


@pytest.mark.parametrize(
    "stamp", [None, "", "yesterday", "2026-11-22T09:30:00", 7, "0001-01-01T00:00:00+14:00"]
)
def test_a_moment_that_is_none_is_none(stamp: object) -> None:
    (event,) = read(contact=ANNA, timestamp=stamp)
    assert event.at is None


@pytest.mark.parametrize("kind", ["contact.preferences", "contact.erased", "contact.subscribed", "x", None])
def test_other_types_are_taken_and_ignored(kind: Any) -> None:
    """Our own messages among them, which are signed with the same secret."""
    assert read(kind, contact=ANNA) == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"secret": FOREIGN, "contact": ANNA}, "signature"),
        ({"ago": 301, "contact": ANNA}, "timestamp"),
        ({"ago": -302, "contact": ANNA}, "timestamp"),
        ({"body": "{"}, "no-json"),
        ({"body": "[" * 100_000}, "no-json"),
        ({"body": '{"type": "contact.unsubscribed"}'}, "data"),
        ({"body": '{"type": "contact.unsubscribed", "data": []}'}, "data"),
        ({}, "contact"),
        ({"contact": {}}, "contact"),
        ({"contact": {"email": 7}}, "contact"),
        ({"contact": {"email": "a" * 400}}, "contact"),
        ({"contact": ANNA, "topic": "news"}, "data"),
        ({"contact": ANNA, "channel": "pigeon"}, "data"),
        ({"contact": ANNA, "channel": ["sms"]}, "data"),
        ({"contact": ANNA, "topic": "n" * 65, "channel": "sms"}, "data"),
    ],
)
def test_what_is_not_theirs_or_says_nothing_is_refused(values: dict[str, Any], code: str) -> None:
    with pytest.raises(BadInbound) as refused:
        read(**values)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "spoil",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,ü"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-id": ""},
        {"webhook-id": "msg_2"},
        {"webhook-id": "m" * 256},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "١٢"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": str(int(time.time()) + 7)},
    ],
)
def test_every_header_counts(spoil: dict[str, str]) -> None:
    request = message("contact.unsubscribed", contact=ANNA)
    request["headers"] |= spoil
    with pytest.raises(BadInbound):
        backend().parse_inbound(RequestFactory().post("/", **request))


def test_every_byte_counts() -> None:
    request = message("contact.unsubscribed", contact=ANNA)
    request["data"] += " "
    with pytest.raises(BadInbound, match="signature"):
        backend().parse_inbound(RequestFactory().post("/", **request))


@pytest.mark.django_db
def test_a_receiver_that_is_told_of_people_tells_of_them_too(settings: Any) -> None:
    entry = {
        "BACKEND": "wagtail_prefs.backends.webhook.WebhookBackend",
        "OPTIONS": {"URL": "https://crm.example/hook", "SECRET": NEW},
        "INBOUND_SECRETS": [WORD],
    }
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"crm": entry}}
    audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
    make_topics(audience)
    contact = person("anna", JOIN, JOIN_OFFERS)
    now = datetime.now(UTC).isoformat()
    url = f"/prefs/api/v1/inbound/crm/{WORD}/"
    # by the id that our own messages name her by
    left = message(
        "contact.unsubscribed", contact={"id": str(contact)}, topic="news", channel="email", timestamp=now
    )
    assert Client().post(url, **left).status_code == 204
    assert Client().post(url, **left).status_code == 204
    bounced = message("contact.bounced", contact=ANNA, message_id="msg_2", timestamp=now)
    assert Client().post(url, **bounced).status_code == 204
    assert Client().post(url, **message("contact.bounced", secret=FOREIGN)).status_code == 400
    assert work_off_arrivals() == 2
    assert load_state(contact).choices == {
        ("news", "email"): "unsubscribed",
        ("offers", "email"): "subscribed",
    }
    assert Contact.objects.get(pk=contact).email_dead_at is not None
    assert Arrival.objects.count() == 2


def test_it_says_that_it_signs() -> None:
    assert backend().capabilities.inbound is Inbound.SIGNED
