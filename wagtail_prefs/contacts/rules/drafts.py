"""Carrying changes out: a state becomes the next one, and every path that changed is named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from ...changes import (
    FACTS,
    AcknowledgeNotice,
    Change,
    ChangeAddress,
    ClearAttribute,
    Confirm,
    Erase,
    Expire,
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
from ...values import (
    FREQUENCIES,
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    ActorType,
    ContactState,
    Effect,
    Key,
    Pause as Rest,
    iso,
)
from . import paths, undoing, uniting
from .acts import Act, Step
from .paths import OPTED_OUT
from .wishes import attribute_of

#: The kinds of paths whose last version a state keeps; the others stand in records only.
VERSIONED = {OPTED_OUT, "choice", "frequency", "pause", "attribute", "notice"}
_ALWAYS = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


def apply(
    state: ContactState, changes: Sequence[Change], act: Act
) -> tuple[ContactState, tuple[Effect, ...]]:
    """Carry out changes at the next version; returns the new state and what every touched path became.

    No effects means nothing changed, and then the state is returned as it was. Raises NotAllowed when anybody but
    the contact herself would turn a no, or silence, into a yes. Evidence of her own act counts as that act where
    somebody with a name gives it and she acted after whatever was said there last, and after her last word on the
    opt-out; a suppressed address needs its own link. Raises UnknownContact for one who was erased or merged,
    ValueError for what would have ended before it begins.
    """
    if state.erased or state.merged_into:
        raise UnknownContact
    draft = _Draft(state, act)
    for change in changes:
        draft.carry_out(change)
    return draft.result()


_Rule = TypeVar("_Rule", bound=Callable[..., None])
#: The kind of a change -> the method that carries it out. (`singledispatchmethod` makes a function for each call.)
_RULES: dict[type[Change], Callable[[_Draft, Any], None]] = {}


def _rule(*kinds: type[Change]) -> Callable[[_Rule], _Rule]:
    """Marks the method for these kinds of changes."""

    def register(method: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(kinds, method))
        return method

    return register


class _Draft:
    """A state being changed: collects effects and gives each touched path the next version."""

    def __init__(self, state: ContactState, act: Act) -> None:
        self.before = state
        self.act = act
        self.opted_out = state.opted_out
        self.suppressed = state.suppressed
        self.merged_into = state.merged_into
        self.erased = state.erased
        self.choices = dict(state.choices)
        self.pending = set(state.pending)
        self.until = dict(state.until)
        self.frequencies = dict(state.frequencies)
        self.pauses = dict(state.pauses)
        self.attributes = dict(state.attributes)
        self.notices = dict(state.notices)
        #: paths of a no that was said once more: nothing changes there, and it is news
        self.again: set[str] = set()
        self.effects: list[tuple[Effect, datetime | None]] = []

    # --- one method a change -----------------------------------------------------------------------------------------

    def carry_out(self, change: Change) -> None:
        _RULES[type(change)](self, change)

    @_rule(SetChoice)
    def _(self, change: SetChoice) -> None:
        if change.until is not None and change.until <= self.act.at:
            raise ValueError("a yes, and the wait for one, ends in the future")
        if change.value == UNSUBSCRIBED:
            self._no(change.key, again=not change.topic)
        elif change.value == PENDING:
            self._wait(change.key, change.until)
        else:
            self._yes(change.key, change.until)

    @_rule(Confirm)
    def _(self, change: Confirm) -> None:
        until = self.until.get(change.key)
        if change.key in self.pending and (until is None or until > self.act.at):
            if not self.act.actor.is_subject:
                raise NotAllowed("only the owner of the address confirms")
            self._yes(change.key, None)

    @_rule(Expire)
    def _(self, change: Expire) -> None:
        until = self.until.get(change.key)
        if until is None or until > self.act.at:
            return
        if change.key in self.pending:
            self._wait_no_more(change.key, "expired")
        elif self.choices.get(change.key) == SUBSCRIBED:
            self._set_choice(change.key, UNSUBSCRIBED, None, "expired")

    @_rule(SetFrequency)
    def _(self, change: SetFrequency) -> None:
        before = self.frequencies.get(change.key)
        if before != change.value:
            if before is not None and FREQUENCIES.index(change.value) < FREQUENCIES.index(before):
                self._allow_more(change.path)
            self._set_frequency(change.key, change.value, "set")

    @_rule(Pause)
    def _(self, change: Pause) -> None:
        if change.until <= self.act.at:
            raise ValueError("a pause ends in the future")
        before = self.pauses.get(change.key)
        if before is None or before.until != change.until:
            if before is not None and change.until < before.until:
                self._allow_more(change.path)
            self._set_pause(change.key, change.until, "set")

    @_rule(Resume)
    def _(self, change: Resume) -> None:
        if change.key in self.pauses:
            self._allow_more(change.path)
            self._set_pause(change.key, None, "cleared")

    @_rule(OptOut)
    def _(self, _change: OptOut) -> None:
        self._leave("withdrawn", again=True)

    @_rule(OptIn)
    def _(self, _change: OptIn) -> None:
        if self.opted_out:
            self._allow_yes(OPTED_OUT)
            self._lift()

    @_rule(SetAttribute, ClearAttribute, GiveReason)
    def _(self, change: SetAttribute | ClearAttribute | GiveReason) -> None:
        wanted = attribute_of(change)
        self._set_attribute(change.path.partition(":")[2], wanted, "cleared" if wanted is None else "set")

    @_rule(AcknowledgeNotice)
    def _(self, change: AcknowledgeNotice) -> None:
        self._set_notice(change.notice, change.sha256, "acknowledged")

    @_rule(ChangeAddress)
    def _(self, change: ChangeAddress) -> None:
        if change.address == self.act.address:
            return
        self._allow_yes()
        self._note(change.path, self.act.address or None, change.address, "set")
        # A link that was mailed there shows whose it is; anything else does not bring an erased address back.
        proven = self.act.actor.type is ActorType.SUBJECT_LINK
        self._suppress(change.address in self.act.suppressed and not proven, "set")

    @_rule(Undo)
    def _(self, change: Undo) -> None:
        past = self.act.past[change.record]
        for path, step in undoing.restorable(self.before, past, self.act):
            self._restore(path, step, past.seq)

    @_rule(Merge)
    def _(self, change: Merge) -> None:
        if change.loser == self.before.id:
            # Whatever still knows the old address must stop: what she wants from now on is the winner's to say.
            self._leave("merged")
            self._note("merged_into", None, str(change.winner), "merged")
            self.merged_into = change.winner
        elif change.winner == self.before.id:
            self._unite(self.act.others[change.loser])
        else:
            raise ValueError("this merge is about other contacts")

    @_rule(Erase)
    def _(self, _change: Erase) -> None:
        self._leave("erased")
        for key in sorted(self.frequencies):
            self._set_frequency(key, None, "erased")
        for key in sorted(self.pauses):
            self._set_pause(key, None, "erased")
        for name in sorted(self.attributes):
            self._set_attribute(name, None, "erased")
        for name in sorted(self.notices):
            self._set_notice(name, None, "erased")
        if self.act.address:
            self._note("address:email", self.act.address, None, "erased")
        self._suppress(True, "erased")
        self._note("erased", None, True, "erased")
        self.erased = True

    # --- yes and no --------------------------------------------------------------------------------------------------

    def _yes(self, key: Key, until: datetime | None) -> None:
        before, ends = self.choices.get(key), self.until.get(key) if key not in self.pending else None
        if before == SUBSCRIBED and (ends is None or ends > self.act.at):
            self._renew(key, ends, until)
        else:
            # A no to the channel ended all that she had said about its topics.
            self._allow_yes(paths.choice(key), paths.channel(key[1]), OPTED_OUT)
            self._wait_no_more(key, "given")
            self._set_choice(key, SUBSCRIBED, until, "given")
        if self.opted_out:
            # Subscribing to a topic lifts the opt-out and brings that topic only (design.md s6).
            self._allow_yes(OPTED_OUT)
            self._lift()
        if self.suppressed and self.act.actor.is_subject:
            self._suppress(False, "given")

    def _renew(self, key: Key, ends: datetime | None, until: datetime | None) -> None:
        """A yes that is given again: shorter for the asking, longer only as a yes of its own."""
        if ends == until or (_ends(until) > _ends(ends) and not self._may_say_yes(paths.choice(key))):
            return
        self._set_choice(key, SUBSCRIBED, until, "renewed")

    def _wait(self, key: Key, until: datetime | None) -> None:
        """Anybody may ask; until its owner confirms, it changes nothing. Asked twice, the longer wait stands."""
        ends = self.until.get(key) if key not in self.pending else None
        if self.choices.get(key) == SUBSCRIBED and (ends is None or ends > self.act.at):
            return
        held = key in self.pending
        if held and _ends(self.until.get(key)) >= _ends(until):
            return
        if self.choices.get(key) == SUBSCRIBED:  # one that has ended and was not written down yet
            self._set_choice(key, UNSUBSCRIBED, None, "expired")
        self._note(
            paths.pending(key), True if held else None, True, "requested", key, until, self.until.get(key)
        )
        self.pending.add(key)
        self._end(key, until)

    def _wait_no_more(self, key: Key, action: str) -> None:
        if key in self.pending:
            self._note(paths.pending(key), True, None, action, key, None, self.until.get(key))
            self.pending.discard(key)
            self.until.pop(key, None)

    def _no(self, key: Key, action: str = "", *, again: bool = False, but: Collection[Key] = ()) -> None:
        """A no to a channel is one to every topic on it, `but` those: what she says of one later is newer."""
        before = self.choices.get(key)
        ending = [] if key[0] else [one for one in self._on(key[1]) if one not in but]
        if before != UNSUBSCRIBED or key in self.pending or ending or again:
            if before == UNSUBSCRIBED:
                self.again.add(paths.choice(key))
            self._wait_no_more(key, action or "refused")
            kind = "withdrawn" if before == SUBSCRIBED else "refused"
            self._set_choice(key, UNSUBSCRIBED, None, action or kind)
        for one in ending:
            self._stop(one, action)

    def _standing(self) -> list[Key]:
        """Every yes, and every wait for one."""
        return sorted(self.pending | {key for key, value in self.choices.items() if value != UNSUBSCRIBED})

    def _on(self, channel: str) -> list[Key]:
        """What of it is about the topics of a channel."""
        return [key for key in self._standing() if key[0] and key[1] == channel]

    def _stop(self, key: Key, action: str) -> None:
        if key in self.choices:
            self._no(key, action)
        else:
            self._wait_no_more(key, action or "refused")

    def _leave(self, action: str, *, again: bool = False) -> None:
        standing = self._standing()
        if self.opted_out and not standing and not again:
            return
        if self.opted_out:
            self.again.add(OPTED_OUT)
        for key in standing:
            self._stop(key, action)
        self._note(OPTED_OUT, self.opted_out, True, action)
        self.opted_out = True

    def _lift(self) -> None:
        self.opted_out = False
        self._note(OPTED_OUT, True, False, "given")
        if self.suppressed and self.act.actor.is_subject:
            self._suppress(False, "given")

    def _may_say_yes(self, *said: str) -> bool:
        """Whether this counts as her own act. Evidence does that is younger than whatever was `said` at these paths.

        Also than what no longer stands: an opt-out that she lifted still ended all that she had said before it.
        """
        if self.act.actor.is_subject:
            return True
        evidence = self.act.evidence
        if evidence is None or not self.act.actor.id or self.suppressed or evidence.at > self.act.at:
            return False
        if not evidence.is_consent and not any(paths.key_of(path)[0] for path in said):
            return False  # a sale is about a topic: it lifts no opt-out and moves no address
        return all(evidence.at > self._said(path) for path in said)

    def _said(self, path: str) -> datetime:
        """When something was last recorded at a path, or ended by itself there; unknown is never old enough."""
        value, end = paths.recorded(self.before).get(path, (None, None))
        version = self.before.versions.get(path)
        if value is None and version is None:
            return _ALWAYS
        last = self.act.times.get(version or 0, _NEVER)
        return max(last, end) if end is not None and end <= self.act.at else last

    def _allow_yes(self, *said: str) -> None:
        if not self._may_say_yes(*said):
            raise NotAllowed("only the contact's own act turns a no, or silence, into a yes")

    def _allow_more(self, path: str) -> None:
        """A platform may tell us of less mail, never of more."""
        if self.act.actor.type is ActorType.BACKEND and not self._may_say_yes(path):
            raise NotAllowed("a backend can only make things stricter")

    # --- uniting and restoring ---------------------------------------------------------------------------------------

    def _unite(self, loser: ContactState) -> None:
        if loser.erased or loser.merged_into:
            raise UnknownContact
        carried = uniting.carried(self.before, loser, self.act)
        shorter = uniting.shorter(self.before, loser, self.act)
        if loser.opted_out:
            self._leave("merged")
        wanted = uniting.yeses(loser, self.act)
        for key in uniting.refusals(self.before, loser, self.act):
            self._no(key, "merged", but=wanted)
        for key in carried:
            self._wait_no_more(key, "merged")
            self._set_choice(key, SUBSCRIBED, loser.until.get(key), "merged")
        for key, end in shorter:
            self._set_choice(key, SUBSCRIBED, end, "merged")
        for frequency, code in uniting.rarer(self.before, loser):
            self._set_frequency(frequency, code, "merged")
        for scope, until in uniting.later(self.before, loser, self.act):
            self._set_pause(scope, until, "merged")
        for name in sorted(loser.attributes.keys() - self.attributes.keys()):
            self._set_attribute(name, loser.attributes[name], "merged")
        for name in sorted(loser.notices.keys() - self.notices.keys()):
            self._set_notice(name, loser.notices[name], "merged")

    def _restore(self, path: str, step: Step, seq: int) -> None:
        kind, rest = paths.split(path)
        key = paths.key_of(path)
        if undoing.loosens(path, step) and not self.act.actor.is_subject:
            raise NotAllowed("only the contact takes a no back")
        match kind:
            case "opted_out" if step.before:
                self._leave("restored")
            case "opted_out":
                self.opted_out = False
                self._note(OPTED_OUT, True, False, "restored")
            case "choice":
                if step.before == SUBSCRIBED:
                    self._wait_no_more(key, "restored")
                if step.before == UNSUBSCRIBED != step.after and not key[0]:
                    self._refuse_again(key, seq)
                self._set_choice(key, step.before, step.until, "restored")
            case "pending":
                self._wait_no_more(key, "restored")
            case "frequency":
                self._allow_more(path)
                self._set_frequency(key, step.before, "restored")
            case "pause":
                self._allow_more(path)
                until = datetime.fromisoformat(step.before) if step.before else None
                self._set_pause(key, until if until and until > self.act.at else None, "restored")
            case "attribute":
                self._set_attribute(rest, step.before, "restored")
            case "notice":
                self._set_notice(rest, step.before, "restored")

    def _refuse_again(self, key: Key, seq: int) -> None:
        """A no to a channel that comes back ends every yes of the time in which it was none; older ones it had left."""
        for one in self._on(key[1]):
            if self.before.versions.get(paths.choice(one), 0) > seq:
                self._no(one, "restored")

    # --- setting, and saying so --------------------------------------------------------------------------------------

    def _set_choice(self, key: Key, value: str | None, until: datetime | None, action: str) -> None:
        ended = self.until.get(key) if key not in self.pending else None
        self._note(paths.choice(key), self.choices.get(key), value, action, key, until, ended)
        _put(self.choices, key, value)
        if key not in self.pending:
            self._end(key, until)

    def _end(self, key: Key, until: datetime | None) -> None:
        _put(self.until, key, until)

    def _set_frequency(self, key: Key, value: str | None, action: str) -> None:
        self._note(paths.frequency(key), self.frequencies.get(key), value, action, key)
        _put(self.frequencies, key, value)

    def _set_pause(self, key: Key, until: datetime | None, action: str) -> None:
        before = self.pauses.get(key)
        self._note(paths.pause(key), before and iso(before.until), until and iso(until), action, key)
        _put(self.pauses, key, until and Rest(until))

    def _set_attribute(self, name: str, value: Any, action: str) -> None:
        self._note(f"attribute:{name}", self.attributes.get(name), value, action)
        _put(self.attributes, name, value)

    def _set_notice(self, name: str, sha256: str | None, action: str) -> None:
        self._note(f"notice:{name}", self.notices.get(name), sha256, action)
        _put(self.notices, name, sha256)

    def _suppress(self, wanted: bool, action: str) -> None:
        self._note("suppressed", self.suppressed or None, wanted or None, action)
        self.suppressed = wanted

    def _note(
        self,
        path: str,
        before: Any,
        after: Any,
        action: str,
        key: Key = ("", ""),
        until: datetime | None = None,
        ended: datetime | None = None,
    ) -> None:
        self.effects.append((Effect(path, before, after, action, *key, until), ended))

    def result(self) -> tuple[ContactState, tuple[Effect, ...]]:
        effects = _settled(self.effects, self.again)
        if not effects:
            return self.before, ()
        version = self.before.version + 1
        touched = {effect.path: version for effect in effects if paths.split(effect.path)[0] in VERSIONED}
        facts: dict[str, Any] = {
            name: self.attributes.get(name) or ""
            for name in FACTS
            if self.erased or f"attribute:{name}" in touched
        }
        state = replace(
            self.before,
            version=version,
            opted_out=self.opted_out,
            suppressed=self.suppressed,
            merged_into=self.merged_into,
            erased=self.erased,
            choices=self.choices,
            pending=frozenset(self.pending),
            until=self.until,
            frequencies=self.frequencies,
            pauses=self.pauses,
            attributes=self.attributes,
            notices=self.notices,
            versions={**self.before.versions, **touched},
            unreadable={
                name: text
                for name, text in self.before.unreadable.items()
                if not self.erased and f"attribute:{name}" not in touched
            },
            **facts,
        )
        return state, effects


def _ends(until: datetime | None) -> datetime:
    """To compare with: what has no end, ends last."""
    return _NEVER if until is None else until


def _put(where: dict[Any, Any], key: Any, value: Any) -> None:
    """Absent is absent, not None."""
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value


def _settled(effects: list[tuple[Effect, datetime | None]], again: set[str]) -> tuple[Effect, ...]:
    """One effect a path, from its first `before` to its last `after`.

    What ended where it began is no effect, but for a no that was said `again`.
    """
    last: dict[str, tuple[Effect, datetime | None]] = {}
    for effect, ended in effects:
        first = last.get(effect.path)
        last[effect.path] = (
            (effect, ended) if first is None else (replace(effect, before=first[0].before), first[1])
        )
    return tuple(
        effect
        for effect, ended in last.values()
        if effect.before != effect.after or effect.until != ended or effect.path in again
    )
