"""One row in a round: what must be said for it, what was answered, and what that makes of the row."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from ..backends.desired import is_out
from ..values import (
    SUBSCRIBED,
    Capabilities,
    Identifiers,
    Json,
    Operation,
    Outcome,
    PauseStyle,
    ReadBack,
    RemoteState,
    Result,
    Support,
    Target,
    iso,
)
from .backoff import delay
from .rows import Leased, Settled

logger = logging.getLogger("wagtail_prefs.delivery")

FINE = {Outcome.DONE, Outcome.NEEDS_CONFIRMATION, Outcome.ACCEPTED_UNKNOWN}
LATER = {Outcome.RETRY, Outcome.RATE_LIMITED, Outcome.MISCONFIGURED}
#: The answer that decides about a row is the first of these that there is: one to come back for before a refusal, that
#: before success; among successes the one that is not the end of it.
_WORST = (LATER, {Outcome.REFUSED}, {Outcome.NEEDS_CONFIRMATION}, {Outcome.ACCEPTED_UNKNOWN})
#: What was taken without a word on what became of it is looked up so much later.
LOOK_AFTER = timedelta(seconds=60)
#: How long a row waits whose platform said "slow down" without saying how long.
RATE_LIMIT_PAUSE = timedelta(seconds=60)
#: The longest pause that an answer may ask for (seconds), and a refusal that no retry will change.
DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure(Operation):
    """Of the engine's own: have the platform forget whoever goes by these."""

    identifiers: Identifiers


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Operation):
    """Of the engine's own: read back whether what was taken became so."""

    target: Target


