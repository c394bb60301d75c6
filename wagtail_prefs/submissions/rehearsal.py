"""What a save would come to, worked out from values alone: nothing is locked, read or written.

The steps are those of `services.submit`; a test holds the record that comes out against one that was really made.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

from .. import keys
from ..backends.registry import backends
from ..canonical import canonical
from ..centers.services import Snapshot
from ..changes import Merge
from ..contacts import rules
from ..law import services as law
from ..ledger import format1, services as ledger
from ..ledger.models import Record
from ..values import (
    Actor,
    Answers,
    ChangeBatch,
    ContactState,
    Effect,
    Identifiers,
    Json,
    Merged,
    Operation,
    Source,
    Target,
)
from .services import plain_answers, proof_of
from .wishes import wishes
from .words import Line, words_of

logger = logging.getLogger(__name__)

#: The id of every record that is not made.
RECORD_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Planned:
    """What one backend would be told; `problem` is why it cannot say."""

    alias: str
    operations: Sequence[Operation] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a save would come to. `record` is None, and nobody is told anything, where nothing would change."""

    state: ContactState
    applied: tuple[Line, ...]
    merged: tuple[Line, ...]
    record: Json | None = None
    planned: tuple[Planned, ...] = ()


def rehearse(
    *,
    state: ContactState,
    email: str,
    snapshot: Snapshot,
    base_version: int,
    answers: Answers,
    actor: Actor,
    source: Source,
    now: datetime,
) -> Rehearsal:
    """Say what saving answers would come to for a contact as she is in `state`, whether or not there is such a one.

    Raises InvalidAnswers and StepUpRequired, as the save would.
    """
    wished = wishes(snapshot, answers, state, now)
    changes = wished.changes
    act = rules.Act(actor=actor, at=now, address=email)
    accepted, yielded = rules.merge(state, changes, min(base_version, state.version), act)
    yielded = (*wished.hidden, *yielded)
    after, effects = rules.apply(state, accepted, act)
    words = words_of(snapshot, state.timezone)
    applied, merged = words.applied(effects, yielded), words.merged(yielded)
    if not effects:
        return Rehearsal(state, applied, merged)
    request = {"revision": snapshot.digest, "base_version": base_version, "answers": plain_answers(answers)}
    proof, place = proof_of(snapshot), law.current().rules_for(state.country)
    body = format1.body(
        record_id=RECORD_ID,
        contact=state.id,
        audience=state.audience,
        seq=after.version,
        at=now,
        actor=actor,
        source=source,
        base_version=base_version,
        changes=changes,
        effects=effects,
        merged=yielded,
        proof=replace(
            proof, jurisdiction=place.jurisdiction, law=format1.Applied(place.version, place.reason)
        ),
        request=keys.digest("request", canonical(request)),
        commitments=ledger.commitments_of(source, changes, effects, yielded),
    )
    target = Target(after, Identifiers(email=email))
    entry = Record(id=RECORD_ID, seq=after.version, at=now, body=canonical(body).decode())
    planned = tuple(_planned(alias, target, ledger.batch(entry)) for alias in backends)
    return Rehearsal(after, applied, merged, json.loads(entry.body), planned)


@dataclass(frozen=True, slots=True)
class Merging:
    """What merging two contacts would come to for the one who stays: `yielded` is what stays behind, and why."""

    before: ContactState
    after: ContactState
    effects: tuple[Effect, ...]
    yielded: tuple[Merged, ...]


def rehearse_merge(
    loser: ContactState, winner: ContactState, address: str, actor: Actor, now: datetime
) -> Merging:
    """Say what `services.merge_contacts` would come to; `address` is the winner's. Raises UnknownContact."""
    act = rules.Act(actor=actor, at=now, address=address, others={loser.id: loser})
    accepted, yielded = rules.merge(winner, [Merge(loser.id, winner.id)], winner.version, act)
    after, effects = rules.apply(winner, accepted, act)
    return Merging(winner, after, tuple(effects), tuple(yielded))


def _planned(alias: str, target: Target, batch: ChangeBatch) -> Planned:
    try:
        return Planned(alias, tuple(backends[alias].plan(target, [batch])))
    except ImproperlyConfigured as problem:  # names what to mend, never a value
        return Planned(alias, problem=str(problem))
    except Exception as problem:  # a backend is anybody's code, and what it says may hold anything
        logger.exception("backend %s cannot plan", alias)
        return Planned(alias, problem=type(problem).__name__)
