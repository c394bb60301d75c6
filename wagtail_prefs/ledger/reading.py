"""Reads records and personal values page by page, as the plain text that stands in the tables, whatever that is.

The verifier must read what no model would: text that is no UTF-8, a number that is no number. A page is a statement of
its own: nothing is locked, and no snapshot is held, while millions of records are read. The ledger only grows, so what
comes meanwhile fits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from django.db import OperationalError, connection

from ..ciphers import MARK, Unreadable
from ..values import iso
from .models import Record, SideValue

#: Records of one statement: some megabytes.
PAGE = 2000

#: contact and number; `Columns.text`; prev, hash, body. Text that is no UTF-8 is read with surrogates.
Row: TypeAlias = tuple[str, int, str, str, str, str]
#: name, salt as hex and value of a personal value, a line each; neither a name nor JSON has a line's end
Value: TypeAlias = str
#: Characters of an id.
ID = 36


class Columns(NamedTuple):
    """The columns that repeat what the body says, each written as there; and one more that bodies do not hold."""

    id: str
    audience: str
    at: str
    actor: str
    idempotency_key: str = ""

    @property
    def text(self) -> str:
        """As one text, which is what `Row` and seals hold."""
        return "\n".join(self)

    @classmethod
    def from_text(cls, text: str) -> Columns:
        # More than there are fields, where somebody wrote a line end into one.
        return cls(*text.split("\n", len(cls._fields) - 1))

    @classmethod
    def of(
        cls, record_id: UUID, audience: str, at: datetime, actor: str, idempotency_key: str | None
    ) -> Columns:
        return cls(str(record_id), audience, iso(at), actor, idempotency_key or "")


class Said(NamedTuple):
    """What a body says of itself."""

    contact: str
    seq: int
    columns: Columns  # without the idempotency key


def said(body: str) -> Said | None:
    """Reads a body; None where it is none."""
    try:
        data = json.loads(body)
        columns = Columns(
            data["record_id"], data["controller_id"], data["event_time_utc"], data["actor"]["type"]
        )
        found = Said(data["subject_ref"], data["seq"], columns)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = all(isinstance(text, str) for text in (found.contact, *columns))
    return found if texts and type(found.seq) is int else None


# SQLite keeps an id as 32 hex digits and a time as "2026-11-22 08:00:00.123456", without the fraction where that is
# zero. It would also keep a number as a text or a blob; those rows are `misfits`.
_SQLITE = {
    "text": "CAST({0} AS TEXT)",
    "uuid": "substr({0}, 1, 8) || '-' || substr({0}, 9, 4) || '-' || substr({0}, 13, 4) || '-' || "
    "substr({0}, 17, 4) || '-' || substr({0}, 21)",
    "time": "replace({0}, ' ', 'T') || CASE length({0}) WHEN 19 THEN '.000000Z' ELSE 'Z' END",
    "hex": "hex({0})",
    "end": "char(10)",
    "among": "IN (SELECT value FROM json_each(%s))",
    "fits": "typeof(r.contact_ref) = 'text' AND typeof(r.seq) = 'integer'",
    "contact": "CAST(%s AS TEXT)",
}
_POSTGRESQL = {
    "text": "{0}::text",
    "uuid": "{0}::text",
    # Infinity would be null, and 2026 before Christ look like 2026.
    "time": "CASE WHEN isfinite({0}) AND {0} >= '0001-01-01 00:00:00+00' "
    "THEN to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') ELSE 'out of time' END",
    "hex": "encode({0}, 'hex')",
    "end": "chr(10)",
    "among": "= ANY(string_to_array(%s, ',')::uuid[])",
    "fits": "TRUE",
    "contact": "%s::uuid",
}


def pages(contact: UUID | None = None, size: int = PAGE) -> Iterator[list[Row]]:
    """All records, or those of one contact, by contact and number. `misfits` are left out."""
    say, sqlite = _dialect(), connection.vendor == "sqlite"
    only = f"r.contact_ref = {say['contact']} AND " if contact else ""
    rest = (
        f"FROM {_table(Record)} AS r WHERE {only}{say['fits']} AND (r.contact_ref, r.seq) > ({say['contact']}, %s) "
        "ORDER BY r.contact_ref, r.seq LIMIT %s"  # not by what is made of them for the caller
    )
    of = [_stored(contact)] if contact else []
    after: tuple[Any, int] = (b"" if sqlite else str(UUID(int=0)), -1)
    while True:
        page = _read(_columns(), rest, [*of, *after, size])
        if page:
            yield page
        if len(page) < size:
            return
        last, seq = page[-1][0], page[-1][1]
        after = (last.encode(errors="surrogateescape") if sqlite else last, seq)


def misfits() -> Iterator[str]:
    """The ids of records whose contact or number is of another type than the column: only SQLite would keep them."""
    say = _dialect()
    if connection.vendor == "sqlite":
        rest = f"FROM {_table(Record)} AS r WHERE NOT ({say['fits']})"
        yield from (row[0] for row in _read([say["uuid"].format("r.id")], rest, []))


def orphans() -> Iterator[str]:
    """The ids of records that do not exist and of which there are personal values."""
    rest = (
        f"FROM (SELECT DISTINCT record FROM {_table(SideValue)}) AS s "  # noqa: S608 - names, no values
        f"WHERE NOT EXISTS (SELECT 1 FROM {_table(Record)} AS r WHERE r.id = s.record)"
    )
    yield from (row[0] for row in _read([_dialect()["uuid"].format("s.record")], rest, []))


def values(page: Sequence[Row]) -> dict[str, list[Value]]:
    """The personal values of these records, by the id that their columns begin with."""
    say = _dialect()
    ids = [row[2][:ID] for row in page]
    if connection.vendor == "sqlite":
        known = json.dumps([text.replace("-", "") for text in ids if text.isascii()])
    else:
        known = ",".join(ids)
    parts = (say["uuid"].format("s.record"), say["text"].format("s.name"), say["hex"].format("s.salt"))
    column = f" || {say['end']} || ".join((*parts, say["text"].format("s.value")))
    rest = f"FROM {_table(SideValue)} AS s WHERE s.record {say['among']}"
    found: dict[str, list[Value]] = {}
    for (text,) in _read([column], rest, [known]):
        found.setdefault(text[:ID], []).append(_revealed(text) if _CONCEALED in text else text[ID + 1 :])
    return found


#: Neither a name nor JSON has a line's end, so this is the beginning of a value.
_CONCEALED = f"\n{MARK}"


def _revealed(text: str) -> Value:
    """A personal value that is concealed, as it was committed to. One that nobody can read fits no commitment."""
    record, name, salt, stored = text.split("\n", 3)
    try:
        return f"{name}\n{salt}\n{SideValue.revealed(record, name, stored)}"
    except (Unreadable, UnicodeError):
        return text[ID + 1 :]


def contact_of(text: str) -> bytes | None:
    """The 16 bytes of the contact whose column holds this, or None for what is no contact's."""
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return None
    return raw if len(raw) == 16 and _stored(raw) == text else None


