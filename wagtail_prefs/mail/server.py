"""The mail server of Django's settings: one connection for many mails, and what its answers mean for a mail.

Answers are told by numbers and names of errors, never by their texts: those repeat addresses.
"""

from __future__ import annotations

import enum
import logging
import re
import smtplib
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from json import JSONDecodeError
from traceback import walk_tb
from types import TracebackType
from typing import Any

from django.core import mail as django_mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend

logger = logging.getLogger("wagtail_prefs.mail")

#: Seconds to wait for an answer, where the site's settings name no timeout: Django's default is to wait for ever.
TIMEOUT = 10.0
#: "Service not available, closing transmission channel" (RFC 5321 s4.2.3).
CLOSING = 421
#: An enhanced status code (RFC 3463), as it stands at the beginning of an answer.
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|\Z)")


class Verdict(enum.Enum):
    """What became of handing a mail over."""

    SENT = "sent"
    REFUSED = "refused"  # for good: this mail, or this address
    FAILED = "failed"  # this time
    BROKEN = "broken"  # this time, and the connection with it
    AWAY = "away"  # the server does not talk to us: others would meet the same
    NO_SERVER = "no-server"  # nothing was tried, so it says nothing about this mail


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and, but for SENT, its reason: never an address."""

    verdict: Verdict
    code: str = ""


class Server:
    """One connection, opened for the first mail and closed at the end. It does not raise."""

    def __init__(self) -> None:
        self._connection: Any = None

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def send(self, message: EmailMessage) -> Answer:
        """Hand one mail over."""
        if self._connection is None:
            try:
                self._connection = _connect()
            except Exception as error:  # noqa: BLE001 - a mail backend is anybody's code, its settings anybody's typing
                return Answer(Verdict.NO_SERVER, _code(error))
        try:
            handed = self._connection.send_messages([message])
        except Exception as error:  # noqa: BLE001 - as above
            answer = judge(error)
            if answer.verdict in {Verdict.BROKEN, Verdict.AWAY}:
                self._close()
            return answer
        return Answer(Verdict.FAILED, "not-taken") if handed == 0 else Answer(Verdict.SENT)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # what was taken is taken, however the server says goodbye
                connection.close()


def trouble() -> str:
    """Why the server does not talk to us, in a word; "" where it does. Says hello and goodbye, and sends nothing."""
    try:
        connection = _connect()
    except Exception as error:  # noqa: BLE001 - a mail backend is anybody's code, its settings anybody's typing
        return _code(error)
    with suppress(Exception):
        connection.close()
    return ""


def connection_of_settings() -> Any:
    """What Django's settings send mail with, not opened; never one that asks first (`sending.backend`)."""
    mailers = getattr(django_mail, "mailers", None)  # Django 6.1
    return unasked(django_mail.get_connection() if mailers is None else mailers.default)


def unasked(connection: Any) -> Any:
    """A connection, or what stands behind it where it is one that asks before it sends.

    Our own mails ask nobody, and what was decided already is not asked about twice.
    """
    found = getattr(connection, "unasked", connection)
    if isinstance(found, EmailBackend) and found.timeout is None:
        found.timeout = TIMEOUT
    return found


def _connect() -> Any:
    connection = connection_of_settings()
    try:
        connection.open()
    except BaseException:
        with suppress(Exception):
            connection.close()
        raise
    return connection


def judge(error: Exception) -> Answer:
    """What an error of sending means. 4xx and broken connections pass by themselves, 5xx do not (RFC 5321 s4.2.1)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        # There is one recipient.
        number, text = next(iter(error.recipients.values()))
        return Answer(_by_number(number), _smtp_code(number, text))
    if isinstance(error, smtplib.SMTPSenderRefused):
        # It is not about this mail: all have the same sender.
        return Answer(Verdict.AWAY, _smtp_code(error.smtp_code, error.smtp_error))
    if isinstance(error, smtplib.SMTPDataError):
        return Answer(_by_number(error.smtp_code), _smtp_code(error.smtp_code, error.smtp_error))
    if isinstance(error, OSError):  # smtplib's others, sockets, TLS, and those of `requests`
        return Answer(Verdict.BROKEN, _code(error))
    if isinstance(error, ValueError):  # Django finds no address, or a header that is none
        return Answer(Verdict.REFUSED, _code(error))
    return Answer(Verdict.BROKEN, _code(error))


class NotHanded(Exception):
    """A mail was not handed over, and will not arrive: for what stands between a sender and a connection."""


class NotTaken(NotHanded):
    """A mail backend says that it sent nothing, and not why."""

    def __init__(self) -> None:
        super().__init__("the mail backend took no mail")


#: Errors of building a mail, before any server hears of it. django-anymail's own derive from them.
_BUILDING = (ValueError, TypeError, ImproperlyConfigured)
#: How errors are called, here and there, that say that no server was reached, or that it wanted none of the recipients.
_NOT_REACHED = {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ConnectTimeout"}
_NOT_WANTED = {"AnymailRecipientsRefused"}


def may_have_arrived(error: BaseException) -> bool:
    """Whether a mail may have gone out although handing it over failed with this: nobody heard what the server said.

    An answer says no; so does what happened before the text of the mail was begun (RFC 5321 s4.1.1.4), and whatever was
    raised while the mail was built. Of an error that says nothing, we think that it may.
    """
    if isinstance(error, NotHanded | smtplib.SMTPRecipientsRefused):
        return False
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code < 400  # smtplib's own -1: an answer that is none
    status = getattr(error, "status_code", None)  # of django-anymail: what the platform answered
    if isinstance(status, int):
        return not (400 <= status < 500 or status == 503)
    chain = list(_chain(error))
    names = {kind.__name__ for link in chain for kind in type(link).__mro__}
    if names & _NOT_WANTED or names & _NOT_REACHED:
        return False
    if any(isinstance(link, ConnectionRefusedError | socket.gaierror) for link in chain):
        return False
    codes = [frame.f_code for frame, _line in walk_tb(error.__traceback__)]
    if any(code.co_filename == smtplib.__file__ for code in codes):
        return smtplib.SMTP.data.__code__ in codes
    if isinstance(error, smtplib.SMTPServerDisconnected | JSONDecodeError):  # the latter is about an answer
        return True
    return not isinstance(error, (*_BUILDING, smtplib.SMTPException))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it was raised because of."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _by_number(number: int) -> Verdict:
    if number == CLOSING:
        return Verdict.AWAY
    return Verdict.REFUSED if number >= 500 else Verdict.FAILED


def _code(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _smtp_code(error.smtp_code, error.smtp_error)
    return type(error).__name__[:40]


def _smtp_code(number: int, text: bytes | str) -> str:
    said = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    enhanced = _ENHANCED.match(said)
    return f"smtp-{number} {enhanced.group()}" if enhanced else f"smtp-{number}"
