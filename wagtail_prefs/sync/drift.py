"""What a platform holds against what we hold, field by field: pure functions, no database.

Whether somebody gets more there than here (`looser_there`), less (`stricter_there`), or something else differs
(`other`). What a platform cannot know is no difference: what is not mapped, what it does not keep, a no that it cannot
tell from silence. A platform that keeps everything under our own keys (`TopicModel.KEY`) is also asked for what it does
not speak of; of any other, only what it says counts - but for a yes, and a pause that must hold there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..backends.desired import is_out
from ..changes import Change, OptOut, Pause, SetChoice, SetFrequency
from ..values import (
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    Key,
    PauseStyle,
    RemoteState,
    Support,
    Target,
    TopicModel,
    key_to_scope,
)

#: Platforms that keep days and not moments round them.
A_DAY = timedelta(days=1)

Maps = Callable[[str, str], bool]


class Kind(enum.StrEnum):
    """Which side gives the person less."""

    STRICTER = "stricter_there"
    LOOSER = "looser_there"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs. `change` is what we would have to record to be as strict as the platform is; None where that
    cannot be said. `field` names no value.
    """

    field: str
    kind: Kind
    change: Change | None = None


def compare(
    target: Target, remote: RemoteState, capabilities: Capabilities, maps: Maps, now: datetime
) -> list[Difference]:
    """How a platform's view of a contact differs from ours, sorted by field."""
    found = _Comparison(target, remote, capabilities, maps, now)
    return sorted(
        [*found.opted_out(), *found.choices(), *found.frequencies(), *found.pauses(), *found.attributes()],
        key=lambda difference: difference.field,
    )


@dataclass(frozen=True, slots=True)
class _Comparison:
    target: Target
    remote: RemoteState
    capabilities: Capabilities
    maps: Maps
    now: datetime

    @property
    def whole(self) -> bool:
        """Whether the platform keeps all there is, as we say it."""
        return self.capabilities.topics is TopicModel.KEY

    @property
    def out(self) -> bool:
        return is_out(self.target.state)

    @property
    def knows_out(self) -> bool:
        return self.capabilities.opt_out is not Support.NONE and self.remote.opted_out is not None

    def opted_out(self) -> Iterator[Difference]:
        if not self.knows_out or self.remote.opted_out == self.out:
            return
        if self.out:
            yield Difference("opted_out", Kind.LOOSER)
        else:
            yield Difference("opted_out", Kind.STRICTER, OptOut())

    def choices(self) -> Iterator[Difference]:
        if self.capabilities.choice is Support.NONE or (
            self.out and self.knows_out and self.remote.opted_out
        ):
            return  # nothing at all reaches her there, whatever else stands there
        state, remote = self.target.state, self.remote
        for topic, channel in state.choices.keys() | remote.choices.keys():
            if topic and not self.maps(topic, channel):
                continue
            key = (topic, channel)
            here, there = self._choice_here(key), remote.choices.get(key)
            field = f"choice:{topic}:{channel}"
            if there == SUBSCRIBED:
                if here != SUBSCRIBED:
                    # What she was never asked about is no no, where a no is not to be there: telling it again says nothing.
                    unasked = not self.capabilities.explicit_no and not self._is_asked(key)
                    yield Difference(field, Kind.OTHER if unasked else Kind.LOOSER)
            elif here == SUBSCRIBED:
                if (
                    topic and not self.out and not remote.waits
                ):  # who is out here gets nothing that could be less there
                    yield Difference(field, Kind.STRICTER, SetChoice(topic, channel, UNSUBSCRIBED))
            elif self.capabilities.explicit_no and topic and key not in state.pending:
                if state.choices.get(key) == UNSUBSCRIBED and there is None and self.whole:
                    yield Difference(
                        field, Kind.LOOSER
                    )  # "never asked" there, which others may take for less than a no
                elif here is None and there == UNSUBSCRIBED and not self.out:
                    yield Difference(field, Kind.STRICTER, SetChoice(topic, channel, UNSUBSCRIBED))

    def _is_asked(self, key: Key) -> bool:
        state = self.target.state
        asked = key in state.choices or f"choice:{key[0]}:{key[1]}" in state.versions
        return asked or self.out or state.choices.get(("", key[1])) == UNSUBSCRIBED

    def _choice_here(self, key: Key) -> str | None:
        """What a platform should hold: of one that knows who left everything, what she says of the topic itself."""
        said = self.target.state.choices.get(key) or None
        if said != SUBSCRIBED:
            return said
        leaves = (
            self.capabilities.pause_style is PauseStyle.MEMBERSHIP
        )  # a pause is not to be a member meanwhile
        if (self.out and not self.knows_out) or (leaves and key[0] and self.target.is_paused(*key)):
            return UNSUBSCRIBED
        return said

    def frequencies(self) -> Iterator[Difference]:
        if self.capabilities.frequency is Support.NONE:
            return
        here_of, there_of = self.target.state.frequencies, self.remote.frequencies
        for key in here_of.keys() | there_of.keys() if self.whole else there_of.keys():
            here, there = here_of.get(key) or FREQUENCIES[0], there_of.get(key) or FREQUENCIES[0]
            field = f"frequency:{key_to_scope(key)}"
            if here == there:
                continue
            if here not in FREQUENCIES or there not in FREQUENCIES:
                yield Difference(field, Kind.OTHER)
            elif FREQUENCIES.index(there) > FREQUENCIES.index(here):
                yield Difference(field, Kind.STRICTER, SetFrequency(*key, there))
            else:
                yield Difference(field, Kind.LOOSER)

    def pauses(self) -> Iterator[Difference]:
        if self.capabilities.pause is Support.NONE or self.capabilities.pause_style is PauseStyle.MEMBERSHIP:
            return
        there = {key for key, until in self.remote.pauses.items() if until is None or until > self.now}
        if not self.whole:
            yield from self._pauses_in_force(there)
            return
        for key in self.target.paused | there:
            field = f"pause:{key_to_scope(key)}"
            if key not in there:
                yield Difference(field, Kind.LOOSER)
            elif key not in self.target.paused:
                yield Difference(field, Kind.STRICTER, _pause(key, self.remote.pauses[key]))
            else:
                yield from self._ends(field, key, timedelta(0))

    def _pauses_in_force(self, there: set[Key]) -> Iterator[Difference]:
        """Of a platform that has its own idea of what is paused: only whether mail reaches her that must not."""
        paused = self.target.paused
        for key in sorted(there):
            field = f"pause:{key_to_scope(key)}"
            if key in paused:
                yield from self._ends(field, key, A_DAY)
            elif paused.isdisjoint(_covering(key)):
                yield Difference(field, Kind.STRICTER, _pause(key, self.remote.pauses[key]))
        missing: set[Key] = set()
        for (topic, channel), said in self.remote.choices.items():
            if said != SUBSCRIBED or not topic or not self.maps(topic, channel):
                continue
            if self.out or not self.target.subscribed(topic, channel):
                continue  # told of as a choice
            scopes = {("", ""), ("", channel), (topic, "")}
            if self.target.is_paused(topic, channel) and there.isdisjoint(scopes):
                missing |= paused & scopes
        for key in sorted(missing):
            yield Difference(f"pause:{key_to_scope(key)}", Kind.LOOSER)

    def _ends(self, field: str, key: Key, tolerance: timedelta) -> Iterator[Difference]:
        there = self.remote.pauses[key]
        if there is None:  # until we say that it is over
            return
        later = there - self.target.state.pauses[key].until
        if later > tolerance:
            yield Difference(field, Kind.STRICTER, _pause(key, there))
        elif -later > tolerance:
            yield Difference(field, Kind.LOOSER)

    def attributes(self) -> Iterator[Difference]:
        if self.capabilities.attributes is Support.NONE:
            return
        here, there = self.target.state.attributes, self.remote.attributes
        for name in here.keys() | there.keys() if self.whole else here.keys() & there.keys():
            if _plain(here.get(name)) != _plain(there.get(name)):
                yield Difference(f"attribute:{name}", Kind.OTHER)


