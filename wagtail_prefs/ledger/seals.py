"""Making seals, and handing them out of the database.

A record's time is taken before it is committed, so the newest records cannot be told by their time alone. Seals are
made of what is a few seconds old: by then an ordinary save is there. What comes still later - an import that commits
after an hour, a server whose clock is behind - is looked for again, among the records of the last hours that no seal
holds; and `seal(everything=True)` looks at all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Set
from datetime import datetime, timedelta
from itertools import chain, groupby
from operator import itemgetter
from tempfile import SpooledTemporaryFile
from typing import NamedTuple
from uuid import UUID

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from .. import keys
from ..conf import conf
from . import reading, seal1, sinks
from .models import Record, Seal, SealExport
from .reading import Columns, Said
from .seal1 import RUN, Sealed
from .sealed import CHUNK_BYTES, Held, Runs
from .services import batched

logger = logging.getLogger("wagtail_prefs.ledger")

#: Younger records may have older ones beside them that are not committed yet.
SETTLE = timedelta(seconds=5)
#: How long after its time a record may be committed and is still found without `everything`. The verifier asks why
#: an older one is in no seal.
LOOK_BACK = timedelta(hours=2)
#: How often a worker looks back.
LOOK_EVERY = timedelta(minutes=10)
#: Between one time and the next.
INSTANT = timedelta(microseconds=1)


#: What a record is sealed by.
_COLUMNS = ("contact_ref", "seq", "hash", "body", "id", "audience", "at", "actor", "idempotency_key")


class Made(NamedTuple):
    """A seal without its body: what the next one follows."""

    number: int
    at: datetime | None
    hash: str
    records: int = 0


class Sealer:
    """Makes and hands out the seals that are due; one for each worker. Remembers when it looked back, no more."""

    def __init__(self) -> None:
        self._looked: datetime | None = None

    def round(self, now: datetime, stopping: Callable[[], bool] = lambda: False) -> int:
        """Returns how many seals were made. `stopping` is asked after each. Raises DatabaseError only: what else goes
        wrong stops no worker."""
        made = 0
        back = self._looked is None or not self._looked <= now < self._looked + LOOK_EVERY
        try:
            for _ in _due(now, back):
                made += 1
                if stopping():
                    return made
            self._looked = now if back else self._looked
            export(now, stopping)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - settings that cannot sign, and what we did not think of
            # The type and not the text, which may hold a secret of the settings.
            logger.error("no seal was made: %s", type(error).__name__)  # noqa: TRY400
        return made


def seal_if_due(now: datetime, *, look_back: bool = True) -> list[Made]:
    """Make the seals that are due: `SEAL_RECORDS` new records, or `SEAL_MINUTES` since the first of them.

    With nothing new and no look back these are two statements that read one row each.
    """
    return list(_due(now, look_back))


def _due(now: datetime, look_back: bool) -> Iterator[Made]:
    # Before the newest seal moves on, and the time that is looked back on with it.
    if look_back:
        yield from _late(now)
    if _is_due(now):
        yield from _new(now, now - SETTLE)


def seal(now: datetime | None = None, *, everything: bool = False) -> list[Made]:
    """Seal now, due or not, also what is only seconds old.

    `everything` looks at the whole ledger for records that no seal holds, which reads it once. What has a time to come
    is sealed when it has come.
    """
    now = now or timezone.now()
    made = [*_late(now), *_new(now, now)]
    if everything:
        made += _all(now)
    return made


def lines() -> Iterator[bytes]:
    """The seals of the table, as the lines that leave the database."""
    return (text for _, text in lines_by_number())


def lines_by_number(after: int = 0) -> Iterator[tuple[int, bytes]]:
    """Number and line of the seals beyond a number, in order."""
    while some := list(Seal.objects.filter(number__gt=after).order_by("number")[:20]):
        for row in some:
            yield row.number, line(row)
        after = some[-1].number


def line(row: Seal) -> bytes:
    """One seal as it leaves the database."""
    return seal1.line(
        number=row.number,
        at=row.at,
        body=row.body,
        prev=row.prev,
        hash=row.hash,
        kid=row.kid,
        signature=row.signature,
    )


# Making


def _newest() -> Made:
    found = Seal.objects.order_by("-number").values_list("number", "at", "hash").first()
    return Made(*found) if found else Made(0, None, seal1.GENESIS)


def _is_due(now: datetime) -> bool:
    fresh = _fresh(_newest().at, now - SETTLE).order_by("at").values_list("at", flat=True)
    oldest = fresh.first()
    if oldest is None:
        return False
    most = conf.seal_records
    return oldest <= now - conf.seal_age or fresh[most - 1 : most].exists()


def _fresh(since: datetime | None, limit: datetime) -> QuerySet[Record]:
    """What is newer than the newest seal. No seal holds any of it, but perhaps some of the first instant."""
    fresh = Record.objects.filter(at__lte=limit)
    return fresh if since is None else fresh.filter(at__gt=since)


def _new(now: datetime, limit: datetime) -> Iterator[Made]:
    """Seals over what is newer than the newest seal, oldest first.

    A seal ends between two moments, so the next one knows by the time alone where to go on. A moment of which there
    are more records than a seal holds is taken by itself.
    """
    before, size = _newest(), conf.seal_records
    since = before.at
    while rows := list(_fresh(since, limit).order_by("at").only(*_COLUMNS)[: size + 1]):
        first, more = rows[0].at, len(rows) > size
        whole = [row for row in rows if row.at < rows[-1].at] if more else rows
        # Seals over a part of a moment speak for the time up to it: perhaps somebody was stopped there.
        begun = before.at is not None and first - before.at == INSTANT
        if begun or not whole:
            seals = Seal.objects.filter(at__gte=first - INSTANT) if begun else Seal.objects.none()
            moment = Record.objects.filter(at=first)
            after = yield from _unsealed(now, before, moment, seals, first - INSTANT, first)
            if after is None:
                return
            before, since = after, max(first, after.at or first)
            continue
        made = _make(before, whole[-1].at if more else limit, now, [sealed(row) for row in whole])
        if made is None:
            return
        yield made
        if not more:
            return
        before, since = made, made.at


def _late(now: datetime) -> Iterator[Made]:
    """Seals over what came after the newest seal, with a time before it."""
    newest = _newest()
    if newest.at is None:
        return
    limit = min(newest.at, now)  # the clock of another worker may have been ahead
    since = limit - LOOK_BACK
    records = Record.objects.filter(at__range=(since, limit))
    yield from _unsealed(now, newest, records, Seal.objects.filter(at__gte=since - INSTANT), limit)


def _all(now: datetime) -> Iterator[Made]:
    """Seals over all that came after the newest seal, with a time before it. What is newer has its seals to come."""
    newest = _newest()
    if newest.at is not None:
        records = Record.objects.filter(at__lte=newest.at)
        yield from _unsealed(now, newest, records, Seal.objects.all(), newest.at)


def _unsealed(
    now: datetime,
    before: Made,
    records: QuerySet[Record],
    seals: QuerySet[Seal],
    until: datetime,
    last: datetime | None = None,
) -> Generator[Made, None, Made | None]:
    """Seals over those of the records that none of the seals up to `before` holds; `seals` are those that may.

    They speak for the time `until`, and the last one for `last`. Returns the newest seal then, or None where somebody
    else seals the same records: the rest is left to them.
    """
    taken: set[tuple[bytes, int]] = set()  # by seals that were made meanwhile
    # Read to the end before the first seal is made: SQLite lets nobody write who still reads what has changed since.
    with SpooledTemporaryFile(max_size=CHUNK_BYTES) as ids:
        with Runs() as runs:
            for row in seals.order_by("number").iterator(chunk_size=20):
                runs.add(runs_of(row))
            rows = records.order_by("contact_ref", "seq").values_list("contact_ref", "seq", "id").iterator()
            for record_id in _free(rows, Held(runs)):
                ids.write(record_id.bytes)
        total, more = ids.tell(), True
        ids.seek(0)
        while more:
            given = _load(_ids(ids.read(16 * conf.seal_records)))
            more = ids.tell() < total
            at = until if more or last is None else last
            # A seal of no records only where the time is to be spoken for.
            while (rest := _without(given, taken)) or (not more and last and (before.at or until) < last):
                if made := _make(before, at, now, rest):
                    yield made
                    before = made
                    break
                newer = list(Seal.objects.filter(number__gt=before.number).order_by("number")[:20])
                for row in newer:
                    before = Made(row.number, row.at, row.hash)
                    taken.update(_places(row))
                if not newer or (given and not _without(given, taken)):
                    return None
    return before


def _ids(raw: bytes) -> Iterator[UUID]:
    return (UUID(bytes=raw[start : start + 16]) for start in range(0, len(raw), 16))


def _without(records: Sequence[Sealed], taken: Set[tuple[bytes, int]]) -> Sequence[Sealed]:
    if not taken:
        return records
    return [record for record in records if (record.contact.bytes, record.seq) not in taken]


def _places(row: Seal) -> Iterator[tuple[bytes, int]]:
    """Contact and number of each record that a seal holds."""
    for run in runs_of(row):
        contact, start, _ = RUN.unpack_from(run)
        yield from ((contact, start + n) for n in range((len(run) - RUN.size) // 32))


def runs_of(row: Seal) -> Sequence[bytes]:
    """The runs of records that a seal holds, as `seal1.RUN` begins them; none where it cannot be read."""
    try:
        return seal1.read_line(line(row)).runs
    except ValueError:
        # The verifier names it. What it held is sealed again, which hurts nobody.
        logger.error("seal %s in the database is no seal: run prefs_verify_ledger", row.number)  # noqa: TRY400
        return ()


def _free(records: Iterable[tuple[UUID, int, UUID]], held: Held) -> Iterator[UUID]:
    """The ids of the records that no run holds; (contact, number, id) come by contact and number."""
    for contact, of_contact in groupby(records, key=itemgetter(0)):
        for _ in held.before(contact.bytes):
            pass
        known = held.of(contact.bytes)
        yield from (record_id for _, seq, record_id in of_contact if seq not in known)


def _load(ids: Iterable[UUID]) -> list[Sealed]:
    return [
        sealed(record)
        for some in batched(ids, 500)  # SQLite bounds the number of parameters
        for record in Record.objects.filter(pk__in=some).only(*_COLUMNS)
    ]


def sealed(record: Record) -> Sealed:
    """A record as a seal holds it. One whose columns are not what its body says is sealed as what no record is."""
    columns = Columns.of(record.pk, record.audience, record.at, record.actor, record.idempotency_key)
    own = Said(str(record.contact_ref), record.seq, columns._replace(idempotency_key=""))
    try:
        digest = bytes.fromhex(record.hash)
    except ValueError:
        digest = b""
    right = digest and reading.said(record.body) == own
    return Sealed(
        record.contact_ref, record.seq, seal1.sealed_hash(digest, columns.text) if right else bytes(32)
    )


def _make(before: Made, until: datetime, now: datetime, records: Sequence[Sealed]) -> Made | None:
    """The next seal, or None where somebody else made it first: theirs holds what it could see."""
    kid = conf.signing_keys[0].kid
    number, at = before.number + 1, max(until, before.at or until)
    body = seal1.body(number=number, at=at, made=now, kid=kid, records=records)
    digest = seal1.seal_hash(before.hash, body)
    _, signature = keys.mac(seal1.PURPOSE, bytes.fromhex(digest))
    row = Seal(
        number=number,
        at=at,
        records=len(records),
        body=body.decode(),
        prev=before.hash,
        hash=digest,
        kid=kid,
        signature=signature.hex(),
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return None
    return Made(number, at, digest, len(records))


# Handing out


def export(now: datetime, stopping: Callable[[], bool] = lambda: False) -> int:
    """Hand out what has not left the database yet, in order; returns how many. What fails is tried again next time."""
    if not conf.seals:
        return 0
    last = SealExport.objects.order_by("-seal").values_list("seal", flat=True).first() or 0
    waiting = lines_by_number(last)
    first = next(waiting, None)
    if first is None:
        return 0
    sent = 0
    try:
        sink = sinks.configured()
        for number, text in chain([first], waiting):
            sink.send(text, number)
            SealExport.objects.bulk_create([SealExport(seal=number, at=now)], ignore_conflicts=True)
            sent += 1
            if stopping():
                break
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - a sink is anybody's code; sealing and delivery go on without it
        # The type and not the text, which may hold a secret of the settings.
        logger.error("seals from %s on are not handed out: %s", last + sent + 1, type(error).__name__)  # noqa: TRY400
    return sent
