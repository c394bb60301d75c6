"""Exchanges that end in time, however many there are at once, and in whichever process."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from wagtail_prefs.backends import connections
from wagtail_prefs.backends.connections import deadline

PATIENCE = 20.0


def is_ended(seconds: float) -> bool:
    """Whether an exchange with so much time, in which nothing ever comes, is ended by its deadline."""
    ours, theirs = socket.socketpair()
    with ours, theirs, deadline(seconds) as limit:
        limit.watch(ours)
        ours.settimeout(PATIENCE)
        return ours.recv(1) == b"" and limit.passed


def test_the_shorter_one_ends_first_though_it_began_last() -> None:
    order: list[str] = []

    def wait(name: str, seconds: float, begun: threading.Event) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, deadline(seconds) as limit:
            limit.watch(ours)
            ours.settimeout(PATIENCE)
            begun.set()
            assert ours.recv(1) == b""
            order.append(name)

    threads = []
    for name, seconds in (("long", 1.5), ("short", 0.2)):
        begun = threading.Event()
        threads.append(threading.Thread(target=wait, args=(name, seconds, begun)))
        threads[-1].start()
        assert begun.wait(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == ["short", "long"]


def test_what_was_done_in_time_is_not_ended_and_not_kept() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(200):
            with deadline(60) as limit:
                limit.watch(ours)
        theirs.send(b"x")
        assert ours.recv(1) == b"x"
        assert not limit.passed
    assert sum(entry[2].done for entry in connections._watch._ends) <= 1
    limit.expire()
    assert not limit.passed


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_process_that_was_forked_ends_its_own() -> None:
    """As Celery and gunicorn do it, after the parent has had deadlines."""
    assert is_ended(0.05)
    child = os.fork()
    if child == 0:  # nothing of pytest may run here
        code = 1
        try:
            code = 0 if is_ended(0.05) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
