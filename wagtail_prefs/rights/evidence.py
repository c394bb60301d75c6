"""One record with all that proves it: for whoever has to show what somebody chose, and what she was told then."""

from __future__ import annotations

import json

from ..centers import services as centers
from ..centers.texts import texts
from ..errors import NotPublished
from ..ledger.fold import Side, side_value_matches
from ..ledger.models import Record, SideValue
from ..ledger.services import read_body
from ..ledger.standing import Standing, standing
from ..values import Json, iso
from . import receipts

FORMAT = 1
TYPE = "wagtail-prefs-evidence"


def page_of(record: Record) -> centers.Snapshot | None:
    """The page that was before her eyes; None where there was none: an import, staff, a program."""
    digest = read_body(record)["form_version"]
    if not digest:
        return None
    try:
        return centers.get_snapshot(digest)
    except NotPublished:
        return None


def evidence(record: Record) -> Json:
    """A record to the letter, its hashes and its seal, the personal values that are still there with their salts and
    whether each is what the record committed to, its receipt, and every text of the page that it was made on. Of nobody
    else.
    """
    stands, page, body = standing(record), page_of(record), read_body(record)
    values = SideValue.objects.filter(record=record.pk).order_by("name")
    return {
        "type": TYPE,
        "format": FORMAT,
        "record": {"body": record.body, "prev": record.prev, "hash": record.hash},
        "whole": stands.whole,
        "seal": None if stands.seal is None else {"number": stands.seal, "at": _at(stands)},
        "values": {
            name: _value(body, name, Side(bytes(salt), SideValue.revealed(record.pk, name, text)))
            for name, salt, text in values.values_list("name", "salt", "value")
        },
        "receipt": receipts.make(record),
        "page": page and page.document,
        "texts": [
            {"path": text.path, "text": text.text, "sha256": text.sha256}
            for text in (texts(page) if page else ())
        ],
    }


def _value(body: Json, name: str, side: Side) -> Json:
    """`opens`: whether `HMAC-SHA256(salt, value)`, the value as canonical JSON, is the record's commitment."""
    try:
        value = json.loads(side.value)
    except ValueError:  # somebody has been at it: as it stands there
        value = side.value
    return {"salt": side.salt.hex(), "value": value, "opens": side_value_matches(body, name, side)}


def _at(stands: Standing) -> str | None:
    return iso(stands.sealed_at) if stands.sealed_at else None
