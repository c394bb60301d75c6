"""What is sent, and what became of it: frozen values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.core.mail import EmailMessage
from wagtail.models import Site

from ..contacts.models import Contact
from ..decisions.services import Decision


class Status(enum.StrEnum):
    """What became of a mail that was given to `send`."""

    SENT = "sent"
    WAITING = "waiting"  # it goes out by itself, at the end of the pause or the night
    DIGEST = "digest"  # it goes into the next digest, or alone when the period ends
    REFUSED = "refused"
    EXPIRED = "expired"  # it would have had to wait until it is pointless
    REPEATED = "repeated"  # a message of this id went to her before, or is on its way: it does not come twice


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mail.

    `decision` and `contact` are those of its one reader. `decision` is None where nobody was asked about: an always-sent
    mail to somebody we do not know or to several, a message that waits already, one that was pointless before.
    """

    status: Status
    message_id: str
    contact: UUID | None
    decision: Decision | None

    @property
    def sent(self) -> bool:
        return self.status is Status.SENT

    @property
    def taken(self) -> bool:
        """Whether nothing is left to do: it went out, now or before, or does so by itself later."""
        return self.status not in {Status.REFUSED, Status.EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What a mail is about, for the mail backend: `message.prefs = Marks(topic="news")`. See `send` for what each means."""

    topic: str
    message_id: str = ""
    contact: Contact | None = None
    site: Site | None = None
    center: UUID | None = None
    expires: datetime | None = None
    sender: str = "django"
    mailto: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to one contact about one topic, as `send` takes it and the queue keeps it.

    `message_id` names the message for `decide(record=...)`; `expires_at` is from when it is pointless (None: the setting
    WAITING_DAYS says); `waited_since` is when it was put off first.
    """

    message: EmailMessage
    contact: Contact
    topic: str
    message_id: str
    channel: str = "email"
    center: UUID | None = None
    sender: str = ""
    mailto: str = ""
    expires_at: datetime | None = None
    waited_since: datetime | None = None
