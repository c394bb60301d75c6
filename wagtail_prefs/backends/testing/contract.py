"""What a backend is, platform or not: pure plans, complete results, honest capabilities."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import RequestFactory

from ...changes import OptOut, Pause, SetAttribute, SetChoice, SetFrequency
from ...values import (
    CHANNELS,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    ContactState,
    Identifiers,
    Inbound,
    Key,
    Operation,
    Outcome,
    PauseStyle,
    ReadBack,
    RemoteState,
    Support,
    Target,
)
from ..base import BadInbound, PlatformError, Unsupported
from ..registry import backends
from .arriving import DAY, crm_choices
from .driver import Driver, yes
from .harness import Harness
from .suite import Suite


class Contract(Suite):
    # --- plan --------------------------------------------------------------------------------------------------------

    def test_a_plan_is_pure(self, crm: Driver, harness: Harness, can: Capabilities) -> None:
        """Planned twice, also by a new instance and with all doors shut, it is the same; its arguments are as before."""
        target, since = _somebody(crm, harness)
        before = copy.deepcopy((target, since))
        with _shut():
            first, second = crm.backend.plan(target, since), crm.backend.plan(target, since)
        assert first
        assert first == second
        assert (target, since) == before
        backends.reset()
        with _shut():
            assert backends[harness.alias].plan(*before) == first
        for operation in first:
            assert isinstance(operation, Operation)
            assert (operation.contact, operation.version) == (target.state.id, target.state.version)
            json.dumps(operation.payload)
        assert len({operation.key for operation in first}) == len(first)

    def test_what_is_new_has_a_new_key(self, crm: Driver, harness: Harness) -> None:
        """Another version, and the end of a pause, are said under keys that no receiver has seen."""
        target, since = _somebody(crm, harness)
        keys = {operation.key for operation in crm.backend.plan(target, since)}
        assert len(keys) == len(crm.backend.plan(target, since))
        newer = replace(target, state=replace(target.state, version=target.state.version + 1))
        ended = replace(target, paused=frozenset(), ended=target.ended + 1)
        for later in (newer, ended):
            again = crm.backend.plan(later, [])
            assert again
            assert not keys & {operation.key for operation in again}

    def test_an_opt_out_is_marked(self, crm: Driver, news: Key, offers: Key) -> None:
        """Whatever carries a no restricts, so that it goes first and is never given up; a yes alone does not."""
        person = crm.person(yes(news))
        plain = crm.backend.plan(crm.target(person), crm.since(person))
        assert plain
        assert not any(operation.restricts for operation in plain)
        version = crm.target(person).state.version
        for change in (SetChoice(*news, UNSUBSCRIBED), OptOut()):
            crm.save(person, change)
            no = crm.backend.plan(crm.target(person), crm.since(person, version))
            assert any(operation.restricts for operation in no)
            crm.save(person, yes(news))
            version = crm.target(person).state.version
        # Where an address that is no longer hers gets operations of its own, they stop it.
        target = crm.target(person)
        moved = replace(target, retired=(Identifiers(email="old@mail.example.org"),))
        more = [
            operation
            for operation in crm.backend.plan(moved, [])
            if operation not in crm.backend.plan(target, [])
        ]
        assert not more or any(operation.restricts for operation in more)

    # --- execute -----------------------------------------------------------------------------------------------------

    def test_there_is_one_result_for_each(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key
    ) -> None:
        """Whatever happens, each operation has one result with its key, and errors are results."""
        people = [
            crm.person(yes(news), email=f"reader-{number}@mail.example.org")
            for number in range(min(3, can.batch_size))
        ]
        plans = [crm.backend.plan(crm.target(person), crm.since(person)) for person in people]
        assert all(plans)
        batch = [operations[0] for operations in plans]
        faults = harness.faults
        happens: list[Callable[[], None]] = [faults.heal, faults.away, partial(faults.slow_down, 5)]
        if faults.has_answers:
            happens += [faults.drop, faults.lose, faults.garble, partial(faults.away, status=404)]
        for happen in happens:
            happen()
            results = crm.backend.execute(batch)
            assert sorted(result.key for result in results) == sorted(operation.key for operation in batch)
            assert all(result.outcome in Outcome and len(result.code) <= 128 for result in results)
            faults.heal()
        assert {result.outcome for result in crm.backend.execute(batch)} <= {
            Outcome.DONE,
            Outcome.ACCEPTED_UNKNOWN,
            Outcome.NEEDS_CONFIRMATION,
        }

    # --- what it says of itself --------------------------------------------------------------------------------------

    def test_its_capabilities_make_sense(self, crm: Driver, can: Capabilities, harness: Harness) -> None:
        """What it says of itself fits together: sizes, channels, pauses, and what it says no to."""
        assert isinstance(can, Capabilities)
        assert can.batch_size >= 1
        assert can.batch_bytes >= 0
        assert set(can.channels) <= set(CHANNELS)
        assert {channel for _, channel in harness.topics} <= set(can.channels)
        assert set(can.identifiers) <= {"email", "phone", "external_id"}
        assert can.identifiers
        assert (can.pause is Support.NONE) == (can.pause_style is PauseStyle.NONE)
        if can.rate is not None:
            assert can.rate.calls > 0
            assert can.rate.seconds > 0
        if can.inbound is not Inbound.POLL:
            with pytest.raises(Unsupported):
                crm.backend.poll("")
        if can.read_back is ReadBack.NONE:
            with pytest.raises(Unsupported):
                crm.backend.read(
                    Target(ContactState(uuid4(), "brand"), Identifiers(email="reader@mail.example.org"))
                )

    def test_it_knows_its_map_by_heart(self, crm: Driver, harness: Harness) -> None:
        """`maps` and `describe_topic` answer from the options, with all doors shut, whatever they are asked."""
        with _shut():
            assert all(crm.backend.maps(*key) for key in harness.topics)
            assert not crm.backend.maps(harness.topics[0][0], "no-such-channel")
            for topic in (harness.topics[0][0], "nobody-mapped-this"):
                assert isinstance(crm.backend.describe_topic(topic), str)

    def test_it_is_made_without_asking_anybody(self, crm: Driver, harness: Harness) -> None:
        """A backend is made with all doors shut: a web process makes it, too, and must not wait for a platform."""
        backends.reset()
        with _shut():
            assert backends[harness.alias].capabilities == crm.backend.capabilities

    # --- read, inbound, erase ----------------------------------------------------------------------------------------

    def test_it_reads_what_is_there(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key, offers: Key
    ) -> None:
        """`read` agrees with what the platform holds, says None for a stranger, and "no answer" for none."""
        if can.read_back is ReadBack.NONE:
            pytest.skip("capabilities.read_back is none")
        person = crm.person(yes(news), yes(offers))
        assert crm.backend.read(crm.target(person)) is None
        attributes = {name: values[0] for name, values in harness.attributes.items()}
        if can.attributes is not Support.NONE:
            crm.save(person, *(SetAttribute(name, value) for name, value in attributes.items()))
        crm.save(person, SetChoice(*offers, UNSUBSCRIBED))
        crm.deliver()
        state = _agreeing(crm, person)
        if can.attributes is not Support.NONE:
            assert {name: state.attributes.get(name) for name in attributes} == attributes
        if harness.faults.has_answers:
            for fault in (harness.faults.away, harness.faults.drop, harness.faults.garble):
                fault()
                with pytest.raises(PlatformError) as error:
                    crm.backend.read(crm.target(person))
                assert "reader@" not in f"{error.value!r} {error.value.code}"
                harness.faults.heal()
        crm.save(person, OptOut())
        crm.deliver()
        _agreeing(crm, person)

    def test_it_believes_no_stranger(self, crm: Driver, can: Capabilities) -> None:
        """A webhook that is not the platform's, or makes no sense, is refused before it is read."""
        wants = Unsupported if can.inbound in {Inbound.NONE, Inbound.POLL} else BadInbound
        junk = [b"", b"{}", b"\xff\xfe", b'{"email": "reader@mail.example.org", "type": "unsubscribe"}']
        for body in junk if wants is Unsupported or can.inbound is Inbound.SIGNED else junk[:3]:
            request = RequestFactory().post("/", body, content_type="application/json")
            with pytest.raises(wants):
                crm.backend.parse_inbound(request)

    def test_it_forgets(self, crm: Driver, can: Capabilities, harness: Harness, news: Key) -> None:
        """`erase` makes the platform forget her, whom it named or not, and nobody else; forgetting twice is fine."""
        person = crm.person(yes(news), email=harness.addresses[0])
        other = crm.person(yes(news), email="other@mail.example.org")
        crm.deliver()
        assert crm.subscribed(person) == {news}
        identifiers = crm.target(person).identifiers
        row = crm.row(person)
        if row.remote_id:
            identifiers = replace(identifiers, remote={harness.alias: row.remote_id})
        email = crm.email(person)
        strangers = (Identifiers(email="stranger@mail.example.org"), Identifiers(external_id="stranger"))
        for who in (identifiers, identifiers, *strangers):
            result = crm.backend.erase(who)
            assert result.outcome is Outcome.DONE
            assert "@" not in f"{result.key} {result.code}"
        if can.erases:
            assert crm.seen(email) is None
            assert harness.people() == 1
        assert crm.subscribed(email) == frozenset()
        assert crm.subscribed(other) == {news} == crm_choices(crm, other)


