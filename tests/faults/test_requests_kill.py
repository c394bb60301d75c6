"""A worker that loses the database with a request in its hands leaves it as it was, and holds up no other."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from tests import factories
from tests.submissions.sign_ups import ask_link, mails, sign_up, told, who
from wagtail_prefs.access.models import AccessRequest, OneTimeLink
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.requests import work_off

ANNA, BEA = "anna@mail.example.org", "bea@mail.example.org"


class Worker(threading.Thread):
    """Works requests off on a connection of its own; `process` is the server's process of it."""

    def __init__(self) -> None:
        super().__init__()
        self.process = 0
        self.outcome: Any = None
        self.begun = threading.Event()

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.process = cursor.fetchone()[0]
            self.begun.set()
            self.outcome = work_off()
        except DatabaseError as error:
            self.outcome = error
        finally:
            connection.close()


def until(condition: str, *values: object) -> None:
    """Wait until the server says so."""
    patience = time.monotonic() + 30
    while time.monotonic() < patience:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {condition}", values)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError(condition)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_connection_of_a_worker_is_killed_with_a_request_in_its_hands() -> None:
    center = factories.make_center()
    contact = factories.make_contact(ANNA)
    factories.make_contact(BEA)
    sign_up(center, ANNA, "news")
    ask_link(center, BEA)
    worker = Worker()
    with transaction.atomic():
        # Anna is busy, so the worker stands where it has deleted the row and written nothing yet.
        Contact.objects.select_for_update().get(pk=contact.pk)
        worker.start()
        assert worker.begun.wait(30)
        until(
            "count(*) > 0 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'", worker.process
        )
        until("pg_terminate_backend(%s)", worker.process)
        worker.join(30)
        assert not worker.is_alive()
    assert worker.outcome == 1  # Bea's, by a new connection
    assert AccessRequest.objects.get().address == ANNA
    assert not OneTimeLink.objects.exists()
    assert [mail.to for mail in mails()] == [BEA]
    AccessRequest.objects.update(due_at=timezone.now())
    assert work_off() == 1
    assert sorted((mail.kind, mail.to) for mail in mails()) == [("access_link", BEA), ("confirm", ANNA)]
    assert told(who(ANNA).pk) == [("system", [("pending:news:email", "requested")])]
    assert differences(contact.pk) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_one_that_waits_holds_up_no_other_worker() -> None:
    center = factories.make_center()
    contact = factories.make_contact(ANNA)
    factories.make_contact(BEA)
    ask_link(center, ANNA)
    ask_link(center, BEA)
    first, second = Worker(), Worker()
    with transaction.atomic():
        Contact.objects.select_for_update().get(pk=contact.pk)
        first.start()
        assert first.begun.wait(30)
        until("count(*) > 0 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'", first.process)
        second.start()
        second.join(30)
        assert second.outcome == 1  # Bea's; Anna's is the first one's
    first.join(30)
    assert first.outcome == 1
    assert sorted(mail.to for mail in mails()) == [ANNA, BEA]
    assert not AccessRequest.objects.exists()
