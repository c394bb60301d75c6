"""Contacts as backends see them, made by hand."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ChangeBatch,
    ContactState,
    Effect,
    Identifiers,
    Pause,
    Target,
)

ANNA = uuid.UUID("0192a3b4-c5d6-7e8f-9012-3456789abcde")
AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def target(contact: uuid.UUID = ANNA, email: str = "anna@mail.example.org", **state: Any) -> Target:
    values: dict[str, Any] = {
        "version": 3,
        "language": "de",
        "choices": {("news", "email"): SUBSCRIBED, ("news", "sms"): UNSUBSCRIBED},
        "frequencies": {("", ""): "weekly", ("news", ""): "monthly"},
        "pauses": {("", "email"): Pause(datetime(2027, 1, 1, tzinfo=UTC))},
        **state,
    }
    return Target(
        ContactState(id=contact, audience="brand", **values), Identifiers(email=email, external_id="c-1")
    )


def batch(version: int, *effects: Effect) -> ChangeBatch:
    changes = tuple(
        OptOut() if effect.path == "opted_out" else SetChoice(effect.topic, effect.channel, effect.after)
        for effect in effects
    )
    return ChangeBatch(
        uuid.UUID(int=version), version, AT, Actor(ActorType.SUBJECT_SESSION), changes, tuple(effects)
    )


JOINED = Effect("choice:news:email", None, SUBSCRIBED, "given", "news", "email")
LEFT = Effect("choice:news:sms", SUBSCRIBED, UNSUBSCRIBED, "withdrawn", "news", "sms")
