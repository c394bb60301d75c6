"""Forget people, and see which platforms have followed."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ...contacts.models import Contact
from ...errors import UnknownContact
from ...rights.erasure import account_of, erase_person, settle_by_hand, stuck
from ...rights.models import Erasure
from ...values import Actor, ActorType, Json, Source, iso
from ..audiences import audience_of
from ..people import named


class Command(BaseCommand):
    """A dry run by default. Again for the same people changes nothing, so it may be stopped and run once more."""

    help = (
        "Forgets people: here at once, and on every platform that had their data. Says what would happen; --apply does it. "
        "Addresses come from a file or standard input, one a line, never as an argument."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("contacts", nargs="*", metavar="ID", help="Contact ids.")
        parser.add_argument(
            "--addresses", metavar="FILE", help='E-mail addresses, one a line; "-": standard input.'
        )
        parser.add_argument(
            "--audience", metavar="KEY", help="Whose addresses these are, where there are several."
        )
        parser.add_argument("--apply", action="store_true", help="Do it. This cannot be taken back.")
        parser.add_argument("--reason", default="", help="For the account; names nobody.")
        parser.add_argument("--open", action="store_true", help="Show the erasures that are not done.")
        parser.add_argument(
            "--by-hand", metavar="BACKEND", help="Note that this platform was made to forget them by hand."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object a person.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["open"]:
            for account in Erasure.objects.filter(done_at=None).order_by("due_at"):
                self._say(_told(account), options["json"])
            return
        if "@" in options["reason"]:
            raise CommandError("The reason is kept, so it holds no address.", returncode=2)
        if not options["contacts"] and not options["addresses"]:
            raise CommandError("Name people: contact ids, or --addresses FILE.", returncode=2)
        audience = audience_of(options["audience"]) if options["addresses"] else None
        # All of them are read before the first is erased: a file with a mistake does nothing.
        people = list(named(options["contacts"], options["addresses"], audience))
        failed = False
        for one in people:
            said = (
                self._one(one.contact, options) if one.contact else {"line": one.line, "outcome": "unknown"}
            )
            failed |= said["outcome"] in {"unknown", "no account"}
            self._say(said, options["json"])
        if not options["apply"] and not options["by_hand"]:
            self.stderr.write("Nothing was changed: this was a dry run. --apply does it.")
        if failed:
            raise SystemExit(1)

    def _one(self, contact: UUID, options: dict[str, Any]) -> Json:
        if options["by_hand"]:
            try:
                account = account_of(contact)
            except UnknownContact:
                return {"contact": str(contact), "outcome": "no account"}
            done = settle_by_hand(account, options["by_hand"], "command")
            account.refresh_from_db()
            return {**_told(account), "outcome": "noted" if done else "nothing to note"}
        if not options["apply"]:
            live = Contact.objects.filter(pk=contact, erased_at=None).exists()
            return {"contact": str(contact), "outcome": "would be erased" if live else _gone(contact)}
        try:
            before = Contact.objects.filter(pk=contact).exclude(erased_at=None).exists()
            account = erase_person(
                contact,
                actor=Actor(ActorType.SYSTEM, "prefs_erase"),
                source=Source(method="command"),
                reason=options["reason"],
            )
        except UnknownContact:
            return {"contact": str(contact), "outcome": _gone(contact)}
        return {**_told(account), "outcome": "erased before" if before else "erased"}

    def _say(self, said: Json, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(said))
            return
        who = said.get("contact") or f"line {said['line']}"
        steps = ", ".join(f"{alias}: {entry['state']}" for alias, entry in said.get("backends", {}).items())
        late = " LATE" if said.get("late") else ""
        self.stdout.write(f"{who}: {said['outcome']}{f' ({steps})' if steps else ''}{late}")


def _told(account: Erasure) -> Json:
    return {
        "contact": str(account.contact),
        "outcome": "done" if account.done_at else "stuck" if stuck(account) else "under way",
        "backends": account.backends,
        "due_at": iso(account.due_at),
        "late": account.done_at is None and account.due_at <= timezone.now(),
    }


def _gone(contact: UUID) -> str:
    return "erased before" if Contact.objects.filter(pk=contact).exists() else "unknown"
