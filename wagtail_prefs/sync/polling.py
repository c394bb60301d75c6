"""Asking platforms that have no webhooks for their news, one worker at a time; what they say goes the way of webhooks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from ..backends.base import Backend, PlatformError
from ..backends.registry import backends
from ..ciphers import Unreadable, decrypt, encrypt
from ..values import Inbound, Outcome
from . import arrivals
from .models import PollMark

logger = logging.getLogger("wagtail_prefs.polling")

#: How often a platform is asked, and how seldom one at most that does not answer.
EVERY, SELDOM = timedelta(minutes=5), timedelta(hours=1)
#: How long it is left alone at most, where it asks for that.
LONGEST = timedelta(days=1)
#: How often one is asked whose credentials or settings a person must mend.
MISCONFIGURED = timedelta(minutes=15)
#: How long one worker has it. A worker that dies delays the next round so long.
LEASE = timedelta(minutes=2)
#: Seconds after which a look ends: the same worker has other chores. What is left comes at the next one.
SECONDS = 5.0


def poll_backends() -> int:
    """Ask every backend that is due; returns how many events were new. Without such backends nothing is asked of anybody,
    the database included.
    """
    ends, new = time.monotonic() + SECONDS, 0
    for backend in _polled():
        more = True
        while more and time.monotonic() < ends:
            found, more = _ask(backend)
            new += found
    return new


def _polled() -> Iterator[Backend]:
    """The backends that can be asked for news."""
    for alias in backends:
        try:
            backend = backends[alias]
        except Exception:  # noqa: BLE001, S112 - settings that cannot be used are told of where it is delivered
            continue
        if backend.capabilities.inbound is Inbound.POLL and type(backend).poll is not Backend.poll:
            yield backend


def _ask(backend: Backend) -> tuple[int, bool]:
    """One page of news: how many were new, and whether there is more at once. Nothing where it is not its time, or
    somebody else is at it.
    """
    alias, now = backend.alias, timezone.now()
    mark = PollMark.objects.filter(backend=alias).first()
    if mark is None:
        PollMark.objects.bulk_create([PollMark(backend=alias, due_at=now)], ignore_conflicts=True)
    elif max(filter(None, (mark.due_at, mark.busy_until)), default=now) > now:
        return 0, False
    until = now + LEASE
    due = Q(due_at=None) | Q(due_at__lte=now)
    free = Q(busy_until=None) | Q(busy_until__lte=now)
    if not PollMark.objects.filter(due, free, backend=alias).update(busy_until=until):
        return 0, False
    held = PollMark.objects.filter(backend=alias, busy_until=until)
    mark = held.first()
    if mark is None:
        return 0, False
    try:
        polled = backend.poll(_cursor(mark))
    except PlatformError as error:
        _failed(mark, until, error.code, _pause(mark, error))
        return 0, False
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - a backend is anybody's code; its text may hold what must not be logged
        _failed(mark, until, f"poll-{type(error).__name__}", _pause(mark, None))
        return 0, False
    try:
        with transaction.atomic():
            new = arrivals.keep(alias, polled.events)
            moment = timezone.now()
            written = held.update(
                cursor=encrypt(polled.cursor, place=_place(alias)) if polled.cursor else "",
                polled_at=moment,
                due_at=moment if polled.more else moment + EVERY,
                code="",
                busy_until=None,
            )
            if not written:  # somebody else's by now, who will hear the same
                transaction.set_rollback(True)
                return 0, False
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - as above: what it gave us may be anything
        _failed(mark, until, f"event-{type(error).__name__}", _pause(mark, None))
        return 0, False
    return new, polled.more


def _cursor(mark: PollMark) -> str:
    if not mark.cursor:
        return ""
    try:
        return decrypt(mark.cursor, place=_place(mark.backend))
    except Unreadable:  # a key has left the ring: from the beginning, what came before is known
        logger.warning("asked %s: where it was left off cannot be read, so from the beginning", mark.backend)
        return ""


def _place(alias: str) -> str:
    return f"poll:{alias}"


def _pause(mark: PollMark, error: PlatformError | None) -> timedelta:
    """Longer the longer it has not answered, and never less than it asks for."""
    given = (error.retry_after if error is not None else None) or 0.0
    # A day at most, whatever it asks for: else a slip over there is the end of its news.
    asked = (
        timedelta(seconds=min(max(given, 0.0), LONGEST.total_seconds())) if math.isfinite(given) else SELDOM
    )
    if error is not None and error.outcome is Outcome.MISCONFIGURED:
        return max(MISCONFIGURED, asked)
    away = (timezone.now() - mark.polled_at) / 2 if mark.polled_at else EVERY
    return max(min(max(away, EVERY), SELDOM), asked)


def _failed(mark: PollMark, until: datetime, code: str, pause: timedelta) -> None:
    due = timezone.now() + pause
    PollMark.objects.filter(backend=mark.backend, busy_until=until).update(
        code=code[:128], due_at=due, busy_until=None
    )
    logger.warning("asked %s for news: %s; again in %d s", mark.backend, code, pause.total_seconds())
