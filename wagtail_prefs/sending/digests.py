"""What waited for the end of a period, as one message: the sender composes it, we say when and for whom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from django.core.mail import EmailMessage

from ..contacts.models import Contact
from ..decisions.services import Decision
from ..errors import PrefsError
from .signals import digest_due

logger = logging.getLogger("wagtail_prefs.sending")


#: "#" and a topic are added to it.
MAX_ID = 135


class NotWanted(PrefsError):
    """Something of a digest is not wanted any more, since it was composed. It is offered again without that."""


@dataclass(frozen=True, slots=True)
class Item:
    """One mail that waited, as its sender gave it away. She wants its topic still."""

    topic: str
    message_id: str
    created_at: datetime
    sender: str
    _message: Callable[[], EmailMessage] = field(repr=False, compare=False)

    @property
    def message(self) -> EmailMessage:
        """The mail, made anew each time: subject, body, alternatives, attachments, headers, as they were."""
        return self._message()


class Sending(Protocol):
    """Sends a digest, or notes that it was sent elsewhere (`message` is None)."""

    def __call__(
        self, message: EmailMessage | None, topic: str, message_id: str, mailto: str
    ) -> Decision: ...


class Digest:
    """All that waited for one contact on one channel, oldest first. Send it once, as one message, or hand it off.

    It is for her alone: topics that others do not know of may be among its items.
    """

    def __init__(self, contact: Contact, channel: str, items: Sequence[Item], sending: Sending) -> None:
        self.contact = contact
        self.channel = channel
        self.items = tuple(items)
        self.topics = tuple(dict.fromkeys(item.topic for item in items))
        self.decision: Decision | None = None
        self.error: Exception | None = None
        self.asked = ""  # as which topic it was sent, or was to be
        self._sending = sending

    def send(self, message: EmailMessage, *, topic: str = "", mailto: str = "") -> Decision:
        """Send one message to the contact for all items, and settle them; returns what `decide` said.

        It takes one place, as `topic` (of its items; else the oldest one's), whose one-click header it gets; of the
        other topics it is noted that they came as well. Anything but `send` leaves the items waiting.

        Raises ValueError for a topic of none of the items, or a message to anybody else; NotWanted where she refused
        one of the topics since it was composed; and what the mail server says: let that pass, the items are tried again.
        """
        return self._once(message, topic, "", mailto)

    def hand_off(self, message_id: str, *, topic: str = "") -> Decision:
        """The same for a digest that goes out by another way - a platform, a push: take its place under this id, now, and
        settle the items. On `send`, send it; on anything else do not: the items wait on.
        """
        if not 0 < len(message_id) <= MAX_ID:
            raise ValueError(
                f"a digest that goes out elsewhere needs an id of its own, of 1 to {MAX_ID} characters"
            )
        return self._once(None, topic, message_id, "")

    @property
    def is_taken(self) -> bool:
        """Whether a receiver has sent it, or tried to."""
        return self.decision is not None or self.error is not None

    def _once(self, message: EmailMessage | None, topic: str, message_id: str, mailto: str) -> Decision:
        if self.is_taken:
            raise RuntimeError("a digest is sent once")
        if topic and topic not in self.topics:
            raise ValueError("a digest goes out as one of the topics of its items")
        self.asked = topic or self.topics[0]
        try:
            self.decision = self._sending(message, self.asked, message_id, mailto)
        except Exception as error:
            self.error = error
            raise
        return self.decision

    def __repr__(self) -> str:
        return f"Digest({self.contact.pk}, {self.channel}, {len(self.items)} items)"


def has_receivers() -> bool:
    """Whether anybody composes digests."""
    return bool(digest_due.has_listeners(Digest))


def offer(digest: Digest) -> str:
    """Offer a digest to whoever composes them. Returns the name of the first error of a receiver, "" for none."""
    first = ""
    for receiver, answer in digest_due.send_robust(Digest, digest=digest):
        if isinstance(answer, Exception):
            name = getattr(receiver, "__qualname__", type(receiver).__name__)
            logger.error("a receiver of digests failed: %s (%s)", name, type(answer).__name__)
            first = first or type(answer).__name__
    return first
