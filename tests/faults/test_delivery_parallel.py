"""Many workers, people who keep changing their minds: every row is one worker's at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, LEAVE, OUT, WEEKLY, person, save
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.contacts.services import load_target
from wagtail_prefs.delivery import drain, rows
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.values import Operation

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
            claimed.extend(row.pk for row in mine)

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
