"""Whatever strangers sign her up for, nothing of hers changes: it only waits (design.md s12, invariant 4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from tests.contacts.worlds import EMPTY, KEYS, MAIL_LINK, START, Story, after, stories
from tests.docs import explained
from tests.properties import examples
from wagtail_prefs.changes import Confirm, Expire, SetChoice
from wagtail_prefs.contacts.rules import Act, apply, effective, merge
from wagtail_prefs.errors import NotAllowed, UnknownContact
from wagtail_prefs.values import PENDING, SUBSCRIBED, Actor, ActorType, ContactState

STRANGER = Actor(ActorType.SYSTEM, "sign-up")

asked = st.lists(
    st.tuples(st.sampled_from(KEYS), st.integers(1, 20)), min_size=1, max_size=3, unique_by=lambda one: one[0]
)


def signed_up(story: Story, wishes: list[tuple[tuple[str, str], int]]) -> Story:
    """As the worker notes a sign-up: each yes waits from now on."""
    halves = round((story.at - after(0)) / (after(1) - after(0)))
    return story.then(
        *(SetChoice(*key, PENDING, after(halves + more)) for key, more in wishes), actor=STRANGER
    )


def what_holds(state: ContactState, story: Story) -> tuple[object, ...]:
    now = effective(state, story.at)
    return (
        now.choices,
        now.opted_out,
        now.suppressed,
        now.frequencies,
        now.pauses,
        now.attributes,
        now.notices,
        now.language,
        now.country,
        now.timezone,
        {key: end for key, end in now.until.items() if key not in now.pending},
    )


@pytest.mark.property
@examples(300)
@given(stories(), st.lists(st.tuples(asked, st.integers(0, 3)), min_size=1, max_size=4), st.booleans())
def test_anonymous_sign_ups_change_nothing_that_holds(
    story: Story, arriving: list[tuple[list[tuple[tuple[str, str], int]], int]], suppressed: bool
) -> None:
    if suppressed:
        story = replace(story, state=replace(story.state, suppressed=True))
    for wishes, halves in arriving:
        before = story
        story = signed_up(story, wishes)
        assert what_holds(story.state, story) == what_holds(before.state, story)
        assert story.state.versions.keys() - before.state.versions.keys() <= {
            f"choice:{topic}:{channel}" for (topic, channel), _ in wishes
        }
        # What waits is what was asked for or had waited, and never what she gets already.
        now = effective(story.state, story.at)
        assert now.pending - effective(before.state, story.at).pending <= {key for key, _ in wishes}
        assert all(now.choices.get(key) != SUBSCRIBED for key in now.pending)
        story = story.wait(halves)


@pytest.mark.property
@examples(200)
@given(stories(), asked, st.integers(0, 30))
def test_what_nobody_confirms_leaves_what_was_there(
    story: Story, wishes: list[tuple[tuple[str, str], int]], halves: int
) -> None:
    """The wait ends, and all is as if nobody had asked."""
    alone = story.wait(halves)
    later = signed_up(story, wishes).wait(halves)
    assert what_holds(later.state, later) == what_holds(alone.state, alone)
    due = [Expire(*key) for key, end in later.state.until.items() if end <= later.at]
    if due:
        ended = later.then(*due, actor=Actor(ActorType.SYSTEM, "expiry"))
        assert what_holds(ended.state, ended) == what_holds(alone.state, alone)


@pytest.mark.property
@examples(150)
@given(stories(), asked)
def test_nobody_but_she_makes_a_yes_of_it(story: Story, wishes: list[tuple[tuple[str, str], int]]) -> None:
    story = signed_up(story, wishes)
    for key in sorted(effective(story.state, story.at).pending):
        with pytest.raises(NotAllowed):
            story.then(Confirm(*key), actor=STRANGER)
        confirmed = story.then(Confirm(*key))
        assert confirmed.state.choices[key] == SUBSCRIBED
        assert not confirmed.state.opted_out
        assert not confirmed.state.suppressed


@pytest.mark.property
@examples(100)
@given(stories(), asked, st.booleans())
def test_who_is_gone_is_signed_up_for_nothing(
    story: Story, wishes: list[tuple[tuple[str, str], int]], merged: bool
) -> None:
    gone = replace(story.state, merged_into=story.state.id) if merged else replace(story.state, erased=True)
    changes = [SetChoice(*key, PENDING, after(400)) for key, _ in wishes]
    act = story.act(STRANGER)
    accepted, _yielded = merge(gone, changes, gone.version, act)
    with pytest.raises(UnknownContact):
        apply(gone, accepted, act)


def test_the_page_about_it_says_what_happens() -> None:
    week = timedelta(days=7)
    names = {
        "state": EMPTY,
        "in_a_week": START + week,
        "a_stranger": Act(STRANGER, START),
        "by_her_link": Act(MAIL_LINK, START + week / 2),
        "after_a_week": Act(Actor(ActorType.SYSTEM, "expiry"), START + week),
    }
    assert explained.run(explained.DOCS / "explanation" / "double-opt-in.md", names) == 11
