"""Reading a webhook (docs/reference/webhook.md); this CRM keeps what it can show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
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
                    channels=_words(event.get("channels", {})),
                    frequencies=_words(event["frequencies"]),
                    pauses=_words(event.get("pauses", {})),
                    attributes=_told(event.get("attributes", {})),
                    updated_at=received,
                    wished_at=_moment(event.get("at")),
                )
            case "contact.erased":
                return Erased(str(who.get("id", "")), str(who.get("email", "")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadEvent from error
    raise BadEvent


def _moment(said: object) -> str:
    """When it was said, as the event spells it; raises ValueError for what is no moment."""
    if not said:
        return ""
    return datetime.fromisoformat(str(said)).isoformat()


def _told(values: dict[str, Any]) -> dict[str, str]:
    return {
        str(name): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in values.items()
    }


def _words(values: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}
