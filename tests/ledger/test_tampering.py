"""Whoever may write to the database, but has no signing key: whatever she does to a sealed record is found and named.

Each trial changes the tables by SQL, with the guard off, and is taken back. The verifier is given the database and the
lines that were exported, and must name exactly the first bad record of each contact that was touched. PREFS_SEED
repeats a run.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from tests.ledger import chains
from wagtail_prefs.canonical import canonical
from wagtail_prefs.ledger import format1, seals, verify
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.values import ActorType, iso

pytestmark = pytest.mark.django_db

TRIALS = 10_000 if connection.vendor == "sqlite" else 1_000
#: Records of each contact; all are sealed, but the last ones of some.
LENGTHS = (11, 5, 4, 3, 2, 1)
UNSEALED = {0: 2, 1: 1}

Named = dict[UUID, int]


@dataclass
class World:
    """The ledger before anything was done to it, and the lines that have left it."""

    rng: random.Random
    chains: dict[UUID, list[Record]]
    values: list[SideValue]
    lines: list[bytes]
    sealed: dict[UUID, int]
    seed: int

    def record(self, *, sealed: bool = False, least: int = 1) -> Record:
        """Any record; of those that a seal holds; with at least so many before and including it."""
        return self.rng.choice(
            [
                record
                for contact, records in self.chains.items()
                for record in records
                if record.seq >= least and (not sealed or record.seq <= self.sealed[contact])
            ]
        )

    def after(self, record: Record) -> list[Record]:
        return self.chains[record.contact_ref][record.seq :]


@pytest.fixture
def world() -> World:
    seed = int(os.environ.get("PREFS_SEED") or random.SystemRandom().getrandbits(32))
    rng = random.Random(seed)
    contacts = chains.ledger(LENGTHS, rng)
    end = chains.START + timedelta(hours=1)
    for seconds in (7, 14, 21):  # several seals, as they come when people save all day
        assert seals.seal(chains.START + timedelta(seconds=seconds))
    seals.seal(end)
    sealed = dict(zip(contacts, LENGTHS, strict=True))
    assert chains.sealed() == sum(LENGTHS)
    for index, more in UNSEALED.items():
        for _ in range(more):
            chains.append(contacts[index], end + timedelta(seconds=1))
    world = World(
        rng=rng,
        chains={
            contact: list(Record.objects.filter(contact_ref=contact).order_by("seq")) for contact in contacts
        },
        values=list(SideValue.objects.all()),
        lines=chains.exported(),
        sealed=sealed,
        seed=seed,
    )
    assert verify.verify(world.lines).ok
    return world


# The ways. Each does it, and returns the first bad record of each contact.


def change(record: Record, **columns: Any) -> None:
    assert Record.objects.filter(pk=record.pk).update(**columns) == 1


def flip(text: str, rng: random.Random, alphabet: str) -> str:
    place = rng.randrange(len(text))
    return text[:place] + rng.choice(alphabet.replace(text[place], "")) + text[place + 1 :]


HEX = "0123456789abcdef"
TEXT = HEX + 'xyz{}[]":,.-_ Ж\\'


def body(world: World) -> Named:
    record = world.record()
    change(record, body=flip(record.body, world.rng, TEXT))
    return {record.contact_ref: record.seq}


def digest(world: World) -> Named:
    record = world.record()
    change(record, hash=flip(record.hash, world.rng, HEX))
    return {record.contact_ref: record.seq}


def before(world: World) -> Named:
    record = world.record()
    change(record, prev=flip(record.prev, world.rng, HEX))
    return {record.contact_ref: record.seq}


def column_at(world: World) -> Named:
    record = world.record()
    change(record, at=record.at + timedelta(microseconds=world.rng.choice([-(10**12), -1, 1, 10**9])))
    return {record.contact_ref: record.seq}


def column_actor(world: World) -> Named:
    record = world.record()
    change(record, actor=world.rng.choice([item.value for item in ActorType if item.value != record.actor]))
    return {record.contact_ref: record.seq}


def column_audience(world: World) -> Named:
    record = world.record()
    change(record, audience=flip(record.audience, world.rng, HEX))
    return {record.contact_ref: record.seq}


def column_idempotency_key(world: World) -> Named:
    # The one column that stands in no body: the seals hold it.
    record = world.record(sealed=True)
    key = record.idempotency_key
    change(
        record,
        idempotency_key=flip(key, world.rng, HEX)
        if key and world.rng.random() < 0.7
        else None
        if key
        else "k",
    )
    return {record.contact_ref: record.seq}


def column_id(world: World) -> Named:
    record = world.record()
    change(record, id=UUID(flip(record.pk.hex, world.rng, HEX)))
    return {record.contact_ref: record.seq}


def delete(world: World) -> Named:
    """One that a seal holds, or that has others behind it."""
    record = world.record()
    while record.seq > world.sealed[record.contact_ref] and not world.after(record):
        record = world.record()
    Record.objects.filter(pk=record.pk).delete()
    return {record.contact_ref: record.seq}


def delete_and_close(world: World) -> Named:
    """The same, and those behind it take over its number."""
    record = world.record(sealed=True)
    Record.objects.filter(pk=record.pk).delete()
    for other in world.after(record):
        change(other, seq=other.seq - 1)
    return {record.contact_ref: record.seq}


def swap_bodies(world: World) -> Named:
    one, other = two(world, world.rng.random() < 0.5)
    change(one, body=other.body)
    change(other, body=one.body)
    return first(one, other)


def swap_contents(world: World) -> Named:
    one, other = two(world, world.rng.random() < 0.5)
    for record, given in ((one, other), (other, one)):
        change(record, body=given.body, prev=given.prev, hash=given.hash)
    return first(one, other)


def swap_numbers(world: World) -> Named:
    one, other = two(world, same=True)
    change(one, seq=10**6)
    change(other, seq=one.seq)
    change(one, seq=other.seq)
    return first(one, other)


def swap_contacts(world: World) -> Named:
    """Two people's records of one number change sides."""
    one = world.record()
    others = [
        records[one.seq - 1]
        for contact, records in world.chains.items()
        if contact != one.contact_ref and len(records) >= one.seq
    ]
    if not others:
        return swap_contacts(world)
    other = world.rng.choice(others)
    change(one, contact_ref=UUID(int=0))
    change(other, contact_ref=one.contact_ref)
    change(one, contact_ref=other.contact_ref)
    return first(one, other)


