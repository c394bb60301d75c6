"""Appending to the ledger and reading it back."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import AutoField, Q

from ..canonical import canonical
from ..changes import Change, changes_from_json
from ..ciphers import Unreadable, conceal, is_current
from ..ids import uuid7
from ..values import Actor, ActorType, ChangeBatch, Effect, Json, Merged, Source
from ..writes import Write
from . import format1
from .models import Record, SideValue

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` (itertools.batched, which Python 3.11 lacks)."""
    source = iter(items)
    while some := list(islice(source, size)):
        yield some


@dataclass(frozen=True, slots=True)
class Next:
    """A record that is ready to be written, and what writes it."""

    id: UUID
    hash: str
    writes: list[Write]


def next_record(
    *,
    contact: UUID,
    audience: str,
    seq: int,
    prev: str,
    at: datetime,
    actor: Actor,
    source: Source,
    base_version: int | None,
    changes: Sequence[Change],
    effects: Sequence[Effect],
    merged: Sequence[Merged],
    proof: format1.Proof,
    idempotency_key: str | None,
    request: str | None,
) -> Next:
    """Make the next record of a contact's chain, and its personal values beside it: two INSERTs.

    The caller holds the contact's row lock and knows `prev`, the hash of record `seq - 1`.
    """
    record_id = uuid7()
    # What is erased is not written down once more: the record says that something stood there, nobody can say what.
    erased = {effect.path for effect in effects if effect.action == "erased"}
    commitments = commitments_of(source, changes, effects, merged)
    body = canonical(
        format1.body(
            record_id=record_id,
            contact=contact,
            audience=audience,
            seq=seq,
            at=at,
            actor=actor,
            source=source,
            base_version=base_version,
            changes=changes,
            effects=effects,
            merged=merged,
            proof=proof,
            request=request,
            commitments=commitments,
        )
    )
    record_hash = format1.record_hash(prev, body)
    row = {
        "id": record_id,
        "contact_ref": contact,
        "audience": audience,
        "seq": seq,
        "at": at,
        "actor": actor.type.value,
        "idempotency_key": idempotency_key,
        "body": body.decode(),
        "prev": prev,
        "hash": record_hash,
    }
    writes = [_insert(Record, [[row[column] for column in _columns(Record)]])]
    kept = [item for item in commitments if item.name not in erased]
    if kept:
        rows = [[record_id, item.name, item.salt, _stored(record_id, item)] for item in kept]
        writes.append(_insert(SideValue, rows))
    return Next(record_id, record_hash, writes)


def _stored(record_id: UUID, item: format1.Commitment) -> str:
    return conceal(item.text, place=SideValue.place(record_id, item.name))


def _insert(model: type[Record] | type[SideValue], rows: Sequence[Sequence[Any]]) -> Write:
    """What `bulk_create` does, at a third of its cost: every save comes by here."""
    native, moment = connection.features.has_native_uuid_field, connection.ops.adapt_datetimefield_value
    values = [value for row in rows for value in row]
    for place, value in enumerate(values):  # as this database's driver takes them
        if isinstance(value, UUID) and not native:
            values[place] = value.hex
        elif isinstance(value, datetime):
            values[place] = moment(value)
    return Write(_insertion(model, len(rows)), values)


@lru_cache(maxsize=64)
def _insertion(model: type[Record] | type[SideValue], rows: int) -> str:
    quote = connection.ops.quote_name
    columns = _columns(model)
    row = f"({', '.join(['%s'] * len(columns))})"
    return (
        f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(map(quote, columns))}) "  # noqa: S608 - names
        f"VALUES {', '.join([row] * rows)}"
    )


@cache
def _columns(model: type[Record] | type[SideValue]) -> tuple[str, ...]:
    """All but a number that the database gives."""
    return tuple(field.attname for field in model._meta.concrete_fields if not isinstance(field, AutoField))


def commitments_of(
    source: Source, changes: Sequence[Change], effects: Sequence[Effect], merged: Sequence[Merged]
) -> list[format1.Commitment]:
    """The personal values of a record: the address as entered, the truncated IP, attributes and addresses."""
    values: dict[str, Json | str] = {}
    for change in changes:
        if change.personal:
            data = change.to_json()
            values[change.path] = {"wanted": {name: data[name] for name in change.personal if name in data}}
    for item in merged:
        # Where neither is known any more the body says nothing, and there is nothing to commit to.
        if is_personal(item.path) and (item.wanted is not None or item.kept is not None):
            values[item.path] = {"wanted": item.wanted, "kept": item.kept}
    for effect in effects:
        if is_personal(effect.path):
            values[effect.path] = {"before": effect.before, "after": effect.after}
    if source.address_as_entered:
        values["address_as_entered"] = source.address_as_entered
    if source.ip:
        values["ip_truncated"] = truncated_ip(source.ip)
    return [format1.commit(name, value) for name, value in values.items()]


