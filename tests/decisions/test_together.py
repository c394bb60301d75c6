"""Senders asking at the same moment, on a real database with real connections."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import pytest
import time_machine
from django.db import connection, transaction

from tests import factories
from tests.faults.delivering import PATIENCE, ROOT, _database_url
from wagtail_prefs import decide
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.decisions import answers
from wagtail_prefs.decisions.models import Send

pytestmark = pytest.mark.django_db(transaction=True)

SENDERS = 8
#: A Wednesday: no week ends while a test runs.
NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _wednesday() -> Iterator[None]:
    with time_machine.travel(NOW):
        yield


def readers(number: int) -> list[UUID]:
    """Contacts who want at most one mail a week."""
    audience = factories.make_audience()
    factories.make_topics(audience)
    people = Contact.objects.bulk_create(
        Contact(audience=audience, address_key=uuid.uuid4().hex) for _ in range(number)
    )
    State.objects.bulk_create(
        state
        for person in people
        for state in (
            State(contact=person, topic="news", channel="email", choice="subscribed", choice_version=1),
            State(contact=person, frequency="weekly", frequency_version=2),
        )
    )
    return [person.pk for person in people]


def side_by_side(
    senders: int, rounds: int, act: Callable[[int, int], object], mode: str | None = "IMMEDIATE"
) -> list[BaseException]:
    """Let each sender act in each round, all at once, each on a connection of its own; what they raised.

    `mode` is how SQLite begins a transaction.
    """
    barrier, errors = threading.Barrier(senders), list[BaseException]()

    def run(sender: int) -> None:
        connection.ensure_connection()
        if connection.vendor == "sqlite":
            connection.transaction_mode = mode  # type: ignore[attr-defined]
        try:
            for number in range(rounds):
                barrier.wait(60)
                act(sender, number)
        except BaseException as error:  # noqa: BLE001 - the test looks at all of them
            errors.append(error)
            barrier.abort()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[sender]) for sender in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    return errors


def race(rounds: int, mode: str | None = "IMMEDIATE") -> None:
    """In each round all senders have a message for the same contact, who takes one a week: one may go."""
    contacts = readers(rounds)
    verdicts: list[Counter[str]] = [Counter() for _ in range(rounds)]
    lock = threading.Lock()

    def act(sender: int, number: int) -> None:
        decision = decide(contacts[number], "news", "email", record=f"round {number} of sender {sender}")
        with lock:
            verdicts[number][f"{decision.verdict} {decision.reason}"] += 1

    assert side_by_side(SENDERS, rounds, act, mode) == []
    expected = {"send subscribed": 1, "digest frequency": SENDERS - 1}
    assert [number for number, count in enumerate(verdicts) if count != expected] == []
    assert Counter(Send.objects.values_list("contact", flat=True)) == Counter(contacts)


def test_of_eight_senders_at_once_one_may_send(tell: Callable[[str], None]) -> None:
    race(100)
    tell(f"decisions at once on {connection.vendor}: 100 rounds of {SENDERS} connections, one send each")


@pytest.mark.soak
def test_of_eight_senders_at_once_one_may_send_a_thousand_times(tell: Callable[[str], None]) -> None:
    race(1000)
    tell(f"decisions at once on {connection.vendor}: 1000 rounds of {SENDERS} connections, one send each")


def test_a_database_that_locks_late_lets_no_second_one_through() -> None:
    race(50, mode=None)


def lists(rounds: int, seed: int) -> None:
    """All senders have a message for the same twelve, each in another order, and the locks of two calls in one go."""
    contacts = readers(12 * rounds)
    sent: Counter[UUID] = Counter()
    lock = threading.Lock()

    def act(sender: int, number: int) -> None:
        mine = sorted(contacts[12 * number : 12 * number + 12], reverse=sender % 2 == 0)
        if sender > 1:
            Random(seed + sender + number).shuffle(mine)
        with transaction.atomic():
            decided = decide(mine, "news", "email", record=f"round {number} of sender {sender}")
        assert [decision.contact for decision in decided] == mine
        with lock:
            sent.update(decision.contact for decision in decided if decision.verdict == "send")

    assert side_by_side(6, rounds, act) == []
    assert sent == Counter(contacts)


def test_lists_in_any_order_do_not_wait_for_each_other_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "CHUNK", 5)  # three locks in one transaction
    lists(10, seed=7)


@pytest.mark.soak
def test_lists_in_any_order_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "CHUNK", 5)
    lists(100, seed=8)


def test_a_message_that_is_asked_about_twice_at_once_takes_one_place() -> None:
    contacts = readers(10)
    answers: list[Sequence[str]] = []

    def act(_sender: int, number: int) -> None:
        decision = decide(contacts[number], "news", "email", record=f"round {number}")
        answers.append((str(decision.verdict), decision.reason))

    assert side_by_side(4, 10, act) == []
    assert Counter(answers) == {("send", "subscribed"): 10, ("send", "recorded"): 30}
    assert Send.objects.count() == 10


# Processes


class Process:
    """One of `asking`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self.process, self.stdin, self.stdout = process, process.stdin, process.stdout

    def tell(self, *words: object) -> None:
        self.stdin.write(" ".join(map(str, words)) + "\n")
        self.stdin.flush()

    def answer(self, *words: object) -> str:
        """What it says, to this or to what it was told."""
        if words:
            self.tell(*words)
        return self.stdout.readline().strip()


