"""A worker whose lease ran out cannot land an old opt-in over a newer opt-out: in the end the platform knows the newest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import JOIN, OUT, person, row, save
from wagtail_prefs.delivery.engine import Tally, deliver
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.values import Operation

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 60


class Slow:
    """A worker in a thread of its own, whose first call hangs until it is let go."""

    def __init__(self, crm: Crm) -> None:
        self.crm = crm
        self.hanging, self.free = threading.Event(), threading.Event()
        self.tally = Tally()
        crm.during = self._hang
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        assert self.hanging.wait(PATIENCE)

    def _hang(self, _: Sequence[Operation]) -> None:
        self.crm.during = None
        self.hanging.set()
        assert self.free.wait(PATIENCE)

    def _work(self) -> None:
        try:
            self.tally = deliver("crm")
        finally:
            connection.close()

    def land(self) -> None:
        """Its call reaches the platform now, and it notes what became of it."""
        self.free.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def test_an_old_opt_in_that_lands_late_is_made_good(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    slow = Slow(crm)
    clock.shift(timedelta(minutes=2))  # its lease is over
    save(contact, OUT)
    assert run_once().done == 1
    assert crm.contacts[str(contact)]["opted_out"] is True
    slow.land()
    assert crm.contacts[str(contact)]["opted_out"] is False  # the platform believes what it heard last
    assert slow.tally.done == 0
    assert (row(contact).restricts, row(contact).last_code) == (True, "lease-lost")
    assert run_once().done == 1
    assert crm.contacts[str(contact)]["opted_out"] is True
    assert row(contact).due_at is None


def test_also_while_the_second_worker_is_in_its_call(crm: Crm, clock: time_machine.Traveller) -> None:
    """The slow one lands, and notes it, before the other has noted what it said: both begin anew."""
    contact = person("anna", JOIN)
    slow = Slow(crm)
    clock.shift(timedelta(minutes=2))
    save(contact, OUT)

    def land(_: Sequence[Operation]) -> None:
        crm.during = None
        slow.land()

    crm.during = land
    deliver("crm")
    while row(contact).due_at is not None:
        run_once()
    assert crm.contacts[str(contact)]["opted_out"] is True
    assert row(contact).delivered == 2


def test_a_call_does_not_outlive_its_lease(
    configure: Callable[..., Any], clock: time_machine.Traveller
) -> None:
    """Each call begins with a lease that lasts for longer than any call, however long those before it took."""
    configure(crm={"BATCH": 1})
    crm = CRMS.setdefault("crm", Crm())
    people = [person(f"p{number}", JOIN) for number in range(6)]
    left: list[float] = []

    def look(operations: Sequence[Operation]) -> None:
        until = row(operations[0].contact).leased_until
        assert until is not None
        left.append((until - timezone.now()).total_seconds())
        clock.shift(11)

    crm.during = look
    assert deliver("crm").done == len(people)
    assert min(left) >= 12
