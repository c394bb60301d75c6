"""What Salesforce says: errors of a call and of a record, moments, and texts as SOQL has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
#: Errors of a record after which the same may go well.
AGAIN = {"unable_to_lock_row", "server_unavailable", "query_timeout"}


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


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    for outcome in (Outcome.RETRY, Outcome.REFUSED):
        for verdict in verdicts:
            if verdict.outcome is outcome:
                return verdict
    return Verdict()


def code_of(answer: Answer) -> str:
    """The code of an error: `[{"message", "errorCode"}]`. The message may hold anything."""
    try:
        said = answer.json()
    except PlatformError:
        return ""
    first = said[0] if isinstance(said, list) and said else {}
    return word(first.get("errorCode")) if isinstance(first, dict) else ""


def quoted(text: str) -> str:
    """A text as it stands between quotes in SOQL."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def moment_of(value: object) -> datetime | None:
    """`2026-11-22T09:30:00.000+0000`, as Salesforce writes it."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", value))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
