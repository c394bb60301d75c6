"""Put what stands in the database under the newest keys."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...rights.at_rest import BATCH, Tally, rekey


class Command(BaseCommand):
    """A dry run by default. May be stopped: what is done stays, and another run finds the rest."""

    help = (
        "Encrypts addresses, answers and old values under the first of ENCRYPTION_KEYS, and moves the digests of addresses to "
        "the first of PEPPERS, while the site runs. Says what would change; --apply does it. Suppressions stay under theirs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="Do it.")
        parser.add_argument(
            "--after", metavar="ID", help="Go on behind this contact, as a run that was stopped said."
        )
        parser.add_argument("--batch", type=int, default=BATCH, help=f"People at once (default: {BATCH}).")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch is at least 1.", returncode=2)
        tally = Tally()
        for number, tally in enumerate(
            rekey(write=options["apply"], after=_after(options["after"]), batch=options["batch"]), 1
        ):
            if number % 50 == 0:
                self.stderr.write(f"{tally.people} people, {tally.moved} moved; last: {tally.last}")
        if options["json"]:
            self.stdout.write(json.dumps(tally.to_json()))
        else:
            verb = "moved" if options["apply"] else "to move"
            self.stdout.write(
                f"{tally.people} people. {verb.capitalize()}: {tally.addresses} addresses, {tally.digests} digests of "
                f"addresses, {tally.attributes} sets of answers, {tally.values} values of the ledger."
            )
        if not options["apply"]:
            self.stderr.write("Nothing was changed: this was a dry run. --apply does it.")
        if tally.unreadable:
            raise CommandError(
                f"{tally.unreadable} values cannot be read: their key is not in ENCRYPTION_KEYS, or they were changed."
            )


def _after(given: str | None) -> UUID | None:
    try:
        return UUID(given) if given else None
    except ValueError:
        raise CommandError("--after is the id of a contact.", returncode=2) from None
