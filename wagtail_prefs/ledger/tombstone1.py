"""Tombstone format 1: what a stone says, the bytes it is hashed and signed in, and the line that leaves the database.

A stone stands for one whole chain that was removed. Fixed from the first release, like the seals' (`seal1`): the body is
canonical JSON, `hash = SHA-256(DOMAIN || prev || body)` and `signature = HMAC-SHA256(key, hash)`, with the key that `kid`
names, derived for PURPOSE. What it holds of each record is what a seal holds (`seal1.sealed_hash`), so that the two can be
held against each other when the record is gone. `docs/reference/ledger.md` repeats this for other languages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from .. import keys
from ..canonical import canonical
from ..values import Json, iso
from .seal1 import GENESIS, RUN, Torn, is_hex, read_object

__all__ = ["GENESIS", "PURPOSE", "Line", "Torn", "body", "is_one", "line", "read_line", "stone_hash"]

FORMAT = 1
DOMAIN = b"wagtail-prefs/tombstone/1\n"
PURPOSE = "tombstone"

_BODY = {"at", "audience", "contact", "format", "hashes", "head", "kid", "number", "reason", "records"}
_LINE = {"at", "body", "contact", "hash", "kid", "prev", "signature", "tombstone"}


@dataclass(frozen=True, slots=True)
class Line:
    """A stone as it left the database. `runs` is the chain as a seal would hold it (`seal1.RUN`), with the stone's number;
    empty for one that stands for no chain.
    """

    number: int
    at: datetime
    contact: UUID
    prev: str
    hash: str
    kid: str
    signature: str
    body: bytes
    runs: tuple[bytes, ...]

    def is_whole(self) -> bool:
        """Whether the hash is that of the body and the hash before."""
        return stone_hash(self.prev, self.body) == self.hash

    def is_signed(self) -> bool:
        """Whether the signature is right, under a key that is still in the ring."""
        return keys.mac_is_valid(PURPOSE, bytes.fromhex(self.hash), self.kid, bytes.fromhex(self.signature))


def stone_hash(prev: str, body_bytes: bytes) -> str:
    """The link of the stones' chain, as hex."""
    return hashlib.sha256(DOMAIN + bytes.fromhex(prev) + body_bytes).hexdigest()


def body(
    *,
    number: int,
    contact: UUID,
    audience: str,
    at: datetime,
    kid: str,
    reason: str,
    head: str,
    hashes: Sequence[bytes],
) -> bytes:
    """The canonical bytes of a stone. `hashes` are what seals hold of the records 1, 2, 3 …; `head` is the last one's hash."""
    return canonical(
        {
            "format": FORMAT,
            "number": number,
            "contact": str(contact),
            "audience": audience,
            "at": iso(at),
            "kid": kid,
            "reason": reason,
            "records": len(hashes),
            "head": head,
            "hashes": [each.hex() for each in hashes],
        }
    )


def line(
    *,
    number: int,
    at: datetime,
    contact: UUID,
    body: str,
    prev: str,
    hash: str,  # noqa: A002
    kid: str,
    signature: str,
) -> bytes:
    """A stone as one line of JSON, without the line's end: what leaves the database."""
    return canonical(
        {
            "tombstone": number,
            "at": iso(at),
            "contact": str(contact),
            "body": body,
            "prev": prev,
            "hash": hash,
            "kid": kid,
            "signature": signature,
        }
    )


def is_one(text: bytes) -> bool:
    """Whether a line is about a stone and not about a seal, also where a crash has left it unfinished soon."""
    return b'"tombstone":' in text or b'\\"audience\\":' in text


def read_line(text: bytes) -> Line:
    """The stone a line holds. Raises Torn for what is no JSON, and ValueError for what is no stone.

    What stands in front of the JSON, as loggers like to put it, is left out.
    """
    given = read_object(text, _LINE, number="tombstone")
    content = _content(given)
    contact = UUID(content["contact"])
    joined = bytes.fromhex("".join(content["hashes"]))
    return Line(
        number=given["tombstone"],
        at=datetime.fromisoformat(given["at"]),
        contact=contact,
        prev=given["prev"],
        hash=given["hash"],
        kid=given["kid"],
        signature=given["signature"],
        body=given["body"].encode(),
        runs=(RUN.pack(contact.bytes, 1, given["tombstone"]) + joined,) if joined else (),
    )


def _content(given: Json) -> Json:
    """What the body says, which must be the same as the line around it says."""
    try:
        content = json.loads(given["body"])
    except (ValueError, RecursionError) as error:
        raise ValueError("a body that is no JSON") from error
    if not isinstance(content, dict) or content.keys() != _BODY or content["format"] != FORMAT:
        raise ValueError("a body of another format")
    if any(content[name] != given[name] for name in ("at", "contact", "kid")):
        raise ValueError("a body of another stone")
    number, hashes = content["number"], content["hashes"]
    if type(number) is not int or not 0 < number < 2**63 or number != given["tombstone"]:
        raise ValueError("no number")
    if (
        datetime.fromisoformat(content["at"]).tzinfo != UTC
        or str(UUID(content["contact"])) != content["contact"]
    ):
        raise ValueError("no moment, or no contact")
    if not isinstance(hashes, list) or not all(isinstance(each, str) and is_hex(each) for each in hashes):
        raise ValueError("no hashes")
    if type(content["records"]) is not int or content["records"] != len(hashes):
        raise ValueError("another number of records")
    return content
