"""Very many contacts, fast: one saves through the real service, and SQL copies all her rows under other names."""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import UUID

from django.db import connection
from django.db.models import Model

from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger.format1 import DOMAIN
from wagtail_prefs.ledger.models import Record

#: Ids as `ids.uuid7` makes them, in the order of the contacts' arrival; link ids of 128 random bits.
_COPIES = """
CREATE TEMPORARY TABLE copies AS
SELECT n,
       (lpad(to_hex(%(milliseconds)s + n), 12, '0') || '7' || substr(a, 1, 3) || '8' || substr(a, 4, 15))::uuid AS contact,
       (lpad(to_hex(%(milliseconds)s + n), 12, '0') || '7' || substr(b, 1, 3) || '8' || substr(b, 4, 15))::uuid AS record,
       rtrim(translate(encode(uuid_send(gen_random_uuid()), 'base64'), '+/', '-_'), '=') AS link
FROM (SELECT n, md5(random()::text) AS a, md5(random()::text) AS b FROM generate_series(1, %(count)s) AS n) AS drawn
"""


def copy_contact(model: Contact, count: int) -> None:
    """Make `count` contacts that differ from `model` in who they are, and in nothing else."""
    with connection.cursor() as cursor:
        cursor.execute(_COPIES, {"count": count, "milliseconds": int(time.time() * 1000) - count})
        cursor.execute("CREATE TEMPORARY TABLE model AS SELECT %s::uuid AS contact", [model.pk])
    _copy(
        Contact,
        "id",
        {
            "id": "copies.contact",
            "email": "'person' || n || '@mail.example.org'",
            "address_key": "md5('a' || n) || md5('b' || n)",
            "link_id": "copies.link",
        },
    )
    _copy(State, "contact_id", {"contact_id": "copies.contact"})
    # What a worker leaves behind once every backend is up to date.
    _copy(Delivery, "contact", {"contact": "copies.contact", "delivered": "wanted", "due_at": "NULL"})
    body = "replace(replace(body, contact_ref::text, copies.contact::text), id::text, copies.record::text)"
    _copy(
        Record,
        "contact_ref",
        {
            "id": "copies.record",
            "contact_ref": "copies.contact",
            "body": body,
            "hash": f"encode(sha256(%(domain)s || decode(prev, 'hex') || convert_to({body}, 'UTF8')), 'hex')",
        },
        {"domain": DOMAIN},
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def sample(size: int, but: UUID) -> list[tuple[UUID, str]]:
    """Contacts drawn at random, each with its link id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, link_id FROM wagtail_prefs_contact WHERE id <> %s ORDER BY random() LIMIT %s",
            [but, size],
        )
        return [(contact, link_id) for contact, link_id in cursor.fetchall()]


def _copy(
    model: type[Model], belongs_to: str, others: Mapping[str, str], values: Mapping[str, bytes] | None = None
) -> None:
    """Copy the rows of one table; `others` are the columns that a copy does not take over, as SQL."""
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    columns = [
        column
        for field in model._meta.concrete_fields
        if (column := field.column)
        and (column in others or field.get_internal_type() not in {"AutoField", "BigAutoField"})
    ]
    taken = [others.get(column, f"original.{quote(column)}") for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(map(quote, columns))}) SELECT {', '.join(taken)} "
            f"FROM {table} AS original JOIN model ON original.{quote(belongs_to)} = model.contact CROSS JOIN copies",
            values,
        )
