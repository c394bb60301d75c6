"""Random contacts with a past: what the properties of the rules run over. No database, no clock but the one drawn.

Everything is drawn from few values - two topics, two channels, moments on a grid of half days - so that what can
meet does meet.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from wagtail_prefs.changes import (
    AcknowledgeNotice,
    Change,
    ChangeAddress,
    ClearAttribute,
    Confirm,
    Expire,
    GiveReason,
    OptIn,
    OptOut,
    Pause,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
    Undo,
)
from wagtail_prefs.contacts.rules import Act, Past, Step, apply, contradictions, merge, recorded
from wagtail_prefs.errors import NotAllowed
from wagtail_prefs.values import (
    FREQUENCIES,
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Effect,
    Evidence,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
HALF_DAY = timedelta(hours=12)
PERSON = Actor(ActorType.SUBJECT_SESSION)
MAIL_LINK = Actor(ActorType.SUBJECT_LINK)
BACKEND = Actor(ActorType.BACKEND, "crm")
SHE = uuid.UUID(int=1)
ANOTHER = uuid.UUID(int=2)
EMPTY = ContactState(id=SHE, audience="brand")
ADDRESS = "anna@mail.example.org"


def after(halves: int) -> datetime:
    return START + halves * HALF_DAY


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a story."""

    seq: int
    at: datetime
    effects: tuple[Effect, ...]
    before: Mapping[str, tuple[Any, datetime | None]]


@dataclass(frozen=True, slots=True)
class Story:
    """A contact as her records left her, and the moment that it is now."""

    state: ContactState = EMPTY
    at: datetime = START
    address: str = ADDRESS
    entries: tuple[Entry, ...] = field(default=())

    def act(
        self,
        actor: Actor = PERSON,
        evidence: Evidence | None = None,
        others: Mapping[uuid.UUID, ContactState] | None = None,
        suppressed: frozenset[str] = frozenset(),
    ) -> Act:
        return Act(
            actor,
            self.at,
            evidence,
            address=self.address,
            suppressed=suppressed,
            times={entry.seq: entry.at for entry in self.entries},
            past={receipt(entry.seq): self._past(entry) for entry in self.entries},
            others=others or {},
        )

    def _past(self, entry: Entry) -> Past:
        steps = {
            effect.path: Step(effect.before, effect.after, entry.before.get(effect.path, (None, None))[1])
            for effect in entry.effects
        }
        left = any(
            effect.path == "opted_out" and effect.after
            for later in self.entries[entry.seq :]
            for effect in later.effects
        )
        refused = {
            effect.channel
            for later in self.entries[entry.seq :]
            for effect in later.effects
            if effect.path.startswith("choice::") and effect.is_no
        }
        return Past(entry.seq, steps, left, frozenset(refused))

    def then(
        self, *changes: Change, actor: Actor = PERSON, evidence: Evidence | None = None, **more: Any
    ) -> Story:
        """The story after a submission that was made on today's state; raises what the rules raise."""
        act = self.act(actor, evidence, **more)
        accepted, _ = merge(self.state, changes, self.state.version, act)
        return self.take(*apply(self.state, accepted, act))

    def take(self, state: ContactState, effects: tuple[Effect, ...]) -> Story:
        """The story after what `apply` has returned."""
        if not effects:
            return self
        addresses = [effect.after for effect in effects if effect.path == "address:email"]
        entry = Entry(state.version, self.at, effects, recorded(self.state))
        return replace(
            self,
            state=state,
            address=(addresses[-1] or "") if addresses else self.address,
            entries=(*self.entries, entry),
        )

    def wait(self, halves: int) -> Story:
        return replace(self, at=self.at + halves * HALF_DAY)

    @property
    def last(self) -> uuid.UUID:
        """The receipt of the newest record."""
        return receipt(self.entries[-1].seq)


def receipt(seq: int) -> uuid.UUID:
    return uuid.UUID(int=1000 + seq)


# --- what can be drawn ---------------------------------------------------------------------------------------------

