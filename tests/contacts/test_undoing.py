"""Taking a submission back: exactly, and over nothing that was said later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.contacts.worlds import (
    ADDRESS,
    BACKEND,
    EMPTY,
    PERSON,
    SHE,
    Story,
    actors,
    after,
    evidences,
    others,
    receipt,
    stories,
    subjects,
    submissions,
    tried,
)
from tests.properties import examples
from wagtail_prefs.changes import (
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
from wagtail_prefs.contacts.rules import Past, Step, apply, effective, merge, recorded
from wagtail_prefs.errors import NotAllowed
from wagtail_prefs.values import (
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Evidence,
    Merged,
)

KEY, CHANNEL = ("news", "email"), ("", "email")
YES = SetChoice(*KEY, SUBSCRIBED)
NO = SetChoice(*KEY, UNSUBSCRIBED)
ASK = SetChoice(*KEY, PENDING)
FINAL = ("address", "suppressed", "erased", "merged_into")

Recorded = Mapping[str, tuple[Any, datetime | None]]


def final(story: Story, number: int = -1) -> bool:
    return any(effect.path.partition(":")[0] in FINAL for effect in story.entries[number].effects)


def undone(story: Story, *records: int, actor: Actor = PERSON) -> tuple[Story, tuple[Merged, ...]]:
    """The story after taking back records by their seq (the newest one without), and what was kept."""
    change = Undo(receipt(*records) if records else story.last)
    act = story.act(actor)
    accepted, kept = merge(story.state, [change], story.state.version, act)
    return story.take(*apply(story.state, accepted, act)), kept


def said(state: ContactState, *, without: frozenset[str] = frozenset()) -> Recorded:
    return {path: value for path, value in recorded(state).items() if path not in without}


@pytest.mark.property
@examples(400)
@given(stories(), submissions, actors, evidences, subjects)
def test_right_after_a_submission_undo_brings_back_exactly_what_was(
    story: Story, wished: tuple[Change, ...], actor: Actor, evidence: Evidence | None, undoer: Actor
) -> None:
    then = tried(story, wished, actor=actor, evidence=evidence)
    if then is None or then.entries == story.entries:
        return
    if final(then):
        with pytest.raises(NotAllowed):
            undone(then, actor=undoer)
        return
    back, kept = undone(then, actor=undoer)
    # A request that was answered does not wait again; a pause that ended meanwhile does not begin again.
    answered = {path for path in recorded(story.state) if path.startswith("pending:")}
    over = {f"pause:{scope}" for scope in ("all", "channel:email", "topic:news")} & {
        path
        for path, (value, _) in recorded(story.state).items()
        if path.startswith("pause:") and value <= then.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    }
    out = frozenset({item.path for item in kept} | answered | over)
    assert said(back.state, without=out) == said(story.state, without=out)
    # All that stays without being a no is a yes that has ended by itself.
    for item in kept:
        assert item.rule == "changed"
        assert recorded(story.state)[item.path][1] <= then.at


@pytest.mark.property
@examples(400)
@given(stories(), st.integers(1, 4), subjects)
def test_what_is_not_as_the_record_left_it_stays_and_is_named(story: Story, seq: int, undoer: Actor) -> None:
    if seq > len(story.entries) or final(story, seq - 1):
        return
    back, kept = undone(story, seq, actor=undoer)
    entry = story.entries[seq - 1]
    left = {effect.path: (effect.after, effect.until) for effect in entry.effects}
    asked = {effect.path: effect.before for effect in entry.effects}
    named = {item.path for item in kept}
    assert named <= left.keys()
    leaves = back.state.opted_out and not story.state.opted_out
    said_no, says_no = (state.choices.get(CHANNEL) == UNSUBSCRIBED for state in (story.state, back.state))
    for path, (value, _) in left.items():
        changed_since = any(effect.path == path for later in story.entries[seq:] for effect in later.effects)
        # A request is taken back with all that prolonged it; where it was prolonged or answered, nothing is taken back.
        request = path.startswith("pending:")
        waits = recorded(story.state).get(path, (None, None))[0]
        if changed_since and not (request and (waits == value or asked[path])):
            assert path in named
    for path in recorded(story.state).keys() | recorded(back.state).keys():
        if path not in left or path in named:
            same = recorded(story.state).get(path) == recorded(back.state).get(path)
            # An opt-out that is taken up again leaves no yes and no wait; a yes leaves no wait for one. A no to a
            # channel that is taken up again leaves no yes that was given or asked for since.
            since = story.state.versions.get(path.replace("pending:", "choice:"), 0) > seq
            follows = (
                (leaves and path.startswith(("choice:", "pending:")))
                or (path.startswith("pending:") and path.replace("pending:", "choice:") in left)
                or (says_no and not said_no and since)
            )
            assert same or follows or path == "suppressed"


def later_no(story: Story, seq: int, path: str) -> bool:
    return any(
        (effect.path == path and effect.after == UNSUBSCRIBED)
        or (effect.path == "opted_out" and effect.after is True)
        for later in story.entries[seq:]
        for effect in later.effects
    )


@pytest.mark.property
@examples(500)
@given(stories(most=6), st.integers(1, 6), subjects)
def test_undo_never_goes_over_a_later_no(story: Story, seq: int, undoer: Actor) -> None:
    if seq > len(story.entries) or final(story, seq - 1):
        return
    before = effective(story.state, story.at)
    back, _ = undone(story, seq, actor=undoer)
    now = effective(back.state, back.at)
    if before.opted_out and not now.opted_out:
        assert not later_no(story, seq, "opted_out")
    for key, choice in before.choices.items():
        if choice == UNSUBSCRIBED and now.choices.get(key) != UNSUBSCRIBED:
            assert not later_no(story, seq, f"choice:{key[0]}:{key[1]}")


@pytest.mark.property
@examples(300)
@given(stories(), st.integers(1, 4), others, evidences)
def test_nobody_but_the_contact_takes_a_no_back(
    story: Story, seq: int, actor: Actor, evidence: Evidence | None
) -> None:
    if seq > len(story.entries) or final(story, seq - 1):
        return
    then = tried(story, [Undo(receipt(seq))], actor=actor, evidence=evidence)
    if then is None:
        return
    before, now = effective(story.state, story.at), effective(then.state, then.at)
    assert now.opted_out or not before.opted_out
    for key, choice in before.choices.items():
        if choice == UNSUBSCRIBED:
            assert now.choices.get(key) == UNSUBSCRIBED
    for key, choice in now.choices.items():
        assert choice == UNSUBSCRIBED or before.choices.get(key) == SUBSCRIBED


@pytest.mark.property
@examples(300)
@given(stories(), submissions, subjects)
def test_undo_of_an_undo_is_as_if_nothing_had_been_taken_back(
    story: Story, wished: tuple[Change, ...], undoer: Actor
) -> None:
    then = tried(story, wished)
    if then is None or then.entries == story.entries or final(then):
        return
    back, kept = undone(then, actor=undoer)
    if back.entries == then.entries or final(back):
        return
    again, kept_again = undone(back, actor=undoer)
    # Requests and what ended by itself stay as they are; so does what an undone opt-out would have to bring back.
    out = frozenset(
        {item.path for item in (*kept, *kept_again)}
        | {path for path in recorded(then.state) if path.startswith("pending:")}
        | {
            path
            for path, (value, _) in recorded(then.state).items()
            if path.startswith("pause:") and datetime.fromisoformat(value) <= back.at
        }
    )
    assert said(again.state, without=out) == said(then.state, without=out)


@pytest.mark.parametrize(
    "wished",
    [
        [YES],
        [SetChoice(*KEY, SUBSCRIBED, after(6))],
        [NO],
        [ASK],
        [OptOut(), GiveReason("too_many", "so many mails")],
        [SetFrequency("", "", "weekly"), Pause("", "email", after(6))],
        [SetAttribute("size", ["L"]), SetAttribute("language", "de"), AcknowledgeNotice("privacy", "a" * 64)],
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "before", [[], [YES], [SetChoice(*KEY, SUBSCRIBED, after(8))], [NO], [OptOut()]], ids=repr
)
def test_undo_is_exact(before: list[Change], wished: list[Change]) -> None:
    story = Story().then(*before) if before else Story()
    then = story.wait(1).then(*wished)
    if then.entries == story.entries:
        return
    back, kept = undone(then.wait(1))
    assert kept == ()
    assert recorded(back.state) == recorded(story.state)
    assert {effect.action for effect in back.entries[-1].effects} == {"restored"}


@pytest.mark.parametrize(
    "wished",
    [
        [Resume("", "")],
        [ClearAttribute("size"), ClearAttribute("reason")],
        [SetFrequency("", "", "daily"), Pause("", "", after(2))],
        [AcknowledgeNotice("privacy", "b" * 64)],
    ],
    ids=repr,
)
def test_what_was_there_before_is_there_again(wished: list[Change]) -> None:
    story = Story().then(
        SetFrequency("", "", "weekly"),
        Pause("", "", after(6)),
        SetAttribute("size", "L"),
        GiveReason("other", "so many mails"),
        AcknowledgeNotice("privacy", "a" * 64),
    )
    back, kept = undone(story.then(*wished).wait(1))
    assert kept == ()
    assert recorded(back.state) == recorded(story.state)


def test_what_changed_since_is_kept_and_named() -> None:
    story = Story().then(YES, SetFrequency("", "", "daily")).then(SetFrequency("", "", "weekly"))
    back, kept = undone(story, 1)
    assert recorded(back.state) == {"frequency:all": ("weekly", None)}
    assert kept == (Merged("frequency:all", None, "weekly", "changed"),)


@pytest.mark.parametrize("since", [[NO], [OptOut()], [OptOut(), OptIn()], [NO, YES, NO]], ids=repr)
def test_a_later_no_stands_in_the_way(since: list[Change]) -> None:
    story = Story().then(SetChoice(*KEY, SUBSCRIBED, after(8))).then(YES)
    for change in since:
        story = story.then(change)
    back, kept = undone(story, 2)
    assert back.entries == story.entries
    assert [(item.path, item.rule) for item in kept] == [("choice:news:email", "refused")]


@pytest.mark.parametrize(
    "since",
    [[OptOut()], [OptOut(), OptIn()], [OptOut(), OptIn(), SetChoice("offers", "email", SUBSCRIBED)]],
    ids=repr,
)
@pytest.mark.parametrize("before", [None, SUBSCRIBED])
def test_a_no_is_not_taken_back_over_a_later_opt_out_whether_or_not_it_holds(
    before: str | None, since: list[Change]
) -> None:
    story = Story().then(YES) if before else Story()
    story = story.then(NO)
    seq = story.state.version
    for change in since:
        story = story.then(change)
    back, kept = undone(story, seq)
    assert back.entries == story.entries
    assert [(item.path, item.rule) for item in kept] == [("choice:news:email", "refused")]


def test_an_opt_out_is_taken_back_with_all_that_it_refused() -> None:
    story = Story().then(YES).then(SetChoice("offers", "sms", SUBSCRIBED, after(8)))
    left = story.then(OptOut(), actor=Actor(ActorType.ONE_CLICK))
    for then in (left, left.then(OptIn())):
        back, _ = undone(then, 3)
        assert recorded(back.state) == recorded(story.state)


def test_an_opt_out_taken_up_again_leaves_no_yes_that_came_since() -> None:
    """The stricter of two readings: her later yes went with the lifted opt-out, and goes with it."""
    story = Story().then(OptOut()).then(OptIn()).then(YES)
    back, kept = undone(story, 2)
    assert back.state.opted_out
    assert back.state.choices == {KEY: UNSUBSCRIBED}
    assert kept == ()
    assert "choice:news:email" in [effect.path for effect in back.entries[-1].effects]


def test_a_no_that_was_said_twice_is_taken_back_once() -> None:
    story = Story().then(NO).then(ASK).then(NO)
    assert undone(story)[0].state.choices == {KEY: UNSUBSCRIBED}
    left = Story().then(YES).then(OptOut()).then(ASK).then(OptOut())
    for actor in (PERSON, Actor(ActorType.ADMIN, "desk")):
        back, kept = undone(left, actor=actor)
        assert back.entries == left.entries
        assert kept == ()


def test_a_yes_that_would_have_ended_meanwhile_stays_ended() -> None:
    story = Story().then(SetChoice(*KEY, SUBSCRIBED, after(2))).then(NO).wait(2)
    back, kept = undone(story)
    assert back.state.choices == {KEY: UNSUBSCRIBED}
    assert [item.rule for item in kept] == ["changed"]
    expired = Story().then(SetChoice(*KEY, SUBSCRIBED, after(2))).wait(2).then(Expire(*KEY))
    assert undone(expired)[0].state.choices == {KEY: UNSUBSCRIBED}


def test_a_confirmation_is_taken_back_and_does_not_wait_again() -> None:
    story = Story().then(ASK).then(Confirm(*KEY))
    back, _ = undone(story)
    assert recorded(back.state) == {}
    assert back.state.pending == frozenset()


@pytest.mark.parametrize(("halves", "pauses"), [(1, 1), (2, 0), (3, 0)])
def test_a_pause_that_ended_meanwhile_does_not_begin_again(halves: int, pauses: int) -> None:
    story = Story().then(Pause("", "", after(2))).then(Pause("", "", after(8))).wait(halves)
    assert len(undone(story)[0].state.pauses) == pauses


def test_an_opt_in_and_an_opt_out_stay_where_another_opt_out_came_later() -> None:
    story = Story().then(OptOut()).then(OptIn()).then(OptOut())
    for seq, wanted in ((1, False), (2, True)):
        back, kept = undone(story, seq)
        assert back.entries == story.entries
        assert kept == (Merged("opted_out", wanted, True, "refused"),)


def test_an_answer_that_reads_like_a_choice_is_none() -> None:
    story = Story().then(SetAttribute("size", SUBSCRIBED)).then(SetAttribute("size", UNSUBSCRIBED))
    assert undone(story, actor=Actor(ActorType.ADMIN, "desk"))[0].state.attributes == {"size": SUBSCRIBED}


@pytest.mark.parametrize("wished", [Pause("", "", after(8)), SetFrequency("", "", "weekly")])
def test_a_backend_takes_no_pause_and_no_cap_back(wished: Change) -> None:
    story = Story().then(wished)
    with pytest.raises(NotAllowed):
        undone(story, actor=BACKEND)
    assert recorded(undone(story, actor=Actor(ActorType.ADMIN, "desk"))[0].state) == {}


def test_nobody_but_the_contact_makes_silence_of_a_no() -> None:
    """Where silence allows mail, as to customers, that is as much as a yes."""
    story = Story().then(NO)
    with pytest.raises(NotAllowed):
        undone(story, actor=Actor(ActorType.ADMIN, "desk"))
    assert undone(story)[0].state.choices == {}


def test_what_was_erased_is_not_brought_back() -> None:
    past = Past(1, {"attribute:size": Step(None, "L", gone=True)})
    story = Story().then(SetAttribute("size", "L"))
    act = replace(story.act(), past={story.last: past})
    accepted, kept = merge(story.state, [Undo(story.last)], 1, act)
    assert kept == (Merged("attribute:size", None, None, "erased"),)
    assert apply(story.state, accepted, act) == (story.state, ())


@pytest.mark.parametrize(
    "final_change", [ChangeAddress("new@mail.example.org"), Erase(), Merge(SHE, receipt(9))]
)
def test_no_receipt_takes_back_what_became_of_the_whole_contact(final_change: Change) -> None:
    story = Story(EMPTY, address=ADDRESS).then(final_change)
    with pytest.raises(NotAllowed):
        merge(story.state, [Undo(story.last)], 1, story.act())
