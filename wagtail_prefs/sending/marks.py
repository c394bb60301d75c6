"""What a mail says about itself to our mail backend. It says so in the house: none of it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.mail import EmailMessage
from django.utils.dateparse import parse_datetime

from .values import Marks

#: How the names of marking headers begin.
PREFIX = "x-prefs-"
#: The attributes that we read from a message, or leave on it.
ATTRIBUTES = ("prefs", "prefs_outcome")

_ABOUT: ContextVar[Marks | None] = ContextVar("wagtail_prefs_about", default=None)


@contextmanager
def about(topic: str, **more: Any) -> Iterator[None]:
    """What mails are about that cannot say so: those of `send_mail`, and of packages. `more` is what `Marks` has.

    Holds for this thread (or task) until the block ends; a mail that has marks of its own keeps them.
    """
    token = _ABOUT.set(Marks(topic=topic, **more))
    try:
        yield
    finally:
        _ABOUT.reset(token)


def read(message: EmailMessage) -> Marks | None:
    """The marks of a message: its attribute, its headers, or else of the block it is sent in; None for none.

    Raises TypeError and ValueError for marks that nobody can read.
    """
    given = getattr(message, "prefs", None)
    headers = marking(message)
    if given is not None and not isinstance(given, Marks):
        raise TypeError(
            'mark a mail with `message.prefs = Marks(topic="news")`, of wagtail_prefs.sending.values'
        )
    if given is not None and headers:
        raise ValueError("a mail is marked by `prefs` or by X-Prefs headers, not by both")
    if headers:
        return _of_headers(headers)
    return given or _ABOUT.get()


def marking(message: EmailMessage) -> dict[str, str]:
    """The marking headers of a message, by what stands after the prefix, in lower case. Raises ValueError for doubles."""
    found: dict[str, str] = {}
    for name, value in message.extra_headers.items():
        if not str(name).lower().startswith(PREFIX):
            continue
        mark = str(name).lower().removeprefix(PREFIX)
        if mark in found:
            raise ValueError(f"a mail has the header {name} twice")
        found[mark] = str(value).strip()
    return found


def strip(message: EmailMessage) -> None:
    """Take the marks off a message of ours."""
    message.extra_headers = {
        name: value
        for name, value in message.extra_headers.items()
        if not str(name).lower().startswith(PREFIX)
    }
    for name in ATTRIBUTES:
        vars(message).pop(name, None)


def _of_headers(headers: dict[str, str]) -> Marks:
    unknown = sorted(headers.keys() - {"topic", "message-id", "expires", "center"})
    if unknown:
        raise ValueError(
            f"there is no marking header {PREFIX}{unknown[0]}: "
            "there are X-Prefs-Topic, X-Prefs-Message-Id, X-Prefs-Expires and X-Prefs-Center"
        )
    if not headers.get("topic"):
        raise ValueError("a marked mail needs the header X-Prefs-Topic: the key of its topic")
    return Marks(
        topic=headers["topic"],
        message_id=headers.get("message-id", ""),
        expires=_moment(headers["expires"]) if "expires" in headers else None,
        center=UUID(headers["center"]) if "center" in headers else None,
    )


def _moment(text: str) -> datetime:
    found = parse_datetime(text)
    if found is None or found.tzinfo is None:
        raise ValueError("X-Prefs-Expires is a moment with its time zone, as 2026-12-24T18:00:00+01:00")
    return found
