"""One row in a round: what must be said for it, what was answered, and what that makes of the row."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ..values import Operation, Outcome, Result, Target, iso
from .backoff import delay
from .models import Delivery
from .rows import Settled

logger = logging.getLogger("wagtail_prefs.delivery")

FINE = {Outcome.DONE, Outcome.NEEDS_CONFIRMATION, Outcome.ACCEPTED_UNKNOWN}
LATER = {Outcome.RETRY, Outcome.RATE_LIMITED, Outcome.MISCONFIGURED}


@dataclass(slots=True)
class Job:
    """A leased row on its way through a round."""

    row: Delivery
    target: Target | None = None
    operations: list[Operation] = field(default_factory=list)
    results: list[tuple[Operation, Result]] = field(default_factory=list)

    @property
    def worst(self) -> Result | None:
        """The answer that decides about the row: one to come back for before a refusal, that before success."""
        answers = [answer for _, answer in self.results]
        for outcomes in (LATER, {Outcome.REFUSED}):
            for answer in answers:
                if answer.outcome in outcomes:
                    return answer
        return answers[-1] if answers else None

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be said in this round."""
        worst = self.worst
        return len(self.results) == len(self.operations) or (worst is not None and worst.outcome in LATER)

    @property
    def refused(self) -> list[tuple[Operation, Result]]:
        return [
            (operation, answer) for operation, answer in self.results if answer.outcome is Outcome.REFUSED
        ]

    @property
    def sent(self) -> int:
        """The version of the contact that was, or would have been, told."""
        return self.target.state.version if self.target else self.row.wanted


def verdict(job: Job, now: datetime) -> Settled:
    """What becomes of the row. `delivered` moves on only when everything up to that version is over there."""
    worst = job.worst
    if worst is None or worst.outcome in FINE:
        return _delivered(job, worst)
    failed = replace(
        _delivered(job, worst),
        delivered=job.row.delivered,
        done=False,
        attempts=job.row.attempts + 1,
        failing_since=job.row.failing_since or now,
        parked=[_parked(operation, answer, now) for operation, answer in job.refused],
    )
    if worst.outcome is Outcome.RATE_LIMITED and worst.retry_after:
        # The platform is well and said when: that is no failure of this row.
        return replace(failed, attempts=job.row.attempts, due_at=now + timedelta(seconds=worst.retry_after))
    for operation, answer in _unfinished(job):
        level = logging.ERROR if answer.outcome is Outcome.REFUSED else logging.WARNING
        logger.log(level, "delivery to %s: %s: %s", job.row.backend, operation.key, answer.code)
    if worst.outcome is Outcome.REFUSED and not any(operation.restricts for operation, _ in job.refused):
        return failed  # parked until a person, or the contact's next wish, asks again
    return replace(failed, due_at=now + delay(failed.attempts, worst.retry_after))


def _delivered(job: Job, last: Result | None) -> Settled:
    known = "" if job.target else "unknown-contact"  # erased since: nothing to say any more
    return Settled(
        row_id=job.row.pk,
        sent=job.sent,
        delivered=max(job.sent, job.row.delivered),
        done=True,
        due_at=None,
        attempts=0,
        failing_since=None,
        outcome=last.outcome.value if last else Outcome.DONE.value,
        code=last.code[:128] if last else known,
        remote_id=next(
            (answer.remote_id for _, answer in job.results if answer.remote_id), job.row.remote_id
        ),
    )


def _unfinished(job: Job) -> Iterator[tuple[Operation, Result]]:
    return ((operation, answer) for operation, answer in job.results if answer.outcome not in FINE)


def _parked(operation: Operation, answer: Result, now: datetime) -> dict[str, object]:
    """What a person needs in order to look into it: no payload, it is personal and would be out of date."""
    return {
        "key": operation.key,
        "kind": operation.kind,
        "version": operation.version,
        "restricts": operation.restricts,
        "code": answer.code,
        "at": iso(now),
    }
