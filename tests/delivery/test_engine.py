"""Rounds of delivery, with a CRM that can be told to fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import BACK, JOIN, JOIN_OFFERS, LEAVE, OUT, WEEKLY, person, row, save
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery import drain, lanes, rows
from wagtail_prefs.delivery.engine import OWN_FAULT, deliver
from wagtail_prefs.delivery.lanes import FAILURES
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import Round, run_once
from wagtail_prefs.values import Operation, Outcome, Result

pytestmark = pytest.mark.django_db


def test_what_was_saved_arrives(crm: Crm) -> None:
    contact = person("anna", JOIN, WEEKLY)
    assert run_once() == Round(done=1, failed=0, waiting=0)
    there = crm.contacts[str(contact)]
    assert there["version"] == 2
    assert there["choices"] == {"news": {"email": "subscribed"}}
    assert there["frequencies"] == {"all": "weekly"}
    delivered = row(contact)
    assert (delivered.delivered, delivered.due_at, delivered.lease, delivered.attempts) == (2, None, None, 0)
    assert (delivered.last_outcome, delivered.last_code, delivered.remote_id) == (
        "done",
        "",
        f"remote-{contact}",
    )
    assert delivered.delivered_at is not None


def test_with_nothing_due_nothing_is_said(crm: Crm) -> None:
    person("anna", JOIN)
    run_once()
    assert run_once() == Round(done=0, failed=0, waiting=0)
    assert len(crm.calls) == 1


def test_several_versions_become_one_call_that_names_all_of_them(crm: Crm) -> None:
    contact = person("anna", JOIN, WEEKLY, OUT)
    run_once()
    ((_, since),) = crm.plans
    assert [batch.version for batch in since] == [1, 2, 3]
    save(contact, BACK)
    run_once()
    _, (target, since) = crm.plans
    assert [batch.version for batch in since] == [4]
    assert target.identifiers.remote == {"crm": f"remote-{contact}"}


def test_opt_outs_go_first(crm: Crm, clock: time_machine.Traveller) -> None:
    names = ["anna", "ben", "carla", "dora", "emil"]
    for name in names:
        person(name, JOIN)
    run_once()
    crm.calls.clear()
    for name, change in zip(names, (WEEKLY, JOIN_OFFERS, LEAVE, WEEKLY, OUT), strict=True):
        clock.shift(1)
        person(name, change)
    run_once()
    sent = [address.split("@")[0] for _, address in crm.sent()]
    assert sent == ["carla", "emil", "anna", "ben", "dora"]


def test_opt_outs_are_taken_first_when_there_is_more_than_one_round_takes(
    crm: Crm, clock: time_machine.Traveller
) -> None:
    for number in range(5):
        clock.shift(1)
        person(f"early{number}", JOIN)
    clock.shift(1)
    person("late", LEAVE)
    deliver("crm", limit=2)
    assert [address for _, address in crm.sent()] == ["late@mail.example.org", "early0@mail.example.org"]


def test_an_opt_in_overtaken_by_an_opt_out_is_never_sent(crm: Crm, clock: time_machine.Traveller) -> None:
    """The opt-in waited through an outage; what is sent then is today's state."""
    contact = person("anna", JOIN)
    crm.script.append(Outcome.RETRY)
    run_once()
    save(contact, OUT)
    clock.shift(timedelta(days=1))
    run_once()
    _, ((operation,)) = crm.calls
    assert operation.payload["opted_out"] is True
    assert operation.payload["choices"] == {"news": {"email": "unsubscribed"}}
    assert operation.restricts


def test_a_wish_that_comes_while_others_are_sent_stops_the_stale_call(configure: Callable[..., None]) -> None:
    """Rows are read again before each call: what moved on in the meantime is not sent as it was planned."""
    configure(crm={"BATCH": 1})
    crm = CRMS.setdefault("crm", Crm())
    anna, ben = person("anna", JOIN), person("ben", JOIN)
    first: list[UUID] = []

    def second_thoughts(operations: Sequence[Operation]) -> None:
        if not first:
            first.append(operations[0].contact)
            save(ben if operations[0].contact == anna else anna, OUT)

    crm.during = second_thoughts
    run_once()
    other = ben if first == [anna] else anna
    told = [
        operation.payload["opted_out"]
        for call in crm.calls
        for operation in call
        if operation.contact == other
    ]
    assert told == [True]
    assert row(other).delivered == 2


