"""A month of people and senders, and what each mailbox must hold at its end: an oracle that knows nothing of the code.

It keeps no queue, no moments to wake up at and no SQL. At every hour it looks at what waits for a person, oldest first,
and lets go what she allows at that hour, by a calendar of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

#: A Monday; the clocks of Europe change on the 29th.
START = datetime(2026, 3, 16, tzinfo=UTC)
DAYS = 31
HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)  # no clock of these people is set by less
QUIET = (time(22), time(6))
NOTICE_FROM, NOTICE_LEAD = timedelta(days=7), timedelta(hours=24)
WAITING = timedelta(days=30)

ZONES = ("Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati", "Asia/Kathmandu", "")
SITE_ZONE = "UTC"
FREQUENCIES = ("", "as_it_happens", "daily", "weekly", "fortnightly", "monthly", "quarterly")
#: As (topic, channel): what a frequency holds for.
SCOPES = (("", ""), ("", "email"), ("news", ""))
#: What is paused, for how many days, and after how many she ends it herself (None: it ends by itself).
PAUSES: tuple[tuple[tuple[str, str], int, int | None] | None, ...] = (
    None,
    (("", ""), 10, None),
    (("", "email"), 4, None),
    (("news", ""), 9, None),
    (("", ""), 14, 5),
)
#: How she leaves, if she does: one topic by the header of a mail, a channel, or everything.
LEAVES = ("", "one-click", "", "channel", "everything")

PAUSED_ON, LEFT_ON = 5, 18  # days after START, at noon


@dataclass(frozen=True)
class Mail:
    """One mail as its sender gives it away."""

    at: datetime
    topic: str
    always: bool = False
    expires: datetime | None = None

    @property
    def subject(self) -> str:
        return f"{self.topic} {self.at:%m-%d %H}"


def mails() -> Iterator[Mail]:
    """News every day, offers twice a week, events that are over after two days, and a receipt every Friday night."""
    for number in range(DAYS):
        day = START + timedelta(days=number)
        yield Mail(day + timedelta(hours=10), "news")
        if day.weekday() in {0, 3}:
            yield Mail(day + timedelta(hours=15), "offers")
        if day.weekday() == 2:
            yield Mail(day + timedelta(hours=3), "events", expires=day + timedelta(days=2, hours=3))
        if day.weekday() == 4:
            yield Mail(day + timedelta(hours=2), "orders", always=True)


@dataclass
class Person:
    """One of them: what she picks, when she pauses, and how she leaves."""

    name: str
    zone: str
    frequency: str
    scope: tuple[str, str]
    pause: tuple[tuple[str, str], int, int | None] | None
    leaves: str

    @property
    def address(self) -> str:
        return f"{self.name}@month.example"

    @property
    def clock(self) -> ZoneInfo:
        return ZoneInfo(self.zone or SITE_ZONE)

    @property
    def paused_at(self) -> datetime | None:
        return START + timedelta(days=PAUSED_ON, hours=12) if self.pause else None

    @property
    def paused_until(self) -> datetime | None:
        """The start of a day, by her own clock."""
        if self.pause is None:
            return None
        day = (START + timedelta(days=PAUSED_ON + self.pause[1])).date()
        return datetime.combine(day, time(), self.clock).astimezone(UTC)

    @property
    def resumes_at(self) -> datetime | None:
        if self.pause is None or self.pause[2] is None:
            return None
        return START + timedelta(days=PAUSED_ON + self.pause[2], hours=12)

    @property
    def leaves_at(self) -> datetime | None:
        return START + timedelta(days=LEFT_ON, hours=12) if self.leaves else None


def people(*, everybody: bool = False) -> list[Person]:
    """Every pair of frequency and pause, with every zone, scope and way out among them; or every combination."""
    if everybody:
        rows = list(product(FREQUENCIES, SCOPES, PAUSES, ZONES, sorted(set(LEAVES))))
    else:
        rows = [
            (frequency, SCOPES[(i + j) % 3], pause, ZONES[(i + 2 * j) % 5], LEAVES[(2 * i + 3 * j) % 5])
            for i, frequency in enumerate(FREQUENCIES)
            for j, pause in enumerate(PAUSES)
        ]
    return [
        Person(f"p{number}", zone, frequency, scope, pause, leaves)
        for number, (frequency, scope, pause, zone, leaves) in enumerate(rows)
        if frequency or scope == SCOPES[0] or not everybody  # without a frequency its scope says nothing
    ]


def period(frequency: str, day: date) -> tuple[int, ...]:
    """What names the period of a calendar that a day is in."""
    monday = (day - timedelta(days=day.weekday())).toordinal()
    match frequency:
        case "daily":
            return (day.toordinal(),)
        case "weekly":
            return (monday,)
        case "fortnightly":  # pairs of weeks from Monday 1970-01-05
            return ((monday - date(1970, 1, 5).toordinal()) // 14,)
        case "monthly":
            return day.year, day.month
        case "quarterly":
            return day.year, (day.month - 1) // 3
    raise AssertionError(frequency)


@dataclass
class Waits:
    """A mail that was put off; nothing of hers goes before `not_before` after a pause whose end was announced."""

    mail: Mail
    put_at: datetime
    not_before: datetime


class Mailbox:
    """What one person must find, hour by hour."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.got: list[tuple[datetime, str]] = []
        self.sent: list[tuple[datetime, str]] = []
        self.waits: list[Waits] = []
        self.out: set[str] = set()
        self.paused: tuple[tuple[str, str], datetime] | None = None

    def hour(self, now: datetime, new: list[Mail]) -> None:
        """What happens at one hour: she does something, the worker looks, senders send."""
        self._acts(now)
        self._pause_ends(now)
        for waits in list(self.waits):
            if (waits.mail.expires or waits.put_at + WAITING) <= now or self._refused(waits.mail.topic):
                self.waits.remove(waits)
            elif now >= waits.not_before and self._may(now, waits.mail.topic):
                self.waits.remove(waits)
                self._deliver(now, waits.mail)
        for mail in new:
            if mail.always:
                self.got.append((now, mail.subject))
            elif self._refused(mail.topic):
                continue
            elif self._may(now, mail.topic):
                self._deliver(now, mail)
            elif not self._is_pointless(now, mail):
                self.waits.append(Waits(mail, now, now))

    def _is_pointless(self, now: datetime, mail: Mail) -> bool:
        """Whether, as things stand, its time is over before she allows it: then it does not even begin to wait."""
        if mail.expires is None:
            return False
        quarters = int((mail.expires - now) / QUARTER)
        return not any(self._may(now + number * QUARTER, mail.topic) for number in range(quarters))

    def _acts(self, now: datetime) -> None:
        person = self.person
        if now == person.paused_at and person.pause is not None and person.paused_until is not None:
            self.paused = person.pause[0], person.paused_until
        if now == person.resumes_at:
            self.paused = None
        if now == person.leaves_at:
            if person.leaves == "one-click":
                self.out.add("news")
            else:
                self.out |= {"news", "offers", "events"}

    def _pause_ends(self, now: datetime) -> None:
        if self.paused is None or self.paused[1] > now:
            return
        (topic, _channel), until = self.paused
        self.paused = None
        assert self.person.paused_at is not None
        long = until - self.person.paused_at >= NOTICE_FROM
        if not topic and long and not {"news", "offers", "events"} <= self.out:
            self.got.append((now, "(pause)"))
            for waits in self.waits:
                waits.not_before = now + NOTICE_LEAD

    def _refused(self, topic: str) -> bool:
        return topic in self.out

    def _may(self, now: datetime, topic: str) -> bool:
        shown = now.astimezone(self.person.clock)
        if shown.time() >= QUIET[0] or shown.time() < QUIET[1]:
            return False
        if self.paused is not None:
            (of_topic, _channel), until = self.paused
            if until > now and of_topic in {"", topic}:
                return False
        frequency, (of_topic, _channel) = self.person.frequency, self.person.scope
        if frequency in {"", "as_it_happens"} or of_topic not in {"", topic}:
            return True
        return not any(
            period(frequency, at.astimezone(self.person.clock).date()) == period(frequency, shown.date())
            for at, sent_topic in self.sent
            if of_topic in {"", sent_topic}
        )

    def _deliver(self, now: datetime, mail: Mail) -> None:
        self.sent.append((now, mail.topic))
        self.got.append((now, mail.subject))
