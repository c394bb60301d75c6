"""A platform that tells us of things: what it says is JSON, signed with a word in a header."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.http import HttpRequest

from tests.delivery.crm import CRMS, Crm, CrmBackend
from wagtail_prefs.backends.base import BadInbound, Option, PlatformError
from wagtail_prefs.changes import changes_from_json
from wagtail_prefs.values import (
    Capabilities,
    Evidence,
    Identifiers,
    Inbound,
    InboundEvent,
    Polled,
    ReadBack,
    RemoteState,
    Target,
)

SECRETS = ["the-newest-of-two-secrets-22", "the-older-of-two-secrets-022"]
SIGNATURE = "signed"
PATH = "tests.sync.platform.Platform"
PLATFORMS: dict[str, Told] = {}


@dataclass
class Told:
    """What stands on the other side: what it answers when it is asked, and how it fails."""

    crash: Exception | None = None
    #: What `read` answers; an exception is raised, a function is called with the target.
    reads: Any = None
    read: list[Target] = field(default_factory=list)
    #: What the next polls answer.
    pages: deque[Polled | Exception] = field(default_factory=deque)
    cursors: list[str] = field(default_factory=list)
    during: Callable[[], None] | None = None


class Platform(CrmBackend):
    known_options: ClassVar[Any] = {
        **CrmBackend.known_options,
        "CAPABILITIES": Option(dict, "what it can do", default={}),
        "BROKEN": Option(bool, "whether it cannot be made", default=False),
    }

    def __init__(self, alias: str, options: Any = None) -> None:
        super().__init__(alias, options)
        if self.options["BROKEN"]:
            raise ValueError("a secret of the settings")
        CRMS.setdefault(alias, Crm())
        self.capabilities = Capabilities(**{"inbound": Inbound.SIGNED, **self.options["CAPABILITIES"]})

    @property
    def told(self) -> Told:
        return PLATFORMS.setdefault(self.alias, Told())

    def parse_inbound(self, request: HttpRequest) -> list[InboundEvent]:
        if self.told.crash is not None:
            raise self.told.crash
        if request.headers.get("X-Signature") != SIGNATURE:
            raise BadInbound("signature")
        return [event_of(data) for data in json.loads(request.body)]

    def read(self, contact: Target) -> RemoteState | None:
        told = self.told
        told.read.append(contact)
        if told.during is not None:
            told.during()
        if isinstance(told.reads, Exception):
            raise told.reads
        found: RemoteState | None = told.reads(contact) if callable(told.reads) else told.reads
        return found


class Polling(Platform):
    def __init__(self, alias: str, options: Any = None) -> None:
        super().__init__(alias, options)
        self.capabilities = Capabilities(inbound=Inbound.POLL)

    def poll(self, cursor: str) -> Polled:
        self.told.cursors.append(cursor)
        if self.told.during is not None:
            self.told.during()
        page = self.told.pages.popleft() if self.told.pages else Polled((), cursor)
        if isinstance(page, Exception):
            raise page
        return page


def event_of(data: dict[str, Any]) -> InboundEvent:
    evidence = data.get("evidence")
    return InboundEvent(
        event_id=data["id"],
        identifiers=Identifiers(**{"email": data.get("email", ""), **data.get("who", {})}),
        changes=changes_from_json(data.get("changes", ())),
        at=datetime.fromisoformat(data["at"]) if data.get("at") else None,
        evidence=Evidence(evidence[0], datetime.fromisoformat(evidence[1])) if evidence else None,
        dead=data.get("dead", False),
    )


__all__ = [
    "PLATFORMS",
    "SECRETS",
    "SIGNATURE",
    "Platform",
    "PlatformError",
    "Polling",
    "ReadBack",
    "Told",
    "event_of",
]  # fmt: skip
