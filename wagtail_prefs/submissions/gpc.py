"""`Sec-GPC: 1`: the signal by which a browser says that personal data is not to be sold or shared (security.md LW-09).

It is a no to every topic with `shares_data`, and to nothing else. It makes a yes of nothing, and while it is there no
yes to such a topic is taken: not in an answer, not by taking something back. Looking at a page writes nothing; what can
be shared is drawn as off then (`centers.preferences`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..changes import Change, Confirm, SetChoice
from ..contacts import rules
from ..contacts.rules import undoing
from ..topics.models import Topic
from ..values import SUBSCRIBED, UNSUBSCRIBED, ContactState, Key, Merged

#: What the header says, and no other value does.
SIGNAL = "1"
#: {key of a topic with `shares_data`: its channels}
Shared = Mapping[str, Sequence[str]]


def shared_topics(signal: str | None, audience_id: int) -> Shared:
    """What a browser's `Sec-GPC` header is about in an audience; nothing where it is no signal. One statement for one."""
    if signal != SIGNAL:
        return {}
    # What is always sent is no choice of hers.
    topics = Topic.objects.filter(audience_id=audience_id, shares_data=True, transactional=False)
    return dict(topics.values_list("key", "channels"))


def refusals(state: ContactState, shared: Shared) -> tuple[SetChoice, ...]:
    """The noes that the signal adds: where she said yes, waits to, or was never asked. None where all is a no already."""
    keys = {(topic, channel) for topic, channels in shared.items() for channel in channels}
    keys |= {key for key in (*state.choices, *state.pending) if key[0] in shared}
    return tuple(
        SetChoice(*key, UNSUBSCRIBED)
        for key in sorted(keys)
        if state.choices.get(key) != UNSUBSCRIBED or key in state.pending
    )


def without_yes(
    changes: Sequence[Change], shared: Shared, state: ContactState
) -> tuple[tuple[Change, ...], tuple[Merged, ...]]:
    """The changes that can be made under the signal, and every yes that it keeps away."""
    if not shared:
        return tuple(changes), ()
    lost = [change for change in changes if _is_yes(change) and change.key[0] in shared]
    said = {path: value for path, (value, _until) in rules.recorded(state).items()}
    return (
        tuple(change for change in changes if change not in lost),
        tuple(_kept(change.path, rules.wanted(change) or SUBSCRIBED, said) for change in lost),
    )


def without_restored(
    act: rules.Act, shared: Shared, state: ContactState
) -> tuple[rules.Act, tuple[Merged, ...]]:
    """What may be taken back under the signal, and every no about sharing that stays."""
    if not shared or not act.past:
        return act, ()
    said = {path: value for path, (value, _until) in rules.recorded(state).items()}
    past, kept = {}, list[Merged]()
    for receipt, entry in act.past.items():
        stays = {
            path: step
            for path, step in entry.steps.items()
            if _key_of(path)[0] in shared and undoing.loosens(path, step)
        }
        steps = {path: step for path, step in entry.steps.items() if path not in stays}
        past[receipt] = replace(entry, steps=steps)
        kept += [_kept(path, step.before, said) for path, step in stays.items()]
    return replace(act, past=past), tuple(kept)


def _kept(path: str, wanted: object, said: Mapping[str, object]) -> Merged:
    return Merged(path, wanted, said.get(path), "gpc")


def _is_yes(change: Change) -> bool:
    return isinstance(change, Confirm) or (isinstance(change, SetChoice) and change.value != UNSUBSCRIBED)


def _key_of(path: str) -> Key:
    """Topic and channel of the choice at a path; ("", "") for any other."""
    kind, _colon, rest = path.partition(":")
    topic, _colon, channel = rest.rpartition(":")
    return (topic, channel) if kind == "choice" else ("", "")
