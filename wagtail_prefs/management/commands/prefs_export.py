"""One person's data as a file, for whoever asked by letter; or everybody of an audience, to be moved elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...ciphers import Unreadable
from ...errors import UnknownContact
from ...rights.services import as_zip, everybody_for_command, export_for_command
from ...topics.models import Audience
from ...values import Json
from ..audiences import audience_of
from ..people import named

#: People between two lines that say how far it is.
EVERY = 10_000


class Command(BaseCommand):
    """For one person, the file is its owner's alone; with --everybody it is for another system of the same controller."""

    help = (
        "Writes everything that is held of one person, as docs/reference/export.md describes it: a ZIP with JSON and CSV, or "
        "with --json the JSON alone. The address comes from a file or standard input, never as an argument. --everybody writes a "
        "line of JSON for each person of an audience, to move to another system; who left is in it as a suppression only."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("contact", nargs="?", metavar="ID", help="A contact id.")
        parser.add_argument("--addresses", metavar="FILE", help='Her e-mail address; "-": standard input.')
        parser.add_argument("--audience", metavar="KEY", help="Whose address it is, where there are several.")
        parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="Where to write it.")
        parser.add_argument("--json", action="store_true", help="The JSON alone.")
        parser.add_argument(
            "--everybody", action="store_true", help="Everybody of the audience, as lines of JSON."
        )
        parser.add_argument("--reason", default="", help="For the log; names nobody.")

    def handle(self, *args: Any, **options: Any) -> None:
        if "@" in options["reason"]:
            raise CommandError("The reason is kept, so it holds no address.", returncode=2)
        if options["everybody"]:
            if options["contact"] or options["addresses"]:
                raise CommandError("Everybody, or one: not both.", returncode=2)
            self._everybody(audience_of(options["audience"]), options["output"], options["reason"])
            return
        audience = audience_of(options["audience"]) if options["addresses"] else None
        ids = [options["contact"]] if options["contact"] else []
        people = list(named(ids, options["addresses"], audience))
        if len(people) != 1:
            raise CommandError("Name one person: a contact id, or --addresses with one line.", returncode=2)
        contact = people[0].contact
        try:
            data = export_for_command(contact, options["reason"]) if contact else None
        except UnknownContact:
            data = None
        if data is None:
            raise CommandError(
                "There is nobody of that id or address, or nothing is held of her.", returncode=1
            )
        content = json.dumps(data, ensure_ascii=False, indent=2).encode() if options["json"] else as_zip(data)
        with _new(options["output"]) as file:
            file.write(content)
        self.stdout.write(f"{len(content)} bytes are written.")

    def _everybody(self, audience: Audience, output: Path, reason: str) -> None:
        with _new(output) as file:
            line: Json = {}
            try:
                for number, line in enumerate(everybody_for_command(audience, reason)):
                    file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
                    if number and not number % EVERY:
                        self.stderr.write(f"{number:,} people")
            except Unreadable:
                raise CommandError(
                    "Somebody's address or answers cannot be read: their key is not in ENCRYPTION_KEYS. The file is not "
                    "whole; its last line would say so.",
                    returncode=1,
                ) from None
        self.stdout.write(f"{line['people']:,} people and {line['suppressions']:,} suppressions are written.")


def _new(output: Path) -> BinaryIO:
    """A file that was not there, for its owner alone."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # what is there already is somebody's
        return os.fdopen(os.open(output, flags, 0o600), "wb")
    except OSError as problem:
        raise CommandError(f"The file cannot be written: {problem.strerror}.", returncode=2) from None
