"""What changes do to a state: pure functions over values, no database, no clock (design.md s6).

`merge` decides which wishes still hold after what happened since the screen was drawn; `apply` carries them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..changes import AcknowledgeNotice, Change, OptIn, OptOut, SetChoice, SetFrequency
from ..errors import NotAllowed
from ..values import FREQUENCIES, SUBSCRIBED, UNSUBSCRIBED, Actor, ContactState, Effect, Merged

OPTED_OUT = "opted_out"


def contradictions(changes: Iterable[Change]) -> list[tuple[Change, Change]]:
    """Pairs of changes that cannot both be meant: two values for one path, or staying and leaving at once."""
    found: list[tuple[Change, Change]] = []
    by_path: dict[str, Change] = {}
    leaving: Change | None = None
    joining: Change | None = None
    for change in changes:
        other = by_path.setdefault(change.path, change)
        if other != change:
            found.append((other, change))
        elif isinstance(change, OptOut):
            leaving = change
        elif isinstance(change, SetChoice) and change.value == SUBSCRIBED:
            joining = change
    if leaving is not None and joining is not None:
        found.append((leaving, joining))
    return found


def merge(
    state: ContactState, changes: Sequence[Change], base_version: int
) -> tuple[tuple[Change, ...], tuple[Merged, ...]]:
    """Hold wishes made on `base_version` against today's state; returns (what still holds, what yielded).

    A path conflicts only if it changed after `base_version` to something else. Then the stricter value stands:
    opt-out before out before in, the rarer frequency; where there is no order the newer wish stands, and the
    value it replaces is named.
    """
    accepted: list[Change] = []
    merged: list[Merged] = []
    for change in changes:
        verdict = _conflict(state, change, base_version)
        if verdict is not None:
            merged.append(verdict)
        if verdict is None or verdict.rule == "newest":
            accepted.append(change)
    return tuple(accepted), tuple(merged)


def _conflict(state: ContactState, change: Change, base: int) -> Merged | None:
    def newer(path: str) -> bool:
        return state.versions.get(path, 0) > base

    if isinstance(change, OptIn) and state.opted_out and newer(OPTED_OUT):
        return Merged(change.path, False, True, "opt_out")
    if isinstance(change, SetChoice) and change.value == SUBSCRIBED:
        if state.opted_out and newer(OPTED_OUT):
            return Merged(change.path, SUBSCRIBED, OPTED_OUT, "opt_out")
        if newer(change.path) and state.choices.get(change.key) == UNSUBSCRIBED:
            return Merged(change.path, SUBSCRIBED, UNSUBSCRIBED, "stricter")
    if isinstance(change, SetFrequency) and newer(change.path):
        current = state.frequencies.get(change.key)
        if current is not None and FREQUENCIES.index(current) > FREQUENCIES.index(change.value):
            return Merged(change.path, change.value, current, "rarer")
    if isinstance(change, AcknowledgeNotice) and newer(change.path):
        known = state.notices.get(change.notice)
        if known is not None and known != change.sha256:
            return Merged(change.path, change.sha256, known, "newest")
    return None


def apply(
    state: ContactState, changes: Sequence[Change], *, actor: Actor, evidence: str | None = None
) -> tuple[ContactState, tuple[Effect, ...]]:
    """Carry out changes at the next version; returns the new state and what every touched path became.

    No effects means nothing changed, and then the state is returned as it was. Raises NotAllowed when anybody but
    the contact herself would turn a no into a yes; with `evidence` and a name, others may give a consent that was
    never asked for, but lift nothing.
    """
    draft = _Draft(state, actor, evidence)
    for change in changes:
        draft.carry_out(change)
    return draft.result()


class _Draft:
    """A state being changed: collects effects and gives each touched path the next version."""

    def __init__(self, state: ContactState, actor: Actor, evidence: str | None) -> None:
        self.before = state
        self.actor = actor
        self.evidence = evidence
        self.opted_out = state.opted_out
        self.choices = dict(state.choices)
        self.pending = set(state.pending)
        self.frequencies = dict(state.frequencies)
        self.notices = dict(state.notices)
        self.effects: list[Effect] = []

    def carry_out(self, change: Change) -> None:
        match change:
            case SetChoice(value="subscribed"):
                self._subscribe(change)
            case SetChoice():
                self._unsubscribe(change.topic, change.channel)
            case SetFrequency():
                before = self.frequencies.get(change.key)
                if before != change.value:
                    self.frequencies[change.key] = change.value
                    self._note(change.path, before, change.value, "set", change.topic, change.channel)
            case OptOut():
                for topic, channel in sorted(self.choices):
                    self._unsubscribe(topic, channel)
                if not self.opted_out:
                    self.opted_out = True
                    self._note(OPTED_OUT, False, True, "withdrawn")
            case OptIn():
                if self.opted_out:
                    self._allow_yes(lifts=True)
                    self.opted_out = False
                    self._note(OPTED_OUT, True, False, "given")
            case AcknowledgeNotice():
                before = self.notices.get(change.notice)
                if before != change.sha256:
                    self.notices[change.notice] = change.sha256
                    self._note(change.path, before, change.sha256, "acknowledged")
            case _:
                raise TypeError(f"no rule for {type(change).__name__}")

    def _subscribe(self, change: SetChoice) -> None:
        before = self.choices.get(change.key)
        if before != SUBSCRIBED:
            self._allow_yes(lifts=before is not None or self.opted_out)
            self.choices[change.key] = SUBSCRIBED
            self._note(change.path, before, SUBSCRIBED, "given", change.topic, change.channel)
        if self.opted_out:
            # Subscribing to a topic lifts the opt-out and brings that topic only (design.md s6).
            self._allow_yes(lifts=True)
            self.opted_out = False
            self._note(OPTED_OUT, True, False, "given")

    def _unsubscribe(self, topic: str, channel: str) -> None:
        before = self.choices.get((topic, channel))
        if before != UNSUBSCRIBED:
            self.choices[topic, channel] = UNSUBSCRIBED
            action = "refused" if before is None else "withdrawn"
            self._note(f"choice:{topic}:{channel}", before, UNSUBSCRIBED, action, topic, channel)
        self.pending.discard((topic, channel))

    def _allow_yes(self, *, lifts: bool) -> None:
        if self.actor.is_subject:
            return
        if not lifts and self.evidence and self.actor.id:
            return
        raise NotAllowed("only the contact's own act turns a no, or silence, into a yes")

    def _note(
        self, path: str, before: Any, after: Any, action: str, topic: str = "", channel: str = ""
    ) -> None:
        self.effects.append(Effect(path, before, after, action, topic, channel))

    def result(self) -> tuple[ContactState, tuple[Effect, ...]]:
        effects = _settled(self.effects)
        if not effects:
            return self.before, ()
        version = self.before.version + 1
        state = replace(
            self.before,
            version=version,
            opted_out=self.opted_out,
            choices=self.choices,
            pending=frozenset(self.pending),
            frequencies=self.frequencies,
            notices=self.notices,
            versions={**self.before.versions, **{effect.path: version for effect in effects}},
        )
        return state, effects


def _settled(effects: list[Effect]) -> tuple[Effect, ...]:
    """One effect a path, from its first `before` to its last `after`; what ended where it began is no effect."""
    last: dict[str, Effect] = {}
    for effect in effects:
        first = last.get(effect.path)
        last[effect.path] = effect if first is None else replace(effect, before=first.before)
    return tuple(effect for effect in last.values() if effect.before != effect.after)
