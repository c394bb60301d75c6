"""Two contacts become one: what the winner takes from the loser (design.md s6: the stricter value wins)."""

from __future__ import annotations

from datetime import datetime

from ...values import FREQUENCIES, SUBSCRIBED, UNSUBSCRIBED, ContactState, Key, Merged
from .acts import Act
from .moments import effective
from .paths import choice


def may_carry(winner: ContactState, act: Act) -> bool:
    """Whether a yes may go over: the person herself unites the two, or somebody with a name shows that they are one.

    To an address that was erased once nobody but herself brings a yes, not even one that would sleep there.
    """
    if act.actor.is_subject:
        return True
    evidence = act.evidence
    shown = evidence is not None and bool(act.actor.id) and evidence.at <= act.at
    return shown and not winner.suppressed


def offered(winner: ContactState, loser: ContactState, act: Act) -> list[Key]:
    """Where the loser has said yes and the winner was never asked."""
    if winner.opted_out or loser.opted_out:
        return []
    return sorted(
        key
        for key, value in effective(loser, act.at).choices.items()
        if value == SUBSCRIBED and key not in winner.choices
    )


def refusals(winner: ContactState, loser: ContactState, act: Act) -> list[Key]:
    """Where the loser has said no and the winner has not."""
    return sorted(
        key
        for key, value in effective(loser, act.at).choices.items()
        if value == UNSUBSCRIBED and winner.choices.get(key) != UNSUBSCRIBED
    )


def rarer(winner: ContactState, loser: ContactState) -> list[tuple[Key, str]]:
    """The caps that the loser has and the winner has not, or only looser ones."""
    return sorted(
        (key, code)
        for key, code in loser.frequencies.items()
        if key not in winner.frequencies
        or FREQUENCIES.index(code) > FREQUENCIES.index(winner.frequencies[key])
    )


def later(winner: ContactState, loser: ContactState) -> list[tuple[Key, datetime]]:
    """The pauses of the loser that end after the winner's."""
    return sorted(
        (key, pause.until)
        for key, pause in loser.pauses.items()
        if key not in winner.pauses or pause.until > winner.pauses[key].until
    )


def left_behind(winner: ContactState, loser: ContactState, act: Act) -> list[Merged]:
    """Every yes that stays behind because nobody showed that the two are one person."""
    if may_carry(winner, act):
        return []
    return [Merged(choice(key), SUBSCRIBED, None, "evidence") for key in offered(winner, loser, act)]