def _agreeing(crm: Driver, person: UUID) -> RemoteState:
    """What the backend reads of somebody whom the platform holds: the same."""
    state, seen = crm.backend.read(crm.target(person)), crm.seen(person)
    assert state is not None
    assert seen is not None
    subscribed = {key for key, value in state.choices.items() if value == SUBSCRIBED and all(key)}
    assert seen.opted_out or subscribed == seen.subscribed
    assert {key for key, value in state.choices.items() if value == UNSUBSCRIBED} >= seen.refused
    assert state.opted_out in {None, seen.opted_out}  # None: it has no word for it
    return state


def _somebody(crm: Driver, harness: Harness) -> tuple[Target, list[Any]]:
    """Somebody of whom there is something of everything to say."""
    news, offers = harness.topics[:2]
    person = crm.person(yes(news), yes(offers))
    from django.utils import timezone  # noqa: PLC0415

    crm.save(
        person,
        SetChoice(*offers, UNSUBSCRIBED),
        SetFrequency(*harness.frequency[:1][0], harness.frequency[1]),
        Pause(*harness.pause, timezone.now() + 30 * DAY),
        *(SetAttribute(name, values[0]) for name, values in harness.attributes.items()),
    )
    target = crm.target(person)
    former = Identifiers(email="old@mail.example.org", remote={harness.alias: ""})
    return replace(target, retired=(former,)), crm.since(person)


@contextmanager
def _shut() -> Iterator[None]:
    """No network and no database."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("this must ask nobody: no network, no database")

    with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(refuse):
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield
