"""Breaker, pause, rate limit and heartbeat of a backend, as all workers together see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given, strategies as st
from pytest_django import DjangoAssertNumQueries

from tests.properties import examples
from wagtail_prefs.delivery import lanes
from wagtail_prefs.delivery.lanes import SHUT, Gate, answered, enter, misconfigured, pause, slot, unanswered
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.values import Outcome, Rate

pytestmark = pytest.mark.django_db

T = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
NOTHING = Gate(open=True, due=False)


def lane() -> Lane:
    return Lane.objects.get(backend="crm")


def row(
    *,
    due: timedelta = timedelta(0),
    failed: Outcome | None = None,
    restricts: bool = False,
    backend: str = "crm",
) -> Delivery:
    failing = {"failing_since": T, "last_outcome": failed.value, "attempts": 3} if failed else {}
    return Delivery.objects.create(
        backend=backend, contact=uuid4(), wanted=1, due_at=T + due, restricts=restricts, **failing
    )


def opened(at: datetime = T) -> None:
    """The breaker opens: five calls without an answer."""
    assert [unanswered("crm", at, "timeout") for _ in range(5)] == [False] * 4 + [True]


def due(delivery: Delivery) -> datetime | None:
    return Delivery.objects.get(pk=delivery.pk).due_at


# --- looking ----------------------------------------------------------------------------------------------------------


def test_a_look_that_finds_nothing_is_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    enter("crm", T)
    with django_assert_num_queries(1):
        assert enter("crm", T + timedelta(seconds=1)) == NOTHING


def test_it_tells_what_is_due() -> None:
    enter("crm", T)
    row(due=timedelta(hours=1))
    row(backend="other")
    assert not enter("crm", T).due
    row(restricts=True)
    assert enter("crm", T).due
    Delivery.objects.filter(restricts=True).delete()
    row()
    assert enter("crm", T).due


def test_the_heartbeat_is_written_once_in_a_while_and_after_the_clock_went_back() -> None:
    for at, seen in ((0, 0), (14, 0), (15, 15), (20, 15), (-60, -60)):
        enter("crm", T + timedelta(seconds=at))
        assert lane().seen_at == T + timedelta(seconds=seen)


def test_an_idle_worker_beats_also_while_the_backend_is_left_alone() -> None:
    pause("crm", T + timedelta(hours=1), "http-429")
    assert enter("crm", T) == SHUT
    assert lane().seen_at == T


# --- pause ------------------------------------------------------------------------------------------------------------


def test_of_two_wishes_the_later_holds() -> None:
    now = datetime.now(UTC)
    pause("crm", now + timedelta(minutes=9), "http-429")
    pause("crm", now + timedelta(minutes=2), "http-429")
    assert lane().paused_until == now + timedelta(minutes=9)
    assert enter("crm", now + timedelta(minutes=8)) == SHUT
    assert enter("crm", now + timedelta(minutes=9)).open


def test_no_platform_is_left_alone_for_more_than_a_day() -> None:
    pause("crm", datetime.now(UTC) + timedelta(days=400), "http-429\0" + "x" * 200)
    until = lane().paused_until
    assert until is not None
    assert until <= datetime.now(UTC) + timedelta(days=1)
    assert len(lane().code) == 128


def test_a_pause_is_no_failure_and_ends_a_row_of_them() -> None:
    for _ in range(4):
        unanswered("crm", T, "timeout")
    pause("crm", T, "http-429")
    assert not unanswered("crm", T, "timeout")
    assert lane().failures == 1


# --- breaker ----------------------------------------------------------------------------------------------------------


def test_five_in_a_row_open_it() -> None:
    row()
    for _ in range(4):
        assert not unanswered("crm", T, "timeout")
    assert enter("crm", T).open
    assert not answered("crm", T)
    opened()
    assert enter("crm", T) == SHUT
    assert (lane().open_since, lane().code, lane().last_code, lane().failed_at) == (
        T,
        "timeout",
        "timeout",
        T,
    )


def test_the_first_call_of_all_may_fail() -> None:
    assert not unanswered("crm", T, "timeout")
    misconfigured("other", T, "http-401")
    assert Lane.objects.get(backend="other").open_since == T


def test_it_is_probed_after_15_seconds_1_minute_5_minutes_and_then_every_15() -> None:
    row()
    opened()
    at, waits = T, []
    for _ in range(8):
        until = lane().paused_until
        assert until is not None
        waits.append((until - at).total_seconds())
        at = until
        assert enter("crm", at - timedelta(microseconds=1)) == SHUT
        assert enter("crm", at) == Gate(open=True, probe=True)
        assert enter("crm", at) == SHUT  # somebody probes
        assert unanswered("crm", at, "timeout")
    for wait, wanted in zip(waits, [15, 60, 300, 900, 900, 900, 900, 900], strict=True):
        assert wanted * 0.9 <= wait <= wanted * 1.1
    assert len(set(waits)) == len(waits)  # jitter


def test_calls_that_were_under_way_do_not_prolong_it() -> None:
    row()
    opened()
    for second in range(8):
        assert unanswered("crm", T + timedelta(seconds=second), "timeout")
    assert enter("crm", T + timedelta(seconds=7 + 16.5)).probe


def test_a_prober_that_died_blocks_nobody_for_long() -> None:
    row()
    opened()
    assert enter("crm", T + timedelta(minutes=1)).probe
    assert enter("crm", T + timedelta(minutes=1, seconds=59)) == SHUT
    assert enter("crm", T + timedelta(minutes=2)).probe


def test_wrong_credentials_open_it_at_once() -> None:
    row()
    misconfigured("crm", T, "http-401")
    assert enter("crm", T + timedelta(seconds=13)) == SHUT
    assert enter("crm", T + timedelta(seconds=17)).probe
    misconfigured("crm", T + timedelta(seconds=17), "http-401")
    assert enter("crm", T + timedelta(seconds=17 + 50)) == SHUT


def test_an_answer_closes_it_and_what_had_failed_is_due() -> None:
    later = timedelta(hours=10)
    failed = [row(due=later, failed=outcome) for outcome in lanes.PLATFORMS_FAULT]
    others = [
        row(due=later, failed=Outcome.REFUSED),
        row(due=later),
        row(due=later, failed=Outcome.RETRY, backend="x"),
    ]
    opened()
    at = T + timedelta(minutes=1)
    assert enter("crm", at).probe
    assert answered("crm", at)
    assert not answered("crm", at)
    assert [due(one) for one in failed] == [at] * 3
    assert [due(one) for one in others] == [T + later] * 3
    assert enter("crm", at) == Gate(open=True)
    assert (lane().failures, lane().open_since, lane().code, lane().done_at) == (0, None, "", at)


def test_many_are_made_due_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lanes, "AT_ONCE", 2)
    failed = [row(due=timedelta(hours=hour), failed=Outcome.RETRY) for hour in range(1, 6)]
    opened()
    assert answered("crm", T)
    assert [due(one) for one in failed] == [T] * 5
    assert "5 deliveries made due" in caplog.text


def test_where_nothing_is_due_the_probe_is_what_failed_opt_outs_first() -> None:
    opened()
    assert enter("crm", T + timedelta(hours=1)) == SHUT  # nothing to call for
    yes = row(due=timedelta(hours=2), failed=Outcome.RETRY)
    no = row(due=timedelta(hours=9), failed=Outcome.RETRY, restricts=True)
    pause_ends = row(due=timedelta(hours=9))
    at = T + timedelta(hours=1)
    assert enter("crm", at).probe
    assert [due(one) for one in (no, yes, pause_ends)] == [
        at,
        T + timedelta(hours=2),
        T + timedelta(hours=9),
    ]


def test_a_probe_without_a_call_is_given_back() -> None:
    row()
    opened()
    at = T + timedelta(minutes=1)
    assert enter("crm", at).probe
    lanes.unused("crm", at)
    assert enter("crm", at + timedelta(seconds=14)) == SHUT
    assert enter("crm", at + timedelta(seconds=15)).probe


def test_a_probe_that_is_told_to_slow_down_leaves_it_open() -> None:
    row()
    now = datetime.now(UTC)
    opened(now)
    pause("crm", now + timedelta(hours=2), "http-429")
    assert lane().open_since == now
    assert enter("crm", now + timedelta(hours=1, minutes=59)) == SHUT
    assert enter("crm", now + timedelta(hours=2)).probe


def test_after_five_days_it_is_given_up_but_for_opt_outs_once_a_day() -> None:
    yes = row(due=timedelta(days=2), failed=Outcome.RETRY)
    opened()
    at = T + timedelta(days=5)
    assert enter("crm", at).probe
    unanswered("crm", at, "timeout")
    assert lane().disabled_at == at
    assert enter("crm", at + timedelta(days=30)) == SHUT  # no opt-out
    no = row(failed=Outcome.RETRY, restricts=True)
    assert enter("crm", at + timedelta(hours=21)) == SHUT
    at += timedelta(hours=27)
    assert enter("crm", at) == Gate(open=True, probe=True, opt_outs_only=True)
    unanswered("crm", at, "timeout")
    assert enter("crm", at + timedelta(hours=21)) == SHUT
    at += timedelta(hours=27)
    Delivery.objects.filter(pk=no.pk).update(due_at=at + timedelta(days=1))
    before = due(yes)
    assert enter("crm", at).probe
    assert answered("crm", at)
    assert due(no) == at
    assert due(yes) == before
    assert enter("crm", at) == Gate(open=True, opt_outs_only=True)  # all of them now, and nothing else
    assert lane().disabled_at is not None
    lanes.reopen(["crm"])
    row()
    assert enter("crm", at) == Gate(open=True)


def test_a_row_of_failures_is_seldom_written_down_as_a_success(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    answered("crm", T)
    with django_assert_num_queries(1):
        answered("crm", T + timedelta(seconds=14))
    answered("crm", T + timedelta(seconds=15))
    assert lane().done_at == T + timedelta(seconds=15)


# --- rate limit -------------------------------------------------------------------------------------------------------


def test_calls_stand_in_line_at_even_distances() -> None:
    waits = [slot("crm", Rate(4, 1.0), T) for _ in range(11)]
    assert waits[:9] == pytest.approx([0.25 * number for number in range(9)], abs=0.001)
    # Who would wait for longer takes no place.
    assert waits[9] > lanes.LONGEST_WAIT
    assert waits[10] > lanes.LONGEST_WAIT
    assert enter("crm", T) == SHUT
    assert enter("crm", T + timedelta(seconds=1)).open
    assert slot("crm", Rate(4, 1.0), T + timedelta(seconds=1)) == pytest.approx(1.25, abs=0.001)


def test_after_a_rest_the_line_begins_anew() -> None:
    slot("crm", Rate(1, 10.0), T)
    assert slot("crm", Rate(1, 10.0), T + timedelta(seconds=60)) == 0.0


def test_a_clock_that_was_wrong_holds_nobody_up() -> None:
    enter("crm", T)
    slot("crm", Rate(10, 1.0), T + timedelta(days=365))
    assert enter("crm", T).open
    assert slot("crm", Rate(10, 1.0), T) == 0.0


def test_a_pause_by_a_clock_that_was_wrong_holds_nobody_up() -> None:
    enter("crm", T)
    Lane.objects.update(paused_until=T + timedelta(days=365), code="http-429")
    assert enter("crm", T).open
    pause("crm", T + timedelta(minutes=1), "http-429")
    assert enter("crm", T) == SHUT
    assert enter("crm", T + timedelta(minutes=2)).open


def test_an_outage_by_a_clock_that_was_wrong_is_probed() -> None:
    row(restricts=True)
    opened()
    Lane.objects.update(paused_until=T + timedelta(days=365))
    gate = enter("crm", T + timedelta(seconds=20))
    assert (gate.open, gate.probe) == (True, True)


@pytest.mark.property
@examples(30)
@given(
    calls=st.integers(1, 40),
    seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0]),
    steps=st.lists(st.integers(0, 700), min_size=1, max_size=25),
)
def test_never_more_than_the_rate(calls: int, seconds: float, steps: list[int]) -> None:
    Lane.objects.all().delete()
    now, made = T, []
    for step in steps:
        now += timedelta(milliseconds=step)
        wait = slot("crm", Rate(calls, seconds), now)
        if wait <= lanes.LONGEST_WAIT:
            made.append(now + timedelta(seconds=wait))
    assert made == sorted(made)
    for number, at in enumerate(made):
        window = [other for other in made[: number + 1] if at - other < timedelta(seconds=seconds - 0.002)]
        assert len(window) <= calls


def test_what_nobody_took_a_moment_ago_is_caught_up_with_and_no_more() -> None:
    """Two workers that both plan for a moment lose no places for it; after a long pause there are no more than those."""
    start, rate = datetime(2026, 11, 22, 12, tzinfo=UTC), Rate(10, 1.0, burst=2)
    assert [round(lanes.slot("crm", rate, start), 3) for _ in range(3)] == [0.0, 0.1, 0.2]
    later = start + timedelta(seconds=60)
    assert [round(lanes.slot("crm", rate, later), 3) for _ in range(5)] == [0.0, 0.0, 0.0, 0.1, 0.2]
    plain = Rate(10, 1.0)
    much_later = later + timedelta(seconds=60)
    assert [round(lanes.slot("crm", plain, much_later), 3) for _ in range(3)] == [0.0, 0.1, 0.2]
