"""Two contacts become one: what the winner takes from the loser (design.md s6: the stricter value wins)."""

from __future__ import annotations

from datetime import datetime

from ...values import FREQUENCIES, SUBSCRIBED, UNSUBSCRIBED, ContactState, Key, Merged, MergeRule
from .acts import Act
from .moments import effective
from .paths import OPTED_OUT, choice


def carried(winner: ContactState, loser: ContactState, act: Act) -> list[Key]:
    """Every yes of the loser that goes over to the winner."""
    return [key for key in yeses(loser, act) if _stays(winner, key, act) is None]


def left_behind(winner: ContactState, loser: ContactState, act: Act) -> list[Merged]:
    """Every yes that stays behind, and why."""
    own = effective(winner, act.at).choices
    found: list[Merged] = []
    for key in yeses(loser, act):
        stays = _stays(winner, key, act)
        if stays is not None and own.get(key) != SUBSCRIBED:
            kept = OPTED_OUT if winner.opted_out else own.get(key, _refused(winner, key))
            found.append(Merged(choice(key), SUBSCRIBED, kept, stays))
    return found


def yeses(loser: ContactState, act: Act) -> list[Key]:
    """Every yes of the loser."""
    return sorted(key for key, value in effective(loser, act.at).choices.items() if value == SUBSCRIBED)


def _refused(winner: ContactState, key: Key) -> str | None:
    """The winner's no to the channel of a choice; None where she has said none."""
    return UNSUBSCRIBED if winner.choices.get(("", key[1])) == UNSUBSCRIBED else None


def _stays(winner: ContactState, key: Key, act: Act) -> MergeRule | None:
    """Why a yes of the loser does not go over; None where it does.

    It goes where the winner was never asked. An opt-out of the winner's, also one that she has lifted, or the erasure
    of her address, was a no to all that anybody knew of her: what she wants since then she has said herself.
    """
    if winner.opted_out:
        return "opt_out"
    if key in winner.choices or _refused(winner, key):
        return "stricter"
    if OPTED_OUT in winner.versions or winner.suppressed:
        return "refused"
    return None if _one_person(act) else "evidence"


def _one_person(act: Act) -> bool:
    """Whether the person herself unites the two, or somebody with a name shows that they are one."""
    if act.actor.is_subject:
        return True
    evidence = act.evidence
    return evidence is not None and evidence.is_consent and bool(act.actor.id) and evidence.at <= act.at


def shorter(winner: ContactState, loser: ContactState, act: Act) -> list[tuple[Key, datetime]]:
    """Where both have said yes, and the loser's ends before the winner's."""
    theirs, own = effective(loser, act.at), effective(winner, act.at)
    return sorted(
        (key, end)
        for key, end in theirs.until.items()
        if theirs.choices.get(key) == own.choices.get(key) == SUBSCRIBED
        and (key not in own.until or end < own.until[key])
    )


def refusals(winner: ContactState, loser: ContactState, act: Act) -> list[Key]:
    """Where the loser has said no and the winner has not, or may have taken it back for a topic: a no to a channel."""
    return sorted(
        key
        for key, value in effective(loser, act.at).choices.items()
        if value == UNSUBSCRIBED and (winner.choices.get(key) != UNSUBSCRIBED or not key[0])
    )


def rarer(winner: ContactState, loser: ContactState) -> list[tuple[Key, str]]:
    """The caps that the loser has and the winner has not, or only looser ones."""
    return sorted(
        (key, code)
        for key, code in loser.frequencies.items()
        if key not in winner.frequencies
        or FREQUENCIES.index(code) > FREQUENCIES.index(winner.frequencies[key])
    )


def later(winner: ContactState, loser: ContactState, act: Act) -> list[tuple[Key, datetime]]:
    """The pauses of the loser that end after the winner's."""
    return sorted(
        (key, pause.until)
        for key, pause in effective(loser, act.at).pauses.items()
        if key not in winner.pauses or pause.until > winner.pauses[key].until
    )
