"""What the kit must be told of a backend: how it is set up, and what its platform holds, seen past the backend."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...values import Json, Key
from .faults import Faults, LocalFaults
from .proxy import FaultProxy

#: An address, too: what stands in its path is often a password.
_SECRET = re.compile("secret|token|password|key|credential|auth|url", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a platform holds of one person, in our words: read from the platform itself and not by the backend.

    `subscribed` are the topics and channels it would send, as far as her choices go; `refused` those it knows a no to,
    where it can tell that from silence. `pauses` holds a moment, or None where the platform only knows that she pauses.
    """

    subscribed: frozenset[Key] = frozenset()
    refused: frozenset[Key] = frozenset()
    opted_out: bool = False
    frequencies: Mapping[Key, str] = field(default_factory=dict)
    pauses: Mapping[Key, datetime | None] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Harness:
    """Subclass this (a backend without HTTP) or `HttpHarness`: `entry`, `seen`, `people` and `reset` are yours to write.

    The other attributes say which topics, values and addresses the tests may use; change those that your platform
    cannot have.
    """

    #: The name that the backend goes by in the tests.
    alias = "kit"
    #: Two topics on a channel that the backend's options map, ...
    topics: Sequence[Key] = (("news", "email"), ("offers", "email"))
    #: ... and one that they do not; None where all are.
    unmapped: Key | None = None
    #: What a frequency is tried with: for everything (`("", "")`), a channel or a topic; the code, and another.
    frequency: tuple[Key, str, str] = (("", ""), "weekly", "monthly")
    #: What is paused, likewise.
    pause: Key = ("", "")
    #: Attributes of each type that the platform can hold, with another value for each.
    attributes: Mapping[str, tuple[Any, Any]] = {
        "city": ("Łódź – 東京 🎈", "Zürich"),
        "children": (3, 0),
        "member": (True, False),
        "interests": (["trees", "the sea"], ["trees"]),
    }
    #: Whether a status alone is the platform's word, and the body of an answer nothing, as a webhook has it.
    trusts_status = False
    #: Addresses that must come through as they are.
    addresses: Sequence[str] = (
        "o'reader+news@mail.example.org",
        "a/b?c=d&e#f%40@mail.example.org",
        "reader@bücher.example",
        "UPPER.lower@mail.example.org",
    )

    def __init__(self) -> None:
        self.faults: Faults = LocalFaults()

    def entry(self) -> Json:
        """What stands in WAGTAIL_PREFS["BACKENDS"]: `{"BACKEND": dotted path, "OPTIONS": {...}}`."""
        raise NotImplementedError

    def wrong_entry(self) -> Json | None:
        """The same with credentials that the platform does not take; None where there are none."""
        return None

    def seen(self, email: str) -> Seen | None:
        """What the platform holds of whoever has this address; None when it knows nobody by it."""
        raise NotImplementedError

    def people(self) -> int:
        """How many people the platform knows."""
        raise NotImplementedError

    def reset(self) -> None:
        """Make the platform forget everybody."""
        raise NotImplementedError

    def refuse(self, email: str) -> None:
        """Have the platform refuse, for good, whatever it is told of this person. `accept` ends it."""
        self.faults.refuse(email)

    def accept(self) -> None:
        """Refuse nobody any more."""
        self.faults.heal()

    def secrets(self) -> Sequence[str]:
        """Texts of the options that must never come out; those whose names say so."""
        return sorted(
            {
                text
                for entry in (self.entry(), self.wrong_entry() or {})
                for text in _secrets(entry, named=False)
            }
        )

    def open(self) -> None:
        """Called before each test."""
        self.faults.open()

    def close(self) -> None:
        """Called after each test."""
        self.faults.close()


class HttpHarness(Harness):
    """For a backend that speaks HTTP to `platform`: put `self.url` into the options, in place of that address.

    Between the two stands a proxy, which lets calls go wrong and keeps them: `self.faults.calls`. Over HTTP a person is
    refused by 422 for every call about her; where your platform refuses single items of a call, override `refuse` and
    `accept` and have it do so.
    """

    def __init__(self, platform: str) -> None:
        super().__init__()
        self.proxy = FaultProxy(platform)
        self.faults = self.proxy

    @property
    def url(self) -> str:
        return self.proxy.url


def _secrets(value: Any, *, named: bool) -> list[str]:
    if isinstance(value, str):
        return [value] if named and len(value) >= 6 else []
    if isinstance(value, Mapping):
        return [
            text
            for name, item in value.items()
            for text in _secrets(item, named=named or bool(_SECRET.search(str(name))))
        ]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _secrets(item, named=named)]
    return []