KEYS = [("news", "email"), ("offers", "sms")]
#: The channel of the first of them, as a whole.
CHANNEL = ("", "email")
SCOPES = [("", ""), ("", "email")]
#: Few, so that two wishes often name the same one; and some of them have passed when they are named.
MOMENTS = [after(halves) for halves in (1, 3, 5, 8)]
CODES = [FREQUENCIES[index] for index in (0, 2, 4)]

keys = st.sampled_from(KEYS)
moments = st.integers(-1, 10).map(after)
_HER = [PERSON, MAIL_LINK]
_THEIRS = [Actor(kind, name) for kind in ActorType for name in ("somebody", "") if not Actor(kind).is_subject]
subjects = st.sampled_from(_HER)
others = st.sampled_from(_THEIRS)
actors = st.sampled_from([*_HER, *_HER, *_HER, *_THEIRS])
evidences = st.sampled_from(
    [None, None, None, *(Evidence("form 7", after(halves)) for halves in range(-1, 11))]
)

YESES: list[Change] = [
    *(SetChoice(*key, SUBSCRIBED, end) for key in KEYS for end in (None, *MOMENTS)),
    SetChoice(*CHANNEL, SUBSCRIBED),
]
REFUSALS: list[Change] = [SetChoice(*key, UNSUBSCRIBED) for key in (*KEYS, CHANNEL)]
REQUESTS: list[Change] = [
    *(SetChoice(*key, PENDING, end) for key in KEYS for end in (None, *MOMENTS)),
    *(SetChoice(*CHANNEL, PENDING, end) for end in (None, MOMENTS[2])),
]
CONFIRMATIONS: list[Change] = [Confirm(*key) for key in (*KEYS, CHANNEL)]
EXPIRIES: list[Change] = [Expire(*key) for key in (*KEYS, CHANNEL)]
CAPS: list[Change] = [SetFrequency(*scope, code) for scope in SCOPES for code in CODES]
PAUSES: list[Change] = [Pause(*scope, end) for scope in SCOPES for end in MOMENTS]
RESUMPTIONS: list[Change] = [Resume(*scope) for scope in SCOPES]
REST: list[Change] = [
    SetAttribute("language", "de"),
    SetAttribute("language", "fr"),
    ClearAttribute("language"),
    SetAttribute("size", ["a", "b"]),
    SetAttribute("size", 7),
    ClearAttribute("size"),
    GiveReason("too_many"),
    GiveReason("other", "so many mails"),
    ClearAttribute("reason"),
    AcknowledgeNotice("privacy", "a" * 64),
    AcknowledgeNotice("privacy", "b" * 64),
    ChangeAddress(ADDRESS),
    ChangeAddress("anna@work.example.org"),
]


def consistent(found: Sequence[Change]) -> tuple[Change, ...]:
    """The changes without those that contradict one before them."""
    kept: list[Change] = []
    for change in found:
        if not contradictions([*kept, change]):
            kept.append(change)
    return tuple(kept)


