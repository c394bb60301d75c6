"""Seal format 1: what a seal says, the bytes it is hashed and signed in, and the line that leaves the database.

Fixed from the first release, like the records' (`format1`). A seal's body is canonical JSON; its
`hash = SHA-256(DOMAIN || prev || body)`, `prev` being the 32 raw bytes of the seal before, zeros for the first;
`signature = HMAC-SHA256(key, hash)` over the 32 raw bytes, with the key that `kid` names, derived for PURPOSE.
`docs/reference/ledger.md` repeats this for other languages.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from .. import keys
from ..canonical import canonical
from ..values import Json, iso

FORMAT = 1
DOMAIN = b"wagtail-prefs/seal/1\n"
RECORD_DOMAIN = b"wagtail-prefs/sealed/1\n"
PURPOSE = "seal"
GENESIS = "0" * 64

#: A run is records of one contact, one after the other, as a seal holds them: the 16 bytes of the contact, the first
#: number, the seal's number, and 32 bytes (`sealed_hash`) for each record. So runs sort as bytes.
RUN = struct.Struct(">16sQQ")

_BODY = {"at", "contacts", "format", "kid", "made", "number", "records"}
_LINE = {"at", "body", "hash", "kid", "number", "prev", "signature"}


class Torn(ValueError):
    """A line that is no JSON: a crash left it unfinished."""


class Sealed(NamedTuple):
    """One record as a seal holds it: the contact, the record's number, and `sealed_hash`."""

    contact: UUID
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """A seal as it left the database. `body` is as it was hashed, `runs` (see RUN) are what it holds.

    `at` is the moment up to which the seals were then to hold all records.
    """

    number: int
    at: datetime
    prev: str
    hash: str
    kid: str
    signature: str
    body: bytes
    runs: tuple[bytes, ...]

    def is_whole(self) -> bool:
        """Whether the hash is that of the body and the hash before."""
        return seal_hash(self.prev, self.body) == self.hash

    def is_signed(self) -> bool:
        """Whether the signature is right, under a key that is still in the ring."""
        return keys.mac_is_valid(PURPOSE, bytes.fromhex(self.hash), self.kid, bytes.fromhex(self.signature))


def sealed_hash(record_hash: bytes, columns: str) -> bytes:
    """What a seal holds of a record: its hash, and its other columns (as `reading.Columns.text` writes them)."""
    return hashlib.sha256(RECORD_DOMAIN + record_hash + columns.encode(errors="surrogateescape")).digest()


def seal_hash(prev: str, body_bytes: bytes) -> str:
    """The link of the seals' chain, as hex."""
    return hashlib.sha256(DOMAIN + bytes.fromhex(prev) + body_bytes).hexdigest()


def body(*, number: int, at: datetime, made: datetime, kid: str, records: Iterable[Sealed]) -> bytes:
    """The canonical bytes of a seal over these records.

    `at` is the moment up to which the seals so far hold all records that could be seen, `made` when this was made.
    """
    ordered = sorted(records, key=lambda record: (record.contact, record.seq))
    contacts = []
    # Of one contact, what follows without a gap has the same distance between its number and its place.
    for (contact, _), group in groupby(
        enumerate(ordered), key=lambda item: (item[1].contact, item[1].seq - item[0])
    ):
        run = [record for _, record in group]
        contacts.append(
            {"contact": str(contact), "from": run[0].seq, "hashes": [record.hash.hex() for record in run]}
        )
    return canonical(
        {
            "format": FORMAT,
            "number": number,
            "at": iso(at),
            "made": iso(made),
            "kid": kid,
            "records": len(ordered),
            "contacts": contacts,
        }
    )


def line(*, number: int, at: datetime, body: str, prev: str, hash: str, kid: str, signature: str) -> bytes:  # noqa: A002
    """A seal as one line of JSON, without the line's end: what leaves the database."""
    return canonical(
        {
            "number": number,
            "at": iso(at),
            "body": body,
            "prev": prev,
            "hash": hash,
            "kid": kid,
            "signature": signature,
        }
    )


def read_line(text: bytes) -> Line:
    """The seal a line holds. Raises Torn for what is no JSON, and ValueError for what is no seal.

    What stands in front of the JSON, as loggers like to put it, is left out.
    """
    given = read_object(text, _LINE, number="number")
    content = _content(given)
    return Line(
        number=given["number"],
        at=datetime.fromisoformat(given["at"]),
        prev=given["prev"],
        hash=given["hash"],
        kid=given["kid"],
        signature=given["signature"],
        body=given["body"].encode(),
        runs=tuple(_runs(content["contacts"], given["number"], content["records"])),
    )


def read_object(text: bytes, names: Set[str], *, number: str) -> Json:
    """The object of a line with just these members: hashes, texts, and one that is a number. Raises as `read_line` does."""
    try:
        given = json.loads(text[max(text.find(b'{"at":'), 0) :].decode())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        if "Extra data" in str(error):  # a whole one, and more: no crash leaves that
            raise ValueError("more than one") from error
        raise Torn("no JSON") from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(given, dict) or given.keys() != names:
        raise ValueError("other members")
    if not all(isinstance(given[name], str) for name in names - {number}):
        raise ValueError("no text")
    if not all(is_hex(given[name]) for name in ("prev", "hash", "signature")):
        raise ValueError("no hash")
    return given


def _content(given: Json) -> Json:
    """What the body says, which must be the same as the line around it says."""
    try:
        content = json.loads(given["body"])
    except (ValueError, RecursionError) as error:
        raise ValueError("a body that is no JSON") from error
    if not isinstance(content, dict) or content.keys() != _BODY or content["format"] != FORMAT:
        raise ValueError("a body of another format")
    if any(content[name] != given[name] for name in ("number", "at", "kid")):
        raise ValueError("a body of another seal")
    if type(content["number"]) is not int or not 0 < content["number"] < 2**63:
        raise ValueError("no number")
    for name in ("at", "made"):
        if not isinstance(content[name], str) or datetime.fromisoformat(content[name]).tzinfo != UTC:
            raise ValueError("no moment")
    return content


def _runs(contacts: Any, number: int, records: Any) -> list[bytes]:
    pack, fromhex = RUN.pack, bytes.fromhex
    found, count = [], 0
    try:
        for run in contacts:
            contact, hashes = fromhex(run["contact"].replace("-", "")), run["hashes"]
            joined = fromhex("".join(hashes))
            if len(contact) != 16 or len(joined) != 32 * len(hashes):
                raise ValueError("no run of records")
            found.append(pack(contact, run["from"], number) + joined)
            count += len(hashes)
    except (TypeError, KeyError, AttributeError, struct.error) as error:
        raise ValueError("no run of records") from error
    if count != records:
        raise ValueError("another number of records")
    return found


def is_hex(value: str) -> bool:
    """Whether this is the one spelling of 32 bytes."""
    # `fromhex` alone would take white space and capitals for the same bytes.
    return len(value) == 64 and bytes.fromhex(value).hex() == value
