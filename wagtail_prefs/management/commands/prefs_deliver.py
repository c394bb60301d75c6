"""Deliver saved preferences to the configured backends, and send the mails that wait: ours, and those of the site."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ...conf import conf
from ...delivery import drain, rows
from ...delivery.engine import Tally
from ...delivery.worker import Worker
from ...mail import sending
from ...sending import drain as waiting, queue
from ..chores import CHORES


class Command(BaseCommand):
    """`--once` for cron, `--loop` for a service."""

    help = (
        "Delivers saved preferences to the backends, and sends the mails that wait. SIGTERM and Ctrl-C end it after "
        "the call under way; nothing is lost either way. Exit code of --once: 0 when everything is delivered and "
        "sent, 1 when something is left to do (it will be tried again), 2 for wrong arguments."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--once", action="store_true", help="Deliver what is due, then end (the default).")
        how.add_argument("--loop", action="store_true", help="Keep delivering until it is stopped.")
        parser.add_argument(
            "--interval", type=float, default=1.0, help="Seconds between two looks (default: 1)."
        )
        parser.add_argument(
            "--backend",
            action="append",
            metavar="ALIAS",
            help="Only this backend, and no mails; can be repeated.",
        )
        parser.add_argument(
            "--now",
            action="store_true",
            help="First make due what waits for its next try and what was parked, and try backends again that were "
            "left alone or given up: for after an outage.",
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        aliases = self._aliases(options["backend"])
        if not options["interval"] > 0:
            raise CommandError("--interval must be positive", returncode=2)
        self.json: bool = options["json"]
        self.totals = {alias: Tally() for alias in aliases}
        self._printing = threading.Lock()
        mails = not options["backend"]
        if options["now"]:
            made_due = drain.retry_now(aliases)
            self._say({"made_due": made_due}, f"{made_due} deliveries made due")
            if mails and (made_due := sending.retry_now()):
                self._say({"mails_made_due": made_due}, f"{made_due} mails made due")
        self.line = waiting.Drain()
        worker = Worker(
            aliases,
            report=self._report,
            mailed=self._report_mails if mails else None,
            chores=CHORES,
            rounds={"waiting": self._send_waiting} if mails else None,
        )
        handlers = {
            number: signal.signal(number, lambda *_: worker.stop())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            if options["loop"]:
                to = [*aliases, *(["mailboxes"] if mails else [])]
                self._say({"event": "started", "backends": aliases}, f"delivering to {', '.join(to)}")
                worker.loop(options["interval"])
            else:
                worker.once()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        left = self._summary(aliases) + (self._mails_left() if mails else 0)
        if left and not options["loop"]:
            raise SystemExit(1)

    def _aliases(self, asked: list[str] | None) -> list[str]:
        configured = sorted(conf.backends)
        unknown = sorted(set(asked or ()) - set(configured))
        if unknown:
            known = ", ".join(configured) or "none"
            raise CommandError(f"No backend {', '.join(unknown)}. Configured: {known}.", returncode=2)
        return sorted(set(asked)) if asked else configured

    def _report(self, alias: str, tally: Tally) -> None:
        total = self.totals[alias]
        total.claimed += tally.claimed
        total.done += tally.done
        total.failed += tally.failed
        if tally.claimed:
            self._say(
                {"event": "round", "backend": alias, "done": tally.done, "failed": tally.failed},
                f"{alias}: {tally.done} delivered, {tally.failed} failed",
            )

    def _report_mails(self, tally: sending.Tally) -> None:
        if tally.claimed:
            self._say(
                {"event": "mails", "sent": tally.sent, "failed": tally.failed, "given_up": tally.given_up},
                f"mail: {tally.sent} sent, {tally.failed} failed, {tally.given_up} given up",
            )

    def _send_waiting(self, stopping: Callable[[], bool]) -> None:
        """What was put off, and may go out now; `prefs_waiting` tells what waits on."""
        tally = self.line.run(stopping=stopping)
        if tally.claimed:
            self._say({"event": "waiting_mails", **asdict(tally)}, f"waiting mail: {tally}")

    def _mails_left(self) -> int:
        left = sending.waiting() + queue.overdue(timezone.now())
        if left:
            self._say({"event": "mails_left", "waiting": left}, f"{left} mails waiting")
        return left

    def _summary(self, aliases: list[str]) -> int:
        waiting = rows.waiting(aliases)
        done = sum(total.done for total in self.totals.values())
        failed = sum(total.failed for total in self.totals.values())
        self._say(
            {"event": "ended", "done": done, "failed": failed, "waiting": waiting},
            f"{done} delivered, {failed} failed, {waiting} waiting",
        )
        return waiting

    def _say(self, data: dict[str, Any], text: str) -> None:
        with self._printing:
            self.stdout.write(json.dumps(data) if self.json else text)
            self.stdout.flush()
