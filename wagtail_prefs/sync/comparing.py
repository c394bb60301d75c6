"""Reading platforms back and comparing them with what we hold: a sample every night, everybody when asked, and a report
per field. It holds no values, only counts and a few contacts (`drift`).

Who is looked at: contacts the platform was told of and for whom nothing waits - what is late has not drifted. They are
walked in the order of their ids; a run is one worker's for a while (`busy_until`), goes on after a kill where it was,
stands in the same line of calls as deliveries do, and leaves a platform alone that is away.

Putting right is always toward less mail (security.md BK-07). Where somebody gets more there than here, she is delivered
once more. Where she gets less there, that goes the way of what platforms tell us (`arrivals`), so that her own newest act
wins, as of the moment before the look. Where both are so, the second comes first. What is not known there is only counted:
silence is no withdrawal.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from ..backends.base import Backend, PlatformError, Unsupported
from ..backends.registry import backends
from ..conf import conf
from ..contacts.services import load_targets
from ..delivery import lanes, rows
from ..delivery.drain import never
from ..delivery.jobs import RATE_LIMIT_PAUSE
from ..delivery.models import Delivery, Lane
from ..values import Identifiers, Inbound, InboundEvent, Json, Outcome, ReadBack, RemoteState, Target
from . import arrivals
from .drift import Difference, Kind, compare, compare_with
from .inbound import work_off_arrivals
from .models import Arrival, DriftRun

logger = logging.getLogger("wagtail_prefs.drift")

#: People in a step, and ids that a step looks through to draw a sample.
CHUNK, PAGE = 50, 5_000
#: How long a step is one worker's; it ends long before.
LEASE = timedelta(minutes=5)
#: Seconds after which a step ends: the same worker has other chores.
SECONDS = 2.0
#: What is looked at by itself, how often, and between which hours.
SAMPLE, DAILY, NIGHT = 1_000, timedelta(hours=20), range(1, 6)
#: How long a run waits for a platform that does not answer, and for one that a person must mend.
AWAY, MISCONFIGURED = timedelta(minutes=1), timedelta(minutes=15)
#: An act of hers counts as newer than a look that was begun up to so long after it: saves take a moment.
SAVING = timedelta(minutes=1)
#: What platforms with `ReadBack.EVENTUAL` say means something so long after the last delivery.
SETTLED = timedelta(minutes=10)
#: Contacts that a report names for each field, and fields that it knows.
NAMED, FIELDS = 20, 200
#: A run that began by itself puts no more right where so many get less of one field, and more than this part of all: that
#: is a list that was deleted, not people who left.
MANY, PART = 20, 0.1
#: How long reports are kept.
KEPT = timedelta(days=90)
#: Seconds between two looks of a process whether a run is to begin; the first one for a sample is so long after its start.
POLLED_EVERY, SAMPLED_EVERY = 60.0, 600.0

_looked = {"polled": -math.inf, "sampled": time.monotonic()}


class Running(Exception):
    """A comparison of this backend is under way."""


class NotReadable(Exception):
    """This backend cannot be read back."""


# --- runs -------------------------------------------------------------------------------------------------------------


def start(alias: str, by: str = "", *, sample: int = 0, repairs: bool = False, against: str = "") -> DriftRun:
    """Begin to compare a backend with what we hold, or with another; the worker carries it out.

    `sample` is about how many people to look at, 0: everybody. Raises Running, NotReadable, and ValueError for a
    comparison of two platforms that is to repair: neither is what she said.
    """
    if against and repairs:
        raise ValueError("two platforms are compared, and none repaired")
    for one in filter(None, (alias, against)):
        if not is_readable(one):
            raise NotReadable(one)
    total = Delivery.objects.filter(backend=alias, delivered__gt=0).count()
    try:
        with transaction.atomic():
            return DriftRun.objects.create(
                backend=alias, against=against, started_by=by, sample=sample, repairs=repairs, total=total
            )
    except IntegrityError as error:
        raise Running(alias) from error


def stop(alias: str) -> bool:
    """End a comparison before its end; returns whether there was one."""
    return bool(
        running().filter(backend=alias).update(finished_at=timezone.now(), code="stopped", busy_until=None)
    )


def running() -> QuerySet[DriftRun]:
    return DriftRun.objects.filter(finished_at=None)


def is_readable(alias: str) -> bool:
    """Whether a backend can be read back; False for one whose settings cannot be used."""
    try:
        return backends[alias].capabilities.read_back is not ReadBack.NONE
    except Exception:  # noqa: BLE001 - a backend is anybody's code, its settings anybody's typing
        return False


# --- by itself --------------------------------------------------------------------------------------------------------


def compare_backends() -> int:
    """Go on with every comparison, and begin those that are due; returns how many people were looked at.

    For the worker: one SELECT where nothing is to do.
    """
    _begin()
    checked = 0
    for run in running().order_by("pk"):
        if run.backend in conf.backends:
            before = run.checked
            _guarded(run)
            checked += run.checked - before
    return checked


def _guarded(run: DriftRun) -> None:
    """A step; what goes wrong with this backend must not end the worker's other chores."""
    try:
        step(run)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - a backend is anybody's code
        code = f"failed-{type(error).__name__}"
        logger.error("compared %s: %s", run.backend, code)  # noqa: TRY400 - its text may hold anything
        later = timezone.now() + MISCONFIGURED
        DriftRun.objects.filter(pk=run.pk, finished_at=None).update(code=code[:128], busy_until=later)


