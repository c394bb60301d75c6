"""Today's state of a contact, computed from nothing but what her records say became of each path.

Written apart from the rules that made the records, so that the two can be held against each other: nothing here
knows what a choice, a pause or an opt-out is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..changes import change_from_json
from ..ciphers import Unreadable
from ..values import Json
from .format1 import FORMAT
from .models import Record, SideValue


@dataclass(frozen=True, slots=True)
class Gone:
    """A personal value that nobody has any more: there was one, and it was erased. `committed` is what is left."""

    committed: str


@dataclass(frozen=True, slots=True)
class Broken(Gone):
    """A personal value that stands there and is not what the record committed to: as good as gone, and tampered."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a path became by record `seq`; None is absent. `until` is when it ends by itself."""

    after: Any
    until: datetime | None
    seq: int


@dataclass(frozen=True, slots=True)
class Side:
    """A row of the side table: canonical JSON and its salt."""

    salt: bytes
    value: str


#: path -> what it is; also paths that were cleared, so that it can be seen which record did that.
Folded = Mapping[str, Value]


def fold(bodies: Iterable[Json], personal: Callable[[str, str], Side | None] | None) -> Folded:
    """Replay the bodies of one contact's records, the first record first.

    `personal(record_id, path)` looks up a side value, None where it is not there; without it all personal values are
    Gone. Raises ValueError where a record is left out, out of order, of another contact or of another format: then
    nothing can be said.
    """
    found: dict[str, Value] = {}
    subject = None
    for seq, body in enumerate(bodies, start=1):
        record = _read(body, seq)
        subject = subject or record.subject
        if record.subject != subject:
            raise ValueError(f"record {seq} is of another contact")
        for path, after, until in record.effects:
            found[path] = Value(_plain(after, record.id, path, personal), until, seq)
    return found


@dataclass(frozen=True, slots=True)
class _Read:
    """What a fold wants to know of a record; each effect is path, after, until."""

    id: str
    subject: str
    effects: tuple[tuple[str, Any, datetime | None], ...]


def _read(body: Json, seq: int) -> _Read:
    try:
        if body["format"] != FORMAT:
            raise ValueError(f"record {seq} is of format {body['format']!r}")
        if body["seq"] != seq:
            raise ValueError(f"record {seq} is missing or out of order: there is {body['seq']!r}")
        return _Read(
            body["record_id"],
            body["subject_ref"],
            tuple((it["path"], it["after"], _moment(it["validity_until"])) for it in body["effects"]),
        )
    except (KeyError, TypeError) as problem:
        raise ValueError(f"record {seq} is not a record of the ledger") from problem


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _plain(after: Any, record_id: str, path: str, personal: Callable[[str, str], Side | None] | None) -> Any:
    """The value after an effect, or why a personal one cannot be had."""
    digest = _committed(after)
    if digest is None:
        return after
    side = personal(record_id, path) if personal else None
    if side is None:
        return Gone(digest)
    if not _opens(digest, side):
        return Broken(digest)
    try:
        value = json.loads(side.value)["after"]
    except (ValueError, TypeError, KeyError):
        return Broken(digest)
    return Broken(digest) if value is None else value


def of(contact: UUID, *, until_seq: int | None = None) -> Folded:
    """The state of a contact by her records, all of them or those up to `until_seq`: two statements.

    The records are read first: a personal value that is gone by then is gone for good. Raises ValueError as `fold`
    does, and where a record's body is that of another contact.
    """
    chosen = Record.objects.filter(contact_ref=contact)
    if until_seq is not None:
        chosen = chosen.filter(seq__lte=until_seq)
    bodies = [json.loads(text) for text in chosen.order_by("seq").values_list("body", flat=True)]
    rows = SideValue.objects.filter(record__in=chosen.values("id"))
    sides = {
        (str(record), name): Side(bytes(salt), _revealed(record, name, value))
        for record, name, salt, value in rows.values_list("record", "name", "salt", "value")
    }
    folded = fold(bodies, lambda record_id, path: sides.get((record_id, path)))
    if bodies and bodies[0]["subject_ref"] != str(contact):
        raise ValueError("the records are of another contact")
    return folded


def _revealed(record: UUID, name: str, stored: str) -> str:
    """The value as it was committed to. One that nobody can read fits no commitment: it is Broken."""
    try:
        return SideValue.revealed(record, name, stored)
    except Unreadable:
        return stored


def side_value_matches(body: Json, name: str, side: Side) -> bool:
    """Whether this is the value that a body committed to under this name; False also where there is none."""
    digests = _digests(body, name)
    return bool(digests) and all(_opens(digest, side) for digest in digests)


def _digests(body: Json, name: str) -> set[str]:
    """The commitments in a body that a side value of this name must open: one, wherever we wrote the body."""
    if name in {"address_as_entered", "ip_truncated"}:
        return {body[name]} - {None}
    values = [
        value
        for item in (*body["effects"], *body["merged"])
        if item["path"] == name
        for value in item.values()
    ]
    for item in body["changes"]:
        hidden = [value for value in item.values() if _committed(value) is not None]
        if hidden and change_from_json(item).path == name:
            values += hidden
    return {digest for value in values if (digest := _committed(value)) is not None}


def _committed(value: Any) -> str | None:
    """The digest in `{"committed": hex}`; None for a plain value."""
    if isinstance(value, dict) and value.keys() == {"committed"}:
        return str(value["committed"])
    return None


def _opens(digest: str, side: Side) -> bool:
    """Whether `HMAC-SHA256(salt, value)` is the commitment."""
    found = hmac.digest(side.salt, side.value.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return hmac.compare_digest(found.hex(), digest) if digest.isascii() else False
