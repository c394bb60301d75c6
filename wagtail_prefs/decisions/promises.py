"""Whether answers were kept: what was asked, and what was sent against it, by topic, channel and sender.

What was asked is counted by `counting`. What was sent stands in the rows of `Send`, each judged for its moment; a report
cannot read a million of them a day, so a worker adds them up, day by day. A day is counted again as a whole for as long as
rows come or go in it, and the last two days always: whoever is stopped in between has counted a day or has not, and
nothing is counted twice. What is given back after these two days stays counted, and so does what was sent to people who are
erased since: the counts hold nothing about anybody.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from ..backends.hiding import without_addresses
from ..conf import conf
from ..contacts.models import Contact
from ..topics.models import Audience, Topic
from .counting import Event, Row, cut
from .models import DecisionCount, Send, SendCountMark
from .values import Verdict

logger = logging.getLogger("wagtail_prefs.alarm")

#: Events that are counted from rows of `Send`.
OF_SENDS = (
    Event.SENT, Event.SENT_DEFER, Event.SENT_DIGEST, Event.SENT_REFUSE, Event.SENT_UNJUDGED, Event.LATE,
)  # fmt: skip
#: A worker counts so seldom that it spends one part in so many of its time with it, and each minute at most.
LOAD, SECONDS = 50, 60.0
#: Seconds after which a look ends: the same worker has other chores.
LOOK = 20.0
#: Days that are counted again at every look.
OPEN_DAYS = 2

_SENT = {"": Event.SENT_UNJUDGED, Verdict.SEND: Event.SENT} | {
    verdict: Event(f"sent_{verdict}") for verdict in Verdict if verdict is not Verdict.SEND
}


# --- the numbers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Period:
    """What a report is about: the days of UTC from one to another, both included; "" is all."""

    audience: Audience
    since: date
    until: date
    topic: str = ""
    channel: str = ""
    sender: str = ""


@dataclass(slots=True)
class Sums:
    """Numbers of one period, topic, channel or sender. `waits`: told to wait, or to put it into a digest; `broken`: sent
    against a no; `early`: sent against a wait; `late`: sent after it had waited, which is as it should be.
    """

    yes: int = 0
    waits: int = 0
    no: int = 0
    sent: int = 0
    broken: int = 0
    early: int = 0
    late: int = 0

    @property
    def asked(self) -> int:
        return self.yes + self.waits + self.no

    @property
    def against(self) -> int:
        """What was sent against an answer, or against what the answer would have been."""
        return self.broken + self.early

    @property
    def obeyed(self) -> int:
        """Answers that nothing is known to have gone against. Rather too few: what was sent without asking, and should
        not have been, is held against the answers too.
        """
        return max(self.asked - self.against, 0)

    @property
    def is_empty(self) -> bool:
        return not (self.asked or self.sent or self.late)

    def add(self, event: str, number: int) -> None:
        match event:
            case Event.ASKED_SEND:
                self.yes += number
            case Event.ASKED_DEFER | Event.ASKED_DIGEST:
                self.waits += number
            case Event.ASKED_REFUSE:
                self.no += number
            case Event.SENT | Event.SENT_UNJUDGED:
                self.sent += number
            case Event.SENT_REFUSE:
                self.sent += number
                self.broken += number
            case Event.SENT_DEFER | Event.SENT_DIGEST:
                self.sent += number
                self.early += number
            case Event.LATE:
                self.late += number


def counted(about: Period) -> QuerySet[DecisionCount]:
    """The counts that a report is about."""
    given = {name: getattr(about, name) for name in ("topic", "channel", "sender")}
    return of_audience(about.audience).filter(
        day__range=(about.since, about.until), **{name: value for name, value in given.items() if value}
    )


def of_audience(audience: Audience) -> QuerySet[DecisionCount]:
    """Its counts, and of those for which no audience was named what can only be its own. One statement by itself."""
    others = Audience.objects.exclude(pk=audience.pk)
    nameless = Q(audience_id=0)
    if others.exists():
        shared = Topic.objects.filter(audience__in=others).values("key")
        own = Topic.objects.filter(audience=audience).exclude(key__in=shared)
        nameless &= Q(topic__in=own.values("key"))
    return DecisionCount.objects.filter(Q(audience_id=audience.pk) | nameless)


def broken_sends(about: Period) -> QuerySet[Send]:
    """The sends that went against an answer, the newest first; by UTC's days. An index of its own has only these."""
    begin, end = moments(about.since, about.until)
    given = {name: getattr(about, name) for name in ("topic", "channel", "sender")}
    return (
        Send.objects.exclude(verdict__in=[Verdict.SEND, ""])
        .filter(
            at__gte=begin,
            at__lt=end,
            contact__in=Contact.objects.filter(audience=about.audience).values("pk"),
            **{name: value for name, value in given.items() if value},
        )
        .order_by("-at", "-pk")
    )


def moments(since: date, until: date) -> tuple[datetime, datetime]:
    """The beginning of the first day, and the end of the last."""
    begin, last = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (since, until))
    return begin, last + min(timedelta(days=1), datetime.max.replace(tzinfo=UTC) - last)


def counted_until() -> datetime | None:
    """Since when no sends were counted; None where they never were. One statement of one row."""
    return SendCountMark.objects.values_list("at", flat=True).first()


