"""What changes do to a state: properties over random contacts, wishes, actors and moments."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from tests.contacts.worlds import (
    ADDRESS,
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
    another,
    evidences,
    keys,
    others,
    stories,
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
from wagtail_prefs.contacts.rules import apply, contradictions, effective, recorded
from wagtail_prefs.errors import NotAllowed, UnknownContact
from wagtail_prefs.values import (
    ACTIONS,
    FREQUENCIES,
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Evidence,
    Key,
)

KEY = ("news", "email")
YES = SetChoice(*KEY, SUBSCRIBED)
NO = SetChoice(*KEY, UNSUBSCRIBED)
ASK = SetChoice(*KEY, PENDING)
CRM = Actor(ActorType.BACKEND, "crm")
DESK = Actor(ActorType.ADMIN, "desk")

#: A submission of any kind: of the usual changes, or one of those that stand alone.
anything = st.one_of(
    submissions,
    submissions,
    st.sampled_from([(Erase(),), (Merge(SHE, ANOTHER),), (Merge(ANOTHER, SHE),)]),
)


def value(state: ContactState, path: str) -> tuple[Any, datetime | None]:
    return recorded(state).get(path, (False if path == "opted_out" else None, None))


# --- what an effect says ---------------------------------------------------------------------------------------------


@pytest.mark.property
@examples(300)
@given(stories(), anything, actors, evidences, another())
def test_effects_say_exactly_what_became_of_the_state(
    story: Story, wished: tuple[Change, ...], actor: Actor, evidence: Evidence | None, other: ContactState
) -> None:
    then = tried(story, wished, actor=actor, evidence=evidence, others={ANOTHER: other})
    if then is None:
        return
    before, now = story.state, then.state
    if now == before:
        assert then.entries == story.entries
        return
    effects = then.entries[-1].effects
    assert len({effect.path for effect in effects}) == len(effects)
    replayed = dict(recorded(before))
    for effect in effects:
        if effect.path == "address:email":
            assert (effect.before, effect.after) == (story.address or None, then.address or None)
            continue
        assert effect.before == value(before, effect.path)[0]
        assert (effect.after, effect.until) == value(now, effect.path)
        assert effect.action in ACTIONS
        if effect.after is None or effect.after is False:
            replayed.pop(effect.path, None)
        else:
            replayed[effect.path] = (effect.after, effect.until)
    assert replayed == recorded(now)


@pytest.mark.property
@examples(200)
@given(stories(), anything, actors, evidences, another())
def test_a_submission_moves_the_version_by_one_or_nothing_at_all(
    story: Story, wished: tuple[Change, ...], actor: Actor, evidence: Evidence | None, other: ContactState
) -> None:
    then = tried(story, wished, actor=actor, evidence=evidence, others={ANOTHER: other})
    if then is None or then.entries == story.entries:
        assert then is None or then.state == story.state
        return
    before, now = story.state, then.state
    assert now.version == before.version + 1
    touched = {effect.path for effect in then.entries[-1].effects}
    for path, version in now.versions.items():
        assert version == (now.version if path in touched else before.versions[path])
    assert before.versions.keys() <= now.versions.keys()
    standing = {
        path for path in recorded(now) if not path.startswith(("pending:", "suppressed", "erased", "merged"))
    }
    assert standing <= now.versions.keys() | recorded(before).keys()


@pytest.mark.property
@examples(200)
@given(stories(), submissions)
def test_only_what_was_wished_for_changes(story: Story, wished: tuple[Change, ...]) -> None:
    then = tried(story, wished)
    if then is None or then.entries == story.entries:
        return
    named = {change.path for change in wished}
    named |= {path.replace("choice:", "pending:") for path in named}
    for effect in then.entries[-1].effects:
        lifted = effect.path in {"opted_out", "suppressed"} and not effect.after
        leaves = OptOut() in wished or SetChoice("", effect.channel or "-", UNSUBSCRIBED) in wished
        left = leaves and (effect.after == UNSUBSCRIBED or effect.path.startswith("pending:"))
        moved = effect.path == "suppressed" and "address:email" in named
        assert effect.path in named or lifted or left or moved


@pytest.mark.property
@examples(300)
@given(stories(), anything, actors, evidences, another())
def test_a_state_never_contradicts_itself(
    story: Story, wished: tuple[Change, ...], actor: Actor, evidence: Evidence | None, other: ContactState
) -> None:
    then = tried(story, wished, actor=actor, evidence=evidence, others={ANOTHER: other}) or story
    state = then.state
    said_yes = {key for key, choice in state.choices.items() if choice == SUBSCRIBED}
    assert set(state.choices.values()) <= {SUBSCRIBED, UNSUBSCRIBED}
    assert not (state.opted_out and said_yes)
    assert not (state.pending & said_yes)
    assert state.until.keys() <= state.pending | said_yes
    assert set(state.frequencies.values()) <= set(FREQUENCIES)
    assert None not in [*state.attributes.values(), *state.notices.values()]
    for fact in ("language", "country", "timezone"):
        assert getattr(state, fact) == state.attributes.get(fact, "")


# --- who may say yes -------------------------------------------------------------------------------------------------


def noes_of(story: Story, key: Key) -> list[datetime]:
    """When a no that concerns a topic on a channel was recorded, whatever has become of it since."""
    paths = {"opted_out": True, f"choice:{key[0]}:{key[1]}": UNSUBSCRIBED}
    return [
        entry.at
        for entry in story.entries
        for effect in entry.effects
        if effect.path in paths and effect.after == paths[effect.path]
    ]


@pytest.mark.property
@examples(500)
@given(stories(), anything, others, evidences, another())
def test_nobody_but_the_contact_says_yes_without_evidence_younger_than_every_no(
    story: Story, wished: tuple[Change, ...], actor: Actor, evidence: Evidence | None, other: ContactState
) -> None:
    then = tried(story, wished, actor=actor, evidence=evidence, others={ANOTHER: other})
    if then is None:
        return
    before, now = effective(story.state, story.at), effective(then.state, then.at)
    shown = evidence is not None and actor.id and evidence.at <= story.at and not story.state.suppressed
    if story.state.suppressed:
        assert now.suppressed
    if before.opted_out and not now.opted_out:
        assert shown and evidence is not None
        assert all(evidence.at > at for at in noes_of(story, ("", "")))
    for key, choice in now.choices.items():
        if choice == SUBSCRIBED and before.choices.get(key) != SUBSCRIBED:
            assert shown and evidence is not None
            assert all(evidence.at > at for at in noes_of(story, key))
    for key, choice in before.choices.items():
        assert now.choices.get(key) is not None, (key, choice)  # nobody else forgets what she said


@pytest.mark.property
@examples(200)
@given(stories(), submissions, others, evidences)
def test_nobody_but_the_contact_makes_a_yes_last_longer_without_evidence_younger_than_it(
    story: Story, wished: tuple[Change, ...], actor: Actor, evidence: Evidence | None
) -> None:
    then = tried(story, wished, actor=actor, evidence=evidence)
    if then is None:
        return
    before, now = effective(story.state, story.at), effective(then.state, then.at)
    for key, end in before.until.items():
        if before.choices.get(key) == now.choices.get(key) == SUBSCRIBED:
            later = now.until.get(key)
            if later is None or later > end:
                assert evidence is not None and actor.id
                said = story.state.versions[f"choice:{key[0]}:{key[1]}"]
                assert evidence.at > next(entry.at for entry in story.entries if entry.seq == said)


@pytest.mark.property
@examples(200)
@given(stories(), anything, evidences, another())
def test_a_backend_never_loosens_a_pause_or_a_cap(
    story: Story, wished: tuple[Change, ...], evidence: Evidence | None, other: ContactState
) -> None:
    assume(
        not any(isinstance(change, Erase) for change in wished)
    )  # which takes everything, and all mail with it
    then = tried(story, wished, actor=BACKEND, evidence=evidence, others={ANOTHER: other})
    if then is None or then.entries == story.entries:
        return
    changed = {effect.path: effect for effect in then.entries[-1].effects}
    for path, effect in changed.items():
        kind = path.partition(":")[0]
        looser = effect.before is not None and (
            (kind == "pause" and (effect.after is None or effect.after < effect.before))
            or (
                kind == "frequency"
                and (
                    effect.after is None or FREQUENCIES.index(effect.after) < FREQUENCIES.index(effect.before)
                )
            )
        )
        if looser:
            last = story.state.versions[path]
            assert evidence is not None
            assert evidence.at > next(entry.at for entry in story.entries if entry.seq == last)


@pytest.mark.parametrize(
    ("lived", "wished"),
    [
        ([(YES,), (NO,)], YES),
        ([(YES,), (OptOut(),)], YES),
        ([(OptOut(),)], YES),
        ([(OptOut(),)], OptIn()),
        # An opt-out counts as long as she lives: what she said before it is not brought back by saying so later.
        ([(OptOut(),), (OptIn(),)], YES),
        ([(NO,), (YES,), (OptOut(),), (OptIn(),)], YES),
    ],
)
def test_evidence_must_be_younger_than_every_no(lived: list[tuple[Change, ...]], wished: Change) -> None:
    story = Story()
    for changes in lived:
        story = story.then(*changes).wait(2)
    last = story.entries[-1].at
    importer = Actor(ActorType.IMPORT, "fair-2026")
    for evidence in (None, Evidence("sheet 3", START - timedelta(days=1)), Evidence("sheet 3", last)):
        with pytest.raises(NotAllowed):
            story.then(wished, actor=importer, evidence=evidence)
    with pytest.raises(NotAllowed):  # of tomorrow
        story.then(wished, actor=importer, evidence=Evidence("sheet 3", story.at + timedelta(seconds=1)))
    with pytest.raises(NotAllowed):  # without a name
        story.then(
            wished, actor=Actor(ActorType.IMPORT), evidence=Evidence("sheet 3", last + timedelta(seconds=1))
        )
    with pytest.raises(NotAllowed):  # whose address was erased once
        replace(story, state=replace(story.state, suppressed=True)).then(
            wished, actor=importer, evidence=Evidence("sheet 3", last + timedelta(seconds=1))
        )
    then = story.then(wished, actor=importer, evidence=Evidence("sheet 3", last + timedelta(microseconds=1)))
    assert not then.state.opted_out
    assert wished != YES or then.state.choices[KEY] == SUBSCRIBED


@pytest.mark.parametrize("written_down", [False, True])
def test_evidence_must_be_younger_than_the_end_of_a_yes(written_down: bool) -> None:
    story = Story().then(SetChoice(*KEY, SUBSCRIBED, after(2))).wait(3)
    if written_down:
        story = story.then(Expire(*KEY), actor=Actor(ActorType.SYSTEM, "expiry"))
    story = story.wait(1)
    importer = Actor(ActorType.IMPORT, "fair-2026")
    for at in (after(1), after(2)):
        with pytest.raises(NotAllowed):
            story.then(YES, actor=importer, evidence=Evidence("sheet 3", at))
    assert story.then(YES, actor=importer, evidence=Evidence("sheet 3", after(4))).state.choices == {
        KEY: SUBSCRIBED
    }


@pytest.mark.parametrize(
    "wished", [Resume("", ""), Pause("", "", after(6)), SetFrequency("", "", "daily")], ids=repr
)
def test_a_backend_shows_evidence_younger_than_the_pause_or_cap_it_loosens(wished: Change) -> None:
    story = Story().wait(2).then(Pause("", "", after(9)), SetFrequency("", "", "weekly")).wait(2)
    for evidence in (None, Evidence("event 8", after(1)), Evidence("event 8", after(2))):
        with pytest.raises(NotAllowed):
            story.then(wished, actor=CRM, evidence=evidence)
    assert len(story.then(wished, actor=CRM, evidence=Evidence("event 8", after(3))).entries) == 2
    assert len(story.then(Pause("", "", after(10)), SetFrequency("", "", "monthly"), actor=CRM).entries) == 2


def test_evidence_makes_a_yes_last_longer_only_where_it_is_younger_than_it() -> None:
    story = Story().wait(2).then(SetChoice(*KEY, SUBSCRIBED, after(9))).wait(2)
    importer = Actor(ActorType.IMPORT, "fair-2026")
    for evidence in (None, Evidence("sheet 3", after(1)), Evidence("sheet 3", after(2))):
        assert story.then(YES, actor=importer, evidence=evidence).entries == story.entries
    assert story.then(YES, actor=importer, evidence=Evidence("sheet 3", after(3))).state.until == {}
    assert story.then(SetChoice(*KEY, SUBSCRIBED, after(8)), actor=importer).state.until == {KEY: after(8)}


@pytest.mark.parametrize("wished", [YES, OptIn(), Confirm(*KEY), ChangeAddress("other@mail.example.org")])
@pytest.mark.parametrize("kind", [kind for kind in ActorType if not Actor(kind).is_subject])
def test_a_name_alone_opens_nothing(kind: ActorType, wished: Change) -> None:
    story = Story().then(OptOut()).then(ASK, actor=Actor(ActorType.SYSTEM, "signup"))
    with pytest.raises(NotAllowed):
        story.then(wished, actor=Actor(kind, "somebody"))


def test_one_wish_that_may_not_be_refuses_the_whole_submission() -> None:
    """Half a submission would be a thing that nobody wanted: who may only say no says it by itself."""
    story = Story().then(SetChoice("offers", "email", SUBSCRIBED))
    with pytest.raises(NotAllowed):
        story.then(SetChoice("offers", "email", UNSUBSCRIBED), YES, actor=CRM)


def test_a_suppressed_address_comes_back_by_its_owner_only() -> None:
    story = Story(replace(EMPTY, suppressed=True))
    asked = story.then(ASK, actor=Actor(ActorType.SYSTEM, "signup"))
    assert asked.state.suppressed
    back = asked.then(Confirm(*KEY), actor=MAIL_LINK)
    assert not back.state.suppressed
    assert back.state.choices == {KEY: SUBSCRIBED}


# --- leaving and coming back -----------------------------------------------------------------------------------------


@pytest.mark.property
@examples(200)
@given(stories(), actors)
def test_opting_out_leaves_no_yes_and_no_wait(story: Story, actor: Actor) -> None:
    state = story.then(OptOut(), actor=actor).state
    assert state.opted_out
    assert set(state.choices.values()) <= {UNSUBSCRIBED}
    assert not state.pending
    assert state.choices.keys() == story.state.choices.keys()  # nothing is written that was never asked


@pytest.mark.property
@examples(200)
@given(stories())
def test_opting_in_brings_nothing_back(story: Story) -> None:
    out = story.then(OptOut())
    back = out.then(OptIn())
    assert not back.state.opted_out
    assert back.state.choices == out.state.choices


@pytest.mark.property
@examples(200)
@given(stories(), keys)
def test_subscribing_after_an_opt_out_brings_that_topic_only(story: Story, key: Key) -> None:
    back = story.then(OptOut()).then(SetChoice(*key, SUBSCRIBED)).state
    assert not back.opted_out
    assert [key for key, choice in back.choices.items() if choice == SUBSCRIBED] == [key]


def test_a_no_to_what_was_asked_for_is_recorded_even_where_a_no_stood_already() -> None:
    """Else a tab that was opened before it would not know that it is older."""
    story = Story().then(NO).then(ASK, actor=Actor(ActorType.SYSTEM, "signup"))
    again = story.then(NO, actor=Actor(ActorType.ONE_CLICK))
    assert again.state.pending == frozenset()
    assert again.state.versions["choice:news:email"] == again.state.version
    assert ("choice:news:email", UNSUBSCRIBED, UNSUBSCRIBED, "refused") in [
        (effect.path, effect.before, effect.after, effect.action) for effect in again.entries[-1].effects
    ]


@pytest.mark.parametrize("wished", [[OptOut()], [OptOut(), NO], [NO, OptOut()]])
def test_leaving_again_is_recorded_where_something_waited(wished: list[Change]) -> None:
    story = Story().then(OptOut()).then(ASK, actor=Actor(ActorType.SYSTEM, "signup"))
    again = story.then(*wished, actor=Actor(ActorType.ONE_CLICK))
    assert again.state.pending == frozenset()
    assert again.state.versions["opted_out"] == again.state.version
    assert again.then(OptOut()).entries == again.entries


# --- confirming and ending -------------------------------------------------------------------------------------------


@pytest.mark.property
@examples(300)
@given(stories(), keys, actors)
def test_only_the_owner_confirms_and_only_while_it_waits(story: Story, key: Key, actor: Actor) -> None:
    waits = key in effective(story.state, story.at).pending
    if waits and not actor.is_subject:
        with pytest.raises(NotAllowed):
            story.then(Confirm(*key), actor=actor)
        return
    then = story.then(Confirm(*key), actor=actor)
    if not waits:
        assert then.entries == story.entries
        return
    assert then.state.choices[key] == SUBSCRIBED
    assert key not in then.state.pending
    assert not then.state.opted_out


@pytest.mark.property
@examples(300)
@given(stories(), keys, actors)
def test_writing_down_an_end_changes_nothing_that_holds(story: Story, key: Key, actor: Actor) -> None:
    then = story.then(Expire(*key), actor=actor)
    held, holds = effective(story.state, story.at), effective(then.state, then.at)
    assert replace(holds, version=held.version, versions=held.versions) == held
    end = then.state.until.get(key)
    assert end is None or end > then.at


@pytest.mark.parametrize(("late", "waits"), [(-1, True), (0, False), (1, False)])
def test_a_confirmation_is_in_time_until_its_moment(late: int, waits: bool) -> None:
    end = after(4)
    story = Story().then(SetChoice(*KEY, PENDING, end), actor=Actor(ActorType.SYSTEM, "signup"))
    story = replace(story, at=end + timedelta(microseconds=late))
    assert (story.then(Confirm(*KEY)).state.choices == {KEY: SUBSCRIBED}) is waits
    assert (story.then(Expire(*KEY)).state.pending == frozenset()) is not waits


@pytest.mark.parametrize(("late", "holds"), [(-1, True), (0, False), (1, False)])
def test_a_yes_with_a_date_holds_until_its_moment(late: int, holds: bool) -> None:
    end = after(4)
    story = replace(Story().then(SetChoice(*KEY, SUBSCRIBED, end)), at=end + timedelta(microseconds=late))
    ended = story.then(Expire(*KEY), actor=Actor(ActorType.SYSTEM, "expiry"))
    assert ended.state.choices == {KEY: SUBSCRIBED if holds else UNSUBSCRIBED}
    assert holds or [effect.action for effect in ended.entries[-1].effects] == ["expired"]


def test_asking_again_lets_it_wait_longer_and_never_shorter() -> None:
    story = Story().then(SetChoice(*KEY, PENDING, after(4)))
    assert story.then(SetChoice(*KEY, PENDING, after(2))).entries == story.entries
    assert story.then(SetChoice(*KEY, PENDING, after(6))).state.until == {KEY: after(6)}
    assert story.then(ASK).state.until == {}
    assert story.then(ASK).then(SetChoice(*KEY, PENDING, after(6))).state.until == {}


@pytest.mark.parametrize(("late", "asks"), [(-1, False), (0, True), (1, True)])
def test_what_has_ended_can_be_asked_for_again(late: int, asks: bool) -> None:
    end = after(4)
    story = replace(Story().then(SetChoice(*KEY, SUBSCRIBED, end)), at=end + timedelta(microseconds=late))
    asked = story.then(SetChoice(*KEY, PENDING, after(8)), actor=Actor(ActorType.SYSTEM, "signup"))
    if not asks:
        assert asked.entries == story.entries
        return
    assert recorded(asked.state) == {
        "choice:news:email": (UNSUBSCRIBED, None),
        "pending:news:email": (True, after(8)),
    }
    assert [effect.action for effect in asked.entries[-1].effects] == ["expired", "requested"]


@pytest.mark.parametrize(("late", "renewed"), [(-1, True), (0, False), (1, False)])
def test_a_yes_is_renewed_until_it_ends_and_given_anew_from_then_on(late: int, renewed: bool) -> None:
    end = after(4)
    story = replace(Story().then(SetChoice(*KEY, SUBSCRIBED, end)), at=end + timedelta(microseconds=late))
    again = story.then(SetChoice(*KEY, SUBSCRIBED, after(8)))
    assert again.state.until == {KEY: after(8)}
    assert [effect.action for effect in again.entries[-1].effects] == ["renewed" if renewed else "given"]


def test_asking_for_what_she_has_asks_nothing() -> None:
    story = Story().then(YES)
    assert story.then(ASK, actor=Actor(ActorType.SYSTEM, "signup")).entries == story.entries


@pytest.mark.parametrize(
    "wished",
    [
        Pause("", "", START),
        Pause("", "", START - timedelta(microseconds=1)),
        SetChoice(*KEY, SUBSCRIBED, START),
        SetChoice(*KEY, PENDING, START - timedelta(days=1)),
    ],
)
def test_what_would_have_ended_before_it_began_is_refused(wished: Change) -> None:
    with pytest.raises(ValueError, match="in the future"):
        Story().then(wished)


# --- addresses, erasing, merging away --------------------------------------------------------------------------------

ERASED = "gone@mail.example.org"


@pytest.mark.parametrize(("actor", "suppressed"), [(PERSON, True), (MAIL_LINK, False)])
def test_an_erased_address_is_taken_only_by_a_link_mailed_to_it(actor: Actor, suppressed: bool) -> None:
    then = Story().then(YES).then(ChangeAddress(ERASED), actor=actor, suppressed=frozenset({ERASED}))
    assert then.address == ERASED
    assert then.state.suppressed is suppressed


def test_the_same_address_again_is_no_change() -> None:
    assert Story().then(ChangeAddress(ADDRESS)).entries == ()


@pytest.mark.property
@examples(200)
@given(stories(), submissions, actors, st.sampled_from([Erase(), Merge(SHE, ANOTHER)]))
def test_after_an_erasure_or_a_merge_nothing_comes_back(
    story: Story, wished: tuple[Change, ...], actor: Actor, end: Change
) -> None:
    gone = story.then(end, actor=Actor(ActorType.SYSTEM, "rights"))
    state = gone.state
    assert state.opted_out
    assert SUBSCRIBED not in state.choices.values()
    assert not state.pending and not state.until
    if isinstance(end, Erase):
        assert state.erased and state.suppressed
        assert not state.attributes and not state.notices and not state.frequencies and not state.pauses
        assert (state.language, state.country, state.timezone) == ("", "", "")
        assert gone.address == ""
        assert all(
            effect.after is None
            for effect in gone.entries[-1].effects
            if effect.path.startswith(("attribute:", "address:", "notice:"))
        )
    else:
        assert state.merged_into == ANOTHER
    for changes in (wished, (end,), (OptIn(),), (Undo(gone.last),), (Merge(ANOTHER, SHE),)):
        with pytest.raises(UnknownContact):
            apply(state, changes, gone.act(actor, others={ANOTHER: replace(EMPTY, id=ANOTHER)}))


def test_erasing_forgets_also_what_was_known_of_her_from_the_start() -> None:
    state = replace(EMPTY, language="de", country="DE", timezone="Europe/Berlin")
    erased = Story(state).then(Erase()).state
    assert (erased.language, erased.country, erased.timezone) == ("", "", "")


def test_a_merge_of_others_is_none_of_hers() -> None:
    with pytest.raises(ValueError, match="other contacts"):
        Story(replace(EMPTY, id=ANOTHER)).then(
            Merge(SHE, Story().last if Story().entries else SHE.__class__(int=9))
        )


# --- facts -----------------------------------------------------------------------------------------------------------


def test_what_rules_go_by_is_what_was_said_last() -> None:
    story = Story(replace(EMPTY, country="AT")).then(SetAttribute("country", "DE"))
    assert story.state.country == "DE"
    assert story.then(ClearAttribute("country")).state.country == ""  # unknown until it is read anew


# --- contradictions --------------------------------------------------------------------------------------------------

UNDO = Undo(SHE)
MERGE = Merge(SHE, ANOTHER)


@pytest.mark.parametrize(
    ("changes", "contradict"),
    [
        ([OptOut(), OptIn()], True),
        ([OptOut(), YES], True),
        ([YES, OptOut()], True),
        ([OptOut(), ASK], True),
        ([Confirm(*KEY), OptOut()], True),
        ([YES, NO], True),
        ([YES, ASK], True),
        ([YES, SetChoice(*KEY, SUBSCRIBED, after(4))], True),
        ([Confirm(*KEY), NO], True),
        ([Expire(*KEY), YES], True),
        ([Pause("", "", after(4)), Resume("", "")], True),
        ([Pause("", "", after(4)), Pause("", "", after(5))], True),
        ([SetFrequency("", "", "daily"), SetFrequency("", "", "weekly")], True),
        ([SetAttribute("size", "L"), ClearAttribute("size")], True),
        ([SetAttribute("reason", "x"), GiveReason("other")], True),
        ([AcknowledgeNotice("privacy", "a" * 64), AcknowledgeNotice("privacy", "b" * 64)], True),
        ([ChangeAddress("a@mail.example.org"), ChangeAddress("b@mail.example.org")], True),
        ([Erase(), OptOut()], True),
        ([YES, Erase()], True),
        ([UNDO, YES], True),
        ([UNDO, Undo(ANOTHER)], True),
        ([MERGE, NO], True),
        ([MERGE, Merge(ANOTHER, SHE)], True),
        ([Erase(), UNDO, MERGE], True),
        ([], False),
        ([YES], False),
        ([UNDO], False),
        ([Erase()], False),
        ([YES, YES], False),
        ([OptOut(), NO], False),
        ([OptOut(), GiveReason("too_many")], False),
        ([OptOut(), SetFrequency("", "", "monthly"), Pause("", "", after(4))], False),
        ([OptIn(), YES], False),
        ([YES, SetChoice("news", "sms", UNSUBSCRIBED)], False),
        ([SetFrequency("", "", "daily"), SetFrequency("", "email", "weekly")], False),
        ([Pause("news", "", after(4)), Pause("offers", "", after(4))], False),
    ],
)
def test_contradictions(changes: list[Change], contradict: bool) -> None:
    assert bool(contradictions(changes)) is contradict
    assert bool(contradictions(changes[::-1])) is contradict