def two(world: World, same: bool) -> tuple[Record, Record]:
    one = world.record(least=2)
    others = [
        record
        for contact, records in world.chains.items()
        for record in records
        if record.pk != one.pk and (contact == one.contact_ref) is same
    ]
    return one, world.rng.choice(others)


def first(*records: Record) -> Named:
    found: Named = {}
    for record in records:
        found[record.contact_ref] = min(record.seq, found.get(record.contact_ref, record.seq))
    return found


def forged(record: Record, seq: int, prev: str, world: World) -> Record:
    """A record as it should look, which nobody made: another time, another wish, a right hash."""
    said = json.loads(record.body)
    record_id = UUID(int=world.rng.getrandbits(128), version=4)
    said |= {"seq": seq, "record_id": str(record_id), "language": "xx", "event_time_utc": iso(record.at)}
    text = canonical(said)
    return Record(
        id=record_id,
        contact_ref=record.contact_ref,
        audience=record.audience,
        seq=seq,
        at=record.at,
        actor=record.actor,
        body=text.decode(),
        prev=prev,
        hash=format1.record_hash(prev, text),
    )


def make_room(world: World, record: Record) -> None:
    for other in reversed(world.after(record)):
        change(other, seq=other.seq + 1)
    change(record, seq=record.seq + 1)


def insert(world: World) -> Named:
    """In front of a sealed one, well chained to the one before; what follows gets the next numbers."""
    record = world.record(sealed=True)
    make_room(world, record)
    forged(record, record.seq, record.prev, world).save(force_insert=True)
    return {record.contact_ref: record.seq}


def insert_and_rewrite(world: World) -> Named:
    """The same, and all that follows is written anew, so that the chain is whole."""
    record = world.record(sealed=True)
    make_room(world, record)
    new = forged(record, record.seq, record.prev, world)
    new.save(force_insert=True)
    rechain(new.hash, [record, *world.after(record)], 1)
    return {record.contact_ref: record.seq}


def rewrite(world: World) -> Named:
    """Another body, and every hash from there on made right again."""
    record = world.record(sealed=True)
    said = json.loads(record.body)
    said["language"] = "xx"
    rechain(record.prev, [record], 0, said)
    new = Record.objects.get(pk=record.pk)
    rechain(new.hash, world.after(record), 0)
    return {record.contact_ref: record.seq}


def rechain(prev: str, records: list[Record], shift: int, said: dict[str, Any] | None = None) -> None:
    for record in records:
        text = canonical({**(said or json.loads(record.body)), "seq": record.seq + shift})
        hashed = format1.record_hash(prev, text)
        change(record, body=text.decode(), prev=prev, hash=hashed)
        prev = hashed


