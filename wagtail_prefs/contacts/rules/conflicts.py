"""Which wishes hold: what contradicts itself, and what yields to something newer than the screen it was made on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ...changes import (
    AcknowledgeNotice,
    Change,
    ClearAttribute,
    Confirm,
    Erase,
    GiveReason,
    Merge,
    OptIn,
    OptOut,
    Pause,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
    Undo,
)
from ...errors import NotAllowed, UnknownContact
from ...values import FREQUENCIES, PENDING, SUBSCRIBED, UNSUBSCRIBED, ContactState, Merged, iso
from . import paths, undoing, uniting
from .acts import Act
from .drafts import apply
from .paths import OPTED_OUT
from .wishes import attribute_of


def contradictions(changes: Iterable[Change]) -> list[tuple[Change, Change]]:
    """Pairs of changes that cannot both be meant: two values for one path, or staying and leaving at once, also a channel.

    What is about the contact as a whole - erasing, merging, taking a submission back - stands alone.
    """
    found: list[tuple[Change, Change]] = []
    by_path: dict[str, Change] = {}
    leaving: Change | None = None
    joining: Change | None = None
    joined: dict[str, list[Change]] = {}
    refused: list[SetChoice] = []
    alone: Change | None = None
    for change in changes:
        other = by_path.setdefault(change.path, change)
        if other != change:
            found.append((other, change))
        elif isinstance(change, OptOut):
            leaving = change
        elif isinstance(change, Confirm) or (isinstance(change, SetChoice) and change.value != UNSUBSCRIBED):
            joining = change
            joined.setdefault(change.channel, []).append(change)
        elif isinstance(change, SetChoice) and not change.topic:
            refused.append(change)
        elif isinstance(change, Erase | Merge | Undo):
            alone = change
    if leaving is not None and joining is not None:
        found.append((leaving, joining))
    found += [(no, yes) for no in refused for yes in joined.get(no.channel, ()) if yes.key[0]]
    if alone is not None:
        found += [(alone, other) for other in by_path.values() if other is not alone]
    return found


def merge(
    state: ContactState, changes: Sequence[Change], base_version: int, act: Act
) -> tuple[tuple[Change, ...], tuple[Merged, ...]]:
    """Hold wishes made on `base_version` against today's state; returns (what is carried out, what yielded).

    A path conflicts only if it changed after `base_version` to something else. Then the stricter value stands:
    opt-out before out before in, the yes that ends earlier, the pause that ends later, the rarer frequency. Where
    there is no order the newer wish stands, and the value it replaces is named.

    Each path for itself, so the outcome does not depend on which of two submissions arrives first. A yes is a wish
    about several paths: one that a newer opt-out, or a newer no to its channel, overtook leaves a no, as it would have
    if it had come first; one that a newer no overtook still lifts an older opt-out, for the same reason.

    A no that says nothing new is left out, unless there is a record to be written of what else is wished for: then it
    stands there too, or the same wishes arriving once more would be wishes of a screen that something has overtaken.
    """
    verdicts: list[tuple[Change, _Verdict]] = []
    merged: list[Merged] = []
    for change in changes:
        if isinstance(change, Undo):
            merged += undoing.kept(state, act.past[change.record], act)
        elif isinstance(change, Merge) and change.winner == state.id:
            merged += uniting.left_behind(state, act.others[change.loser], act)
        verdict, instead = _conflict(state, change, base_version, act.at)
        if verdict is not None:
            merged.append(verdict)
        verdicts.append((change, (verdict, instead)))
    accepted = tuple(one for _, (_, instead) in verdicts for one in instead)
    known = [change for change, each in verdicts if each == (None, ())]
    if known and base_version >= state.version and _leaves_a_record(state, accepted, act):
        accepted = tuple(
            one for change, (_, instead) in verdicts for one in ([change] if change in known else instead)
        )
    return accepted, tuple(merged)


def _leaves_a_record(state: ContactState, changes: Sequence[Change], act: Act) -> bool:
    try:
        return bool(apply(state, changes, act)[1])
    except (NotAllowed, UnknownContact, ValueError):
        return False  # whoever carries them out is told


#: What to say about a wish, and what to carry out in its place.
_Verdict = tuple[Merged | None, Sequence[Change]]


def _conflict(state: ContactState, change: Change, base: int, at: datetime) -> _Verdict:
    if isinstance(change, Confirm | SetChoice) and not (
        isinstance(change, SetChoice) and change.value == UNSUBSCRIBED
    ):
        return _yes(state, change, base)
    if isinstance(change, OptOut):
        return None, () if _known(state, base) else (change,)
    if isinstance(change, OptIn):
        overtaken = state.opted_out and _newer(state, OPTED_OUT, base)
        return (Merged(change.path, False, True, "opt_out"), ()) if overtaken else (None, (change,))
    if isinstance(change, SetChoice) and not change.topic and _is_refused(state, change.channel, base):
        return None, ()
    if not _newer(state, change.path, base):
        return None, (change,)
    match change:
        case SetFrequency():
            held = state.frequencies.get(change.key)
            if held is not None and FREQUENCIES.index(held) > FREQUENCIES.index(change.value):
                return Merged(change.path, change.value, held, "rarer"), ()
        case Pause() | Resume():
            pause = state.pauses.get(change.key)
            until = change.until if isinstance(change, Pause) else None
            if pause is not None and pause.until > (until or at):
                return Merged(change.path, until and iso(until), iso(pause.until), "later"), ()
        case SetAttribute() | ClearAttribute() | GiveReason() | AcknowledgeNotice():
            wanted, present = _unordered(state, change)
            if present != wanted:
                return Merged(change.path, wanted, present, "newest"), (change,)
    return None, (change,)


def _yes(state: ContactState, change: SetChoice | Confirm, base: int) -> _Verdict:
    asked = change.value if isinstance(change, SetChoice) else SUBSCRIBED
    known = not change.topic and _is_refused(state, change.channel, base)
    no = (SetChoice(*change.key, UNSUBSCRIBED),) if asked != PENDING and not known else ()
    if state.opted_out and _newer(state, OPTED_OUT, base):
        return Merged(change.path, asked, OPTED_OUT, "opt_out"), no
    lift = (OptIn(),) if asked != PENDING and state.opted_out else ()
    if (
        change.topic
        and _refused(state, change.channel)
        and _newer(state, paths.channel(change.channel), base)
    ):
        return Merged(change.path, asked, UNSUBSCRIBED, "stricter"), (*no, *lift)
    held = state.choices.get(change.key)
    if not _newer(state, change.path, base) or held is None:
        return None, (change,)
    if held == UNSUBSCRIBED:
        return Merged(change.path, asked, UNSUBSCRIBED, "stricter"), lift
    end = state.until.get(change.key)
    until = change.until if isinstance(change, SetChoice) else end
    if asked == SUBSCRIBED and end is not None and (until is None or until > end):
        return Merged(change.path, asked, held, "stricter"), ()
    return None, (change,)


def _refused(state: ContactState, channel: str) -> bool:
    return state.choices.get(("", channel)) == UNSUBSCRIBED


def _is_refused(state: ContactState, channel: str, base: int) -> bool:
    """Whether a no to a channel says nothing new; as `_known` for everything."""
    stands = any(
        key[1] == channel and (key in state.pending or state.choices.get(key) == SUBSCRIBED)
        for key in (*state.choices, *state.pending)
    )
    fresh = base >= state.version
    return _refused(state, channel) and not stands and (fresh or _newer(state, paths.channel(channel), base))


def _known(state: ContactState, base: int) -> bool:
    """Whether an opt-out says nothing new.

    One from a screen that is older than something else does, where no other has overtaken that screen: a yes from
    the same screen may be on its way.
    """
    fresh = base >= state.version
    return state.opted_out and not state.pending and (fresh or _newer(state, OPTED_OUT, base))


def _newer(state: ContactState, path: str, base: int) -> bool:
    return state.versions.get(path, 0) > base


def _unordered(
    state: ContactState, change: SetAttribute | ClearAttribute | GiveReason | AcknowledgeNotice
) -> tuple[object, object]:
    """(what is wanted, what stands) where neither is stricter than the other."""
    if isinstance(change, AcknowledgeNotice):
        return change.sha256, state.notices.get(change.notice)
    return attribute_of(change), state.attributes.get(change.path.partition(":")[2])
