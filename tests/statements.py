"""What was asked of the database, alike on SQLite and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BORDER = re.compile(r"BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE")


def said(captured: Iterable[dict[str, str]]) -> list[str]:
    """The statements without the borders of transactions; of writes that PostgreSQL takes together, each by itself."""
    found = [query["sql"].strip() for query in captured]
    return [
        part
        for sql in found
        if not _BORDER.match(sql)
        for part in (
            re.split(r"(?=INSERT INTO|UPDATE .wagtail_)", sql)[1:] if sql.startswith("WITH write0") else [sql]
        )
    ]
