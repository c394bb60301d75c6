"""What was asked is counted beside the decisions: nothing is lost, nothing is in anybody's way (decisions/counting.py)."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from hypothesis import given, strategies as st
from pytest_django import DjangoAssertNumQueries

from tests import factories
from tests.decisions.conftest import NOW
from tests.faults.delivering import _database_url
from tests.properties import examples
from wagtail_prefs.decisions import counting
from wagtail_prefs.decisions.models import DecisionCount
from wagtail_prefs.decisions.values import Ruling, Verdict, refuse

pytestmark = pytest.mark.django_db

YES = Ruling(Verdict.SEND, "subscribed", "She wants it.")
NO = refuse("opted_out", "She does not.")


@pytest.fixture(autouse=True)
def _topics(request: pytest.FixtureRequest) -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        if request.node.get_closest_marker("django_db"):
            factories.make_topics(factories.make_audience())
        yield


def rows() -> dict[tuple[Any, ...], int]:
    return {
        tuple(row[:-1]): row[-1] for row in DecisionCount.objects.values_list(*counting.Row._fields, "count")
    }


def row(event: str = "asked_send", reason: str = "subscribed", **fields: Any) -> tuple[Any, ...]:
    base = counting.Row(NOW.date(), 0, "news", "email", "shop", event, reason)
    return tuple(base._replace(**fields))


def ask(
    *rulings: Ruling,
    topic: str = "news",
    channel: str = "email",
    sender: str = "shop",
    audience: int | None = None,
) -> None:
    counting.note(topic, channel, sender, audience, rulings)


def test_answers_are_counted_by_what_was_asked_and_said() -> None:
    ask(YES, YES, NO)
    ask(replace(YES), NO, sender="django", audience=7)
    assert rows() == {}
    assert counting.flush() == 4
    assert rows() == {
        row(): 2,
        row("asked_refuse", "opted_out"): 1,
        row(sender="django", audience_id=7): 1,
        row("asked_refuse", "opted_out", sender="django", audience_id=7): 1,
    }
    ask(YES)
    assert (counting.flush(), counting.flush()) == (1, 0)
    assert rows()[row()] == 3


def test_a_day_is_utcs() -> None:
    with time_machine.travel(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), tick=False):
        ask(YES)
    with time_machine.travel(datetime(2026, 12, 1, tzinfo=UTC), tick=False):
        ask(YES)
    counting.flush()
    assert rows() == {row(day=date(2026, 11, 30)): 1, row(day=date(2026, 12, 1)): 1}


def test_asking_takes_no_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        ask(*[YES] * 1000, NO)
        ask()
    with django_assert_num_queries(4):  # the topics and the rows, between savepoints
        assert counting.flush() == 2
    with django_assert_num_queries(0):
        assert counting.flush() == 0


def test_what_somebody_makes_up_gets_no_rows() -> None:
    for number in range(50):
        ask(NO, topic=f"made-up-{number}", channel=f"c{number}")
    for topic in ("", "news\0", "ü", "x" * 1000, "new's"):
        ask(NO, topic=topic)
    counting.flush()
    assert rows() == {
        row("asked_refuse", "opted_out", topic="", channel=""): 50,
        row("asked_refuse", "opted_out", topic=""): 5,
    }


def test_senders_and_codes_fit_the_table() -> None:
    ask(refuse("r" * 99, ""), sender="s\0\n\ud800" + "s" * 99)
    ask(refuse("\0\0", ""), sender="")
    counting.flush()
    assert sorted((len(found[4]), len(found[6])) for found in rows()) == [(0, 0), (64, 64)]


def test_a_process_keeps_so_many_rows_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST", 10)
    for number in range(1000):
        ask(YES, sender=str(number))
        ask(NO, topic=str(number))
    assert len(counting._buffer) <= 12
    counting.flush()
    assert sum(rows().values()) == 2000


@pytest.mark.django_db(transaction=True)
def test_nothing_is_written_inside_of_a_transaction() -> None:
    ask(YES)
    with transaction.atomic():
        assert counting.flush() == 0
        transaction.set_rollback(True)
    transaction.set_autocommit(False)
    try:
        assert counting.flush() == 0
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert rows() == {}
    assert counting.flush() == 1
    assert rows() == {row(): 1}


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ask(YES, topic="news")
    renamed = "ALTER TABLE wagtail_prefs_decisioncount RENAME TO {}"
    with connection.cursor() as cursor:
        cursor.execute(renamed.format("away"))
    try:
        assert counting.flush() == 0
        ask(YES, NO)
        assert counting.flush() == 0
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO wagtail_prefs_decisioncount")
    assert "counting decisions: no database (" in caplog.text
    assert counting.flush() == 2
    assert rows() == {row(): 2, row("asked_refuse", "opted_out"): 1}


@pytest.mark.django_db(transaction=True)
def test_the_thread_adds_it_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SECONDS", 0.05)
    timer = counting._Timer()
    monkeypatch.setattr(counting, "_timer", timer)
    try:
        for asked in range(1, 3):  # it goes on after the first time
            ask(YES)
            wait = threading.Event()
            while rows() != {row(): asked}:
                assert not wait.wait(0.02)
    finally:
        timer.end()
    assert timer._thread is not None
    assert not timer._thread.is_alive()


def test_many_threads_at_once_lose_nothing() -> None:
    def work() -> None:
        for _ in range(200):
            ask(YES, NO)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counting.flush()
    counting.flush()
    assert rows() == {row(): 1600, row("asked_refuse", "opted_out"): 1600}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_begins_anew() -> None:
    """What was counted before is the parent's, and a lock that a thread of it held is nobody's."""
    ask(YES)
    with counting._buffer._lock:
        child = multiprocessing.get_context("fork").Process(target=_fork)
        child.start()
        child.join(30)
    assert child.exitcode == 0
    assert counting.flush() == 1


def _fork() -> None:
    assert len(counting._buffer) == 0
    ask(YES)
    assert len(counting._buffer) == 1
    counting.forget()
    os._exit(0)


@pytest.mark.django_db(transaction=True)
def test_the_end_of_a_process_adds_the_rest() -> None:
    code = (
        "import django; django.setup()\n"
        "from wagtail_prefs.decisions import counting\n"
        "from wagtail_prefs.decisions.values import Ruling, Verdict\n"
        "counting.note('news', 'email', 'shop', None, [Ruling(Verdict.SEND, 'subscribed', '')] * 3)\n"
    )
    env = {**os.environ, "DATABASE_URL": _database_url(), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=env)
    assert [count for key, count in rows().items() if key[2:] == row()[2:]] == [3]


_BATCHES = st.lists(
    st.tuples(
        st.sampled_from(["news", "offers", "made-up"]),
        st.sampled_from(["email", "sms", "x"]),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from([None, 1]),
        st.lists(st.sampled_from([YES, NO, replace(YES)]), max_size=5),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.mark.property
@examples(40)
@given(_BATCHES)
def test_whatever_is_asked_and_whenever_it_is_added_the_sums_hold(batches: Any) -> None:
    DecisionCount.objects.all().delete()
    expected: Counter[tuple[str, int, str]] = Counter()
    for topic, channel, sender, audience, rulings, add in batches:
        counting.note(topic, channel, sender, audience, rulings)
        expected.update((sender, audience or 0, ruling.reason) for ruling in rulings)
        if add:
            counting.flush()
    counting.flush()
    found: Counter[tuple[str, int, str]] = Counter()
    for key, count in rows().items():
        found[key[4], key[1], key[6]] += count
    assert found == expected
