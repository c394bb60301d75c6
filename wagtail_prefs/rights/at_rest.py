"""What stands in the database under an older key, put under the newest: encrypted values, and the digests of addresses.

Suppressions stay as they are: nobody knows the addresses any more, so their peppers stay in the settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any
from uuid import UUID

from django.db import transaction

from ..ciphers import Unreadable, conceal, is_current, reveal
from ..concealed import place_of
from ..conf import conf
from ..contacts import keys_in_use, store
from ..contacts.addresses import address_key, address_keys
from ..contacts.models import Contact, KeyInUse, State
from ..ledger import services as ledger
from ..topics.models import Audience
from ..values import Json

#: People whose rows are held at once. Their saves wait that long: some hundredths of a second.
BATCH = 100


@dataclass(slots=True)
class Tally:
    """What was moved, or would be; `unreadable` is under a key that is not in the settings, or was changed."""

    people: int = 0
    addresses: int = 0
    digests: int = 0
    attributes: int = 0
    values: int = 0
    unreadable: int = 0
    last: UUID | None = None

    @property
    def moved(self) -> int:
        return self.addresses + self.digests + self.attributes + self.values

    def to_json(self) -> Json:
        return {**asdict(self), "last": str(self.last) if self.last else None}

    def add(self, other: Tally) -> None:
        for field in fields(self):
            if field.name != "last":
                setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def rekey(*, write: bool, after: UUID | None = None, batch: int = BATCH) -> Iterator[Tally]:
    """Go over all people, and tell after each batch how it stands. Whoever stops it begins again, or goes on `after`
    somebody: what is done is done, and done once.

    The site goes on working: each batch is a transaction of its own, that holds its people as a save of theirs does.
    """
    keys_in_use.remember()
    tally, started_at, audiences = Tally(last=after), after, dict(Audience.objects.values_list("pk", "key"))
    while True:
        with transaction.atomic():
            people = Contact.objects.order_by("pk")
            if tally.last is not None:
                people = people.filter(pk__gt=tally.last)
            if write:
                people = people.select_for_update(no_key=True)
            rows = list(people.values_list("pk", "audience_id", "email", "address_key")[:batch])
            if rows:
                tally.add(_batch(rows, audiences, write=write))
                tally.last = rows[-1][0]
        if not rows:
            break
        yield tally
    if write and started_at is None and not tally.unreadable and conf.encryption_keys:
        keys_in_use.leave(KeyInUse.ENCRYPTION_KEYS, conf.encryption_keys[0])


def _batch(
    rows: Sequence[tuple[UUID, int, str, str | None]], audiences: dict[int, str], *, write: bool
) -> Tally:
    done = Tally(people=len(rows))
    for pk, audience, stored, digest in rows:
        became: dict[str, Any] = {}
        place = place_of(Contact, pk, "email")
        try:
            address = reveal(stored, place=place)
        except Unreadable:
            done.unreadable += 1
            continue
        if not is_current(stored):
            became["email"] = conceal(address, place=place)
            done.addresses += 1
        if digest and address and (newest := _digest(pk, audience, audiences[audience], address, digest)):
            became["address_key"] = newest
            done.digests += 1
        if write and became:
            Contact.objects.filter(pk=pk).update(**became)
    ids = [row[0] for row in rows]
    for pk, stored_attributes in (
        State.objects.filter(contact__in=ids, topic="", channel="")
        .exclude(attributes={})
        .values_list("contact_id", "attributes")
    ):
        try:
            attributes = store.conceal_anew(pk, stored_attributes)
        except Unreadable:
            done.unreadable += 1
            continue
        if attributes is not None:
            done.attributes += 1
            if write:
                State.objects.filter(contact=pk, topic="", channel="").update(attributes=attributes)
    done.values, unreadable = ledger.conceal_anew(ids, write=write)
    done.unreadable += unreadable
    return done


def _digest(pk: UUID, audience: int, key: str, address: str, digest: str) -> str | None:
    """The digest under the newest pepper, where she has one under an older one. One that is not that of her address is
    left alone: it is what she is found by.
    """
    newest = address_key(key, address)
    if digest == newest or digest not in address_keys(key, address):
        return None
    taken = Contact.objects.filter(audience=audience, address_key=newest).exclude(pk=pk).exists()
    return None if taken else newest