def is_personal(path: str) -> bool:
    """Whether the values of a path stand in the side table, never in a body."""
    return path.startswith(("attribute:", "address:"))


def forget(contact: UUID) -> int:
    """Delete the personal values of all records of a contact; the chain stays whole. Returns how many there were."""
    records = Record.objects.filter(contact_ref=contact).values("id")
    return SideValue.objects.filter(record__in=records).delete()[0]


def conceal_anew(contacts: Iterable[UUID], *, write: bool) -> tuple[int, int]:
    """Put the personal values of these people's records under the newest key: how many were, and how many nobody can
    read. The caller holds the rows of these people, so that none is erased meanwhile.

    The guard lets no value be changed, so a row goes and another comes in its place: what it commits to is the same.
    """
    records = Record.objects.filter(contact_ref__in=list(contacts)).values("id")
    old, new, unreadable = [], [], 0
    for row in SideValue.objects.filter(record__in=records).iterator():
        if is_current(row.value):
            continue
        try:
            text = SideValue.revealed(row.record, row.name, row.value)
        except Unreadable:
            unreadable += 1
            continue
        stored = conceal(text, place=SideValue.place(row.record, row.name))
        old.append(row.pk)
        new.append(SideValue(record=row.record, name=row.name, salt=row.salt, value=stored))
    if write and old:
        SideValue.objects.filter(pk__in=old).delete()
        SideValue.objects.bulk_create(new, batch_size=500)
    return len(old), unreadable


def times(contact: UUID, seqs: Iterable[int]) -> dict[int, datetime]:
    """When records of a contact were made."""
    return dict(Record.objects.filter(contact_ref=contact, seq__in=set(seqs)).values_list("seq", "at"))


def truncated_ip(ip: str) -> str:
    """The network an address is in: /24 of IPv4, /48 of IPv6 (security.md CR-07)."""
    address = ipaddress.ip_address(ip)
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def batches_since(contact: UUID, version: int) -> list[ChangeBatch]:
    """The submissions of a contact after `version`, oldest first."""
    return batches_since_many({contact: version}).get(contact, [])


def batches_since_many(since: Mapping[UUID, int]) -> dict[UUID, list[ChangeBatch]]:
    """The submissions of many contacts, each after its own version: one statement for every 200 contacts."""
    found: dict[UUID, list[ChangeBatch]] = {}
    for some in batched(since.items(), 200):  # SQLite bounds the depth of an expression
        wanted = Q()
        for contact, version in some:
            wanted |= Q(contact_ref=contact, seq__gt=version)
        for record in Record.objects.filter(wanted).order_by("contact_ref", "seq"):
            found.setdefault(record.contact_ref, []).append(batch(record))
    return found


def moments_since_many(since: Mapping[UUID, int]) -> dict[UUID, dict[int, datetime]]:
    """When the submissions of many contacts were made, each after its own version: {contact: {version: moment}}.

    Reads no record's body: for whoever needs to know nothing but the time.
    """
    found: dict[UUID, dict[int, datetime]] = {}
    for some in batched(since.items(), 500):
        versions = dict(some)
        rows = Record.objects.filter(contact_ref__in=versions, seq__gt=min(versions.values()))
        for contact, version, at in rows.values_list("contact_ref", "seq", "at"):
            if version > versions[contact]:
                found.setdefault(contact, {})[version] = at
    return found


def batch(record: Record) -> ChangeBatch:
    """A record as backends see it."""
    body = read_body(record)
    return ChangeBatch(
        record_id=record.id,
        version=record.seq,
        at=record.at,
        actor=Actor(ActorType(body["actor"]["type"]), body["actor"]["id"]),
        changes=changes_from_json(body["changes"]),
        effects=effects_of(body),
    )


def read_body(record: Record) -> Json:
    """A record's body as JSON."""
    body: Json = json.loads(record.body)
    return body


def effects_of(body: Json) -> tuple[Effect, ...]:
    """The effects a body names."""
    return tuple(Effect.from_json(item) for item in body["effects"])


def merged_of(body: Json) -> tuple[Merged, ...]:
    """The wishes that yielded, as a body names them."""
    return tuple(Merged.from_json(item) for item in body["merged"])


def first_broken(contact: UUID) -> int | None:
    """The first `seq` of a contact's chain that does not fit, or None for a whole chain."""
    chain: Iterable[tuple[int, str, str, str]] = (
        Record.objects.filter(contact_ref=contact)
        .order_by("seq")
        .values_list("seq", "prev", "body", "hash")
        .iterator()
    )
    return format1.first_broken(chain)
