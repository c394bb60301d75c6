"""Where copies of the seals go, outside the database: whoever can rewrite that must not be able to rewrite these.

A sink is a class of anybody's with `send(line, number)`: `line` is one line of JSON without its end, `number` the
seal's; and, where chains are to be removed, with `send_stone(line, number)`, the same of tombstones. It raises whatever
it likes when the line may not have arrived; it is then given again. So a line may arrive twice, and they arrive in the
order of their numbers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.core.files import locks
from django.utils.module_loading import import_string

from ..conf import conf

logger = logging.getLogger("wagtail_prefs.seals")


class Sink(Protocol):
    """What receives seals."""

    def send(self, line: bytes, number: int) -> None: ...


@runtime_checkable
class StoneSink(Sink, Protocol):
    """What receives tombstones, too."""

    def send_stone(self, line: bytes, number: int) -> None: ...


class FileSink:
    """Appends to a file, which is made if need be, readable by its owner only, and on the disk when `send` returns.

    A line that a crash left unfinished stays; the next begins on a line of its own.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_absolute():
            raise ValueError("the path of the file of seals must be absolute")

    def send(self, line: bytes, number: int) -> None:
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            locks.lock(
                descriptor, locks.LOCK_EX
            )  # another worker may be in the midst of a line; ends with the file
            os.lseek(descriptor, max(os.fstat(descriptor).st_size - 1, 0), os.SEEK_SET)
            text = (b"" if os.read(descriptor, 1) in (b"", b"\n") else b"\n") + line + b"\n"
            if os.write(descriptor, text) != len(text):
                raise OSError("the line was written in part only")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            _sync_folder(self.path.parent)

    def send_stone(self, line: bytes, number: int) -> None:
        """Into the same file: a line says which it is."""
        self.send(line, number)


def _sync_folder(folder: Path) -> None:
    """So that a new file's name survives a power cut too."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class LogSink:
    """Writes each seal as one message to the logger `wagtail_prefs.seals`, for sites whose logs are kept elsewhere."""

    def send_stone(self, line: bytes, number: int) -> None:
        self.send(line, number)

    def send(self, line: bytes, number: int) -> None:
        if not (logger.isEnabledFor(logging.INFO) and logger.hasHandlers()):
            raise LogIsOff("LOGGING drops messages of wagtail_prefs.seals at level INFO")
        logger.info("%s", line.decode())


class LogIsOff(Exception):
    """Nothing would arrive."""


def configured() -> Sink:
    """The sink of the settings. Raises ImproperlyConfigured, without any value of the settings, where that fails."""
    given: object = conf.seals
    if not isinstance(given, Mapping) or not given.keys() <= {"SINK", "OPTIONS"} or "SINK" not in given:
        raise ImproperlyConfigured('WAGTAIL_PREFS["SEALS"] is {"SINK": dotted path, "OPTIONS": {...}}.')
    options = given.get("OPTIONS", {})
    try:
        factory = import_string(str(given["SINK"]))
    except ImportError as error:
        raise ImproperlyConfigured(f'WAGTAIL_PREFS["SEALS"]: {given["SINK"]} cannot be imported.') from error
    try:
        sink: Any = factory(**options)
    except Exception as error:
        raise ImproperlyConfigured(
            f'WAGTAIL_PREFS["SEALS"]: {given["SINK"]} does not take its OPTIONS ({type(error).__name__}).'
        ) from error
    if not callable(getattr(sink, "send", None)):
        raise ImproperlyConfigured(
            f'WAGTAIL_PREFS["SEALS"]: {given["SINK"]} has no method send(line, number).'
        )
    made: Sink = sink
    return made


def check_sink(**_kwargs: Any) -> list[CheckMessage]:
    """E021: a sink that cannot be used, or seals that would never be made."""
    try:
        given, problems = conf.seals, []
    except ImproperlyConfigured:
        return []  # E001 says so
    try:
        if given != {}:
            configured()
    except ImproperlyConfigured as problem:
        problems.append(str(problem))
    try:
        sane = conf.seal_records >= 1 and conf.seal_age >= timedelta(0)
    except (ValueError, TypeError, OverflowError):
        sane = False
    if not sane:
        problems.append('WAGTAIL_PREFS["SEAL_RECORDS"] is a number from 1 on, "SEAL_MINUTES" one from 0 on.')
    return [Error(problem, id="wagtail_prefs.E021") for problem in problems]


def check_exported(**_kwargs: Any) -> list[CheckMessage]:
    """W021: no sink, in a deployment (`check --deploy`)."""
    try:
        if conf.seals:
            return []
    except ImproperlyConfigured:
        return []  # E001 says so
    return [
        CheckWarning(
            'WAGTAIL_PREFS["SEALS"] names no sink: the seals stay in the database.',
            hint="Whoever can rewrite the ledger can delete its newest records and their seals with them. Name a file "
            "on another machine's disk, the log, or a class of your own: docs/reference/ledger.md.",
            id="wagtail_prefs.W021",
        )
    ]