def cut(world: World) -> Named:
    """The newest records of a contact, those that a seal holds among them."""
    record = world.record(sealed=True)
    Record.objects.filter(contact_ref=record.contact_ref, seq__gte=record.seq).delete()
    return {record.contact_ref: record.seq}


def cut_and_go_on(world: World) -> Named:
    """The same, and forged ones take their places."""
    record = world.record(sealed=True)
    Record.objects.filter(contact_ref=record.contact_ref, seq__gte=record.seq).delete()
    prev = record.prev
    for old in [record, *world.after(record)]:
        new = forged(old, old.seq, prev, world)
        new.save(force_insert=True)
        prev = new.hash
    return {record.contact_ref: record.seq}


def wipe(world: World) -> Named:
    contact = world.record().contact_ref
    Record.objects.filter(contact_ref=contact).delete()
    return {contact: 1}


def wipe_everything(world: World) -> Named:
    Record.objects.all().delete()
    return dict.fromkeys(world.chains, 1)


def value(world: World) -> Named:
    kept = world.rng.choice(world.values)
    with_it = SideValue.objects.filter(pk=kept.pk)
    match world.rng.randrange(3):
        case 0:
            with_it.update(value=flip(kept.value, world.rng, TEXT))
        case 1:
            with_it.update(salt=bytes(world.rng.randrange(256) for _ in range(16)))
        case 2:
            with_it.update(name="attribute:another")
    record = Record.objects.get(pk=kept.record)
    return {record.contact_ref: record.seq}


def value_moved(world: World) -> Named:
    kept = world.rng.choice(world.values)
    holders = {item.record for item in world.values if item.name == kept.name}
    target = world.record()
    while target.pk in holders:
        target = world.record()
    SideValue.objects.filter(pk=kept.pk).update(record=target.pk)
    return {target.contact_ref: target.seq}


WAYS: tuple[Callable[[World], Named], ...] = (
    *(body, digest, before, column_at, column_actor, column_audience, column_idempotency_key, column_id),
    *(delete, delete_and_close, swap_bodies, swap_contents, swap_numbers, swap_contacts),
    *(insert, insert_and_rewrite, rewrite, cut, cut_and_go_on, wipe, wipe_everything, value, value_moved),
)


def named(report: verify.Report) -> Named:
    """The first bad record of each contact. Personal values of a record that is gone are told besides."""
    problems = [problem for problem in report.problems if problem.code != "orphan"]
    assert all(problem.contact and problem.seq for problem in problems), report.problems
    found = {problem.contact: problem.seq for problem in problems if problem.contact and problem.seq}
    assert len(found) == len(problems), "a contact is named once"
    return found


@pytest.fixture
def undone() -> Callable[[Callable[[], None]], None]:
    def run(trial: Callable[[], None]) -> None:
        point = transaction.savepoint()
        try:
            trial()
        finally:
            transaction.savepoint_rollback(point)

    return run


def tamper(world: World, trials: int, undone: Callable[[Callable[[], None]], None]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number in range(trials):
        way = WAYS[number % len(WAYS)] if number < len(WAYS) else world.rng.choice(WAYS)

        def trial(number: int = number, way: Callable[[World], Named] = way) -> None:
            touched = way(world)
            report = verify.verify(world.lines)
            where = f"seed {world.seed}, trial {number}: {way.__name__}"
            assert named(report) == touched, where
            first = min(touched, key=lambda contact: contact.bytes)
            assert report.first
            assert (report.first.contact, report.first.seq) == (first, touched[first]), where

        undone(trial)
        counts[way.__name__] += 1
    assert verify.verify(world.lines).ok, "taken back"
    return counts


def test_whatever_is_done_is_found_and_named(
    world: World, undone: Callable[[Callable[[], None]], None], tell: Callable[[str], None]
) -> None:
    counts = tamper(world, TRIALS, undone)
    assert sum(counts.values()) == TRIALS
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    tell(f"tampering: {TRIALS} of {TRIALS} found and named, seed {world.seed}: {kinds}")


@pytest.mark.soak
def test_whatever_is_done_is_found_and_named_for_long(
    world: World, undone: Callable[[Callable[[], None]], None], tell: Callable[[str], None]
) -> None:
    tamper(world, 10 * TRIALS, undone)
    tell(f"tampering: {10 * TRIALS} of {10 * TRIALS} found and named, seed {world.seed}")
