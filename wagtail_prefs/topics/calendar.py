"""On which days the planned messages of a topic come. Pure: days as a calendar has them, no clock, no time zone.

What is planned in each week, month, quarter or year is counted in periods that begin when people say that they do: weeks
on Monday, quarters in January, April, July and October. So nothing drifts over the years, and no clock that is put back
adds a message. Each message has its day, or, where no days are planned, the days in which it comes some time: the period
in as many equal parts as there are messages.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from ..values import SEND_DAYS, Per, Planned, SendDays

#: Years that can be asked about: of all of them, periods begin and end within Python's dates.
YEARS = range(1900, 9990)

#: The week of a month that stands for its last, and the date from which on one may be the last day of a month.
LAST_WEEK, MAY_BE_LAST = 5, 28
_DAY = timedelta(days=1)
_MONTHS: Mapping[Per, int] = {"month": 1, "quarter": 3, "year": 12}

#: Why days do not go with what is planned: weekdays or their weeks are missing; there is more than weekdays of a week, or
#: months of a month; weekdays and dates at once; two that are one day in some months; quarters that are not alike; another
#: number of days than of messages.
Problem = Literal[
    "missing", "not_of_a_week", "not_of_a_month", "weeks_or_dates", "same_day", "uneven", "number"
]


class Slot(NamedTuple):
    """One planned message: it comes on some day from `first` to `last`, which are one where its day is planned."""

    first: date
    last: date

    @property
    def is_dated(self) -> bool:
        return self.first == self.last


def read(number: int, per: Per, data: Any) -> Planned:
    """A plan of so many in each period with its days as they are stored; without them where they do not go with it.

    An editor is told of that when she saves. What Python wrote, or what an earlier number left behind, is no plan.
    """
    planned = Planned(number, per, days_of(data))
    return planned if has_days(planned) else Planned(number, per)


def days_of(data: Any) -> SendDays | None:
    """Days as they are stored, whatever is planned; None for anything else."""
    if not isinstance(data, Mapping) or not data.keys() <= SEND_DAYS.keys():
        return None
    for name, numbers in data.items():
        if not isinstance(numbers, list) or not all(
            type(number) is int and 1 <= number <= SEND_DAYS[name] for number in numbers
        ):
            return None
    on = SendDays(**{name: tuple(sorted(set(numbers))) for name, numbers in data.items()})
    return None if on == SendDays() else on


def problem(planned: Planned) -> Problem | None:
    """Why the days cannot be those of the plan; None where they can, or there are none."""
    on = planned.on
    if on is None or on == SendDays():
        return None
    if planned.per == "week":
        if on.weeks or on.dates or on.months:
            return "not_of_a_week"
        return None if len(on.weekdays) == planned.number else "number"
    if on.months and planned.per == "month":
        return "not_of_a_month"
    if on.dates and (on.weekdays or on.weeks):
        return "weeks_or_dates"
    if not on.dates and not (on.weekdays and on.weeks):
        return "missing"
    if {LAST_WEEK, LAST_WEEK - 1} <= set(on.weeks) or sum(day >= MAY_BE_LAST for day in on.dates) > 1:
        return "same_day"
    in_month = len(on.dates) or len(on.weekdays) * len(on.weeks)
    months = set(_months_of_each(planned))
    if len(months) > 1:
        return "uneven"
    return None if in_month * months.pop() == planned.number else "number"


def has_days(planned: Planned) -> bool:
    """Whether it is known on which days its messages come."""
    return planned.on not in {None, SendDays()} and problem(planned) is None


def days_planned(planned: Planned) -> int:
    """How many days there are in the fullest period: what an editor is told where the number is another."""
    on = planned.on or SendDays()
    if planned.per == "week":
        return len(on.weekdays)
    return (len(on.dates) or len(on.weekdays) * len(on.weeks)) * max(_months_of_each(planned))


def slots(planned: Planned, first: date, last: date) -> list[Slot]:
    """The messages that may come on one of these days, in order. ValueError for a year out of reach."""
    _check(first)
    _check(last)
    found = []
    begin = period_of(planned.per, first)[0]
    while begin <= last:
        after = period_of(planned.per, begin)[1]
        found += [slot for slot in _of_period(planned, begin) if slot.first <= last and slot.last >= first]
        begin = after
    return found


@lru_cache(maxsize=4096)
def next_days(planned: Planned, day: date, number: int) -> tuple[date, ...]:
    """The first so many days from this one on; () where none are planned."""
    if not has_days(planned):
        return ()
    found: list[date] = []
    begin = period_of(planned.per, day)[0]
    while len(found) < number:
        found += [slot.first for slot in _of_period(planned, begin) if slot.first >= day]
        begin = period_of(planned.per, begin)[1]
    return tuple(found[:number])


def period_of(per: Per, day: date) -> tuple[date, date]:
    """The first day of the period that a day lies in, and the first after it."""
    if per == "week":
        monday = day - day.weekday() * _DAY
        return monday, monday + 7 * _DAY
    length = _MONTHS[per]
    begin = day.replace(day=1, month=day.month - (day.month - 1) % length)
    return begin, add_months(begin, length)


def add_months(first: date, months: int) -> date:
    """The first of the month that comes so many months later, or earlier."""
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, month + 1, 1)


# A calendar asks for the same periods of a few plans again and again; of many messages each is large.
@lru_cache(maxsize=256)
def _of_period(planned: Planned, begin: date) -> tuple[Slot, ...]:
    """All messages of the period that begins on this day, in order; as many as are planned."""
    after = period_of(planned.per, begin)[1]
    on = planned.on
    if on is None or not has_days(planned):
        return tuple(_parts(begin, after, planned.number))
    if planned.per == "week":
        days = [begin + (weekday - 1) * _DAY for weekday in on.weekdays]
    else:
        days = [day for month in _months(begin, after, on) for day in _in_month(month, on)]
    return tuple(Slot(day, day) for day in sorted(days))


def _parts(begin: date, after: date, number: int) -> Iterator[Slot]:
    """The days in as many parts as there are messages: without a gap, and equal but for a day."""
    length = (after - begin).days
    for part in range(number):
        first = begin + part * length // number * _DAY
        end = begin + (part + 1) * length // number * _DAY
        yield Slot(first, max(first, end - _DAY))  # of more messages than days, several come on one


def _months(begin: date, after: date, on: SendDays) -> Iterator[date]:
    while begin < after:
        if not on.months or begin.month in on.months:
            yield begin
        begin = add_months(begin, 1)


def _in_month(first: date, on: SendDays) -> Iterator[date]:
    length = calendar.monthrange(first.year, first.month)[1]
    for number in on.dates:
        yield first.replace(day=min(number, length))
    for weekday in on.weekdays:
        earliest = 1 + (weekday - first.isoweekday()) % 7
        for week in on.weeks:
            number = earliest + 7 * (week - 1)
            yield first.replace(day=number if number <= length else number - 7)


def _months_of_each(planned: Planned) -> list[int]:
    """How many months of each period the days are in."""
    length = _MONTHS[planned.per]
    months = (planned.on.months if planned.on else ()) or tuple(range(1, 13))
    return [sum(begin <= month < begin + length for month in months) for begin in range(1, 13, length)]


def _check(day: date) -> None:
    if day.year not in YEARS:
        raise ValueError("a day in a year that no calendar here reaches")
