"""What a person asks for on a page, made exact: what of it she could see, and on which day where she lives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from ..centers import services as centers, visibility
from ..centers.services import Snapshot
from ..changes import Change, Pause, PauseFor
from ..contacts import rules
from ..decisions import periods
from ..errors import InvalidAnswers
from ..values import Answers, Assurance, ContactState, Merged

#: Where an error about a path is shown: (block id, dotted field).
Place = Callable[[str], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Wishes:
    """The changes that answers come to; `hidden` names what other answers hid, which is not saved."""

    changes: tuple[Change, ...]
    hidden: tuple[Merged, ...] = ()


def wishes(
    snapshot: Snapshot, answers: Answers, state: ContactState, now: datetime, assurance: Assurance = "link"
) -> Wishes:
    """What answers given on a snapshot ask for. Raises InvalidAnswers, and StepUpRequired for personal fields."""
    every = asked(snapshot, answers, state, now)
    if visibility.is_same_for_all(snapshot):
        return Wishes(every)
    shown = visibility.sift(snapshot, answers, state, centers.initial_answers(snapshot, state), assurance)
    kept = asked(snapshot, shown, state, now)
    said = {path: value for path, (value, _until) in rules.recorded(state).items()}
    return Wishes(
        kept,
        tuple(
            Merged(change.path, rules.wanted(change), said.get(change.path), "hidden")
            for change in every
            if change not in kept
        ),
    )


def asked(snapshot: Snapshot, answers: Answers, state: ContactState, now: datetime) -> tuple[Change, ...]:
    """The changes of answers, whoever can see what."""
    changes = centers.answers_to_changes(snapshot, answers)
    with translation.override(snapshot.locale):
        return resolved(changes, state, now, lambda path: _place(snapshot, path))


def resolved(
    changes: Sequence[Change],
    state: ContactState,
    now: datetime,
    place: Place = lambda _path: ("", "pauses"),
) -> tuple[Change, ...]:
    """Changes as a record can hold them: a `PauseFor` is a `Pause` until the start of a day in the contact's zone.

    Raises InvalidAnswers for a pause that would have ended before it begins: her day may be ahead of ours.
    """
    if not any(isinstance(change, PauseFor) for change in changes):
        return tuple(changes)
    zone = periods.zone(state.timezone, settings.TIME_ZONE)
    return tuple(
        _pause(change, now, zone, place) if isinstance(change, PauseFor) else change for change in changes
    )


def _pause(wish: PauseFor, now: datetime, zone: ZoneInfo, place: Place) -> Pause:
    if wish.day is not None:
        until = periods.start_of_day(wish.day, zone)
    else:
        until = periods.add_period(now, wish.length, zone)
    if until <= now:
        block_id, where = place(wish.path)
        raise InvalidAnswers({block_id: {where: [_("A pause ends in the future. Choose a later day.")]}})
    return Pause(wish.topic, wish.channel, until)


def _place(snapshot: Snapshot, path: str) -> tuple[str, str]:
    for spec in snapshot.specs:
        if path in spec.paths:
            return spec.block_id, spec.paths[path][0]
    return "", centers.WHOLE
