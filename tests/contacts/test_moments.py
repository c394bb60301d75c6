"""What time does to a state by itself, to the microsecond."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from tests.contacts.worlds import BACKEND, EMPTY, Story, after, stories
from tests.properties import examples
from wagtail_prefs.changes import Change, Confirm, Expire, Pause, SetChoice
from wagtail_prefs.contacts.rules import effective, next_edge
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, ContactState, Pause as Rest

KEY = ("news", "email")
TICK = timedelta(microseconds=1)

#: Ends that a clock on the wall shows twice, never, or once in four years; a moment is none of these in UTC.
EDGES = {
    "leap day": datetime(2028, 2, 29, tzinfo=UTC),
    "the end of a leap day": datetime(2028, 3, 1, tzinfo=UTC),
    "the first of March, no leap year": datetime(2027, 3, 1, tzinfo=UTC),
    "spring forward in Berlin": datetime(2026, 3, 29, 3, tzinfo=ZoneInfo("Europe/Berlin")),
    "fall back in Berlin, first": datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
    "fall back in Berlin, second": datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "midnight that is not there in Beirut": datetime(2026, 3, 29, 0, 30, tzinfo=ZoneInfo("Asia/Beirut")),
    "half an hour in Lord Howe": datetime(2026, 4, 5, 1, 45, fold=1, tzinfo=ZoneInfo("Australia/Lord_Howe")),
    "new year in Kiritimati": datetime(2027, 1, 1, tzinfo=ZoneInfo("Pacific/Kiritimati")),
    "the last second of a year": datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
}


@pytest.mark.property
@examples(400)
@given(stories(most=6), st.integers(-2, 14), st.integers(0, 1))
def test_nothing_changes_by_itself_before_the_next_edge_and_something_at_it(
    story: Story, halves: int, ticks: int
) -> None:
    at = after(halves) - ticks * TICK
    edge = next_edge(story.state, at)
    held = effective(story.state, at)
    if edge is None:
        for later in (1, 40, 4000):
            assert effective(story.state, at + timedelta(days=later)) == held
        return
    assert edge > at
    assert effective(story.state, edge - TICK) == held
    assert effective(story.state, at + (edge - at) / 2) == held
    assert effective(story.state, edge) != held


@pytest.mark.property
@examples(300)
@given(stories(most=6), st.integers(-2, 14), st.integers(0, 14))
def test_what_has_ended_does_not_begin_again(story: Story, halves: int, more: int) -> None:
    held = effective(story.state, after(halves))
    then = effective(story.state, after(halves + more))
    assert effective(held, after(halves + more)) == then
    assert effective(then, after(halves)) == then
    assert {key for key, choice in then.choices.items() if choice == SUBSCRIBED} <= {
        key for key, choice in held.choices.items() if choice == SUBSCRIBED
    }
    assert then.choices.keys() == held.choices.keys()
    assert then.pending <= held.pending
    assert then.pauses.keys() <= held.pauses.keys()
    assert next_edge(then, after(halves + more)) == next_edge(story.state, after(halves + more))


@pytest.mark.parametrize("edge", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize(
    ("state", "ended"),
    [
        (lambda end: replace(EMPTY, pauses={("", ""): Rest(end)}), EMPTY),
        (
            lambda end: replace(EMPTY, choices={KEY: SUBSCRIBED}, until={KEY: end}),
            replace(EMPTY, choices={KEY: UNSUBSCRIBED}),
        ),
        (lambda end: replace(EMPTY, pending=frozenset({KEY}), until={KEY: end}), EMPTY),
    ],
    ids=["pause", "yes", "wait"],
)
def test_it_ends_at_its_moment_and_not_a_microsecond_sooner(
    edge: datetime, state, ended: ContactState
) -> None:  # type: ignore[no-untyped-def]
    end = Pause("", "", edge).until
    held = state(end)
    assert end.utcoffset() == timedelta(0) and end == edge.astimezone(UTC)
    assert effective(held, end - TICK) == held
    assert effective(held, end) == effective(held, end + TICK) == ended
    assert next_edge(held, end - TICK) == end
    assert next_edge(held, end) is None


@pytest.mark.parametrize("edge", EDGES.values(), ids=EDGES)
@pytest.mark.parametrize(
    "wished", [SetChoice(*KEY, SUBSCRIBED), SetChoice(*KEY, PENDING), Pause("", "", after(1))]
)
def test_changes_end_as_the_state_does(edge: datetime, wished: Change) -> None:
    wished = replace(wished, until=edge)  # type: ignore[call-arg]
    end = edge.astimezone(UTC)
    story = replace(Story(), at=end - timedelta(days=1)).then(wished)
    for late in (-TICK, timedelta(0), TICK):
        now = replace(story, at=end + late)
        ended = late >= timedelta(0)
        assert (effective(now.state, now.at) != now.state) is ended
        if isinstance(wished, SetChoice):
            assert (now.then(Expire(*KEY), actor=BACKEND).entries != now.entries) is ended
            confirmed = now.then(Confirm(*KEY)).state
            assert (confirmed.choices.get(KEY) == SUBSCRIBED) is (wished.value == SUBSCRIBED or not ended)
        with pytest.raises(ValueError, match="in the future") if ended else pytest.raises(AssertionError):
            now.then(wished)
            raise AssertionError


def test_the_nearest_of_several_ends_comes_next() -> None:
    story = (
        Story()
        .then(Pause("", "", after(6)), Pause("", "email", after(2)))
        .then(SetChoice(*KEY, SUBSCRIBED, after(4)), SetChoice("news", "sms", PENDING, after(5)))
        .then(SetChoice("offers", "sms", SUBSCRIBED), SetChoice("offers", "email", UNSUBSCRIBED))
    )
    edges, at = [], story.at
    while (edge := next_edge(story.state, at)) is not None:
        edges.append(edge)
        at = edge
    assert edges == [after(2), after(4), after(5), after(6)]
    assert next_edge(EMPTY, after(0)) is None
