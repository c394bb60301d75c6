"""Contacts by the ids that other systems know them by: unique within an audience, where there are any."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from ..contacts.models import Contact

#: Stands for whoever has no such id: rules find nobody under it, and say so.
NOBODY = str(UUID(int=0))
MAX_EXTERNAL_ID = 255
#: Half of a character: JSON may carry it, a database cannot.
_SURROGATE = re.compile("[\ud800-\udfff]")


def ids_of(external_ids: Sequence[str], audience: int) -> list[str]:
    """The UUIDs of the contacts of an audience, in the order of their external ids; NOBODY where there is none.

    One statement, by index, however many are asked about. An id counts as it is written, but for blanks around it.
    """
    asked = [given.strip() for given in external_ids]
    wanted = sorted({given for given in asked if _can_be(given)})
    if not wanted:
        return [NOBODY] * len(asked)
    with connection.cursor() as cursor:
        cursor.execute(_statement(), {"given": json.dumps(wanted), "audience": audience})
        found = {given: _written(contact) for given, contact in cursor.fetchall()}
    return [found.get(given, NOBODY) for given in asked]


def _can_be(given: str) -> bool:
    """Whether a row can have it. What none can have is unknown, and the database need not see it."""
    return 0 < len(given) <= MAX_EXTERNAL_ID and "\0" not in given and not _SURROGATE.search(given)


def _written(contact: UUID | str) -> str:
    return str(contact if isinstance(contact, UUID) else UUID(contact))


def _statement() -> str:
    table = connection.ops.quote_name(Contact._meta.db_table)
    # As the index has it (prefs_contact_external).
    by_name = "audience_id = %(audience)s AND {0}.external_id = given.value AND NOT ({0}.external_id = '')"
    if connection.vendor == "postgresql":
        given = "jsonb_array_elements_text(%(given)s::jsonb) AS given(value)"
        # As in `facts`: never all contacts at once.
        found = f"CROSS JOIN LATERAL (SELECT id FROM {table} AS one WHERE {by_name.format('one')} OFFSET 0) AS contact"  # noqa: S608
        return f"SELECT given.value, contact.id FROM {given} {found}"  # noqa: S608 - names
    given = "json_each(%(given)s) AS given"
    found = f"CROSS JOIN {table} AS contact ON {by_name.format('contact')}"
    return f"SELECT given.value, contact.id FROM {given} {found}"  # noqa: S608 - names
