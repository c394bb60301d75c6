"""Readers and mails: what tests of sending begin with."""

from __future__ import annotations

import re
from typing import Any

from django.core.mail import EmailMessage

from tests import factories
from tests.mail import smtp
from wagtail_prefs.changes import Change, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions.headers import NAMES
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

ROSA = "rosa@mail.example.org"
YES = tuple(SetChoice(topic, "email", SUBSCRIBED) for topic in ("news", "offers", "events"))
NO = SetChoice("news", "email", UNSUBSCRIBED)
WRAPPER = "wagtail_prefs.sending.backend.EmailBackend"


def reader(*changes: Change, email: str = ROSA) -> Contact:
    """Somebody who takes all of it, and then changed her mind like this."""
    contact: Contact = factories.make_contact(email)
    choose(contact, *YES)
    for change in changes:
        choose(contact, change)
    return contact


def choose(contact: Contact, *changes: Change) -> None:
    submissions.record(
        contact.pk, changes, actor=Actor(ActorType.SUBJECT_SESSION), source=Source(method="page")
    )


def mail_to(*recipients: str, kind: type[EmailMessage] = EmailMessage, **more: Any) -> EmailMessage:
    return kind("What is new", "Hello!", "news@brand.example", list(recipients), **more)


def raw(got: smtp.Got, name: str) -> list[str]:
    """The values of a header as they came over the wire, but for their line ends."""
    return [
        re.sub(r"\r?\n", "", value).strip()
        for key, value in got.message.raw_items()
        if key.lower() == name.lower()
    ]


def has_way_out(got: smtp.Got) -> bool:
    return any(raw(got, name) for name in NAMES)


def marks_of(got: smtp.Got) -> list[str]:
    return [name for name in got.header_names if name.lower().startswith("x-prefs")]


def places() -> list[tuple[str, str, str]]:
    return sorted(Send.objects.values_list("message_id", "topic", "verdict"))