@contextmanager
def processes(number: int) -> Iterator[list[Process]]:
    """So many, which have asked already: connections are open, whatever is remembered is there."""
    with ExitStack() as stack:
        found = []
        for _ in range(number):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.decisions.asking"],
                env={**os.environ, "DATABASE_URL": _database_url(), "DECIDING_AT": NOW.isoformat()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                text=True,
            )
            stack.callback(process.wait, timeout=PATIENCE)
            stack.callback(process.kill)
            found.append(Process(process))
        for process in found:
            assert process.answer("ask", uuid.uuid4()) == "refuse unknown"
        yield found
        for process in found:
            process.stdin.close()
            assert process.process.wait(timeout=PATIENCE) == 0
            process.stdout.close()


def test_what_one_process_has_committed_the_next_decision_of_another_sees(
    tell: Callable[[str], None],
) -> None:
    """Nothing stale: each asks before, and right after the other has said that it is done."""
    expected = {"opt-out": "refuse opted_out", "leave": "refuse unsubscribed", "pause": "defer paused"}
    contacts = [(what, contact) for what in expected for contact in readers(6)]
    with processes(2) as both:
        for number, (what, contact) in enumerate(contacts):
            asks, writes = both if number % 2 else reversed(both)
            assert asks.answer("ask", contact) == "send subscribed"
            assert writes.answer(what, contact) == "done"
            assert asks.answer("ask", contact) == expected[what]
            assert writes.answer("ask", contact) == expected[what]
    tell(
        f"decisions on {connection.vendor}: {len(contacts)} changes of one process, each seen by another at once"
    )


def many_at_once(of_processes: int, threads: int, times: int) -> None:
    """So many messages at once, of several processes, for one who takes one a week."""
    (contact,) = readers(1)
    with processes(of_processes) as senders:
        for sender in senders:
            assert sender.answer("race", contact, threads, times) == "ready"
        for sender in senders:
            sender.tell("go")
        answers = [tuple(map(int, sender.answer().split())) for sender in senders]
    assert tuple(map(sum, zip(*answers, strict=True))) == (1, of_processes * threads * times - 1, 0)
    place = Send.objects.get()
    assert (place.contact, place.verdict, place.reason) == (contact, "send", "subscribed")


def test_of_a_hundred_messages_of_two_processes_at_once_one_goes_out() -> None:
    many_at_once(2, 10, 5)


@pytest.mark.postgres  # a hundred connections that all write are not what SQLite is for
@pytest.mark.soak
def test_of_a_thousand_messages_at_once_one_goes_out(tell: Callable[[str], None]) -> None:
    many_at_once(4, 25, 10)
    tell(f"decisions at once on {connection.vendor}: 1000 messages for one a week, one sent")
