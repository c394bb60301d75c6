"""Every state of a consent and everything that can happen to it (security.md CR-04)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wagtail_prefs.rights.consent_states import Event, IllegalTransition, State, Step, after, entered
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Effect

U, REQ, REF, W, X, INV, G, REN = State
ASKED, YES, AGAIN, NO, ENDED, VOID, UNDONE = Event
ILLEGAL = None
#: Written down once more, by hand: state -> what comes of each event, in the order above.
TABLE = {
    #      asked    yes  again    no   ended    void undone
    U: (REQ, G, ILLEGAL, REF, ILLEGAL, INV, ILLEGAL),
    REQ: (REQ, G, ILLEGAL, REF, X, INV, U),
    REF: (REQ, G, ILLEGAL, REF, ILLEGAL, INV, U),
    W: (REQ, G, ILLEGAL, W, ILLEGAL, INV, ILLEGAL),
    X: (REQ, G, ILLEGAL, REF, ILLEGAL, INV, ILLEGAL),
    INV: (ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, INV, ILLEGAL),
    G: (ILLEGAL, REN, REN, W, X, INV, W),
    REN: (ILLEGAL, REN, REN, W, X, INV, W),
}
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = ("news", "email")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_comes_of_each(state: State, event: Event) -> None:
    expected = TABLE[state][list(Event).index(event)]
    if expected is ILLEGAL:
        with pytest.raises(IllegalTransition, match=f"{state} cannot be {event}"):
            after(state, event)
    else:
        assert after(state, event) is expected


def test_the_table_is_whole() -> None:
    assert TABLE.keys() == set(State)
    assert {len(row) for row in TABLE.values()} == {len(Event)}


def step(seq: int, *effects: Effect, days: int = 0) -> Step:
    return Step(seq, NOW + timedelta(days=days), effects)


def choice(before: str | None, then: str | None, action: str, until: datetime | None = None) -> Effect:
    return Effect("choice:news:email", before, then, action, *KEY, until)


def wait(then: bool | None, action: str, until: datetime | None = None) -> Effect:
    return Effect("pending:news:email", None if then else True, then, action, *KEY, until)


def states(*steps: Step, now: datetime = NOW) -> list[State]:
    return [one.state for one in entered(steps, now)]


def test_double_opt_in_is_asked_and_then_given_by_one_record() -> None:
    found = entered(
        [
            step(1, wait(True, "requested", NOW + timedelta(days=7))),
            step(2, wait(None, "given"), choice(None, SUBSCRIBED, "given")),
            step(3, choice(SUBSCRIBED, UNSUBSCRIBED, "withdrawn")),
        ],
        NOW,
    )
    assert [(one.state, one.seq, one.key) for one in found] == [(REQ, 1, KEY), (G, 2, KEY), (W, 3, KEY)]
    assert found[0].until == NOW + timedelta(days=7)
    assert found[1].until is None


def test_what_nobody_confirms_expires_and_a_no_to_it_is_a_refusal() -> None:
    asked = step(1, wait(True, "requested"))
    assert states(asked, step(2, wait(None, "expired"))) == [REQ, X]
    assert states(asked, step(2, wait(None, "withdrawn"))) == [REQ, REF]
    assert states(asked, step(2, wait(None, "restored"))) == [REQ, U]


def test_a_yes_that_has_ended_is_expired_also_before_anybody_wrote_it_down() -> None:
    end = NOW + timedelta(days=1)
    given = step(1, choice(None, SUBSCRIBED, "given", end))
    assert states(given) == [G]
    later = entered([given], end)
    assert [(one.state, one.seq, one.at) for one in later] == [(G, 1, NOW), (X, 0, end)]
    written = step(2, choice(SUBSCRIBED, UNSUBSCRIBED, "expired"), days=1)
    assert states(given, written, now=end) == [G, X]
    # Prolonged in time, it goes on.
    again = step(2, choice(SUBSCRIBED, SUBSCRIBED, "renewed", end + timedelta(days=9)))
    assert states(given, again, now=end) == [G, REN]


def test_erased_and_merged_away_is_invalid() -> None:
    given = step(
        1,
        choice(None, SUBSCRIBED, "given"),
        Effect("pending:offers:email", None, True, "requested", "offers", "email"),
    )
    gone = [
        choice(SUBSCRIBED, UNSUBSCRIBED, "erased"),
        Effect("pending:offers:email", True, None, "erased", "offers", "email"),
        Effect("erased", None, True, "erased"),
    ]
    assert states(given, step(2, *gone)) == [G, REQ, INV, INV]
    merged = Effect("merged_into", None, "x", "merged")
    assert states(
        step(1, choice(None, SUBSCRIBED, "given")),
        step(2, choice(SUBSCRIBED, UNSUBSCRIBED, "merged"), merged),
    ) == [G, INV]


def test_the_winner_of_a_merge_has_given_or_withdrawn() -> None:
    assert states(step(1, choice(None, SUBSCRIBED, "merged"))) == [G]
    given = step(1, choice(None, SUBSCRIBED, "given"))
    assert states(given, step(2, choice(SUBSCRIBED, UNSUBSCRIBED, "merged"))) == [G, W]


def test_a_no_to_a_whole_channel_is_told_of_its_topics_alone() -> None:
    refused = Effect("choice::email", None, UNSUBSCRIBED, "refused", "", "email")
    given = step(1, choice(None, SUBSCRIBED, "given"))
    assert states(given, step(2, refused, choice(SUBSCRIBED, UNSUBSCRIBED, "withdrawn"))) == [G, W]


def test_a_chain_that_skips_is_refused_by_its_number() -> None:
    with pytest.raises(IllegalTransition, match="record 4: a consent that is unknown cannot be again"):
        entered([step(4, choice(SUBSCRIBED, SUBSCRIBED, "renewed"))], NOW)
