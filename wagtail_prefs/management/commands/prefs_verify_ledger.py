"""Verify the ledger: every record against its chain, its columns, its personal values and the seals."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from ...conf import conf
from ...contacts.models import Contact
from ...errors import UnknownContact
from ...ledger import guard, seals
from ...ledger.models import Record
from ...ledger.verify import Report, Verifier
from ...submissions.audit import differences

WHOLE, BROKEN, WRONG_USE, UNGUARDED, INTERRUPTED = 0, 1, 2, 3, 130
#: Seconds between two words about the progress.
EVERY = 0.5
#: So many states that differ are enough to know.
MOST = 100


class Command(BaseCommand):
    """Reads only, unless `--seal` is given."""

    help = (
        "Verifies the ledger: that no record was changed, deleted, inserted or swapped. Names the first bad record of "
        "each contact. Exit codes: 0 whole, 1 broken, 2 wrong arguments, 3 whole but the database does not guard it, "
        "130 interrupted. Reads page by page, and locks nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seals",
            metavar="FILE",
            type=Path,
            help="The seals as they left the database. Without them its own table of seals is asked, and whoever cut "
            "off the newest records may have cut off their seals too.",
        )
        parser.add_argument("--contact", type=UUID, metavar="UUID", help="Only the records of this contact.")
        parser.add_argument(
            "--seal",
            action="store_true",
            help="If the ledger is whole: seal what no seal holds, however old, and hand the seals out.",
        )
        parser.add_argument(
            "--state",
            action="store_true",
            help="Also compute every contact's state from her records alone, and name the paths where it differs from "
            "what stands in the tables. Takes a few statements a contact.",
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument("--no-progress", action="store_true", help="Say nothing until the end.")

    def handle(self, *args: Any, **options: Any) -> None:
        contact: UUID | None = options["contact"]
        if options["seal"] and contact:
            raise CommandError("--seal is for the whole ledger, not for one --contact", returncode=WRONG_USE)
        with _lines(options["seals"]) as lines:
            verifier = Verifier(lines, contact=contact)
            report, interrupted = verifier.report, False
            progress = self._progress(contact) if self._shows(options) else None
            differing: dict[str, list[str]] | None = None
            try:
                verifier.run(progress)
                if options["state"]:
                    differing = self._states(contact, shown=progress is not None)
            except KeyboardInterrupt:
                interrupted = True
            except OSError as error:
                raise CommandError(
                    f"{options['seals'] or 'a temporary file'}: {error.strerror}", returncode=WRONG_USE
                ) from error
        if progress:
            self._draw("")
        sealed = None
        if options["seal"] and not interrupted and report.codes.keys() <= {"unsealed"}:
            sealed = seals.seal(timezone.now(), everything=True)
            seals.export(timezone.now())
        unguarded = guard.missing(DEFAULT_DB_ALIAS) if conf.ledger_guard else []
        whole = not interrupted and (report.ok or sealed is not None) and not differing
        if options["json"]:
            made = None if sealed is None else len(sealed)
            self._say_json(report, whole, interrupted, unguarded, made, differing)
        else:
            self._say_states(differing or {})
            self._say(report, whole, interrupted, unguarded, None if sealed is None else len(sealed))
            if options["seals"] is None:
                self.stdout.write(
                    "Verified by the seals in the database alone: give those that left it with --seals."
                )
        self._end(interrupted=interrupted, whole=whole, guarded=not unguarded)

    def _end(self, *, interrupted: bool, whole: bool, guarded: bool) -> None:
        if interrupted:
            raise SystemExit(INTERRUPTED)
        if not whole:
            raise SystemExit(BROKEN)
        if not guarded:
            raise SystemExit(UNGUARDED)

    def _states(self, contact: UUID | None, *, shown: bool) -> dict[str, list[str]]:
        """Where states differ from their records: {contact: paths}. Many of them would all have one cause."""
        people = Contact.objects.order_by("pk")
        if contact:
            people = people.filter(pk=contact)
        found: dict[str, list[str]] = {}
        total = people.count() if shown else 0
        for number, one in enumerate(people.values_list("pk", flat=True).iterator(), 1):
            try:
                paths = differences(one)
            except UnknownContact:
                continue  # gone since we looked
            except ValueError:
                paths = ["(the chain has a hole)"]
            if paths:
                found[str(one)] = paths
                if len(found) == MOST:
                    break
            if shown and number % 100 == 0:
                self.stderr.write(f"\r\033[K{number:,} of {total:,} states, {len(found):,} differ", ending="")
                self.stderr.flush()
        return found

    def _say_states(self, differing: dict[str, list[str]]) -> None:
        for reference, paths in differing.items():
            self.stdout.write(
                f"contact {reference}: the state is not what the records say: {', '.join(paths)}"
            )

    def _say_json(
        self,
        report: Report,
        whole: bool,
        interrupted: bool,
        unguarded: list[str],
        sealed: int | None,
        differing: dict[str, list[str]] | None,
    ) -> None:
        said = {**report.to_json(), "whole": whole, "interrupted": interrupted, "guard_missing": unguarded}
        self.stdout.write(json.dumps({**said, "seals_made": sealed, "states_differing": differing}, indent=2))

    def _say(
        self, report: Report, whole: bool, interrupted: bool, unguarded: list[str], sealed: int | None
    ) -> None:
        say = self.stdout.write
        for problem in report.problems:
            say(str(problem))
        if report.total > len(report.problems):
            say(f"... and {report.total - len(report.problems):,} more.")
        say(
            f"{report.records:,} records of {report.contacts:,} contacts, {report.values:,} personal values, "
            f"{report.seals:,} seals; {report.unsealed:,} records are in no seal"
        )
        if report.sealed_until:
            # Who keeps seals from leaving, and cuts later, is found out by this alone.
            say(f"The newest seal is of {report.sealed_until:%Y-%m-%d %H:%M:%S} UTC.")
        if report.torn:
            say(f"{report.torn:,} lines of seals were left unfinished, by a crash presumably.")
        if sealed is not None:
            say(f"{sealed:,} seals made.")
        for trigger in unguarded:
            say(f"The database does not guard the ledger: {trigger} is missing. Run manage.py migrate.")
        if interrupted:
            say("Interrupted. What is above was found so far.")
        elif whole:
            say("The ledger is whole.")
        elif not report.ok:
            say(f"The ledger is broken: {report.total:,} problems. First: {report.first}")
        else:
            say("The ledger is whole, and today's state is not what it says.")

    def _shows(self, options: dict[str, Any]) -> bool:
        return not options["no_progress"] and self.stderr.isatty()

    def _progress(self, contact: UUID | None) -> Any:
        of = Record.objects.filter(contact_ref=contact) if contact else Record.objects.all()
        total, start, last = of.count(), time.monotonic(), 0.0

        def show(report: Report) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < EVERY:
                return
            last = now
            rate = report.records / max(now - start, 0.001)
            left = (
                f", {_clock((total - report.records) / rate)} left" if rate and total > report.records else ""
            )
            text = f"{report.records:,} of {total:,} records, {rate:,.0f}/s{left}, {report.total:,} problems"
            if not report.records:
                text = f"{report.seals:,} seals"
            self._draw(text)

        return show

    def _draw(self, text: str) -> None:
        """In place of what stood on the line; not in the colour of errors."""
        self.stderr.write(f"\r\033[K{text}", style_func=str, ending="")
        self.stderr.flush()


@contextmanager
def _lines(path: Path | None) -> Iterator[IO[bytes] | None]:
    """The lines of the file, None without one."""
    if path is None:
        yield None
    elif str(path) == "-":
        yield sys.stdin.buffer
    else:
        try:
            file = path.open("rb")
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}", returncode=WRONG_USE) from error
        with file:
            yield file


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
