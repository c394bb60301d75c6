"""What a platform may have heard of is known to the row, however the round ended: whoever is erased must be forgotten there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.utils import timezone

from tests.delivery.crm import CRMS, Crm
from tests.delivery.people import HERSELF, JOIN, LEAVE, person, row
from wagtail_prefs.delivery import rows
from wagtail_prefs.delivery.engine import deliver
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Operation, Outcome, Source

pytestmark = pytest.mark.django_db


def erase(contact: UUID) -> None:
    submissions.erase(contact, actor=HERSELF, source=Source(method="python"))


def test_who_was_told_of_in_part_is_forgotten_over_there(configure: Callable[..., Any]) -> None:
    """The first of two operations arrived; then the worker was stopped."""
    configure(crm={"SPLIT": True})
    crm = CRMS.setdefault("crm", Crm())
    contact = person("anna", JOIN, LEAVE)
    deliver("crm", stopping=lambda: bool(crm.calls))
    assert [operation.kind for operation in crm.calls[0]] == ["unsubscribe"]
    erase(contact)
    run_once()
    assert [identifiers.email for identifiers in crm.erased] == ["anna@mail.example.org"]


def test_who_was_told_of_by_a_call_that_ended_the_process_is_forgotten_over_there(crm: Crm) -> None:
    contact = person("anna", JOIN)

    def killed(_: Sequence[Operation]) -> None:
        raise KeyboardInterrupt

    crm.during = killed
    with pytest.raises(KeyboardInterrupt):
        deliver("crm")
    crm.during = None
    assert row(contact).lease is None
    erase(contact)
    run_once()
    assert [identifiers.email for identifiers in crm.erased] == ["anna@mail.example.org"]


def test_who_was_in_the_hands_of_a_worker_that_died_is_forgotten_over_there(
    crm: Crm, clock: time_machine.Traveller
) -> None:
    """Nobody knows how far it had come; the next worker takes the row, and gives it back unsaid."""
    contact = person("anna", JOIN)
    now = timezone.now()
    rows.claim("crm", uuid4(), now=now, until=now + timedelta(minutes=5), limit=10)
    clock.shift(timedelta(minutes=6))
    deliver("crm", stopping=lambda: True)
    assert row(contact).lease is None
    erase(contact)
    run_once()
    assert len(crm.erased) == 1


def test_who_was_never_told_of_is_nobody_over_there(crm: Crm) -> None:
    """Claimed, and given back before anything was said."""
    contact = person("anna", JOIN)
    deliver("crm", stopping=lambda: True)
    assert (row(contact).last_outcome, row(contact).lease) == ("", None)
    erase(contact)
    assert row(contact).retired == ""
    run_once()
    assert crm.erased == []


def test_a_known_outcome_stays(crm: Crm, clock: time_machine.Traveller) -> None:
    contact = person("anna", JOIN)
    crm.script.append(Outcome.RETRY)
    run_once()
    clock.shift(timedelta(seconds=10))

    def killed(_: Sequence[Operation]) -> None:
        raise KeyboardInterrupt

    crm.during = killed
    with pytest.raises(KeyboardInterrupt):
        deliver("crm")
    assert row(contact).last_code == "scripted-retry"


@pytest.mark.usefixtures("crm")
def test_who_is_being_told_of_for_the_first_time_is_told_again() -> None:
    """Her call may have landed before the erasure that took her along."""
    contact, unheard = person("anna", JOIN), person("ben", JOIN)
    now = timezone.now()
    rows.claim("crm", uuid4(), now=now, until=now + timedelta(minutes=1), limit=1)
    assert rows.deliver_again("crm", [contact, unheard], now) == 1
    assert row(contact).lease is None
    assert row(unheard).restricts is False
