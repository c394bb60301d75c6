"""Months as laws count them: to the same day of a later month, or to its last where it has no such day."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

#: What is further away than calendars reach ends then.
_LAST = datetime(9990, 1, 1, tzinfo=UTC)


def months_after(at: datetime, months: int) -> datetime:
    """The moment so many months after `at`, at the same time of the day in UTC."""
    at = at.astimezone(UTC)
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    if year >= _LAST.year:
        return _LAST
    return at.replace(year=year, month=month + 1, day=min(at.day, calendar.monthrange(year, month + 1)[1]))
