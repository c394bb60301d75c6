"""Reading a webhook (docs/reference/webhook.md); this CRM keeps what it can show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .store import Contact


class BadEvent(Exception):
    """Signed by the right sender, but nothing this CRM understands."""


@dataclass(frozen=True, slots=True)
class Erased:
    """Forget this person; "" where the sender does not know."""

    id: str
    email: str


def read(body: bytes, received: str) -> Contact | Erased:
    """What an event says. Raises BadEvent."""
    try:
        event = json.loads(body)
        who = event["contact"]
        match event["type"]:
            case "contact.preferences":
                return Contact(
                    id=str(who["id"]),
                    version=int(event["version"]),
                    email=str(who.get("email", "")),
                    language=str(who.get("language", "")),
                    opted_out=event["opted_out"] is True,
                    choices={str(topic): _words(channels) for topic, channels in event["choices"].items()},
                    frequencies=_words(event["frequencies"]),
                    updated_at=received,
                )
            case "contact.erased":
                return Erased(str(who.get("id", "")), str(who.get("email", "")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadEvent from error
    raise BadEvent


def _words(values: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}
