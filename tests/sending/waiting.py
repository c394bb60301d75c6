"""What tests of the queue share: people who pause and leave, and mails that were put off."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.mail import EmailMessage
from django.test import Client

from tests import factories
from tests.mail import smtp
from wagtail_prefs import send
from wagtail_prefs.changes import Change, Pause, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.sending.values import Outcome
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source

#: A Monday.
START = datetime(2026, 3, 16, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HERSELF = Actor(ActorType.SUBJECT_SESSION)


def record(contact: Contact, *changes: Change) -> None:
    submissions.record(contact.pk, changes, actor=HERSELF, source=Source(method="python"))


def person(
    name: str = "anna", *changes: Change, topics: tuple[str, ...] = ("news", "offers"), **fields: Any
) -> Contact:
    """A contact who has subscribed to these topics by e-mail, and made these changes."""
    contact = factories.make_contact(f"{name}@mail.example.org", language="en", **fields)
    record(contact, *(SetChoice(topic, "email", SUBSCRIBED) for topic in topics), *changes)
    return contact


def paused(until: datetime, topic: str = "", channel: str = "") -> Pause:
    return Pause(topic, channel, until)


def weekly(topic: str = "", channel: str = "", frequency: str = "weekly") -> SetFrequency:
    return SetFrequency(topic, channel, frequency)


def give(contact: Contact, topic: str = "news", message_id: str = "", **more: Any) -> Outcome:
    """Send a mail whose subject is its id."""
    message = more.pop("message", None) or EmailMessage(
        message_id or "news", "Hello!", "news@brand.example", [contact.email]
    )
    return send(message, topic, contact=contact, message_id=message_id, **more)


def row(message_id: str) -> Waiting:
    return Waiting.objects.get(message_id=message_id)


def subjects(sink: smtp.Sink) -> list[str]:
    return [str(got.message["Subject"]) for got in sink.got]


def press(got: smtp.Got) -> None:
    """What her mail program does with the header of a mail."""
    (uri,) = re.findall(r"<(http[^>]*)>", str(got.message["List-Unsubscribe"]))
    name, _, value = str(got.message["List-Unsubscribe-Post"]).partition("=")
    assert Client(enforce_csrf_checks=True).post(uri, {name: value}).status_code == 200
