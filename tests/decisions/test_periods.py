"""Days, weeks and quiet hours on the contact's clock: concrete nights, and properties over every zone there is."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

import pytest

from wagtail_prefs.decisions.periods import add_period, clock, period, quiet_until, start_of_day, zone
from wagtail_prefs.values import FREQUENCIES

ROOT = Path(__file__).resolve().parents[2]


def contents(name: str) -> bytes:
    """A zone's file; its name where it comes from the package tzdata."""
    return next(
        (path.read_bytes() for path in (Path(root) / name for root in TZPATH) if path.is_file()),
        name.encode(),
    )


#: Every zone, once: many are other names of one clock.
ZONES = sorted({contents(name): name for name in sorted(available_timezones(), reverse=True)}.values())
BERLIN = ZoneInfo("Europe/Berlin")
CAPS = [frequency for frequency in FREQUENCIES if frequency != "as_it_happens"]
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
FIRST, LAST = datetime(1970, 1, 10, tzinfo=UTC), datetime(2100, 12, 31, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(moment: datetime, tz: ZoneInfo) -> datetime:
    return moment.astimezone(tz).replace(tzinfo=None, fold=0)


def offset_at(at: datetime, tz: ZoneInfo) -> timedelta:
    offset = at.astimezone(tz).utcoffset()
    assert offset is not None
    return offset


@cache
def jumps(name: str) -> tuple[datetime, ...]:
    """Every moment from 1970 to 2100 at which the zone's clock jumps, found by asking the clock."""
    tz, found = ZoneInfo(name), []
    at, step = FIRST, timedelta(days=10)
    offset = offset_at(at, tz)
    while at < LAST:
        early, at = at, at + step
        old, offset = offset, offset_at(at, tz)
        if old == offset:
            continue
        late = at
        while late - early > SECOND:
            middle = early + (late - early) // SECOND // 2 * SECOND
            if offset_at(middle, tz) == old:
                early = middle
            else:
                late = middle
        found.append(late)
    return tuple(found)


@pytest.fixture
def dice() -> random.Random:
    return random.Random(random.getrandbits(32))  # pytest-randomly prints and repeats the seed


def moment(dice: random.Random) -> tuple[ZoneInfo, datetime]:
    """Anything in 1970 to 2100, in two of three cases near a jump of the zone's clock."""
    name = dice.choice(ZONES)
    at = FIRST + dice.random() * (LAST - FIRST)
    near = jumps(name) if dice.random() < 0.67 else ()
    if near:
        at = dice.choice(near) + dice.choice([timedelta(0), -SECOND, (dice.random() - 0.5) * 60 * HOUR])
    return ZoneInfo(name), at


# Zones


def test_a_zone_is_the_contacts_or_the_default() -> None:
    assert zone("Europe/Berlin", "Asia/Tokyo").key == "Europe/Berlin"
    assert zone("", "Asia/Tokyo").key == "Asia/Tokyo"
    assert zone("Mars/Olympus", "Asia/Tokyo").key == "Asia/Tokyo"
    assert zone("Mars/Olympus", "Nowhere") == zone("UTC", "") or zone("Mars/Olympus", "Nowhere").key == "UTC"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "America",  # a folder
        "../../../etc/passwd",
        "/etc/passwd",
        "Europe/../../../../etc/hostname",
        "iso3166.tab",
        "a\0b",
        "\udc80",
        "x" * 5000,
        None,
        7,
    ],
    ids=repr,
)
def test_what_is_no_zone_is_the_default(name: str) -> None:
    assert zone(name, "Asia/Tokyo").key == "Asia/Tokyo"
    assert zone(name, name).key == "UTC"


def elsewhere(code: str, path: str = "") -> str:
    """What a Python prints that knows only the zones of a package `tzdata` on that path."""
    hidden = "" if path else "import sys; sys.modules['tzdata'] = None\n"
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"{hidden}from datetime import *\nfrom wagtail_prefs.decisions.periods import *\n{code}",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONTZPATH": "", "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_a_machine_without_time_zones_counts_in_utc() -> None:
    said = elsewhere(
        "tz = zone('Europe/Berlin', 'Asia/Tokyo')\n"
        "at = datetime(2026, 7, 15, 22, 30, tzinfo=timezone.utc)\n"
        "print(tz.key, at.astimezone(tz), *period('weekly', at, tz), quiet_until(('21:00', '08:00'), at, tz), sep=' | ')"
    )
    assert said == (
        "UTC | 2026-07-15 22:30:00+00:00 | 2026-07-13 00:00:00+00:00 | 2026-07-20 00:00:00+00:00"
        " | 2026-07-16 08:00:00+00:00"
    )


