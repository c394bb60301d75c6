"""What came back from a platform, and what it means. Loads no HTTP library: the web process may import it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from ..values import Outcome
from .base import PlatformError

#: The longest pause we let a platform ask for.
MAX_RETRY_AFTER = 86_400.0

_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_LONG_NUMBER = re.compile(r"\d{6}")


class TransportError(PlatformError):
    """No usable answer: none, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: status, headers with lower-case names, at most 64 KiB of body."""

    status: int
    # Not in its representation, which ends in tracebacks: people's addresses stand in both.
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON. Raises PlatformError for what is none: a proxy's page, half a document."""
        try:
            return json.loads(self.body, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise PlatformError(Outcome.RETRY, "not-json") from None

    @property
    def retry_after(self) -> float | None:
        """Seconds the platform asks us to wait (RFC 9110 s10.2.3: seconds or a date)."""
        return parse_retry_after(self.headers.get("retry-after"), time.time())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a platform said about one item of a call. `code` as in `Result`."""

    outcome: Outcome = Outcome.DONE
    code: str = ""
    remote_id: str = ""
    retry_after: float | None = None


def classify(answer: Answer) -> tuple[Outcome, str]:
    """What a status means where a platform says nothing else about it (crm-contracts.md s3.4)."""
    status, code = answer.status, f"http-{answer.status}"
    if 200 <= status < 300:
        return Outcome.DONE, ""
    if status == 429:
        return Outcome.RATE_LIMITED, code
    if status >= 500 or status in {408, 423, 425}:
        return Outcome.RETRY, code
    if status in {400, 409, 413, 422}:
        return Outcome.REFUSED, code
    # Redirects, wrong credentials, wrong address: right for nobody until a person mends it.
    return Outcome.MISCONFIGURED, code


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds from a Retry-After header, between 0 and a day; None when it says nothing."""
    if not value:
        return None
    seconds = _digits(value)
    if seconds is None:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError, OSError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def parse_reset(value: str | None, now: float) -> float | None:
    """Seconds from a header that says when a limit ends: so many seconds from now, or a moment since 1970 in s or ms."""
    number = _digits(value or "")
    if number is None:
        return None
    if number >= 1e12:
        number /= 1000
    if number >= 1e9:
        number -= now
    return min(max(number, 0.0), MAX_RETRY_AFTER)


def parse_moment(value: object) -> datetime | None:
    """A moment in ISO 8601 as platforms write it, in UTC, also where it does not say so; None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def word(said: object) -> str:
    """A platform's own word for an error, if it is fit to be logged and shown; "" for anything else.

    `Member In Compliance State` becomes `member-in-compliance-state`. What may hold an address, a number of a person or
    a sentence about her is left out.
    """
    if not isinstance(said, str) or len(said) > 64:
        return ""
    said = re.sub(r"\s+", "-", said.strip().lower())
    return said if _WORD.fullmatch(said) and not _LONG_NUMBER.search(said) else ""


def _digits(value: str) -> float | None:
    value = value.strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) <= 20 else None


def _no_number(_constant: str) -> NoReturn:
    raise ValueError
