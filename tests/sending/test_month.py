"""A month, hour by hour, against a mail server on loopback: each mailbox holds exactly what was promised (`month`)."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMessage

from tests import factories
from tests.mail import smtp
from tests.sending import month
from tests.sending.month import DAYS, HOUR, START, Mailbox, Person
from tests.sending.waiting import press
from wagtail_prefs import send
from wagtail_prefs.changes import Change, OptOut, Pause, Resume, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.mail import sending as own_mail
from wagtail_prefs.mail.server import connection_of_settings
from wagtail_prefs.sending.drain import drain
from wagtail_prefs.sending.pause_notice import announce_ended_pauses
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

HERSELF = Actor(ActorType.SUBJECT_SESSION)


@pytest.mark.django_db(transaction=True)
def test_every_mailbox_holds_exactly_what_was_promised(sink: smtp.Sink, settings: Any) -> None:
    _simulate(month.people(), sink, settings)


@pytest.mark.soak
@pytest.mark.django_db(transaction=True)
def test_every_mailbox_of_many_others(
    sink: smtp.Sink, settings: Any, tell: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    seed = request.config.option.hypothesis_seed
    everybody = month.people(everybody=True)
    tell(f"sending/test_month.py, 200 of {len(everybody)} people, --hypothesis-seed={seed}")
    _simulate(random.Random(seed).sample(everybody, 200), sink, settings)


def _simulate(people: list[Person], sink: smtp.Sink, settings: Any) -> None:
    settings.TIME_ZONE = month.SITE_ZONE
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "QUIET_HOURS": {"email": [f"{moment:%H:%M}" for moment in month.QUIET]},
    }
    boxes = {person.address: Mailbox(person) for person in people}
    found: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    mails = defaultdict(list)
    for mail in month.mails():
        mails[mail.at].append(mail)
    with time_machine.travel(START - HOUR, tick=False) as clock:
        factories.make_topics()
        contacts = {person.address: _contact(person) for person in people}
        for hour in range(24 * DAYS):
            now = START + hour * HOUR
            clock.move_to(now)
            for person in people:
                _act(person, now, contacts[person.address], sink)
            _work()
            for mail in mails[now]:
                with connection_of_settings() as connection:
                    for person in people:
                        _send(mail, person, contacts[person.address], connection)
            for got in sink.got[sum(map(len, found.values())) :]:
                subject = str(got.message["Subject"])
                known = subject.partition(" ")[0] in {"news", "offers", "events", "orders"}
                (address,) = got.recipients
                found[address].append((now, subject if known else "(pause)"))
            for box in boxes.values():
                box.hour(now, mails[now])
    assert sum(len(box.got) for box in boxes.values()) > 10 * len(boxes)
    for address, box in boxes.items():
        missing = [f"{at:%m-%d %H}: {what}" for at, what in box.got if (at, what) not in found[address]]
        too_many = [f"{at:%m-%d %H}: {what}" for at, what in found[address] if (at, what) not in box.got]
        assert (missing, too_many) == ([], []), box.person
        assert found[address] == box.got, box.person


def _contact(person: Person) -> Contact:
    contact: Contact = factories.make_contact(person.address, language="en", timezone=person.zone)
    changes: list[Change] = [SetChoice(topic, "email", SUBSCRIBED) for topic in ("news", "offers", "events")]
    if person.frequency:
        changes.append(SetFrequency(*person.scope, person.frequency))
    _record(contact, *changes)
    return contact


def _act(person: Person, now: datetime, contact: Contact, sink: smtp.Sink) -> None:
    if now == person.paused_at and person.pause:
        _record(contact, Pause(*person.pause[0], person.paused_until))
    if now == person.resumes_at and person.pause:
        _record(contact, Resume(*person.pause[0]))
    if now == person.leaves_at:
        match person.leaves:
            case "one-click":
                press(next(got for got in reversed(sink.got) if _is_news_to(got, person.address)))
            case "channel":
                _record(contact, SetChoice("", "email", UNSUBSCRIBED))
            case "everything":
                _record(contact, OptOut())


def _is_news_to(got: smtp.Got, address: str) -> bool:
    return address in got.recipients and str(got.message["Subject"]).startswith("news")


def _record(contact: Contact, *changes: Change) -> None:
    submissions.record(contact.pk, changes, actor=HERSELF, source=Source(method="python"))


def _work() -> None:
    """What the worker does about mail at every look."""
    announce_ended_pauses()
    own_mail.drain()
    drain()


def _send(mail: month.Mail, person: Person, contact: Contact, connection: Any) -> None:
    message = EmailMessage(mail.subject, "Hello!", "news@brand.example", [person.address])
    send(
        message,
        topic=mail.topic,
        contact=contact,
        message_id=mail.subject,
        expires=mail.expires,
        connection=connection,
    )
