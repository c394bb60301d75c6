"""Bring one backend up to everybody."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...conf import conf
from ...delivery import backfill
from ...delivery.models import Backfill

#: Seconds between two lines that say how far it is, and between two looks whether there is room for more.
EVERY, LOOK = 2.0, 0.5


class Command(BaseCommand):
    """Starts, resumes, watches or stops a backfill. The rows are brought over by the worker."""

    help = (
        "Brings one backend up to everybody who ever saved something: for a new platform, or one that has lost what it "
        "knew. The worker (prefs_deliver --loop) goes on with it by itself; --wait feeds it from here and shows how far "
        "it is. It may be stopped (SIGTERM, Ctrl-C, kill) and goes on where it was. Exit code: 0 when all are queued, or "
        "when it was started without --wait; 1 when it was interrupted; 2 for arguments that cannot be used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("alias", metavar="ALIAS", help="The backend, as BACKENDS names it.")
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--wait", action="store_true", help="Stay until all are queued, and show how far it is."
        )
        how.add_argument(
            "--stop", action="store_true", help="End the one under way. What is queued stays so."
        )
        parser.add_argument(
            "--again",
            action="store_true",
            help="Also tell again of those whom the backend knows as they are.",
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.json: bool = options["json"]
        alias: str = options["alias"]
        if alias not in conf.backends:
            known = ", ".join(sorted(conf.backends)) or "none"
            raise CommandError(f"No backend {alias}. Configured: {known}.", returncode=2)
        if options["stop"]:
            stopped = backfill.stop(alias)
            self._say(
                {"event": "stopped", "was_running": stopped}, "stopped" if stopped else "nothing to stop"
            )
            return
        run = self._run(alias, again=options["again"])
        if options["wait"]:
            self._wait(run)
        else:
            self._say({}, "the worker goes on with it; --wait shows how far it is")

    def _run(self, alias: str, *, again: bool) -> Backfill:
        try:
            run, event = backfill.start(alias, again=again), "started"
        except backfill.Running:
            under_way = backfill.running().filter(backend=alias).first()
            if under_way is None:  # it has just ended
                run, event = backfill.start(alias, again=again), "started"
            else:
                run, event = under_way, "resumed"
        if again and not run.again:
            raise CommandError(
                "One without --again is under way. Stop it first: prefs_backfill ALIAS --stop.", returncode=2
            )
        self._say(
            {"event": event, "backend": alias, "seen": run.seen, "total": run.total, "again": run.again},
            f"{event}: {run.seen} of {run.total} people",
        )
        return run

    def _wait(self, run: Backfill) -> None:
        stopped = threading.Event()
        began, first, said = time.monotonic(), run.seen, time.monotonic()
        with _signals(stopped):
            while run.finished_at is None and run.stopped_at is None and not stopped.is_set():
                before = run.seen
                backfill.feed_one(run, chunks=1)
                now = time.monotonic()
                if now - said >= EVERY:
                    said = now
                    self._progress(run, (run.seen - first) / (now - began))
                if run.seen == before and run.finished_at is None:
                    # Enough waits already, or the worker has fed.
                    stopped.wait(LOOK)
                    run.refresh_from_db()
        ended = run.finished_at is not None
        data = {
            "event": "ended" if ended else "interrupted",
            "seen": run.seen,
            "total": run.total,
            "queued": run.queued,
            "waiting": backfill.waiting(run.backend, backfill.MOST),
        }
        self._say(data, f"{data['event']}: {run.seen} people looked at, {run.queued} queued")
        if not ended:
            raise SystemExit(1)

    def _progress(self, run: Backfill, rate: float) -> None:
        most = backfill.room(run.backend)
        waiting = backfill.waiting(run.backend, most)
        left = max(run.total - run.seen, 0)
        seconds = round(left / rate) if rate else None
        self._say(
            {
                "event": "progress",
                "seen": run.seen,
                "total": run.total,
                "queued": run.queued,
                "waiting": waiting,
                "a_second": round(rate, 1),
                "seconds_left": seconds,
            },
            f"{run.seen} of {run.total} people, {run.queued} queued, {waiting} waiting, {rate:.0f} a second, "
            + (f"{_length(seconds)} left" if seconds is not None else "waiting for the worker to deliver"),
        )

    def _say(self, data: dict[str, Any], text: str) -> None:
        if self.json and not data:
            return
        self.stdout.write(json.dumps(data) if self.json else text)
        self.stdout.flush()


def _length(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


@contextmanager
def _signals(stopped: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C end it after the chunk under way."""
    handlers = {
        number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
