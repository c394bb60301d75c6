"""Sending what waited: one contact after the other, her oldest mail first, over one connection.

Each mail is handed over at most once. What its worker cannot know - it died, or the connection broke, after the text of
the mail had begun - is settled as uncertain, and named; only staff send that again. A mail that fails waits longer and
longer, until it is pointless; a server that is away puts nothing off for good.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import formataddr, getaddresses
from functools import partial
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db import DatabaseError, transaction
from django.utils import timezone

from ..ciphers import Unreadable
from ..contacts.addresses import canonical_email
from ..contacts.models import Contact
from ..decisions import sends, services as decisions
from ..decisions.custom import FAILED
from ..decisions.services import Decision, Verdict
from ..mail import server
from ..mail.sending import delay
from . import dispatch, packing, queue
from .digests import Digest, Item, NotWanted, has_receivers, offer
from .fates import Fate, judged
from .models import Waiting
from .pause_notice import caught_up
from .values import Letter

logger = logging.getLogger("wagtail_prefs.sending")

#: How long all mail is left alone when there is no server, by the process that met it: shorter than the first wait of a
#: mail that failed, so that one at which a server closes each connection does not stand before the others for ever.
AWAY = timedelta(seconds=30)
#: After so many connections that broke one after the other the server counts as away.
BROKEN_IN_A_ROW = 3
#: Looks that may find somebody else taking what is due, before a round ends.
BEATEN = 5
#: How the codes begin that speak of the mail server and of no mail.
SERVER = "server-"

#: The code of a mail that somebody else has sent since it was put off.
SENT_ALREADY = "sent-already"

#: What `decide` answers where a rule of the site is broken.
RULE_FAILED = FAILED.reason

Outcome = Waiting.Outcome


@dataclass(slots=True)
class Tally:
    """What draining came to: mails looked at, sent (in a digest as well), not wanted or pointless by now, put off again,
    failed, and uncertain."""

    claimed: int = 0
    sent: int = 0
    dropped: int = 0
    put_off: int = 0
    failed: int = 0
    uncertain: int = 0

    def __str__(self) -> str:
        told = {
            "sent": self.sent,
            "not wanted or pointless": self.dropped,
            "put off again": self.put_off,
            "failed": self.failed,
            "uncertain": self.uncertain,
        }
        return ", ".join(f"{count} {what}" for what, count in told.items() if count or what == "sent")


def never() -> bool:
    return False


def drain(limit: int | None = None, stopping: Callable[[], bool] = never) -> Tally:
    """Send what is due until nothing is, the server is away, or `limit` mails were looked at (some more of the last
    contact's). `stopping` is asked before each mail. Raises DatabaseError alone: then the mails under way are due again
    when their lease ends.
    """
    return Drain().run(limit, stopping)


class Lost(Exception):
    """A mail must not be handed over by us: its lease was lost, or it was taken back, meanwhile."""


class ServerAway(server.NotHanded):
    """There is no server to hand anything to."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code


class Line:
    """A mail backend for one mail after the other. It opens its connection when the first one is handed over, and lets
    that be noted right before.
    """

    def __init__(self) -> None:
        self._connection: Any = None
        self._note: Callable[[], None] | None = None

    @contextmanager
    def handing(self, note: Callable[[], None]) -> Iterator[Line]:
        """For one mail."""
        self._note = note
        try:
            yield self
        finally:
            self._note = None

    def send_messages(self, messages: Sequence[EmailMessage]) -> int | None:
        """As a mail backend has it; one that took nothing is an error. Raises ServerAway and what `note` raises as well."""
        if self._connection is None:
            connection = server.connection_of_settings()
            try:
                connection.open()
            except Exception as error:
                with suppress(Exception):
                    connection.close()
                raise ServerAway(server.judge(error).code) from error
            self._connection = connection
        if self._note is not None:
            self._note()
        sent: int | None = self._connection.send_messages(messages)
        if sent == 0:
            raise server.NotTaken
        return sent

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # what was taken is taken, however the server says goodbye
                connection.close()


class Drain:
    """What a process knows between its rounds: whether there was a server a moment ago."""

    def __init__(self) -> None:
        self._away_until = 0.0  # of time.monotonic

    def run(self, limit: int | None = None, stopping: Callable[[], bool] = never) -> Tally:
        """One round; see `drain`."""
        if time.monotonic() < self._away_until:
            return Tally()
        found = _Round(stopping)
        try:
            found.run(limit)
        finally:
            found.line.close()
            if found.closed:
                self._away_until = time.monotonic() + AWAY.total_seconds()
        return found.tally


class _Round:
    """The state of one round."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self.stopping = stopping
        self.tally = Tally()
        self.line = Line()
        self.broken = 0
        self.closed = False

    @property
    def is_over(self) -> bool:
        return self.closed or self.stopping()

    def run(self, limit: int | None) -> None:
        if not queue.is_due(timezone.now()):
            return
        # What waited for a pause whose end is to be announced is put off by that, first.
        upto, beaten = caught_up(timezone.now()), 0
        while not self.is_over and (limit is None or self.tally.claimed < limit) and beaten < BEATEN:
            rows = queue.claim(upto)
            if not rows and not queue.is_due(upto):
                break
            beaten = 0 if rows else beaten + 1
            if rows:
                self.tally.claimed += len(rows)
                _Batch(self, rows).run()

    def away(self, code: str) -> None:
        self.closed = True
        logger.warning("waiting mail: no server (%s)", code)


class _Batch:
    """What was taken of one contact. Whatever is left of it when a round ends early is released."""

    def __init__(self, of: _Round, rows: Sequence[Waiting]) -> None:
        self.of = of
        self.left = list(rows)
        self.unreadable: set[UUID] = set()

    def run(self) -> None:
        who = self.left[0].contact
        contact = Contact.objects.filter(pk=who, erased_at=None).first()
        if contact is None:  # erased in just this moment, or deleted by hand
            queue.forget(who)
            return
        if contact.merged_into_id is not None:  # in just this moment as well
            with transaction.atomic():
                queue.hand_over(who, contact.merged_into_id)
            queue.release(self.left, timezone.now())
            return
        self._settle_what_is_over()
        self.contact = contact
        while self.left and not self.of.is_over:
            first = self.left[0]
            if first.kind == Waiting.Kind.DIGEST and has_receivers():
                rows = [row for row in self.left if (row.kind, row.channel) == (first.kind, first.channel)]
                self.left = [row for row in self.left if row not in rows]
                self._digest(rows)
            else:
                self._one(self.left.pop(0))
        queue.release(self.left, timezone.now() + (AWAY if self.of.closed else timedelta(0)))

    def _settle_what_is_over(self) -> None:
        already, now = queue.sent_already(self.left), timezone.now()
        going = []
        for row in self.left:
            if row.handed_at is not None:
                logger.error("waiting mail %s: interrupted while it was sent", row.pk)
                self._settle([row], Outcome.UNCERTAIN, queue.INTERRUPTED)
            elif row.expires_at <= now:
                self._settle([row], Outcome.EXPIRED, "" if row.code == queue.INTERRUPTED else row.code)
            elif row.message_id in already:
                self._settle([row], Outcome.SENT, SENT_ALREADY)
            else:
                going.append(row)
        self.left = going

    # --- one mail -----------------------------------------------------------------------------------------------------

    def _one(self, row: Waiting) -> None:
        try:
            unpacked = packing.unpack(_packed(row), row=row.pk)
        except Waiting.DoesNotExist:  # forgotten meanwhile
            return
        except Unreadable:
            self._settle([row], Outcome.FAILED, "unreadable")
            return
        message = addressed(unpacked.message, self.contact.email)
        letter = self._letter([row], message, row.topic, row.message_id, unpacked.mailto)

        def note() -> None:
            if not queue.hand(row):
                raise Lost

        # Only who died could have left its place to this mail; any other was taken by whoever sent it meanwhile.
        once = row.code != queue.INTERRUPTED
        try:
            with self.of.line.handing(note) as line:
                decision = dispatch.go(letter, line, once=once)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - a mail backend is anybody's code, its settings anybody's typing
            self._failed([row], error)
        else:
            self.of.broken = 0
            if once and decision.reason == dispatch.RECORDED:
                self._settle([row], Outcome.SENT, SENT_ALREADY)
            else:
                self._decided([row], decision)

    def _letter(
        self, rows: Sequence[Waiting], message: EmailMessage, topic: str, message_id: str, mailto: str
    ) -> Letter:
        return Letter(
            message=message,
            contact=self.contact,
            topic=topic,
            message_id=message_id,
            channel=rows[0].channel,
            center=rows[0].center,
            sender=rows[0].sender,
            mailto=mailto,
            expires_at=rows[0].expires_at,
            waited_since=min(row.created_at for row in rows),
        )

    # --- a digest -----------------------------------------------------------------------------------------------------

    def _digest(self, rows: list[Waiting]) -> None:
        rows = self._still_wanted(rows)
        if not rows:
            return
        items, sending = [self._item(row) for row in rows], partial(self._send_digest, rows)
        digest = Digest(self.contact, rows[0].channel, items, sending)
        code = offer(digest)
        if digest.error is not None:
            self._digest_failed(rows, digest.error)
        elif digest.decision is not None:
            if digest.decision.verdict is not Verdict.SEND:
                self._digest_waits(rows, digest.asked, digest.decision)
        elif code:
            if not self._without_unreadable(rows):
                self._try_again(rows, f"receiver-{code}")
        else:  # nobody composed it: the oldest goes alone, and the others are told to wait for the next period
            self.left = rows + self.left
            while rows and not self.of.is_over:
                self._one(rows.pop(0))
                self.left.pop(0)

    def _still_wanted(self, rows: Sequence[Waiting]) -> list[Waiting]:
        """What of a digest may go out now; the others are settled, or wait on."""
        for row in rows:
            if row.code == queue.INTERRUPTED:
                # What its place was taken for goes out as something else, perhaps.
                decisions.give_back(row.message_id, row.contact)
                decisions.give_back(_digest_id(row), row.contact)
                row.code = ""
        found = self._decide(rows, rows[0].channel)
        wanted = [row for row in rows if found[row.topic, row.sender].verdict is Verdict.SEND]
        for row in rows:
            if row not in wanted:
                self._decided([row], found[row.topic, row.sender])
        return wanted

    def _without_unreadable(self, rows: Sequence[Waiting]) -> bool:
        """Give up the mails that nobody can read, and offer the others once more; False where there is no such mail."""
        unreadable = [row for row in rows if row.pk in self.unreadable]
        self._settle(unreadable, Outcome.FAILED, "unreadable")
        if unreadable:
            queue.release([row for row in rows if row not in unreadable], timezone.now())
        return bool(unreadable)

    def _digest_failed(self, rows: Sequence[Waiting], error: Exception) -> None:
        if isinstance(error, DatabaseError):
            raise error
        if rows[0].handed_at is None and not isinstance(error, Lost | NotWanted | ServerAway):
            self._try_again(rows, f"receiver-{type(error).__name__}")  # its composer's mistake
        else:
            self._failed(rows, error)

    def _decide(
        self, rows: Iterable[Waiting], channel: str, but: tuple[str, str] | None = None
    ) -> dict[tuple[str, str], Decision]:
        """By topic and sender, because a rule of the site may look at both."""
        asked = {(row.topic, row.sender) for row in rows} - {but}
        return {
            (topic, sender): decisions.decide(self.contact.pk, topic, channel, sender=sender)
            for topic, sender in sorted(asked)
        }

    def _item(self, row: Waiting) -> Item:
        def message() -> EmailMessage:
            try:
                unpacked = packing.unpack(_packed(row), row=row.pk)
            except Unreadable:
                self.unreadable.add(row.pk)
                raise
            return addressed(unpacked.message, self.contact.email)

        return Item(row.topic, row.message_id, row.created_at, row.sender, message)

    def _send_digest(
        self, rows: Sequence[Waiting], message: EmailMessage | None, topic: str, message_id: str, mailto: str
    ) -> Decision:
        channel, message_id = rows[0].channel, message_id or _digest_id(rows[0])
        found = self._decide(rows, channel, but=(topic, rows[0].sender))
        if any(decision.verdict is Verdict.REFUSE for decision in found.values()):
            raise NotWanted
        further = {other: its for (other, _sender), its in found.items() if other != topic}

        def note() -> None:
            if not queue.hand_all(rows):
                raise Lost

        if message is not None:
            letter = self._letter(rows, message, topic, message_id, mailto)
            with self.of.line.handing(note) as line:
                decision = dispatch.go(letter, line)
        else:
            decision = decisions.decide(
                self.contact.pk, topic, channel, record=message_id, sender=rows[0].sender
            )
            if decision.verdict is Verdict.SEND:
                try:
                    note()
                except Lost:
                    decisions.give_back(message_id, self.contact.pk)
                    raise
        if decision.verdict is Verdict.SEND:
            since = min(row.created_at for row in rows)
            for other, its in further.items():
                place = sends.Place(
                    self.contact.pk.hex, its.reason != "transactional", its.reason, its.record
                )
                sends.write(
                    f"{message_id}#{other}",
                    [place],
                    other,
                    channel,
                    timezone.now(),
                    sender=rows[0].sender,
                    verdict=Verdict.SEND,
                    waited_since=since,
                )
            self._settle(rows, Outcome.IN_DIGEST)
            self.of.tally.sent += len(rows)
        return decision

    def _digest_waits(self, rows: Sequence[Waiting], asked: str, decision: Decision) -> None:
        """Something came in between: what is of the topic that was asked about waits, and the others are asked again."""
        self._decided([row for row in rows if row.topic == asked], decision)
        queue.release([row for row in rows if row.topic != asked], timezone.now())

    # --- what became of it --------------------------------------------------------------------------------------------

    def _decided(self, rows: Sequence[Waiting], decision: Decision) -> None:
        if decision.verdict is Verdict.SEND:
            self._settle(rows, Outcome.SENT)
            self.of.tally.sent += len(rows)
        elif decision.verdict is Verdict.REFUSE and decision.reason == "merged":
            queue.release(rows, timezone.now())
        elif decision.reason == RULE_FAILED:  # it may work again tomorrow; she has not said no
            self._try_again(rows, decision.reason)
        elif decision.verdict is Verdict.REFUSE:
            self._settle(rows, Outcome.REFUSED, decision.reason)
        else:
            self.of.tally.put_off += len(rows)
            for row in rows:
                self._free(row)
                queue.put_off(row, decision)

    def _settle(self, rows: Sequence[Waiting], outcome: str, code: str = "") -> None:
        tally = self.of.tally
        for row in rows:
            if outcome in {Outcome.EXPIRED, Outcome.REFUSED, Outcome.FAILED}:
                self._free(row)
            queue.settle(row, outcome, code)
        match outcome:
            case Outcome.EXPIRED | Outcome.REFUSED:
                tally.dropped += len(rows)
            case Outcome.FAILED:
                tally.failed += len(rows)
            case Outcome.UNCERTAIN:
                tally.uncertain += len(rows)

    def _free(self, row: Waiting) -> None:
        """The place that a worker took which died before it handed the mail, or its digest, over."""
        if row.code == queue.INTERRUPTED:
            decisions.give_back(row.message_id, row.contact)
            decisions.give_back(_digest_id(row), row.contact)

    def _failed(self, rows: Sequence[Waiting], error: Exception) -> None:
        of = self.of
        if isinstance(error, Lost):
            self._lost(rows)
            return
        if isinstance(error, NotWanted):
            queue.release(rows, timezone.now())
            return
        if isinstance(error, ServerAway):
            self._away(rows, timezone.now() + AWAY, error.code)
            return
        fate, code = judged(error, handed=rows[0].handed_at is not None)
        of.broken = of.broken + 1 if fate is Fate.BROKEN else 0
        if fate in {Fate.BROKEN, Fate.AWAY, Fate.UNCERTAIN}:
            of.line.close()
        match fate:
            case Fate.FAILED:
                logger.error("waiting mail %s: given up (%s)", rows[0].pk, code)
                self._settle(rows, Outcome.FAILED, code)
            case Fate.UNCERTAIN:
                logger.error("waiting mail %s: interrupted while it was sent (%s)", rows[0].pk, code)
                self._settle(rows, Outcome.UNCERTAIN, code)
                of.away(code)  # whatever cuts off one mail must not cut off all of them
            case Fate.AWAY:
                self._away(rows, timezone.now() + delay(1), code)
            case _:
                self._try_again(rows, code)
                if of.broken >= BROKEN_IN_A_ROW:
                    of.away(code)

    def _lost(self, rows: Sequence[Waiting]) -> None:
        """Who has taken a mail meanwhile has its place as well; what is not to be sent at all needs none."""
        logger.warning("waiting mail %s: its lease was lost, or it was taken back", rows[0].pk)
        ids = [row.pk for row in rows]
        there = set(Waiting.objects.filter(pk__in=ids, outcome="").values_list("pk", flat=True))
        for row in rows:
            if row.pk not in there:
                decisions.give_back(row.message_id, row.contact)
                decisions.give_back(_digest_id(row), row.contact)
        queue.release(rows, timezone.now())

    def _try_again(self, rows: Sequence[Waiting], code: str) -> None:
        self.of.tally.failed += len(rows)
        for row in rows:
            logger.warning("waiting mail %s: try %d failed (%s)", row.pk, row.attempts + 1, code)
            self._free(row)
            queue.try_again(row, timezone.now() + delay(row.attempts + 1), code)

    def _away(self, rows: Sequence[Waiting], until: datetime, code: str) -> None:
        queue.release(rows, until, f"{SERVER}{code}")
        self.of.away(code)


def _packed(row: Waiting) -> str:
    """Fetched anew each time: a digest of many is not held in memory."""
    return Waiting.objects.values_list("packed", flat=True).get(pk=row.pk)


def _digest_id(row: Waiting) -> str:
    """What the digest is called whose oldest item this is."""
    return f"digest-{row.pk.hex}"


def addressed(message: EmailMessage, address: str) -> EmailMessage:
    """The message, to the address that its reader has now, where she has another by now; her name in it stays.

    What platforms are told for single recipients goes with it. Its words are the sender's.
    """
    old = ""
    for field in ("to", "cc", "bcc"):
        for number, recipient in enumerate(getattr(message, field)):
            (name, found), *_others = getaddresses([recipient]) or [("", "")]
            if found and not _is_same(found, address):
                old = found
                getattr(message, field)[number] = formataddr((name, address)) if name else address
    if not old:
        return message
    shown = message.extra_headers.get("To")
    if shown is not None:
        message.extra_headers = {**message.extra_headers, "To": str(shown).replace(old, address)}
    for attribute in ("merge_data", "merge_metadata", "merge_headers"):
        given = getattr(message, attribute, None)
        if isinstance(given, dict) and old in given:
            setattr(message, attribute, {address if key == old else key: of for key, of in given.items()})
    return message


def _is_same(one: str, other: str) -> bool:
    try:
        return canonical_email(one) == canonical_email(other)
    except ValidationError:
        return one == other
