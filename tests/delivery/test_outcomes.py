"""What becomes of a row: refused batches are halved, unknown ends looked up, and no opt-out is ever left lying."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.utils import timezone
from hypothesis import given, strategies as st

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, LEAVE, OUT, WEEKLY, person, row, save
from tests.properties import examples
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.backends.registry import backends
from wagtail_prefs.delivery import lanes
from wagtail_prefs.delivery.engine import deliver
from wagtail_prefs.delivery.jobs import FINE, Job, agrees, sound, verdict
from wagtail_prefs.delivery.models import Delivery, DeliveryCount, Lane
from wagtail_prefs.delivery.rows import Leased
from wagtail_prefs.delivery.services import Round, run_once
from wagtail_prefs.values import (
    Capabilities,
    ContactState,
    Identifiers,
    Operation,
    Outcome,
    PauseStyle,
    Rate,
    ReadBack,
    RemoteState,
    Result,
    Support,
    Target,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def use(configure: Callable[..., Any], **options: Any) -> Crm:
    configure(crm=options)
    return CRMS.setdefault("crm", Crm())


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_batch_that_is_refused_as_a_whole_is_halved_until_the_culprit_is_alone(
    configure: Callable[..., Any],
) -> None:
    crm = use(configure, BATCH=8)
    people = [person(f"p{number}", JOIN) for number in range(8)]
    culprit = people[5]
    crm.splits = {culprit}
    assert run_once() == Round(done=7, failed=1, waiting=0)
    assert [len(call) for call in crm.calls] == [8, 4, 4, 2, 1, 1, 2]
    refused = row(culprit)
    assert (refused.last_outcome, refused.last_code, refused.due_at) == ("refused", "scripted-split", None)
    assert refused.parked[0]["kind"] == "state"


@pytest.mark.django_db
def test_who_is_stopped_while_halving_goes_on_from_there(configure: Callable[..., Any]) -> None:
    """A platform that takes one call a minute must not be asked the same hopeless thing every minute."""
    crm = use(configure, BATCH=8)
    crm.splits = {next(iter([person(f"p{number}", JOIN) for number in range(8)]))}
    sizes: list[int] = []
    for _ in range(12):
        crm.calls.clear()
        deliver("crm", stopping=lambda: bool(crm.calls))
        sizes += [len(call) for call in crm.calls]
    assert sizes[:4] == [8, 4, 2, 1]
    assert not Delivery.objects.filter(due_at__isnull=False).exists()


@pytest.mark.django_db
def test_a_contact_on_whom_a_backend_crashes_is_found(
    configure: Callable[..., Any], clock: time_machine.Traveller
) -> None:
    crm = use(configure, BATCH=4)
    people = [person(f"p{number}", JOIN) for number in range(4)]

    def crash(operations: Any) -> None:
        if people[2] in [operation.contact for operation in operations]:
            raise KeyError("anna@mail.example.org")

    crm.during = crash
    for _ in range(4):
        lanes.reopen(["crm"])
        run_once()
        clock.shift(timedelta(days=1))
    assert [row(contact).delivered for contact in people] == [1, 1, 0, 1]


@pytest.mark.django_db
def test_a_call_holds_no_more_bytes_than_the_platform_takes(configure: Callable[..., Any]) -> None:
    crm = use(configure, BATCH=10, BYTES=1_000)
    for number in range(6):
        person(f"p{number}", JOIN)
    person("long" + "x" * 50, JOIN)
    run_once()
    assert sum(map(len, crm.calls)) == 7
    assert 1 < max(map(len, crm.calls)) < 5


@pytest.mark.django_db
def test_one_that_is_too_large_for_any_call_goes_by_itself(configure: Callable[..., Any]) -> None:
    crm = use(configure, BATCH=10, BYTES=10)
    for number in range(3):
        person(f"p{number}", JOIN)
    assert run_once().done == 3
    assert [len(call) for call in crm.calls] == [1, 1, 1]


# --- taken, and not known whether it is so ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_was_taken_is_looked_up_a_minute_later(
    configure: Callable[..., Any], clock: time_machine.Traveller
) -> None:
    crm = use(configure, READ=True)
    contact = person("anna", JOIN)
    crm.script.append(Outcome.ACCEPTED_UNKNOWN)
    assert run_once() == Round(done=0, failed=0, waiting=1)
    waiting = row(contact)
    assert (waiting.checking, waiting.delivered, waiting.due_at) == (
        True,
        0,
        timezone.now() + timedelta(seconds=60),
    )
    clock.shift(60)
    assert run_once() == Round(done=1, failed=0, waiting=0)
    assert crm.read == [contact]
    assert len(crm.calls) == 1
    done = row(contact)
    assert (done.checking, done.delivered, done.attempts, done.due_at) == (False, 1, 0, None)


@pytest.mark.django_db
def test_what_did_not_become_so_is_said_again(
    configure: Callable[..., Any], clock: time_machine.Traveller
) -> None:
    crm = use(configure, READ=True)
    contact = person("anna", JOIN)
    crm.script.append(Outcome.ACCEPTED_UNKNOWN)
    run_once()
    crm.contacts.clear()  # it lost it
    clock.shift(60)
    assert run_once().failed == 1
    failed = row(contact)
    assert (failed.checking, failed.attempts, failed.last_code) == (False, 1, "differs")
    assert not Lane.objects.get().failures  # the platform is there
    clock.shift(10)
    assert run_once().done == 1
    assert str(contact) in crm.contacts
    keys = [operation.key for call in crm.calls for operation in call]
    assert len(keys) == len(set(keys)) == 2  # one that drops repeats takes it, too


@pytest.mark.django_db
def test_a_new_wish_is_said_and_not_looked_up(
    configure: Callable[..., Any], clock: time_machine.Traveller
) -> None:
    crm = use(configure, READ=True)
    contact = person("anna", JOIN)
    crm.script.append(Outcome.ACCEPTED_UNKNOWN)
    run_once()
    save(contact, OUT)
    assert run_once().done == 1
    assert crm.read == []
    assert crm.contacts[str(contact)]["opted_out"] is True


@pytest.mark.django_db
def test_a_look_that_fails_is_a_look_again(
    configure: Callable[..., Any], clock: time_machine.Traveller
) -> None:
    crm = use(configure, READ=True)
    contact = person("anna", JOIN)
    crm.script.append(Outcome.ACCEPTED_UNKNOWN)
    run_once()
    clock.shift(60)
    crm.reading = PlatformError(Outcome.RETRY, "http-503")
    assert run_once().failed == 1
    failed = row(contact)
    assert (failed.checking, failed.last_code) == (True, "http-503")
    crm.reading = None
    clock.shift(10)
    assert run_once().done == 1
    assert len(crm.calls) == 1


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_newest_five_answers_are_kept(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    crm.script.extend([Outcome.REFUSED, Outcome.DONE])
    run_once()
    for change in (WEEKLY, LEAVE, OUT, JOIN, LEAVE, WEEKLY):
        clock.shift(1)
        save(contact, change)
        run_once()
    log = row(contact).log
    versions = [entry["version"] for entry in log]
    assert len(log) == min(5, len(crm.calls))
    assert versions == sorted(versions, reverse=True)
    assert set(log[0]) == {"at", "version", "outcome", "code", "kinds"}
    assert (log[0]["outcome"], log[0]["kinds"]) == ("done", ["state"])
    assert "anna" not in repr(log)


@pytest.mark.django_db
def test_a_refusal_stands_in_the_log(crm: Crm) -> None:
    contact = person("anna", JOIN)
    crm.script.append(Outcome.REFUSED)
    run_once()
    (entry,) = row(contact).log
    assert (entry["outcome"], entry["code"], entry["version"]) == ("refused", "scripted-refused", 1)


@pytest.mark.django_db
def test_a_round_is_counted(crm: Crm) -> None:
    for name in ("anna", "ben", "carla"):
        person(name, JOIN)
    crm.script.extend([Outcome.DONE, Outcome.REFUSED])
    run_once()
    counted = DeliveryCount.objects.get()
    assert (counted.backend, counted.done, counted.failed) == ("crm", 2, 1)


@pytest.mark.django_db
def test_an_answer_that_no_database_takes_harms_nobody(crm: Crm) -> None:
    contact = person("anna", JOIN)

    def nonsense(operations: Any) -> list[Result]:
        return [
            Result(each.key, Outcome.REFUSED, "nul\0" * 99, float("nan"), remote_id="x" * 999)
            for each in operations
        ]

    crm.answer = nonsense  # type: ignore[method-assign]
    run_once()
    kept = row(contact)
    assert (kept.last_outcome, len(kept.last_code), kept.remote_id) == ("refused", 128, "")


# --- the rules, for whatever is answered ------------------------------------------------------------------------------

OUTCOMES = st.sampled_from(list(Outcome)).filter(lambda outcome: outcome is not Outcome.SPLIT)
CONTACT = UUID(int=1)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    wanted = draw(st.integers(1, 9))
    target = Target(ContactState(CONTACT, "brand", version=wanted), Identifiers())
    leased = Leased(
        1, "crm", CONTACT, wanted,
        delivered=draw(st.integers(0, wanted)),
        restricts=draw(st.booleans()),
        attempts=draw(st.integers(0, 12)),
        failing_since=draw(st.sampled_from([None, NOW])),
        checking=draw(st.booleans()),
        retired=draw(st.sampled_from(["", "k.abc"])),
    )  # fmt: skip
    job = Job(leased, draw(st.sampled_from([target, None])))
    for number in range(draw(st.integers(0, 3))):
        operation = Operation(f"key{number}", CONTACT, wanted, "state", {}, draw(st.booleans()))
        job.operations.append(operation)
        if not job.finished or not job.results:
            wait = draw(st.sampled_from([None, 0.0, 1e9, -5.0, float("inf")]))
            job.results.append((operation, sound(operation, Result("", draw(OUTCOMES), "code", wait))))
    return job


@pytest.mark.property
@examples(400)
@given(jobs(), st.booleans(), st.sampled_from(list(ReadBack)))
def test_whatever_is_answered_nothing_is_taken_for_told_that_was_not(
    job: Job, wakes: bool, read_back: ReadBack
) -> None:
    settled = verdict(job, NOW, Capabilities(wakes=wakes, read_back=read_back))
    outcomes = [answer.outcome for _, answer in job.results]
    # What is delivered moves on with everything said and taken, never beyond what was said, and never back.
    assert job.row.delivered <= settled.delivered <= max(job.sent, job.row.delivered)
    assert settled.done <= all(outcome in FINE for outcome in outcomes)
    if not settled.done:
        assert settled.delivered == job.row.delivered
    # Failed opt-outs, and former addresses that nobody took back, are tried again, within a day and a little.
    failed = [each for each, answer in job.results if answer.outcome not in FINE]
    if any(operation.restricts for operation in failed) or (failed and job.row.retired):
        assert settled.due_at is not None
    if settled.due_at is not None:
        assert settled.due_at <= NOW + timedelta(days=1.1)
    assert (settled.failing_since is None) == (settled.done or (not failed and job.row.failing_since is None))
    assert settled.attempts <= job.row.attempts + 1
    assert settled.retired == job.row.retired


def test_a_rate_limit_is_nobodys_failure() -> None:
    operation = Operation("k", CONTACT, 1, "state", {})
    for wait, seconds in ((None, 60), (7.0, 7)):
        job = Job(Leased(1, "crm", CONTACT, 1, attempts=3), None, [operation])
        job.results = [(operation, Result("k", Outcome.RATE_LIMITED, "http-429", wait))]
        settled = verdict(job, NOW, Capabilities())
        assert (settled.attempts, settled.due_at) == (3, NOW + timedelta(seconds=seconds))


STORES = Capabilities(choice=Support.STORES, opt_out=Support.STORES)


@pytest.mark.parametrize(
    ("said", "opted_out", "paused", "remote", "same"),
    [
        ({"news": "subscribed"}, False, (), RemoteState(choices={("news", "email"): "subscribed"}), True),
        ({"news": "subscribed"}, False, (), RemoteState(), False),
        ({"news": "subscribed"}, False, (), None, False),
        ({"news": "unsubscribed"}, False, (), RemoteState(), True),
        ({"news": "unsubscribed"}, False, (), RemoteState(choices={("news", "email"): "subscribed"}), False),
        ({"news": "unsubscribed"}, True, (), RemoteState(opted_out=False), False),
        ({}, True, (), RemoteState(choices={("other", "email"): "subscribed"}), False),
        ({}, True, (), RemoteState(opted_out=True, choices={("other", "email"): "subscribed"}), True),
        ({}, False, (), RemoteState(choices={("other", "email"): "subscribed"}), True),  # not ours to judge
        ({"hidden": "subscribed"}, False, (), RemoteState(), True),  # not mapped
        ({"news": "subscribed"}, False, (("", ""),), RemoteState(), False),
    ],
)
def test_what_agrees(
    said: dict[str, str], opted_out: bool, paused: Any, remote: RemoteState | None, same: bool
) -> None:
    state = ContactState(
        CONTACT,
        "brand",
        opted_out=opted_out,
        choices={(topic, "email"): value for topic, value in said.items()},
    )
    target = Target(state, Identifiers(), paused=frozenset(paused))
    assert agrees(target, remote, STORES, lambda topic, _: topic != "hidden") is same


def test_who_pauses_by_leaving_is_no_member_meanwhile() -> None:
    leaves = Capabilities(choice=Support.STORES, pause_style=PauseStyle.MEMBERSHIP)
    state = ContactState(CONTACT, "brand", choices={("news", "email"): "subscribed"})
    target = Target(state, Identifiers(), paused=frozenset({("news", "")}))
    there = RemoteState(choices={("news", "email"): "subscribed"})
    assert agrees(target, RemoteState(), leaves, lambda *_: True)
    assert not agrees(target, there, leaves, lambda *_: True)


# --- the rate limit ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_round_waits_for_a_near_place_and_ends_before_a_far_one(
    configure: Callable[..., Any],
) -> None:
    crm = use(configure, BATCH=1)
    for number in range(5):
        person(f"p{number}", JOIN)
    backend: Any = backends["crm"]
    backend.capabilities = Capabilities(batch_size=1, rate=Rate(1, 0.05))
    assert run_once().done == 5
    backend.capabilities = Capabilities(batch_size=1, rate=Rate(1, 3600.0))
    for number in range(5):
        person(f"q{number}", JOIN)
    crm.calls.clear()
    waiting = run_once()
    assert (waiting.done, waiting.failed, len(crm.calls)) == (1, 0, 1)
    assert Delivery.objects.filter(lease=None, due_at__lte=timezone.now(), attempts=0).count() == 4


@pytest.mark.django_db
def test_nobody_is_left_leased(crm: Crm) -> None:
    contact = person(uuid4().hex, JOIN)
    crm.script.append(RuntimeError())
    run_once()
    assert row(contact).lease is None


@pytest.mark.django_db
def test_words_of_a_platform_that_no_database_takes_are_left_out(configure: Callable[..., Any]) -> None:
    # As `json` reads "\ud800": PostgreSQL refuses such a note, SQLite cannot read it any more afterwards.
    crm = use(configure, BATCH=1)
    contact = person("p", JOIN)
    crm.script.append(Result("", Outcome.REFUSED, "bad \ud800 word", remote_id="\udfff"))
    assert run_once() == Round(done=0, failed=1, waiting=0)
    assert row(contact).last_code == "bad  word"
    operation = Operation("key", contact, 1, "state", {}, restricts=False)
    assert sound(operation, Result("key", Outcome.DONE, remote_id="id-\ud800")).remote_id == ""


@pytest.mark.django_db
@pytest.mark.parametrize("odd", ["\ud800", {"a set"}, {1: "one", "two": 2}, b"bytes"])
def test_what_cannot_be_weighed_goes_alone_and_stops_nobody(configure: Callable[..., Any], odd: Any) -> None:
    crm = use(configure, BATCH=8, BYTES=100_000)
    people = [person(f"p{number}", JOIN) for number in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        plan = backends["crm"].plan

        def planned(target: Target, since: Any) -> list[Operation]:
            operations = plan(target, since)
            if target.state.id == people[1]:
                operations[0].payload["odd"] = odd
            return operations

        patch.setattr(backends["crm"], "plan", planned)
        assert run_once().done == 3
    assert all(len(call) == 1 for call in crm.calls if call[0].contact == people[1]) or odd == {
        1: "one",
        "two": 2,
    }
