"""Keys for programs that use the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ...access import api_keys
from ...access.api_keys import Scope
from ...access.models import ApiKey
from ...sync.reading import moment
from ...values import Json, iso
from ..audiences import audience_of

#: How long a key works that nobody gave an end.
DAYS = 365


class Command(BaseCommand):
    """`create`, `list` and `revoke`."""

    help = (
        "Makes, lists and revokes API keys. A new key is printed once, and kept nowhere: put it where the program that "
        "uses it keeps its secrets. Exit code 2 for arguments that cannot be used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="create | list | revoke")
        create = acts.add_parser("create", help="Make a key, and print it.")
        create.add_argument("name", help="What uses it: the name of the program.")
        create.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            required=True,
            dest="scopes",
            help="What it may do. Can be repeated.",
        )
        end = create.add_mutually_exclusive_group()
        end.add_argument("--days", type=int, help=f"How long it works (default: {DAYS}).")
        end.add_argument(
            "--expires", metavar="DAY", help="When it ends, as in 2027-01-31 or a moment in ISO 8601."
        )
        end.add_argument("--never-expires", action="store_true", help="It works until it is revoked.")
        listed = acts.add_parser("list", help="List the keys, without their secrets.")
        revoke = acts.add_parser("revoke", help="End a key at once.")
        revoke.add_argument("id", help="The public part of it: the 12 characters behind wpk_")
        for act in (create, listed):
            act.add_argument(
                "--audience", metavar="KEY", help="Whose people; needed where there is more than one."
            )
        for act in (create, listed, revoke):
            act.add_argument("--json", action="store_true", help="Print one JSON object a line.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.json: bool = options["json"]
        match options["act"]:
            case "create":
                self._create(options)
            case "list":
                self._list(options["audience"])
            case _:
                self._revoke(options["id"])

    def _create(self, options: dict[str, Any]) -> None:
        audience = audience_of(options["audience"])
        try:
            row, key = api_keys.make(options["name"], audience, options["scopes"], _end(options))
        except ValueError as problem:
            raise CommandError(f"{problem}.".capitalize(), returncode=2) from problem
        self._say({**_told(row), "key": key}, key)
        self.stderr.write(f"{row.pk}: this is the only time that the key is shown.")

    def _list(self, audience: str | None) -> None:
        rows = ApiKey.objects.select_related("audience").order_by("made_at", "pk")
        if audience is not None:
            rows = rows.filter(audience=audience_of(audience))
        for row in rows:
            told = _told(row)
            used = told["last_used_at"] or "never"
            self._say(
                told,
                f"{row.pk}  {told['state']:<8} {row.audience.key}  {row.name}: {', '.join(row.scopes)}; "
                f"expires {told['expires_at'] or 'never'}, last used {used}",
            )

    def _revoke(self, public: str) -> None:
        row = ApiKey.objects.select_related("audience").filter(pk=public).first()
        if row is None:
            raise CommandError("There is no key of this id; prefs_keys list tells them.", returncode=2)
        done = api_keys.revoke(row)
        row.refresh_from_db()
        self._say(_told(row), f"{row.pk} is revoked" if done else f"{row.pk} was revoked before")

    def _say(self, data: Json, text: str) -> None:
        self.stdout.write(json.dumps(data) if self.json else text)


def _end(options: dict[str, Any]) -> datetime | None:
    if options["never_expires"]:
        return None
    if options["expires"] is not None:
        end = moment(options["expires"])
        if end is None:
            raise CommandError("--expires wants a day, as in 2027-01-31.", returncode=2)
        return end
    days = DAYS if options["days"] is None else options["days"]
    try:
        return timezone.now() + timedelta(days=days)
    except OverflowError as problem:
        raise CommandError("--days is out of all time.", returncode=2) from problem


def _told(row: ApiKey) -> Json:
    def at(when: datetime | None) -> str | None:
        return iso(when.astimezone(UTC)) if when else None

    return {
        "id": row.pk,
        "name": row.name,
        "audience": row.audience.key,
        "scopes": row.scopes,
        "state": api_keys.state_of(row).value,
        "made_at": at(row.made_at),
        "expires_at": at(row.expires_at),
        "revoked_at": at(row.revoked_at),
        "last_used_at": at(row.last_used_at),
    }
