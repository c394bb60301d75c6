"""Days, weeks and quiet hours as the contact's calendar and clock have them. Pure: no models, no now.

A calendar is not arithmetic: a midnight can be absent or come twice, and islands have skipped whole days. So a day
begins at the first moment that the local clock shows it, and lasts until the next day begins; periods are made of such
days, and so tile time without a gap or an overlap, whatever the clock does.
"""

from __future__ import annotations

import calendar
import re
import struct
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from io import BytesIO
from zoneinfo import ZoneInfo

Span = tuple[datetime, datetime]

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_PERIOD = re.compile(r"P([1-9][0-9]{0,3})([DWMY])")
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
#: The Monday from which pairs of weeks are counted.
_FIRST_MONDAY = date(1970, 1, 5)
_MONTHS = {"monthly": 1, "quarterly": 3}
#: Of each frequency and zone the period that was asked about last; as many as there can be, and more.
_last_periods: dict[tuple[str, ZoneInfo], Span] = {}
_MOST_PERIODS = 4096
#: Years for which every zone and every period can be counted with Python's dates.
_YEARS = (2, 9997)


@lru_cache(maxsize=1024)
def zone(name: str, default: str) -> ZoneInfo:
    """The time zone of that name, else the default, else UTC; also on a machine without a database of time zones."""
    for candidate in (name, default):
        try:
            return ZoneInfo(candidate)
        except (KeyError, ValueError, OSError, TypeError, EOFError):
            continue  # no such zone, "../etc", a folder, None, no zone in the file
    return _utc()


