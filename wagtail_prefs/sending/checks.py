"""System checks: mail that must ask first does, and reaches somebody who sends it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError
from django.utils.module_loading import import_string

from ..conf import conf
from ..mail.checks import backend_path
from . import finding
from .backend import EmailBackend

WRAPPER = f"{EmailBackend.__module__}.{EmailBackend.__qualname__}"


def check_sending(**_kwargs: Any) -> list[CheckMessage]:
    """E060: a backend behind ours that there is not, that asks itself, or that sends nothing."""
    try:
        path = conf.sending_backend
        found = import_string(path)
    except ImproperlyConfigured:
        return []  # E001 says so
    except ImportError:
        return [_no_backend(f"there is no mail backend {path!r}")]
    if not isinstance(found, type) or not issubclass(found, BaseEmailBackend):
        return [_no_backend(f"{path!r} is no mail backend")]
    if issubclass(found, EmailBackend):
        return [_no_backend(f"{path!r} asks, and hands on to itself")]
    return []


def _no_backend(problem: str) -> CheckMessage:
    return Error(
        f'WAGTAIL_PREFS["SENDING_BACKEND"]: {problem}.',
        hint="Name the mail backend that your mails really go to, as Django's EMAIL_BACKEND would.",
        id="wagtail_prefs.E060",
    )


def check_asking(**_kwargs: Any) -> list[CheckMessage]:
    """W061, in production: Django code sends a site's mail, and nothing makes it ask."""
    try:
        senders: Any = conf.senders.get("email", {})
    except (ImproperlyConfigured, AttributeError):
        return []  # E001 and E004 say so
    if not isinstance(senders, Mapping):
        return []  # E004 says so
    if "decide" not in senders.values() or _asks(backend_path()):
        return []
    return [
        CheckWarning(
            "Django sends e-mail about topics, and its mail backend does not ask whether it may.",
            hint=f'Set EMAIL_BACKEND (or BACKEND in MAILERS) to "{WRAPPER}", and WAGTAIL_PREFS["SENDING_BACKEND"] to '
            "the backend that you have now: then no mail goes out unasked. Where all of your code calls "
            "wagtail_prefs.send() or decide(), silence this. See docs/how-to/send-from-django.md.",
            id="wagtail_prefs.W061",
        )
    ]


def _asks(path: str) -> bool:
    try:
        found = import_string(path) if path else None
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, EmailBackend)


def check_unnamed(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """E062: mails that name no topic would be about one that is not always sent. Asks the database."""
    if not databases or sys.argv[1:2] == ["migrate"]:
        return []
    try:
        if conf.unnamed_mail:
            finding.always_sent(conf.unnamed_mail)
    except ImproperlyConfigured as error:
        return [
            Error(
                f"{error}.",
                hint="Name a topic of the default site that is always sent: receipts, passwords. Until then mails that "
                "name no topic are not sent.",
                id="wagtail_prefs.E062",
            )
        ]
    except DatabaseError:  # before the first migration there is nothing to look at
        return []
    return []
