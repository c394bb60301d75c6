"""The lane of each backend: what all workers together do to a platform, and when they leave it alone.

Each of these is one statement that is right however many workers say it at once, in any order:

- **Heartbeat**: somebody looks after this backend.
- **Pause**: the platform asked for it (Retry-After). No failure.
- **Breaker**: calls in a row that nobody answered, or credentials that a person must mend, open it. While it is open one
  worker at a time tries one call, seldom; the first answer closes it, and what had failed meanwhile is due at once. After
  days it is given up (`disabled_at`): a person must reopen it, and until then opt-outs alone are tried, once a day.
- **Rate limit**: calls stand in one line for all workers, at even distances.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from ..values import Outcome, Rate
from .models import Delivery, Lane

logger = logging.getLogger("wagtail_prefs.delivery")

#: How often a worker says that it is there, at most; and how often it notes that something was delivered.
HEARTBEAT = timedelta(seconds=15)
#: Calls in a row without an answer, of all workers, that open the breaker.
FAILURES = 5
#: How long a breaker has been open -> when to try one call again. A probe comes up to a tenth too early, and must get into
#: the next line all the same.
PROBES = (
    (timedelta(seconds=10), timedelta(seconds=15)),
    (timedelta(minutes=1), timedelta(minutes=1)),
    (timedelta(minutes=5), timedelta(minutes=5)),
    (timedelta(days=5), timedelta(minutes=15)),
)
#: Open for so long, it is given up.
GIVEN_UP = timedelta(days=5)
DAILY = timedelta(days=1)
JITTER = 0.1
#: Whoever probes has so long; then another worker may.
PROBE_LEASE = timedelta(minutes=1)
#: What a platform may ask for at most: an opt-out waits for no longer than this, whatever it says.
LONGEST_PAUSE = timedelta(days=1)
#: A place in the line of the rate limit is given to whom it takes no longer (seconds); others come back.
LONGEST_WAIT = 2.0
#: Rows that one statement makes due: a save of the same contact waits for it.
AT_ONCE = 1_000
#: Failures that are the platform's and not the row's.
PLATFORMS_FAULT = (Outcome.RETRY, Outcome.RATE_LIMITED, Outcome.MISCONFIGURED)


@dataclass(frozen=True, slots=True)
class Gate:
    """What a worker may do to a backend now."""

    #: Calls may be made.
    open: bool
    #: One call only, to see whether the platform is back. Say what became of it: `answered`, `unanswered`,
    #: `misconfigured` or `pause`; `unused` where there was nothing to call for.
    probe: bool = False
    #: It was given up: nothing but opt-outs.
    opt_outs_only: bool = False
    #: Something is due that may be sent; without, there is nothing to claim.
    due: bool = True


SHUT = Gate(open=False, due=False)


def enter(alias: str, now: datetime) -> Gate:
    """Leave a heartbeat, and ask what may be done now. One SELECT where nothing is to be done."""
    found = list(Lane.objects.raw(_LOOK.format(**_tables()), [alias, _moment(now)] * 2 + [alias]))
    lane: Any = found[0] if found else None
    if lane is None or lane.seen_at is None or not now - HEARTBEAT < lane.seen_at <= now:
        _write(Lane(backend=alias, seen_at=now), ["seen_at"])
    if lane is None:
        return Gate(open=True)
    given_up = lane.disabled_at is not None
    due = bool(lane.no_is_due or (lane.yes_is_due and not given_up))
    if lane.paused_until is not None and lane.paused_until > now + 2 * LONGEST_PAUSE:
        # Nobody pauses for so long: a clock was wrong, and no opt-out is to wait until it is right.
        Lane.objects.filter(backend=alias, paused_until=lane.paused_until).update(paused_until=None)
    elif lane.paused_until is not None and lane.paused_until > now:
        return SHUT
    if lane.open_since is not None:
        return _probe(alias, now, due=due, given_up=given_up)
    if _too_soon(lane, now):
        return SHUT
    return Gate(open=True, opt_outs_only=given_up, due=due)


def answered(alias: str, now: datetime) -> bool:
    """The platform took a call. Returns True where the breaker was open and is closed by this, by nobody else.

    What failed by the platform's fault is due at once then. Cheap enough to be said after every call; once a round, and
    after a call that was not answered, is enough.
    """
    lane = Lane.objects.filter(backend=alias).only("failures", "open_since", "done_at").first()
    if lane is None:
        _write(Lane(backend=alias, done_at=now), ["done_at"])
        return False
    if lane.open_since is None:
        if lane.failures or lane.done_at is None or not now - HEARTBEAT < lane.done_at <= now:
            Lane.objects.filter(backend=alias, open_since=None).update(failures=0, done_at=now)
        return False
    # Before it is closed: a worker that dies in between leaves it to the next probe, and nothing waits until tomorrow.
    made_due = _recover(alias, now)
    closed = Lane.objects.filter(backend=alias, open_since__isnull=False).update(
        open_since=None, failures=0, paused_until=None, code="", done_at=now
    )
    if closed:
        logger.warning("delivery to %s: it answers again; %d deliveries made due", alias, made_due)
    return bool(closed)


def unanswered(alias: str, now: datetime, code: str) -> bool:
    """A call came to nothing (`Outcome.RETRY`). Returns True where the platform is to be left alone now."""
    return _failed(alias, now, code, FAILURES)


def misconfigured(alias: str, now: datetime, code: str) -> None:
    """The platform refuses us as a whole, or we cannot call it: a person must mend something."""
    _failed(alias, now, code, 1)


def unused(alias: str, now: datetime) -> None:
    """Give back the call of `Gate.probe`: there was nothing to make it for."""
    Lane.objects.filter(backend=alias, open_since__isnull=False).update(paused_until=now + PROBES[0][1])


def pause(alias: str, until: datetime, code: str) -> None:
    """Leave a backend alone until then: it asked for it. Of two wishes the later one holds; none for more than a day."""
    until = min(until, timezone.now() + LONGEST_PAUSE)
    with connection.cursor() as cursor:
        cursor.execute(_PAUSE.format(**_tables()), [alias, _moment(until), _word(code)])


def reopen(aliases: Iterable[str]) -> None:
    """Try these backends now, whatever they asked for, and however long they have been away."""
    Lane.objects.filter(backend__in=list(aliases)).update(
        paused_until=None, code="", failures=0, open_since=None, disabled_at=None
    )


def slot(alias: str, rate: Rate, now: datetime) -> float:
    """Take the next place in the line of calls: how many seconds to wait for it.

    More than `LONGEST_WAIT`: no place was taken, come back then.
    """
    step = timedelta(milliseconds=math.ceil(rate.seconds * 1000 / rate.calls))
    last = now + timedelta(seconds=LONGEST_WAIT)
    # Places that nobody took a moment ago are still to be had, where the platform bears it.
    first = now - rate.burst * step
    # A moment that nobody can have reserved was written by a clock that was wrong.
    nonsense = last + step + timedelta(minutes=1)
    sql = (_SLOT_POSTGRESQL if connection.vendor == "postgresql" else _SLOT_SQLITE).format(**_tables())
    taken = list(
        Lane.objects.raw(
            sql,
            [
                alias, _moment(now + step),
                _moment(first), _moment(nonsense), _moment(first + step), step.total_seconds(),
                _moment(last), _moment(nonsense),
            ],
        )
    )  # fmt: skip
    if not taken:
        next_ = Lane.objects.values_list("next_call_at", flat=True).get(backend=alias)
        ahead = (next_ - now).total_seconds() if next_ else 0.0
        return max(ahead, LONGEST_WAIT + 0.001)
    reserved = taken[0].next_call_at or now
    return max((reserved - step - now).total_seconds(), 0.0)


# --- the breaker ------------------------------------------------------------------------------------------------------


def _probe(alias: str, now: datetime, *, due: bool, given_up: bool) -> Gate:
    """One worker at a time may try one call; where nothing is due, what failed last is tried before its time."""
    waiting = None
    if not due:
        waiting = (
            Delivery.objects.filter(_PLATFORMS, backend=alias, due_at__isnull=False)
            .filter(restricts__in=(True,) if given_up else (True, False))
            .order_by("-restricts", "due_at")
            .values_list("pk", flat=True)
            .first()
        )
        if waiting is None:
            return SHUT
    ours = Lane.objects.filter(backend=alias, open_since__isnull=False).filter(
        Q(paused_until=None) | Q(paused_until__lte=now)
    )
    if not ours.update(paused_until=now + PROBE_LEASE):
        return SHUT
    if waiting is not None:
        Delivery.objects.filter(pk=waiting, due_at__gt=now).update(due_at=now)
    return Gate(open=True, probe=True, opt_outs_only=given_up)


def _failed(
    alias: str,
    now: datetime,
    code: str,
    most: int,
    *,
    uniform: Callable[[float, float], float] = random.uniform,
) -> bool:
    jitter = uniform(1 - JITTER, 1 + JITTER)
    word = _word(code)
    first = _moment(now + PROBES[0][1] * jitter)
    opened = _moment(now) if most <= 1 else None
    parameters: list[Any] = [
        alias, _moment(now), word, word if opened else "", opened, first if opened else None,  # no lane yet
        most, _moment(now),  # open_since
        _moment(now - GIVEN_UP), _moment(now),  # disabled_at
        most, word,  # code
        most, first, first,  # paused_until: still shut, or shut by this one
        _moment(now - GIVEN_UP), _moment(now + DAILY * jitter),
        *(_moment(moment) for age, wait in PROBES for moment in (now - age, now + wait * jitter)),
        first,
    ]  # fmt: skip
    # Read to the end, or SQLite would not have finished.
    (lane,) = list(Lane.objects.raw(_FAILED.format(**_tables()), parameters))
    if lane.disabled_at == now:
        logger.error("delivery to %s: given up after %d days (%s)", alias, GIVEN_UP.days, word)
    elif lane.open_since == now:
        logger.warning("delivery to %s: it is away (%s); trying again from time to time", alias, word)
    return lane.open_since is not None


def _recover(alias: str, now: datetime) -> int:
    """Make due what failed by the platform's fault; of a backend that was given up, the opt-outs alone."""
    # What is locked is being saved or settled at this moment; waiting for it could be a deadlock.
    lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    sql = _RECOVER.format(**_tables(), lock=lock)
    made_due = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, [alias, _moment(now), *PLATFORMS_FAULT, alias, AT_ONCE, _moment(now)])
            # Counted by what comes back: SQLite's driver knows no row count of a statement that begins with WITH.
            found = len(cursor.fetchall())
        made_due += found
        if found < AT_ONCE:
            return made_due


