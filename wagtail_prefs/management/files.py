"""Files that commands write row by row: their owner's alone, and whole rows whenever they are stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError


@contextmanager
def out_to(path: Path | None, stdout: Any, *, goes_on: bool) -> Iterator[Any]:
    """What to write to. A file is its owner's alone, and is only gone on with behind a whole row."""
    if path is None:
        try:
            yield stdout
        except BrokenPipeError as problem:  # whoever reads has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more at its end
            raise SystemExit(1) from problem
        return
    try:
        if goes_on and path.exists() and not _is_whole(path):
            raise CommandError(f"{path} does not end with a whole row: write it anew.", returncode=2)
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if goes_on else os.O_TRUNC)
        with open(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - of a descriptor
            if not goes_on and path.is_file():
                os.fchmod(file.fileno(), 0o600)  # also one that was there before
            yield file
    except OSError as problem:
        raise CommandError(f"The file cannot be written: {problem.strerror}.", returncode=2) from problem


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


@contextmanager
def stopped_by_signals(stopped: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C end it after the rows under way."""
    handlers = {
        number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
