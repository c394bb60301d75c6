"""Links for many people at once, for the merge fields of a platform that sends (issue 5, s1).

No row is written, and no query is made per person: a link is a MAC over what her row says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from wagtail.log_actions import LogActionRegistry, LogFormatter

from ..contacts.models import Contact, State
from ..topics.models import Audience, Topic
from ..values import UNSUBSCRIBED
from .links import Purpose, make_token, site_root

#: The entry of the audit log about a file of links.
MADE = "wagtail_prefs.links"
#: People that one statement fetches.
BATCH = 2000
_TOKEN = "0-token-0"  # noqa: S105 - stands where one will
#: What a link is made of, and what a platform knows her by.
_COLUMNS = ("id", "audience_id", "link_id", "epoch", "external_id", "email")


@dataclass(frozen=True, slots=True)
class Links:
    """The two links of one person: to her choices, and out - of the topic they were made for, or of everything."""

    contact: UUID
    external_id: str
    email: str
    manage: str
    unsubscribe: str


class Maker:
    """Makes links of one audience to one center, all of one moment.

    With a topic and its channel the unsubscribe link is about that one, without about everything. `host` is the index
    of a host page of the center that the manage link leads to. Whether there is such a center is for the caller to ask.
    """

    def __init__(
        self, audience_id: int, center: UUID, *, topic: str = "", channel: str = "", host: int | None = None
    ) -> None:
        self.audience_id = audience_id
        self._center, self._topic, self._channel, self._host = center, topic, channel, host
        self._issued: datetime = timezone.now()
        root = site_root(audience_id)
        self._manage = root + reverse("wagtail_prefs:manage", args=[_TOKEN])
        self._unsubscribe = root + reverse("wagtail_prefs:one-click", args=[_TOKEN])

    def links(self, contact: Contact) -> Links:
        """Of one person, who must be of this audience."""
        if contact.audience_id != self.audience_id:
            raise ValueError("this person is of another audience")
        manage = make_token(
            Purpose.MANAGE, contact, center=self._center, host=self._host, issued=self._issued
        )
        unsubscribe = make_token(
            Purpose.UNSUBSCRIBE,
            contact,
            center=self._center,
            topic=self._topic,
            channel=self._channel,
            issued=self._issued,
        )
        return Links(
            contact.pk,
            contact.external_id,
            contact.email,
            self._manage.replace(_TOKEN, manage),
            self._unsubscribe.replace(_TOKEN, unsubscribe),
        )

    def of(self, ids: Sequence[UUID]) -> dict[UUID, Links]:
        """Of these people, in one statement; who is unknown, erased or of another audience is left out.

        Whoever was merged gets those of whom she is now.
        """
        columns = [*_COLUMNS, *(f"merged_into__{name}" for name in _COLUMNS)]
        found = (
            Contact.objects.filter(pk__in=ids, audience_id=self.audience_id, erased_at=None)
            .select_related("merged_into")
            .only(*columns)
        )
        return {contact.pk: self.links(contact.merged_into or contact) for contact in found}

    def stream(self, *, after: UUID | None = None, mailable: bool = False) -> Iterator[list[Links]]:
        """Of everybody, in the order of their ids, batch by batch: as much memory for a million as for a thousand.

        `after` goes on behind a person. `mailable` leaves out who opted out of everything, is suppressed, or has an
        address that is dead: for files with addresses, which must not become a list of those (security.md LW-13).
        """
        rows = _people(self.audience_id)
        if mailable:
            out = State.objects.filter(contact=OuterRef("pk"), topic="", channel="", choice=UNSUBSCRIBED)
            rows = rows.filter(~Exists(out), suppressed=False, email_dead_at=None).exclude(email="")
        while True:
            batch = list((rows if after is None else rows.filter(pk__gt=after))[:BATCH])
            if not batch:
                return
            after = batch[-1].pk
            live = [
                contact for contact in batch if contact.merged_into_id is None and contact.erased_at is None
            ]
            if live:
                yield [self.links(contact) for contact in live]


def problem_with(audience: Audience, topic: str, channel: str) -> str:
    """Why no link can be about this topic on this channel, as the name of one of the two; "" where it can.

    Every link that leaves here must really unsubscribe (security.md EM-06), and what is always sent knows no such thing.
    """
    if not topic:
        return "channel" if channel else ""
    found = Topic.objects.filter(audience=audience, key=topic, transactional=False).first()
    if found is None:
        return "topic"
    return "" if channel in found.channels else "channel"


def _people(audience_id: int) -> QuerySet[Contact]:
    """The people of an audience, to be read in the order of their ids.

    The audience stands in a sum, and who was merged or erased is left out afterwards: a database that took its index of
    either would sort all people for each batch.
    """
    people = Contact.objects.annotate(of=F("audience_id") + 0).filter(of=audience_id).order_by("pk")
    return people.only(*_COLUMNS, "merged_into", "erased_at")


def register_actions(actions: LogActionRegistry) -> None:
    """For the hook `register_log_actions`."""

    @actions.register_action(MADE)
    class MadeFormatter(LogFormatter):
        label = gettext_lazy("Make a file of links")

        def format_message(self, log_entry: Any) -> str:
            if log_entry.data.get("with_address"):
                return _("Made a file of links, with addresses")
            return _("Made a file of links")
