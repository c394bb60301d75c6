"""A platform that believes whatever it is told last, and tells us of everything: the hardest kind to keep right."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone

from wagtail_prefs.backends.base import Backend, Option, PlatformError, restricts
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.changes import Change, OptOut, SetChoice
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    ChangeBatch,
    Identifiers,
    Inbound,
    InboundEvent,
    Json,
    Operation,
    Outcome,
    ReadBack,
    RemoteState,
    Result,
    Support,
    Target,
)


class Died(BaseException):
    """A worker in a test is gone, in the middle of a call."""


class Platform:
    """What stands on the other side of the wire."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.reset()

    def reset(self) -> None:
        self.contacts: dict[UUID, Json] = {}
        self.events: list[InboundEvent] = []  # that it has not told us yet
        self.away = False
        self.loses_answers = 0
        #: Called once at the start of the next call that is answered, and at its end.
        self.first: Callable[[], None] | None = None
        self.last: Callable[[], None] | None = None
        self.wrong: list[str] = []
        self._number = 0

    def take(self, operations: Sequence[Operation]) -> list[Result]:
        for operation in operations:
            self._judge(operation)
        if self.away:
            return [Result(operation.key, Outcome.RETRY, "http-503") for operation in operations]
        first, last, self.first, self.last = self.first, self.last, None, None
        if first:
            first()
        for operation in operations:
            self.contacts[operation.contact] = copy.deepcopy(operation.payload)
            self._tell_of(operation)
        if last:
            last()
        if self.loses_answers:
            self.loses_answers -= 1
            return [Result(operation.key, Outcome.RETRY, "timeout") for operation in operations]
        return [
            Result(operation.key, Outcome.DONE, remote_id=str(operation.contact)) for operation in operations
        ]

    def _judge(self, operation: Operation) -> None:
        """No yes is said of a path whose newest word here, at this moment, is a no."""
        today = load_state(operation.contact)
        for topic, channels in operation.payload["choices"].items():
            for channel, value in channels.items():
                if value == SUBSCRIBED and today.choices.get((topic, channel)) != SUBSCRIBED:
                    self.wrong.append(f"{topic} by {operation.key}")
        if today.opted_out and not operation.payload["opted_out"]:
            self.wrong.append(f"an opt-out by {operation.key}")

    def _tell_of(self, operation: Operation) -> None:
        """What we told it comes back to us, some time."""
        if operation.payload["opted_out"]:
            self._event(operation.contact, OptOut())
        for topic, channels in operation.payload["choices"].items():
            for channel, value in channels.items():
                if value == UNSUBSCRIBED:
                    self._event(operation.contact, SetChoice(topic, channel, UNSUBSCRIBED))

    def leaves(self, contact: UUID, topic: str) -> bool:
        """She unsubscribes there; whether there was something to leave."""
        choices = self.contacts.get(contact, {}).get("choices", {})
        if choices.get(topic, {}).get("email") != SUBSCRIBED:
            return False
        choices[topic]["email"] = UNSUBSCRIBED
        self._event(contact, SetChoice(topic, "email", UNSUBSCRIBED))
        return True

    def _event(self, contact: UUID, change: Change) -> None:
        self._number += 1
        who = Identifiers(remote={self.alias: str(contact)})
        self.events.append(
            InboundEvent(f"{self.alias}-{self._number}-{contact.hex}", who, (change,), at=timezone.now())
        )


#: alias -> what is behind it
PLATFORMS: dict[str, Platform] = {}


class PlainBackend(Backend):
    """The whole state in one operation; no versions over there."""

    known_options: ClassVar[Mapping[str, Option]] = {
        "WAKES": Option(bool, "it keeps who is paused, and not until when", default=False),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.capabilities = Capabilities(
            choice=Support.STORES,
            opt_out=Support.STORES,
            frequency=Support.STORES,
            pause=Support.STORES,
            batch_size=2,
            inbound=Inbound.SIGNED,
            echoes=True,
            read_back=ReadBack.STRONG,
            wakes=self.options["WAKES"],
        )
        self.platform = PLATFORMS[alias]

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        state = target.state
        return [
            Operation(
                key=self.key(target, "state"),
                contact=state.id,
                version=state.version,
                kind="state",
                payload=wanted(target, wakes=self.capabilities.wakes),
                restricts=restricts(since),
            )
        ]

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        return self.platform.take(batch)

    def read(self, contact: Target) -> RemoteState | None:
        if self.platform.away:
            raise PlatformError(Outcome.RETRY, "http-503")
        found = self.platform.contacts.get(contact.state.id)
        if found is None:
            return None
        return RemoteState(
            opted_out=found["opted_out"],
            choices={
                (topic, channel): value
                for topic, channels in found["choices"].items()
                for channel, value in channels.items()
            },
        )


def wanted(target: Target, *, wakes: bool) -> Json:
    """What the platform is to hold of her at the target's moment."""
    state = desired_state(target)
    if wakes:
        state["pauses"] = sorted("/".join(key) for key in target.paused)
    return state
