"""Plans brought to a stand-in without the engine, for tests of one backend: what the engine would do with them, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from wagtail_prefs.backends.base import Backend
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ChangeBatch,
    ContactState,
    Effect,
    Identifiers,
    Operation,
    Pause,
    Result,
    Target,
)

HER = UUID("0192a3b4-c5d6-7e8f-9012-3456789abcde")
AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EMAIL = "reader@mail.example.org"


def somebody(email: str = EMAIL, *, contact: UUID = HER, retired: Sequence[str] = (), **state: Any) -> Target:
    """A target; `state` as `ContactState` has it. Without `versions` all that it holds is of its `version`."""
    held = ContactState(id=contact, audience="brand", **{"version": 1, **state})
    if not held.versions:
        paths = [
            *(f"choice:{topic}:{channel}" for topic, channel in held.choices),
            *(f"frequency:{(topic and f'topic:{topic}') or 'all'}" for topic, _channel in held.frequencies),
            *(f"pause:{(topic and f'topic:{topic}') or 'all'}" for topic, _channel in held.pauses),
            *(f"attribute:{name}" for name in held.attributes),
            *(["opted_out"] if held.opted_out else []),
        ]
        held = replace(held, versions=dict.fromkeys(paths, held.version))
    return Target(
        held,
        Identifiers(email=email),
        retired=tuple(Identifiers(email=former) for former in retired),
        paused=frozenset(held.pauses),
    )


def pause(year: int = 2027, month: int = 3, day: int = 3) -> Pause:
    return Pause(datetime(year, month, day, tzinfo=UTC))


def submission(version: int, *effects: Effect) -> ChangeBatch:
    """A batch of `since`: what became of what in that version."""
    return ChangeBatch(UUID(int=version), version, AT, Actor(ActorType.SUBJECT_SESSION), (), tuple(effects))


def just_now(version: int, *effects: Effect) -> ChangeBatch:
    """The same of this moment: a yes that is older is looked up before it is written."""
    return replace(submission(version, *effects), at=timezone.now())


def said_yes(topic: str, channel: str = "email") -> Effect:
    return Effect(f"choice:{topic}:{channel}", None, SUBSCRIBED, "given", topic, channel)


def said_no(topic: str, channel: str = "email") -> Effect:
    return Effect(f"choice:{topic}:{channel}", SUBSCRIBED, UNSUBSCRIBED, "withdrawn", topic, channel)


def left_all() -> Effect:
    return Effect("opted_out", False, True, "withdrawn")


def bring(backend: Backend, target: Target, *since: ChangeBatch) -> dict[str, Result]:
    """Plan and say it; {kind: result}. Without `since` all is brought over once more."""
    return say(backend, backend.plan(target, since))


def say(backend: Backend, operations: Sequence[Operation]) -> dict[str, Result]:
    """Say operations of one person, those first that restrict."""
    return {
        operation.kind: backend.execute([operation])[0]
        for operation in sorted(operations, key=lambda operation: not operation.restricts)
    }
