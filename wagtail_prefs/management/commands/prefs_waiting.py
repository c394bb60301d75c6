"""What waits to be sent: mails that were put off, and items of digests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Case, CharField, Count, F, Min, Value, When
from django.utils import timezone

from ...contacts.models import Contact
from ...sending.drain import drain
from ...sending.models import Waiting
from ...sending.pause_notice import announce_ended_pauses

#: Rows that are fetched at once.
PIECE = 1_000


class Command(BaseCommand):
    """Tells counts; or for whom a digest is due, and of what; or sends what is due."""

    help = (
        "Tells how many mails wait, by kind, topic and when they are looked at next. --digests tells for whom a digest "
        "is to be composed, when and of which messages: for whoever composes them elsewhere. --send sends what is due "
        "once; the worker (prefs_deliver) does so by itself. No address is printed: contacts are named by their ids."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--digests", action="store_true", help="Tell each digest that is to be composed.")
        what.add_argument("--send", action="store_true", help="Send what is due, then end.")
        parser.add_argument("--due", action="store_true", help="With --digests: only those that are due now.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.json: bool = options["json"]
        if options["send"]:
            announce_ended_pauses()
            tally = drain()
            self._say({"event": "sent", **asdict(tally)}, f"{tally}")
        elif options["digests"]:
            for digest in digests(timezone.now() if options["due"] else None):
                items = ", ".join(f"{item['topic']} {item['message_id']}" for item in digest["items"])
                who = digest["external_id"] or digest["contact"]
                self._say(digest, f"{who} {digest['channel']}, {digest['due_at']}: {items}")
        else:
            for count in counts(timezone.now()):
                self._say(
                    count,
                    f"{count['count']} {count['kind']} {count['topic']} ({count['channel']}), {count['due']}, "
                    f"the oldest since {count['since']}",
                )

    def _say(self, data: dict[str, Any], text: str) -> None:
        self.stdout.write(json.dumps(data) if self.json else text)


def counts(now: datetime) -> Iterator[dict[str, Any]]:
    """How many mails wait, by kind, topic, channel and when they are due. One statement."""
    due = Case(
        When(due_at__lte=now, then=Value("now")),
        When(due_at__lte=now + timedelta(days=1), then=Value("within a day")),
        When(due_at__lte=now + timedelta(days=7), then=Value("within a week")),
        default=Value("later"),
        output_field=CharField(),
    )
    rows = Waiting.objects.filter(outcome="").annotate(due=due).values("kind", "topic", "channel", "due")
    found = rows.annotate(count=Count("pk"), since=Min("created_at")).order_by(
        "kind", "topic", "channel", "due"
    )
    for row in found:
        yield {**row, "since": row["since"].isoformat()}


def digests(upto: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Each digest that is to be composed, with its items, oldest first; `upto`: only what is due then.

    What is not wanted any more when it is due is left out then: these are for looking ahead. A statement for every 1,000
    contacts, and one.
    """
    rows = Waiting.objects.filter(outcome="", kind=Waiting.Kind.DIGEST)
    if upto is not None:
        rows = rows.filter(due_at__lte=upto)
    items = (
        rows.order_by("contact", "channel", "due_at", "created_at", "pk")
        .values("contact", "channel", "due_at", "topic", "message_id", "created_at", "sender")
        .iterator(PIECE)
    )
    found = (
        (key, list(group))
        for key, group in groupby(items, key=lambda row: (row["contact"], row["channel"], row["due_at"]))
    )
    for piece in _pieces(found):
        names = dict(
            Contact.objects.filter(pk__in={key[0] for key, _items in piece}).values_list(
                "pk", F("external_id")
            )
        )
        for (contact, channel, due_at), group in piece:
            yield {
                "contact": str(contact),
                "external_id": names.get(contact, ""),
                "channel": channel,
                "due_at": due_at.isoformat(),
                "items": [
                    {
                        "topic": row["topic"],
                        "message_id": row["message_id"],
                        "since": row["created_at"].isoformat(),
                        "sender": row["sender"],
                    }
                    for row in group
                ],
            }


def _pieces(found: Iterator[Any]) -> Iterator[list[Any]]:
    piece: list[Any] = []
    for one in found:
        piece.append(one)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece
