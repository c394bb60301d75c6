"""Senders asking at the same moment, on a real database with real connections."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from random import Random
from uuid import UUID

import pytest
import time_machine
from django.db import connection, transaction

from tests import factories
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
