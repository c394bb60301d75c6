"""A long pause has ended by itself: a mail says so, and what waited comes a day later, so that she can pause longer first.

Ended pauses are gone through in the order of their ends, in pieces, each in one transaction under the lock of a mark that
says how far it is: each is announced once at most, however many workers there are. Nothing is sent during a pause, and
nobody is told who pauses otherwise still, or gets nothing by e-mail anyway.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from ..access.services import pause_url, site_root
from ..centers.models import PublishedCenter
from ..conf import conf
from ..contacts import services as contacts
from ..contacts.models import Contact, State
from ..decisions import periods
from ..decisions.glance import glance
from ..decisions.values import Decision, Verdict
from ..ledger.models import Record
from ..ledger.services import read_body
from ..mail import services as mail
from ..topics.models import Topic
from ..values import Key, Target
from .models import PauseNoticeMark, Waiting

#: A worker that was away for longer announces no pause that ended before: what came since has told of it.
LATEST = timedelta(days=2)
#: Ends of pauses in one transaction, whose contacts are held until it ends.
BATCH = 100
#: Seconds after which a look ends: the same worker has other chores.
SECONDS = 2.0
#: So often the mark moves on where nothing ends, so that the next look need not walk over what is of no matter.
MOVED = timedelta(hours=1)

#: What a pause must be of for its end to be announced.
_EVERYTHING: Key = ("", "")
_EMAIL: Key = ("", "email")


class _Place(NamedTuple):
    """How far it is: all that ended before `at`, and at that very moment of contacts up to this one (None: of all)."""

    at: datetime
    contact: UUID | None = None


class _End(NamedTuple):
    """The end of a pause: of everything, or of a channel, that a record of this number asked for."""

    contact: UUID
    at: datetime
    channel: str
    version: int


def announce_ended_pauses() -> int:
    """Tell whose pause has ended; returns how many mails were left for the worker. A chore of it.

    Where nothing has ended it costs two statements.
    """
    if conf.pause_notice_from is None:
        return 0
    told, begun = 0, time.monotonic()
    while time.monotonic() - begun < SECONDS:
        now = timezone.now()
        place = _place(now)
        if place is None:
            PauseNoticeMark.objects.bulk_create(
                [PauseNoticeMark(pk=PauseNoticeMark.ONLY, at=now)], ignore_conflicts=True
            )
            break
        if not _ended(place, now).exists():
            if place.at < now - MOVED:
                _move_on(now)
            break
        told += _announce()
    return told


def caught_up(now: datetime) -> datetime:
    """Up to when what waits may go out: before the end of the first pause that was not gone through yet."""
    if conf.pause_notice_from is None:
        return now
    place = _place(now)
    if place is None:
        return now
    first = _ended(place, now).order_by("paused_until").values_list("paused_until", flat=True).first()
    return now if first is None else first - timedelta(microseconds=1)


def _place(now: datetime) -> _Place | None:
    """How far it is, None at the very first look: what has ended before somebody looked is nobody's news."""
    mark = PauseNoticeMark.objects.filter(pk=PauseNoticeMark.ONLY).values_list("at", "contact").first()
    return max(_Place(*mark), _Place(now - LATEST), key=lambda place: place.at) if mark else None


def _ended(place: _Place, now: datetime) -> QuerySet[State]:
    """Pauses of everything or of e-mail that ended after that place."""
    after = Q(paused_until__gt=place.at)
    if place.contact is not None:
        after |= Q(paused_until=place.at, contact__gt=place.contact)
    return State.objects.filter(
        after, topic="", channel__in=["", "email"], paused_until__gte=place.at, paused_until__lte=now
    )


def _move_on(now: datetime) -> None:
    # Where somebody has just found something, it is where he says.
    before = PauseNoticeMark.objects.filter(pk=PauseNoticeMark.ONLY, at__lt=now - MOVED)
    before.update(at=now - MOVED / 2, contact=None)


def _announce() -> int:
    """The next piece."""
    with transaction.atomic():
        # As the first statement an UPDATE: it takes the lock in SQLite as well, where reading first might be too late.
        mark = PauseNoticeMark.objects.filter(pk=PauseNoticeMark.ONLY)
        mark.update(at=F("at"))
        now = timezone.now()
        place = _place(now)
        if place is None:
            return 0
        rows = _ended(place, now).order_by("paused_until", "contact_id", "channel")
        found = [
            _End(contact, at, channel, version)
            for contact, at, channel, version in rows.values_list(
                "contact_id", "paused_until", "channel", "pause_version"
            )[:BATCH]
            if at is not None
        ]
        told = _tell(found, now)
        last = found[-1] if len(found) == BATCH else None
        mark.update(at=last.at if last else now, contact=last.contact if last else None)
    return told


