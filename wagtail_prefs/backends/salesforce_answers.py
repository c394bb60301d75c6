"""What Salesforce says: errors of a call and of a record, moments, and texts as SOQL has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from ..values import Json, Outcome
from .answers import Answer, Verdict, word
from .base import PlatformError

INDIVIDUAL, POINT = "Individual", "ContactPointEmail"
CONSENT, CHANNEL = "CommSubscriptionConsent", "ContactPointTypeConsent"
#: In the order in which they are deleted: what refers to something goes before it.
OBJECTS = (CONSENT, CHANNEL, POINT, INDIVIDUAL)
#: A record's id, and what we know a person by.
ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?")
PERSON = re.compile(r"[0-9a-f]{40}")
#: Errors of a record after which the same may go well: by itself, or when somebody has mended the org.
AGAIN = {
    "duplicate_value",  # two of us made the same record
    "insufficient_access_on_cross_reference_entity",
    "insufficient_access_or_readonly",
    "query_timeout",
    "request_running_too_long",
    "server_unavailable",
    "storage_limit_exceeded",
    "unable_to_lock_row",
    "unknown_exception",
}
LIMIT = "request_limit_exceeded"
#: An end of what is written as the source of a no that stands for nothing but an address that was refused.
MOVED = " moved"


def records_of(answer: Answer) -> list[Json]:
    """The records that a question found."""
    said = answer.json()
    records = said.get("records") if isinstance(said, dict) else None
    if not isinstance(records, list):
        raise PlatformError(Outcome.RETRY, "unexpected-answer")
    return [record for record in records if isinstance(record, dict)]


def verdict_of(said: Any) -> Verdict:
    """What a call says of one record."""
    if not isinstance(said, dict) or not isinstance(said.get("success"), bool):
        return Verdict(Outcome.RETRY, "unexpected-answer")
    if said["success"]:
        return Verdict()
    errors = said.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code = word(first.get("statusCode")) or "refused"
    return Verdict(Outcome.RETRY if code in AGAIN else Outcome.REFUSED, code)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    said = list(verdicts)
    for outcome in (Outcome.RETRY, Outcome.REFUSED):
        for verdict in said:
            if verdict.outcome is outcome:
                return verdict
    return Verdict()


def code_of(answer: Answer) -> str:
    """The code of an error: `[{"message", "errorCode"}]`. The message may hold anything."""
    return word(_error_of(answer).get("errorCode"))


def is_crowd(answer: Answer) -> bool:
    """Whether a limit is the one of long calls at the same time, which ends in seconds, and not the one of a day."""
    return code_of(answer) == LIMIT and "concurrent" in str(_error_of(answer).get("message")).lower()


def _error_of(answer: Answer) -> Json:
    try:
        said = answer.json()
    except PlatformError:
        return {}
    first = said[0] if isinstance(said, list) and said else {}
    return first if isinstance(first, dict) else {}


def is_block(source: object) -> bool:
    """Whether a no is ours, and stands only because an address of hers was refused."""
    return isinstance(source, str) and source.startswith("prefs:") and source.endswith(MOVED)


def quoted(text: str) -> str:
    """A text as it stands between quotes in SOQL."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def listed(keys: Sequence[str]) -> str:
    """Texts as SOQL has a list of them."""
    return ", ".join(f"'{quoted(key)}'" for key in keys)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
