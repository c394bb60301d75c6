"""What platforms hold that keep the desired state as it was told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from wagtail_prefs.backends.testing import Seen
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, scope_to_key


def of(email: str, states: Iterable[dict[str, Any]]) -> Seen | None:
    """What is held of whoever has this address, in docs/reference/webhook.md's words."""
    held = next((state for state in states if state["contact"].get("email") == email), None)
    if held is None:
        return None
    said = {
        (topic, channel): value
        for topic, channels in held["choices"].items()
        for channel, value in channels.items()
    }
    return Seen(
        frozenset(key for key, value in said.items() if value == SUBSCRIBED and not held["opted_out"]),
        frozenset(key for key, value in said.items() if value == UNSUBSCRIBED),
        held["opted_out"],
        {scope_to_key(scope): code for scope, code in held["frequencies"].items()},
        {scope_to_key(scope): datetime.fromisoformat(end) for scope, end in held["pauses"].items()},
        held["attributes"],
    )
