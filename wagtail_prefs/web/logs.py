"""Keeps links, codes, keys and addresses out of logs (security.md TK-11): docs/reference/logs.md.

`install` is what the setting REDACT_LOGS does: every record of every logger is redacted when it is made, so that no
handler, formatter or error tracker sees another. `RedactTokens` does it for one handler, and `redact` for payloads.
"""

from __future__ import annotations

import copy
import logging
import re
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from ..conf import conf

REDACTED = "[redacted]"

#: Loggers of what handles our requests, and so our visitors' addresses. Addresses in a site's own logs are the site's.
WITHOUT_ADDRESSES = frozenset(
    {
        "wagtail_prefs",
        *("django", "django_tasks", "wagtail", "rest_framework", "psycopg", "py", "asyncio", "urllib3", "requests"),
        *("gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress"),
    }
)  # fmt: skip

_DOT = r"(?:\.|%(?:25)*2[Ee])"
_AT = r"(?:@|%(?:25)*40)"
_SAFE = r"[A-Za-z0-9_-]"
#: A letter, as a URL or a program may write it: percent-encoded, or escaped.
_LETTER = r"[\w-]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}"

_TOKENS = (
    # what follows l/ u/ c/ r/ w/ p/ in a path, forged and cut off ones too
    (re.compile(r"(?<=/)([lucrwp]/)[^/\s\"'?#<>]{8,}"), rf"\1{REDACTED}"),
    (re.compile(r"(?<=/)(inbound/[^/\s\"'?#<>]+/)[^/\s\"'?#<>]+"), rf"\1{REDACTED}"),
    # the code in a redirect's fragment
    (re.compile(r"((?:[#&?]|%23|%26|%3[Ff])pc(?:=|%3[Dd]))[^&\s\"'<>]+"), rf"\1{REDACTED}"),
    # an API key, but for its public part
    (re.compile(r"(wpk_[0-9A-Za-z]{12}_)[0-9A-Za-z]+"), rf"\1{REDACTED}"),
    (re.compile(r"(wpk_)(?![0-9A-Za-z]{12}_\[)\w{8,}"), rf"\1{REDACTED}"),
    # tokens, codes and sessions wherever else they stand, in a header or a traceback
    (
        re.compile(
            rf"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-F]{{2}})|(?<=%25[0-9A-F]{{2}}))[a-z]\d{_DOT}{_SAFE}{{1,16}}{_DOT}{_SAFE}{{2,}}{_DOT}{_SAFE}{{20,}}"
        ),
        REDACTED,
    ),
)  # fmt: skip
#: One of these stands in whatever one of the rules is about. To look for them costs next to nothing.
_SIGNS_OF_TOKENS = ("/l/", "/u/", "/c/", "/r/", "/w/", "/p/", "/inbound/", "pc=", "pc%3", "wpk_", "1.", "1%2")
#: An address is looked for at its @, so that long texts take no longer than they are long.
_FOUND_AT = re.compile(_AT)
_LOCAL = re.compile(
    r"(?:\\?\"[^\"\n]{1,64}\""  # "anna smith"@
    rf"|(?:{_LETTER}|[.!#$*+^`~{{|}}])(?:{_LETTER}|[.!#$*+^`~{{|}}'/])*+)\Z"
)
_LAST_OF_LOCAL = re.compile(r"[^\s@<>()\[\],;:\"\\]")  # where it ends like a path or a query
_DOMAIN = re.compile(rf"(?:{_LETTER})+(?:{_DOT}(?:{_LETTER})+)+|localhost\b|\[[0-9A-Fa-f.:IPv]+\]")
#: 64 characters at most, each percent-encoded.
_LONGEST_LOCAL = 192
_SIGNS_OF_ADDRESSES = ("@", "%40", "%2540")


