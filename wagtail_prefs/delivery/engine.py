"""One round of deliveries to one backend: claim, load, plan, call, settle.

What is sent is always today's state, never a stored message: so an opt-in that a later opt-out overtook cannot be
sent, however long it waited. Before each call the rows are read again; those that moved on, or that another worker
took over, are left for the next round.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID, uuid4

from django.utils import timezone

from ..backends.base import Backend
from ..backends.registry import backends
from ..conf import conf
from ..contacts.services import load_targets
from ..ledger.services import batches_since_many
from ..values import ChangeBatch, Operation, Outcome, Result, Target, iso
from . import lanes, rows
from .jobs import Job, verdict
from .models import Delivery

logger = logging.getLogger("wagtail_prefs.delivery")

#: Calls in one round: what is claimed should be done before its lease ends, even one contact a call.
CALLS_A_ROUND = 50
#: After so many failed calls in a row the rest of the round is left for later: the platform is away.
FAILURES_IN_A_ROW = 3
#: How long a backend is left alone that said "slow down" without saying how long, or that a person must mend.
RATE_LIMIT_PAUSE = timedelta(seconds=60)
MISCONFIGURED_PAUSE = timedelta(minutes=5)


@dataclass(slots=True)
class Tally:
    """What a round came to."""

    claimed: int = 0
    done: int = 0
    failed: int = 0


def deliver(alias: str, limit: int | None = None, stopping: Callable[[], bool] = lambda: False) -> Tally:
    """One round for one backend. `stopping` is asked before every call; what was not sent then stays due."""
    now = timezone.now()
    if not lanes.look_after(alias, now):
        return Tally()
    backend = backends[alias]
    most = min(conf.delivery_batch, backend.capabilities.batch_size * CALLS_A_ROUND)
    if limit is not None:
        most = min(most, limit)
    return _Round(backend, stopping).run(now, most)


class _Round:
    """The state of one round."""

    def __init__(self, backend: Backend, stopping: Callable[[], bool]) -> None:
        self.backend = backend
        self.stopping = stopping
        self.lease: UUID = uuid4()
        self.leased_until = timezone.now()
        self.tally = Tally()
        self.failures = 0
        self.closed = False

    def run(self, now: datetime, limit: int) -> Tally:
        self.leased_until = now + conf.delivery_lease
        claimed = rows.claim(self.backend.alias, self.lease, now=now, until=self.leased_until, limit=limit)
        self.tally.claimed = len(claimed)
        if not claimed:
            return self.tally
        jobs = {row.pk: Job(row) for row in claimed}
        try:
            self._plan(list(jobs.values()))
            for batch in self._batches(list(jobs.values())):
                if self.closed or self.stopping():
                    break
                self._renew(timezone.now())
                self._call([(jobs[pk], operation) for pk, operation in batch])
        finally:
            # Whatever happened: what was not settled stays due, and nobody has to wait for the lease to end.
            rows.release(self.lease, list(jobs))
        return self.tally

    # --- plan --------------------------------------------------------------------------------------------------------

    def _plan(self, jobs: list[Job]) -> None:
        targets = load_targets(job.row.contact for job in jobs)
        since = batches_since_many({job.row.contact: job.row.delivered for job in jobs})
        for job in jobs:
            target = targets.get(job.row.contact)
            if target is not None:
                job.target = self._with_remote_id(target, job.row)
                self._plan_one(job, job.target, since.get(job.row.contact, []))
        # Nothing to say, or no way to say it.
        self._settle([job for job in jobs if job.finished])

    def _plan_one(self, job: Job, target: Target, since: list[ChangeBatch]) -> None:
        # A submission may have been saved between the two reads; it belongs to the next round.
        known = [batch for batch in since if batch.version <= target.state.version]
        try:
            job.operations = self.backend.plan(target, known)
        except Exception as error:  # noqa: BLE001 - a backend is anybody's code; one contact must not stop the others
            contact, version = target.state.id, target.state.version
            key = self.backend.operation_key(contact, version, "plan")
            failed = Operation(key, contact, version, "plan", {}, job.row.restricts)
            job.operations = [failed]
            job.results = [(failed, Result(key, Outcome.RETRY, f"plan-{type(error).__name__}"))]

    def _with_remote_id(self, target: Target, row: Delivery) -> Target:
        if not row.remote_id:
            return target
        remote = {**target.identifiers.remote, self.backend.alias: row.remote_id}
        return replace(target, identifiers=replace(target.identifiers, remote=remote))

    def _batches(self, jobs: list[Job]) -> Iterator[list[tuple[int, Operation]]]:
        """Operations of one kind, opt-outs first; a contact's own in the order planned, and once a batch at most."""
        planned = [
            (not operation.restricts, position, operation.kind, job.row.pk, operation)
            for job in jobs
            if not job.finished
            for position, operation in enumerate(job.operations)
        ]
        planned.sort(key=lambda item: item[:3])
        size = max(self.backend.capabilities.batch_size, 1)
        for _, group in groupby(planned, key=lambda item: item[:3]):
            items = [(pk, operation) for *_, pk, operation in group]
            for start in range(0, len(items), size):
                yield items[start : start + size]

    # --- call --------------------------------------------------------------------------------------------------------

    def _renew(self, now: datetime) -> None:
        if self.leased_until - now < conf.delivery_lease / 2:
            self.leased_until = now + conf.delivery_lease
            rows.renew(self.lease, self.leased_until)

    def _call(self, batch: list[tuple[Job, Operation]]) -> None:
        # What failed for a contact is tried again as a whole; a refusal stops nothing but itself.
        batch = [(job, operation) for job, operation in batch if not job.finished]
        held = rows.held(self.lease, [job.row.pk for job, _ in batch], timezone.now())
        # Another worker's by now, after we had said a part of it.
        self._lost([job for job, _ in batch if job.row.pk not in held and job.results])
        batch = [
            (job, operation)
            for job, operation in batch
            if job.row.pk in held and held[job.row.pk] <= job.sent
        ]
        if not batch:
            return
        answers = self._execute([operation for _, operation in batch])
        for job, operation in batch:
            job.results.append((operation, answers[operation.key]))
        self._watch(list(answers.values()))
        self._settle([job for job, _ in batch if job.finished])

    def _execute(self, operations: list[Operation]) -> dict[str, Result]:
        try:
            answers = {result.key: result for result in self.backend.execute(operations)}
        except Exception as error:  # noqa: BLE001 - as above; its text may hold what must not be logged
            answers, missing = {}, f"crash-{type(error).__name__}"
        else:
            missing = "no-answer"
        return {
            operation.key: answers.get(operation.key) or Result(operation.key, Outcome.RETRY, missing)
            for operation in operations
        }

    def _watch(self, answers: list[Result]) -> None:
        """Leave a backend alone that is away, or that asked for it."""
        now = timezone.now()
        outcomes = {answer.outcome for answer in answers}
        if Outcome.RATE_LIMITED in outcomes:
            asked = [timedelta(seconds=answer.retry_after) for answer in answers if answer.retry_after]
            self._close(now + max(asked, default=RATE_LIMIT_PAUSE), Outcome.RATE_LIMITED, answers)
        elif outcomes == {Outcome.MISCONFIGURED}:
            self._close(now + MISCONFIGURED_PAUSE, Outcome.MISCONFIGURED, answers)
        elif outcomes == {Outcome.RETRY}:
            self.failures += 1
            self.closed = self.failures >= FAILURES_IN_A_ROW
        else:
            self.failures = 0

    def _close(self, until: datetime, outcome: Outcome, answers: list[Result]) -> None:
        self.closed = True
        code = next(answer.code for answer in answers if answer.outcome is outcome)
        lanes.pause(self.backend.alias, until, code)
        logger.warning("delivery to %s: paused until %s (%s)", self.backend.alias, iso(until), code)

    # --- settle ------------------------------------------------------------------------------------------------------

    def _settle(self, jobs: list[Job]) -> None:
        now = timezone.now()
        settled = {job.row.pk: verdict(job, now) for job in jobs}
        lost = rows.settle(self.lease, settled.values(), now)
        self._lost([job for job in jobs if job.row.pk in lost])
        done = sum(item.done for pk, item in settled.items() if pk not in lost)
        self.tally.done += done
        self.tally.failed += len(jobs) - done

    def _lost(self, jobs: list[Job]) -> None:
        if jobs:
            logger.warning(
                "delivery to %s: %d leases were lost, delivering again", self.backend.alias, len(jobs)
            )
            rows.rewind({job.row.pk: job.sent for job in jobs}, timezone.now())
