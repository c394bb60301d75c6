"""Readers with topics, and a short way to give them a state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import time_machine

from tests import factories
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.topics.models import Audience

#: A Wednesday at noon.
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@dataclass
class Readers:
    """Contacts of the default audience, with the topics of the factories."""

    audience: Audience

    def make(self, **fields: Any) -> UUID:
        return Contact.objects.create(audience=self.audience, **fields).pk

    def subscribe(self, contact: UUID | None = None, topic: str = "news", channel: str = "email") -> UUID:
        """A contact who said yes, at version 1."""
        contact = contact or self.make(version=1)
        self.state(contact, topic, channel, choice="subscribed", choice_version=1)
        return contact

    def state(self, contact: UUID, topic: str = "", channel: str = "", **fields: Any) -> None:
        State.objects.update_or_create(contact_id=contact, topic=topic, channel=channel, defaults=fields)


@pytest.fixture
def readers(db: None) -> Iterator[Readers]:
    """On a Wednesday at noon, which lasts as long as the test."""
    audience = factories.make_audience()
    factories.make_topics(audience)
    with time_machine.travel(NOW, tick=False):
        yield Readers(audience)
