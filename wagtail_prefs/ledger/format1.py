"""Ledger format 1: what a record says, the bytes it is hashed in, and how it commits to personal values.

Fixed from the first release. A record's body is canonical JSON (RFC 8785) with the fields of `body()`;
`hash = SHA-256(DOMAIN || prev || body)`, `prev` being the 32 raw bytes of the record before, zeros for the first.
A personal value stands in the side table with a salt of its own; the body holds
`HMAC-SHA256(salt, canonical JSON of the value)` as hex. `docs/reference/ledger.md` repeats this for other languages.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..canonical import canonical
from ..changes import Change
from ..values import Actor, Effect, Json, Merged, Source, iso

FORMAT = 1
DOMAIN = b"wagtail-prefs/ledger/1\n"
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Commitment:
    """A personal value with its salt; `text` is what is kept of it, `digest` what the body holds."""

    name: str
    salt: bytes
    value: Any

    @property
    def text(self) -> str:
        return canonical(self.value).decode()

    @property
    def digest(self) -> str:
        return hmac.digest(self.salt, canonical(self.value), hashlib.sha256).hex()


def commit(name: str, value: Any) -> Commitment:
    """Commit to a value under a fresh 128-bit salt: the digest of a known address cannot be tried out."""
    return Commitment(name, secrets.token_bytes(16), value)


@dataclass(frozen=True, slots=True)
class Notice:
    """The notice a person had before her when she chose, by id, version and hash of the text."""

    id: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Applied:
    """The file of jurisdictions that was applied, by its date, and why this entry of it: known, unknown, uncertain."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What the law wants kept about the moment of a choice and the plain change does not say."""

    notice: Notice | None = None
    jurisdiction: str | None = None
    #: topic key -> legal basis
    bases: dict[str, str] | None = None
    law: Applied | None = None


def body(
    *,
    record_id: UUID,
    contact: UUID,
    audience: str,
    seq: int,
    at: datetime,
    actor: Actor,
    source: Source,
    base_version: int | None,
    changes: Sequence[Change],
    effects: Sequence[Effect],
    merged: Sequence[Merged],
    proof: Proof,
    request: str | None,
    commitments: Sequence[Commitment],
) -> Json:
    """The fields of a record: every one of `proof_fields_base`, and what the fold and the person need."""
    committed = {commitment.name: commitment.digest for commitment in commitments}
    found: Json = {
        "format": FORMAT,
        "record_id": str(record_id),
        "subject_ref": str(contact),
        "controller_id": audience,
        "seq": seq,
        "event_time_utc": iso(at),
        "actor": {"type": actor.type.value, "id": actor.id},
        "method": source.method,
        "form_id": source.form_id,
        "form_version": source.form_version,
        "notice_id": proof.notice.id if proof.notice else None,
        "notice_version": proof.notice.version if proof.notice else None,
        "notice_sha256": proof.notice.sha256 if proof.notice else None,
        "language": source.language,
        "source_url": source.source_url,
        "user_agent_family": source.user_agent_family,
        "jurisdiction": proof.jurisdiction,
        "evidence_ref": source.evidence.reference if source.evidence else None,
        "address_as_entered": committed.pop("address_as_entered", None),
        "ip_truncated": committed.pop("ip_truncated", None),
        "base_version": base_version,
        "changes": [_hide(change.to_json(), change.path, committed, *change.personal) for change in changes],
        "effects": [_effect(effect, proof, committed) for effect in effects],
        "merged": [_hide(item.to_json(), item.path, committed, "wanted", "kept") for item in merged],
        "request": request,
    }
    if source.evidence:
        found["evidence_at"] = iso(source.evidence.at)
        if not source.evidence.is_consent:
            found["evidence_kind"] = source.evidence.kind
    if proof.law:
        found["law"] = {"version": proof.law.version, "reason": proof.law.reason}
    return found


def _hide(data: Json, path: str, committed: dict[str, str], *fields: str) -> Json:
    """Put the commitment in place of the values of a personal path. What is absent stays None: that says nothing."""
    if path in committed:
        data.update({name: {"committed": committed[path]} for name in fields if data.get(name) is not None})
    return data


def _effect(effect: Effect, proof: Proof, committed: dict[str, str]) -> Json:
    data = _hide(effect.to_json(), effect.path, committed, "before", "after")
    data["lawful_basis"] = (proof.bases or {}).get(effect.topic)
    return data


def record_hash(prev: str, body_bytes: bytes) -> str:
    """The link of the chain: hex SHA-256 over the domain, the hash before and the body."""
    return hashlib.sha256(DOMAIN + bytes.fromhex(prev) + body_bytes).hexdigest()


def first_broken(chain: Iterable[tuple[int, str, str, str]]) -> int | None:
    """Walk one contact's (seq, prev, body, hash) in order; the first `seq` that does not fit, or None."""
    expected, before = 1, GENESIS
    for seq, prev, body_text, given in chain:
        if seq != expected or prev != before or record_hash(prev, body_text.encode()) != given:
            return expected
        expected, before = seq + 1, given
    return None
