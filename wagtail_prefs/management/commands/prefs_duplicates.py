"""Look for contacts who may be one person."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ...rights import duplicates
from ...rights.models import DuplicateScan
from ...topics.models import Audience
from ...values import iso
from ..audiences import audience_of

#: Seconds between two lines that say how far it is, and the wait where the worker is at it just now.
EVERY, WAIT = 2.0, 0.2


class Command(BaseCommand):
    """Says what is open; with --apply carries a scan out from here. It merges nobody: that is for a person to decide."""

    help = (
        "Says how many pairs of an audience may be one person, and with --list which. With --apply it looks through its "
        "people for more, and notes the pairs; staff decide about them under Preferences > Duplicates. It may be stopped "
        "and run again: it goes on where it was, and so does the worker. Nothing is merged. Exit codes: 0 done, 1 "
        "interrupted, 2 arguments that cannot be used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--audience", metavar="KEY", help="Its key; without it the only one there is.")
        parser.add_argument(
            "--apply", action="store_true", help="Look for more. Without it nothing is written."
        )
        parser.add_argument(
            "--list", action="store_true", help="Look for nothing; list the open pairs by their ids."
        )
        parser.add_argument("--stop", action="store_true", help="End the one under way. What it found stays.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object at the end.")

    def handle(self, *args: Any, **options: Any) -> None:
        audience = audience_of(options["audience"])
        if options["stop"]:
            stopped = duplicates.stop(audience)
            self.stderr.write("Stopped." if stopped else "There is none under way.")
            return
        if options["list"]:
            self._list(audience, as_json=options["json"])
            return
        if not options["apply"]:
            self._tell(audience, as_json=options["json"])
            return
        scan = self._scan(audience, quiet=options["json"])
        waiting = duplicates.open_pairs([audience]).count()
        if options["json"]:
            numbers = {
                "looked_at": scan.looked_at,
                "found": scan.found,
                "crowds": scan.crowds,
                "open": waiting,
            }
            self.stdout.write(json.dumps(numbers))
        else:
            self.stdout.write(
                f"{scan.looked_at:,} people looked at, {scan.found:,} new pairs, {waiting:,} open; "
                f"{scan.crowds:,} times so many shared something that it says nothing."
            )

    def _tell(self, audience: Audience, *, as_json: bool) -> None:
        newest = DuplicateScan.objects.filter(audience=audience).order_by("-started_at", "-pk").first()
        waiting, people = duplicates.open_pairs([audience]).count(), duplicates.people_of(audience)
        if as_json:
            at = iso(newest.started_at) if newest else None
            under_way = newest is not None and newest.done_at is None
            numbers = {"people": people, "open": waiting, "searched_at": at, "under_way": under_way}
            self.stdout.write(json.dumps(numbers))
            return
        when = "never searched"
        if newest:
            word = "searched since" if newest.done_at is None else "searched last on"
            when = f"{word} {newest.started_at:%Y-%m-%d %H:%M} UTC"
        self.stdout.write(f"{people:,} people, {waiting:,} open pairs, {when}.")
        self.stderr.write("Nothing was looked for; --apply does it.")

    def _scan(self, audience: Audience, *, quiet: bool) -> DuplicateScan:
        try:
            scan = duplicates.start(audience, "prefs_duplicates")
        except duplicates.Running:
            scan = DuplicateScan.objects.get(audience=audience, done_at=None)
            self.stderr.write("Going on with the one under way.")
        said = time.monotonic()
        try:
            while scan.done_at is None:
                if not duplicates.step(scan.pk):
                    time.sleep(WAIT)  # the worker has this one
                scan.refresh_from_db()
                if not quiet and time.monotonic() - said >= EVERY:
                    said = time.monotonic()
                    self.stderr.write(f"{scan.looked_at:,} of {scan.total:,} people, {scan.found:,} pairs")
        except KeyboardInterrupt:
            self.stderr.write("Interrupted; run it again, or leave it to the worker.")
            raise SystemExit(1) from None
        return scan

    def _list(self, audience: Audience, *, as_json: bool) -> None:
        for pair in duplicates.open_pairs([audience]).order_by("found_at", "pk").iterator(500):
            line = {"first": str(pair.first), "second": str(pair.second), "share": pair.kinds}
            self.stdout.write(
                json.dumps(line) if as_json else f"{pair.first} {pair.second} {','.join(pair.kinds)}"
            )