def _often(*groups: tuple[int, Sequence[Any]]) -> st.SearchStrategy[Any]:
    """One of the members of a group, a group as often as its number says: one draw, where `one_of` takes two."""
    whole = math.lcm(*(len(group) for _, group in groups))
    return st.sampled_from(
        [one for times, group in groups for one in group for _ in range(times * whole // len(group))]
    )


_ORDERED = (
    (2, YESES),
    (3, REFUSALS),
    (2, REQUESTS),
    (3, CONFIRMATIONS),
    (2, CAPS),
    (2, PAUSES),
    (1, RESUMPTIONS),
    (4, [OptOut(), OptIn()]),
)
wishes = _often(*_ORDERED, (3, EXPIRIES), (3, REST))

#: What has an order - the stricter one wins, whoever comes first - by what it is about: wishes of a few are in each
#: other's way.
THEMES: list[list[Change]] = [
    [change for change in (*YESES, *REFUSALS, *REQUESTS, *CONFIRMATIONS) if change.key == KEYS[0]]
    + [OptOut(), OptIn()],
    [change for change in (*YESES, *REFUSALS, *REQUESTS, *CONFIRMATIONS) if change.key in {KEYS[0], CHANNEL}],
    [
        *(change for change in (*YESES, *REFUSALS, *CONFIRMATIONS) if change.to_json().get("until") is None),
        OptOut(),
        OptIn(),
    ],
    [change for change in (*CAPS, *PAUSES, *RESUMPTIONS) if change.key == SCOPES[0]],
    [*YESES, *REFUSALS, *REQUESTS, *CONFIRMATIONS, *CAPS, *PAUSES, *RESUMPTIONS, OptOut(), OptIn()],
]


def screens(count: int) -> st.SearchStrategy[list[tuple[Change, ...]]]:
    """What is wished for on several screens, of one theme."""
    return st.sampled_from(THEMES).flatmap(
        lambda theme: st.lists(
            st.lists(st.sampled_from(theme), min_size=1, max_size=3).map(consistent),
            min_size=count,
            max_size=count,
        )
    )


submissions = st.lists(wishes, min_size=1, max_size=3).map(consistent)


#: Who acts, how many half days pass then, and whether it is an undo. Mostly she: what others may do leads to few states.
_turns = _often(
    (3, [(actor, halves, undo) for actor in _HER for halves in range(4) for undo in [False] * 5 + [True]]),
    (1, [(actor, halves, undo) for actor in _THEIRS for halves in range(4) for undo in [False] * 5 + [True]]),
)


def _lived(*submissions: Sequence[Change], state: ContactState = EMPTY) -> Story:
    story = Story(state)
    for changes in submissions:
        story = story.then(*changes)
    return story


_NEWS, _OFFERS = KEYS
_ASKED = [SetChoice(*_NEWS, PENDING, after(5))]
_RICH = [
    SetChoice(*_NEWS, SUBSCRIBED),
    SetChoice(*_OFFERS, SUBSCRIBED, after(3)),
    SetFrequency("", "", CODES[1]),
    Pause("", "email", after(5)),
    SetAttribute("size", "L"),
    SetAttribute("language", "de"),
]
#: Where a story begins: mostly somewhere from which it can go on in many ways.
BEGINNINGS = [
    _lived(),
    _lived(_ASKED),
    _lived(_RICH),
    _lived(_RICH, [SetChoice(*_NEWS, UNSUBSCRIBED)]),
    _lived([SetChoice(*_NEWS, UNSUBSCRIBED)], _ASKED),
    _lived([OptOut()], _ASKED),
    _lived(_RICH, [OptOut()]),
    _lived(_RICH, [OptOut()], [OptIn()]),
    _lived(_ASKED, state=replace(EMPTY, suppressed=True)),
    _lived(_RICH, [SetChoice(*CHANNEL, UNSUBSCRIBED)]),
    _lived([SetChoice(*CHANNEL, UNSUBSCRIBED)], _RICH),
    _lived(_RICH, [SetChoice(*CHANNEL, UNSUBSCRIBED)], [SetChoice(*CHANNEL, SUBSCRIBED)]),
]


@st.composite
def stories(draw: st.DrawFn, *, most: int = 4) -> Story:
    """A contact with up to `most` submissions more than at the beginning, by anybody; what may not be is left out."""
    story = draw(st.sampled_from(BEGINNINGS))
    turns = draw(st.lists(_turns, max_size=most))
    for actor, halves, undo in turns:
        if undo and story.entries:
            changes: tuple[Change, ...] = (Undo(receipt(draw(st.integers(1, len(story.entries))))),)
        else:
            changes = draw(submissions)
        evidence = None if actor.is_subject else draw(evidences)
        with suppress(NotAllowed, ValueError):
            story = story.then(*changes, actor=actor, evidence=evidence)
        story = story.wait(halves)
    return story


@st.composite
def another(draw: st.DrawFn) -> ContactState:
    """The state of somebody else."""
    return replace(draw(stories(most=3)).state, id=ANOTHER)


def tried(story: Story, changes: Sequence[Change], **circumstances: Any) -> Story | None:
    """The story after a submission; None where the rules refuse it."""
    try:
        return story.then(*changes, **circumstances)
    except (NotAllowed, ValueError):
        return None
