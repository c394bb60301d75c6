"""What `decide` would say, for our own pages and chores: nobody asks there because something is to be sent, so the report
of what was asked does not count it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from .answers import answers
from .values import Decision


def glance(
    contacts: Sequence[UUID], topic: str, channel: str, *, at: datetime | None = None
) -> list[Decision]:
    """Decisions in the order of the contacts. One statement for every 1,000; see `services.decide`."""
    rulings, records = answers([one.hex for one in contacts], topic, channel, at, counted=False)
    return [
        Decision.of(contact, ruling, behind)
        for contact, ruling, behind in zip(contacts, rulings, records, strict=True)
    ]
