"""Writes that belong together: one statement on PostgreSQL, where each is a journey to the server and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connection


@dataclass(frozen=True, slots=True)
class Write:
    """One INSERT or UPDATE with a `%s` for each of its values, which are as this database's driver takes them."""

    sql: str
    values: Sequence[Any]


def carry_out(writes: Sequence[Write]) -> None:
    """Write into different tables, in no order: none sees what another has written.

    One statement on PostgreSQL, as many as there are on SQLite, which takes no write inside of another statement.
    """
    if connection.vendor == "postgresql" and len(writes) > 1:
        sql = _together(tuple(write.sql for write in writes))
        writes = [Write(sql, [value for write in writes for value in write.values])]
    with connection.cursor() as cursor:
        for write in writes:
            cursor.execute(write.sql, write.values)


@lru_cache(maxsize=256)
def _together(statements: tuple[str, ...]) -> str:
    *others, last = statements
    parts = ", ".join(f"write{number} AS ({sql})" for number, sql in enumerate(others))
    return f"WITH {parts} {last}"
