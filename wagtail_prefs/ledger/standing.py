"""Where one record stands, and the chain up to it: whether it is whole, and which seal holds it.

A few rows, for a page that anybody may open. What is wrong elsewhere in the ledger finds `verify`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..conf import conf
from . import format1, reading, seal1, seals
from .models import Record, Seal
from .reading import Columns, Said
from .seal1 import RUN

#: So many seals are looked at, from the first that may hold the record. What was committed late stands in a later one.
SEALS = 24
_AT_ONCE = 4
#: Seals that are asked for their time at once, to find where to begin.
_PROBES = 32


@dataclass(frozen=True, slots=True)
class Standing:
    """`whole`: its hash is that of its body, and it continues the record before and is continued by the next.

    `seal` is the number of the seal that holds exactly this, None where none was found; `sealed_at` is when its time
    ended.
    """

    whole: bool
    seal: int | None = None
    sealed_at: datetime | None = None


def standing(record: Record) -> Standing:
    """How a record stands: one statement for its neighbours, and one for each few seals that are looked at."""
    if not (_is_itself(record) and _fits(record)):
        return Standing(False)
    columns = Columns.of(record.pk, record.audience, record.at, record.actor, record.idempotency_key)
    own = seal1.sealed_hash(bytes.fromhex(record.hash), columns.text)
    for seal in _seals(record.at):
        if own in _held(seal, record.contact_ref, record.seq):
            return Standing(True, seal.number, seal.at)
    return Standing(True)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain up to a record. `broken` is the number of the first that is not what it was or is missing, None for a whole
    chain; `seal` and `sealed_at` are of the last record, whose hash holds all before it.
    """

    broken: int | None
    seal: int | None = None
    sealed_at: datetime | None = None


def chain(contact: UUID, until_seq: int) -> Chain:
    """How the records of a contact stand up to `until_seq`: one statement for them, however many, and those of `standing`."""
    before, last = format1.GENESIS, None
    records = Record.objects.filter(contact_ref=contact, seq__lte=until_seq).order_by("seq")
    for number, record in enumerate(records.iterator(chunk_size=500), start=1):
        if record.seq != number or record.prev != before or not _is_itself(record):
            return Chain(number)
        before, last = record.hash, record
    if last is None or last.seq != until_seq:
        return Chain((last.seq if last else 0) + 1)
    stands = standing(last)
    return Chain(None, stands.seal, stands.sealed_at) if stands.whole else Chain(last.seq)


def _is_itself(record: Record) -> bool:
    """Whether the hash is that of the body, and the columns say what the body says."""
    try:
        digest = format1.record_hash(record.prev, record.body.encode())
    except ValueError:  # a `prev` that is no hash, a body that is no text
        return False
    columns = Columns.of(record.pk, record.audience, record.at, record.actor, None)
    own = Said(str(record.contact_ref), record.seq, columns)
    return digest == record.hash and reading.said(record.body) == own


def _fits(record: Record) -> bool:
    """Whether it continues the record before, and the next one continues it."""
    beside = Record.objects.filter(
        contact_ref=record.contact_ref, seq__in=(record.seq - 1, record.seq + 1)
    ).values_list("seq", "prev", "hash")
    found = {seq: (prev, digest) for seq, prev, digest in beside}
    before = found.get(record.seq - 1, (None, format1.GENESIS if record.seq == 1 else None))[1]
    after = found.get(record.seq + 1, (record.hash, None))[0]
    return record.prev == before and after == record.hash


def _seals(since: datetime) -> Iterator[Seal]:
    """The seals that may hold a record of that time, the first first, a few at a time."""
    rows = Seal.objects.filter(number__gt=_before(since), at__gte=since).order_by("number")
    for start in range(0, SEALS, _AT_ONCE):
        some = list(rows[start : start + _AT_ONCE])
        yield from some
        if len(some) < _AT_ONCE:
            return


def _before(since: datetime) -> int:
    """The number of a seal that is too old, and not by many: seals follow each other in the order of their times.

    A year has fifty thousand of them, and only their numbers have an index: each statement looks at some of what is left.
    """
    low, high = 0, Seal.objects.order_by("-number").values_list("number", flat=True).first() or 0
    while high - low > _PROBES:
        some = Seal.objects.filter(number__in=range(low, high, (high - low) // _PROBES)[1:])
        found = list(some.values_list("number", "at"))
        too_old = max((number for number, at in found if at < since), default=low)
        too_new = min((number for number, at in found if at >= since), default=high)
        if not low <= too_old < too_new <= high or (too_old, too_new) == (low, high):
            return low  # somebody has put them in another order
        low, high = too_old, too_new
    return low


def _held(seal: Seal, contact: UUID, seq: int) -> Iterator[bytes]:
    """What a seal holds of that number; nothing where the seal itself was changed or forged.

    One whose key has left the ring is proven by later ones, which `verify` looks at.
    """
    try:
        line = seal1.read_line(seals.line(seal))
    except ValueError:
        return
    if not line.is_whole() or (not line.is_signed() and line.kid in {key.kid for key in conf.signing_keys}):
        return
    for run in line.runs:
        of, start, _number = RUN.unpack_from(run)
        place = RUN.size + 32 * (seq - start)
        if of == contact.bytes and RUN.size <= place < len(run):
            yield run[place : place + 32]
