"""The kinds of people there are, and how many of each: one of every kind comes about by the services, SQL copies her."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from tests import factories
from wagtail_prefs.changes import Change, OptOut, Pause, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

CHANNELS = ("email", "sms")
#: Every model's pause ends here; every copy's at a moment of her own after it.
PAUSED_UNTIL = datetime(2090, 1, 1, tzinfo=UTC)

SELF = Actor(ActorType.SUBJECT_SESSION)
#: A save as the element makes it.
ELEMENT = Source(
    method="element",
    form_id="1f0c8a52-6c5e-4d0e-9d0c-6a3f3a1b2c4d",
    form_version=hashlib.sha256(b"a snapshot").hexdigest(),
    language="en",
    source_url="https://shop.example.org/news/",
)
#: A sign-up: the ledger holds commitments to the address and the network, and has their values beside it.
SIGN_UP = replace(
    ELEMENT, ip="203.0.113.77", user_agent_family="Firefox", address_as_entered="ada@mail.example.org"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """`share` in thousandths; `sends` is how many messages each copy has got in the last two months."""

    name: str
    share: int
    make: Callable[[Contact, Sequence[str]], None]
    sends: int = 1


def five(topics: Sequence[str], value: str, channel: str = "email") -> list[Change]:
    """The same choice for all topics."""
    return [SetChoice(topic, channel, value) for topic in topics]


def _yes(contact: Contact, topics: Sequence[str]) -> None:
    _save(contact, [change for channel in CHANNELS for change in five(topics, SUBSCRIBED, channel)])


def _some(contact: Contact, topics: Sequence[str]) -> None:
    """A yes, a no, and three topics she was never asked about."""
    _save(
        contact,
        [SetChoice(topics[0], "email", SUBSCRIBED), SetChoice(topics[1], "email", UNSUBSCRIBED)],
        SIGN_UP,
    )


def _often(contact: Contact, topics: Sequence[str]) -> None:
    """Ten records: she comes back, and changes her mind."""
    _yes(contact, topics)
    for time in range(9):
        _save(contact, five(topics, SUBSCRIBED if time % 2 else UNSUBSCRIBED))


def _leaver(contact: Contact, topics: Sequence[str]) -> None:
    _yes(contact, topics)
    _save(contact, [OptOut()])


def _paused(contact: Contact, topics: Sequence[str]) -> None:
    _yes(contact, topics)
    _save(contact, [Pause("", "", PAUSED_UNTIL)])


def _paused_mail(contact: Contact, topics: Sequence[str]) -> None:
    _yes(contact, topics)
    _save(contact, [Pause("", "email", PAUSED_UNTIL), Pause(topics[2], "", PAUSED_UNTIL)])


def _weekly(contact: Contact, topics: Sequence[str]) -> None:
    _yes(contact, topics)
    _save(contact, [SetFrequency("", "", "weekly")])


def _three_caps(contact: Contact, topics: Sequence[str]) -> None:
    _yes(contact, topics)
    _save(contact, [SetFrequency("", "", "daily"), SetFrequency("", "email", "weekly")])
    _save(contact, [SetFrequency(topic, "", "monthly") for topic in topics])


def _unconfirmed(contact: Contact, topics: Sequence[str]) -> None:
    until = timezone.now() + timedelta(days=7)
    _save(contact, [SetChoice(topic, "email", PENDING, until) for topic in topics], SIGN_UP)


def _told(contact: Contact, topics: Sequence[str]) -> None:
    """Personal values beside the ledger."""
    _yes(contact, topics)
    _save(contact, [SetAttribute("first_name", "Ada"), SetAttribute("interests", ["tea", "chess"])])


def _never(contact: Contact, topics: Sequence[str]) -> None:
    """Imported, and never asked."""


def _dead(contact: Contact, topics: Sequence[str]) -> None:
    _yes(contact, topics)
    Contact.objects.filter(pk=contact.pk).update(email_dead_at=timezone.now())


def _erased(contact: Contact, topics: Sequence[str]) -> None:
    _yes(contact, topics)
    submissions.erase(contact.pk, actor=SELF, source=Source(method="page"))


def _merged(contact: Contact, topics: Sequence[str]) -> None:
    _yes(contact, topics)
    winner = factories.make_contact("winner@mail.example.org")
    submissions.merge_contacts(contact.pk, winner.pk, actor=SELF, source=Source(method="page"))


#: Beside those whose ten choices are all yes, whom the visitors of the HTTP endpoints are drawn from.
PLAIN = 600
KINDS = (
    Kind("some", 80, _some),
    Kind("often", 100, _often),
    Kind("leaver", 50, _leaver, sends=2),
    Kind("paused", 25, _paused),
    Kind("paused_mail", 15, _paused_mail),
    Kind("weekly", 50, _weekly, sends=6),
    Kind("three_caps", 20, _three_caps, sends=6),
    Kind("unconfirmed", 20, _unconfirmed, sends=0),
    Kind("told", 10, _told),
    Kind("never", 10, _never, sends=0),
    Kind("dead", 10, _dead),
    Kind("erased", 5, _erased),
    Kind("merged", 5, _merged),
)


def make(topics: Sequence[str]) -> list[tuple[Contact, int, int]]:
    """One contact of each kind, with its share and the number of its sends."""
    made = []
    for kind in KINDS:
        contact = factories.make_contact(f"{kind.name}@mail.example.org")
        kind.make(contact, topics)
        made.append((contact, kind.share, kind.sends))
    return made


def _save(contact: Contact, changes: Sequence[Change], source: Source = ELEMENT) -> None:
    submissions.record(contact.pk, changes, actor=SELF, source=source)
