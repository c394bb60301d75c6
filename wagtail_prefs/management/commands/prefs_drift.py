"""Compare a backend with what we hold, or with another backend, field by field."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ...conf import conf
from ...sync import comparing
from ...sync.drift import Kind
from ...sync.models import DriftRun

#: Seconds between two lines that say how far it is, and of one step.
EVERY, STEP = 2.0, 5.0


class Command(BaseCommand):
    """Reads people back from a backend and tells what differs; with `--repair`, puts it right toward less mail."""

    help = (
        "Reads what a backend holds of people and compares it with what was saved here, field by field; with --against, "
        "with another backend. Nothing is changed without --repair: then whoever gets more there than here is delivered "
        "once more, and whoever gets less there is recorded here as if the platform had told us. May be stopped (SIGTERM, "
        "Ctrl-C, kill): run again, it goes on, or the worker does. Exit code: 0 when nothing differs, 1 when something "
        "does or it was interrupted, 2 for arguments that cannot be used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("alias", metavar="ALIAS", help="The backend to read, as BACKENDS names it.")
        parser.add_argument(
            "--against", metavar="ALIAS", default="", help="Compare with this backend instead."
        )
        parser.add_argument(
            "--sample",
            type=int,
            default=0,
            metavar="N",
            help="Look at about so many people, drawn at random.",
        )
        parser.add_argument("--repair", action="store_true", help="Put right what differs, toward less mail.")
        parser.add_argument("--stop", action="store_true", help="End the comparison that is under way.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.json: bool = options["json"]
        alias, against = options["alias"], options["against"]
        known = ", ".join(sorted(conf.backends)) or "none"
        for one in filter(None, (alias, against)):
            if one not in conf.backends:
                raise CommandError(f"No backend {one}. Configured: {known}.", returncode=2)
        if against == alias or (against and options["repair"]) or options["sample"] < 0:
            raise CommandError(
                "--against wants another backend, and no --repair: neither of two is what she said. --sample is positive.",
                returncode=2,
            )
        if options["stop"]:
            stopped = comparing.stop(alias)
            self._say(
                {"event": "stopped", "was_running": stopped}, "stopped" if stopped else "nothing to stop"
            )
            return
        run = self._run(alias, sample=options["sample"], repairs=options["repair"], against=against)
        self._wait(run)
        self._report(run)
        if run.finished_at is None or run.code or run.differing:
            raise SystemExit(1)

    def _run(self, alias: str, **wanted: Any) -> DriftRun:
        try:
            run, event = comparing.start(alias, **wanted), "started"
        except comparing.NotReadable as error:
            raise CommandError(f"{error} cannot be read back.", returncode=2) from error
        except comparing.Running as error:
            under_way = comparing.running().filter(backend=alias).first()
            if under_way is None or any(getattr(under_way, name) != value for name, value in wanted.items()):
                raise CommandError(
                    "Another comparison of it is under way. Wait for it, or end it: prefs_drift ALIAS --stop.",
                    returncode=2,
                ) from error
            run, event = under_way, "resumed"
        self._say(
            {"event": event, "backend": alias, "checked": run.checked, "total": run.sample or run.total},
            f"{event}: {run.checked} of about {min(run.sample or run.total, run.total)} people",
        )
        return run

    def _wait(self, run: DriftRun) -> None:
        stopped = threading.Event()
        said = time.monotonic()
        with _signals(stopped):
            while run.finished_at is None and not stopped.is_set():
                comparing.step(run, STEP, stopped.is_set)
                if time.monotonic() - said >= EVERY:
                    said = time.monotonic()
                    why = f", waiting ({run.code})" if run.busy_until else ""
                    self._say(
                        {
                            "event": "progress",
                            "checked": run.checked,
                            "differing": run.differing,
                            "code": run.code,
                        },
                        f"{run.checked} looked at, {run.differing} differ{why}",
                    )
                busy_until = run.busy_until
                if busy_until is not None:
                    wait = (busy_until - timezone.now()).total_seconds()
                    stopped.wait(min(max(wait, 0.05), EVERY))

    def _report(self, run: DriftRun) -> None:
        event = "ended" if run.finished_at else "interrupted"
        sums = {
            name: getattr(run, name)
            for name in ("checked", "differing", "unknown", "failed", "repaired", "code", "fields")
        }
        if self.json:
            self._say({"event": event, **sums}, "")
            return
        for name, found in sorted(run.fields.items()):
            told = ", ".join(
                f"{kind.value.replace('_', ' ')} {found[kind.value]}" for kind in Kind if found[kind.value]
            )
            self._say({}, f"{name}: {told}")
            self._say({}, f"    such as {', '.join(found['contacts'][:3])}")
        self._say(
            {},
            f"{event}: {run.checked} looked at, {run.differing} differ, {run.unknown} not known there, "
            f"{run.failed} could not be read, {run.repaired} put right"
            + (f" ({run.code})" if run.code else ""),
        )

    def _say(self, data: dict[str, Any], text: str) -> None:
        self.stdout.write(json.dumps(data) if self.json else text)
        self.stdout.flush()


@contextmanager
def _signals(stopped: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C end it after the person under way."""
    handlers = {
        number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
