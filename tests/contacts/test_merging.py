"""Wishes made on an old screen: the outcome is the same whoever comes first, and whatever comes twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from tests.contacts.worlds import (
    BACKEND,
    BEGINNINGS,
    PERSON,
    Story,
    after,
    consistent,
    screens,
    stories,
    submissions,
    tried,
)
from tests.properties import examples
from wagtail_prefs.changes import (
    AcknowledgeNotice,
    Change,
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
)
from wagtail_prefs.contacts.rules import apply, effective, merge, recorded
from wagtail_prefs.errors import NotAllowed
from wagtail_prefs.values import (
    FREQUENCIES,
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    Merged,
)

KEY = ("news", "email")
YES = SetChoice(*KEY, SUBSCRIBED)
NO = SetChoice(*KEY, UNSUBSCRIBED)
ASK = SetChoice(*KEY, PENDING)
ORDERED = ("opted_out", "choice:", "pending:", "frequency:", "pause:")

Outcome = Mapping[str, tuple[Any, datetime | None]]


def arrive(story: Story, changes: Sequence[Change], base: int) -> tuple[Story, tuple[Merged, ...]]:
    """The story after a submission that was made on an older version, and what yielded."""
    act = story.act(PERSON)
    accepted, merged = merge(story.state, changes, base, act)
    return story.take(*apply(story.state, accepted, act)), merged


def outcome(story: Story) -> Outcome:
    return {path: value for path, value in recorded(story.state).items() if path.startswith(ORDERED)}


def real(story: Story, changes: Sequence[Change]) -> tuple[Change, ...]:
    """The wishes that change something on the screen they were made on: a page sends no other."""
    return tuple(
        change
        for change in changes
        if (then := tried(story, [change])) is not None and then.entries != story.entries
    )


@st.composite
def settled(draw: st.DrawFn) -> Story:
    """A contact with a past in which all that has ended is written down: what a screen was drawn from."""
    return written_down(draw(stories(most=2)))


def written_down(story: Story) -> Story:
    """With all that has ended: a wait that is over stays in the state until somebody asks again, a yes is a no."""
    state = story.state
    until = {key: end for key, end in state.until.items() if key in state.pending or end > story.at}
    held = effective(state, story.at)
    return replace(story, state=replace(held, pending=state.pending, until=until))


@pytest.mark.property
@examples(1000)
@given(settled(), screens(2))
def test_two_submissions_come_to_the_same_whichever_arrives_first(
    story: Story, screens: list[tuple[Change, ...]]
) -> None:
    one, other = (real(story, changes) for changes in screens)
    base = story.state.version
    first = arrive(arrive(story, one, base)[0], other, base)[0]
    second = arrive(arrive(story, other, base)[0], one, base)[0]
    assert outcome(first) == outcome(second)


@pytest.mark.property
@examples(600)
@given(settled(), screens(3))
def test_three_submissions_come_to_the_same_in_every_order(
    story: Story, screens: list[tuple[Change, ...]]
) -> None:
    made = [real(story, changes) for changes in screens]
    base = story.state.version
    outcomes = []
    for order in itertools.permutations(made):
        then = story
        for changes in order:
            then = arrive(then, changes, base)[0]
        outcomes.append(outcome(then))
    assert all(found == outcomes[0] for found in outcomes)


CHOICES: list[Change] = [
    *(SetChoice(*KEY, SUBSCRIBED, end) for end in (None, after(3), after(8))),
    *(SetChoice(*KEY, PENDING, end) for end in (None, after(5))),
    SetChoice(*KEY, UNSUBSCRIBED),
    Confirm(*KEY),
    OptOut(),
    OptIn(),
]
CHANNEL = ("", "email")
CHANNELS: list[Change] = [
    *(SetChoice(*CHANNEL, value) for value in (SUBSCRIBED, UNSUBSCRIBED, PENDING)),
    YES,
    NO,
    Confirm(*KEY),
    OptOut(),
]
LIMITS: list[Change] = [
    *(SetFrequency("", "", code) for code in ("as_it_happens", "weekly", "monthly")),
    *(Pause("", "", end) for end in (after(3), after(8))),
    Resume("", ""),
]


def places(wishes: Sequence[Change]) -> list[Story]:
    """Every state that up to two wishes lead to, from every beginning, at once and when things have ended."""
    found: dict[Any, Story] = {}
    for beginning in BEGINNINGS:
        for wished in itertools.product([None, *wishes], repeat=2):
            story = beginning
            for change in filter(None, wished):
                story = tried(story, [change]) or story
            for halves in (0, 4):
                place = written_down(story.wait(halves))
                said = frozenset((path, *value) for path, value in outcome(place).items())
                found.setdefault((said, place.at), place)
    return list(found.values())


@pytest.mark.parametrize("wishes", [CHOICES, CHANNELS, LIMITS], ids=["choices", "channels", "limits"])
def test_every_pair_and_every_three_in_every_order(wishes: list[Change], tell: Callable[[str], None]) -> None:
    """All there are about a topic, it and its channel, or a cap and a pause: pairs of up to two wishes each, threes of one."""
    ones = [(wish,) for wish in wishes]
    twos = [pair for pair in itertools.permutations(wishes, 2) if consistent(pair) == pair]
    found = places(wishes)
    tried_here = 0
    for story in found:
        base = story.state.version
        made = [real(story, changes) for changes in (*ones, *twos)]
        single = [changes for changes in made[: len(ones)] if changes]
        for group in (
            *itertools.combinations(dict.fromkeys(filter(None, made)), 2),
            *itertools.combinations(single, 3),
        ):
            outcomes = []
            for order in itertools.permutations(group):
                then = story
                for changes in order:
                    then = arrive(then, changes, base)[0]
                outcomes.append(outcome(then))
            assert all(each == outcomes[0] for each in outcomes), (recorded(story.state), group)
            tried_here += 1
    tell(f"orders of arrival: {tried_here} groups of wishes on {len(found)} states")


REFUSED = Story().then(SetChoice(*CHANNEL, UNSUBSCRIBED))
LEFT = Story().then(OptOut())


@pytest.mark.property
@examples(300)
@given(stories(), st.lists(submissions, max_size=2), submissions, st.integers(0, 4))
@example(REFUSED, [], (SetChoice("offers", "sms", SUBSCRIBED), SetChoice(*CHANNEL, UNSUBSCRIBED)), 0)
@example(LEFT, [], (SetFrequency("", "", "weekly"), OptOut()), 0)
@example(LEFT, [], (OptOut(), SetFrequency("", "", "weekly")), 0)
@example(REFUSED, [], (SetChoice(*CHANNEL, UNSUBSCRIBED), NO), 0)
def test_the_same_submission_twice_is_the_same_once(
    story: Story, between: list[tuple[Change, ...]], wished: tuple[Change, ...], back: int
) -> None:
    base = max(0, story.state.version - back)
    for changes in between:
        story = tried(story, changes) or story
    try:
        once, _ = arrive(story, wished, base)
    except ValueError:  # it would have ended before it began
        return
    twice, merged = arrive(once, wished, base)
    assert twice.entries == once.entries
    assert twice.state == once.state
    assert not [item for item in merged if item.rule == "newest"]


@pytest.mark.property
@examples(400)
@given(stories(most=3), submissions, submissions)
def test_a_stale_tab_never_loosens_what_became_stricter(
    story: Story, elsewhere: tuple[Change, ...], stale: tuple[Change, ...]
) -> None:
    base = story.state.version
    now = tried(story, elsewhere)
    if now is None:
        return
    try:
        then, merged = arrive(now, stale, base)
    except ValueError:
        return
    changed = {path for path, version in now.state.versions.items() if version > base}
    before, state = now.state, then.state
    if "opted_out" in changed and before.opted_out:
        assert state.opted_out
    for key, choice in before.choices.items():
        if f"choice:{key[0]}:{key[1]}" in changed:
            assert choice == SUBSCRIBED or state.choices[key] == UNSUBSCRIBED
            if state.choices[key] == SUBSCRIBED and before.until.get(key):
                assert state.until[key] <= before.until[key]
    for path, (value, _) in recorded(before).items():
        kind = path.partition(":")[0]
        if path in changed and kind == "frequency":
            assert FREQUENCIES.index(recorded(state)[path][0]) >= FREQUENCIES.index(value)
        if path in changed and kind == "pause" and value > now.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"):
            assert recorded(state)[path][0] >= value
    # Every wish is done, or named.
    named = {item.path for item in merged}
    for change in stale:
        if change.path not in named and change != OptOut():
            assert tried(then, [change]) == then or isinstance(change, Confirm), change


@pytest.mark.property
@examples(200)
@given(stories(), submissions)
def test_a_fresh_screen_conflicts_with_nothing(story: Story, wished: tuple[Change, ...]) -> None:
    accepted, merged = merge(story.state, wished, story.state.version, story.act())
    assert merged == ()
    # All but an opt-out of one who is out already, and a no to a channel that she has said no to.
    noes = (OptOut(), SetChoice(*CHANNEL, UNSUBSCRIBED))
    assert accepted == tuple(change for change in wished if change not in noes or change in accepted)
    assert noes[1] in accepted or noes[1] not in wished or story.state.choices[CHANNEL] == UNSUBSCRIBED
    assert (
        OptOut() in accepted or OptOut() not in wished or (story.state.opted_out and not story.state.pending)
    )


# --- by hand ---------------------------------------------------------------------------------------------------------

OPENED = Story().then(SetFrequency("", "", "daily"), Pause("", "", after(2)))


@pytest.mark.parametrize(
    ("first", "stale", "kept", "rule"),
    [
        ([NO], YES, UNSUBSCRIBED, "stricter"),
        ([NO], ASK, UNSUBSCRIBED, "stricter"),
        ([OptOut()], YES, "opted_out", "opt_out"),
        ([OptOut()], SetChoice("events", "post", SUBSCRIBED), "opted_out", "opt_out"),
        ([OptOut()], ASK, "opted_out", "opt_out"),
        ([SetChoice(*KEY, SUBSCRIBED, after(4))], YES, SUBSCRIBED, "stricter"),
        (
            [SetChoice(*KEY, SUBSCRIBED, after(4))],
            SetChoice(*KEY, SUBSCRIBED, after(5)),
            SUBSCRIBED,
            "stricter",
        ),
        ([SetFrequency("", "", "monthly")], SetFrequency("", "", "weekly"), "monthly", "rarer"),
        ([Pause("", "", after(8))], Pause("", "", after(6)), "2026-03-05T00:00:00.000000Z", "later"),
        ([Pause("", "", after(8))], Resume("", ""), "2026-03-05T00:00:00.000000Z", "later"),
    ],
    ids=repr,
)
def test_the_stricter_value_stays_and_is_named(
    first: list[Change], stale: Change, kept: Any, rule: str
) -> None:
    now = OPENED.then(*first)
    then, merged = arrive(now, [stale], OPENED.state.version)
    assert [(item.path, item.kept, item.rule) for item in merged] == [(stale.path, kept, rule)]
    assert recorded(then.state).get(stale.path) == recorded(now.state).get(
        stale.path, (UNSUBSCRIBED, None) if rule == "opt_out" and stale != ASK else None
    )


@pytest.mark.parametrize(
    ("first", "stale"),
    [
        ([YES], NO),
        ([YES], OptOut()),
        ([SetChoice(*KEY, SUBSCRIBED)], SetChoice(*KEY, SUBSCRIBED, after(4))),
        ([SetFrequency("", "", "weekly")], SetFrequency("", "", "monthly")),
        ([Pause("", "", after(6))], Pause("", "", after(8))),
        ([Resume("", "")], Pause("", "", after(3))),
        ([SetFrequency("", "email", "monthly")], SetFrequency("", "", "as_it_happens")),
    ],
    ids=repr,
)
def test_what_is_stricter_comes_through_from_any_screen(first: list[Change], stale: Change) -> None:
    now = OPENED.then(*first)
    then, merged = arrive(now, [stale], OPENED.state.version)
    assert merged == ()
    assert then == now.then(stale)


@pytest.mark.parametrize(
    ("first", "stale", "replaced"),
    [
        (AcknowledgeNotice("privacy", "a" * 64), AcknowledgeNotice("privacy", "b" * 64), "a" * 64),
        (SetAttribute("size", "L"), SetAttribute("size", ["M", "S"]), "L"),
        (SetAttribute("size", "L"), ClearAttribute("size"), "L"),
        (ClearAttribute("size"), SetAttribute("size", "L"), None),
        (GiveReason("too_many"), GiveReason("other", "so many mails"), {"code": "too_many"}),
    ],
    ids=repr,
)
def test_where_there_is_no_order_the_newest_stands_and_the_other_is_named(
    first: Change, stale: Change, replaced: Any
) -> None:
    story = Story().then(SetAttribute("size", "XS"))
    now = story.then(first)
    then, merged = arrive(now, [stale], story.state.version)
    assert [(item.path, item.kept, item.rule) for item in merged] == [(stale.path, replaced, "newest")]
    assert then.state == now.then(stale).state


def test_the_same_value_from_two_screens_is_no_conflict() -> None:
    now = Story().then(SetAttribute("size", "L"), SetFrequency("", "", "weekly"), YES)
    wished = [SetAttribute("size", "L"), SetFrequency("", "", "weekly"), YES]
    assert arrive(now, wished, 0) == (now, ())


def test_a_pause_that_is_over_stands_in_nobodys_way() -> None:
    story = Story().then(Pause("", "", after(2))).wait(3)
    then, merged = arrive(story, [Resume("", "")], 0)
    assert merged == ()
    assert then.state.pauses == {}


def test_a_yes_that_an_opt_out_overtook_leaves_a_no_as_if_it_had_come_first() -> None:
    early = arrive(arrive(Story(), [YES], 0)[0], [OptOut()], 0)[0]
    late = arrive(arrive(Story(), [OptOut()], 0)[0], [YES], 0)[0]
    assert early.state.choices == late.state.choices == {KEY: UNSUBSCRIBED}
    assert early.state.opted_out and late.state.opted_out


def test_a_yes_that_a_no_overtook_still_lifts_the_opt_out_it_was_made_under() -> None:
    """Two paths, each for itself: nobody has said no again to everything."""
    out = Story().then(OptOut())
    early = arrive(arrive(out, [YES], 1)[0], [NO], 1)[0]
    late, merged = arrive(arrive(out, [NO], 1)[0], [YES], 1)
    assert outcome(early) == outcome(late) == {"choice:news:email": (UNSUBSCRIBED, None)}
    assert [(item.kept, item.rule) for item in merged] == [(UNSUBSCRIBED, "stricter")]


@pytest.mark.parametrize("no", [NO, OptOut()])
def test_a_no_to_a_request_is_newer_than_a_screen_that_showed_the_request(no: Change) -> None:
    """Also where a no stood already: it was said again."""
    story = Story().then(no).then(ASK)
    for answer in (YES, Confirm(*KEY)):
        then, merged = arrive(story.then(no), [answer], story.state.version)
        assert SUBSCRIBED not in then.state.choices.values()
        assert then.state.opted_out is story.state.opted_out
        assert len(merged) == 1


def test_a_yes_from_before_an_end_was_written_down_is_given_again_or_not_at_all() -> None:
    """The records do not tell an end from a no, so the stricter one stands, and is named."""
    story = Story().then(SetChoice(*KEY, SUBSCRIBED, after(1))).wait(2)
    ended = story.then(Expire(*KEY), actor=Actor(ActorType.SYSTEM, "expiry"))
    assert [item.rule for item in arrive(ended, [YES], 1)[1]] == ["stricter"]
    assert arrive(ended, [YES], 2)[0].state.choices == {KEY: SUBSCRIBED}


def test_a_merge_says_nothing_of_who_may_do_it() -> None:
    """What holds against a newer screen is one question, who may say it another."""
    story = Story().then(OptOut())
    accepted, merged = merge(story.state, [OptIn()], story.state.version, story.act(BACKEND))
    assert (accepted, merged) == ((OptIn(),), ())
    with pytest.raises(NotAllowed):
        apply(story.state, accepted, story.act(BACKEND))
