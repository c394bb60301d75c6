"""Removing a whole chain, for retention, and the signed stone that stays in its place.

A chain goes in three steps, each of which may be the last one of a process that was stopped: its stone is made, the stone
leaves the database, the chain is deleted. The guard lets a record go only where a stone stands for it; and whoever puts
up a stone without the key has put up one that the verifier names. What is not whole, or not sealed, is never removed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Exists, OuterRef

from .. import keys
from ..conf import conf
from . import seals as sealing, sinks, tombstone1
from .models import Record, SideValue, Tombstone, TombstoneExport
from .sealed import Held, Runs, Seals
from .services import first_broken

logger = logging.getLogger("wagtail_prefs.ledger")

#: The reason of a stone that stands for no chain: it proves, under a new key, those before it.
NEW_KEY = "new-key"
#: Others may be making stones; so often is tried again.
TRIES = 5


class NotRemoved(Exception):
    """Why nothing can be removed, or not this; names nobody. `done` is how many were removed in spite of it."""

    def __init__(self, why: str, done: int = 0) -> None:
        super().__init__(why)
        self.done = done


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that is whole and sealed, as a stone holds it."""

    contact: UUID
    audience: str
    head: str
    hashes: tuple[bytes, ...]


def removable(contacts: Collection[UUID]) -> Iterator[Chain]:
    """The chains of these contacts that may be removed, sorted by contact: whole, and each record held by a seal.

    Reads all seals once, however many contacts are asked for. Raises NotRemoved where the seals are not whole: then
    nobody can say what is.
    """
    wanted = {contact.bytes for contact in contacts}
    seals = Seals()
    with Runs() as runs:
        for line in seals.read(sealing.lines()):
            runs.add(run for run in line.runs if run[:16] in wanted)
        if seals.faults:
            raise NotRemoved("the seals are not whole: run prefs_verify_ledger")
        held = Held(runs)
        for contact in sorted(wanted):
            for _ in held.before(contact):
                pass
            chain = _chain(UUID(bytes=contact), held.of(contact))
            if chain is not None:
                yield chain


def _chain(contact: UUID, sealed: dict[int, bytes]) -> Chain | None:
    records = list(Record.objects.filter(contact_ref=contact).order_by("seq"))
    if not records or first_broken(contact) is not None:
        return None
    own = {record.seq: sealing.sealed(record).hash for record in records}
    if own != sealed or bytes(32) in own.values():
        return None
    return Chain(contact, records[-1].audience, records[-1].hash, tuple(own.values()))


def put_up(chain: Chain, now: datetime, reason: str) -> Tombstone:
    """The stone of a chain. Called under the lock of the contact, who gets no more records. Again for the same contact
    gives the same stone.

    Raises NotRemoved where the chain has changed since it was looked at, or the newest stone cannot be believed.
    """
    found: Tombstone | None = Tombstone.objects.filter(contact_ref=chain.contact).first()
    if found is not None:
        return found
    newest = (
        Record.objects.filter(contact_ref=chain.contact).order_by("-seq").values_list("seq", "hash").first()
    )
    if newest != (len(chain.hashes), chain.head):
        raise NotRemoved("a chain has changed meanwhile")
    return _make(chain, now, reason)


def renew(now: datetime) -> Tombstone | None:
    """A stone for no chain where the newest one is of an older key: so that this may leave the ring."""
    newest = _newest()
    if newest is None or newest.kid == conf.signing_keys[0].kid:
        return None
    return _make(Chain(uuid4(), "", tombstone1.GENESIS, ()), now, NEW_KEY)


def remove(contact: UUID) -> int:
    """Delete the chain whose stone stands, with what is left of its personal values; returns how many records.

    The one place in which records are deleted. Raises NotRemoved where there is no stone, or it has not left the database
    though there is a sink.
    """
    stone = Tombstone.objects.filter(contact_ref=contact).first()
    if stone is None or not _is_signed(stone):
        raise NotRemoved("no stone stands for the chain")
    if not has_left(contact):
        raise NotRemoved("the stone has not left the database")
    with transaction.atomic():
        records = Record.objects.filter(contact_ref=contact)
        SideValue.objects.filter(record__in=records.values("id")).delete()
        return records.delete()[0]


