"""How the backends are doing, for people: what waits, since when, why, and what a person can do. Nothing is written here."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q

from .checks import ABSENT
from .models import Delivery, DeliveryCount, Lane
from .rows import WAITING

#: What waits for longer than this is late, and an opt-out that does is an alarm.
LATE = timedelta(minutes=15)
#: What a chart shows.
HOURS = 24
#: Most reasons that are told apart.
REASONS = 8


class Status(enum.StrEnum):
    """How a backend is, the worst that is true of it."""

    GIVEN_UP = "given_up"  # away for days: only opt-outs are tried
    AWAY = "away"  # no answer, or credentials that do not hold
    ABSENT = "absent"  # nobody delivers
    LATE = "late"  # something waits for too long
    ASKED_TO_WAIT = "asked_to_wait"  # it said when to come back
    WELL = "well"


@dataclass(frozen=True, slots=True)
class Hour:
    """What was delivered, and what failed, in the hour that begins then."""

    begins: datetime
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class Health:
    """One backend. `reasons` are the codes of what fails now, the most first: (code, last outcome, contacts)."""

    alias: str
    at: datetime
    lane: Lane
    waiting: int = 0
    opt_outs: int = 0
    oldest: datetime | None = None  # since when the oldest that waits was due, or fails
    parked: int = 0
    retired: int = 0  # contacts of whom an old address must be taken off there
    reasons: Sequence[tuple[str, str, int]] = ()
    hours: Sequence[Hour] = ()

    @property
    def status(self) -> Status:
        lane = self.lane
        closed = lane.paused_until is not None and lane.paused_until > self.at
        if lane.disabled_at:
            return Status.GIVEN_UP
        if lane.open_since:
            return Status.AWAY
        if self.waiting and (lane.seen_at is None or lane.seen_at < self.at - ABSENT):
            return Status.ABSENT
        if closed:
            return Status.ASKED_TO_WAIT
        return Status.LATE if self.oldest and self.oldest < self.at - LATE else Status.WELL

    @property
    def lag(self) -> timedelta:
        """How long the oldest wish that it does not know has been waiting; zero where none is."""
        return max(self.at - self.oldest, timedelta(0)) if self.oldest else timedelta(0)


def of(aliases: Iterable[str], now: datetime) -> dict[str, Health]:
    """The health of these backends; four statements, whatever their number."""
    names = list(aliases)
    lanes = Lane.objects.in_bulk(names)
    sums = _sums(names)
    reasons = _reasons(names)
    hours = _hours(names, now)
    return {
        name: Health(
            alias=name,
            at=now,
            lane=lanes.get(name) or Lane(backend=name),
            reasons=reasons.get(name, ()),
            hours=hours[name],
            **sums.get(name, {}),
        )
        for name in names
    }


def _sums(names: list[str]) -> dict[str, dict[str, Any]]:
    """Of what waits, by the index of what is due; and of what was given up, by that of what fails."""
    waiting = (
        Delivery.objects.filter(WAITING, backend__in=names)
        .order_by()
        .values("backend")
        .annotate(
            waiting=Count("pk"),
            opt_outs=Count("pk", filter=Q(restricts=True)),
            due=Min("due_at", filter=Q(failing_since=None)),
            failing=Min("failing_since"),
            retired=Count("pk", filter=Q(retired_at__isnull=False)),
        )
    )
    found: dict[str, dict[str, Any]] = {}
    for row in waiting:
        since = [moment for moment in (row["due"], row["failing"]) if moment is not None]
        found[row["backend"]] = {
            "waiting": row["waiting"],
            "opt_outs": row["opt_outs"],
            "retired": row["retired"],
            "oldest": min(since, default=None),
        }
    parked = Delivery.objects.filter(backend__in=names, failing_since__isnull=False, due_at=None)
    for name, count in parked.order_by().values_list("backend").annotate(Count("pk")):
        found.setdefault(name, {})["parked"] = count
    return found


def _reasons(names: list[str]) -> dict[str, list[tuple[str, str, int]]]:
    rows = (
        Delivery.objects.filter(backend__in=names, failing_since__isnull=False)
        .order_by()
        .values_list("backend", "last_code", "last_outcome")
        .annotate(contacts=Count("pk"))
    )
    found: dict[str, list[tuple[str, str, int]]] = {}
    for name, code, outcome, contacts in sorted(rows, key=lambda row: (-row[3], row[1])):
        told = found.setdefault(name, [])
        if len(told) < REASONS:
            told.append((code, outcome, contacts))
    return found


def _hours(names: list[str], now: datetime) -> Mapping[str, list[Hour]]:
    """The last 24 hours of each, also those in which nothing happened."""
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    counted = {
        (row.backend, row.hour): row
        for row in DeliveryCount.objects.filter(backend__in=names, hour__gte=first)
    }
    found: dict[str, list[Hour]] = {}
    for name in names:
        found[name] = hours = []
        for number in range(HOURS):
            hour = first + timedelta(hours=number)
            row = counted.get((name, hour))
            hours.append(Hour(hour, row.done if row else 0, row.failed if row else 0))
    return found