@dataclass(slots=True)
class Job:
    """A leased row on its way through a round."""

    row: Leased
    target: Target | None = None
    operations: list[Operation] = field(default_factory=list)
    results: list[tuple[Operation, Result]] = field(default_factory=list)
    #: Read back, and found not to be so.
    differs: bool = False
    #: Others who go by what is taken back here: the platform must be told of them once more.
    others: frozenset[UUID] = frozenset()

    @property
    def worst(self) -> Result | None:
        """The answer that decides about the row."""
        answers = [answer for _, answer in self.results]
        if len(answers) > 1:
            for outcomes in _WORST:
                for answer in answers:
                    if answer.outcome in outcomes:
                        return answer
        return answers[-1] if answers else None

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be said in this round."""
        return len(self.results) == len(self.operations) or any(
            answer.outcome in LATER for _, answer in self.results
        )

    @property
    def refused(self) -> list[tuple[Operation, Result]]:
        return [
            (operation, answer) for operation, answer in self.results if answer.outcome is Outcome.REFUSED
        ]

    @property
    def sent(self) -> int:
        """The version of the contact that was, or would have been, told."""
        return self.target.state.version if self.target else self.row.wanted

    @property
    def gone(self) -> bool:
        """Whether there is nobody left to tell of: all that is to be said is to forget her."""
        return self.target is None or self.target.state.erased

    @property
    def looking(self) -> bool:
        """Whether this round looks up what became of the last, and says nothing."""
        return any(isinstance(operation, Look) for operation in self.operations)


def verdict(job: Job, now: datetime, capabilities: Capabilities) -> Settled:
    """What becomes of the row. `delivered` moves on only when everything up to that version is over there."""
    worst = job.worst
    wakes = next_edge(job.target) if capabilities.wakes else None
    if worst is None or worst.outcome in FINE:
        done = _delivered(job, worst, now, wakes, erases=capabilities.erases)
        must_look = (
            worst is not None
            and worst.outcome is Outcome.ACCEPTED_UNKNOWN
            and capabilities.read_back is not ReadBack.NONE
            and not job.gone
        )
        return _to_look_after(done, job, now) if must_look else done
    failed = replace(
        _delivered(job, worst, now, None, erases=capabilities.erases),
        delivered=job.row.delivered,
        done=False,
        attempts=job.row.attempts + 1,
        failing_since=job.row.failing_since or now,
        parked=[_parked(operation, answer, now) for operation, answer in job.refused],
        checking=job.looking and not job.differs,
    )
    if worst.outcome is Outcome.RATE_LIMITED:
        # The platform is well: that is no failure of this row.
        wait = RATE_LIMIT_PAUSE if worst.retry_after is None else timedelta(seconds=worst.retry_after)
        return replace(failed, attempts=job.row.attempts, due_at=now + wait)
    for operation, answer in _unfinished(job):
        level = logging.ERROR if answer.outcome is Outcome.REFUSED else logging.WARNING
        logger.log(level, "delivery to %s: %s: %s", job.row.backend, operation.key, answer.code)
    is_parked = (
        worst.outcome is Outcome.REFUSED
        and not job.row.retired
        and not any(operation.restricts for operation, _ in job.refused)
    )
    if is_parked:  # until a person, the contact's next wish or the end of her pause asks again
        return replace(failed, due_at=wakes)
    return replace(failed, due_at=now + delay(failed.attempts, worst.retry_after))


def _to_look_after(done: Settled, job: Job, now: datetime) -> Settled:
    """It was taken, and whether it is so will be seen: until then the row is as far as it was."""
    row = job.row
    wait = max(LOOK_AFTER, delay(row.attempts)) if row.attempts else LOOK_AFTER
    return replace(
        done,
        delivered=row.delivered,
        done=False,
        due_at=now + wait,
        attempts=row.attempts,
        failing_since=row.failing_since,
        checking=True,
    )


def next_edge(target: Target | None) -> datetime | None:
    """When the first of the pauses ends that were in force when the target was read."""
    if target is None or not target.paused:
        return None
    return min(target.state.pauses[key].until for key in target.paused)


def _delivered(
    job: Job, last: Result | None, now: datetime, wakes: datetime | None, *, erases: bool
) -> Settled:
    outcome = last.outcome.value if last else Outcome.DONE.value
    code = last.code if last else ("" if job.target else "unknown-contact")  # nothing to say any more
    known = next((answer.remote_id for _, answer in job.results if answer.remote_id), job.row.remote_id)
    if job.gone and (last is None or last.outcome in FINE) and (erases or "@" in known):
        # Of one who is forgotten over there no id is kept here; of one whom only people can delete there it is what they
        # find her by, unless it is an address.
        known = ""
    return Settled(
        row_id=job.row.id,
        sent=job.sent,
        delivered=max(job.sent, job.row.delivered),
        done=True,
        due_at=wakes,
        attempts=0,
        failing_since=None,
        outcome=outcome,
        code=code,
        remote_id=known,
        retired=job.row.retired,
        entry={
            "at": iso(now),
            "version": job.sent,
            "outcome": outcome,
            "code": code,
            "kinds": list(dict.fromkeys(operation.kind for operation, _ in job.results)),
        },
    )


def _unfinished(job: Job) -> Iterator[tuple[Operation, Result]]:
    return ((operation, answer) for operation, answer in job.results if answer.outcome not in FINE)


def _parked(operation: Operation, answer: Result, now: datetime) -> Json:
    """What a person needs in order to look into it: no payload, it is personal and would be out of date."""
    return {
        "key": operation.key,
        "kind": operation.kind,
        "version": operation.version,
        "restricts": operation.restricts,
        "code": answer.code,
        "at": iso(now),
    }


def agrees(
    target: Target, remote: RemoteState | None, capabilities: Capabilities, maps: Callable[[str, str], bool]
) -> bool:
    """Whether a platform knows what it was told of choices and of leaving everything.

    What it does not speak of cannot be compared, but for a yes; a no that it does not speak of is as good as one.
    """
    if remote is None:
        return False
    state = target.state
    out = is_out(state)
    knows_all = capabilities.opt_out is not Support.NONE and remote.opted_out is not None
    if knows_all and remote.opted_out != out:
        return False
    leaves = capabilities.pause_style is PauseStyle.MEMBERSHIP  # a pause is not to be a member meanwhile
    for topic, channel in state.choices.keys() | (remote.choices.keys() if out else set()):
        if not topic or not maps(topic, channel):
            continue
        wanted = target.subscribed(topic, channel) and not (leaves and target.is_paused(topic, channel))
        # Who left everything may still be a member of this: then the platform's word for all of it counts.
        there = remote.choices.get((topic, channel)) == SUBSCRIBED
        if there and not wanted and not (out and remote.opted_out):
            return False
        if wanted and not there and capabilities.choice is not Support.NONE:
            return False
    return True


def sound(operation: Operation, answer: Result) -> Result:
    """An answer as the engine can keep it: backends are anybody's code, and platforms say anything."""
    try:
        outcome = Outcome(answer.outcome)
    except ValueError:
        return Result(operation.key, Outcome.RETRY, "bad-answer")
    wait = answer.retry_after
    if wait is not None:
        wait = min(max(float(wait), 0.0), DAY) if math.isfinite(wait) else None
    remote_id = answer.remote_id
    if len(remote_id) > 255 or writable(remote_id) != remote_id:
        remote_id = ""
    return Result(operation.key, outcome, writable(answer.code)[:128], wait, remote_id)


def writable(text: str) -> str:
    """A text without what no database takes: NUL, and halves of characters, which JSON can hold."""
    return text.replace("\0", "").encode(errors="ignore").decode()
