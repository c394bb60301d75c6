"""Taking a submission back: path by path, what still is as it left it (design.md s6)."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import NotAllowed
from ...values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Merged
from .acts import Act, Past, Step
from .paths import OPTED_OUT, recorded, split

#: What happened to the contact as a whole, or to her address, is not taken back by a receipt.
FINAL = {"address", "merged_into", "erased", "suppressed"}


def restorable(state: ContactState, past: Past, act: Act) -> Iterator[tuple[str, Step]]:
    """The steps that are taken back, a lifted opt-out first: what it refused can only come after it."""
    steps = [(path, step) for path, step in _steps(past) if _verdict(state, path, step, past, act) is None]
    yield from sorted(steps, key=lambda item: item[0] != OPTED_OUT)


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


def _verdict(state: ContactState, path: str, step: Step, past: Past, act: Act) -> Merged | None:
    if step.gone:
        return Merged(path, None, None, "erased")
    kind = split(path)[0]
    now = state.opted_out if path == OPTED_OUT else recorded(state).get(path, (None, None))[0]
    if state.versions.get(path, past.seq) != past.seq or now != step.after:
        no = (kind == "choice" and now == UNSUBSCRIBED) or (path == OPTED_OUT and now is True)
        return Merged(path, step.before, now, "refused" if no else "changed")
    if kind == "choice" and step.before == SUBSCRIBED:
        if step.until is not None and step.until <= act.at:
            return Merged(path, step.before, now, "changed")  # it would have ended by itself meanwhile
        if state.opted_out and not _lifts(state, past):
            return Merged(path, step.before, OPTED_OUT, "refused")
    return None


def _lifts(state: ContactState, past: Past) -> bool:
    """Whether taking this submission back takes its opt-out back, too."""
    step = past.steps.get(OPTED_OUT)
    return step is not None and step.after is True and state.versions.get(OPTED_OUT) == past.seq