def has_left(contact: UUID) -> bool:
    """Whether a stone stands for the contact's chain, and has left the database where there is a sink."""
    number = Tombstone.objects.filter(contact_ref=contact).values_list("number", flat=True).first()
    return number is not None and (not conf.seals or TombstoneExport.objects.filter(pk=number).exists())


def waiting() -> list[UUID]:
    """The contacts whose stone stands and whose chain is still there: somebody was stopped, or the sink was away."""
    chain = Record.objects.filter(contact_ref=OuterRef("contact_ref"))
    return list(
        Tombstone.objects.filter(Exists(chain)).order_by("number").values_list("contact_ref", flat=True)
    )


def buried(contacts: Iterable[UUID]) -> set[UUID]:
    """Those of the contacts whose chain was removed, or is about to be."""
    return set(Tombstone.objects.filter(contact_ref__in=list(contacts)).values_list("contact_ref", flat=True))


def lines(after: int = 0) -> Iterator[bytes]:
    """The stones of the table beyond a number, as the lines that leave the database."""
    return (line(row) for row in _rows(after))


def _rows(after: int) -> Iterator[Tombstone]:
    while some := list(Tombstone.objects.filter(number__gt=after).order_by("number")[:100]):
        yield from some
        after = some[-1].number


def line(row: Tombstone) -> bytes:
    """One stone as it leaves the database."""
    return tombstone1.line(
        number=row.number,
        at=row.at,
        contact=row.contact_ref,
        body=row.body,
        prev=row.prev,
        hash=row.hash,
        kid=row.kid,
        signature=row.signature,
    )


def takes_stones() -> bool:
    """Whether stones can leave the database, as seals do, or need not."""
    return not conf.seals or isinstance(sinks.configured(), sinks.StoneSink)


def export(now: datetime) -> int:
    """Hand out the stones that have not left the database yet, in order; returns how many. What fails is tried again."""
    if not conf.seals:
        return 0
    last = TombstoneExport.objects.order_by("-tombstone").values_list("tombstone", flat=True).first() or 0
    sent = 0
    try:
        for row in _rows(last):
            sink = sinks.configured()
            if not isinstance(sink, sinks.StoneSink):
                break
            sink.send_stone(line(row), row.number)
            TombstoneExport.objects.bulk_create(
                [TombstoneExport(tombstone=row.number, at=now)], ignore_conflicts=True
            )
            sent += 1
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - a sink is anybody's code
        # The type and not the text, which may hold a secret of the settings.
        logger.error("stones from %s on are not handed out: %s", last + sent + 1, type(error).__name__)  # noqa: TRY400
    return sent


def _newest() -> Tombstone | None:
    found: Tombstone | None = Tombstone.objects.order_by("-number").first()
    return found


def _is_signed(stone: Tombstone) -> bool:
    try:
        read = tombstone1.read_line(line(stone))
    except ValueError:
        return False
    return read.is_whole() and read.is_signed()


def _make(chain: Chain, now: datetime, reason: str) -> Tombstone:
    """The next stone. It proves those before it, so it is never put behind one that nobody vouches for."""
    for _ in range(TRIES):
        newest = _newest()
        if newest is not None and not _is_signed(newest):
            raise NotRemoved("the newest stone is not signed by a key of SIGNING_KEYS")
        number, prev = (newest.number + 1, newest.hash) if newest else (1, tombstone1.GENESIS)
        kid = conf.signing_keys[0].kid
        text = tombstone1.body(
            number=number,
            contact=chain.contact,
            audience=chain.audience,
            at=now,
            kid=kid,
            reason=reason,
            head=chain.head,
            hashes=chain.hashes,
        )
        digest = tombstone1.stone_hash(prev, text)
        _, signature = keys.mac(tombstone1.PURPOSE, bytes.fromhex(digest), kid)
        row = Tombstone(
            number=number,
            contact_ref=chain.contact,
            at=now,
            records=len(chain.hashes),
            body=text.decode(),
            prev=prev,
            hash=digest,
            kid=kid,
            signature=signature.hex(),
        )
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            continue  # somebody else was first
        return row
    raise NotRemoved("others are making stones")
