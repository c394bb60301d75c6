"""Whom a command is about: ids from its arguments, addresses from a file or standard input and never from there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from ..contacts import services as contacts
from ..topics.models import Audience


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody a command was given. `contact` is None for an address that nobody has; `line` is where it stood."""

    contact: UUID | None
    line: int


def named(ids: Iterable[str], addresses: str | None, audience: Audience | None) -> Iterator[Named]:
    """The people of the arguments, then those of the file ("-": standard input), one address a line. Raises CommandError,
    which never repeats an address.
    """
    for place, given in enumerate(ids, 1):
        try:
            yield Named(UUID(given), place)
        except ValueError:
            raise CommandError(
                f"Argument {place} is no contact id. Addresses come by --addresses.", returncode=2
            ) from None
    if addresses is None or audience is None:
        return
    for line, text in enumerate(_lines(addresses), 1):
        address = text.strip()
        if not address:
            continue
        try:
            found = contacts.find(audience.pk, address)
        except (ValidationError, UnicodeError):
            raise CommandError(f"Line {line} is no e-mail address.", returncode=2) from None
        yield Named(found.pk if found else None, line)


def _lines(addresses: str) -> list[str]:
    try:
        return (
            sys.stdin.read() if addresses == "-" else Path(addresses).read_text(encoding="utf-8")
        ).splitlines()
    except (OSError, UnicodeError):
        raise CommandError("The file of addresses cannot be read.", returncode=2) from None