def test_a_wish_that_comes_between_two_reads_is_planned_with_its_state(crm: Crm) -> None:
    contact = person("anna", JOIN)
    saved: list[int] = []

    def overtake(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if (
            not saved and 'FROM "wagtail_prefs_record"' in sql
        ):  # the contacts are read by now, the ledger is not
            saved.append(0)
            saved[0] = save(contact, OUT)
        return execute(sql, *rest)

    with connection.execute_wrapper(overtake):
        deliver("crm")
    assert saved == [2]
    ((target, since),) = crm.plans
    assert target.state.version == 1
    assert [batch.version for batch in since] == [1]
    assert crm.calls == []  # it has moved on
    run_once()
    assert [batch.version for batch in crm.plans[1][1]] == [1, 2]


def test_a_wish_that_comes_during_its_own_call_is_delivered_next(crm: Crm) -> None:
    contact = person("anna", JOIN)

    def second_thoughts(_: Sequence[Operation]) -> None:
        crm.during = None
        save(contact, OUT)
        # What the engine may write afterwards must not lose this.
        assert row(contact).wanted == 2

    crm.during = second_thoughts
    deliver("crm")
    after = row(contact)
    assert (after.delivered, after.wanted, after.restricts) == (1, 2, True)
    assert after.due_at is not None
    run_once()
    assert crm.contacts[str(contact)]["opted_out"] is True
    assert row(contact).restricts is False


def test_the_retry_schedule(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    crm.always["state"] = Outcome.RETRY
    waits = []
    for _ in range(10):
        tried = len(crm.calls)
        lanes.reopen(["crm"])  # others are delivered well: the platform is there
        run_once()
        assert len(crm.calls) == tried + 1
        due_at = row(contact).due_at
        assert due_at is not None
        waits.append((due_at - timezone.now()).total_seconds())
        clock.move_to(due_at - timedelta(seconds=0.1))
        run_once()
        assert len(crm.calls) == tried + 1  # not a moment too soon
        clock.move_to(due_at)
    for waited, planned in zip(
        waits, (5, 300, 1800, 7200, 18000, 36000, 36000, 86400, 86400, 86400), strict=True
    ):
        assert 0.9 * planned <= waited <= 1.1 * planned
    failing = row(contact)
    assert (failing.attempts, failing.delivered, failing.last_outcome, failing.last_code) == (
        10,
        0,
        "retry",
        "scripted-retry",
    )
    assert failing.failing_since is not None
    crm.always.clear()
    run_once()
    healed = row(contact)
    assert (healed.attempts, healed.failing_since, healed.delivered, healed.due_at) == (0, None, 1, None)


def test_a_rate_limit_holds_the_whole_lane(crm: Crm, clock: time_machine.Traveller) -> None:
    people = [person(name, JOIN) for name in ("anna", "ben", "carla", "dora")]
    crm.script.append(Result("", Outcome.RATE_LIMITED, "http-429", 120))
    run_once()
    assert len(crm.calls) == 1
    assert {row(contact).attempts for contact in people} == {0}  # nobody's failure
    person("emil", JOIN)
    clock.shift(119)
    assert run_once().waiting == 5
    assert len(crm.calls) == 1
    clock.shift(1)
    assert run_once() == Round(done=5, failed=0, waiting=0)


def test_wrong_credentials_stop_the_backend_and_keep_the_queue(
    crm: Crm, clock: time_machine.Traveller
) -> None:
    for name in ("anna", "ben", "carla"):
        person(name, JOIN)
    crm.always["state"] = Outcome.MISCONFIGURED
    assert run_once() == Round(done=0, failed=2, waiting=3)
    assert len(crm.calls) == 1
    lane = Lane.objects.get(backend="crm")
    assert lane.code == "scripted-misconfigured"
    run_once()
    assert len(crm.calls) == 1
    crm.always.clear()
    assert drain.retry_now(["crm"]) == 2  # the third was due all the time
    assert run_once() == Round(done=3, failed=0, waiting=0)


def test_a_platform_that_is_away_is_left_after_a_few_calls(configure: Callable[..., None]) -> None:
    configure(crm={"BATCH": 1})
    crm = CRMS.setdefault("crm", Crm())
    for number in range(10):
        person(f"p{number}", JOIN)
    crm.always["state"] = Outcome.RETRY
    tally = deliver("crm")
    assert (tally.claimed, tally.failed) == (10, FAILURES)
    assert len(crm.calls) == FAILURES
    # The others are free at once, and did not fail.
    assert (
        Delivery.objects.filter(lease=None, attempts=0, due_at__lte=timezone.now()).count() == 10 - FAILURES
    )


def test_a_refused_wish_is_parked_and_comes_along_with_the_next(crm: Crm) -> None:
    contact = person("anna", JOIN)
    crm.script.append(Outcome.REFUSED)
    assert run_once() == Round(done=0, failed=1, waiting=0)
    parked = row(contact)
    assert (parked.due_at, parked.delivered, parked.last_code) == (None, 0, "scripted-refused")
    (entry,) = parked.parked
    assert (entry["kind"], entry["version"], entry["code"], entry["restricts"]) == (
        "state",
        1,
        "scripted-refused",
        False,
    )
    assert "anna" not in repr(entry)
    save(contact, WEEKLY)
    run_once()
    *_, (_, since) = crm.plans
    assert [batch.version for batch in since] == [1, 2]
    assert row(contact).parked == []


def test_a_refused_opt_out_is_never_given_up(
    crm: Crm, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    contact = person("anna", LEAVE)
    crm.always["state"] = Outcome.REFUSED
    for _ in range(12):
        run_once()
        waiting = row(contact)
        assert waiting.due_at is not None
        assert waiting.due_at - timezone.now() <= timedelta(days=1.1)
        assert waiting.restricts
        clock.move_to(waiting.due_at)
    assert len(crm.calls) == 12
    assert waiting.parked[0]["restricts"] is True
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 12


def test_a_refused_attribute_does_not_hold_back_an_opt_out(configure: Callable[..., None]) -> None:
    configure(crm={"SPLIT": True})
    crm = CRMS.setdefault("crm", Crm())
    contact = person("anna", LEAVE)
    crm.always["state"] = Outcome.REFUSED
    run_once()
    assert crm.contacts[str(contact)]["choices"] == {"news": {"email": "unsubscribed"}}
    parked = row(contact)
    assert [entry["kind"] for entry in parked.parked] == ["state"]
    assert parked.due_at is None


def test_a_failed_opt_out_holds_back_the_rest(
    configure: Callable[..., None], clock: time_machine.Traveller
) -> None:
    configure(crm={"SPLIT": True})
    crm = CRMS.setdefault("crm", Crm())
    contact = person("anna", LEAVE, JOIN_OFFERS)
    crm.script.append(Outcome.RETRY)
    run_once()
    assert [kind for kind, _ in crm.sent()] == ["unsubscribe"]
    clock.shift(10)
    run_once()
    assert [kind for kind, _ in crm.sent()] == ["unsubscribe", "unsubscribe", "state"]
    assert row(contact).delivered == 2


def test_calls_hold_one_kind_and_no_more_than_a_batch(configure: Callable[..., None]) -> None:
    configure(crm={"SPLIT": True, "BATCH": 3})
    crm = CRMS.setdefault("crm", Crm())
    for number in range(4):
        person(f"out{number}", LEAVE)
        person(f"in{number}", JOIN)
    run_once()
    calls = [[operation.kind for operation in call] for call in crm.calls]
    assert calls[:2] == [["unsubscribe"] * 3, ["unsubscribe"]]
    assert all(len(set(kinds)) == 1 and len(kinds) <= 3 for kinds in calls)
    assert all(len({operation.contact for operation in call}) == len(call) for call in crm.calls)
    assert sum(map(len, calls)) == 4 + 8


@pytest.mark.parametrize("outcome", [Outcome.NEEDS_CONFIRMATION, Outcome.ACCEPTED_UNKNOWN])
def test_other_ways_of_saying_yes(crm: Crm, outcome: Outcome) -> None:
    contact = person("anna", JOIN)
    crm.script.append(outcome)
    run_once()
    assert (row(contact).delivered, row(contact).last_outcome) == (1, outcome.value)


def test_a_backend_that_crashes_is_an_outage(crm: Crm, caplog: pytest.LogCaptureFixture) -> None:
    contact = person("anna", JOIN)
    crm.script.append(RuntimeError("anna@mail.example.org whsec_secret"))
    assert run_once().failed == 1
    assert row(contact).last_code == "crash-RuntimeError"
    assert "anna@" not in caplog.text
    assert "whsec_" not in caplog.text


def test_a_plan_that_fails_harms_its_contact_only(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    crm.plan_error = KeyError("anna@mail.example.org")
    assert run_once().failed == 1
    assert (row(contact).last_code, row(contact).lease) == ("plan-KeyError", None)
    crm.plan_error = None
    clock.shift(10)
    assert run_once().done == 1


def test_an_answer_that_is_missing_is_no_success(crm: Crm) -> None:
    person("anna", JOIN)
    crm.answer = lambda operations: []  # type: ignore[method-assign]
    assert run_once().failed == 1
    assert Delivery.objects.get().last_code == "no-answer"


def test_a_backend_that_cannot_be_used_harms_no_other(
    configure: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    configure(broken={"BATCH": "sesame"}, crm={})
    contact = person("anna", JOIN)
    assert run_once() == Round(done=1, failed=0, waiting=1)
    assert row(contact, "crm").delivered == 1
    assert row(contact, "broken").delivered == 0
    assert Lane.objects.get(backend="broken").code == "unusable-ImproperlyConfigured"
    assert "sesame" not in caplog.text


def test_one_failing_backend_does_not_stop_another(configure: Callable[..., None]) -> None:
    configure(away={}, crm={})
    CRMS.setdefault("away", Crm()).always["state"] = Outcome.RETRY
    contacts = [person(f"p{number}", JOIN) for number in range(3)]
    run_once()
    assert [row(contact, "crm").delivered for contact in contacts] == [1, 1, 1]
    assert [row(contact, "away").delivered for contact in contacts] == [0, 0, 0]


def test_a_contact_that_is_gone_leaves_nothing_to_do(crm: Crm) -> None:
    contact = person("anna", JOIN)
    Contact.objects.filter(pk=contact).delete()
    assert run_once() == Round(done=1, failed=0, waiting=0)
    assert crm.calls == []
    assert row(contact).last_code == "unknown-contact"


def test_a_worker_that_is_stopped_gives_back_what_it_did_not_send(configure: Callable[..., None]) -> None:
    configure(crm={"BATCH": 1})
    crm = CRMS.setdefault("crm", Crm())
    for number in range(4):
        person(f"p{number}", JOIN)
    tally = deliver("crm", stopping=lambda: len(crm.calls) >= 2)
    assert (tally.claimed, tally.done) == (4, 2)
    assert Delivery.objects.filter(lease=None, due_at__isnull=False).count() == 2
    assert run_once().done == 2


def test_rows_that_a_dead_worker_held_come_back_when_its_lease_ends(
    crm: Crm, clock: time_machine.Traveller
) -> None:
    contact = person("anna", JOIN)
    now = timezone.now()
    (claimed,) = rows.claim("crm", uuid4(), now=now, until=now + timedelta(seconds=60), limit=10)
    assert claimed.contact == contact
    clock.shift(59)
    assert run_once().done == 0
    clock.shift(1)
    assert run_once().done == 1


def test_a_worker_whose_lease_ended_sends_nothing_more(
    configure: Callable[..., None], clock: time_machine.Traveller
) -> None:
    """The first call outlived the lease, and another worker took the second row meanwhile."""
    configure(crm={"BATCH": 1})
    crm = CRMS.setdefault("crm", Crm())
    for name in ("anna", "ben"):
        person(name, JOIN)
    theft: list[Delivery] = []

    def slow(operations: Sequence[Operation]) -> None:
        crm.during = None
        clock.shift(61)
        now = timezone.now()
        theft.extend(rows.claim("crm", uuid4(), now=now, until=now + timedelta(seconds=60), limit=10))

    crm.during = slow
    deliver("crm")
    assert len(crm.calls) == 1
    assert len(theft) == 2


def test_what_was_sent_under_a_lost_lease_is_delivered_again(crm: Crm, clock: time_machine.Traveller) -> None:
    """Our slow opt-in may have reached the platform after the opt-out of the worker that took over."""
    contact = person("anna", JOIN)

    def overtaken(_: Sequence[Operation]) -> None:
        crm.during = None
        clock.shift(61)
        save(contact, OUT)
        assert drain.drain("crm").done == 1
        assert crm.contacts[str(contact)]["opted_out"] is True

    crm.during = overtaken
    deliver("crm")
    assert crm.contacts[str(contact)]["opted_out"] is False  # the platform believes what it heard last
    again = row(contact)
    assert (again.delivered, again.due_at, again.lease) == (0, timezone.now(), None)
    run_once()
    assert crm.contacts[str(contact)]["opted_out"] is True
    assert row(contact).delivered == 2
    keys = [operation.key for call in crm.calls for operation in call]
    assert len(keys) == len(set(keys)) == 3  # one that drops repeats takes it, too


def test_a_long_round_keeps_its_lease(configure: Callable[..., None], clock: time_machine.Traveller) -> None:
    configure(crm={"BATCH": 1})
    crm = CRMS.setdefault("crm", Crm())
    for number in range(6):
        person(f"p{number}", JOIN)
    crm.during = lambda _: clock.shift(25) and None
    assert deliver("crm").done == 6


def test_the_cost_of_a_round_does_not_grow_with_its_rows(configure: Callable[..., None]) -> None:
    configure(crm={"BATCH": 100})
    for number in range(41):
        person(f"p{number}", JOIN)
    counts = []
    for size in (1, 40):
        with CaptureQueriesContext(connection) as queries:
            assert deliver("crm", limit=size).done == size
        counts.append(len(queries))
    # lane, claim, targets, batches (this plan looks at them), rows again, answered, settle, counts; once in a
    # while the heartbeat, and that it answered
    assert counts == [10, 8]


def test_an_idle_look_costs_one_statement(crm: Crm) -> None:
    deliver("crm")
    with CaptureQueriesContext(connection) as queries:
        deliver("crm")
    assert len(queries) == 1


def test_some_who_always_fail_do_not_make_a_platform_be_away(configure: Callable[..., None]) -> None:
    """Opt-outs on which a platform chokes go first; those behind them must not wait for the breaker each time."""
    configure(crm={"BATCH": 1})
    crm = CRMS.setdefault("crm", Crm())
    culprits = {person(f"c{number}", OUT) for number in range(FAILURES + 1)}
    crm.during = lambda batch: crm.script.extend([Outcome.RETRY] if batch[0].contact in culprits else [])
    while Delivery.objects.filter(attempts__lt=OWN_FAULT).exists():
        drain.retry_now(["crm"])
        deliver("crm")
    for number in range(10):
        person(f"p{number}", JOIN)
    drain.retry_now(["crm"])
    tally = deliver("crm")
    assert (tally.claimed, tally.done) == (10 + len(culprits), 10)


def test_whoever_shares_calls_with_one_on_whom_a_platform_chokes_gets_through(
    configure: Callable[..., None], clock: time_machine.Traveller
) -> None:
    """It says 500 to the whole of a call, and not who it was."""
    configure(crm={"BATCH": 16})
    crm = CRMS.setdefault("crm", Crm())
    people = [person(f"p{number}", OUT) for number in range(16)]
    crm.during = lambda batch: crm.script.extend(
        [Outcome.RETRY] if people[5] in {operation.contact for operation in batch} else []
    )
    for _ in range(5):
        run_once()
        clock.shift(timedelta(hours=3))
    assert set(Delivery.objects.filter(delivered=0).values_list("contact", flat=True)) == {people[5]}
