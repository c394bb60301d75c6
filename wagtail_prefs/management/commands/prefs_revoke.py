"""Call links back: of a contact, of a center, or of a signing key."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...access import revocations
from ...centers.models import PublishedCenter
from ...conf import conf
from ...errors import UnknownContact


class Command(BaseCommand):
    """One of `--contact`, `--center`, `--key`."""

    help = (
        "Calls links back: they, and the codes and sessions that came of them, open nothing any more within a second. "
        "Unsubscribe links go on working. Whoever needs a link gets a new one from the next mail, or asks for it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--contact", metavar="ID", type=UUID, help="All links and sessions of one contact.")
        what.add_argument(
            "--center", metavar="ID", type=UUID, help="All that were made for a center until now."
        )
        what.add_argument("--key", metavar="KID", help="All that a signing key of the ring has signed.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["contact"]:
            self._contact(options["contact"])
            said = {"revoked": "contact", "id": str(options["contact"])}
        elif options["center"]:
            self._center(options["center"])
            said = {"revoked": "center", "id": str(options["center"])}
        else:
            self._key(options["key"])
            said = {"revoked": "key", "id": options["key"]}
        self.stdout.write(
            json.dumps(said)
            if options["json"]
            else f"Links of {said['revoked']} {said['id']} are called back."
        )

    def _contact(self, contact: UUID) -> None:
        try:
            revocations.contact(contact)
        except UnknownContact as error:
            raise CommandError("There is no such contact.", returncode=2) from error

    def _center(self, center: UUID) -> None:
        if not PublishedCenter.objects.filter(center=center).exists():
            known = sorted({str(one) for one in PublishedCenter.objects.values_list("center", flat=True)})
            raise CommandError(
                f"There is no such center. There are: {', '.join(known) or 'none'}.", returncode=2
            )
        revocations.center(center)

    def _key(self, kid: str) -> None:
        known = [one.kid for one in conf.signing_keys]
        if kid not in known:
            raise CommandError(
                f"SIGNING_KEYS has no key {kid!r}. There are: {', '.join(known)}.", returncode=2
            )
        try:
            revocations.key(kid)
        except ValueError as error:
            raise CommandError(
                f"The key {kid!r} signs now. Put a new one before it in SIGNING_KEYS, deploy that, and run this again.",
                returncode=2,
            ) from error
