"""One topic goes on as another: what that means for one contact. Pure (docs/decisions/merging-topics.md).

It can only get stricter. A no to either is a no to the winner, unless she has said yes to the winner since. A yes to the
loser is no yes to the winner: she is asked, and gets nothing until she says so herself. What she said of the loser stays
where it is.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from datetime import datetime

from ..changes import Change, Pause, SetChoice, SetFrequency
from ..values import FREQUENCIES, PENDING, SUBSCRIBED, UNSUBSCRIBED, ContactState, Key


class Verdict(enum.StrEnum):
    """What becomes of one contact on one channel."""

    BOTH = "both"  # yes to both: she stays subscribed
    STAYS = "stays"  # no to the loser, and a later yes to the winner: she stays subscribed
    LEAVES = "leaves"  # no to the loser, and no later yes to the winner: she is unsubscribed
    REFUSED = "refused"  # no to the loser, and nothing or an open question of the winner: a no is noted
    BOTH_NO = "both_no"  # no to both
    NO_STAYS = "no_stays"  # yes to the loser, no to the winner: her no stays
    ASKED = "asked"  # yes to the loser, nothing of the winner: she is asked
    WAITING = "waiting"  # yes to the loser, and asked of the winner already
    LOST = "lost"  # yes to the loser, and she cannot be asked of the winner


#: The verdicts that something is written for.
WRITTEN = frozenset({Verdict.LEAVES, Verdict.REFUSED, Verdict.ASKED})


def verdict(
    state: ContactState, loser: str, winner: str, channel: str, offered: Collection[str]
) -> Verdict | None:
    """What becomes of a contact on a channel; None where she never said anything of the loser there.

    `state` is hers as it holds now (contacts.rules.effective), `offered` are the channels of the winner.
    """
    old, new = (loser, channel), (winner, channel)
    if state.choices.get(old) == UNSUBSCRIBED:
        if state.choices.get(new) == UNSUBSCRIBED:
            return Verdict.BOTH_NO
        if state.choices.get(new) == SUBSCRIBED:
            return Verdict.STAYS if _said(state, new) > _said(state, old) else Verdict.LEAVES
        return Verdict.REFUSED
    if old not in state.choices and old not in state.pending:
        return None
    if state.choices.get(new) == UNSUBSCRIBED:
        return Verdict.NO_STAYS
    if state.choices.get(new) == SUBSCRIBED:
        return Verdict.BOTH
    if new in state.pending:
        return Verdict.WAITING
    can_be_asked = channel in offered and not state.opted_out and not state.suppressed
    return Verdict.ASKED if can_be_asked else Verdict.LOST


def changes(state: ContactState, loser: str, winner: str, offered: Collection[str]) -> list[Change]:
    """What a merge changes for one contact: noes and questions, and the stricter limits. Doing it again gives nothing."""
    return [*_choices(state, loser, winner, offered), *_limits(state, loser, winner)]


def _choices(state: ContactState, loser: str, winner: str, offered: Collection[str]) -> Iterator[Change]:
    channels = sorted({channel for topic, channel in (*state.choices, *state.pending) if topic == loser})
    for channel in channels:
        match verdict(state, loser, winner, channel, offered):
            case Verdict.LEAVES | Verdict.REFUSED:
                yield SetChoice(winner, channel, UNSUBSCRIBED)
            case Verdict.ASKED:
                # A yes that would have ended by itself is not asked for any longer than that.
                yield SetChoice(winner, channel, PENDING, _end(state, (loser, channel)))


def _limits(state: ContactState, loser: str, winner: str) -> Iterator[Change]:
    cap, own = state.frequencies.get((loser, "")), state.frequencies.get((winner, ""))
    if cap is not None and (own is None or FREQUENCIES.index(cap) > FREQUENCIES.index(own)):
        yield SetFrequency(winner, "", cap)
    pause, held = state.pauses.get((loser, "")), state.pauses.get((winner, ""))
    if pause is not None and (held is None or pause.until > held.until):
        yield Pause(winner, "", pause.until)


def _said(state: ContactState, key: Key) -> int:
    return state.versions.get(f"choice:{key[0]}:{key[1]}", 0)


def _end(state: ContactState, key: Key) -> datetime | None:
    return state.until.get(key)
