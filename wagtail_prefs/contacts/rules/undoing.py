"""Taking a submission back: path by path, what still is as it left it (design.md s6)."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import NotAllowed
from ...values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Merged
from .acts import Act, Past, Step
from .paths import OPTED_OUT, key_of, recorded, split

#: What happened to the contact as a whole, or to her address, is not taken back by a receipt.
FINAL = {"address", "merged_into", "erased", "suppressed"}


def restorable(state: ContactState, past: Past, act: Act) -> Iterator[tuple[str, Step]]:
    """The steps that are taken back."""
    for path, step in _steps(past):
        if _verdict(state, path, step, past, act) is None:
            yield path, step


def kept(state: ContactState, past: Past, act: Act) -> list[Merged]:
    """What cannot be taken back: it changed again since, a later no stands in its way, or its value was erased.

    Raises NotAllowed for what no receipt takes back: an erasure, a merge, a change of address.
    """
    if any(split(path)[0] in FINAL for path in past.steps):
        raise NotAllowed("an erasure, a merge and a change of address are not taken back by a receipt")
    return [
        verdict
        for path, step in _steps(past)
        if (verdict := _verdict(state, path, step, past, act)) is not None
    ]


def _steps(past: Past) -> Iterator[tuple[str, Step]]:
    """What there is to take back. A request that was answered does not wait again: it would only end unheard."""
    for path, step in past.steps.items():
        if not (split(path)[0] == "pending" and step.before):
            yield path, step


def loosens(path: str, step: Step) -> bool:
    """Whether taking this step back takes a no back, or makes a yes last longer.

    A no that was said once more leaves the first one standing.
    """
    if path == OPTED_OUT:
        return bool(step.after) and not step.before
    return split(path)[0] == "choice" and (
        step.before == SUBSCRIBED or (step.before is None and step.after == UNSUBSCRIBED)
    )


def _verdict(state: ContactState, path: str, step: Step, past: Past, act: Act) -> Merged | None:
    if step.gone:
        return Merged(path, None, None, "erased")
    is_choice = split(path)[0] == "choice"
    now, end = recorded(state).get(path, (False if path == OPTED_OUT else None, None))
    if state.versions.get(path, past.seq) != past.seq or now != step.after:
        is_no = (is_choice and now == UNSUBSCRIBED) or (path == OPTED_OUT and now is True)
        return Merged(path, step.before, now, "refused" if is_no else "changed")
    if not is_choice:
        return None
    # What would have ended meanwhile, or has, ended by itself.
    if step.until is not None and step.until <= act.at:
        return Merged(path, step.before, now, "changed")
    if end is not None and end <= act.at:
        return Merged(path, step.before, UNSUBSCRIBED, "changed")
    topic, channel = key_of(path)
    left = past.left_since or (state.opted_out and state.versions.get(OPTED_OUT, 0) > past.seq)
    left = left or (bool(topic) and channel in past.refused_since)
    if left and loosens(path, step):
        return Merged(path, step.before, OPTED_OUT if state.opted_out else now, "refused")
    return None