def _tell(ends: Iterable[_End], now: datetime) -> int:
    """Post the mails about these ends, and put off what waits. Of two pauses of one contact the wider one is meant."""
    by_contact: dict[UUID, _End] = {}
    for end in ends:
        by_contact.setdefault(end.contact, end)
    reached = _reached(by_contact)
    targets = contacts.load_targets(reached, now)
    over = {
        contact: end
        for contact, end in by_contact.items()
        if contact in targets and not targets[contact].paused & {_EVERYTHING, _EMAIL}
    }
    records = _records(over.values())
    long = [
        contact for contact, end in over.items() if end in records and _is_long(end, records[end], targets)
    ]
    getting = _getting(reached[contact] for contact in long)
    center_of = _centers(records[over[contact]] for contact in getting)
    root = cache(site_root)
    for contact in getting:
        end, held = over[contact], reached[contact]
        center = center_of(records[end], held.audience_id)
        mail.post(
            "pause_ended",
            to=held.email,
            audience_id=held.audience_id,
            locale=held.language or settings.LANGUAGE_CODE,
            context={"url": pause_url(held, end.channel, center, root=root(held.audience_id))},
            contact=contact,
        )
    _put_off(getting, now)
    return len(getting)


def _reached(ids: Collection[UUID]) -> dict[UUID, Contact]:
    """Whom mail can reach, locked in the order of ids: who leaves or is erased in just this moment waits for us."""
    living = Contact.objects.filter(pk__in=ids, merged_into=None, erased_at=None, email_dead_at=None)
    held = living.exclude(email="").select_for_update(no_key=True).order_by("pk")
    return {contact.pk: contact for contact in held}


def _records(ends: Collection[_End]) -> dict[_End, Record]:
    """The record that each pause comes from."""
    found = Record.objects.filter(
        contact_ref__in=[end.contact for end in ends], seq__in={end.version for end in ends}
    )
    by_place = {(record.contact_ref, record.seq): record for record in found}
    return {end: by_place[end.contact, end.version] for end in ends if (end.contact, end.version) in by_place}


def _is_long(end: _End, record: Record, targets: Mapping[UUID, Target]) -> bool:
    """Whether a pause was long enough to be forgotten, in days of her calendar."""
    least = conf.pause_notice_from
    zone = periods.zone(targets[end.contact].state.timezone, settings.TIME_ZONE)
    return least is not None and _day(end.at, zone) - _day(record.at, zone) >= least


def _day(moment: datetime, zone: ZoneInfo) -> datetime:
    return datetime.combine(moment.astimezone(zone).date(), datetime.min.time())


def _getting(people: Iterable[Contact]) -> list[UUID]:
    """Who still gets something by e-mail: senders would be told to send it now, or soon, of one topic at least."""
    by_audience: dict[int, list[UUID]] = {}
    for contact in people:
        by_audience.setdefault(contact.audience_id, []).append(contact.pk)
    found: list[UUID] = []
    for audience, asked in by_audience.items():
        left = asked
        topics = Topic.objects.filter(audience_id=audience, archived=False, transactional=False)
        for topic in topics.order_by("sort_order", "key"):
            if left and "email" in topic.channels:
                gets = {decision.contact for decision in glance(left, topic.key, "email") if _comes(decision)}
                found += [contact for contact in left if contact in gets]
                left = [contact for contact in left if contact not in gets]
    return found


def _comes(decision: Decision) -> bool:
    return decision.verdict is not Verdict.REFUSE and decision.reason != "paused"


def _centers(records: Iterable[Record]) -> _Centers:
    return _Centers([_form(record) for record in records])


class _Centers:
    """The page where a pause was asked for, if it is still there; else the only one that the audience has."""

    def __init__(self, forms: Sequence[str | None]) -> None:
        self._of: dict[int, list[UUID]] = {}
        if forms:
            for audience, center in PublishedCenter.objects.values_list("audience_id", "center").distinct():
                self._of.setdefault(audience, []).append(center)

    def __call__(self, record: Record, audience: int) -> UUID | None:
        there = self._of.get(audience, [])
        used = [center for center in there if str(center) == _form(record)]
        return next(iter(used or (there if len(there) == 1 else ())), None)


def _form(record: Record) -> str | None:
    form: str | None = read_body(record).get("form_id")
    return form


def _put_off(people: Collection[UUID], now: datetime) -> None:
    """What waits for them comes later, but what would be pointless by then."""
    later = now + conf.pause_notice_lead
    held = Waiting.objects.filter(contact__in=people, outcome="", lease="", due_at__lt=later)
    held.filter(expires_at__gt=later).update(due_at=later)
