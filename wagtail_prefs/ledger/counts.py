"""How many joined, left and paused, by day: counted from the records, seal by seal, so that a report reads few rows.

The newest records cannot be told by time or id: one that was made first may be committed last. The seals know (`seals`):
each record stands in one of them, and they are numbered without a gap. So what is counted is a seal at a time, with the
mark that says so in the same transaction: whoever is stopped has counted a seal or has not. Counts lag behind by the
time that a seal takes to be made. They hold nothing about anybody, and can be thrown away: `rebuild`.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from ..values import SUBSCRIBED, UNSUBSCRIBED, Json
from .models import CountMark, DayCount, Record, Seal
from .seal1 import RUN
from .seals import runs_of
from .services import batched

logger = logging.getLogger("wagtail_prefs.ledger")

#: Another number here makes every site count anew, by itself: for when `events_of` says something else.
RULES = 1
#: Seals in one look of a worker, so that what else it keeps house with has its turn.
SEALS = 20
#: Runs of one statement; SQLite bounds how deep a condition is nested.
RUNS = 100


class Event(NamedTuple):
    """What one effect of a record is in a report. `topic` and `channel` are "" where it is about all.

    `event` is one of EVENTS, `action` that of the effect (values.ACTIONS): who comes back by an undo, or goes by a
    merge, is told from who joined or left by it.
    """

    topic: str
    channel: str
    event: str
    action: str


#: opt_in, opt_out: a yes began, or ended; again: it was given once more; refusal: a no where there was no yes; request,
#: lapse: a yes began to wait for its confirmation, or waited in vain; left, back: everything at once, and that lifted;
#: pause, longer, resume: a pause began, was given another end, or was ended; frequency: another one was chosen.
EVENTS = (
    "opt_in", "opt_out", "again", "refusal", "request", "lapse", "left", "back", "pause", "longer", "resume", "frequency",
)  # fmt: skip


class Row(NamedTuple):
    """What is counted together: the columns of `DayCount` but for the number."""

    day: date
    audience: str
    topic: str
    channel: str
    event: str
    action: str
    method: str


def events_of(body: Json) -> Iterator[Event]:
    """What the effects of a record are in a report. Profile, notices, addresses and erasures are nothing to count."""
    for effect in body["effects"]:
        kind = effect["path"].partition(":")[0]
        event = _event(kind, effect["before"], effect["after"], effect["action"])
        if event:
            yield Event(effect["purpose_id"], effect["channel"], event, effect["action"])


def _event(kind: str, before: Any, after: Any, action: str) -> str:
    match kind:
        case "choice":
            if after == SUBSCRIBED:
                return "again" if before == SUBSCRIBED else "opt_in"
            if before == SUBSCRIBED:
                return "opt_out"
            return "refusal" if after == UNSUBSCRIBED else ""
        case "pending":
            if after:
                return "" if before else "request"
            return "lapse" if action == "expired" else ""
        case "opted_out":
            if bool(before) == bool(after):
                return ""  # said once more
            return "left" if after else "back"
        case "pause":
            if after is None:
                return "resume"
            return "pause" if before is None else "longer"
        case "frequency":
            return "frequency" if after is not None else ""
    return ""


def count_new(stopping: Callable[[], bool] = lambda: False, *, most: int = SEALS) -> int:
    """Count the seals that are not counted yet, at most so many; returns how many were.

    Two statements of one row each where there is nothing new. Two at once do not count twice.
    """
    counted = 0
    while counted < most and not stopping():
        mark = CountMark.objects.first()
        if mark is None or mark.basis != _basis():
            rebuild()
            continue
        if not Seal.objects.filter(number__gt=mark.seal).exists():
            break
        counted += _count_next()
    return counted


def rebuild() -> None:
    """Throw all counts away, so that the next `count_new` begins at the first seal."""
    with transaction.atomic():
        CountMark.objects.get_or_create(pk=CountMark.ONLY)
        CountMark.objects.select_for_update().get(pk=CountMark.ONLY)
        DayCount.objects.all().delete()
        CountMark.objects.filter(pk=CountMark.ONLY).update(seal=0, at=None, basis=_basis())


class Progress(NamedTuple):
    """How far the counting is: everything of seals up to `counted`, which speak for the time up to `at`, of `seals`."""

    at: datetime | None
    counted: int
    seals: int


def progress() -> Progress:
    """Two statements of one row each."""
    mark = CountMark.objects.first() or CountMark()
    newest = Seal.objects.order_by("-number").values_list("number", flat=True).first() or 0
    return Progress(mark.at, mark.seal, newest)


def _basis() -> str:
    """What the counts rest on: a site that moves to another time zone has other days."""
    return f"{RULES} {timezone.get_default_timezone_name()}"[:64]


def _count_next() -> int:
    """Count one seal, under the lock of the mark; 0 where somebody else has just done it."""
    with transaction.atomic():
        mark = CountMark.objects.select_for_update().get(pk=CountMark.ONLY)
        seal = Seal.objects.filter(number__gt=mark.seal).order_by("number").first()
        if seal is None or mark.basis != _basis():
            return 0
        _add(_fold(_records(seal)))
        CountMark.objects.filter(pk=mark.pk).update(seal=seal.number, at=seal.at)
    return 1


def _records(seal: Seal) -> Iterator[Record]:
    """The records that a seal names and that are still there. One that cannot be read names none; those are sealed
    again, and counted then."""
    for some in batched(runs_of(seal), RUNS):
        wanted = Q()
        for run in some:
            contact, start, _ = RUN.unpack_from(run)
            length = (len(run) - RUN.size) // 32
            wanted |= Q(contact_ref=UUID(bytes=contact), seq__range=(start, start + length - 1))
        yield from Record.objects.filter(wanted).only("audience", "at", "body")


def _fold(records: Iterable[Record]) -> Counter[Row]:
    found: Counter[Row] = Counter()
    for record in records:
        day = timezone.localdate(record.at, timezone.get_default_timezone())
        try:
            body = json.loads(record.body)
            method = _word(body["method"], "method")
            events = list(events_of(body))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            logger.error("record %s is no record: run prefs_verify_ledger", record.pk)  # noqa: TRY400 - no text of it
            continue
        for event in events:
            topic, channel, name, action = (_word(value, key) for key, value in event._asdict().items())
            found[Row(day, _word(record.audience, "audience"), topic, channel, name, action, method)] += 1
    return found


_SIZES = {field.name: getattr(field, "max_length", None) for field in DayCount._meta.concrete_fields}


def _word(value: object, column: str) -> str:
    """A text that every database takes in this column: a record may hold anything, and counting must go on."""
    text = value if isinstance(value, str) else ""
    return text.replace("\0", "").encode(errors="replace").decode()[: _SIZES[column]]


def _add(found: Counter[Row]) -> None:
    """Add to what was counted. Only whoever holds the mark writes here, so reading first is safe."""
    if not found:
        return
    days = {row.day for row in found}
    audiences = {row.audience for row in found}
    for row in DayCount.objects.filter(day__in=days, audience__in=audiences):
        key = Row(*(getattr(row, name) for name in Row._fields))
        if key in found:
            found[key] += row.count
    DayCount.objects.bulk_create(
        [DayCount(**row._asdict(), count=count) for row, count in found.items()],
        update_conflicts=True,
        update_fields=["count"],
        unique_fields=list(Row._fields),
        batch_size=100,  # SQLite bounds the number of parameters
    )
