"""One round of deliveries to one backend: claim, load, plan, call, settle.

What is sent is always today's state, never a stored message: so an opt-in that a later opt-out overtook cannot be
sent, however long it waited. Before each call the rows are read again; those that moved on, or that another worker
took over, are left for the next round. docs/explanation/delivery.md tells the whole of it.
"""

from __future__ import annotations

import gc
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError
from django.utils import timezone

from ..backends.base import Backend, PlatformError, Unsupported
from ..backends.registry import backends
from ..conf import conf
from ..contacts.services import load_targets
from ..values import Identifiers, Operation, Outcome, Result, Target, iso
from . import counts, lanes, retiring, rows
from .jobs import DAY, LATER, RATE_LIMIT_PAUSE, Erasure, Job, Look, agrees, sound, verdict
from .rows import Leased
from .since import History, Since, holds_a_no

logger = logging.getLogger("wagtail_prefs.delivery")

#: Calls in one round: what is claimed should be done before its lease ends, even one contact a call.
CALLS_A_ROUND = 50
#: How long a call may take whose backend does not say (`TIMEOUT` of its options), and what its note needs on top.
CALL_SECONDS = 10.0
MARGIN = timedelta(seconds=2)
#: How often a worker that waits for its place in the line of calls looks whether it is to stop (seconds).
LOOK_UP = 0.05
#: Who has failed so often is no sign that the platform is away: it answers others. Else a handful of opt-outs on which it
#: chokes would open the breaker in every round, before anybody else's turn.
OWN_FAULT = 3
#: But no more calls of that kind in a round.
MOST_CHOKED = 20

Batch = list[tuple[Job, Operation]]

#: alias -> size of calls, where a round ended while it looked for what a platform refuses: the next goes on from there.
_smaller: dict[str, int] = {}


@dataclass(slots=True)
class Tally:
    """What a round came to."""

    claimed: int = 0
    done: int = 0
    failed: int = 0


def deliver(alias: str, limit: int | None = None, stopping: Callable[[], bool] = lambda: False) -> Tally:
    """One round for one backend. `stopping` is asked before every call; what was not sent then stays due."""
    now = timezone.now()
    gate = lanes.enter(alias, now)
    if not (gate.open and gate.due):
        return Tally()
    backend = backends[alias]
    size = max(backend.capabilities.batch_size, 1)
    most = min(conf.delivery_batch, size if gate.probe else size * CALLS_A_ROUND)
    if limit is not None:
        most = min(most, limit)
    this = _Round(backend, stopping, probe=gate.probe)
    tally = this.run(now, most, strict=gate.opt_outs_only)
    if gate.probe and not this.called:
        lanes.unused(alias, timezone.now())
    counts.count(alias, tally.done, tally.failed)
    return tally


