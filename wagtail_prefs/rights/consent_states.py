"""The states a consent goes through, by ISO/IEC TS 27560 and the words of the Data Privacy Vocabulary (security.md CR-04).

Pure. Computed from what the records of one chain say became of each topic on each channel. What no rule here allows is
refused: a record of consent that skips a state proves nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from ..values import SUBSCRIBED, Effect, Key


class State(enum.StrEnum):
    """What a consent is; only the last two let anybody process anything."""

    UNKNOWN = "unknown"
    REQUESTED = "requested"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    GIVEN = "given"
    RENEWED = "renewed"


class Event(enum.StrEnum):
    """What happens to a consent."""

    ASKED = "asked"
    YES = "yes"
    AGAIN = "again"  # a yes that holds is given anew, with another end
    NO = "no"
    ENDED = "ended"  # a yes, or the wait for one, ran out
    VOID = "void"  # the person was erased, or went on as somebody else
    UNDONE = "undone"  # what was said first is taken back: nothing is said


VALID = frozenset({State.GIVEN, State.RENEWED})


def _table() -> Mapping[tuple[State, Event], State]:
    found: dict[tuple[State, Event], State] = {}
    for state in State:
        if state is State.INVALIDATED:
            continue
        found |= {
            (state, Event.YES): State.RENEWED if state in VALID else State.GIVEN,
            (state, Event.NO): State.WITHDRAWN if state in {*VALID, State.WITHDRAWN} else State.REFUSED,
            (state, Event.VOID): State.INVALIDATED,
        }
        if state in VALID:
            found |= {
                (state, Event.AGAIN): State.RENEWED,
                (state, Event.ENDED): State.EXPIRED,
                (state, Event.UNDONE): State.WITHDRAWN,
            }
        else:
            found[state, Event.ASKED] = State.REQUESTED
        if state is State.REQUESTED:
            found |= {(state, Event.ENDED): State.EXPIRED, (state, Event.UNDONE): State.UNKNOWN}
        if state is State.REFUSED:
            found[state, Event.UNDONE] = State.UNKNOWN
    # Nobody is asked any more, and whoever was void stays it.
    found[State.INVALIDATED, Event.VOID] = State.INVALIDATED
    return MappingProxyType(found)


#: (state, event) -> the state after; what is not there cannot happen.
NEXT = _table()


class IllegalTransition(ValueError):
    """A consent cannot go that way: the records do not fit together."""

    def __init__(self, state: State, event: Event, seq: int = 0) -> None:
        super().__init__(f"record {seq}: a consent that is {state} cannot be {event}")
        self.state, self.event, self.seq = state, event, seq


def after(state: State, event: Event, seq: int = 0) -> State:
    """The state after an event; raises IllegalTransition."""
    found = NEXT.get((state, event))
    if found is None:
        raise IllegalTransition(state, event, seq)
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """One record, as far as it is about consents."""

    seq: int
    at: datetime
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Entered:
    """A state that a consent entered, by which record. `seq` is 0 where time alone did it, and no record has it yet."""

    key: Key
    state: State
    at: datetime
    seq: int
    until: datetime | None = None


def entered(steps: Iterable[Step], now: datetime) -> list[Entered]:
    """Every state of every topic and channel, in the order in which they were entered; raises IllegalTransition."""
    states: dict[Key, State] = {}
    found: list[Entered] = []
    ends: dict[Key, datetime] = {}
    for step in steps:
        for effect, event in _events(step):
            key = (effect.topic, effect.channel)
            states[key] = after(states.get(key, State.UNKNOWN), event, step.seq)
            ends.pop(key, None)
            if effect.until is not None and states[key] in {*VALID, State.REQUESTED}:
                ends[key] = effect.until
            found.append(Entered(key, states[key], step.at, step.seq, ends.get(key)))
    # What has ended by itself, and the worker has not written down yet.
    for key, end in sorted(ends.items()):
        if end <= now:
            found.append(Entered(key, after(states[key], Event.ENDED), end, 0))
    return found


def _events(step: Step) -> Iterator[tuple[Effect, Event]]:
    """What a record does to consents: one event for each topic and channel at most."""
    gone = any(effect.path in {"merged_into", "erased"} for effect in step.effects)
    chosen = {effect.path.partition(":")[2] for effect in step.effects if _is_choice(effect)}
    for effect in step.effects:
        kind, _, rest = effect.path.partition(":")
        if not effect.topic:
            continue  # a no to a whole channel stands at each of its topics as well
        if kind == "choice":
            yield effect, _of_choice(effect, gone)
        elif kind == "pending":
            if effect.after is not None:
                yield effect, Event.ASKED
            elif rest not in chosen:
                yield effect, _of_wait(effect, gone)


def _is_choice(effect: Effect) -> bool:
    return effect.path.startswith("choice:")


def _of_choice(effect: Effect, gone: bool) -> Event:
    if effect.after == SUBSCRIBED:
        return Event.AGAIN if effect.before == SUBSCRIBED else Event.YES
    if effect.after is None:
        return Event.UNDONE
    if gone:
        return Event.VOID
    return Event.ENDED if effect.action == "expired" else Event.NO


def _of_wait(effect: Effect, gone: bool) -> Event:
    """A wait that is over, without a yes."""
    if gone:
        return Event.VOID
    return {"expired": Event.ENDED, "restored": Event.UNDONE}.get(effect.action, Event.NO)
