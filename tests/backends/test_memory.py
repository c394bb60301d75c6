"""The platform in memory, which fails when it is asked to."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from wagtail_prefs.backends import memory
from wagtail_prefs.backends.base import PlatformError
from wagtail_prefs.backends.memory import ALWAYS, MemoryBackend, Store
from wagtail_prefs.ids import uuid7
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Identifiers, Outcome, Result, Support, Target

from .states import ANNA, LEFT, batch, target


@pytest.fixture
def store() -> Iterator[Store]:
    memory.clear()
    yield memory.store("crm")
    memory.clear()


def tell(*targets: Target) -> list[Result]:
    backend = MemoryBackend("crm")
    return backend.execute([operation for item in targets for operation in backend.plan(item, [])])


def outcomes(results: list[Result]) -> list[tuple[str, str]]:
    return [(result.outcome.value, result.code) for result in results]


def test_what_it_was_told_can_be_looked_at(store: Store) -> None:
    assert tell(target()) == [Result(f"crm-{ANNA.hex}-3-write", Outcome.DONE, remote_id=str(ANNA))]
    assert store.contacts[str(ANNA)]["choices"] == {"news": {"email": SUBSCRIBED, "sms": UNSUBSCRIBED}}
    assert [operation.contact for operation in memory.outbox("crm")] == [ANNA]
    assert memory.outbox("other") == []
    memory.clear()
    assert (store.contacts, store.calls, memory.outbox("crm")) == ({}, [], [])


def test_reading_gives_back_what_was_written(store: Store) -> None:
    backend = MemoryBackend("crm")
    assert backend.read(target()) is None
    person = target(
        choices={("", "sms"): UNSUBSCRIBED, ("news", "email"): SUBSCRIBED}, attributes={"size": "M"}
    )
    tell(person)
    found = backend.read(person)
    assert found is not None
    state = person.state
    assert found.pauses == {key: pause.until for key, pause in state.pauses.items()}
    assert (found.version, found.opted_out, found.choices, found.frequencies, found.attributes) == (
        3,
        False,
        state.choices,
        state.frequencies,
        state.attributes,
    )


def test_an_older_version_is_ignored(store: Store) -> None:
    tell(target(version=5, opted_out=True))
    assert outcomes(tell(target(version=4))) == [("done", "")]
    assert store.contacts[str(ANNA)]["opted_out"]
    assert len(store.operations) == 2


def test_it_fails_so_many_calls_long(store: Store) -> None:
    store.fail(Outcome.RATE_LIMITED, times=2, retry_after=30)
    store.fail(Outcome.REFUSED, code="invalid-address")
    results = [tell(target())[0] for _ in range(4)]
    assert outcomes(results) == [
        ("rate_limited", "told-to-rate_limited"),
        ("rate_limited", "told-to-rate_limited"),
        ("refused", "invalid-address"),
        ("done", ""),
    ]
    assert [result.retry_after for result in results] == [30, 30, None, None]
    assert len(store.operations) == 1
    assert len(store.calls) == 4


def test_it_fails_until_it_is_mended(store: Store) -> None:
    store.fail(Outcome.RETRY, times=ALWAYS)
    assert {outcomes(tell(target()))[0][0] for _ in range(5)} == {"retry"}
    assert store.contacts == {}
    store.mend()
    assert outcomes(tell(target())) == [("done", "")]


def test_it_fails_for_one_of_a_call(store: Store) -> None:
    other = uuid7()
    store.fail(Outcome.REFUSED, contact=ANNA, times=ALWAYS)
    assert outcomes(tell(target(), target(other))) == [("refused", "told-to-refused"), ("done", "")]
    assert list(store.contacts) == [str(other)]


def test_it_fails_for_a_kind(store: Store) -> None:
    store.fail(Outcome.RETRY, kind="erase")
    store.fail(Outcome.RETRY, kind="read")
    assert outcomes(tell(target())) == [("done", "")]
    backend = MemoryBackend("crm")
    with pytest.raises(PlatformError, match="told-to-retry"):
        backend.read(target())
    assert backend.read(target()) is not None
    known = Identifiers(remote={"crm": str(ANNA)})
    assert backend.erase(known).outcome is Outcome.RETRY
    assert store.contacts
    assert backend.erase(known).outcome is Outcome.DONE
    assert store.contacts == {}


def test_it_raises(store: Store) -> None:
    store.raise_(RuntimeError("a mistake"))
    with pytest.raises(RuntimeError):
        tell(target())
    assert outcomes(tell(target())) == [("done", "")]


def test_an_answer_gets_lost_after_it_was_done(store: Store) -> None:
    store.lose_answers()
    assert tell(target()) == [Result(f"crm-{ANNA.hex}-3-write", Outcome.RETRY, "timeout")]
    assert str(ANNA) in store.contacts
    store.lose_answers(kind="erase")
    backend = MemoryBackend("crm")
    assert backend.erase(Identifiers(external_id="c-1")).outcome is Outcome.RETRY
    assert store.contacts == {}


@pytest.mark.parametrize(
    ("known", "left"),
    [
        (Identifiers(remote={"crm": str(ANNA)}, email="ben@mail.example.org"), ["ben"]),
        (Identifiers(external_id="c-1", email="ben@mail.example.org"), ["ben"]),
        (Identifiers(email="anna@mail.example.org"), ["ben"]),
        (Identifiers(remote={"other": str(ANNA)}), ["anna", "ben"]),
        (Identifiers(), ["anna", "ben"]),
    ],
)
def test_whom_it_was_asked_to_forget_it_does_not_know(
    store: Store, known: Identifiers, left: list[str]
) -> None:
    tell(target())
    ben = target(uuid7(), "ben@mail.example.org")
    tell(Target(ben.state, Identifiers(email="ben@mail.example.org")))
    assert MemoryBackend("crm").erase(known).outcome is Outcome.DONE
    emails = sorted(state["contact"]["email"].partition("@")[0] for state in store.contacts.values())
    assert emails == left
    assert store.erased == [known]


def test_an_old_address_is_an_opt_out_that_goes_first() -> None:
    backend = MemoryBackend("crm")
    moved = Target(target().state, Identifiers(email="new@x.example"), (Identifiers(email="old@x.example"),))
    assert backend.plan(moved, [])[0].restricts
    assert backend.plan(target(), [batch(3, LEFT)])[0].restricts
    assert not backend.plan(target(), [])[0].restricts


def test_what_a_test_changes_in_it_changes_nothing_else(store: Store) -> None:
    backend = MemoryBackend("crm")
    (operation,) = backend.plan(target(), [])
    backend.execute([operation])
    store.contacts[str(ANNA)]["choices"].clear()
    assert operation.payload["choices"]
    held = backend.read(target())
    assert held is not None and held.choices == {}


def test_all_threads_tell_the_same_platform(store: Store) -> None:
    people = [target(uuid7()) for _ in range(40)]
    store.fail(Outcome.RETRY, times=20)
    answers: list[str] = []
    gate = threading.Barrier(4)

    def work(mine: list[Target]) -> None:
        gate.wait()
        answers.extend(outcome for person in mine for outcome, _code in outcomes(tell(person)))

    threads = [threading.Thread(target=work, args=(people[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers.count("retry"), answers.count("done"), len(store.contacts)) == (20, 20, 20)


def test_a_site_can_say_that_its_code_obeys() -> None:
    assert MemoryBackend("crm").capabilities.pause is Support.STORES
    assert MemoryBackend("crm", {"ENFORCES": ["pause"]}).capabilities.pause is Support.ENFORCES
