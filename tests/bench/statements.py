"""How many SQL statements a request takes, counted in this process."""

from __future__ import annotations

import time

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from .calls import Calls
from .requests import Answer, Exchange, Source

#: The border of a transaction is not counted: every peer that writes has one too.
BORDERS = ("BEGIN", "COMMIT", "ROLLBACK")
WARM = 3
WARM_SECONDS = 1


def in_process(exchange: Exchange) -> Answer:
    """The same request, through Django's handler and middleware, without a server."""
    headers = dict(exchange.headers)
    response = Client(headers={"Host": "localhost", "Accept": "application/json"}).generic(
        exchange.method,
        exchange.path,
        exchange.body,
        headers.pop("Content-Type", "application/octet-stream"),
        headers=headers,
    )
    return Answer(response.status_code, response.cookies.output().encode(), response.content)


def of(source: Source) -> list[str]:
    """The statements of a request once everything that a process remembers is there."""
    for _ in range(WARM):
        exchange = next(source)
        with CaptureQueriesContext(connection) as captured:
            exchange.accept(in_process(exchange))
    return _without_borders(captured)


def of_call(calls: Calls) -> list[str]:
    """The same for a call in this process; one that takes long is made once. What goes past Django is not seen."""
    start = time.monotonic()
    for made in range(WARM):
        if made and time.monotonic() - start > WARM_SECONDS:
            break
        call = next(calls)
        with CaptureQueriesContext(connection) as captured:
            call()
    return _without_borders(captured)


def _without_borders(captured: CaptureQueriesContext) -> list[str]:
    found = [str(query["sql"]) for query in captured]
    return [sql for sql in found if not sql.startswith(BORDERS)]
