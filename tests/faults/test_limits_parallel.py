"""200 requests at the same moment, of two processes: exactly the limit passes (security.md AB-03)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from tests.faults.delivering import PATIENCE, ROOT, _database_url
from tests.redis_server import cache_of
from wagtail_prefs.access import limits
from wagtail_prefs.access.models import Hits

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES, THREADS, TIMES = 2, 10, 10


def hit_together(name: str, key: str, redis: str = "") -> int:
    """How many of 200 passed."""
    command = [sys.executable, "-m", "tests.faults.hitting", name, key, str(THREADS), str(TIMES)]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, "DATABASE_URL": _database_url(), "HITTING_REDIS": redis},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None  # `communicate` would flush it
    passed = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return sum(map(int, passed))


@pytest.mark.parametrize(("name", "limit"), [("link_network", 20), ("link_address", 1)])
def test_in_the_database(name: str, limit: int) -> None:
    assert hit_together(name, "203.0.113.7") == limit
    row = Hits.objects.get()
    assert (row.count, len(row.moments)) == (PROCESSES * THREADS * TIMES - limit, limit)


@pytest.mark.parametrize(("name", "limit"), [("link_network", 20), ("link_address", 1), ("api_read", 60)])
def test_on_redis(redis_url: str, settings: Settings, name: str, limit: int) -> None:
    settings.CACHES = cache_of(redis_url)
    assert hit_together(name, f"{name} of this test", redis=redis_url) == limit
    assert not Hits.objects.exists()


def test_what_is_rolled_back_was_not_counted_and_what_is_open_is_waited_for() -> None:
    """Why `hit` is called outside of a transaction; `tests/access/test_outside.py` holds the views to it."""
    with transaction.atomic():
        assert limits.hit("link_address", "a").allowed
        transaction.set_rollback(True)
    assert not Hits.objects.exists()

    order: list[str] = []

    def other() -> None:
        try:
            assert not limits.hit("link_address", "b").allowed
            order.append("other")
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        assert limits.hit("link_address", "b").allowed
        thread.start()
        thread.join(timeout=0.5)
        order.append("this")
    thread.join(timeout=PATIENCE)
    assert order == ["this", "other"]
