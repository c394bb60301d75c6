"""Bringing one backend up to everybody: nobody left out, nobody twice, and a save of this moment never behind them."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, LEAVE, OUT, WEEKLY, person, row, save
from tests.properties import examples
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.backends.registry import backends
from wagtail_prefs.changes import Confirm, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery import backfill, drain
from wagtail_prefs.delivery.models import Backfill, Delivery, Lane
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.submissions.services import erase, merge_contacts, record
from wagtail_prefs.values import Actor, ActorType, Outcome, Rate, Source

pytestmark = pytest.mark.django_db


@contextmanager
def patched(where: Any, **values: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setattr(where, name, value)
        yield


SIGN_UP = Actor(ActorType.API, "sign-up")


@pytest.fixture
def later(configure: Callable[..., None]) -> Callable[[], Crm]:
    """Adds the backend `crm`, beside `old`; before, people are known to `old` alone."""
    configure(old={})

    def added() -> Crm:
        configure(old={}, crm={})
        return CRMS.setdefault("crm", Crm())

    return added


def feed_all(alias: str = "crm") -> Backfill:
    """Feed and deliver in turn until it has come to its end."""
    for _ in range(50):
        backfill.feed()
        run_once()
        run = Backfill.objects.filter(backend=alias).latest("pk")
        if run.finished_at:
            return run
    raise AssertionError("it does not end")


def test_a_new_backend_hears_of_everybody_who_is_somebody(later: Callable[[], Crm]) -> None:
    known = {person(f"p{number}", JOIN) for number in range(5)} | {person("out", JOIN, OUT)}
    silent = person("silent")
    signed_up = person("signed-up")
    wait = SetChoice("news", "email", "pending")
    record(signed_up, [wait], actor=SIGN_UP, source=Source(method="api"))
    assert Contact.objects.get(pk=signed_up).version == 1
    gone, winner, loser = person("gone", JOIN), person("winner", JOIN), person("loser", JOIN)
    actor = Actor(ActorType.ADMIN, "1")
    erase(gone, actor=actor, source=Source(method="python"))
    merge_contacts(loser, winner, actor=actor, source=Source(method="python"))
    confirmed = person("confirmed")
    record(confirmed, [wait], actor=SIGN_UP, source=Source(method="api"))
    save(confirmed, Confirm("news", "email"))
    run_once()
    crm = later()
    expected = known | {winner, confirmed}
    assert backfill.people("crm") == len(expected)
    run = backfill.start("crm", by="7")
    done = feed_all()
    assert (done.total, done.seen, done.queued) == (12, 12, len(expected))
    assert (run.pk, done.started_by) == (done.pk, "7")
    assert {UUID(contact) for contact in crm.contacts} == expected
    assert not {silent, signed_up, gone, loser} & expected
    out = row(max(known, key=lambda one: Contact.objects.get(pk=one).version))
    assert crm.contacts[str(out.contact)]["opted_out"] is True
    assert len(CRMS["old"].contacts) == len(expected) + 1  # as before; the loser's opt-out among them
    assert backfill.people("crm") == 0


def test_whoever_is_known_as_she_is_is_told_again_only_when_asked_for(crm: Crm) -> None:
    people = [person(f"p{number}", JOIN, WEEKLY) for number in range(3)]
    run_once()
    calls = len(crm.calls)
    assert backfill.people("crm") == 0
    backfill.start("crm")
    assert feed_all().queued == 0
    assert len(crm.calls) == calls
    crm.contacts.clear()  # the platform has lost what it knew
    assert backfill.people("crm", again=True) == 3
    backfill.start("crm", again=True)
    assert feed_all().queued == 3
    assert set(crm.contacts) == {str(contact) for contact in people}
    assert {row(contact).delivered for contact in people} == {2}
    assert [len(since) for _target, since in crm.plans[-3:]] == [2, 2, 2]  # all that she ever said
    keys = [operation.key for call in crm.calls for operation in call]
    assert len(keys) == len(set(keys)) == 6  # one that drops repeats takes it, too
    assert not Delivery.objects.filter(due_at__isnull=False).exists()


def test_what_was_given_up_and_what_was_missed_is_woken(crm: Crm) -> None:
    refused, missed, fails = person("refused", JOIN), person("missed", JOIN), person("fails", JOIN)
    crm.always["state"] = Outcome.REFUSED
    run_once()
    crm.always.clear()
    Delivery.objects.filter(contact=missed).update(failing_since=None, delivered=1)
    Contact.objects.filter(pk=missed).update(version=2)  # saved while the backend was not in the settings
    later = timezone.now() + timedelta(hours=1)
    Delivery.objects.filter(contact=fails).update(due_at=later)
    assert row(refused).due_at is None
    assert backfill.people("crm") == 2
    backfill.start("crm")
    backfill.feed()
    assert row(fails).due_at == later
    assert row(missed).wanted == 2
    run_once()
    assert {row(refused).delivered, row(missed).delivered - 1} == {1}


def test_a_leased_row_is_left_to_its_worker(crm: Crm) -> None:
    contact = person("anna", JOIN)
    run_once()
    lease = UUID(int=7)
    Delivery.objects.update(lease=lease, leased_until=timezone.now())
    backfill.start("crm", again=True)
    backfill.feed()
    assert (row(contact).lease, row(contact).delivered, row(contact).due_at) == (lease, 1, None)


def test_it_adds_only_as_long_as_little_waits(
    later: Callable[[], Crm], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [person(f"p{number}", JOIN) for number in range(12)]
    run_once()
    later()
    monkeypatch.setattr(backfill, "MOST", 5)
    monkeypatch.setattr(backfill, "CHUNK", 2)
    backfill.start("crm")
    assert backfill.feed() == 5
    assert backfill.feed() == 0
    # An opt-out of this moment goes before all of them.
    save(people[-1], LEAVE)
    run_once(limit=1)
    assert list(CRMS["crm"].contacts) == [str(people[-1])]
    # What sleeps until a pause ends is not what it waits for.
    run_once()
    Delivery.objects.filter(backend="crm").update(due_at=timezone.now() + timedelta(hours=9))
    assert backfill.waiting("crm", 99) == 0
    assert backfill.feed() == 5


def test_of_a_backend_with_a_rate_limit_less_may_wait(
    crm: Crm, monkeypatch: pytest.MonkeyPatch, configure: Callable[..., None]
) -> None:
    def room(rate: Rate | None) -> int:
        monkeypatch.setattr(
            backends["crm"], "capabilities", replace(backends["crm"].capabilities, rate=rate, batch_size=2)
        )
        return backfill.room("crm")

    assert room(None) == 2_000
    assert room(Rate(10, 1)) == 1_200
    assert room(Rate(1, 60)) == 100
    assert room(Rate(1_000, 1)) == 2_000
    assert room(Rate(1, 0)) == 2_000  # which nobody can mean
    assert backfill.room("nobody") == 2_000


def test_one_at_a_time_for_each_backend(configure: Callable[..., None]) -> None:
    configure(crm={}, other={})
    backfill.start("crm")
    with pytest.raises(backfill.Running):
        backfill.start("crm")
    backfill.start("other")
    assert backfill.stop("crm")
    assert not backfill.stop("crm")
    backfill.start("crm")
    assert Backfill.objects.count() == 3


def test_one_that_was_stopped_queues_nothing_more(crm: Crm) -> None:
    person("anna", JOIN)
    Delivery.objects.all().delete()
    run = backfill.start("crm")
    backfill.stop("crm")
    assert backfill.feed_one(run) == backfill.Fed()
    assert run.stopped_at is not None
    assert not Delivery.objects.exists()


def test_a_backend_that_left_the_settings_waits_until_it_is_back(configure: Callable[..., None]) -> None:
    configure(crm={})
    person("anna", JOIN)
    Delivery.objects.all().delete()
    backfill.start("crm")
    configure(other={})
    assert backfill.feed() == 0
    configure(crm={})
    assert backfill.feed() == 1


def test_a_look_costs_one_statement_where_nothing_is_to_do_and_as_many_for_a_large_chunk(
    crm: Crm, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        backfill.feed()
    for number in range(9):
        person(f"p{number}", JOIN)
    Delivery.objects.all().delete()

    def statements(size: int) -> int:
        monkeypatch.setattr(backfill, "CHUNK", size)
        with CaptureQueriesContext(connection) as queries:
            assert backfill.feed_one(run).queued == size
        return len(queries)

    run = backfill.start("crm")
    assert statements(2) == statements(7) <= 9


def test_a_chunk_that_is_cut_off_is_not_begun(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        person(f"p{number}", JOIN)
    Delivery.objects.all().delete()
    monkeypatch.setattr(backfill, "CHUNK", 2)
    run = backfill.start("crm")
    assert backfill.feed_one(run).queued == 2
    whole = backfill._fetch
    calls = []

    def cut(sql: str, values: list[Any]) -> Any:
        calls.append(sql)
        if len(calls) == 3:  # rows are written, and the progress is not
            raise KeyboardInterrupt
        return whole(sql, values)

    monkeypatch.setattr(backfill, "_fetch", cut)
    with pytest.raises(KeyboardInterrupt):
        backfill.feed_one(run)
    monkeypatch.setattr(backfill, "_fetch", whole)
    run.refresh_from_db()
    assert (run.seen, run.queued, Delivery.objects.count()) == (2, 2, 2)
    assert feed_all().queued == 4
    assert len(crm.contacts) == 4


@pytest.mark.django_db(transaction=True)
def test_several_workers_feed_each_once(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(crm={})
    people = [person(f"p{number}", JOIN) for number in range(30)]
    Delivery.objects.all().delete()
    monkeypatch.setattr(backfill, "CHUNK", 2)
    backfill.start("crm")
    queued: list[int] = []

    def work() -> None:
        try:
            while backfill.running().exists():
                queued.append(backfill.feed())
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(10):  # and people save meanwhile
        save(people[number * 3], LEAVE)
    for thread in threads:
        thread.join(60)
    run = Backfill.objects.get()
    assert (run.seen, run.queued) == (30, sum(queued))
    assert 20 <= run.queued <= 30
    assert set(Delivery.objects.values_list("contact", flat=True)) == set(people)
    assert set(Delivery.objects.filter(due_at=None)) == set()
    assert Delivery.objects.filter(wanted=2, restricts=True).count() == 10


def _cut(run: Backfill, size: int) -> None:
    """A chunk whose transaction comes to nothing."""
    with transaction.atomic():
        backfill._chunk(run, size)
        transaction.set_rollback(True)
    run.refresh_from_db()


@pytest.mark.property
@hypothesis_settings(examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["save", "feed", "run", "cut", "away"]), st.integers(0, 5)), max_size=14
    )
)
def test_whatever_comes_between_everybody_arrives(crm: Crm, steps: list[tuple[str, int]]) -> None:
    for table in (Delivery, Backfill, Lane):
        table.objects.all().delete()
    crm.reset()
    people = [person(uuid4().hex, JOIN) for _ in range(6)]
    Delivery.objects.all().delete()  # they were there before the backend
    run = backfill.start("crm")
    for step, number in steps:
        if step == "save":
            save(people[number], LEAVE if number % 2 else WEEKLY)
        elif step == "feed":
            with patched(backfill, CHUNK=number + 1, MOST=3):
                backfill.feed_one(run)
        elif step == "cut":
            _cut(run, number + 1)
        elif step == "away":
            crm.script.append(Outcome.RETRY)
        else:
            run_once()
    crm.script.clear()
    backfill.feed()
    drain.retry_now(["crm"])
    run_once()
    assert Backfill.objects.get().finished_at
    for contact in people:
        state = desired_state(contacts.load_target(contact))
        assert {name: crm.contacts[str(contact)][name] for name in state} == state
    assert Delivery.objects.filter(contact__in=people).count() == len(people)


# --- the command ------------------------------------------------------------------------------------------------------


def command(*arguments: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("prefs_backfill", *arguments, "--json", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_command_starts_waits_and_stops(crm: Crm) -> None:
    for number in range(5):
        person(f"p{number}", JOIN)
    Delivery.objects.all().delete()
    assert command("crm") == [{"event": "started", "backend": "crm", "seen": 0, "total": 5, "again": False}]
    with pytest.raises(CommandError, match="without --again is under way"):
        command("crm", "--again")
    assert command("crm", "--stop") == [{"event": "stopped", "was_running": True}]
    assert command("crm", "--stop") == [{"event": "stopped", "was_running": False}]
    *_, ended = command("crm", "--wait")
    assert ended == {"event": "ended", "seen": 5, "total": 5, "queued": 5, "waiting": 5}
    with pytest.raises(CommandError, match="Configured: crm"):
        command("nobody")


def test_ctrl_c_ends_the_command_and_the_next_goes_on(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        person(f"p{number}", JOIN)
    Delivery.objects.all().delete()
    monkeypatch.setattr(backfill, "CHUNK", 2)
    whole = backfill.feed_one

    def pressed(run: Backfill, chunks: int) -> Any:
        fed = whole(run, chunks)
        signal.raise_signal(signal.SIGINT)
        return fed

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "feed_one", pressed)
        with pytest.raises(SystemExit) as stopped:
            command("crm", "--wait")
    assert stopped.value.code == 1
    first, *_, ended = command("crm", "--wait")
    assert (first["event"], first["seen"]) == ("resumed", 2)
    assert ended["queued"] == 5