def redact(value: Any, *, addresses: bool = True) -> Any:
    """The value without tokens, codes, keys and addresses; dicts, lists and tuples are gone through and copied."""
    if isinstance(value, str):
        return _redact_text(value, addresses)
    if isinstance(value, bytes):
        return _redact_text(value.decode("utf-8", "replace"), addresses).encode()
    if isinstance(value, Mapping):
        return {
            redact(name, addresses=addresses): redact(item, addresses=addresses)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [redact(item, addresses=addresses) for item in value]
    if isinstance(value, tuple):
        return tuple(redact(item, addresses=addresses) for item in value)
    return value


def _redact_text(text: str, addresses: bool) -> str:
    for sign in _SIGNS_OF_TOKENS:
        if sign in text:
            for pattern, instead in _TOKENS:
                text = pattern.sub(instead, text)
            break
    if addresses:
        for sign in _SIGNS_OF_ADDRESSES:
            if sign in text:
                return _without_addresses(text)
    return text


def _without_addresses(text: str) -> str:
    parts, done = [], 0
    for at in _FOUND_AT.finditer(text):
        if at.start() < done:
            continue
        domain = _DOMAIN.match(text, at.end())
        if not domain:
            continue
        local = _LOCAL.search(text, max(done, at.start() - _LONGEST_LOCAL), at.start())
        local = local or _LAST_OF_LOCAL.match(text, max(done, at.start() - 1), at.start())
        if local:
            parts += [text[done : local.start()], REDACTED]
            done = domain.end()
    return "".join([*parts, text[done:]])


def install() -> None:
    """Redact every record from now on. Whatever makes records now goes on making them; doing it again changes nothing."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def make_redacted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        addresses = _takes_addresses(record.name)
        _clean(record, addresses)
        # What a caller adds as `extra` is put in here afterwards.
        record.__dict__ = _Attributes(record.__dict__, addresses)
        return record

    make_redacted.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_redacted)


def install_if_wanted() -> None:
    """`install`, but where REDACT_LOGS says no."""
    try:
        wanted = conf.redact_logs
    except ImproperlyConfigured:
        wanted = True  # a check says what is wrong with the settings
    if wanted:
        install()


class RedactTokens(logging.Filter):
    """Rewrites records before they are formatted, addresses of every logger included; drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        _clean(record, addresses=True)
        for name, value in vars(record).items():
            if name not in _STANDARD:
                vars(record)[name] = _extra(value, addresses=True)
        return True


#: What a record has by itself.
_STANDARD = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "taskName", "message", "asctime"}
)


class _Attributes(dict[str, Any]):
    """The attributes of a record: what is added to them is redacted."""

    def __init__(self, attributes: Mapping[str, Any], addresses: bool) -> None:
        super().__init__(attributes)
        self._addresses = addresses

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # elsewhere it is read, and nothing is added

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, _extra(value, self._addresses))


def _takes_addresses(name: str | None) -> bool:
    return bool(name) and str(name).partition(".")[0] in WITHOUT_ADDRESSES


def _clean(record: logging.LogRecord, addresses: bool) -> None:
    message = _message(record)
    if isinstance(record.args, Mapping):  # it may hold more than the message shows
        _clean_arguments(record, addresses)
    if message is None or _redact_text(message, addresses) != message:
        _clean_arguments(record, addresses)
        if isinstance(record.msg, str | bytes):
            record.msg = redact(record.msg, addresses=addresses)
        # What is only seen when both are put together: a path that stands in the message, a token in an argument.
        message = _message(record)
        if message is not None and (safe := _redact_text(message, addresses)) != message:
            record.msg, record.args = safe, ()
    if record.exc_info and record.exc_info[1]:
        _clean_exception(record, addresses)
    if record.exc_text:
        record.exc_text = _redact_text(record.exc_text, addresses)
    if record.stack_info:
        record.stack_info = _redact_text(record.stack_info, addresses)


