"""A mail backend that asks before it sends: EMAIL_BACKEND (or a BACKEND of MAILERS) for sites that must not forget.

What it hands on goes to the backend that WAGTAIL_PREFS["SENDING_BACKEND"] names, with the same options. A mail says what
it is about in its headers, its attribute `prefs`, or the block it is sent in (`marks`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any

from django.core import mail as django_mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError
from django.utils.module_loading import import_string

from ..conf import conf
from ..mail.server import NotTaken, Verdict, judge
from ..topics.models import Topic
from . import marks, services
from .dispatch import Line
from .services import Plan

logger = logging.getLogger("wagtail_prefs.sending")


class EmailBackend(BaseEmailBackend):
    """Asks about each mail, and hands on what may go out now. Afterwards `message.prefs_outcome` says what became of it."""

    def __init__(self, fail_silently: bool = False, *, alias: str | None = None, **options: Any) -> None:
        super().__init__()
        self.alias = alias
        self.fail_silently = fail_silently
        self._lock = threading.RLock()
        #: What sends without asking. It never fails in silence: we would take what it lost for sent.
        self.unasked = _unasked(alias, options)

    def open(self) -> Any:
        return self.unasked.open()

    def close(self) -> None:
        self.unasked.close()

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> int:
        """How many need nothing more: they went out, did so before, or wait to go out by themselves.

        Marks that make no sense raise before anything is sent. An answer about one mail lets the others go first, and is
        raised at the end; where the server is away, the rest is not tried. With `fail_silently` nothing is raised; what
        went wrong is in the log, without words of the mail.
        """
        with self._lock:
            plans = list(self._plans(email_messages))
            with Line(self.unasked) as line:
                return self._send(plans, line)

    def _plans(self, messages: Iterable[EmailMessage]) -> Iterable[Plan]:
        topics: dict[Any, Topic] = {}
        for message in messages:
            if not message.recipients():
                continue
            try:
                found = marks.read(message)
                about = found and (found.topic, found.contact and found.contact.audience_id, found.site)
                planned = services.plan(message, found, topics.get(about))
            except Exception as error:  # noqa: BLE001 - with `fail_silently` nothing is raised
                self._failed(error)
                continue
            topics[about] = planned.topic
            yield planned

    def _send(self, plans: list[Plan], line: Line) -> int:
        taken, first = 0, None
        for planned in plans:
            try:
                outcome = services.deliver(planned, line)
            except NotTaken:
                continue  # as Django has it: not counted, and nothing said
            except Exception as error:  # noqa: BLE001 - a mail backend is anybody's code
                if isinstance(error, DatabaseError) or judge(error).verdict in {Verdict.BROKEN, Verdict.AWAY}:
                    self._failed(error)
                    break
                first = first or error
                continue
            planned.original.prefs_outcome = outcome  # type: ignore[attr-defined]
            taken += outcome.taken
        if first is not None:
            self._failed(first)
        return taken

    def _failed(self, error: Exception) -> None:
        if not self.fail_silently:
            raise error
        # Never as an error: the mail that failed may be the one that tells of errors.
        logger.warning("a mail was not sent (%s)", type(error).__name__)


def _unasked(alias: str | None, options: dict[str, Any]) -> Any:
    path = conf.sending_backend
    found = import_string(path)
    if isinstance(found, type) and issubclass(found, EmailBackend):
        raise ImproperlyConfigured(
            f'WAGTAIL_PREFS["SENDING_BACKEND"] is {path!r}, which asks and sends nothing by itself: name the backend '
            "that your mails really go to."
        )
    named = {"alias": alias} if hasattr(django_mail, "mailers") else {}
    return found(**named, **options)
