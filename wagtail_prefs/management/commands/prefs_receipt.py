"""Make a receipt or a consent record, or say whether a receipt is genuine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...errors import UnknownContact
from ...ledger.models import Record
from ...rights import consent_record, receipts
from ...rights.consent_record import IncompleteRecord
from ...rights.receipts import Checked, Verdict

NOT_GENUINE, WRONG_USE = 1, 2
#: --as -> what makes it of a contact
FORMS = {"jsonld": consent_record.consent_record, "kantara": consent_record.kantara}
WORDS = {
    Verdict.GENUINE: "The receipt is genuine.",
    Verdict.CHANGED: "The receipt was changed: the ledger says something else, and no key of ours has signed this.",
    Verdict.DISPUTED: "We signed this receipt, and the ledger says something else: run prefs_verify_ledger.",
    Verdict.UNKNOWN: "Nobody knows this receipt: no key of ours has signed it, and the ledger cannot answer for it.",
    Verdict.UNREADABLE: "This is no receipt.",
}


class Command(BaseCommand):
    """One of `--record`, `--contact`, `--verify`. Reads only."""

    help = (
        "Makes the signed receipt of a ledger record (--record), the consent record of a contact by ISO/IEC TS 27560 as "
        "JSON-LD or a Kantara consent receipt (--contact, --as), or says whether a receipt is genuine (--verify). "
        "Exit codes: 0 made or genuine, 1 not genuine, 2 wrong arguments or a consent record that would be incomplete."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--record", metavar="ID", type=UUID, help="The receipt of this record.")
        what.add_argument("--contact", metavar="ID", type=UUID, help="The consent record of this contact.")
        what.add_argument(
            "--verify",
            metavar="FILE",
            type=Path,
            help="A receipt as it was handed out; - for standard input.",
        )
        parser.add_argument(
            "--as",
            dest="form",
            choices=list(FORMS),
            default="jsonld",
            help="Which form of a consent record; without it the JSON-LD.",
        )
        parser.add_argument("--json", action="store_true", help="Print the verdict as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verify"]:
            self._verify(options["verify"], as_json=options["json"])
        elif options["record"]:
            record = Record.objects.filter(pk=options["record"]).first()
            if record is None:
                raise CommandError("There is no such record.", returncode=WRONG_USE)
            self._print(receipts.make(record))
        else:
            self._consent_record(options["contact"], options["form"])

    def _consent_record(self, contact: UUID, form: str) -> None:
        try:
            self._print(FORMS[form](contact))
        except UnknownContact as error:
            raise CommandError("There is no such contact.", returncode=WRONG_USE) from error
        except IncompleteRecord as error:
            lines = [f"- {one.field}: {one.where}" for one in error.missing]
            raise CommandError(
                "\n".join(["The consent record would be incomplete:", *lines]), returncode=WRONG_USE
            ) from error

    def _print(self, data: Any) -> None:
        self.stdout.write(receipts.as_bytes(data).decode(), ending="")

    def _verify(self, path: Path, *, as_json: bool) -> None:
        try:
            # One byte more than is allowed tells that it is too long.
            with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
                given = file.read(receipts.MAX_BYTES + 1)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}", returncode=WRONG_USE) from error
        checked = receipts.check(given)
        self.stdout.write(json.dumps(_said(checked), indent=2) if as_json else _words(checked))
        if checked.verdict is not Verdict.GENUINE:
            raise SystemExit(NOT_GENUINE)


def _said(checked: Checked) -> dict[str, Any]:
    stands = checked.standing
    return {
        "verdict": checked.verdict.value,
        "signed": checked.signed,
        "record": str(checked.record.pk) if checked.record else None,
        "whole": stands.whole if stands else None,
        "seal": stands.seal if stands else None,
    }


def _words(checked: Checked) -> str:
    said = [WORDS[checked.verdict]]
    if checked.verdict is Verdict.GENUINE:
        if checked.record is None:
            said.append("The ledger does not hold its record any more.")
        elif not checked.signed:
            said.append("Its key has left SIGNING_KEYS; the ledger says the same.")
        if checked.standing and checked.standing.seal:
            said.append(f"The record is held by seal {checked.standing.seal}.")
    return " ".join(said)