def _begin() -> None:
    now = time.monotonic()
    if now - _looked["polled"] >= POLLED_EVERY:
        _looked["polled"] = now
        begin_due(polled=True)
    if now - _looked["sampled"] >= SAMPLED_EVERY:
        _looked["sampled"] = now
        DriftRun.objects.filter(finished_at__lt=timezone.now() - KEPT).delete()
        begin_due(polled=False)


def begin_due(*, polled: bool) -> int:
    """Begin the comparisons that come by themselves; how many.

    `polled`: of everybody, of platforms that tell us of nothing and must be asked for each person. Else a sample, at
    night, of those whose answers can be trusted.
    """
    now = timezone.now()
    if not polled and timezone.localtime(now).hour not in NIGHT:
        return 0
    aliases = [alias for alias in backends if _comes_by_itself(alias, polled=polled)]
    if not aliases:
        return 0
    lately = Q(finished_at=None) | Q(started_at__gt=now - DAILY, started_by=DriftRun.AUTOMATIC)
    known = set(DriftRun.objects.filter(lately, backend__in=aliases).values_list("backend", flat=True))
    begun = 0
    for alias in aliases:
        if alias in known:
            continue
        try:
            start(alias, DriftRun.AUTOMATIC, sample=0 if polled else SAMPLE, repairs=True)
        except (Running, NotReadable):
            continue
        begun += 1
    return begun


def _comes_by_itself(alias: str, *, polled: bool) -> bool:
    if not is_readable(alias):
        return False
    backend = backends[alias]
    if backend.capabilities.inbound is Inbound.POLL and type(backend).poll is Backend.poll:
        return polled
    return not polled and backend.capabilities.read_back is ReadBack.STRONG


# --- one step ---------------------------------------------------------------------------------------------------------