def _utc() -> ZoneInfo:
    """UTC without a file: a machine may have none. A TZif file of one zone, "UTC", 0 seconds off, no daylight saving."""
    head = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    return ZoneInfo.from_file(BytesIO(head + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"), key="UTC")


def period(frequency: str, at: datetime, tz: ZoneInfo) -> Span | None:
    """The calendar period in the zone that a moment falls in: (its first moment, the first after it), UTC.

    Days and months as people count them, ISO weeks from Monday, fortnights as pairs of weeks counted from Monday
    1970-01-05. None for `as_it_happens`. ValueError for an unknown frequency, and for
    a moment without an offset or beyond the years 2 to 9997 (so in all functions here).
    """
    if frequency == "as_it_happens":
        return None
    # A thousand contacts share a few zones, and the period of the last call is mostly that of this one.
    known = _last_periods.get((frequency, tz))
    if known is not None and at.tzinfo is not None and known[0] <= at < known[1]:
        return known
    span = _period(frequency, at, tz)
    if len(_last_periods) >= _MOST_PERIODS:
        _last_periods.clear()
    _last_periods[frequency, tz] = span
    return span


@lru_cache(maxsize=1024)
def _period(frequency: str, at: datetime, tz: ZoneInfo) -> Span:
    first, after = _days(frequency, _day_of(at, tz))
    return start_of_day(first, tz), start_of_day(after, tz)


def begins_not_before(frequency: str, at: datetime) -> datetime:
    """A moment (UTC) before which the period that `at` falls in has begun in no time zone, a few days at most too early."""
    yesterday = _aware(at).date() - _DAY  # nowhere is it an earlier day
    return datetime.combine(_days(frequency, yesterday)[0] - _DAY, time(), UTC)


def start_of_day(day: date, tz: ZoneInfo) -> datetime:
    """The first moment (UTC) at which it is that day in the zone, or a later one if the zone skipped it."""
    return _first(datetime.combine(day, time()), tz)


def quiet_until(hours: tuple[str, str], at: datetime, tz: ZoneInfo) -> datetime | None:
    """When the quiet hours that a moment falls in are over, UTC; None outside of them.

    `hours` are ("21:00", "08:00") on the zone's clock, over midnight or not; two equal times are never quiet. Where the
    clock shows a time twice, they begin at the first and end at the second. The moment returned is later than `at`, and
    not quiet. ValueError for what is no time.
    """
    begin, end = clock(hours[0]), clock(hours[1])
    at = _aware(at)
    until = at
    while begin != end:
        for night in _nights(begin, end, until, tz):
            if night[0] <= until < night[1]:
                until = night[1]  # in rare nights the next quiet hours begin right there
                break
        else:
            break
    return until if until > at else None


def quiet_spans(hours: tuple[str, str], day: date, tz: ZoneInfo) -> list[Span]:
    """The quiet hours that touch a day of UTC, in order and apart: in each, `quiet_until` is its end."""
    begin, end = clock(hours[0]), clock(hours[1])
    if begin == end:
        return []
    noon = datetime.combine(day, time(12), UTC)
    nights = sorted(
        {night for off in (-_DAY, timedelta(0), _DAY) for night in _nights(begin, end, noon + off, tz)}
    )
    found: list[Span] = []
    for first, until in nights:
        if found and first <= found[-1][1]:
            found[-1] = (
                found[-1][0],
                max(found[-1][1], until),
            )  # in rare nights they begin where the last ones end
        elif first < until:
            found.append((first, until))
    return found


def add_period(at: datetime, iso_period: str, tz: ZoneInfo) -> datetime:
    """The start of the day (UTC) that lies P7D, P2W, P1M or P1Y after the zone's day of that moment.

    A day that the later month lacks becomes its last: 31 January + P1M is 28 or 29 February. ValueError for any other
    way to write a period, and for one that ends after the year 9998.
    """
    match = _PERIOD.fullmatch(iso_period)
    if not match:
        raise ValueError("not a period such as P7D, P2W, P1M or P1Y")
    number, unit = int(match[1]), match[2]
    day = _day_of(at, tz)
    try:
        if unit in "DW":
            later = day + number * (_DAY if unit == "D" else 7 * _DAY)
        else:
            later = _months_later(day, number if unit == "M" else 12 * number)
        return start_of_day(later, tz)
    except OverflowError:
        raise ValueError("the period ends too late") from None


def clock(text: str) -> time:
    """ "21:00" as a time of day. Raises ValueError."""
    match = _CLOCK.fullmatch(text)
    if not match:
        raise ValueError('not a time such as "21:00"')
    return time(int(match[1]), int(match[2]))


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a moment without an offset from UTC")
    if not _YEARS[0] <= at.year <= _YEARS[1]:
        raise ValueError("a moment in a year that no calendar here reaches")
    return at.astimezone(UTC)


def _day_of(at: datetime, tz: ZoneInfo) -> date:
    """The day a moment belongs to: what the clock shows, but never a day that the next one has ended already."""
    at = _aware(at)
    day = at.astimezone(tz).date()
    while at >= start_of_day(day + _DAY, tz):
        day += _DAY  # the clock went back over midnight
    return day


def _days(frequency: str, day: date) -> tuple[date, date]:
    """The first day of the period a day lies in, and the first after it."""
    if frequency == "daily":
        return day, day + _DAY
    if frequency in {"weekly", "fortnightly"}:
        monday = day - day.weekday() * _DAY
        if frequency == "weekly":
            return monday, monday + 7 * _DAY
        monday -= (monday - _FIRST_MONDAY) % (14 * _DAY)
        return monday, monday + 14 * _DAY
    if frequency not in _MONTHS:
        raise ValueError(f"no such frequency: {frequency}")
    length = _MONTHS[frequency]
    first = day.replace(day=1, month=day.month - (day.month - 1) % length)
    return first, _months_later(first, length)


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year >= date.max.year:
        raise OverflowError
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _nights(begin: time, end: time, at: datetime, tz: ZoneInfo) -> list[Span]:
    """The quiet hours that begin around a moment's day."""
    today = at.astimezone(tz).date()
    over_midnight = _DAY if end < begin else timedelta(0)
    return [
        (
            _first(datetime.combine(day, begin), tz),
            _first(datetime.combine(day + over_midnight, end.replace(fold=1)), tz),
        )
        for day in (today - _DAY, today, today + _DAY)
    ]


def _first(shown: datetime, tz: ZoneInfo) -> datetime:
    """The moment (UTC) at which the zone's clock shows this - the second such moment with fold=1.

    Where the clock jumps over it: the moment of the jump.
    """
    moment = shown.replace(tzinfo=tz).astimezone(UTC)
    if moment.astimezone(tz).replace(tzinfo=None, fold=0) == shown.replace(fold=0):
        return moment
    # In a gap, fold 1 counts with the offset after it and so comes out before the jump, fold 0 not before it.
    early, late = (shown.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (1, 0))
    while late - early > _SECOND:
        middle = early + (late - early) // _SECOND // 2 * _SECOND
        if middle.astimezone(tz).replace(tzinfo=None) < shown:
            early = middle
        else:
            late = middle
    return late
