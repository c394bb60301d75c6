"""Hits one limit from some threads at the same moment, as a process of its own, and prints how many passed.

    python -m tests.faults.hitting NAME KEY THREADS TIMES

Begins when its standard input is closed, so that several of them begin together.
"""

from __future__ import annotations

import os
import sys
import threading

import django


def main(name: str, key: str, threads: int, times: int) -> int:
    from django.conf import settings
    from django.db import connection

    from wagtail_prefs.access import limits

    # The defaults: those of the tests let more through.
    settings.WAGTAIL_PREFS = {
        name: value for name, value in settings.WAGTAIL_PREFS.items() if name != "LIMITS"
    }
    if os.environ.get("HITTING_REDIS"):
        from tests.redis_server import cache_of

        settings.CACHES = cache_of(os.environ["HITTING_REDIS"])
    passed: list[bool] = []
    ready = threading.Barrier(threads + 1)

    def work() -> None:
        limits.hit("api_read", "warm up")
        connection.ensure_connection()
        ready.wait()
        try:
            for _ in range(times):
                passed.append(limits.hit(name, key).allowed)  # noqa: PERF401 - it counts what passed before an error
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    print("ready", flush=True)
    sys.stdin.read()
    ready.wait()
    for worker in workers:
        worker.join()
    assert len(passed) == threads * times
    print(sum(passed), flush=True)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
