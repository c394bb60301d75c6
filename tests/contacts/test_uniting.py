"""Two contacts become one: the stricter value wins, and nothing is wanted that neither had wanted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given

from tests.contacts.worlds import (
    ANOTHER,
    BACKEND,
    EMPTY,
    MAIL_LINK,
    PERSON,
    SHE,
    START,
    Story,
    actors,
    after,
    evidences,
    stories,
)
from tests.properties import examples
from wagtail_prefs.changes import (
    AcknowledgeNotice,
    Change,
    Erase,
    Merge,
    OptIn,
    OptOut,
    Pause,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.contacts.rules import apply, effective, merge, recorded
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.values import (
    FREQUENCIES,
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Evidence,
    Merged,
    MergeRule,
)

KEY = ("news", "email")
YES = SetChoice(*KEY, SUBSCRIBED)
NO = SetChoice(*KEY, UNSUBSCRIBED)
ASK = SetChoice(*KEY, PENDING)
YES_CHANNEL, NO_CHANNEL = (SetChoice("", "email", value) for value in (SUBSCRIBED, UNSUBSCRIBED))
DESK = Actor(ActorType.ADMIN, "desk")
CASE = Evidence("case 7", START)
MERGE = Merge(ANOTHER, SHE)


def unite(
    winner: Story, loser: ContactState, actor: Actor = PERSON, evidence: Evidence | None = None
) -> tuple[Story, tuple[Merged, ...]]:
    """The winner after the merge, and what stayed behind."""
    act = winner.act(actor, evidence, others={ANOTHER: loser})
    accepted, merged = merge(winner.state, [MERGE], winner.state.version, act)
    return winner.take(*apply(winner.state, accepted, act)), merged


def lived(*submissions: Change) -> Story:
    story = Story()
    for change in submissions:
        story = story.then(change)
    return story


def strictness(state: ContactState, path: str) -> Any:
    """How strict a path is, to compare with; `choice` with the end of a yes."""
    kind = path.partition(":")[0]
    value, end = recorded(state).get(path, (None, None))
    match kind:
        case "choice":
            forever = datetime.max.replace(tzinfo=START.tzinfo)
            return (1, None) if value == UNSUBSCRIBED else (0, -((end or forever) - START))
        case "frequency":
            return -1 if value is None else FREQUENCIES.index(value)
        case "pause":
            return value or ""
    return bool(value)


@pytest.mark.property
@examples(300)
@given(stories(), stories(most=3), actors, evidences)
def test_the_stricter_wins_on_every_path(
    winner: Story, loser: Story, actor: Actor, evidence: Evidence | None
) -> None:
    other = replace(loser.state, id=ANOTHER)
    then, _ = unite(winner, other, actor, evidence)
    own, theirs = effective(winner.state, winner.at), effective(other, winner.at)
    now = effective(then.state, then.at)
    assert now.opted_out == (own.opted_out or theirs.opted_out)
    for path in recorded(own).keys() | recorded(theirs).keys():
        kind = path.partition(":")[0]
        if kind in {"frequency", "pause"}:
            assert strictness(now, path) == max(strictness(own, path), strictness(theirs, path))
        elif kind == "choice" and path in recorded(own):
            expected = strictness(own, path)
            _choice, topic, channel = path.split(":")
            if path in recorded(theirs):
                expected = max(expected, strictness(theirs, path))
            if topic and theirs.choices.get((topic, channel)) != SUBSCRIBED:
                expected = max(expected, strictness(theirs, f"choice::{channel}"), key=lambda found: found[0])
            if not now.opted_out:
                assert strictness(now, path) == expected
            else:
                assert strictness(now, path)[0] == 1
    for key, choice in theirs.choices.items():
        if choice == UNSUBSCRIBED:
            assert now.choices[key] == UNSUBSCRIBED
    # What she knows of herself stays.
    for name, value in own.attributes.items():
        assert now.attributes[name] == value
    assert now.attributes.keys() == own.attributes.keys() | theirs.attributes.keys()
    assert now.notices.keys() == own.notices.keys() | theirs.notices.keys()
    assert now.suppressed == own.suppressed
    if then.entries != winner.entries:
        assert {effect.action for effect in then.entries[-1].effects} == {"merged"}


@pytest.mark.property
@examples(400)
@given(stories(), stories(most=3), actors, evidences)
def test_nothing_is_wanted_that_neither_had_wanted_and_what_stays_behind_is_named(
    winner: Story, loser: Story, actor: Actor, evidence: Evidence | None
) -> None:
    other = replace(loser.state, id=ANOTHER)
    then, merged = unite(winner, other, actor, evidence)
    own, theirs = effective(winner.state, winner.at), effective(other, winner.at)
    now = effective(then.state, then.at)
    shown = actor.is_subject or (evidence is not None and bool(actor.id) and evidence.at <= winner.at)

    named = {item.path: item for item in merged}
    for key, choice in now.choices.items():
        if choice == SUBSCRIBED and own.choices.get(key) != SUBSCRIBED:
            assert theirs.choices[key] == SUBSCRIBED and key not in own.choices
            assert shown and not now.opted_out and not winner.state.suppressed
            assert "opted_out" not in winner.state.versions
            assert not key[0] or own.choices.get(("", key[1])) != UNSUBSCRIBED
            assert now.until.get(key) == theirs.until.get(key)
    for key, choice in theirs.choices.items():
        left = choice == SUBSCRIBED and now.choices.get(key) != SUBSCRIBED
        assert (f"choice:{key[0]}:{key[1]}" in named) is left, (key, merged)
    assert now.pending <= own.pending  # what was asked for and not confirmed goes nowhere


@pytest.mark.property
@examples(200)
@given(stories(), actors)
def test_the_loser_ends_opted_out_and_says_whom_she_became(loser: Story, actor: Actor) -> None:
    then = loser.then(Merge(SHE, ANOTHER), actor=actor)
    assert then.state.merged_into == ANOTHER
    assert then.state.opted_out
    assert set(then.state.choices.values()) <= {UNSUBSCRIBED}
    assert not then.state.pending
    # Her own chain speaks of what became of her; what went over stands in the winner's.
    assert merge(loser.state, [Merge(SHE, ANOTHER)], 0, loser.act(actor)) == ((Merge(SHE, ANOTHER),), ())
    effects = {effect.path: effect.after for effect in then.entries[-1].effects}
    assert effects["merged_into"] == str(ANOTHER)
    with pytest.raises(UnknownContact):
        then.then(Merge(SHE, ANOTHER), actor=actor)


@pytest.mark.parametrize(
    ("winner", "loser", "rule", "kept"),
    [
        (lived(), lived(YES), None, SUBSCRIBED),
        (lived(ASK), lived(YES), None, SUBSCRIBED),
        (lived(NO), lived(YES), "stricter", UNSUBSCRIBED),
        (lived(OptOut()), lived(YES), "opt_out", None),
        (lived(YES, OptOut()), lived(YES), "opt_out", UNSUBSCRIBED),
        # She opted out of all that anybody knew of her, and came back to nothing.
        (lived(OptOut(), OptIn()), lived(YES), "refused", None),
        (lived(YES), lived(OptOut()), None, UNSUBSCRIBED),
        (lived(YES), lived(NO), None, UNSUBSCRIBED),
        (lived(), lived(ASK), None, None),
        (lived(ASK), lived(NO), None, UNSUBSCRIBED),
        (lived(YES), lived(SetChoice(*KEY, SUBSCRIBED, after(4))), None, SUBSCRIBED),
        # A no to the channel, and what was said of the topic after it.
        (lived(YES), lived(NO_CHANNEL), None, UNSUBSCRIBED),
        (lived(ASK), lived(NO_CHANNEL), None, None),
        (lived(NO_CHANNEL), lived(YES), "stricter", None),
        (lived(NO_CHANNEL, YES), lived(YES), None, SUBSCRIBED),
        (lived(NO_CHANNEL, YES), lived(NO_CHANNEL), None, UNSUBSCRIBED),
        (lived(YES), lived(NO_CHANNEL, YES), None, SUBSCRIBED),
        (lived(), lived(NO_CHANNEL, YES), None, SUBSCRIBED),
        (lived(YES_CHANNEL), lived(YES), None, SUBSCRIBED),
    ],
)
@pytest.mark.parametrize(("actor", "evidence"), [(PERSON, None), (MAIL_LINK, None), (DESK, CASE)])
def test_what_becomes_of_a_choice(
    winner: Story,
    loser: Story,
    rule: MergeRule | None,
    kept: str | None,
    actor: Actor,
    evidence: Evidence | None,
) -> None:
    then, merged = unite(winner, replace(loser.state, id=ANOTHER), actor, evidence)
    assert then.state.choices.get(KEY) == kept
    refused = winner.state.choices.get(("", "email")) == UNSUBSCRIBED and kept is None
    stands = "opted_out" if winner.state.opted_out else UNSUBSCRIBED if refused else kept
    assert merged == ((Merged("choice:news:email", SUBSCRIBED, stands, rule),) if rule else ())
    ends = {end for state in (winner.state, loser.state) for end in state.until.values()}
    assert set(then.state.until.values()) == (ends if kept == SUBSCRIBED else set())


@pytest.mark.parametrize(
    ("actor", "evidence"),
    [
        (DESK, None),
        (Actor(ActorType.ADMIN), CASE),
        (DESK, Evidence("case 7", after(1))),
        (BACKEND, None),
        (Actor(ActorType.ONE_CLICK), CASE),
    ],
)
def test_no_yes_goes_over_where_nobody_shows_that_they_are_one(
    actor: Actor, evidence: Evidence | None
) -> None:
    then, merged = unite(Story(), replace(lived(YES).state, id=ANOTHER), actor, evidence)
    assert then.state.choices == {}
    assert merged == (Merged("choice:news:email", SUBSCRIBED, None, "evidence"),)


@pytest.mark.parametrize(("actor", "evidence"), [(PERSON, None), (DESK, CASE)])
def test_no_yes_goes_to_an_address_that_was_erased_once(actor: Actor, evidence: Evidence | None) -> None:
    winner = Story(replace(EMPTY, suppressed=True))
    then, merged = unite(winner, replace(lived(YES).state, id=ANOTHER), actor, evidence)
    assert then.state == winner.state
    assert [item.rule for item in merged] == ["refused"]


def test_caps_and_pauses_become_the_stricter_and_facts_are_filled_in() -> None:
    winner = lived(
        SetFrequency("", "", "daily"),
        SetFrequency("", "email", "monthly"),
        Pause("", "", after(4)),
        SetAttribute("size", "L"),
    )
    loser = lived(
        SetFrequency("", "", "weekly"),
        SetFrequency("", "email", "daily"),
        Pause("", "", after(6)),
        Pause("", "email", after(2)),
        SetAttribute("size", "S"),
        SetAttribute("language", "de"),
        AcknowledgeNotice("privacy", "a" * 64),
    ).state
    state = unite(winner, replace(loser, id=ANOTHER))[0].state
    assert state.frequencies == {("", ""): "weekly", ("", "email"): "monthly"}
    assert {key: pause.until for key, pause in state.pauses.items()} == {
        ("", ""): after(6),
        ("", "email"): after(2),
    }
    assert state.attributes == {"size": "L", "language": "de"}
    assert state.language == "de"
    assert state.notices == {"privacy": "a" * 64}


def test_what_is_over_does_not_go_over() -> None:
    loser = lived(Pause("", "", after(2)), SetChoice(*KEY, SUBSCRIBED, after(2))).state
    winner = Story(at=after(3))
    then, _ = unite(winner, replace(loser, id=ANOTHER))
    assert then.state.pauses == {}
    assert then.state.choices == {KEY: UNSUBSCRIBED}  # a yes that has ended is a no


def test_a_yes_of_the_winner_that_is_over_is_not_begun_again_by_the_loser() -> None:
    winner = lived(SetChoice(*KEY, SUBSCRIBED, after(2))).wait(3)
    then, merged = unite(winner, replace(lived(YES).state, id=ANOTHER))
    assert effective(then.state, then.at).choices == {KEY: UNSUBSCRIBED}
    assert merged == (Merged("choice:news:email", SUBSCRIBED, UNSUBSCRIBED, "stricter"),)


@pytest.mark.parametrize("end", [Erase(), Merge(SHE, ANOTHER)])
def test_one_who_is_gone_is_united_with_nobody(end: Change) -> None:
    gone = lived(YES).then(end).state
    with pytest.raises(UnknownContact):
        unite(Story(), replace(gone, id=ANOTHER))
