"""The lane of each backend: leave it alone for a while, and see that somebody looks after it."""

from __future__ import annotations

from datetime import datetime, timedelta

from .models import Lane

#: How often a worker says that it is there, at most.
HEARTBEAT = timedelta(seconds=15)


def look_after(alias: str, now: datetime) -> bool:
    """Leave a heartbeat; returns whether the lane is open."""
    lane = Lane.objects.filter(backend=alias).first()
    if lane is None or lane.seen_at is None or not now - HEARTBEAT < lane.seen_at <= now:
        _write(Lane(backend=alias, seen_at=now), ["seen_at"])
    return lane is None or lane.paused_until is None or lane.paused_until <= now


def pause(alias: str, until: datetime, code: str) -> None:
    """Leave a backend alone until then: it asked for it, or a person must mend something first."""
    _write(Lane(backend=alias, paused_until=until, code=code), ["paused_until", "code"])


def reopen(aliases: list[str]) -> None:
    """Try these backends now, whatever they asked for."""
    Lane.objects.filter(backend__in=aliases).update(paused_until=None, code="")


def _write(lane: Lane, fields: list[str]) -> None:
    Lane.objects.bulk_create([lane], update_conflicts=True, unique_fields=["backend"], update_fields=fields)