def compare_with(
    new: RemoteState, old: RemoteState, abilities: tuple[Capabilities, Capabilities], maps: tuple[Maps, Maps]
) -> list[Difference]:
    """How one platform's view differs from another's, in what both speak of; stricter and looser are meant of the first."""
    found = []

    def both(concept: str) -> bool:
        return all(getattr(one, concept) is not Support.NONE for one in abilities)

    if both("opt_out") and None not in (new.opted_out, old.opted_out) and new.opted_out != old.opted_out:
        found.append(Difference("opted_out", Kind.STRICTER if new.opted_out else Kind.LOOSER))
    if both("choice"):
        for key in new.choices.keys() | old.choices.keys():
            if not key[0] or not all(knows(*key) for knows in maps):
                continue
            yes, was = (one.choices.get(key) == SUBSCRIBED and not one.opted_out for one in (new, old))
            if yes != was:
                found.append(Difference(f"choice:{key[0]}:{key[1]}", Kind.LOOSER if yes else Kind.STRICTER))
    found += [
        Difference(f"frequency:{key_to_scope(key)}", _rarer(new.frequencies[key], old.frequencies[key]))
        for key in new.frequencies.keys() & old.frequencies.keys()
        if new.frequencies[key] != old.frequencies[key]
    ]
    if all(one.pause_style not in (PauseStyle.NONE, PauseStyle.MEMBERSHIP) for one in abilities):
        for key in new.pauses.keys() ^ old.pauses.keys():
            kind = Kind.STRICTER if key in new.pauses else Kind.LOOSER
            found.append(Difference(f"pause:{key_to_scope(key)}", kind))
    found += [
        Difference(f"attribute:{name}", Kind.OTHER)
        for name in new.attributes.keys() & old.attributes.keys()
        if _plain(new.attributes[name]) != _plain(old.attributes[name])
    ]
    return sorted(found, key=lambda difference: difference.field)


def _rarer(one: str, other: str) -> Kind:
    if one not in FREQUENCIES or other not in FREQUENCIES:
        return Kind.OTHER
    return Kind.STRICTER if FREQUENCIES.index(one) > FREQUENCIES.index(other) else Kind.LOOSER


def _covering(key: Key) -> set[Key]:
    """The pauses of which any holds for a whole topic or channel as well."""
    return {("", ""), key}


def _pause(key: Key, until: datetime | None) -> Change | None:
    """Without an end nothing can be recorded: it would go on for ever."""
    return Pause(*key, until) if until is not None else None


def _plain(value: Any) -> Any:
    """As platforms give it back: a number may be a text, and a list has no order."""
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(str(item) for item in value)
    return None if value is None else str(value)
