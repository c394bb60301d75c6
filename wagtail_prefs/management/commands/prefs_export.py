"""One person's data as a file, for whoever asked by letter."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...errors import UnknownContact
from ...rights.services import as_zip, export_for_command
from ..audiences import audience_of
from ..people import named


class Command(BaseCommand):
    """For one person; the file is its owner's alone."""

    help = (
        "Writes everything that is held of one person, as docs/reference/export.md describes it: a ZIP with JSON and CSV, or "
        "with --json the JSON alone. The address comes from a file or standard input, never as an argument."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("contact", nargs="?", metavar="ID", help="A contact id.")
        parser.add_argument("--addresses", metavar="FILE", help='Her e-mail address; "-": standard input.')
        parser.add_argument("--audience", metavar="KEY", help="Whose address it is, where there are several.")
        parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="Where to write it.")
        parser.add_argument("--json", action="store_true", help="The JSON alone.")
        parser.add_argument("--reason", default="", help="For the log; names nobody.")

    def handle(self, *args: Any, **options: Any) -> None:
        if "@" in options["reason"]:
            raise CommandError("The reason is kept, so it holds no address.", returncode=2)
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
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # what is there already is somebody's
            with os.fdopen(os.open(options["output"], flags, 0o600), "wb") as file:
                file.write(content)
        except OSError as problem:
            raise CommandError(f"The file cannot be written: {problem.strerror}.", returncode=2) from None
        self.stdout.write(f"{len(content)} bytes are written.")