def _message(record: logging.LogRecord) -> str | None:
    """None where it cannot be put together: the handler will complain, and print its parts."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - logging never stops a program
        return None


def _clean_arguments(record: logging.LogRecord, addresses: bool) -> None:
    if isinstance(record.args, Mapping):
        # gunicorn's atoms answer for names they do not have, so the mapping must stay the kind it is.
        atoms = copy.copy(record.args) if isinstance(record.args, dict) else dict(record.args)
        atoms.update({name: redact(item, addresses=addresses) for name, item in record.args.items()})
        record.args = atoms
    elif record.args:
        # As many as they were: uvicorn's formatter counts on it.
        record.args = tuple(_plain(item, addresses) for item in record.args)


def _plain(item: Any, addresses: bool) -> Any:
    """Numbers stay, for %d; anything else is formatted now, while it can still be redacted."""
    if item is None or isinstance(item, bool | int | float):
        return item
    if isinstance(item, str | bytes | Mapping | list | tuple):
        return redact(item, addresses=addresses)
    try:
        text = str(item)
    except Exception:  # noqa: BLE001 - logging never stops a program
        return REDACTED
    safe = _redact_text(text, addresses)
    return item if safe == text else safe


def _extra(value: Any, addresses: bool) -> Any:
    if isinstance(value, HttpRequest):
        return _request(value, addresses)
    return redact(value, addresses=addresses)


def _request(request: HttpRequest, addresses: bool) -> HttpRequest:
    """The request, or a copy for whoever reports errors: django's mails to ADMINS tell path, headers and form."""
    if _redact_text(request.path, addresses) == request.path and "HTTP_AUTHORIZATION" not in request.META:
        return request
    clean = copy.copy(request)
    clean.path = _redact_text(request.path, addresses)
    clean.path_info = _redact_text(request.path_info, addresses)
    clean.META = {
        name: REDACTED if name == "HTTP_AUTHORIZATION" else redact(value, addresses=addresses)
        for name, value in request.META.items()
    }
    clean.resolver_match = None
    clean.sensitive_post_parameters = "__ALL__"  # type: ignore[attr-defined]
    if hasattr(clean, "environ"):
        clean.environ = clean.META
    return clean


def _clean_exception(record: logging.LogRecord, addresses: bool) -> None:
    """Where an exception tells too much, another stands in for it: not every formatter, and no tracker, takes a text."""
    text = "".join(traceback.format_exception(*record.exc_info)).rstrip()  # type: ignore[misc]
    safe = _redact_text(text, addresses)
    if safe == text:
        return
    record.exc_text = (
        safe  # a formatter takes it where it stands, and formats the exception where it does not
    )
    error = record.exc_info[1]  # type: ignore[index]
    assert error is not None  # noqa: S101
    stand_in = _stand_in(error, addresses, {})
    record.exc_info = (type(stand_in), stand_in, _traceback(record))


def _traceback(record: logging.LogRecord) -> TracebackType | None:
    return record.exc_info[2] if record.exc_info else None


def _stand_in(error: BaseException, addresses: bool, known: dict[int, BaseException]) -> BaseException:
    """An exception of the same name and kind that says the same without what is nobody's business, and so its causes."""
    if id(error) in known:
        return known[id(error)]
    kind = type(error)
    try:
        said = _redact_text(str(error), addresses)
    except Exception:  # noqa: BLE001 - logging never stops a program
        said = REDACTED
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__str__": lambda _self: said}
    try:
        made: type[BaseException] = type(kind.__name__, (kind,), names)
        found = made.__new__(made)
    except Exception:  # noqa: BLE001 - a kind that wants more: a group of exceptions
        found = type(kind.__name__, (Exception,), names)()
    known[id(error)] = found
    found.args = (said,)
    found.__traceback__ = error.__traceback__
    for cause in ("__cause__", "__context__"):
        earlier = getattr(error, cause)
        setattr(found, cause, earlier and _stand_in(earlier, addresses, known))
    found.__suppress_context__ = error.__suppress_context__
    notes = getattr(error, "__notes__", ())
    for note in notes:
        found.add_note(_redact_text(str(note), addresses))
    return found
