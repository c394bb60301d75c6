"""What a save leaves for the worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.delivery.crm import Crm
from tests.delivery.people import JOIN, OUT, person, row, save
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.services import want
from wagtail_prefs.writes import carry_out

pytestmark = pytest.mark.django_db


def test_one_statement_for_all_backends(
    configure: Callable[..., None], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    configure(a={}, b={}, c={})
    contact = uuid4()
    with django_assert_num_queries(1):
        carry_out(want(contact, 1, False))
    rows = Delivery.objects.filter(contact=contact).order_by("backend")
    assert [(r.backend, r.wanted, r.delivered, r.restricts, r.attempts, r.parked) for r in rows] == [
        (alias, 1, 0, False, 0, []) for alias in "abc"
    ]
    assert all(r.due_at is not None and r.lease is None for r in rows)


def test_no_backend_no_statement(
    configure: Callable[..., None], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    configure()
    with django_assert_num_queries(0):
        carry_out(want(uuid4(), 1, False))


@pytest.mark.usefixtures("crm")
def test_a_row_only_moves_forward(clock: time_machine.Traveller) -> None:
    contact = uuid4()
    carry_out(want(contact, 5, True))
    first = row(contact).due_at
    clock.shift(60)
    carry_out(want(contact, 3, False))
    after = row(contact)
    # An opt-out stays an opt-out until it is delivered, and a waiting row does not lose its place.
    assert (after.wanted, after.restricts, after.due_at) == (5, True, first)


@pytest.mark.usefixtures("crm")
def test_a_new_wish_is_tried_at_once(clock: time_machine.Traveller) -> None:
    contact = uuid4()
    carry_out(want(contact, 1, False))
    later = timezone.now() + timedelta(hours=10)
    for due_at in (later, None):
        Delivery.objects.update(due_at=due_at, attempts=6)
        carry_out(want(contact, 2, False))
        after = row(contact)
        assert (after.due_at, after.attempts) == (timezone.now(), 6)


@pytest.mark.usefixtures("crm")
def test_what_is_not_saved_is_not_wanted() -> None:
    contact = uuid4()
    with transaction.atomic():
        carry_out(want(contact, 1, False))
        transaction.set_rollback(True)
    assert not Delivery.objects.exists()


@pytest.mark.usefixtures("crm")
def test_a_save_wants_its_version() -> None:
    contact = person("anna", JOIN)
    assert (row(contact).wanted, row(contact).restricts) == (1, False)
    save(contact, OUT)
    assert (row(contact).wanted, row(contact).restricts) == (2, True)
    save(contact, OUT)  # nothing new
    assert row(contact).wanted == 2


def test_a_poll_walks_over_what_is_due_and_nothing_else(crm: Crm) -> None:
    """The index of the claim holds no row that has nothing to do, however many were delivered."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, Delivery._meta.db_table)
        assert "prefs_delivery_due" in constraints
        if connection.vendor == "postgresql":
            cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'prefs_delivery_due'")
        else:
            cursor.execute("SELECT sql FROM sqlite_master WHERE name = 'prefs_delivery_due'")
        (definition,) = cursor.fetchone()
    assert "IS NOT NULL" in definition