def _too_soon(lane: Lane, now: datetime) -> bool:
    """The next place in the line of calls is so far away that nobody waits for it."""
    ahead = (lane.next_call_at - now).total_seconds() if lane.next_call_at else 0.0
    return LONGEST_WAIT < ahead <= LONGEST_PAUSE.total_seconds()


_PLATFORMS = Q(failing_since__isnull=False, last_outcome__in=PLATFORMS_FAULT)

# Two ranges of the index instead of all that is ever due: a million pauses that end some day are not walked over.
_LOOK = """SELECT {lane}.*,
    EXISTS (SELECT 1 FROM {delivery} WHERE backend = %s AND restricts = TRUE AND due_at <= %s) AS no_is_due,
    EXISTS (SELECT 1 FROM {delivery} WHERE backend = %s AND restricts = FALSE AND due_at <= %s) AS yes_is_due
FROM {lane} WHERE backend = %s"""

_FAILED = """INSERT INTO {lane} AS kept
    (backend, failures, failed_at, last_code, code, open_since, paused_until, alarms)
VALUES (%s, 1, %s, %s, %s, %s, %s, '{{}}')
ON CONFLICT (backend) DO UPDATE SET
    failures = kept.failures + 1,
    failed_at = excluded.failed_at,
    last_code = excluded.last_code,
    open_since = CASE
        WHEN kept.open_since IS NOT NULL THEN kept.open_since
        WHEN kept.failures + 1 >= %s THEN %s END,
    disabled_at = CASE
        WHEN kept.disabled_at IS NOT NULL THEN kept.disabled_at
        WHEN kept.open_since <= %s THEN %s END,
    code = CASE WHEN kept.open_since IS NOT NULL OR kept.failures + 1 >= %s THEN %s ELSE kept.code END,
    paused_until = CASE
        WHEN kept.open_since IS NULL AND (kept.failures + 1 < %s OR kept.paused_until > %s) THEN kept.paused_until
        WHEN kept.open_since IS NULL THEN %s
        WHEN kept.disabled_at IS NOT NULL OR kept.open_since <= %s THEN %s
        WHEN kept.open_since > %s THEN %s
        WHEN kept.open_since > %s THEN %s
        WHEN kept.open_since > %s THEN %s
        WHEN kept.open_since > %s THEN %s
        ELSE %s END
RETURNING *"""

