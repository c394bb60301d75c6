"""Many workers, people who keep changing their minds: every row is one worker's at a time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from tests.delivery.crm import CRMS, Crm, CrmBackend
from tests.delivery.people import JOIN, LEAVE, OUT, WEEKLY, person, save
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.contacts.services import load_target
from wagtail_prefs.delivery import alarms, counts, drain, lanes, rows
from wagtail_prefs.delivery.models import Delivery, DeliveryCount, Lane
from wagtail_prefs.delivery.signals import opt_outs_late
from wagtail_prefs.values import Capabilities, Operation, Outcome, Rate

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 4


@pytest.fixture
def crm(settings: Settings) -> Iterator[Crm]:
    entry = {"BACKEND": "tests.delivery.crm.CrmBackend", "OPTIONS": {"BATCH": 3}}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"crm": entry}}
    CRMS.clear()
    yield CRMS.setdefault("crm", Crm())
    CRMS.clear()


@contextmanager
def side_by_side(*works: Callable[[], Any]) -> Iterator[None]:
    """Run these in threads of their own beside the block; what they raise is raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        try:
            start.wait()
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_a_row_is_claimed_once() -> None:
    """The claim alone, again and again: no id comes back twice."""
    Delivery.objects.bulk_create(
        Delivery(backend="crm", contact=uuid4(), wanted=1, due_at=timezone.now()) for _ in range(200)
    )
    claimed: list[int] = []

    def claim() -> None:
        while True:
            now = timezone.now()
            mine = rows.claim("crm", uuid4(), now=now, until=now + timedelta(minutes=5), limit=7)
            if not mine and not Delivery.objects.filter(lease=None).exists():
                return
            claimed.extend(row.id for row in mine)

    with side_by_side(*[claim] * WORKERS):
        pass
    assert len(claimed) == len(set(claimed)) == 200


def test_each_wish_is_delivered_once(crm: Crm) -> None:
    people = [person(f"p{number}", JOIN) for number in range(40)]
    with side_by_side(*[lambda: drain.drain("crm")] * WORKERS):
        pass
    drain.drain("crm")
    told = Counter(operation.contact for call in crm.calls for operation in call)
    assert told == Counter(people)


def test_no_two_calls_about_one_person_run_at_a_time(crm: Crm) -> None:
    people = [person(f"p{number}", JOIN) for number in range(8)]
    under_way: set[UUID] = set()
    overlaps: list[UUID] = []
    lock = threading.Lock()
    answer = crm.answer

    def watched(operations: Sequence[Operation]) -> Any:
        mine = {operation.contact for operation in operations}
        with lock:
            overlaps.extend(mine & under_way)
            under_way.update(mine)
        try:
            return answer(operations)
        finally:
            with lock:
                under_way.difference_update(mine)

    crm.answer = watched  # type: ignore[method-assign]

    def change_minds() -> None:
        for wish in (WEEKLY, LEAVE, JOIN, OUT):
            for contact in people:
                save(contact, wish)

    def deliver() -> None:
        for _ in range(15):
            drain.drain("crm")

    with side_by_side(change_minds, *[deliver] * (WORKERS - 1)):
        pass
    drain.drain("crm")
    assert overlaps == []
    assert not Delivery.objects.filter(due_at__isnull=False).exists()
    for contact in people:
        state = desired_state(load_target(contact))
        assert {name: crm.contacts[str(contact)][name] for name in state} == state
    told: dict[UUID, int] = {}
    for call in crm.calls:
        for operation in call:
            assert told.get(operation.contact, 0) < operation.version  # never twice, never back
            told[operation.contact] = operation.version


# --- what all workers together do to a platform -----------------------------------------------------------------------


class LimitedCrm(CrmBackend):
    """Takes fifty calls a second of one contact each."""

    RATE: ClassVar = Rate(50, 1.0)

    def __init__(self, alias: str, options: Any = None) -> None:
        super().__init__(alias, options)
        self.capabilities = Capabilities(rate=self.RATE)


def test_a_platform_gets_no_more_calls_than_it_takes(crm: Crm, settings: Settings) -> None:
    """Counted over there: of N calls the last comes no earlier than N - 1 steps after the first could."""
    entry = {"BACKEND": f"{__name__}.LimitedCrm"}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BACKENDS": {"crm": entry}}
    people = [person(f"p{number}", JOIN) for number in range(80)]
    came: list[float] = []
    crm.during = lambda _: came.append(time.monotonic())

    def deliver() -> None:
        while Delivery.objects.filter(due_at__isnull=False).exists():
            drain.drain("crm")

    lanes.enter("crm", timezone.now())
    start = time.monotonic()
    with side_by_side(*[deliver] * WORKERS):
        pass
    assert len(came) == len(people)
    step = LimitedCrm.RATE.seconds / LimitedCrm.RATE.calls
    # The clock of the lane and that of the receiver are two; a hundredth of a second is more than they differ by.
    for number, at in enumerate(sorted(came)):
        assert at - start >= number * step - 0.01, f"call {number}"


def test_a_platform_that_is_away_is_probed_by_one_worker_with_one_call(crm: Crm) -> None:
    for number in range(30):
        person(f"p{number}", JOIN)
    crm.always["state"] = Outcome.RETRY
    drain.drain("crm")
    assert len(crm.calls) == lanes.FAILURES
    Lane.objects.update(paused_until=timezone.now())
    with side_by_side(*[lambda: drain.drain("crm")] * WORKERS):
        pass
    assert len(crm.calls) == lanes.FAILURES + 1


def test_one_of_many_is_let_through_and_one_closes_it(crm: Crm) -> None:
    person("anna", JOIN)
    assert crm.calls == []
    probes: list[bool] = []
    closed: list[bool] = []
    for _ in range(10):
        lanes.misconfigured("crm", timezone.now(), "http-401")
        now = timezone.now() + timedelta(minutes=1)
        with side_by_side(*[lambda at=now: probes.append(lanes.enter("crm", at).probe)] * WORKERS):
            pass
        with side_by_side(*[lambda at=now: closed.append(lanes.answered("crm", at))] * WORKERS):
            pass
    assert (len(probes), sum(probes)) == (10 * WORKERS, 10)
    assert (len(closed), sum(closed)) == (10 * WORKERS, 10)


def test_no_failure_is_lost_in_counting(crm: Crm) -> None:
    assert crm.calls == []
    now = timezone.now()
    opened: list[bool] = []

    def fail() -> None:
        opened.extend(lanes.unanswered("crm", now, "timeout") for _ in range(20))

    with side_by_side(*[fail] * WORKERS):
        pass
    assert Lane.objects.get().failures == 20 * WORKERS
    assert opened.count(False) == lanes.FAILURES - 1

    def count() -> None:
        for _ in range(20):
            counts.count("crm", 2, 1, now)

    with side_by_side(*[count] * WORKERS):
        pass
    assert DeliveryCount.objects.values_list("done", "failed").get() == (40 * WORKERS, 20 * WORKERS)


def test_an_alarm_is_raised_by_one_worker(crm: Crm) -> None:
    person("anna", OUT)
    assert crm.calls == []
    raised: list[str] = []

    def receive(level: str, **_: Any) -> None:
        raised.append(level)

    opt_outs_late.connect(receive)
    later = timezone.now() + timedelta(hours=25)
    try:
        with time_machine.travel(later), side_by_side(*[alarms.watch] * WORKERS):
            pass
    finally:
        opt_outs_late.disconnect(receive)
    assert raised == ["15m", "24h"]