def broken_lately(since: date) -> dict[tuple[date, str], Counter[str]]:
    """{(day, sender): {reason: how many were sent against a no}} since that day. One statement."""
    found: defaultdict[tuple[date, str], Counter[str]] = defaultdict(Counter)
    rows = DecisionCount.objects.filter(day__gte=since, event=Event.SENT_REFUSE).order_by("day", "sender")
    for day, sender, reason, count in rows.values_list("day", "sender", "reason", "count"):
        found[day, sender][reason] += count
    return dict(found)


# --- counting sends ----------------------------------------------------------------------------------------------------

_next_look = 0.0
#: Days that are to be counted yet; the newest row when they were listed, and when that was.
_left: list[date] = []
_newest, _listed_at = 0, datetime.min.replace(tzinfo=UTC)
#: The newest row of the look before.
_behind: int | None = None


def count_now_and_then() -> int:
    """For a worker, at every look: count sends where it is time to, and ring. Returns how many days were counted."""
    global _next_look  # noqa: PLW0603 - of this worker
    begun = time.monotonic()
    if begun < _next_look:
        return 0
    counted_days = count_sends(most_seconds=LOOK)
    took = time.monotonic() - begun
    _next_look = 0.0 if _left else begun + max(SECONDS, LOAD * took)
    watch_promises()
    return counted_days


def count_sends(*, most_seconds: float = float("inf")) -> int:
    """Count the sends of all days in which they may have changed; returns how many days these were.

    A look that has no more time goes on at the next one. Two at once do the work twice, and count nothing twice.
    """
    global _newest, _listed_at, _behind  # noqa: PLW0603 - of this worker
    ends = time.monotonic() + most_seconds
    if not _left:
        mark = SendCountMark.objects.get_or_create(pk=SendCountMark.ONLY)[0]
        _listed_at = timezone.now()
        _newest = Send.objects.aggregate(newest=Max("pk"))["newest"] or 0
        _left.extend(_changed(mark))
    done = 0
    while _left and (not done or time.monotonic() < ends):
        _count_day(_left[0])
        del _left[0]
        done += 1
    if not _left:
        # One look behind: a row may be committed after others that were made later.
        moved = {} if _behind is None else {"send": _behind}
        SendCountMark.objects.filter(pk=SendCountMark.ONLY).update(at=_listed_at, **moved)
        _behind = _newest
    return done


def _changed(mark: SendCountMark) -> list[date]:
    """Oldest first."""
    today = datetime.now(UTC).date()
    days = {today - timedelta(days=ago) for ago in range(OPEN_DAYS)}
    if _newest != mark.send:
        rows = Send.objects.filter(pk__gt=mark.send, at__gte=_whole_since()).order_by()
        days |= set(rows.values_list(TruncDate("at", tzinfo=UTC), flat=True).distinct())
    return sorted(days)


def _whole_since() -> datetime:
    """From when on no row was forgotten: an older day would be counted anew from what is left of it."""
    days = conf.retention["sends_days"]
    return datetime.min.replace(tzinfo=UTC) if days is None else datetime.now(UTC) - timedelta(days=days - 1)


def _count_day(day: date) -> None:
    """As a whole, under the lock of the mark."""
    with transaction.atomic():
        SendCountMark.objects.select_for_update().filter(pk=SendCountMark.ONLY).first()
        found = Counter[Row]()
        for row, count in _sends_of(day):
            found[row] += count
        DecisionCount.objects.filter(day=day, event__in=OF_SENDS).delete()
        DecisionCount.objects.bulk_create(
            [DecisionCount(**row._asdict(), count=count) for row, count in sorted(found.items())],
            batch_size=100,
        )


def _sends_of(day: date) -> Iterator[tuple[Row, int]]:
    sends, contacts = (connection.ops.quote_name(model._meta.db_table) for model in (Send, Contact))
    begin, end = map(connection.ops.adapt_datetimefield_value, moments(day, day))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(contact.audience_id, 0), send.topic, send.channel, send.sender, send.verdict, send.reason,"  # noqa: S608 - names
            f" send.waited_since IS NOT NULL, count(*) FROM {sends} AS send"
            f" LEFT JOIN {contacts} AS contact ON contact.id = send.contact"
            " WHERE send.at >= %s AND send.at < %s GROUP BY 1, 2, 3, 4, 5, 6, 7",
            [begin, end],
        )
        rows: list[Any] = cursor.fetchall()
    for audience, topic, channel, sender, verdict, reason, waited, count in rows:
        row = Row(day, audience, topic, channel, sender, _SENT.get(verdict, Event.SENT_UNJUDGED), reason)
        yield row, count
        if waited:
            yield row._replace(event=Event.LATE, reason=""), count


# --- the alarm ---------------------------------------------------------------------------------------------------------

_told: set[tuple[date, str]] = set()


def watch_promises() -> int:
    """Ring where something was sent against a no yesterday or today; returns how many alarms rang: once a day for each
    sender. One statement.
    """
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    _told.intersection_update([key for key in _told if key[0] >= yesterday])
    rang = 0
    for (day, sender), reasons in broken_lately(yesterday).items():
        if (day, sender) in _told:
            continue
        _told.add((day, sender))
        rang += 1
        why = ", ".join(f"{_word(reason)} {count}" for reason, count in reasons.most_common(5))
        logger.error(
            "alarm promises: %s messages of sender %s were sent against a no on %s (%s)",
            reasons.total(),
            _word(sender),
            day,
            why,
        )
    return rang


def _word(text: str) -> str:
    """A name or a code of somebody's, for a log."""
    return without_addresses(cut(text)) or "(none)"


def forget_process() -> None:
    """Begin anew, for tests."""
    global _next_look, _behind
    _next_look, _behind = 0.0, None
    _left.clear()
    _told.clear()
