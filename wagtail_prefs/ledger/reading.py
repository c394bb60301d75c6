"""Reads records and personal values page by page, as plain bytes, whatever somebody has written into the tables.

The verifier must read what no model would: text that is no UTF-8, a number that is no number. So nothing is converted
to Python's types. A page is a statement of its own: nothing is locked, and no snapshot is held, while millions of
records are read. The ledger only grows, so what comes meanwhile fits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from django.db import connection

from .models import Record, SideValue

#: Records of one statement: a few megabytes.
PAGE = 2000

#: contact, seq, id, audience, at, actor, idempotency key ("" for none), prev, hash, body. `id` and `at` are written
#: as bodies write them, the contact as its column holds it, the others as they are stored.
Row: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
#: name, salt, value
Value: TypeAlias = tuple[bytes, bytes, bytes]

# SQLite keeps an id as 32 hex digits and a time as "2026-11-22 08:00:00.123456", without the fraction where that is
# zero. It would also keep a number as a text or a blob; those rows are `misfits`.
_SQLITE = {
    "id": "CAST(substr({0}, 1, 8) || '-' || substr({0}, 9, 4) || '-' || substr({0}, 13, 4) || '-' || "
    "substr({0}, 17, 4) || '-' || substr({0}, 21) AS BLOB)",
    "at": "CAST(replace({0}, ' ', 'T') || CASE length({0}) WHEN 19 THEN '.000000Z' ELSE 'Z' END AS BLOB)",
    "text": "CAST({0} AS BLOB)",
    "fits": "typeof(contact_ref) = 'text' AND typeof(seq) = 'integer'",
    "contact": "CAST(%s AS TEXT)",
    "among": "IN (SELECT value FROM json_each(%s))",
}
_POSTGRESQL = {
    "id": "{0}::text",
    "at": "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    "text": "{0}::text",
    "fits": "TRUE",
    "contact": "%s::uuid",
    "among": "= ANY(%s::uuid[])",
}


def pages(contact: UUID | None = None, size: int = PAGE) -> Iterator[list[Row]]:
    """All records, or those of one contact, by contact and number. `misfits` are left out."""
    say = _dialect()
    columns = ", ".join(
        say[form].format(column)
        for form, column in (
            *(("text", "contact_ref"), ("text", "seq"), ("id", "id"), ("text", "audience"), ("at", "at")),
            *(("text", "actor"), ("text", "COALESCE(idempotency_key, '')")),
            *(("text", "prev"), ("text", "hash"), ("text", "body")),
        )
    )
    only = f"contact_ref = {say['contact']} AND " if contact else ""
    sql = (
        f"SELECT {columns} FROM {_table(Record)} "  # noqa: S608 - names, no values
        f"WHERE {only}{say['fits']} AND (contact_ref, seq) > ({say['contact']}, %s) "
        "ORDER BY contact_ref, seq LIMIT %s"
    )
    of = [_contact_column(contact)] if contact else []
    after: tuple[Any, int] = (b"" if connection.vendor == "sqlite" else str(UUID(int=0)), -1)
    while True:
        page = _rows(sql, [*of, *after, size])
        if page:
            yield page
        if len(page) < size:
            return
        last = page[-1][0]
        after = (last if connection.vendor == "sqlite" else last.decode(), int(page[-1][1]))


def misfits() -> Iterator[bytes]:
    """The ids of records whose contact or number is of another type than the column: only SQLite would keep them."""
    say = _dialect()
    if connection.vendor == "sqlite":
        sql = f"SELECT {say['id'].format('id')} FROM {_table(Record)} WHERE NOT ({say['fits']})"  # noqa: S608
        yield from (row[0] for row in _rows(sql, []))


def values(ids: Sequence[bytes]) -> dict[bytes, list[Value]]:
    """The personal values of these records, by `id` as in a row."""
    if not SideValue.objects.exists():
        return {}
    say = _dialect()
    texts = [text for item in ids if (text := item.decode(errors="replace").replace("-", "")).isalnum()]
    columns = (
        f"{say['id'].format('record')}, {say['text'].format('name')}, salt, {say['text'].format('value')}"
    )
    sql = f"SELECT {columns} FROM {_table(SideValue)} WHERE record {say['among']}"  # noqa: S608
    found: dict[bytes, list[Value]] = {}
    with connection.cursor() as cursor:
        cursor.execute(sql, [json.dumps(texts) if connection.vendor == "sqlite" else texts])
        for record, name, salt, value in cursor.fetchall():
            found.setdefault(_bytes(record), []).append((_bytes(name), _bytes(salt), _bytes(value)))
    return found


def orphans() -> Iterator[bytes]:
    """The ids of records that do not exist and of which there are personal values."""
    sql = (
        f"SELECT DISTINCT {_dialect()['id'].format('record')} FROM {_table(SideValue)} "  # noqa: S608
        f"WHERE NOT EXISTS (SELECT 1 FROM {_table(Record)} AS known WHERE known.id = record)"
    )
    yield from (row[0] for row in _rows(sql, []))


def contact_of(text: bytes) -> tuple[bytes, bytes] | None:
    """The contact whose column holds this, as 16 bytes and as bodies write it, or None for what is no contact's."""
    if connection.vendor == "sqlite":
        raw, written = _unhex(text), b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        return (raw, written) if raw.hex().encode() == text else None
    return _unhex(text.replace(b"-", b"")), text  # the database itself refuses others


def _unhex(text: bytes) -> bytes:
    """16 bytes, or none."""
    try:
        return bytes.fromhex(text.decode()) if len(text) == 32 else b""
    except ValueError:
        return b""


def _contact_column(contact: UUID) -> str:
    return contact.hex if connection.vendor == "sqlite" else str(contact)


def _dialect() -> dict[str, str]:
    return _SQLITE if connection.vendor == "sqlite" else _POSTGRESQL


def _table(model: type[Record | SideValue]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _rows(sql: str, params: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Any] = cursor.fetchall()
    if connection.vendor == "sqlite":
        return rows
    encode = str.encode
    return [tuple(map(encode, row)) for row in rows]


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
