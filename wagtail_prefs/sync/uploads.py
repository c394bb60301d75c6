"""Files that staff have sent: kept in one row each, forecast and written in pieces that may end anywhere, and deleted.

A request holds a file by a lease, so that a button that is pressed twice does nothing twice; where a request dies, the
next one goes on after a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from wagtail.log_actions import log

from ..topics.models import Audience
from . import importing
from .codes import FINE
from .models import ImportRun, ImportUpload
from .reading import Source

#: Bytes that a file may have; larger ones are for `manage.py prefs_import`.
LIMIT = 5 * 1024 * 1024
#: Problems that are kept for the page.
SHOWN = 50
#: The seconds after which a request gives an answer.
SECONDS = 3.0
LEASE = timedelta(minutes=1)
#: How long a file is kept that nobody has finished or discarded.
KEPT = timedelta(days=1)


def keep(data: bytes, mapping: Mapping[str, str], audience: Audience, *, user: Any) -> ImportUpload:
    """Keep a file for its forecast. Raises BadFile where it cannot be read to its end."""
    rows = Source(data, mapping).last_row()
    return ImportUpload.objects.create(
        audience=audience, user=str(user.pk), file=data, mapping=dict(mapping), rows=rows
    )


def source_of(upload: ImportUpload) -> Source:
    return Source(bytes(upload.file), upload.mapping)


def check(pk: UUID, *, seconds: float = SECONDS) -> bool:
    """Forecast the next piece. False where somebody else is at it, or there is nothing to do."""
    with _held(pk, ImportUpload.CHECKING) as upload:
        if upload is None:
            return False
        ends = monotonic() + seconds
        sums, problems = Counter(upload.sums), list(upload.problems)
        row, found = upload.row, dict[str, int]()
        ended = True
        for step in importing.forecast_next(source_of(upload), upload.audience, upload.row):
            row, found = step.row, dict(step.sums)
            left_out = (
                [one.row, code.value] for one in step.outcomes for code in one.codes if code not in FINE
            )
            problems = [*problems, *left_out][:SHOWN]
            ended = False
            if monotonic() >= ends:
                break
        sums.update(found)
        ended = ended or row >= upload.rows
        ImportUpload.objects.filter(pk=pk).update(
            row=row,
            sums=dict(sums),
            problems=problems,
            state=ImportUpload.CHECKED if ended else ImportUpload.CHECKING,
        )
    return True


def begin(upload: ImportUpload, *, user: Any) -> None:
    """Somebody has confirmed the forecast."""
    waiting = ImportUpload.objects.filter(pk=upload.pk, state=ImportUpload.CHECKED)
    if waiting.update(state=ImportUpload.WRITING, row=1):
        log(upload.audience, importing.STARTED, user=user, data={"rows": upload.rows - 1})


def write(pk: UUID, *, user: Any, seconds: float = SECONDS) -> bool:
    """Write the next piece, and delete the file after the last. False where somebody else is at it."""
    with _held(pk, ImportUpload.WRITING) as upload:
        if upload is None:
            return False
        source, ends = source_of(upload), monotonic() + seconds
        for step in importing.run(source, upload.audience, user=user, stopping=lambda: monotonic() >= ends):
            ImportUpload.objects.filter(pk=pk).update(row=step.row)
        if importing.is_done(source, upload.audience):
            runs = ImportRun.objects.filter(audience=upload.audience)
            runs.filter(digest=source.digest(upload.audience.key)).update(upload=pk)
            discard(pk)
    return True


def was_written(upload: ImportUpload) -> bool:
    """Whether the same file was written to its end before."""
    return importing.is_done(source_of(upload), upload.audience)


def discard(pk: UUID) -> None:
    ImportUpload.objects.filter(pk=pk).delete()


def forget_old() -> int:
    """Delete the files that nobody has finished or discarded: for the worker. Returns how many."""
    old = ImportUpload.objects.filter(created_at__lt=timezone.now() - KEPT)
    return old.delete()[0]


@contextmanager
def _held(pk: UUID, state: str) -> Iterator[ImportUpload | None]:
    """The file, while nobody else has it; None where somebody does, or where it is at something else."""
    now = timezone.now()
    free = Q(busy_until=None) | Q(busy_until__lt=now)
    if not ImportUpload.objects.filter(free, pk=pk, state=state).update(busy_until=now + LEASE):
        yield None
        return
    try:
        yield ImportUpload.objects.select_related("audience").filter(pk=pk).first()
    finally:
        ImportUpload.objects.filter(pk=pk).update(busy_until=None)
