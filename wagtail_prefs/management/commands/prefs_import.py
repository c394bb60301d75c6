"""Bring people in from a CSV."""

from __future__ import annotations

import csv
import json
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...sync import importing
from ...sync.codes import FINE, WORDS, Code
from ...sync.reading import BadFile, Source
from ..audiences import audience_of

#: Rows between two lines that say how far it is.
EVERY = 1000


class Command(BaseCommand):
    """Says what a file would come to; with `--write`, carries it out."""

    help = (
        "Says what a CSV of people would come to, and writes nothing; with --write, carries it out. It may be stopped "
        "(SIGTERM, Ctrl-C) and run again: it goes on where it was, and a file that was written to its end changes "
        "nothing any more. Exit code: 0 when it is through, 1 when it was stopped, 2 for a file or arguments that "
        "cannot be used. No address is printed: rows are named by their numbers."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, help="UTF-8, commas, semicolons or tabs, columns named in row 1."
        )
        parser.add_argument("--write", action="store_true", help="Write; without it nothing is.")
        parser.add_argument(
            "--audience", metavar="KEY", help="Whose people these are; needed where there is more than one."
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="HEADER=COLUMN",
            help='What a column means, as in "Mail=email"; "HEADER=" leaves it out. Can be repeated.',
        )
        parser.add_argument(
            "--report", type=Path, metavar="CSV", help="Where to write which rows were left out, and why."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.json: bool = options["json"]
        audience = audience_of(options["audience"])
        stopped = threading.Event()
        sums: dict[str, int] = {}
        row = said = 0
        ended = True
        try:
            source = Source(options["file"], _mapping(options["map"]))
            if options["write"]:
                steps = importing.run(source, audience, stopping=stopped.is_set)
            else:
                steps = importing.forecast(source, audience)
            with _report(options["report"]) as report, _signals(stopped):
                for step in steps:
                    row, sums = step.row, dict(step.sums)
                    report.writerows(_left_out(step.outcomes))
                    if row - said >= EVERY:
                        said = row
                        self._say({"event": "progress", "row": row}, f"row {row}")
                    if stopped.is_set():
                        break
            # A stop that came with the last rows stopped nothing.
            ended = importing.is_done(source, audience) if options["write"] else not stopped.is_set()
        except BadFile as problem:
            raise CommandError(f"This file cannot be imported: {problem}.", returncode=2) from problem
        except OSError as problem:
            raise CommandError(
                f"The report cannot be written: {problem.strerror}.", returncode=2
            ) from problem
        self._end(sums, row, ended=ended, written=options["write"])
        if not ended:
            raise SystemExit(1)

    def _end(self, sums: dict[str, int], row: int, *, ended: bool, written: bool) -> None:
        event = "ended" if ended else "stopped"
        if self.json:
            self._say({"event": event, "written": written, "row": row, "sums": sums}, "")
            return
        for code in Code:
            if sums.get(code):
                self._say({}, f"{sums[code]:>9}  {WORDS[code]}")
        if not ended:
            self._say({}, f"stopped after row {row}; run the same again to go on")
        elif written:
            self._say({}, "written" if row else "nothing to do: this file was written before")
        else:
            self._say({}, "nothing was written; add --write to do so")

    def _say(self, data: dict[str, Any], text: str) -> None:
        self.stdout.write(json.dumps(data) if self.json else text)
        self.stdout.flush()


def _mapping(given: Iterable[str]) -> dict[str, str]:
    found = {}
    for item in given:
        header, equals, column = item.partition("=")
        if not equals:
            raise CommandError(f"--map wants HEADER=COLUMN, not {item!r}.", returncode=2)
        found[header] = column.strip().casefold()
    return found


def _left_out(outcomes: Iterable[importing.Outcome]) -> Iterator[list[object]]:
    """Numbers and words of ours, nothing of the file: so nothing that a spreadsheet could take for a formula."""
    for outcome in outcomes:
        for code in outcome.codes:
            if code not in FINE:
                yield [outcome.row, code.value, str(WORDS[code])]


class _Nowhere:
    """A report that nobody asked for."""

    def writerows(self, rows: Iterable[list[object]]) -> None:
        """Drop them."""


@contextmanager
def _report(path: Path | None) -> Iterator[Any]:
    if path is None:
        yield _Nowhere()
        return
    file: IO[str]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "code", "why"])
        yield writer


@contextmanager
def _signals(stopped: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C end it after the rows under way."""
    handlers = {
        number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