def test_the_package_tzdata_is_enough(tmp_path: Path) -> None:
    """And there, too, a folder and an endless name are no zones."""
    folder = tmp_path / "tzdata" / "zoneinfo" / "Europe"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent, folder.parent.parent):
        (package / "__init__.py").touch()
    (source,) = [path for path in (Path(root) / "Europe/Berlin" for root in TZPATH) if path.is_file()][:1]
    (folder / "Berlin").write_bytes(source.read_bytes())
    said = elsewhere(
        "print(*(zone(n, 'UTC').key for n in ('Europe/Berlin', 'Europe', 'x' * 5000)))", str(tmp_path)
    )
    assert said == "Europe/Berlin UTC UTC"


# Days


@pytest.mark.parametrize(
    ("name", "day", "starts"),
    [
        ("UTC", "2026-11-22", "2026-11-22 00:00"),
        ("Europe/Berlin", "2026-11-22", "2026-11-21 23:00"),
        ("Asia/Kathmandu", "2026-11-22", "2026-11-21 18:15"),
        ("Africa/Monrovia", "1971-06-01", "1971-06-01 00:44:30"),
        # no midnight: the clock jumps from 00:00 to 01:00
        ("Asia/Beirut", "2024-03-31", "2024-03-30 22:00"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25 22:00"),
        ("America/Havana", "2024-03-10", "2024-03-10 05:00"),
        ("America/Asuncion", "2019-10-06", "2019-10-06 04:00"),
        ("America/Santiago", "2022-09-11", "2022-09-11 04:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00"),
        # the clock jumps over midnight, from 23:30 to 00:30
        ("America/Toronto", "1919-03-31", "1919-03-31 04:30"),
        # midnight twice: from 01:00 back to 00:00
        ("America/Havana", "2024-11-03", "2024-11-03 04:00"),
        # back over midnight: from 00:01 to 23:01 the day before
        ("America/St_Johns", "2010-11-07", "2010-11-07 02:30"),
        # 23:00 to midnight twice: midnight itself once
        ("Asia/Beirut", "2024-10-27", "2024-10-26 22:00"),
        ("America/Santiago", "2024-04-07", "2024-04-07 04:00"),
        # days that never were begin with the next
        ("Pacific/Apia", "2011-12-29", "2011-12-29 10:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30 10:00"),
        ("Pacific/Kwajalein", "1993-08-21", "1993-08-21 12:00"),
        ("Pacific/Kwajalein", "1993-08-22", "1993-08-21 12:00"),
    ],
)
def test_a_day_begins_when_the_clock_first_shows_it(name: str, day: str, starts: str) -> None:
    assert start_of_day(date.fromisoformat(day), ZoneInfo(name)) == utc(starts)


def test_a_day_begins_at_its_first_moment_around_every_jump_over_a_midnight(
    tell: Callable[[str], None],
) -> None:
    """Every zone, every jump from 1970 to 2100 near a midnight, against a search among all moments that can be it."""
    tried = 0
    for name in ZONES:
        tz = ZoneInfo(name)
        for jump in jumps(name):
            before, after = shown(jump - SECOND, tz), shown(jump, tz)
            if before.date() == (before + 2 * SECOND).date() == after.date() and after.hour:
                continue
            offsets = {offset_at(jump + far, tz) for far in (-2 * DAY, -SECOND, timedelta(0), 2 * DAY)}
            for day in {before.date(), after.date(), after.date() + DAY}:
                midnight = datetime.combine(day, time(), UTC)
                firsts = [
                    at
                    for at in (jump, *(midnight - offset for offset in offsets))
                    if shown(at, tz).date() >= day > shown(at - SECOND, tz).date()
                ]
                assert start_of_day(day, tz) == min(firsts), (name, day)
                tried += 1
    assert tried > 1000
    tell(f"periods: {tried} days at jumps over midnight in {len(ZONES)} zones")


# Periods


@pytest.mark.parametrize(
    ("frequency", "at", "begins", "ends"),
    [
        ("daily", "2026-11-22 12:00", "2026-11-21 23:00", "2026-11-22 23:00"),
        ("daily", "2026-03-29 12:00", "2026-03-28 23:00", "2026-03-29 22:00"),  # 23 hours
        ("daily", "2026-10-25 12:00", "2026-10-24 22:00", "2026-10-25 23:00"),  # 25 hours
        ("weekly", "2026-11-22 22:59:59", "2026-11-15 23:00", "2026-11-22 23:00"),  # Sunday night
        ("weekly", "2026-11-22 23:00", "2026-11-22 23:00", "2026-11-29 23:00"),  # Monday
        ("weekly", "2027-01-01 12:00", "2026-12-27 23:00", "2027-01-03 23:00"),  # week 53
        ("fortnightly", "1970-01-05 12:00", "1970-01-04 23:00", "1970-01-18 23:00"),
        ("fortnightly", "1970-01-01 12:00", "1969-12-21 23:00", "1970-01-04 23:00"),
        ("fortnightly", "2026-11-22 12:00", "2026-11-08 23:00", "2026-11-22 23:00"),
        ("monthly", "2024-02-29 22:30", "2024-01-31 23:00", "2024-02-29 23:00"),
        ("monthly", "2024-02-29 23:30", "2024-02-29 23:00", "2024-03-31 22:00"),
        ("monthly", "2026-12-31 22:59", "2026-11-30 23:00", "2026-12-31 23:00"),
        ("quarterly", "2026-11-22 12:00", "2026-09-30 22:00", "2026-12-31 23:00"),
        ("quarterly", "2026-01-01 00:00", "2025-12-31 23:00", "2026-03-31 22:00"),
    ],
)
def test_a_period_in_berlin(frequency: str, at: str, begins: str, ends: str) -> None:
    assert period(frequency, utc(at), BERLIN) == (utc(begins), utc(ends))


def test_a_moment_may_come_with_any_offset() -> None:
    at = datetime(2026, 11, 22, 23, 30, tzinfo=timezone(-9 * HOUR))
    assert period("daily", at, BERLIN) == (utc("2026-11-22 23:00"), utc("2026-11-23 23:00"))


def test_as_it_happens_has_no_period() -> None:
    assert period("as_it_happens", utc("2026-11-22"), BERLIN) is None


def test_the_hour_after_a_doubled_midnight_belongs_to_the_day_that_has_begun() -> None:
    tz = ZoneInfo("America/St_Johns")
    at = utc("2010-11-07 03:00")
    assert shown(at, tz) == datetime(2010, 11, 6, 23, 30)  # noqa: DTZ001 - for the second time
    assert period("daily", at, tz) == (utc("2010-11-07 02:30"), utc("2010-11-08 03:30"))


def test_a_skipped_day_is_no_period() -> None:
    tz = ZoneInfo("Pacific/Apia")
    assert period("daily", utc("2011-12-30 09:59:59"), tz) == (
        utc("2011-12-29 10:00"),
        utc("2011-12-30 10:00"),
    )
    assert period("daily", utc("2011-12-30 10:00"), tz) == (utc("2011-12-30 10:00"), utc("2011-12-31 10:00"))
    week = period("weekly", utc("2011-12-30 10:00"), tz)
    assert week == (utc("2011-12-26 10:00"), utc("2012-01-01 10:00"))  # six days


@pytest.mark.parametrize("frequency", ["", "hourly", "Daily", "yearly"])
def test_an_unknown_frequency_is_an_error(frequency: str) -> None:
    with pytest.raises(ValueError, match="frequency"):
        period(frequency, utc("2026-11-22"), BERLIN)


@pytest.mark.parametrize(
    "at",
    [
        utc("2026-11-22").replace(tzinfo=None),
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
    ],
)
def test_a_moment_that_is_none_here_is_an_error(at: datetime) -> None:
    for asked in (
        lambda: period("quarterly", at, BERLIN),
        lambda: quiet_until(("21:00", "08:00"), at, BERLIN),
        lambda: add_period(at, "P1D", BERLIN),
    ):
        with pytest.raises(ValueError, match="moment"):
            asked()


def tiles(frequency: str, at: datetime, tz: ZoneInfo) -> None:
    """The period of a moment holds it, meets its neighbours, and begins when the clock first shows its first day."""
    found = period(frequency, at, tz)
    assert found is not None
    begins, ends = found
    assert begins <= at < ends
    for inside in (begins, begins + (ends - begins) / 3, ends - SECOND):
        assert period(frequency, inside, tz) == found
    after = period(frequency, ends, tz)
    before = period(frequency, begins - SECOND, tz)
    assert after is not None and after[0] == ends
    assert before is not None and before[1] == begins
    first, eve = shown(begins, tz), shown(begins - SECOND, tz)
    assert eve.date() < first.date(), "it was that day before"
    if eve.date() == first.date() - DAY:  # else the zone skipped the day it would begin on
        month = {"monthly": 1, "quarterly": 3}.get(frequency)
        assert month is None or (first.day == 1 and (first.month - 1) % month == 0)
        assert month or frequency == "daily" or first.isoweekday() == 1
        assert frequency != "fortnightly" or (first.date() - date(1970, 1, 5)).days % 14 == 0
    days = {"daily": 1, "weekly": 7, "fortnightly": 14, "monthly": 31, "quarterly": 92}[frequency]
    assert ends - begins <= days * DAY + 12 * HOUR


def many_tile(dice: random.Random, count: int) -> None:
    for _ in range(count):
        tz, at = moment(dice)
        for frequency in CAPS:
            try:
                tiles(frequency, at, tz)
            except AssertionError as problem:
                raise AssertionError(f"{frequency} at {at.isoformat()} in {tz.key}: {problem}") from problem


def test_periods_tile_time(dice: random.Random, tell: Callable[[str], None]) -> None:
    many_tile(dice, 500)
    tell(f"periods: 500 moments x {len(CAPS)} frequencies tile time")


@pytest.mark.soak
def test_periods_tile_time_at_length(dice: random.Random) -> None:
    many_tile(dice, 40_000)


@pytest.mark.parametrize("name", ["Pacific/Apia", "America/St_Johns"])
def test_days_follow_each_other_through_all_years(name: str) -> None:
    """From 1970 to 2040 nothing is left out and nothing is there twice."""
    tz, at, days = ZoneInfo(name), FIRST, 0
    ends = at
    while at.year < 2040:
        found = period("daily", at, tz)
        assert found is not None
        assert days == 0 or found[0] == ends
        days, ends = days + 1, found[1]
        at = ends
    calendar_days = (shown(ends, tz).date() - shown(FIRST, tz).date()).days
    assert days == calendar_days - (name == "Pacific/Apia")


# Quiet hours


NIGHT = ("21:00", "08:00")


@pytest.mark.parametrize(
    ("name", "hours", "at", "until"),
    [
        ("Europe/Berlin", NIGHT, "2026-11-22 19:59:59", None),
        ("Europe/Berlin", NIGHT, "2026-11-22 20:00", "2026-11-23 07:00"),
        ("Europe/Berlin", NIGHT, "2026-11-23 06:59:59", "2026-11-23 07:00"),
        ("Europe/Berlin", NIGHT, "2026-11-23 07:00", None),
        ("Europe/Berlin", ("13:00", "14:30"), "2026-11-23 12:00", "2026-11-23 13:30"),
        ("Europe/Berlin", ("13:00", "14:30"), "2026-11-23 13:30", None),
        ("Europe/Berlin", ("13:00", "13:00"), "2026-11-23 12:00", None),
        # the short night of spring, the long one of autumn
        ("Europe/Berlin", NIGHT, "2026-03-28 22:00", "2026-03-29 06:00"),
        ("Europe/Berlin", NIGHT, "2026-10-24 22:00", "2026-10-25 07:00"),
        # 02:30 does not exist: over when the clock jumps
        ("Europe/Berlin", ("22:00", "02:30"), "2026-03-29 00:30", "2026-03-29 01:00"),
        ("Europe/Berlin", ("22:00", "02:30"), "2026-03-29 01:00", None),
        ("Europe/Berlin", ("02:15", "02:45"), "2026-03-29 01:00", None),
        ("Europe/Berlin", ("02:30", "05:00"), "2026-03-29 00:59:59", None),
        ("Europe/Berlin", ("02:30", "05:00"), "2026-03-29 01:00", "2026-03-29 03:00"),
        # 02:30 comes twice: over at the second
        ("Europe/Berlin", ("22:00", "02:30"), "2026-10-25 00:45", "2026-10-25 01:30"),
        ("Europe/Berlin", ("22:00", "02:30"), "2026-10-25 01:30", None),
        ("Europe/Berlin", ("02:30", "02:45"), "2026-10-25 00:30", "2026-10-25 01:45"),
        # the one free hour is the one that the clock skips: quiet until the next day's
        ("Europe/Berlin", ("03:00", "02:00"), "2026-03-28 12:00", "2026-03-30 00:00"),
        # quiet begins at a midnight that does not exist, and ends at one
        ("Asia/Beirut", ("00:00", "06:00"), "2024-03-30 21:59:59", None),
        ("Asia/Beirut", ("00:00", "06:00"), "2024-03-30 22:00", "2024-03-31 03:00"),
        ("Asia/Beirut", ("20:00", "00:00"), "2024-03-30 21:00", "2024-03-30 22:00"),
        # the morning of the skipped day: the night lasts until the next one's
        ("Pacific/Apia", NIGHT, "2011-12-30 09:00", "2011-12-30 18:00"),
        ("Pacific/Apia", NIGHT, "2011-12-30 17:59", "2011-12-30 18:00"),
        ("Pacific/Apia", ("12:00", "14:00"), "2011-12-30 09:59", None),
        # back over midnight
        ("America/St_Johns", ("23:30", "00:30"), "2010-11-07 02:00", "2010-11-07 04:00"),
        # the night has begun at the first midnight, and lasts while it is yesterday again
        ("America/St_Johns", ("00:00", "06:00"), "2010-11-07 03:00", "2010-11-07 09:30"),
    ],
)
def test_quiet_hours(name: str, hours: tuple[str, str], at: str, until: str | None) -> None:
    assert quiet_until(hours, utc(at), ZoneInfo(name)) == (utc(until) if until else None)


@pytest.mark.parametrize(
    "text", ["", "8:00", "24:00", "12:60", "08:00:00", "0800", " 08:00", "08:00\n", "٠٨:٠٠"]
)
def test_what_is_no_time_of_day_is_an_error(text: str) -> None:
    for hours in ((text, "08:00"), ("08:00", text), (text, text)):
        with pytest.raises(ValueError, match="time"):
            quiet_until(hours, utc("2026-11-22"), BERLIN)


def shows_quiet(begin: time, end: time, wall: time) -> bool:
    return begin <= wall < end if begin <= end else wall >= begin or wall < end


def many_are_quiet(dice: random.Random, count: int) -> int:
    quiet = 0
    for _ in range(count):
        tz, at = moment(dice)
        at = at.replace(microsecond=0)
        hours = (a_clock(dice), a_clock(dice))
        begin, end = clock(hours[0]), clock(hours[1])
        until = quiet_until(hours, at, tz)
        where = f"{hours} at {at.isoformat()} in {tz.key}: {until}"
        if until is None:
            assert not shows_quiet(begin, end, shown(at, tz).time()), where
            continue
        quiet += 1
        assert until > at, where
        assert quiet_until(hours, until, tz) is None, where
        assert not shows_quiet(begin, end, shown(until, tz).time()), where
        if offset_at(at - 3 * DAY, tz) == offset_at(at, tz) == offset_at(at + 3 * DAY, tz):
            assert shows_quiet(begin, end, shown(at, tz).time()), where
            assert shown(until, tz).time() == end and until - at < DAY, where
        else:
            assert until - at < 3 * DAY, where
    return quiet


def a_clock(dice: random.Random) -> str:
    """Any minute, mostly of the hours in which clocks jump."""
    hour = dice.choice([23, 0, 0, 1, 2, 3, dice.randrange(24)])
    return f"{hour:02}:{dice.choice([0, 30, dice.randrange(60)]):02}"


def test_nothing_is_sent_while_the_clock_shows_quiet_hours(
    dice: random.Random, tell: Callable[[str], None]
) -> None:
    quiet = many_are_quiet(dice, 4000)
    assert 1000 < quiet < 3000
    tell(f"quiet hours: 4000 moments, {quiet} of them quiet")


@pytest.mark.soak
def test_nothing_is_sent_while_the_clock_shows_quiet_hours_at_length(dice: random.Random) -> None:
    many_are_quiet(dice, 200_000)


# Later


@pytest.mark.parametrize(
    ("at", "iso", "until"),
    [
        ("2026-11-22 12:00", "P1D", "2026-11-22 23:00"),
        ("2026-11-22 23:30", "P1D", "2026-11-23 23:00"),  # it is the 23rd in Berlin
        ("2026-11-22 12:00", "P7D", "2026-11-28 23:00"),
        ("2026-11-22 12:00", "P2W", "2026-12-05 23:00"),
        ("2026-11-22 12:00", "P1M", "2026-12-21 23:00"),
        ("2026-06-22 12:00", "P6M", "2026-12-21 23:00"),
        ("2026-01-31 12:00", "P1M", "2026-02-27 23:00"),
        ("2028-01-31 12:00", "P1M", "2028-02-28 23:00"),
        ("2026-12-31 12:00", "P2M", "2027-02-27 23:00"),
        ("2026-03-31 12:00", "P1M", "2026-04-29 22:00"),
        ("2026-11-30 12:00", "P1M", "2026-12-29 23:00"),
        ("2028-02-29 12:00", "P1Y", "2029-02-27 23:00"),
        ("2028-02-29 12:00", "P4Y", "2032-02-28 23:00"),
        ("2026-10-24 12:00", "P1D", "2026-10-24 22:00"),
        ("2026-10-25 12:00", "P1D", "2026-10-25 23:00"),
    ],
)
def test_a_pause_ends_at_the_start_of_a_day_in_berlin(at: str, iso: str, until: str) -> None:
    assert add_period(utc(at), iso, BERLIN) == utc(until)


def test_a_pause_ends_on_days_that_are_odd_elsewhere() -> None:
    assert add_period(utc("2011-12-30 09:00"), "P1D", ZoneInfo("Pacific/Apia")) == utc("2011-12-30 10:00")
    assert add_period(utc("2024-02-29 12:00"), "P1M", ZoneInfo("Asia/Beirut")) == utc("2024-03-28 22:00")
    assert add_period(utc("2024-03-24 12:00"), "P1W", ZoneInfo("Asia/Beirut")) == utc("2024-03-30 22:00")
    # 23:30 for the second time, after the 7th has begun: the next day is the 8th
    assert add_period(utc("2010-11-07 03:00"), "P1D", ZoneInfo("America/St_Johns")) == utc("2010-11-08 03:30")


@pytest.mark.parametrize(
    "iso",
    [
        "",
        "P",
        "P0D",
        "P01D",
        "P-1D",
        "P1.5D",
        "P1",
        "1M",
        "p1m",
        "PT1H",
        "P1Y1M",
        "P1M ",
        "P1M\n",
        "P12345D",
        "P١D",
        "P9999Y",
        "P7998Y",
    ],
)
def test_what_is_no_period_is_an_error(iso: str) -> None:
    with pytest.raises(ValueError, match="period"):
        add_period(utc("2026-11-22"), iso, BERLIN)


def test_a_pause_ends_later_at_the_start_of_a_day(dice: random.Random) -> None:
    for _ in range(300):
        tz, at = moment(dice)
        number = dice.randrange(1, 40)
        for unit in "DWMY":
            until = add_period(at, f"P{number}{unit}", tz)
            assert until > at, (at, tz.key)
            assert shown(until - SECOND, tz).date() < shown(until, tz).date()
        assert add_period(at, f"P{number}W", tz) == add_period(at, f"P{7 * number}D", tz)
        assert add_period(at, f"P{number}Y", tz) == add_period(at, f"P{12 * number}M", tz)
