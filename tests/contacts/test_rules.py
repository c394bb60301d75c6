"""The rules of merge and apply, as properties over random states and wishes."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from wagtail_prefs.changes import AcknowledgeNotice, Change, OptIn, OptOut, SetChoice, SetFrequency
from wagtail_prefs.contacts.rules import apply, contradictions, merge
from wagtail_prefs.errors import NotAllowed
from wagtail_prefs.values import FREQUENCIES, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, ContactState

PERSON = Actor(ActorType.SUBJECT_SESSION)
EMPTY = ContactState(id=uuid.UUID(int=1), audience="brand")

topics = st.sampled_from(["news", "offers", "events"])
channels = st.sampled_from(["email", "sms"])
wishes = st.one_of(
    st.builds(SetChoice, topics, channels, st.sampled_from([SUBSCRIBED, UNSUBSCRIBED])),
    st.builds(SetFrequency, st.just(""), st.sampled_from(["", "email"]), st.sampled_from(FREQUENCIES)),
    st.just(OptOut()),
    st.just(OptIn()),
    st.builds(AcknowledgeNotice, st.just("privacy"), st.sampled_from(["a" * 64, "b" * 64])),
)
submissions = st.lists(wishes, max_size=5).map(
    lambda found: [wish for index, wish in enumerate(found) if not contradictions([*found[:index], wish])]
)
others = st.sampled_from([kind for kind in ActorType if not Actor(kind).is_subject]).map(
    lambda kind: Actor(kind, "somebody")
)


def run(state: ContactState, *submitted: list[Change]) -> ContactState:
    for changes in submitted:
        state, _ = apply(state, changes, actor=PERSON)
    return state


states = st.lists(submissions, max_size=6).map(lambda submitted: run(EMPTY, *submitted))


@given(states, submissions)
def test_a_submission_moves_the_version_by_one_or_not_at_all(
    state: ContactState, wished: list[Change]
) -> None:
    after, effects = apply(state, wished, actor=PERSON)
    if effects:
        assert after.version == state.version + 1
        assert {after.versions[effect.path] for effect in effects} == {after.version}
        assert all(effect.before != effect.after for effect in effects)
    else:
        assert after == state


@given(states, submissions)
def test_sending_the_same_twice_changes_nothing_more(state: ContactState, wished: list[Change]) -> None:
    once, _ = apply(state, wished, actor=PERSON)
    twice, effects = apply(once, wished, actor=PERSON)
    assert effects == ()
    assert twice == once


@given(states, submissions)
def test_only_what_was_wished_for_changes(state: ContactState, wished: list[Change]) -> None:
    after, effects = apply(state, wished, actor=PERSON)
    named = {change.path for change in wished}
    leaves = any(isinstance(change, OptOut) for change in wished)
    for effect in effects:
        assert effect.path in named or effect.path == "opted_out" or (leaves and effect.after == UNSUBSCRIBED)
    untouched = {effect.path for effect in effects}
    for key, value in state.choices.items():
        if f"choice:{key[0]}:{key[1]}" not in untouched:
            assert after.choices[key] == value


@given(states, submissions, others, st.sampled_from([None, "form 7"]))
def test_nobody_but_the_contact_turns_a_no_into_a_yes(
    state: ContactState, wished: list[Change], actor: Actor, evidence: str | None
) -> None:
    try:
        after, _ = apply(state, wished, actor=actor, evidence=evidence)
    except NotAllowed:
        return
    assert after.opted_out >= state.opted_out
    for key, value in after.choices.items():
        before = state.choices.get(key)
        if value == SUBSCRIBED and before != SUBSCRIBED:
            assert before is None and evidence and not state.opted_out


@given(states)
def test_opting_out_leaves_no_choice_held_and_refuses_the_rest(state: ContactState) -> None:
    after, _ = apply(state, [OptOut()], actor=Actor(ActorType.ONE_CLICK))
    assert after.opted_out
    assert set(after.choices.values()) <= {UNSUBSCRIBED}


@given(states)
def test_opting_in_brings_nothing_back(state: ContactState) -> None:
    out, _ = apply(state, [OptOut()], actor=PERSON)
    back, _ = apply(out, [OptIn()], actor=PERSON)
    assert not back.opted_out
    assert back.choices == out.choices


@given(states, topics, channels)
def test_subscribing_after_an_opt_out_brings_that_topic_only(
    state: ContactState, topic: str, channel: str
) -> None:
    out, _ = apply(state, [OptOut()], actor=PERSON)
    back, _ = apply(out, [SetChoice(topic, channel, SUBSCRIBED)], actor=PERSON)
    assert not back.opted_out
    assert [key for key, value in back.choices.items() if value == SUBSCRIBED] == [(topic, channel)]


@given(states, submissions, submissions)
def test_a_stale_tab_never_loosens_what_became_stricter(
    state: ContactState, elsewhere: list[Change], stale: list[Change]
) -> None:
    now, _ = apply(state, elsewhere, actor=PERSON)
    accepted, merged = merge(now, stale, state.version)
    after, _ = apply(now, accepted, actor=PERSON)
    changed = {path for path, version in now.versions.items() if version > state.version}
    if "opted_out" in changed and now.opted_out:
        assert after.opted_out
    for key, value in now.choices.items():
        if f"choice:{key[0]}:{key[1]}" in changed and value == UNSUBSCRIBED:
            assert after.choices[key] == UNSUBSCRIBED
    for key, value in now.frequencies.items():
        scope = f"channel:{key[1]}" if key[1] else "all"
        if f"frequency:{scope}" in changed:
            assert FREQUENCIES.index(after.frequencies[key]) >= FREQUENCIES.index(value)
    dropped = [change for change in stale if change not in accepted]
    assert {change.path for change in dropped} <= {item.path for item in merged}


@given(states, submissions)
def test_a_fresh_base_conflicts_with_nothing(state: ContactState, wished: list[Change]) -> None:
    assert merge(state, wished, state.version) == (tuple(wished), ())


def test_a_stale_tab_is_told_what_stays_and_why() -> None:
    state = run(EMPTY, [SetChoice("news", "email", SUBSCRIBED)])
    now = run(state, [SetChoice("news", "email", UNSUBSCRIBED), SetFrequency("", "", "monthly")])
    wished: list[Change] = [
        SetChoice("news", "email", SUBSCRIBED),
        SetFrequency("", "", "daily"),
        SetChoice("events", "email", SUBSCRIBED),
    ]
    accepted, merged = merge(now, wished, state.version)
    assert accepted == (SetChoice("events", "email", SUBSCRIBED),)
    assert [(item.path, item.kept, item.rule) for item in merged] == [
        ("choice:news:email", UNSUBSCRIBED, "stricter"),
        ("frequency:all", "monthly", "rarer"),
    ]


def test_a_stale_subscription_yields_to_an_opt_out_also_for_a_topic_never_asked() -> None:
    now = run(EMPTY, [SetFrequency("", "", "daily")], [OptOut()])
    accepted, merged = merge(now, [SetChoice("news", "email", SUBSCRIBED), OptIn()], 1)
    assert accepted == ()
    assert [item.rule for item in merged] == ["opt_out", "opt_out"]


def test_where_there_is_no_order_the_newest_stands_and_the_other_is_named() -> None:
    now = run(EMPTY, [AcknowledgeNotice("privacy", "a" * 64)])
    accepted, merged = merge(now, [AcknowledgeNotice("privacy", "b" * 64)], 0)
    assert accepted == (AcknowledgeNotice("privacy", "b" * 64),)
    assert [(item.rule, item.kept) for item in merged] == [("newest", "a" * 64)]


@pytest.mark.parametrize(
    ("changes", "contradict"),
    [
        ([OptOut(), OptIn()], True),
        ([OptOut(), SetChoice("news", "email", SUBSCRIBED)], True),
        ([SetChoice("news", "email", SUBSCRIBED), OptOut()], True),
        ([SetChoice("news", "email", SUBSCRIBED), SetChoice("news", "email", UNSUBSCRIBED)], True),
        ([OptOut(), SetChoice("news", "email", UNSUBSCRIBED)], False),
        ([OptIn(), SetChoice("news", "email", SUBSCRIBED)], False),
        ([SetChoice("news", "email", SUBSCRIBED), SetChoice("news", "sms", UNSUBSCRIBED)], False),
    ],
)
def test_contradictions(changes: list[Change], contradict: bool) -> None:
    assert bool(contradictions(changes)) is contradict


def test_a_pending_choice_is_gone_when_the_contact_says_no() -> None:
    state = replace(EMPTY, pending=frozenset({("news", "email")}))
    after, effects = apply(state, [SetChoice("news", "email", UNSUBSCRIBED)], actor=PERSON)
    assert after.pending == frozenset()
    assert [effect.action for effect in effects] == ["refused"]
