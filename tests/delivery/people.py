"""People who change their minds, through the one way in which state changes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import django

from wagtail_prefs.changes import Change, OptIn, OptOut, SetChoice, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.submissions.services import record
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

#: Whom alarms are mailed to, as this Django wants it.
OPS: list[Any] = ["ops@example.org"] if django.VERSION >= (6,) else [("Ops", "ops@example.org")]

HERSELF = Actor(ActorType.SUBJECT_SESSION)

JOIN = SetChoice("news", "email", SUBSCRIBED)
LEAVE = SetChoice("news", "email", UNSUBSCRIBED)
JOIN_OFFERS = SetChoice("offers", "email", SUBSCRIBED)
WEEKLY = SetFrequency("", "", "weekly")
OUT = OptOut()
BACK = OptIn()


def person(name: str = "anna", *changes: Change) -> UUID:
    """A contact with that name, who has made these changes one after the other."""
    audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
    contact: UUID = contacts.get_or_create(audience.pk, f"{name}@mail.example.org").id
    for change in changes:
        save(contact, change)
    return contact


def save(contact: UUID, *changes: Change) -> int:
    """One submission; returns the contact's version."""
    return record(contact, changes, actor=HERSELF, source=Source(method="python")).version


def row(contact: UUID, backend: str = "crm") -> Delivery:
    return Delivery.objects.get(contact=contact, backend=backend)
