"""Workers die between a call and its note, and work side by side: each wish arrives, repeats have the same id."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from tests.delivery.people import JOIN, OUT, person, save
from tests.faults.delivering import Receiver, eventually, worker
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.contacts.services import load_target
from wagtail_prefs.delivery.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)


def all_delivered() -> bool:
    return not Delivery.objects.filter(due_at__isnull=False).exists()


@pytest.mark.parametrize("fatal", [1, 4])
def test_a_worker_killed_between_call_and_note_loses_nothing(
    httpserver: HTTPServer, settings: Settings, tmp_path: Path, fatal: int
) -> None:
    receiver = Receiver(httpserver)
    settings.WAGTAIL_PREFS = receiver.options()
    people = [person(f"p{number}", JOIN) for number in range(5)]
    save(people[-1], OUT)
    connection.close()
    victims: list[subprocess.Popen[bytes]] = []

    def kill(count: int) -> None:
        if count == fatal:
            os.kill(victims[0].pid, signal.SIGKILL)
            victims[0].wait()

    receiver.before_answer = kill
    with worker(tmp_path / "first", receiver.options(lease=5)) as process:
        victims.append(process)
        eventually(lambda: process.poll() is not None)
    assert process.returncode == -signal.SIGKILL
    assert len(receiver.log) == fatal
    killed_in = receiver.log[-1]
    with worker(tmp_path / "second", receiver.options()):
        eventually(all_delivered)
    ids = Counter(message for message, _ in receiver.log)
    assert ids.pop(killed_in[0]) == 2
    assert set(ids.values()) == {1}
    assert [body for message, body in receiver.log if message == killed_in[0]] == [killed_in[1]] * 2
    assert receiver.repeats == 1
    for contact in people:
        state = desired_state(load_target(contact))
        assert {name: receiver.contacts[str(contact)][name] for name in state} == state
    assert receiver.log[0][0].startswith(f"hook-{people[-1].hex}-2-")  # the opt-out went first


def test_two_workers_deliver_each_row_once(
    httpserver: HTTPServer, settings: Settings, tmp_path: Path
) -> None:
    receiver = Receiver(httpserver)
    settings.WAGTAIL_PREFS = receiver.options()
    for number in range(80):
        person(f"p{number}", JOIN)
    connection.close()
    with worker(tmp_path / "first", receiver.options()), worker(tmp_path / "second", receiver.options()):
        eventually(all_delivered)
    assert len(receiver.log) == 80
    assert receiver.repeats == 0
    assert len(receiver.contacts) == 80