class _Wait(Exception):
    """The platform is not to be asked now."""

    def __init__(self, code: str, wait: timedelta, *, hers: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.wait = wait
        self.hers = hers  # it may be about this person alone


class _Skip(Exception):
    """This person cannot be read."""


class _End(Exception):
    """Nobody can."""


@dataclass(slots=True)
class _Found:
    """What a step came to."""

    last: UUID | None
    ended: bool = False
    checked: int = 0
    differing: int = 0
    unknown: int = 0
    failed: int = 0
    fields: dict[str, Json] = field(default_factory=dict)
    again: set[UUID] = field(default_factory=set)
    later: set[UUID] = field(default_factory=set)  # again, when what is stricter there was looked at
    events: list[InboundEvent] = field(default_factory=list)
    code: str = ""
    wait: timedelta | None = None


def step(run: DriftRun, seconds: float = SECONDS, stopping: Callable[[], bool] = never) -> bool:
    """Look at the next people, for so many seconds at most; whether anything was done. `run` is brought up to date."""
    now = timezone.now()
    token = now + LEASE
    free = Q(busy_until=None) | Q(busy_until__lte=now)
    if not DriftRun.objects.filter(free, pk=run.pk, finished_at=None).update(busy_until=token):
        run.refresh_from_db()
        return False
    held = DriftRun.objects.filter(pk=run.pk, busy_until=token, finished_at=None)
    run.refresh_from_db()
    found = _Found(run.last, code=run.code)
    try:
        _Step(run, found, time.monotonic() + seconds, stopping).look()
        _write(run, held, found, now)
    finally:
        held.update(busy_until=None)  # whatever happened
    if found.later:
        _after_arrivals(run.backend, found.later)
    run.refresh_from_db()
    return True


def _write(run: DriftRun, held: QuerySet[DriftRun], found: _Found, began: datetime) -> None:
    alias, now = run.backend, timezone.now()
    fields = _sum(run.fields, found.fields)
    repairs = run.repairs
    if repairs and run.started_by == DriftRun.AUTOMATIC and _too_many(fields, run.checked + found.checked):
        repairs = False
        found.code = "too-many"
        found.later.clear()
        logger.error("compared %s: too many get less there than here; a person must look", alias)
    with transaction.atomic():
        written = held.update(
            last=found.last,
            checked=run.checked + found.checked,
            differing=run.differing + found.differing,
            unknown=run.unknown + found.unknown,
            failed=run.failed + found.failed,
            fields=fields,
            repairs=repairs,
            repaired=run.repaired + (len(found.again) + len(found.events) if repairs else 0),
            code=found.code[:128],
            finished_at=now if found.ended else None,
            busy_until=now + found.wait if found.wait and not found.ended else None,
        )
        if written and repairs:
            arrivals.keep(alias, found.events, now=began - SAVING)
            rows.deliver_again(alias, found.again, now)
    if not written:  # stopped, or another worker's by now
        found.later.clear()


def _after_arrivals(alias: str, contacts: set[UUID]) -> None:
    """Deliver again whom the platform gives more of one thing and less of another, when the latter is recorded: else we
    would talk it out of it. What waits comes up at the next comparison.
    """
    work_off_arrivals()
    if not Arrival.objects.filter(backend=alias, state=Arrival.WAITING).exists():
        rows.deliver_again(alias, contacts, timezone.now())


def _too_many(fields: Json, checked: int) -> bool:
    most = max((sums[Kind.STRICTER] for sums in fields.values()), default=0)
    return most >= MANY and most > checked * PART


def _sum(one: Json, other: Json) -> Json:
    found = {name: {**sums, "contacts": list(sums["contacts"])} for name, sums in one.items()}
    for name, sums in other.items():
        if name not in found:
            if len(found) >= FIELDS:
                continue
            found[name] = _nothing()
        for kind in Kind:
            found[name][kind.value] += sums[kind.value]
        found[name]["contacts"] = (found[name]["contacts"] + sums["contacts"])[:NAMED]
    return found


def _nothing() -> Json:
    return {**{kind.value: 0 for kind in Kind}, "contacts": []}


class _Step:
    """The next people of a run, while they are looked at."""

    def __init__(self, run: DriftRun, found: _Found, ends: float, stopping: Callable[[], bool]) -> None:
        self.run = run
        self.found = found
        self.ends = ends
        self.stopping = stopping
        self.failed_before = bool(run.code) and run.code != "too-many"

    def look(self) -> None:
        found = self.found
        try:
            if self.failed_before:
                found.code = ""
            asked = [self._backend(alias) for alias in filter(None, (self.run.backend, self.run.against))]
            for contact, told in self._people():
                if told is not None:
                    if self.stopping() or time.monotonic() > self.ends:
                        return
                    self._one(told, asked)
                found.last = contact
        except _Wait as wait:
            found.code, found.wait = wait.code, wait.wait
        except _End as end:
            found.code, found.ended = str(end), True

    def _backend(self, alias: str) -> Backend:
        """Raises _Wait where it is not to be asked now."""
        now = timezone.now()
        try:
            backend = backends[alias]
        except Exception as error:
            raise _Wait(f"unusable-{type(error).__name__}", MISCONFIGURED) from error
        lane = Lane.objects.filter(backend=alias).first()
        if lane is not None:
            if lane.open_since is not None:
                raise _Wait("away", AWAY)
            if lane.paused_until is not None and lane.paused_until > now:
                raise _Wait("asked-to-wait", min(lane.paused_until - now, MISCONFIGURED))
        return backend

    def _people(self) -> Iterator[tuple[UUID, dict[str, Any] | None]]:
        """The next contacts with what is needed to look at them; None: she is not looked at. Ends `found` with the last."""
        run = self.run
        sampled = 0 < run.sample < run.total
        size = PAGE if sampled else CHUNK
        of_backend = Delivery.objects.filter(backend=run.backend)
        if run.last is not None:
            of_backend = of_backend.filter(contact__gt=run.last)
        page = list(of_backend.order_by("contact").values_list("contact", flat=True)[:size])
        drawn = [one for one in page if not sampled or _drawn(run.pk, one, run.sample / run.total)][:CHUNK]
        told = self._told(drawn)
        for contact in drawn:
            yield contact, told.get(contact)
        if len(drawn) < CHUNK or (drawn and drawn[-1] == page[-1]):
            # None of those behind the last one was drawn.
            if page:
                self.found.last = page[-1]
            self.found.ended = len(page) < size

    def _told(self, contacts: list[UUID]) -> dict[UUID, dict[str, Any]]:
        """Of these, those whose platforms should know them as they are, with target and rows by alias."""
        if not contacts:
            return {}
        aliases = [alias for alias in (self.run.backend, self.run.against) if alias]
        settled = Delivery.objects.exclude(rows.BEHIND).filter(backend__in=aliases, contact__in=contacts)
        late = Q()
        for alias in aliases:
            if backends[alias].capabilities.read_back is ReadBack.EVENTUAL:
                late |= Q(backend=alias, delivered_at__gt=timezone.now() - SETTLED)
        of: dict[UUID, dict[str, Delivery]] = {}
        for row in (settled.exclude(late) if late else settled).filter(delivered__gt=0):
            of.setdefault(row.contact, {})[row.backend] = row
        # After the rows: what they say is then of these targets, or of older ones.
        targets = load_targets(contact for contact, held in of.items() if len(held) == len(aliases))
        return {
            contact: {"target": target, "rows": of[contact]}
            for contact, target in targets.items()
            # Who was merged has an address that is another's by now.
            if not target.state.erased and target.state.merged_into is None and not target.unreadable
            if all(row.delivered >= target.state.version for row in of[contact].values())
        }

    def _one(self, told: dict[str, Any], asked: list[Backend]) -> None:
        found = self.found
        target: Target = told["target"]
        try:
            answers = [self._read(backend, target, told["rows"][backend.alias]) for backend in asked]
            differences = self._differences(target, answers, asked)
        except _Skip:
            found.failed += 1
            return
        except _Wait as wait:
            # Once more for her, and then without her: one person must not stop it for ever.
            if wait.hers and self.failed_before:
                self.failed_before = False
                found.failed += 1
                return
            raise
        self.failed_before = False
        found.checked += 1
        if differences is None:
            found.unknown += 1
        elif differences:
            self._note(target, told["rows"][self.run.backend], differences)

    def _differences(
        self, target: Target, answers: list[RemoteState | None], asked: list[Backend]
    ) -> list[Difference] | None:
        remote = answers[0]
        if remote is None:
            return None if len(answers) == 1 or answers[1] is not None else []
        try:
            if len(asked) == 1:
                return compare(target, remote, asked[0].capabilities, asked[0].maps, timezone.now())
            if answers[1] is None:
                return []
            one, other = asked
            return compare_with(
                remote, answers[1], (one.capabilities, other.capabilities), (one.maps, other.maps)
            )
        except DatabaseError:
            raise
        except Exception as error:
            logger.warning(
                "compared %s: its answer cannot be read (%s)", self.run.backend, type(error).__name__
            )
            raise _Skip from error

    def _read(self, backend: Backend, target: Target, row: Delivery) -> RemoteState | None:
        self._wait_for_place(backend)
        if row.remote_id:
            remote = {**target.identifiers.remote, backend.alias: row.remote_id}
            target = replace(target, identifiers=replace(target.identifiers, remote=remote))
        try:
            return backend.read(target)
        except Unsupported as error:
            raise _End("cannot-be-read") from error
        except PlatformError as error:
            raise self._failure(backend, error) from error
        except DatabaseError:
            raise
        except Exception as error:
            # The type and not the text, which may hold what must not be logged.
            logger.warning("compared %s: crash-%s", backend.alias, type(error).__name__)
            raise _Wait(f"crash-{type(error).__name__}", AWAY, hers=True) from error

    def _failure(self, backend: Backend, error: PlatformError) -> Exception:
        asked = (
            error.retry_after if error.retry_after is not None and math.isfinite(error.retry_after) else 0.0
        )
        wait = timedelta(seconds=min(max(asked, 0.0), 86_400.0))
        match error.outcome:
            case Outcome.RATE_LIMITED:
                wait = wait or RATE_LIMIT_PAUSE
                lanes.pause(backend.alias, timezone.now() + wait, error.code)
                return _Wait(error.code, wait)
            case Outcome.MISCONFIGURED:
                return _Wait(error.code, max(wait, MISCONFIGURED))
            case Outcome.RETRY:
                return _Wait(error.code, max(wait, AWAY), hers=True)
            case _:
                return _Skip()

    def _wait_for_place(self, backend: Backend) -> None:
        rate = backend.capabilities.rate
        if rate is None:
            return
        wait = lanes.slot(backend.alias, rate, timezone.now())
        if wait > lanes.LONGEST_WAIT:
            raise _Wait("rate", timedelta(seconds=min(wait, AWAY.total_seconds())))
        time.sleep(wait)

    def _note(self, target: Target, row: Delivery, differences: list[Difference]) -> None:
        found, contact = self.found, target.state.id
        found.differing += 1
        for difference in differences:
            sums = found.fields.setdefault(difference.field[:160], _nothing())
            sums[difference.kind.value] += 1
            if len(sums["contacts"]) < NAMED:
                sums["contacts"].append(str(contact))
        if not self.run.repairs:
            return
        # A platform that asks her first says no until she has answered: that is no act of hers.
        asked = row.last_outcome == Outcome.NEEDS_CONFIRMATION
        changes = tuple(
            difference.change
            for difference in differences
            if difference.change is not None and not (asked and difference.field.startswith("choice:"))
        )
        if changes:
            who = Identifiers(remote={self.run.backend: str(contact)})  # exactly her
            found.events.append(InboundEvent(f"drift-{self.run.pk}-{contact.hex}", who, changes))
        if any(difference.kind is Kind.LOOSER for difference in differences):
            keeps_less = any(difference.kind is Kind.STRICTER for difference in differences)
            (found.later if keeps_less else found.again).add(contact)


def _drawn(run: int, contact: UUID, part: float) -> bool:
    """Whether a contact is of a run's sample: the same answer every time, for whoever goes on with it."""
    digest = hashlib.blake2b(f"{run}:{contact.hex}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < part * 2**64
