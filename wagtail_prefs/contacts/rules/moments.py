"""What time does to a state by itself: pauses end, and so do a yes with a date and the wait for a confirmation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ...values import SUBSCRIBED, UNSUBSCRIBED, ContactState


def effective(state: ContactState, at: datetime) -> ContactState:
    """The state as it holds at a moment. A yes that has ended is a no: whoever gave it is not asked to leave again."""
    if not state.pauses and not state.until:
        return state
    pauses = {key: pause for key, pause in state.pauses.items() if pause.until > at}
    ended = {key for key, until in state.until.items() if until <= at}
    if not ended:
        return state if len(pauses) == len(state.pauses) else replace(state, pauses=pauses)
    return replace(
        state,
        pauses=pauses,
        choices={
            key: UNSUBSCRIBED if key in ended and key not in state.pending else value
            for key, value in state.choices.items()
        },
        pending=state.pending - ended,
        until={key: until for key, until in state.until.items() if key not in ended},
    )


def next_edge(state: ContactState, at: datetime) -> datetime | None:
    """The first moment after `at` at which `effective` becomes another; None when nothing changes by itself."""
    edges = [pause.until for pause in state.pauses.values()]
    edges += [
        until
        for key, until in state.until.items()
        if key in state.pending or state.choices.get(key) == SUBSCRIBED
    ]
    return min((edge for edge in edges if edge > at), default=None)