_PAUSE = """INSERT INTO {lane} AS kept (backend, failures, last_code, paused_until, code, alarms)
VALUES (%s, 0, '', %s, %s, '{{}}')
ON CONFLICT (backend) DO UPDATE SET
    paused_until = CASE WHEN kept.open_since IS NULL AND kept.paused_until > excluded.paused_until
        THEN kept.paused_until ELSE excluded.paused_until END,
    failures = CASE WHEN kept.open_since IS NULL THEN 0 ELSE kept.failures END,
    code = excluded.code"""

_SLOT = """INSERT INTO {{lane}} AS kept (backend, failures, last_code, next_call_at, code, alarms)
VALUES (%s, 0, '', %s, '', '{{{{}}}}')
ON CONFLICT (backend) DO UPDATE SET next_call_at = CASE
    WHEN kept.next_call_at IS NULL OR kept.next_call_at <= %s OR kept.next_call_at > %s THEN %s
    ELSE {later} END
WHERE kept.next_call_at IS NULL OR kept.next_call_at <= %s OR kept.next_call_at > %s
RETURNING *"""
_SLOT_POSTGRESQL = _SLOT.format(later="kept.next_call_at + %s * interval '1 second'")
# SQLite reckons in milliseconds, and so is a step.
_SLOT_SQLITE = _SLOT.format(
    later="strftime('%%Y-%%m-%%d %%H:%%M:%%f', kept.next_call_at, printf('+%%.3f seconds', %s))"
)

_RECOVER = """WITH failed AS MATERIALIZED (
    SELECT id FROM {delivery}
    WHERE backend = %s AND due_at > %s AND failing_since IS NOT NULL AND last_outcome IN (%s, %s, %s)
        AND (restricts = TRUE OR NOT EXISTS (SELECT 1 FROM {lane} WHERE backend = %s AND disabled_at IS NOT NULL))
    LIMIT %s {lock}
)
UPDATE {delivery} SET due_at = %s WHERE id IN (SELECT id FROM failed) RETURNING id"""


def _tables() -> dict[str, str]:
    quote = connection.ops.quote_name
    return {"lane": quote(Lane._meta.db_table), "delivery": quote(Delivery._meta.db_table)}


def _moment(moment: datetime) -> Any:
    return Lane._meta.get_field("seen_at").get_db_prep_value(moment, connection)


def _word(code: str) -> str:
    """A code as every database takes it: backends are anybody's code."""
    return code.replace("\0", "").encode(errors="ignore").decode()[:128]


def _write(lane: Lane, fields: list[str]) -> None:
    Lane.objects.bulk_create([lane], update_conflicts=True, unique_fields=["backend"], update_fields=fields)
