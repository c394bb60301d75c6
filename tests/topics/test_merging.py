"""What a merge of topics means for one contact: stricter or the same, never more."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.changes import Pause, SetChoice, SetFrequency
from wagtail_prefs.contacts.rules import Act, apply, effective
from wagtail_prefs.topics.merging import WRITTEN, Verdict, changes, verdict
from wagtail_prefs.values import (
    CHANNELS,
    FREQUENCIES,
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Pause as Rest,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STAFF = Act(Actor(ActorType.ADMIN, "user-1"), NOW)
OLD, NEW = ("letter", "email"), ("news", "email")
WORDS = {SUBSCRIBED: "yes", UNSUBSCRIBED: "no"}


def said(old: str, new: str, *, later: str = "", **fields: object) -> ContactState:
    """A contact with these words about both topics by mail; `later` is what she said last."""
    by_word = {word: value for value, word in WORDS.items()}
    choices = {key: by_word[word] for key, word in ((OLD, old), (NEW, new)) if word in by_word}
    pending = frozenset(key for key, word in ((OLD, old), (NEW, new)) if word == "waits")
    versions = {"choice:letter:email": 3, "choice:news:email": {"new": 4, "old": 2}.get(later, 3)}
    kept = {path: version for path, version in versions.items() if tuple(path.split(":")[1:]) in choices}
    return ContactState(
        id=uuid.UUID(int=1),
        audience="default",
        version=9,
        choices=choices,
        pending=pending,
        versions=kept,
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("old", "new", "later", "becomes"),
    [
        ("yes", "yes", "", Verdict.BOTH),
        ("yes", "no", "", Verdict.NO_STAYS),
        ("yes", "", "", Verdict.ASKED),
        ("yes", "waits", "", Verdict.WAITING),
        ("waits", "", "", Verdict.ASKED),
        ("waits", "yes", "", Verdict.BOTH),
        ("no", "yes", "new", Verdict.STAYS),
        ("no", "yes", "old", Verdict.LEAVES),
        ("no", "yes", "", Verdict.LEAVES),  # said in one save: no yes of its own since
        ("no", "", "", Verdict.REFUSED),
        ("no", "waits", "", Verdict.REFUSED),
        ("no", "no", "", Verdict.BOTH_NO),
        ("", "yes", "", None),
        ("", "", "", None),
    ],
)
def test_what_becomes_of_her(old: str, new: str, later: str, becomes: Verdict | None) -> None:
    state = said(old, new, later=later)
    assert verdict(state, "letter", "news", "email", {"email"}) is becomes
    wanted = changes(state, "letter", "news", {"email"})
    assert bool(wanted) == (becomes in WRITTEN)
    after, _effects = apply(state, wanted, STAFF)
    stays = becomes in {Verdict.BOTH, Verdict.STAYS} or (becomes is None and new == "yes")
    assert (after.choices.get(NEW) == SUBSCRIBED) == stays
    assert (NEW in after.pending) == (becomes in {Verdict.ASKED, Verdict.WAITING})


@pytest.mark.parametrize("fields", [{"opted_out": True}, {"suppressed": True}])
def test_nobody_is_asked_who_left_everything_or_was_erased_once(fields: dict[str, bool]) -> None:
    state = said("waits", "", **fields)
    assert verdict(state, "letter", "news", "email", {"email"}) is Verdict.LOST
    assert changes(state, "letter", "news", {"email"}) == []


def test_nobody_is_asked_on_a_channel_that_the_winner_does_not_have() -> None:
    assert changes(said("yes", ""), "letter", "news", {"sms"}) == []
    # A no is noted all the same: the winner may get the channel later.
    assert changes(said("no", ""), "letter", "news", {"sms"}) == [SetChoice(*NEW, UNSUBSCRIBED)]


def test_she_is_not_asked_for_longer_than_her_yes_would_have_held() -> None:
    ends = NOW + timedelta(days=10)
    state = said("yes", "", until={OLD: ends})
    assert changes(state, "letter", "news", {"email"}) == [SetChoice(*NEW, PENDING, ends)]
    ended = effective(said("yes", "yes", later="old", until={OLD: NOW}), NOW)
    assert changes(ended, "letter", "news", {"email"}) == [SetChoice(*NEW, UNSUBSCRIBED)]


def test_the_stricter_limits_go_over_and_no_others() -> None:
    soon, late = NOW + timedelta(days=1), NOW + timedelta(days=9)
    scopes = {"old": ("letter", ""), "new": ("news", "")}

    def limits(caps: dict[str, str], pauses: dict[str, datetime]) -> list[object]:
        state = said(
            "yes",
            "yes",
            frequencies={scopes[name]: code for name, code in caps.items()},
            pauses={scopes[name]: Rest(until) for name, until in pauses.items()},
        )
        return list(changes(state, "letter", "news", {"email"}))

    assert limits({"old": "monthly", "new": "weekly"}, {"old": late, "new": soon}) == [
        SetFrequency("news", "", "monthly"),
        Pause("news", "", late),
    ]
    assert limits({"old": "weekly"}, {"old": soon}) == [
        SetFrequency("news", "", "weekly"),
        Pause("news", "", soon),
    ]
    assert limits({"old": "weekly", "new": "monthly"}, {"old": soon, "new": late}) == []
    assert limits({"new": "daily"}, {"new": soon}) == []


keys = st.tuples(st.sampled_from(["letter", "news", "other"]), st.sampled_from(CHANNELS[:3]))
scopes = st.tuples(st.sampled_from(["letter", "news", "other"]), st.just(""))
moments = st.integers(-5, 5).map(lambda days: NOW + timedelta(days=days))


@st.composite
def states(draw: st.DrawFn) -> ContactState:
    choices = draw(st.dictionaries(keys, st.sampled_from([SUBSCRIBED, UNSUBSCRIBED])))
    unasked = sorted(
        {(topic, channel) for topic in ("letter", "news") for channel in CHANNELS[:3]} - choices.keys()
    )
    pending = draw(st.frozensets(st.sampled_from(unasked))) if unasked else frozenset()
    ending = sorted({*pending, *(key for key, value in choices.items() if value == SUBSCRIBED)})
    return ContactState(
        id=uuid.UUID(int=1),
        audience="default",
        version=20,
        opted_out=draw(st.booleans()) and SUBSCRIBED not in choices.values(),
        suppressed=draw(st.booleans()),
        choices=choices,
        pending=pending,
        until=draw(st.dictionaries(st.sampled_from(ending), moments)) if ending else {},
        frequencies=draw(st.dictionaries(scopes, st.sampled_from(FREQUENCIES))),
        pauses=draw(st.dictionaries(scopes, moments.map(Rest))),
        versions={f"choice:{topic}:{channel}": draw(st.integers(1, 20)) for topic, channel in choices},
    )


def strictness(state: ContactState, scope: tuple[str, str]) -> tuple[int, datetime]:
    cap = state.frequencies.get(scope)
    pause = state.pauses.get(scope)
    return (FREQUENCIES.index(cap) if cap else -1, pause.until if pause else datetime.min.replace(tzinfo=UTC))


@pytest.mark.property
@examples(300)
@given(state=states(), offered=st.frozensets(st.sampled_from(CHANNELS[:3])))
def test_a_merge_only_makes_things_stricter_and_the_second_time_nothing(
    state: ContactState, offered: frozenset[str]
) -> None:
    held = effective(state, NOW)
    # Staff may carry it out: no change of it is a yes.
    after, effects = apply(state, changes(held, "letter", "news", offered), STAFF)
    now = effective(after, NOW)
    yes = {key for key, value in now.choices.items() if value == SUBSCRIBED}
    assert yes <= {key for key, value in held.choices.items() if value == SUBSCRIBED}
    no = {key for key, value in held.choices.items() if value == UNSUBSCRIBED}
    assert no <= {key for key, value in now.choices.items() if value == UNSUBSCRIBED}
    for channel in CHANNELS[:3]:
        if held.choices.get(("letter", channel)) == UNSUBSCRIBED and ("news", channel) in yes:
            versions = held.versions
            assert versions[f"choice:news:{channel}"] > versions[f"choice:letter:{channel}"]
    for name in ("letter", "news"):
        before = tuple(map(max, strictness(held, ("news", "")), strictness(held, (name, ""))))
        assert strictness(now, ("news", "")) >= before
    # What she said of the loser, and of anything else, stays where it is.
    touched = {
        effect.path.removeprefix("frequency:topic:").removeprefix("pause:topic:") for effect in effects
    }
    assert {path.split(":")[1] if ":" in path else path for path in touched} <= {"news"}
    assert changes(now, "letter", "news", offered) == []
