"""Receipts: what a record of the ledger says, signed, for the person it is about; and whether one is genuine.

A receipt says nothing that the record does not say, so the ledger itself can answer for it when the key that signed it
has long left the ring. It names no value that is personal - no address, no answer of hers - and nobody else.
`docs/reference/receipts.md` repeats the form for other languages.
"""

from __future__ import annotations

import enum
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .. import keys
from ..canonical import canonical
from ..conf import conf
from ..ledger.models import Record
from ..ledger.services import read_body
from ..ledger.standing import Standing, standing
from ..values import Json

FORMAT = 1
TYPE = "wagtail-prefs-receipt"
#: Of the key ring.
PURPOSE = "receipt"
#: No receipt of ours is longer; what is, is none.
MAX_BYTES = 128 * 1024
#: What may be said with its value; of everything else a receipt says that it changed.
_TOLD = frozenset({"opted_out", "choice", "pending", "frequency", "pause", "notice"})


def content(record: Record) -> Json:
    """What a receipt says of a record: the same for ever, whoever asks."""
    body = read_body(record)
    notice = {name: body[f"notice_{name}"] for name in ("id", "version", "sha256")}
    return {
        "type": TYPE,
        "format": FORMAT,
        "receipt": body["record_id"],
        "number": body["seq"],
        "subject": body["subject_ref"],
        "controller": body["controller_id"],
        "at": body["event_time_utc"],
        "by": body["actor"]["type"],
        "method": body["method"],
        "page": body["form_id"],
        "page_version": body["form_version"],
        "language": body["language"],
        "notice": notice if notice["sha256"] else None,
        "jurisdiction": body["jurisdiction"],
        "changes": [_change(effect) for effect in body["effects"]],
        "record_hash": record.hash,
    }


def _change(effect: Json) -> Json:
    kind = effect["path"].partition(":")[0]
    said: Json = {"kind": kind, "action": effect["action"]}
    if kind in _TOLD:
        said |= {
            "path": effect["path"],
            "topic": effect["purpose_id"],
            "channel": effect["channel"],
            "before": effect["before"],
            "after": effect["after"],
            "until": effect["validity_until"],
            "lawful_basis": effect["lawful_basis"],
        }
    return said


def make(record: Record) -> Json:
    """The signed receipt of a record: `{"receipt", "kid", "mac"}`. Its bytes are `as_bytes`."""
    said = content(record)
    kid = conf.signing_keys[0].kid
    _, mac = keys.mac(PURPOSE, _message(said, kid), kid)
    return {"receipt": said, "kid": kid, "mac": mac.hex()}


def as_bytes(receipt: Json) -> bytes:
    """A receipt as it is handed out: for people to open, too. The signature is over the canonical form."""
    return json.dumps(receipt, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"


def _message(said: Json, kid: str) -> bytes:
    """What is signed: the key's name too, so that nobody can pass one key's signature for another's."""
    return canonical({"kid": kid, "receipt": said})


class Verdict(enum.StrEnum):
    """What can be said of a receipt that somebody shows."""

    GENUINE = "genuine"
    CHANGED = "changed"
    #: We signed it, and the ledger says something else by now: somebody has changed the ledger.
    DISPUTED = "disputed"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Checked:
    """The verdict. `record` is the one it names, None where the ledger has none of that number (any more).

    `signed` says that a key of the ring has signed exactly this; without it the ledger alone has answered.
    """

    verdict: Verdict
    signed: bool = False
    record: Record | None = None
    standing: Standing | None = None


def check(given: bytes) -> Checked:
    """Hold a receipt against its signature and against the ledger. Never raises for what somebody shows."""
    try:
        said, kid, mac = _read(given)
        receipt_id = UUID(said["receipt"])
        message = _message(said, kid)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Checked(Verdict.UNREADABLE)
    signed = keys.mac_is_valid(PURPOSE, message, kid, mac)
    record = Record.objects.filter(pk=receipt_id).first()
    if record is None:
        return Checked(Verdict.GENUINE if signed else Verdict.UNKNOWN, signed)
    stands = standing(record)
    if not stands.whole:
        # The ledger cannot answer for what was changed in it; the signature can.
        return Checked(Verdict.DISPUTED if signed else Verdict.UNKNOWN, signed, record, stands)
    same = hmac.compare_digest(canonical(content(record)), canonical(said))
    if same:
        forged = not signed and kid in {key.kid for key in conf.signing_keys}
        return Checked(Verdict.CHANGED if forged else Verdict.GENUINE, signed, record, stands)
    return Checked(Verdict.DISPUTED if signed else Verdict.CHANGED, signed, record, stands)


def _read(given: bytes) -> tuple[Json, str, bytes]:
    """What it says, the key it names and its signature; raises ValueError, TypeError or KeyError for no receipt."""
    if len(given) > MAX_BYTES:
        raise ValueError("too long")
    data = json.loads(given.decode("utf-8-sig"), object_pairs_hook=_once)
    if not isinstance(data, dict) or data.keys() != {"receipt", "kid", "mac"}:
        raise ValueError("no receipt")
    said = data["receipt"]
    ours = isinstance(said, dict) and said["type"] == TYPE and said["format"] == FORMAT
    if not ours or not isinstance(said["receipt"], str):
        raise ValueError("of another form")
    mac = bytes.fromhex(data["mac"])
    if mac.hex() != data["mac"]:  # one spelling: two would be two receipts
        raise ValueError("no signature")
    return said, str(data["kid"]), mac


def _once(pairs: Sequence[tuple[str, Any]]) -> Json:
    """An object that names nothing twice: else two readers would read two receipts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found
