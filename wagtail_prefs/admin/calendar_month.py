"""What the send calendar shows: a month in whole weeks, with what is planned and what was sent on each day. Pure.

A message counts once for each channel that it comes by: that is what somebody gets who gets everything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from ..decisions.rules import Capped
from ..decisions.values import CapFact, Facts, Question
from ..topics.calendar import period_of, slots
from ..values import Per, Planned

#: Who picked a frequency is followed through so many days before the month, so that what waits for its digest is known.
_BEFORE = timedelta(days=100)
_DAY = timedelta(days=1)
_NOON = time(12, tzinfo=UTC)
_ANYBODY = UUID(int=0)

_MONTH: Per = "month"
_WEEK: Per = "week"


@dataclass(frozen=True, slots=True)
class PlannedTopic:
    """A topic with its plan, and the channels that the calendar is about and that it comes by."""

    key: str
    label: str
    planned: Planned
    channels: tuple[str, ...]
    url: str = ""  # of its form, for whoever may change it


@dataclass(frozen=True, slots=True)
class OnDay:
    """So many messages of a topic on one day."""

    topic: PlannedTopic
    number: int


@dataclass(frozen=True, slots=True)
class SomeTime:
    """A message of a topic that comes on some day of these."""

    topic: PlannedTopic
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Sent:
    """How many messages of a topic were sent on a day."""

    label: str
    number: int


@dataclass(slots=True)
class Day:
    """A day of the calendar: `messages` for who gets everything, `gets` for who picked the frequency."""

    day: date
    in_month: bool
    is_today: bool = False
    planned: list[OnDay] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    messages: int = 0
    gets: int = 0
    in_digest: int = 0  # so many waited, and come in the one that she gets
    is_too_much: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.planned or self.sent or self.gets)


@dataclass(slots=True)
class Week:
    """A row: seven days, and what comes on some day of them."""

    days: list[Day]
    some_time: list[SomeTime]

    @property
    def number(self) -> int:
        return self.days[0].day.isocalendar().week

    @property
    def messages(self) -> int:
        return sum(day.messages for day in self.days)

    @property
    def gets(self) -> int:
        return sum(day.gets for day in self.days)


def window(month: date) -> tuple[date, date]:
    """The first and the last day of the weeks that a month is in."""
    first, after = period_of(_MONTH, month)
    return period_of(_WEEK, first)[0], period_of(_WEEK, after - _DAY)[1] - _DAY


def weeks(
    month: date,
    topics: Sequence[PlannedTopic],
    sent: Mapping[tuple[date, str], int],
    labels: Mapping[str, str],
    *,
    today: date,
    most: int,
    frequency: str,
) -> list[Week]:
    """The month's weeks. `sent` is {(day, topic key): number}, `most` the messages of a day that are not too many yet."""
    first, last = window(month)
    begin = first - _BEFORE
    on_day: defaultdict[date, list[OnDay]] = defaultdict(list)
    some_time = []
    for topic in topics:
        found = slots(topic.planned, begin, last)
        for day, number in Counter(slot.first for slot in found if slot.is_dated).items():
            on_day[day].append(OnDay(topic, number))
        some_time += [
            SomeTime(topic, slot.first, slot.last)
            for slot in found
            if not slot.is_dated and slot.last >= first
        ]
    numbers = {day: sum(one.number * len(one.topic.channels) for one in of) for day, of in on_day.items()}
    gets = limited(numbers, frequency, begin, last)
    told = _told(sent, labels)
    rows: list[Week] = []
    for start in _days(first, last, 7):
        days = [
            Day(
                day,
                in_month=day.month == month.month,
                is_today=day == today,
                planned=on_day.get(day, []),
                sent=told.get(day, []),
                messages=numbers.get(day, 0),
                gets=gets[day][0],
                in_digest=gets[day][1],
                is_too_much=numbers.get(day, 0) > most,
            )
            for day in _days(start, start + 6 * _DAY)
        ]
        end = start + 6 * _DAY
        # Each stands once: where it begins, or, if that was earlier, in the first week.
        begins = start if rows else date.min
        rows.append(
            Week(days, [one for one in some_time if begins <= one.first <= end and one.last >= start])
        )
    return rows


def limited(
    numbers: Mapping[date, int], frequency: str, begin: date, last: date
) -> dict[date, tuple[int, int]]:
    """What reaches somebody who picked a frequency for everything: {day: (messages, how many of them wait in a digest)}.

    Asked of the rule that senders ask. What it holds back comes in one digest, as soon as a period begins that has room,
    and takes its place.
    """
    rule, zone = Capped(), "UTC"
    sent: datetime | None = None
    waiting = 0
    found: dict[date, tuple[int, int]] = {}
    for day in _days(begin, last):
        at = datetime.combine(day, _NOON)
        got = digest = 0
        number = numbers.get(day, 0)
        if waiting and not _held(rule, frequency, sent, at, zone):
            got, digest, waiting, sent = 1, waiting, 0, at
        if number and not _held(rule, frequency, sent, at, zone):
            got, number, sent = got + 1, number - 1, at
        waiting += number  # each period has room for one
        found[day] = got, digest
    return found


def _held(rule: Capped, frequency: str, sent: datetime | None, at: datetime, zone: str) -> bool:
    facts = Facts(_ANYBODY, timezone=zone, caps=(CapFact("all", frequency, sent),))
    return rule(facts, Question("", "", at), zone) is not None


def _told(sent: Mapping[tuple[date, str], int], labels: Mapping[str, str]) -> dict[date, list[Sent]]:
    """By day, in the order of the library; what is not in it any more by its key, after it."""
    order = {key: place for place, key in enumerate(labels)}
    found: defaultdict[date, list[Sent]] = defaultdict(list)
    for (day, key), number in sorted(
        sent.items(), key=lambda one: (order.get(one[0][1], len(order)), one[0])
    ):
        found[day].append(Sent(labels.get(key, key), number))
    return dict(found)


def _days(first: date, last: date, step: int = 1) -> Iterable[date]:
    return (first + number * _DAY for number in range(0, (last - first).days + 1, step))
