"""Very many contacts, fast: one of each kind saves through the real service, and SQL copies her rows under other names.

The copies' records are chains like any other: SQL writes their names into the bodies and hashes them anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import connection
from django.db.models import Model

from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger.format1 import DOMAIN, GENESIS
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.values import iso

from .kinds import PAUSED_UNTIL

#: Country and time zone of the copies, in equal parts.
PLACES = (
    ("", ""), ("DE", "Europe/Berlin"), ("AT", "Europe/Vienna"), ("FR", "Europe/Paris"), ("ES", "Europe/Madrid"),
    ("GB", "Europe/London"), ("US", "America/New_York"), ("US-CA", "America/Los_Angeles"), ("US", "America/Chicago"),
    ("CA", "America/Toronto"), ("AU", "Australia/Sydney"), ("JP", "Asia/Tokyo"), ("BR", "America/Sao_Paulo"),
    ("IN", "Asia/Kolkata"), ("CH", "Europe/Zurich"), ("SE", "Europe/Stockholm"),
)  # fmt: skip

_MODELS = """
CREATE TEMPORARY TABLE models AS
SELECT contact, sends, sum(share) OVER (ORDER BY place) - share AS first, sum(share) OVER (ORDER BY place) AS after
FROM unnest(%(contacts)s::uuid[], %(shares)s::int[], %(sends)s::int[]) WITH ORDINALITY AS given(contact, share, sends, place)
"""

#: Ids as `ids.uuid7` makes them, in the order of the contacts' arrival; link ids of 128 random bits.
_COPIES = """
CREATE TEMPORARY TABLE copies AS
SELECT n, models.contact AS model, models.sends,
       (time || '7' || substr(a, 1, 3) || '8' || substr(a, 4, 15))::uuid AS contact,
       time || '7' AS record_time, md5(b) AS seed,
       rtrim(translate(encode(uuid_send(gen_random_uuid()), 'base64'), '+/', '-_'), '=') AS link,
       (%(countries)s::text[])[lives] AS country, (%(zones)s::text[])[lives] AS timezone,
       make_interval(secs => (%(count)s - n) * 30) AS earlier,
       %(paused)s::timestamptz + make_interval(mins => (random() * 100000)::int) AS paused_until
FROM (SELECT n, md5(random()::text) AS a, random()::text AS b, random() * 1000 AS kind,
             1 + floor(random() * %(places)s)::int AS lives, lpad(to_hex(%(milliseconds)s + n), 12, '0') AS time
      FROM generate_series(1, %(count)s) AS n) AS drawn
JOIN models ON drawn.kind >= models.first AND drawn.kind < models.after
"""

#: The id of a copy's record, from the number of the record.
_RECORD = (
    "(record_time || substr(md5(seed || {seq}), 1, 3) || '8' || substr(md5(seed || {seq}), 4, 15))::uuid"
)

_SIDES = """
INSERT INTO {side} (record, name, salt, value)
SELECT {id}, side.name, side.salt, side.value
FROM {side} AS side JOIN {record} AS original ON original.id = side.record JOIN copies ON copies.model = original.contact_ref
"""

_SENDS = """
INSERT INTO {send} (message_id, contact, topic, channel, at, counts)
SELECT 'made-' || number, contact, (%(topics)s::text[])[1 + n %% %(count)s], 'email',
       now() - make_interval(secs => random() * 60 * 86400), true
