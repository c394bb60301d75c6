"""The one way in which a contact's state changes: lock, read, merge, apply, write - one transaction, six statements."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from ..canonical import sha256_hex
from ..centers import services as centers
from ..centers.services import Snapshot
from ..changes import Change
from ..contacts import rules, store
from ..contacts.models import Contact, State
from ..delivery import services as delivery
from ..errors import BadToken, KeyReused, UnknownContact
from ..ledger import services as ledger
from ..ledger.format1 import GENESIS, Notice, Proof
from ..ledger.models import Record
from ..values import Actor, Answers, ContactState, Effect, Merged, Source
from .words import Line, Words


@dataclass(frozen=True, slots=True)
class Saved:
    """What a submission came to. `receipt` is None when nothing had to change; then `version` is the old one."""

    version: int
    receipt: str | None
    effects: tuple[Effect, ...]
    yielded: tuple[Merged, ...]
    state: ContactState
    email: str
    applied: tuple[Line, ...] = ()
    merged: tuple[Line, ...] = ()


def submit(
    *,
    link_id: str,
    epoch: int,
    snapshot: Snapshot,
    base_version: int,
    answers: Answers,
    actor: Actor,
    source: Source,
    idempotency_key: str | None,
) -> Saved:
    """Save answers given on a snapshot by the holder of a link.

    An absent answer means "not touched". A stale `base_version` is merged, never refused. A repeat of
    `idempotency_key` gets the first answer again. Raises InvalidAnswers, KeyReused, BadToken (revoked meanwhile) and
    UnknownContact (erased meanwhile); then nothing was changed.
    """
    changes = centers.answers_to_changes(snapshot, answers)
    request = sha256_hex(
        {"revision": snapshot.digest, "base_version": base_version, "answers": _plain(answers)}
    )
    saved = _save(
        {"link_id": link_id},
        changes,
        base_version=base_version,
        actor=actor,
        source=source,
        idempotency_key=idempotency_key,
        request=request,
        proof=_proof(snapshot),
        epoch=epoch,
    )
    words = Words(snapshot.specs, snapshot.locale)
    return Saved(
        saved.version,
        saved.receipt,
        saved.effects,
        saved.yielded,
        saved.state,
        saved.email,
        applied=words.applied(saved.effects),
        merged=words.merged(saved.yielded),
    )


def record(
    contact_id: UUID,
    changes: Sequence[Change],
    *,
    actor: Actor,
    source: Source,
    idempotency_key: str | None = None,
) -> Saved:
    """Save changes that were not made on a center: one-click, jobs, checkouts.

    They are held against today's state. Raises UnknownContact, NotAllowed (design.md s6: only the contact's own
    act, or evidence with a name on it, makes a yes) and ValueError for changes that contradict each other.
    """
    if rules.contradictions(changes):
        raise ValueError("changes contradict each other")
    return _save(
        {"id": contact_id},
        changes,
        base_version=None,
        actor=actor,
        source=source,
        idempotency_key=idempotency_key,
        request=sha256_hex({"changes": [change.to_json() for change in changes]}),
        proof=Proof(),
    )


def _save(
    who: dict[str, Any],
    changes: Sequence[Change],
    *,
    base_version: int | None,
    actor: Actor,
    source: Source,
    idempotency_key: str | None,
    request: str,
    proof: Proof,
    epoch: int | None = None,
) -> Saved:
    key = hashlib.sha256(idempotency_key.encode()).hexdigest() if idempotency_key else None
    try:
        with transaction.atomic():
            found = _read(_lock(who, epoch), key)
            if found.repeat is not None:
                raise _Settled(_again(found, found.repeat, request))
            state = found.loaded.state
            base = state.version if base_version is None else min(base_version, state.version)
            accepted, yielded = rules.merge(state, changes, base)
            after, effects = rules.apply(state, accepted, actor=actor, evidence=source.evidence_ref)
            if not effects:
                raise _Settled(Saved(state.version, None, (), yielded, state, found.loaded.email))
            store.write(after, effects)
            entry = ledger.append(
                contact=state.id,
                audience=state.audience,
                seq=after.version,
                prev=found.head,
                at=timezone.now(),
                actor=actor,
                source=source,
                base_version=base_version,
                changes=changes,
                effects=effects,
                merged=yielded,
                proof=proof,
                idempotency_key=key,
                request=request,
            )
            delivery.want(state.id, after.version, restricts=_restricts(effects))
    except _Settled as settled:
        return settled.saved
    return Saved(after.version, str(entry.id), effects, yielded, after, found.loaded.email)


class _Settled(Exception):
    """Leaves the transaction by rolling back: there is nothing to write, and the version must not have moved."""

    def __init__(self, saved: Saved) -> None:
        super().__init__()
        self.saved = saved


def _lock(who: dict[str, Any], epoch: int | None) -> list[Any]:
    """Statement 1: take the contact's row lock by moving its version on. Everything read after it is settled.

    Returns the contact as `store.loaded` takes it, with the version it had.
    """
    ((column, value),) = who.items()
    quote = connection.ops.quote_name
    table = quote(Contact._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET version = version + 1 WHERE {quote(column)} = %s "  # noqa: S608 - names, no values
            f"RETURNING {store.contact_columns(table)}",
            [store.db_uuid(value) if isinstance(value, UUID) else value],
        )
        row = cursor.fetchone()
    if row is None:
        raise UnknownContact
    head = list(row)
    if epoch is not None and head[store.CONTACT_COLUMNS.index("epoch")] != epoch:
        raise BadToken("revoked")
    head[store.CONTACT_COLUMNS.index("version")] -= 1
    return head


@dataclass(frozen=True, slots=True)
class _Found:
    loaded: store.Loaded
    head: str
    repeat: UUID | None


def _read(contact: Sequence[Any], key: str | None) -> _Found:
    """Statement 2: the state, the hash of the record before, and the record of this idempotency key if it is there."""
    contact_id, version = (
        store.db_uuid(store.as_uuid(contact[0])),
        contact[store.CONTACT_COLUMNS.index("version")],
    )
    quote = connection.ops.quote_name
    record = f"FROM {quote(Record._meta.db_table)} WHERE contact_ref = %s AND"
    sql = (
        f"SELECT (SELECT hash {record} seq = %s), (SELECT id {record} idempotency_key = %s), "  # noqa: S608 - names
        f"{store.state_columns('state')} FROM (SELECT 1) AS once "
        f"LEFT JOIN {quote(State._meta.db_table)} AS state ON state.contact_id = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [contact_id, version, contact_id, key, contact_id])
        rows = cursor.fetchall()
    head, repeat = rows[0][:2]
    if version and head is None:
        raise RuntimeError("the ledger lacks the newest record of a contact; run prefs_verify_ledger")
    found = store.loaded(contact, [row[2:] for row in rows], assurance="link")
    return _Found(found, head or GENESIS, store.as_uuid(repeat) if repeat else None)


def _again(found: _Found, first: UUID, request: str) -> Saved:
    """The answer a repeated idempotency key gets: that of the first time, with today's state."""
    entry = Record.objects.get(pk=first)
    body = ledger.read_body(entry)
    if body["request"] != request:
        raise KeyReused
    return Saved(
        entry.seq,
        str(entry.id),
        ledger.effects_of(body),
        ledger.merged_of(body),
        found.loaded.state,
        found.loaded.email,
    )


def _restricts(effects: Sequence[Effect]) -> bool:
    return any(effect.action in {"withdrawn", "refused"} for effect in effects)


def _proof(snapshot: Snapshot) -> Proof:
    """What was before the person's eyes: the notice of the snapshot and the basis of each topic."""
    notice: Notice | None = None
    bases: dict[str, str] = {}
    for spec in snapshot.specs:
        bases.update(spec.rules.get("bases", {}))
        shown = spec.rules.get("notice")
        if shown and notice is None:
            notice = Notice(shown["id"], snapshot.digest, shown["sha256"])
    return Proof(notice=notice, bases=bases)


def _plain(answers: Answers) -> dict[str, Any]:
    return {block: dict(fields) for block, fields in answers.items()}