class _Round:
    """The state of one round."""

    def __init__(self, backend: Backend, stopping: Callable[[], bool], *, probe: bool) -> None:
        self.backend = backend
        self.probe = probe
        self.stopping = stopping
        self.lease: UUID = uuid4()
        self.leased_until = timezone.now()
        self.longest_call = timedelta(seconds=float(backend.options.get("TIMEOUT") or CALL_SECONDS)) + MARGIN
        self.tally = Tally()
        self.leased: set[int] = set()
        self.said: set[int] = set()  # rows that the platform may have heard something of
        self.called = False
        self.has_answered = False
        self.choked = 0  # calls that failed, and were not held against the platform
        self.closed = False

    def run(self, now: datetime, limit: int, *, strict: bool) -> Tally:
        self.leased_until = now + conf.delivery_lease
        claimed = rows.claim(
            self.backend.alias, self.lease, now=now, until=self.leased_until, limit=limit, strict=strict
        )
        self.tally.claimed = len(claimed)
        self.leased = {row.id for row in claimed}
        try:
            jobs = [Job(row) for row in claimed]
            with unhurried_gc():
                self._plan(jobs)
            for batch in self._batches(jobs):
                if not self._send(batch):
                    break
        finally:
            # Whatever happened: what was not settled stays due, and nobody has to wait for the lease to end.
            if self.leased:
                rows.release(self.lease, self.leased, self.said & self.leased)
        return self.tally

    # --- plan --------------------------------------------------------------------------------------------------------

    def _plan(self, jobs: list[Job]) -> None:
        targets = load_targets(job.row.contact for job in jobs)
        history = History((job.row.contact, job.row.delivered) for job in jobs)
        told = rows.told(looking) if (looking := [job.row.id for job in jobs if job.row.checking]) else {}
        for job in jobs:
            target = targets.get(job.row.contact)
            if target is not None:
                job.target = _of_row(target, job.row)
        retired = _Retired(self.backend, [job for job in jobs if job.row.retired])
        for job in jobs:
            retired.apply(job)
            if job.target is None or job.gone:
                self._plan_to_forget(job, retired.to_forget(job))
            elif job.target.unreadable:
                self._fail(job, "read", Outcome.RETRY, "unreadable", restricts=job.row.restricts)
            elif job.row.checking and told.get(job.row.id) == job.sent:
                self._plan_to_look(job, job.target)
            else:
                self._plan_one(job, job.target, history)
            if job.row.id in retired.unreadable:
                self._note_unreadable(job)
        # Nothing to say, or no way to say it.
        self._settle([job for job in jobs if job.finished])

    def _plan_one(self, job: Job, target: Target, history: History) -> None:
        row, state = job.row, target.state
        restricts = row.restricts or holds_a_no(state, row.delivered)
        try:
            since = Since(
                history,
                state.id,
                state.version,
                restricts=restricts,
                after=row.delivered,
                moved=bool(row.retired),
            )
            job.operations = list(self.backend.plan(target, since))
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - a backend is anybody's code; one contact must not stop the others
            self._fail(job, "plan", Outcome.RETRY, f"plan-{type(error).__name__}", restricts=restricts)

    def _plan_to_forget(self, job: Job, people: Sequence[Identifiers]) -> None:
        job.operations = [
            Erasure(
                self.backend.operation_key(
                    job.row.contact, f"{job.sent}.{number}" if number else job.sent, "erase"
                ),
                job.row.contact,
                job.sent,
                "erase",
                {},
                restricts=True,
                identifiers=identifiers,
            )
            for number, identifiers in enumerate(people)
        ]

    def _plan_to_look(self, job: Job, target: Target) -> None:
        contact, version, restricts = job.row.contact, job.sent, job.row.restricts
        key = self.backend.operation_key(contact, version, "look")
        job.operations = [Look(key, contact, version, "look", {}, restricts, target=target)]

    def _note_unreadable(self, job: Job) -> None:
        """Written under a key that has left the ring: nobody can tell any more where she must not be mailed."""
        self._fail(job, "retired", Outcome.REFUSED, "unreadable", restricts=True, retry_after=DAY)

    def _fail(
        self,
        job: Job,
        kind: str,
        outcome: Outcome,
        code: str,
        *,
        restricts: bool,
        retry_after: float | None = None,
    ) -> None:
        """Let something have failed before anything was said."""
        contact, version = job.row.contact, job.sent
        key = self.backend.operation_key(contact, version, kind)
        failed = Operation(key, contact, version, kind, {}, restricts)
        job.operations = [*job.operations, failed]
        job.results.append((failed, Result(key, outcome, code[:128], retry_after)))

    def _batches(self, jobs: list[Job]) -> Iterator[Batch]:
        """Operations of one kind, opt-outs first; a contact's own in the order planned, and once a batch at most."""
        capabilities = self.backend.capabilities
        smaller = _smaller.get(self.backend.alias, capabilities.batch_size)
        groups: dict[tuple[bool, int, str, int], Batch] = {}
        for job in jobs:
            if job.finished:
                continue
            said = len(job.results)  # what failed before it was said stands at the end of the plan
            for position, operation in enumerate(job.operations[: -said or None]):
                size = min(capabilities.batch_size, self.backend.most(operation.kind), smaller)
                most = _size(job, operation, max(size, 1))
                key = (not operation.restricts, position, operation.kind, most)
                groups.setdefault(key, []).append((job, operation))
        for key in sorted(groups):
            yield from _parts(groups[key], key[-1], capabilities.batch_bytes)

    # --- call --------------------------------------------------------------------------------------------------------

    def _send(self, batch: Batch) -> bool:
        """Say a batch, in halves where the platform refuses it as a whole; whether to go on with the next."""
        parts = [batch]
        while parts:
            if self.closed or self.stopping() or not self._wait_for_place(parts[0]):
                if len(parts) > 1:
                    # Those that wait are halves of what was refused; the next round must not begin all over.
                    _smaller[self.backend.alias] = len(parts[0])
                return False
            part = parts.pop(0)
            again = self._call(part)
            middle = (len(again) + 1) // 2
            parts[:0] = [half for half in (again[:middle], again[middle:]) if half]
        _smaller.pop(self.backend.alias, None)
        return True

    def _wait_for_place(self, batch: Batch) -> bool:
        """Wait for the next place in the line of calls, where the platform has a rate limit; False where it is too far."""
        rate = self.backend.capabilities.rate
        if rate is None:
            return True
        calls = self._calls(batch)
        if calls > 1:  # a place for each of them
            rate = replace(rate, seconds=rate.seconds * calls, burst=rate.burst // calls)
        wait = lanes.slot(self.backend.alias, rate, timezone.now())
        if wait > lanes.LONGEST_WAIT:
            return False
        end = time.monotonic() + wait
        while (left := end - time.monotonic()) > 0:
            if self.stopping():
                return False
            time.sleep(min(left, LOOK_UP))
        return True

    def _calls(self, batch: Batch) -> int:
        """How many calls a batch takes."""
        operations = [operation for _, operation in batch if not isinstance(operation, Erasure | Look)]
        if not operations:
            return 1
        try:
            return max(int(self.backend.calls(operations)), 1)
        except Exception:  # noqa: BLE001 - as above; what is wrong with it is seen when they are said
            return 1

    def _call(self, batch: Batch) -> Batch:
        """Make one call, and note what was answered; returns what the platform refused as a whole."""
        # What failed for a contact is tried again as a whole; a refusal stops nothing but itself.
        batch = [(job, operation) for job, operation in batch if not job.finished]
        if not batch:
            return []
        now = timezone.now()
        self._renew(now)
        held = rows.held(self.lease, [job.row.id for job, _ in batch], now)
        # Another worker's by now, after we had said a part of it.
        self._lost([job for job, _ in batch if job.row.id not in held and job.results])
        batch = [
            (job, operation)
            for job, operation in batch
            if job.row.id in held and held[job.row.id] <= job.sent
        ]
        if not batch:
            return []
        self.called = True
        self.said.update(job.row.id for job, _ in batch)
        answers = self._answers(batch)
        self._watch(list(answers.values()), own_fault=all(job.row.attempts >= OWN_FAULT for job, _ in batch))
        again = []
        for job, operation in batch:
            answer = answers[operation.key]
            if answer.outcome is Outcome.SPLIT:
                if len(batch) > 1:
                    again.append((job, operation))
                    continue
                answer = replace(answer, outcome=Outcome.REFUSED)
            job.results.append((operation, answer))
        self._settle([job for job, operation in batch if job.finished])
        return again

    def _renew(self, now: datetime) -> None:
        """Before a call: the lease must outlast it."""
        if self.leased_until - now < max(conf.delivery_lease / 2, self.longest_call):
            self.leased_until = now + max(conf.delivery_lease, self.longest_call)
            rows.renew(self.lease, self.leased, self.leased_until)

    def _answers(self, batch: Batch) -> dict[str, Result]:
        first, operation = batch[0]
        if isinstance(operation, Erasure):
            return {operation.key: self._erase(operation)}
        if isinstance(operation, Look):
            return {operation.key: self._look(first, operation)}
        return self._execute([operation for _, operation in batch])

    def _execute(self, operations: list[Operation]) -> dict[str, Result]:
        given: dict[str, Result] = {}
        missing = Result("", Outcome.RETRY, "no-answer")
        try:
            given = {result.key: result for result in self.backend.execute(operations)}
        except PlatformError as error:
            missing = Result("", error.outcome, error.code, error.retry_after)
        except Exception as error:  # noqa: BLE001 - as above; its text may hold what must not be logged
            missing = Result("", Outcome.RETRY, f"crash-{type(error).__name__}")
        return {
            operation.key: sound(operation, given.get(operation.key, missing)) for operation in operations
        }

    def _erase(self, operation: Erasure) -> Result:
        try:
            answer = self.backend.erase(operation.identifiers)
        except Unsupported:
            # A person must do it over there; that it is still to be done is said every day.
            answer = Result("", Outcome.REFUSED, "cannot-erase", DAY)
        except PlatformError as error:
            answer = Result("", error.outcome, error.code, error.retry_after)
        except Exception as error:  # noqa: BLE001
            answer = Result("", Outcome.RETRY, f"crash-{type(error).__name__}")
        return replace(sound(operation, answer), remote_id="")

    def _look(self, job: Job, operation: Look) -> Result:
        try:
            remote = self.backend.read(operation.target)
        except Unsupported:
            return Result(operation.key, Outcome.DONE, "not-readable")
        except PlatformError as error:
            return sound(operation, Result("", error.outcome, error.code, error.retry_after))
        except Exception as error:  # noqa: BLE001
            return Result(operation.key, Outcome.RETRY, f"crash-{type(error).__name__}")
        job.differs = not agrees(operation.target, remote, self.backend.capabilities, self.backend.maps)
        return Result(
            operation.key, Outcome.RETRY if job.differs else Outcome.DONE, "differs" if job.differs else ""
        )

    def _watch(self, answers: list[Result], *, own_fault: bool) -> None:
        """Tell the lane, so that all workers leave a backend alone that is away, or that asked for it.

        `own_fault`: that these fail says nothing of the platform.
        """
        alias, now = self.backend.alias, timezone.now()
        outcomes = {answer.outcome for answer in answers}
        code = answers[0].code
        if Outcome.RATE_LIMITED in outcomes:
            limited = [answer for answer in answers if answer.outcome is Outcome.RATE_LIMITED]
            asked = [
                timedelta(seconds=answer.retry_after) for answer in limited if answer.retry_after is not None
            ]
            until = now + max(asked, default=RATE_LIMIT_PAUSE)
            self.closed = True
            lanes.pause(alias, until, limited[0].code)
            logger.warning("delivery to %s: paused until %s (%s)", alias, iso(until), limited[0].code)
        elif outcomes == {Outcome.MISCONFIGURED}:
            self.closed = True
            lanes.misconfigured(alias, now, code)
        elif outcomes <= LATER and code != "differs":
            self.has_answered = False
            self.choked += own_fault
            if self.probe or not own_fault or self.choked > MOST_CHOKED:
                self.closed = lanes.unanswered(alias, now, code)
        elif not self.has_answered:
            self.has_answered = True
            lanes.answered(alias, now)

    # --- settle ------------------------------------------------------------------------------------------------------

    def _settle(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        now = timezone.now()
        with unhurried_gc():
            settled = [verdict(job, now, self.backend.capabilities) for job in jobs]
            lost = rows.settle(self.lease, settled, now)
        done = waits = 0
        others: set[UUID] = set()
        for job, item in zip(jobs, settled, strict=True):
            self.leased.discard(item.row_id)
            if item.row_id in lost:
                continue
            if item.done:
                done += 1
                others |= job.others
            else:
                waits += item.checking and item.outcome == Outcome.ACCEPTED_UNKNOWN
        self.tally.done += done
        self.tally.failed += len(jobs) - done - waits
        if differing := [job.row.id for job in jobs if job.differs]:
            rows.say_again(differing)
        if others:
            rows.deliver_again(self.backend.alias, others, now)
        if lost:
            self._lost([job for job in jobs if job.row.id in lost])

    def _lost(self, jobs: list[Job]) -> None:
        if jobs:
            logger.warning(
                "delivery to %s: %d leases were lost, delivering again", self.backend.alias, len(jobs)
            )
            told = {
                job.row.contact: _known(job.target, job)
                for job in jobs
                if job.target is not None and job.results and not job.gone
            }
            if told:
                retiring.write_late(self.backend.alias, told)
            rows.rewind({job.row.id: job.sent for job in jobs}, timezone.now())
            for job in jobs:
                job.operations = [operation for operation, _ in job.results]  # no more of it from here


@contextmanager
def unhurried_gc() -> Iterator[None]:
    """Let Python look for circles of garbage afterwards.

    Contacts are many small objects, and every few hundred of them it walks over whatever the process has ever made: a
    third of the time. None of them is in a circle.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Retired:
    """What the rows of a round hold of identifiers that are not their contacts' any more."""

    def __init__(self, backend: Backend, jobs: list[Job]) -> None:
        self._backend = backend
        self._alias = alias = backend.alias
        self._entries: dict[int, list[retiring.Retired]] = {}
        self.unreadable: set[int] = set()
        for job in jobs:
            row = job.row
            self._entries[row.id], unreadable = retiring.read(alias, row.contact, row.retired)
            if unreadable:
                self.unreadable.add(row.id)
        entries = [entry for found in self._entries.values() for entry in found]
        self._holders = retiring.holders(entries) if entries else []

    def apply(self, job: Job) -> None:
        """Tell the job's target of them, and the job who else goes by them."""
        entries = self._entries.get(job.row.id)
        if not entries:
            return
        contact = job.row.contact
        others = [
            holder
            for holder in self._holders
            if holder.contact != contact and any(holder.shares(entry) for entry in entries)
        ]
        if job.target is not None and not job.gone:
            audience = job.target.state.audience
            taken = [holder.email for holder in others if holder.audience == audience]
            others = [holder for holder in others if holder.audience != audience]
            retired = retiring.moved_away(entries, self._alias, job.target.identifiers, taken)
            job.target = replace(job.target, retired=retired)
        job.others = frozenset(holder.contact for holder in others)

    def to_forget(self, job: Job) -> list[Identifiers]:
        entries = self._entries.get(job.row.id, [])
        remote = job.row.remote_id or self._backend.known_as(job.row.contact)
        return retiring.to_forget(entries, self._alias, remote)


def _of_row(target: Target, row: Leased) -> Target:
    """With what the row alone knows."""
    if row.again:
        target = replace(target, again=row.again)
    if not row.remote_id:
        return target
    remote = {**target.identifiers.remote, row.backend: row.remote_id}
    return replace(target, identifiers=replace(target.identifiers, remote=remote))


def _known(target: Target, job: Job) -> Identifiers:
    """What a platform knows her by after these calls."""
    answered = next((answer.remote_id for _, answer in job.results if answer.remote_id), "")
    known = {**target.identifiers.remote, **({job.row.backend: answered} if answered else {})}
    return replace(target.identifiers, remote=known)


def _size(job: Job, operation: Operation, size: int) -> int:
    """How many may share a call with this one."""
    if isinstance(operation, Erasure | Look):
        return 1
    # The fault may be in what is said of one contact: she is found in smaller and smaller company. After an error of the
    # platform's own the first retry is as large as before: mostly it was away.
    attempts = job.row.attempts
    steps = attempts if job.row.code.startswith("crash-") else 2 * max(attempts - 1, 0)
    return max(size >> min(steps, size.bit_length()), 1)


def _parts(items: Batch, size: int, most_bytes: int) -> Iterator[Batch]:
    """Batches of at most so many items, and of so many bytes where that is not 0; one too large goes by itself."""
    if not most_bytes:
        for start in range(0, len(items), size):
            yield items[start : start + size]
        return
    part: Batch = []
    weight = 0
    for job, operation in items:
        bytes_ = _weight(operation, most_bytes)
        if part and (len(part) == size or weight + bytes_ > most_bytes):
            yield part
            part, weight = [], 0
        part.append((job, operation))
        weight += bytes_
    if part:
        yield part


def _weight(operation: Operation, most: int) -> int:
    """The bytes of what is said; of what is no JSON all that there may be, so that it goes, and fails, by itself."""
    try:
        text = json.dumps(operation.payload, cls=DjangoJSONEncoder, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return most
    return len(text.encode(errors="replace"))
