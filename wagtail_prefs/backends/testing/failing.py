"""Whatever goes wrong on the way: nothing is lost, nothing done twice, nothing old wins, nothing leaks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.utils import timezone

from ...changes import OptOut, SetAttribute, SetChoice
from ...values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    Capabilities,
    ChangeBatch,
    ContactState,
    Effect,
    Identifiers,
    Key,
    Operation,
    Outcome,
    Support,
    Target,
)
from .driver import Asked, Driver, yes
from .harness import Harness
from .suite import Suite

SOON = timedelta(hours=1)
#: How many contacts the engine is given at most in the test of a huge batch, and how many one call is tried with.
MANY, FULL = 20, 1000


class Failing(Suite):
    # --- the platform is away ----------------------------------------------------------------------------------------

    def test_away_and_back(self, crm: Driver, harness: Harness, news: Key) -> None:
        """While the platform is down all stays due; when it is back, all arrives, as it is then."""
        person = crm.person(yes(news))
        harness.faults.away()
        crm.deliver()
        assert _outcomes(crm.asked) == {Outcome.RETRY}
        assert not crm.is_delivered(person)
        crm.save(person, OptOut())
        crm.pass_time(SOON)
        crm.deliver()
        harness.faults.heal()
        crm.save(person, yes(news))
        crm.pass_time(SOON)
        crm.deliver()
        assert crm.subscribed(person) == {news}
        assert crm.is_delivered(person)

    def test_a_platform_that_asks_for_time_gets_it(self, crm: Driver, harness: Harness, news: Key) -> None:
        """429 with Retry-After: it is told nothing until then, and everything afterwards."""
        person = crm.person(yes(news))
        harness.faults.slow_down(900)
        crm.deliver()
        results = [result for asked in crm.asked for result in asked.results]
        assert {(result.outcome, result.retry_after) for result in results} == {(Outcome.RATE_LIMITED, 900)}
        calls = len(harness.faults.calls)
        harness.faults.heal()
        crm.deliver()
        crm.pass_time(timedelta(seconds=600))
        crm.deliver()
        assert len(harness.faults.calls) == calls
        assert not crm.is_delivered(person)
        crm.pass_time(timedelta(seconds=600))
        crm.deliver()
        assert crm.subscribed(person) == {news}
        assert crm.is_delivered(person)

    def test_a_broken_connection_is_tried_again(self, crm: Driver, harness: Harness, news: Key) -> None:
        """No answer at all is no success: the same operations go out again under the same keys."""
        person = crm.person(yes(news))
        harness.faults.drop()
        crm.deliver()
        assert not crm.is_delivered(person)
        crm.pass_time(SOON)
        crm.deliver()
        assert crm.subscribed(person) == {news}
        assert crm.is_delivered(person)
        assert crm.asked[0].keys <= set().union(*(asked.keys for asked in crm.asked[1:]))

    def test_a_crash_between_sending_and_recording_does_no_harm(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key, offers: Key
    ) -> None:
        """The platform has done it and the worker does not know: the repeat has the same keys and changes nothing."""
        person = crm.person(yes(news), yes(offers))
        if can.attributes is not Support.NONE:
            crm.save(person, *(SetAttribute(name, values[0]) for name, values in harness.attributes.items()))
        harness.faults.lose()
        crm.deliver()
        assert "lost" in {call.fault for call in harness.faults.calls}
        assert not crm.is_delivered(person)
        crm.pass_time(SOON)
        crm.deliver()
        assert crm.is_delivered(person)
        once = crm.seen(person)
        assert once is not None
        assert once.subscribed == {news, offers}
        assert harness.people() == 1
        assert crm.asked[0].keys <= set().union(*(asked.keys for asked in crm.asked[1:]))
        # And once more, word for word.
        for asked in crm.asked[1:]:
            assert {result.outcome for result in crm.backend.execute(asked.operations)} <= _FINE
        assert crm.seen(person) == once
        assert harness.people() == 1

    def test_an_answer_that_makes_no_sense_is_none(self, crm: Driver, harness: Harness, news: Key) -> None:
        """200 and a page of somebody else's: no success, no exception, one result per operation; all arrives later."""
        if not harness.faults.has_answers:
            pytest.skip("in process: there are no answers to spoil")
        person = crm.person(yes(news))
        harness.faults.garble(None, done=harness.trusts_status)
        crm.deliver()
        harness.faults.heal()
        assert harness.faults.calls
        assert [asked.error for asked in crm.asked] == [None] * len(crm.asked)
        assert all(_complete(asked) for asked in crm.asked)
        assert "went wrong" not in repr([asked.results for asked in crm.asked])
        assert crm.is_delivered(person) == harness.trusts_status
        crm.pass_time(SOON)
        crm.deliver()
        assert crm.subscribed(person) == {news}
        assert crm.is_delivered(person)

    def test_wrong_credentials_are_told_apart(self, crm: Driver, harness: Harness, news: Key) -> None:
        """`check` finds them, deliveries wait for a person to mend them, and then arrive; right ones are no problem."""
        assert [problem for problem in crm.backend.check() if problem.level == "error"] == []
        wrong = harness.wrong_entry()
        if wrong is None:
            pytest.skip("the harness has no wrong credentials")
        crm.use(wrong)
        problems = crm.backend.check()
        assert [problem.level for problem in problems] == ["error"]
        assert not _found(harness.secrets(), [problem.text for problem in problems])
        person = crm.person(yes(news))
        crm.deliver()
        assert _outcomes(crm.asked) == {Outcome.MISCONFIGURED}
        assert not crm.is_delivered(person)
        crm.use(harness.entry())
        crm.pass_time(timedelta(days=1))
        crm.deliver()
        assert crm.subscribed(person) == {news}
        assert crm.is_delivered(person)

    def test_it_does_not_try_again_by_itself(
        self, crm: Driver, harness: Harness, news: Key, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`execute` says it once and waits for nobody: when to try again is the engine's."""
        slept: list[float] = []
        here, sleep = threading.get_ident(), time.sleep

        def noted(seconds: float) -> None:
            if threading.get_ident() != here:
                sleep(seconds)
            else:
                slept.append(seconds)

        operations = _first(crm, news)
        monkeypatch.setattr(time, "sleep", noted)
        waits: Callable[[], None] = partial(harness.faults.slow_down, 30)
        for fault in (harness.faults.away, waits):
            fault()
            before = len(harness.faults.calls)
            crm.backend.execute(operations)
            assert len(harness.faults.calls) == before + 1
        assert slept == []

    # --- one person --------------------------------------------------------------------------------------------------

    def test_one_who_is_refused_holds_up_nobody(self, crm: Driver, harness: Harness, news: Key) -> None:
        """The platform refuses one of three: the others arrive, and it is known of whom and that it was for good."""
        people = [crm.person(yes(news), email=f"reader-{number}@mail.example.org") for number in range(3)]
        harness.refuse("reader-1@mail.example.org")
        crm.deliver()
        assert [crm.is_delivered(person) for person in people] == [True, False, True]
        assert [crm.subscribed(person) for person in people] == [{news}, frozenset(), {news}]
        assert crm.row(people[1]).last_outcome == Outcome.REFUSED
        harness.accept()
        crm.save(people[1], SetChoice(*news, UNSUBSCRIBED))
        crm.save(people[1], yes(news))
        crm.deliver()
        assert crm.subscribed(people[1]) == {news}
        assert crm.is_delivered(people[1])

    # --- order -------------------------------------------------------------------------------------------------------

    def test_a_change_of_mind_during_a_call_wins(self, crm: Driver, news: Key) -> None:
        """She leaves while her yes is on its way: in the end the platform knows the no."""
        person = crm.person(yes(news))
        crm.during = partial(crm.save, person, SetChoice(*news, UNSUBSCRIBED))
        crm.deliver()
        crm.deliver()
        assert len(crm.asked) > 1
        assert crm.subscribed(person) == frozenset()
        assert crm.is_delivered(person)

    def test_what_is_older_does_not_win(self, crm: Driver, can: Capabilities, news: Key) -> None:
        """A call that was held up, and comes after a newer one, changes nothing: the platform refuses older versions."""
        if not can.ordering:
            pytest.skip("capabilities.ordering is False: the engine alone keeps the order")
        person = crm.person(yes(news))
        crm.deliver()
        held_up = [asked.operations for asked in crm.asked]
        crm.save(person, OptOut())
        crm.deliver()
        newest = crm.seen(person)
        for operations in held_up:
            crm.backend.execute([_again(operation) for operation in operations])
        assert crm.seen(person) == newest
        assert crm.subscribed(person) == frozenset()

    # --- many --------------------------------------------------------------------------------------------------------

    def test_many_at_once(self, crm: Driver, can: Capabilities, harness: Harness, news: Key) -> None:
        """Three batches and one more: all arrive, nobody twice in a call, no call larger than declared, a key each."""
        size = min(can.batch_size, MANY)
        crm.backend.capabilities = replace(can, batch_size=size)
        people = [
            crm.person(yes(news), email=f"reader-{number}@mail.example.org") for number in range(3 * size + 1)
        ]
        crm.deliver()
        keys: set[str] = set()
        for asked in crm.asked:
            assert len(asked.operations) <= size
            assert len({operation.contact for operation in asked.operations}) == len(asked.operations)
            assert len({operation.kind for operation in asked.operations}) == 1
            assert not asked.keys & keys
            keys |= asked.keys
        assert all(crm.is_delivered(person) for person in people)
        assert all(crm.subscribed(person) == {news} for person in people)
        assert harness.people() == len(people)

    def test_a_call_is_as_large_as_declared(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key
    ) -> None:
        """As many as `batch_size` says go into one call, with every attribute, and all of them are done. What is looked up
        before is looked up for many at once.
        """
        size = max(1, min(can.batch_size, FULL))
        attributes = {name: values[0] for name, values in harness.attributes.items()}
        by_kind: dict[str, list[Operation]] = {}
        paths = [f"choice:{news[0]}:{news[1]}", *(f"attribute:{name}" for name in attributes)]
        actor = Actor(ActorType.SUBJECT_SESSION)
        given = Effect(paths[0], None, SUBSCRIBED, "given", *news)
        said = ChangeBatch(uuid4(), 1, timezone.now(), actor, (), (given,))
        for number in range(size):
            state = ContactState(
                uuid4(),
                "brand",
                version=1,
                choices={news: SUBSCRIBED},
                attributes=attributes,
                versions=dict.fromkeys(paths, 1),
            )
            target = Target(state, Identifiers(email=f"reader-{number}@mail.example.org"))
            for operation in crm.backend.plan(target, [said]):
                by_kind.setdefault(operation.kind, []).append(operation)
        assert by_kind
        before, calls = len(harness.faults.calls), 0
        for kind, operations in by_kind.items():
            most = min(crm.backend.most(kind), size)
            for start in range(0, len(operations), most):
                batch = operations[start : start + most]
                results = crm.backend.execute(batch)
                assert sorted(result.key for result in results) == sorted(each.key for each in batch)
                assert {result.outcome for result in results} <= _FINE
                calls += 1
        assert harness.people() == size
        made = harness.faults.calls[before:]
        looked = sum(call.method == "GET" for call in made)
        assert len(made) - looked == calls
        assert looked <= max(calls, size // 50)
        for number in {0, size // 2, size - 1}:
            assert crm.subscribed(f"reader-{number}@mail.example.org") == {news}

    # --- silence -----------------------------------------------------------------------------------------------------

    def test_nothing_personal_and_no_secret_comes_out(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Logs, codes, errors and keys hold no address, no attribute and no secret, whatever goes wrong."""
        address = "never.told@mail.example.org"
        caplog.set_level(logging.DEBUG)
        person = crm.person(yes(news), email=address)
        if can.attributes is not Support.NONE:
            name, values = next(
                (name, values) for name, values in harness.attributes.items() if isinstance(values[0], str)
            )
            crm.save(person, SetAttribute(name, values[0]))
            private = [address, "never.told", str(values[0])]
        else:
            private = [address, "never.told"]
        faults = harness.faults
        slow: Callable[[], None] = partial(faults.slow_down, 5)
        for fault in (faults.away, faults.drop, faults.lose, faults.garble, slow):
            fault()
            crm.deliver()
            faults.heal()
            crm.save(person, SetChoice(*news, UNSUBSCRIBED))
            crm.save(person, yes(news))
            crm.pass_time(SOON)
        harness.refuse(address)
        crm.deliver()
        harness.accept()
        # What was refused waits for her next wish.
        crm.save(person, SetChoice(*news, UNSUBSCRIBED))
        crm.save(person, yes(news))
        crm.pass_time(timedelta(days=1))
        crm.deliver()
        assert crm.subscribed(person) == {news}
        row = crm.row(person)
        told = [
            *(_formatted(record) for record in caplog.records),
            *(result.code for asked in crm.asked for result in asked.results),
            *(key for asked in crm.asked for key in asked.keys),
            *(f"{asked.error!r}" for asked in crm.asked if asked.error),
            *(operation.kind for asked in crm.asked for operation in asked.operations),
            row.last_code,
            repr(row.parked),
            repr(row.log),
        ]
        assert not _found([*private, *harness.secrets()], told)
        assert all(len(result.code) <= 128 for asked in crm.asked for result in asked.results)


_FINE = {Outcome.DONE, Outcome.ACCEPTED_UNKNOWN, Outcome.NEEDS_CONFIRMATION}


def _outcomes(asked: Iterable[Asked]) -> set[Outcome]:
    return {result.outcome for each in asked for result in each.results}


def _complete(asked: Asked) -> bool:
    """Whether there is one result for each operation."""
    return sorted(result.key for result in asked.results) == sorted(each.key for each in asked.operations)


def _first(crm: Driver, news: Key) -> list[Operation]:
    """The first operation about somebody new."""
    person = crm.person(yes(news))
    operations = crm.backend.plan(crm.target(person), crm.since(person))
    assert operations
    return operations[:1]


def _again(operation: Operation) -> Operation:
    """The same, under a key that nobody has seen: so that it is its age that counts."""
    return replace(operation, key=f"{operation.key}-late")


def _found(secrets: Iterable[str], told: Iterable[str]) -> list[int]:
    """The numbers of the texts that hold a secret: numbers, so that a failing test does not tell it either."""
    return [
        number
        for number, text in enumerate(told)
        if any(secret.casefold() in text.casefold() for secret in secrets)
    ]


_FORMATTER = logging.Formatter("%(name)s %(levelname)s %(message)s")


def _formatted(record: logging.LogRecord) -> str:
    """A line with the traceback that comes with it."""
    return _FORMATTER.format(record)