def _stored(contact: UUID | bytes) -> str:
    """A contact as its column holds it, or PostgreSQL writes it."""
    raw = contact if isinstance(contact, bytes) else contact.bytes
    return raw.hex() if connection.vendor == "sqlite" else str(UUID(bytes=raw))


def _columns() -> list[str]:
    """What makes a `Row`."""
    say = _dialect()
    end = f" || {say['end']} || "
    columns = (
        *(say["uuid"].format("r.id"), say["text"].format("r.audience"), say["time"].format("r.at")),
        *(say["text"].format("r.actor"), say["text"].format("COALESCE(r.idempotency_key, '')")),
    )
    return [
        *(say["text"].format("r.contact_ref"), "r.seq", end.join(columns)),
        *(say["text"].format(f"r.{name}") for name in ("prev", "hash", "body")),
    ]


def _read(columns: Sequence[str], rest: str, params: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SELECT {', '.join(columns)} {rest}", params)
            rows: list[Any] = cursor.fetchall()
        except OperationalError:
            if connection.vendor != "sqlite":
                raise
            # Somewhere stands what is no UTF-8. As bytes it can be read, which takes longer.
            blobs = (f"CAST({column} AS BLOB)" if column != "r.seq" else column for column in columns)
            cursor.execute(f"SELECT {', '.join(blobs)} {rest}", params)
            rows = [tuple(map(_text, row)) for row in cursor.fetchall()]
    return rows


def _text(value: Any) -> Any:
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value


def _dialect() -> dict[str, str]:
    return _SQLITE if connection.vendor == "sqlite" else _POSTGRESQL


def _table(model: type[Record | SideValue]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
