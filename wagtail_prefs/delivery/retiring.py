"""Identifiers that are not hers any more: where platforms must stop mailing her, or whom they must forget.

A change of address and an erasure write them into her row of every backend, in the transaction of the save: afterwards
nobody else knows them. They are encrypted, go away as soon as the platform has confirmed it, and after 30 days in any
case (security.md PR-03).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from ..ciphers import Unreadable, decrypt, encrypt
from ..contacts.addresses import address_keys, canonical_email
from ..contacts.models import Contact
from ..contacts.services import load_targets
from ..topics.models import Audience
from ..values import Identifiers, iso
from . import alarms, rows
from .models import Delivery

logger = logging.getLogger("wagtail_prefs.delivery")

#: How long they are kept while a platform does not confirm.
KEPT = timedelta(days=30)
#: Rows emptied at once.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Retired:
    """What she went by at one platform until `at`; `erased`: it must forget her, else it must leave her alone there."""

    erased: bool
    email: str
    external_id: str
    remote: str
    at: str

    def identifiers(self, alias: str, remote: str = "") -> Identifiers:
        """For a backend; `remote` is what is known today, for what was written before there was an answer."""
        found = self.remote or remote
        return Identifiers(
            email=self.email, external_id=self.external_id, remote={alias: found} if found else {}
        )


def write(contact: UUID, identifiers: Identifiers, *, erased: bool, alias: str = "") -> None:
    """Note what a contact went by until now, for every backend that may have heard of her, or for one.

    To be called in the transaction of the save, under her lock, before delivery is wanted.
    """
    now = timezone.now()
    heard = Delivery.objects.select_for_update().filter(~rows.UNHEARD, contact=contact).order_by("backend")
    if alias:
        heard = heard.filter(backend=alias)
    changed = []
    for row in heard.only("id", "backend", "contact", "remote_id", "retired", "retired_at"):
        remote = row.remote_id or identifiers.remote.get(row.backend, "")
        entry = Retired(erased, identifiers.email, identifiers.external_id, remote, iso(now))
        lines = [*row.retired.split(), encrypt(json.dumps(asdict(entry)), place=_place(row.backend, contact))]
        row.retired = "\n".join(lines)
        row.retired_at = row.retired_at or now
        row.restricts = True
        changed.append(row)
    if changed:
        Delivery.objects.bulk_update(changed, ["retired", "retired_at", "restricts"])


def write_late(alias: str, told: Mapping[UUID, Identifiers]) -> None:
    """Note once more what a backend was `told` too late: whom another worker had it forget meanwhile, and where it was
    told to leave her alone.
    """
    for contact, target in load_targets(told).items():
        was, erased = told[contact], target.state.erased
        moved = not target.unreadable and canonical(was.email) != canonical(target.identifiers.email)
        if erased or moved:
            with transaction.atomic():
                write(contact, was, erased=erased, alias=alias)


def read(alias: str, contact: UUID, stored: str) -> tuple[list[Retired], int]:
    """What a row holds, and how much of it cannot be read any more."""
    found, unreadable = [], 0
    for line in stored.split():
        try:
            found.append(Retired(**json.loads(decrypt(line, place=_place(alias, contact)))))
        except Unreadable:
            unreadable += 1
    return found, unreadable


def _place(alias: str, contact: UUID) -> str:
    return f"delivery:{alias}:{contact.hex}"


# --- what a round makes of them ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who goes by an identifier now, in whatever audience."""

    contact: UUID
    audience: str
    email: str
    external_id: str

    def shares(self, entry: Retired) -> bool:
        return bool(
            (self.email and self.email == canonical(entry.email))
            or (self.external_id and self.external_id == entry.external_id)
        )


def holders(entries: Iterable[Retired]) -> list[Holder]:
    """Who goes by any of these today: two statements, whatever their number."""
    emails = {canonical(entry.email) for entry in entries} - {""}
    external_ids = {entry.external_id for entry in entries} - {""}
    audiences = dict(Audience.objects.values_list("pk", "key"))
    keys = [
        key for audience in audiences.values() for email in emails for key in address_keys(audience, email)
    ]
    live = Contact.objects.filter(
        Q(address_key__in=keys) | Q(audience__in=audiences, external_id__in=external_ids),
        merged_into=None,
        erased_at=None,
    )
    return [
        Holder(contact.pk, audiences[contact.audience_id], canonical(contact.email), contact.external_id)
        for contact in live.only("audience_id", "email", "external_id")
    ]


def moved_away(
    entries: Sequence[Retired], alias: str, hers: Identifiers, taken: Collection[str]
) -> tuple[Identifiers, ...]:
    """What of this is not hers any more, and nobody else's: she may have come back to an address, and one that another
    contact of her audience has `taken` is told of in that one's own row.

    What she still goes by is left out of each: who is told to leave an old address alone must not find her by it.
    """
    gone = {canonical(hers.email), *taken}
    found: dict[str, Identifiers] = {}
    for entry in entries:
        email = canonical(entry.email)
        if not email or email in gone:
            continue
        remote = entry.remote if entry.remote != hers.remote.get(alias) else ""
        external_id = entry.external_id if entry.external_id != hers.external_id else ""
        found[email] = Identifiers(
            email=entry.email, external_id=external_id, remote={alias: remote} if remote else {}
        )
    return tuple(found.values())


def to_forget(entries: Sequence[Retired], alias: str, remote: str) -> list[Identifiers]:
    """Whom the platform must forget of one who was erased: each once."""
    found: list[Identifiers] = []
    for entry in entries:
        identifiers = entry.identifiers(alias, remote)
        if identifiers not in found and (identifiers.email or identifiers.external_id or identifiers.remote):
            found.append(identifiers)
    if not entries and remote:
        found.append(Identifiers(remote={alias: remote}))
    return found


def canonical(email: str) -> str:
    try:
        return canonical_email(email) if email else ""
    except ValidationError:  # from before a rule for addresses became stricter
        return email.strip().casefold()


# --- their end --------------------------------------------------------------------------------------------------------


def forget_retired() -> int:
    """Forget what no platform has confirmed for 30 days; returns how many rows were emptied. A chore of the worker.

    That is no good end: somebody may go on getting mail there. So it is an error in the log.
    """
    limit = timezone.now() - KEPT
    due = Delivery.objects.filter(retired_at__lt=limit).order_by("retired_at")[:BATCH]
    forgotten = Counter(row.backend for row in due if _forget(row, limit))
    for alias, count in sorted(forgotten.items()):
        logger.error(
            "delivery to %s: %d rows held addresses that nobody took back in %d days; they are forgotten",
            alias,
            count,
            KEPT.days,
        )
        alarms.unconfirmed(alias, count)
    return sum(forgotten.values())


def _forget(row: Delivery, limit: datetime) -> bool:
    """Keep what is younger; whether this worker did it, and not another one or a settlement."""
    entries, _ = read(row.backend, row.contact, row.retired)
    seal: Callable[[str], str] = partial(encrypt, place=_place(row.backend, row.contact))
    kept = [entry for entry in entries if entry.at >= iso(limit)]
    values: dict[str, object] = {
        "retired": "\n".join(seal(json.dumps(asdict(entry))) for entry in kept),
        "retired_at": datetime.fromisoformat(min(entry.at for entry in kept)) if kept else None,
    }
    if not kept and any(entry.erased for entry in entries):  # nothing is left that she could be found by
        values |= {"remote_id": "", "due_at": None}
    return bool(Delivery.objects.filter(pk=row.pk, retired=row.retired).update(**values))
