"""A whole chain goes, and what stays says so: to whoever verifies, and against whoever forges."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction

from tests.ledger import chains
from wagtail_prefs.canonical import canonical
from wagtail_prefs.ledger import guard, seals, tombstone1, tombstones
from wagtail_prefs.ledger.models import Record, Seal, SideValue, Tombstone, TombstoneExport
from wagtail_prefs.ledger.tombstones import Chain, NotRemoved
from wagtail_prefs.ledger.verify import Report, verify

pytestmark = pytest.mark.django_db

NOW = chains.START + timedelta(days=1)
LENGTHS = (4, 3, 2, 1)
KEY = {"kid": "t2", "key": "another-key-for-tests-only-0123456789-abcdefghijk"}


@pytest.fixture
def contacts() -> list[UUID]:
    """A ledger that is sealed, in the order of the contacts."""
    found = chains.ledger(LENGTHS, random.Random(9))
    seals.seal(chains.START + timedelta(hours=1))
    assert chains.sealed() == sum(LENGTHS)
    return found


def bury(contact: UUID, now: datetime = NOW) -> Tombstone:
    (chain,) = tombstones.removable([contact])
    stone = tombstones.put_up(chain, now, "retention")
    tombstones.export(now)
    assert tombstones.remove(contact) == len(chain.hashes)
    return stone


def codes(report: Report) -> dict[str, int]:
    return dict(report.codes)


def put_in(settings: Any, **values: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **values}


# Removing


def test_a_chain_goes_whole_and_the_ledger_verifies(contacts: list[UUID]) -> None:
    gone, kept = contacts[0], contacts[1]
    outside = chains.exported()
    stone = bury(gone)
    assert not Record.objects.filter(contact_ref=gone).exists()
    assert not set(SideValue.objects.values_list("record", flat=True)) - set(
        Record.objects.values_list("pk", flat=True)
    )
    assert (stone.number, stone.contact_ref, stone.records) == (1, gone, LENGTHS[0])
    for report in (verify(), verify(outside), verify(contact=gone), verify(contact=kept)):
        assert report.ok, report.problems
    assert verify().stones == 1


def test_between_the_stone_and_the_end_of_the_chain_all_is_well(contacts: list[UUID]) -> None:
    (chain,) = tombstones.removable([contacts[0]])
    tombstones.put_up(chain, NOW, "retention")
    assert verify().ok
    assert tombstones.waiting() == [contacts[0]]
    tombstones.remove(contacts[0])
    assert tombstones.waiting() == []
    assert tombstones.remove(contacts[0]) == 0
    assert verify().ok


def test_again_gives_the_same_stone(contacts: list[UUID]) -> None:
    (chain,) = tombstones.removable([contacts[0]])
    assert tombstones.put_up(chain, NOW, "x").pk == tombstones.put_up(chain, NOW, "y").pk == 1


def test_the_stones_are_a_chain_and_hold_what_seals_hold(contacts: list[UUID]) -> None:
    first, second = bury(contacts[0]), bury(contacts[2])
    assert (second.number, second.prev) == (2, first.hash)
    held = {run[:16]: run[32:] for row in Seal.objects.order_by("number") for run in seals.runs_of(row)}
    for stone in (first, second):
        read = tombstone1.read_line(tombstones.line(stone))
        assert read.is_whole() and read.is_signed()
        assert len(read.runs[0]) == 32 + 32 * stone.records
        assert json.loads(stone.body)["records"] == stone.records
        assert read.runs[0][-32:] in {held[key][-32:] for key in held}


def test_what_is_not_whole_is_not_removed(contacts: list[UUID]) -> None:
    spoilt, unsealed, fine, nobody = *contacts[:3], UUID(int=7)
    Record.objects.filter(contact_ref=spoilt, seq=2).update(actor="gpc")
    chains.append(unsealed, NOW)
    assert [chain.contact for chain in tombstones.removable([spoilt, unsealed, fine, nobody])] == [fine]


def test_nothing_is_removed_while_the_seals_are_not_whole(contacts: list[UUID]) -> None:
    Seal.objects.update(signature="0" * 64)
    with pytest.raises(NotRemoved, match="seals"):
        list(tombstones.removable(contacts))


def test_a_chain_that_has_grown_meanwhile_stays(contacts: list[UUID]) -> None:
    (chain,) = tombstones.removable([contacts[0]])
    chains.append(contacts[0], NOW)
    with pytest.raises(NotRemoved, match="changed"):
        tombstones.put_up(chain, NOW, "retention")


def test_nothing_is_removed_without_a_stone(contacts: list[UUID]) -> None:
    with pytest.raises(NotRemoved, match="no stone"):
        tombstones.remove(contacts[0])
    assert Record.objects.count() == sum(LENGTHS)


def test_the_guard_lets_this_through_and_nothing_else(contacts: list[UUID]) -> None:
    guard.install(DEFAULT_DB_ALIAS)
    try:
        bury(contacts[0])
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            Record.objects.filter(contact_ref=contacts[1]).delete()
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            Tombstone.objects.all().delete()
        assert verify().ok
    finally:
        guard.remove(DEFAULT_DB_ALIAS)


# Leaving the database


def test_a_stone_leaves_before_the_chain_goes(contacts: list[UUID], settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "seals.jsonl"
    sink = {"SINK": "wagtail_prefs.ledger.sinks.FileSink", "OPTIONS": {"path": str(path)}}
    put_in(settings, SEALS=sink)
    seals.export(NOW)
    (chain,) = tombstones.removable([contacts[0]])
    tombstones.put_up(chain, NOW, "retention")
    with pytest.raises(NotRemoved, match="not left"):
        tombstones.remove(contacts[0])
    assert tombstones.export(NOW) == 1
    assert tombstones.export(NOW) == 0
    tombstones.remove(contacts[0])
    outside = path.read_bytes().splitlines(keepends=True)
    assert [tombstone1.is_one(line) for line in outside] == [False, True]
    assert verify(outside).ok
    Tombstone.objects.all().delete()
    assert verify(outside).ok, "what left the database is enough"
    assert codes(verify()) == {"missing": 1}


@pytest.mark.parametrize("left", [5, 40, 150, -20])
def test_a_line_that_a_crash_left_unfinished(contacts: list[UUID], left: int) -> None:
    stone = bury(contacts[0])
    line = tombstones.line(stone)
    report = verify([*chains.exported(), line[:left] + b"\n", line + b"\n", *chains.exported()])
    assert report.ok, report.problems
    assert report.torn == (left > 5 or left < 0)


def test_a_sink_that_takes_no_stones(settings: Any) -> None:
    assert tombstones.takes_stones()
    put_in(settings, SEALS={"SINK": f"{__name__}.OnlySeals"})
    assert not tombstones.takes_stones()


class OnlySeals:
    """As others have written them."""

    def send(self, line: bytes, number: int) -> None: ...


def test_a_sink_that_is_away_keeps_the_chain(
    contacts: list[UUID], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    put_in(settings, SEALS={"SINK": f"{__name__}.Away"})
    (chain,) = tombstones.removable([contacts[0]])
    tombstones.put_up(chain, NOW, "retention")
    assert tombstones.export(NOW) == 0
    assert "stones from 1 on are not handed out: OSError" in caplog.text
    assert not TombstoneExport.objects.exists()
    assert verify().ok


class Away:
    def send(self, line: bytes, number: int) -> None: ...

    def send_stone(self, line: bytes, number: int) -> None:
        raise OSError("away")


# Keys


def test_a_new_key_proves_the_stones_of_the_old_one(contacts: list[UUID], settings: Any) -> None:
    old = settings.WAGTAIL_PREFS["SIGNING_KEYS"]
    bury(contacts[0])
    assert tombstones.renew(NOW) is None
    put_in(settings, SIGNING_KEYS=[KEY, *old])
    made = tombstones.renew(NOW)
    assert made is not None and (made.records, made.kid) == (0, "t2")
    assert tombstones.renew(NOW) is None
    seals.seal(NOW)
    chains.append(contacts[1], NOW)
    seals.seal(NOW + timedelta(seconds=1))
    put_in(settings, SIGNING_KEYS=[KEY])
    report = verify()
    assert report.ok, report.problems
    assert report.stones == 1, "the one that stands for no chain is none"
    bury(contacts[2])
    assert verify().ok


def test_a_key_that_left_too_early_is_told_and_nothing_is_put_behind_it(
    contacts: list[UUID], settings: Any
) -> None:
    bury(contacts[0])
    (chain,) = tombstones.removable([contacts[1]])
    put_in(settings, SIGNING_KEYS=[KEY])
    assert codes(verify(contact=contacts[0]))["stone-unverifiable"] == 1
    with pytest.raises(NotRemoved, match="not signed"):
        tombstones.put_up(chain, NOW, "retention")
    with pytest.raises(NotRemoved, match="not signed"):
        tombstones.renew(NOW)


# Forging


def forge(contact: UUID, *, kid: str = "t1", key: bytes = b"guessed", number: int | None = None) -> Tombstone:
    """A stone as it should look, by somebody who can write to the database and has no key."""
    newest = Tombstone.objects.order_by("-number").first()
    records = Record.objects.filter(contact_ref=contact).order_by("seq")
    hashes = [seals.sealed(record).hash for record in records]
    prev = newest.hash if newest else tombstone1.GENESIS
    number = number or (newest.number + 1 if newest else 1)
    last = records.last()
    assert last is not None
    text = tombstone1.body(
        number=number,
        contact=contact,
        audience="brand",
        at=NOW,
        kid=kid,
        reason="x",
        head=last.hash,
        hashes=hashes,
    )
    digest = tombstone1.stone_hash(prev, text)
    return Tombstone.objects.create(
        number=number,
        contact_ref=contact,
        at=NOW,
        records=len(hashes),
        body=text.decode(),
        prev=prev,
        hash=digest,
        kid=kid,
        signature=hmac.digest(key, bytes.fromhex(digest), hashlib.sha256).hex(),
    )


def forged(contacts: list[UUID]) -> dict[str, int]:
    forge(contacts[1])
    Record.objects.filter(contact_ref=contacts[1]).delete()
    return {"stone-signature": 1, "missing": 1}


def forged_under_a_key_that_nobody_knows(contacts: list[UUID]) -> dict[str, int]:
    forge(contacts[1], kid="k0")
    Record.objects.filter(contact_ref=contacts[1]).delete()
    return {"stone-unverifiable": 1, "missing": 1}


def forged_and_not_used(contacts: list[UUID]) -> dict[str, int]:
    forge(contacts[1])
    return {"stone-signature": 1}


def taken_away(contacts: list[UUID]) -> dict[str, int]:
    Tombstone.objects.filter(contact_ref=contacts[0]).delete()
    return {"stone-missing": 1, "missing": 1}


def cut_off(contacts: list[UUID]) -> dict[str, int]:
    Tombstone.objects.all().delete()
    return {"missing": 2}


def moved_to_another(contacts: list[UUID]) -> dict[str, int]:
    Tombstone.objects.filter(contact_ref=contacts[0]).update(contact_ref=contacts[1])
    Record.objects.filter(contact_ref=contacts[1]).delete()
    return {"stone-malformed": 1, "stone-missing": 1, "missing": 2}


def of_a_shorter_chain(contacts: list[UUID]) -> dict[str, int]:
    """All made right again but the signature."""
    stone = Tombstone.objects.get(contact_ref=contacts[2])
    said = json.loads(stone.body)
    said |= {"hashes": said["hashes"][:1], "records": 1}
    text = canonical(said)
    Tombstone.objects.filter(pk=stone.pk).update(
        body=text.decode(), hash=tombstone1.stone_hash(stone.prev, text), records=1
    )
    return {"stone-signature": 1, "missing": 1}


def a_part_is_back(contacts: list[UUID]) -> dict[str, int]:
    """Somebody writes a chain of her own for who was removed."""
    chains.append(contacts[0], NOW)
    return {"sealed": 1}


def the_chain_is_deleted_without_one(contacts: list[UUID]) -> dict[str, int]:
    Record.objects.filter(contact_ref=contacts[1]).delete()
    return {"missing": 1}


@pytest.mark.parametrize(
    "way",
    [
        *(forged, forged_under_a_key_that_nobody_knows, forged_and_not_used, taken_away, cut_off),
        *(moved_to_another, of_a_shorter_chain, a_part_is_back, the_chain_is_deleted_without_one),
    ],
)
def test_whatever_is_done_to_stones_is_found(
    contacts: list[UUID], way: Callable[[list[UUID]], dict[str, int]]
) -> None:
    bury(contacts[0])
    bury(contacts[2])
    assert verify().ok
    expected = way(contacts)
    SideValue.objects.all().delete()
    assert codes(verify()) == expected


def test_every_byte_of_a_stone_counts(contacts: list[UUID], tell: Callable[[str], None]) -> None:
    bury(contacts[0])
    bury(contacts[2])
    seed = int(os.environ.get("PREFS_SEED") or random.SystemRandom().getrandbits(32))
    rng, found = random.Random(seed), 0
    lines = [tombstones.line(row) for row in Tombstone.objects.order_by("number")]
    sealed = chains.exported()
    Tombstone.objects.all().delete()
    assert verify([*sealed, *lines]).ok
    for trial in range(200):
        which = rng.randrange(2)
        place = rng.randrange(1, len(lines[which]) - 1)
        flipped = bytearray(lines[which])
        flipped[place] ^= 1 << rng.randrange(7)
        spoilt = [bytes(flipped) + b"\n" if index == which else line for index, line in enumerate(lines)]
        report = verify([*sealed, *spoilt])
        assert not report.ok, f"seed {seed}, trial {trial}, stone {which}, byte {place}"
        found += 1
    tell(f"bytes of stones: {found} of 200 flips found, seed {seed}")


def test_nothing_is_put_behind_a_forged_stone(contacts: list[UUID]) -> None:
    """Else the next one would prove it."""
    bury(contacts[0])
    forge(contacts[1], kid="k0")
    (chain,) = tombstones.removable([contacts[2]])
    with pytest.raises(NotRemoved, match="not signed"):
        tombstones.put_up(chain, NOW, "retention")
    with pytest.raises(NotRemoved, match="no stone"):
        tombstones.remove(contacts[1])


# The bytes


def test_format_1_stays_as_it_is() -> None:
    """These never change: see docs/reference/ledger.md."""
    text = tombstone1.body(
        number=2,
        contact=UUID(int=5),
        audience="brand",
        at=datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC),
        kid="t1",
        reason="retention",
        head="ab" * 32,
        hashes=[b"\x01" * 32, b"\x02" * 32],
    )
    assert text == (
        b'{"at":"2026-11-22T08:00:00.123456Z","audience":"brand","contact":"00000000-0000-0000-0000-000000000005",'
        b'"format":1,"hashes":["'
        + b"01" * 32
        + b'","'
        + b"02" * 32
        + b'"],"head":"'
        + b"ab" * 32
        + b'","kid":"t1",'
        b'"number":2,"reason":"retention","records":2}'
    )
    digest = hashlib.sha256(b"wagtail-prefs/tombstone/1\n" + bytes.fromhex("cd" * 32) + text).hexdigest()
    assert tombstone1.stone_hash("cd" * 32, text) == digest
    line = tombstone1.line(
        number=2,
        at=datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC),
        contact=UUID(int=5),
        body=text.decode(),
        prev="cd" * 32,
        hash=digest,
        kid="t1",
        signature="ef" * 32,
    )
    assert json.loads(line).keys() == {
        "at",
        "body",
        "contact",
        "hash",
        "kid",
        "prev",
        "signature",
        "tombstone",
    }
    read = tombstone1.read_line(line)
    assert read.is_whole() and not read.is_signed()
    assert read.contact == UUID(int=5)


def test_a_chain_of_nobody_is_none() -> None:
    assert list(tombstones.removable([])) == []
    with pytest.raises(NotRemoved, match="changed"):
        tombstones.put_up(Chain(UUID(int=1), "", "", ()), NOW, "x")