FROM copies CROSS JOIN LATERAL generate_series(1, copies.sends) AS number
"""


def copy_contacts(models: Sequence[tuple[Contact, int, int]], count: int, topics: Sequence[str]) -> None:
    """Make `count` contacts that differ from a model in who they are, where they live, when they came, until when they
    pause, and when they were written to - and in nothing else. `models` are contacts with their shares, of 1000, and numbers of sends.
    """
    with connection.cursor() as cursor:
        contacts, shares, sends = map(list, zip(*((model.pk, *of) for model, *of in models), strict=True))
        assert sum(shares) == 1000
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(_MODELS, {"contacts": contacts, "shares": shares, "sends": sends})
        cursor.execute(
            _COPIES,
            {
                "count": count,
                "milliseconds": int(time.time() * 1000) - count,
                "countries": [country for country, _ in PLACES],
                "zones": [zone for _, zone in PLACES],
                "places": len(PLACES),
                "paused": PAUSED_UNTIL,
            },
        )
    _copy(
        Contact,
        "id",
        {
            "id": "copies.contact",
            "email": "CASE original.email WHEN '' THEN '' ELSE 'person' || n || '@mail.example.org' END",
            "address_key": "CASE WHEN original.address_key IS NOT NULL THEN md5('a' || n) || md5('b' || n) END",
            "link_id": "copies.link",
            "country": "CASE WHEN original.erased_at IS NULL THEN copies.country ELSE '' END",
            "timezone": "CASE WHEN original.erased_at IS NULL THEN copies.timezone ELSE '' END",
        },
    )
    _copy(
        State,
        "contact_id",
        {
            "contact_id": "copies.contact",
            "paused_until": "CASE WHEN original.paused_until IS NOT NULL THEN copies.paused_until END",
        },
    )
    # What a worker leaves behind once every backend is up to date.
    _copy(Delivery, "contact", {"contact": "copies.contact", "delivered": "wanted", "due_at": "NULL"})
    _copy_chains()
    with connection.cursor() as cursor:
        cursor.execute(
            _SENDS.format(send=_table(Send)),
            {"topics": list(topics), "count": len(topics)},
        )
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def _copy_chains() -> None:
    """Records one number after the other, as each holds the hash of the one before; then the personal values."""
    table = _table(Record)
    renamed = "original.body"
    for old, new in (
        ("contact_ref::text", "copies.contact::text"),
        ("id::text", f"{_RECORD.format(seq='seq')}::text"),
        (_iso("original.at"), _iso("original.at - copies.earlier")),
        ("%(paused)s", _iso("copies.paused_until")),
    ):
        renamed = f"replace({renamed}, {old}, {new})"
    # The columns of the original, the names of the copy, and what the hash is over.
    source = (
        f"(SELECT original.*, copies.*, {_RECORD.format(seq='seq')} AS new_id, {renamed} AS new_body,"
        f" COALESCE((SELECT hash FROM {table} AS before WHERE before.contact_ref = copies.contact"
        " AND before.seq = original.seq - 1), %(genesis)s) AS new_prev"
        f" FROM {table} AS original JOIN copies ON original.contact_ref = copies.model WHERE original.seq = %(seq)s) AS copy"
    )
    changed = {
        "id": "new_id",
        "contact_ref": "contact",
        "at": "copy.at - copy.earlier",
        "body": "new_body",
        "prev": "new_prev",
        "hash": "encode(sha256(%(domain)s || decode(new_prev, 'hex') || convert_to(new_body, 'UTF8')), 'hex')",
    }
    columns = [field.column for field in Record._meta.concrete_fields]
    quote = connection.ops.quote_name
    values = [changed.get(column, f"copy.{quote(column)}") for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT max(seq) FROM {table}")
        (longest,) = cursor.fetchone()
        for seq in range(1, (longest or 0) + 1):
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(map(quote, columns))}) SELECT {', '.join(values)} FROM {source}",
                {
                    "seq": seq,
                    "genesis": GENESIS,
                    "domain": DOMAIN,
                    "paused": iso(PAUSED_UNTIL),
                },
            )
        cursor.execute(
            _SIDES.format(side=_table(SideValue), record=table, id=_RECORD.format(seq="original.seq"))
        )


def sample(size: int, like: UUID) -> list[tuple[UUID, str]]:
    """Copies of a model drawn at random, each with its link id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT contact, link FROM copies WHERE model = %s ORDER BY random() LIMIT %s", [like, size]
        )
        return [(contact, link_id) for contact, link_id in cursor.fetchall()]


def _copy(
    model: type[Model], belongs_to: str, others: Mapping[str, str], values: Mapping[str, bytes] | None = None
) -> None:
    """Copy the rows of one table; `others` are the columns that a copy does not take over, as SQL."""
    quote = connection.ops.quote_name
    table = _table(model)
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
            f"FROM {table} AS original JOIN copies ON original.{quote(belongs_to)} = copies.model",
            values,
        )


def _iso(moment: str) -> str:
    """A moment as `values.iso` writes it."""
    return f"""to_char(({moment}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _table(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
