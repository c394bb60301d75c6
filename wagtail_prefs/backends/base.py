"""What a backend is: subclass `Backend`, name the class in `WAGTAIL_PREFS["BACKENDS"]`, done.

A backend never looks at our tables, never retries, never sleeps and never decides what is due: the engine does all of
that the same way for every platform. It says what a platform can do, what to tell it, and tells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from ..errors import PrefsError
from ..values import (
    Capabilities,
    ChangeBatch,
    Identifiers,
    InboundEvent,
    Key,
    Operation,
    Outcome,
    Polled,
    Problem,
    RemoteState,
    Result,
    Support,
    Target,
)

#: The concepts of `Capabilities` that a site may declare as obeyed by what stands behind a backend.
CONCEPTS = ("choice", "opt_out", "frequency", "pause", "attributes")


class Unsupported(PrefsError):
    """The platform cannot do that; its `capabilities` say so, look there first."""


class PlatformError(PrefsError):
    """No usable answer while asking. `outcome` says what to do, `code` why, in a word without address or secret."""

    def __init__(self, outcome: Outcome, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.outcome = outcome
        self.code = code
        self.retry_after = retry_after


class BadInbound(PrefsError):
    """Not from the platform, or nothing it says. `code` is for the log: one word, nothing of the request."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a backend's `OPTIONS` in the settings; `types` are checked, a default makes it optional."""

    types: type | tuple[type, ...]
    help: str
    default: Any = ...

    @property
    def required(self) -> bool:
        return self.default is ...


class Backend:
    """The adapter to one platform, made once per alias and thread.

    `plan` is pure: the same target and batches give the same operations with the same keys, so that a retry repeats
    itself. `execute` is the only method of the engine's that talks to the platform.
    """

    #: What the platform can do. An instance may narrow it after reading its options.
    capabilities: Capabilities = Capabilities()
    #: The keys of `OPTIONS` this backend knows.
    known_options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        self.alias = alias
        self.options = validated(alias, self.known_options, {} if options is None else options)

    def check(self) -> list[Problem]:
        """Ask the platform whether credentials, mapped ids and attributes are right. May talk to it."""
        return []

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        """What must be said so that the platform knows `target`; `since` is what changed after the last delivery.

        Pure: no I/O, no clock. Put what makes things stricter into operations of their own with `restricts=True`
        where the platform allows it, so that a refused attribute never holds back an opt-out.
        """
        raise NotImplementedError

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        """Say it: one HTTP call for operations of one kind, at most `capabilities.batch_size` of them.

        Returns one result per operation; the error of an item is a result, never an exception. Where the platform
        refuses the call as a whole and does not say for which item, all are `Outcome.SPLIT`: the engine halves the
        batch until it knows.
        """
        raise NotImplementedError

    def most(self, kind: str) -> int:
        """How many operations of a kind may share a call, where that is fewer than `capabilities.batch_size`."""
        return self.capabilities.batch_size

    def calls(self, batch: Sequence[Operation]) -> int:
        """How many calls `execute` makes for these at most, where `capabilities.rate` counts more than one."""
        return 1

    def read(self, contact: Target) -> RemoteState | None:
        """What the platform knows of a contact; None when it does not know her. Raises PlatformError."""
        raise Unsupported(f"{self.alias} cannot be read back")

    def parse_inbound(self, request: HttpRequest) -> list[InboundEvent]:
        """Verify a webhook of the platform on its raw bytes (`request.body`), then read it. Raises BadInbound."""
        raise Unsupported(f"{self.alias} takes no inbound events")

    def poll(self, cursor: str) -> Polled:
        """Ask the platform for what happened since `cursor` ("" the first time). Raises PlatformError."""
        raise Unsupported(f"{self.alias} is not asked for news")

    def erase(self, identifiers: Identifiers) -> Result:
        """Make the platform forget a person; whom it does not know it has forgotten (`DONE`).

        Where `capabilities.erases` is False: make sure that she gets nothing any more.
        """
        raise Unsupported(f"{self.alias} cannot erase")

    def known_as(self, contact: UUID) -> str:
        """The id over there of a contact of ours, where it is made of ours; "" where only the platform knows it.

        So she is found, and forgotten, also where no answer of the platform ever named her.
        """
        return ""

    def maps(self, topic: str, channel: str) -> bool:
        """Whether the platform hears of this topic on this channel. What is not mapped is shown to editors."""
        return channel in self.capabilities.channels

    def keeps(self, concept: str, scope: Key, topic: str, channel: str) -> bool:
        """Whether a frequency or a pause of that scope reaches whoever sends a topic on a channel from over there.

        For what an editor promises: a pause of one topic is not kept where only one of everything has a field.
        """
        return True

    def describe_field(self, concept: str, topic: str, channel: str) -> str:
        """The field over there that holds a frequency or a pause, for whoever builds a segment by it; "" where none does."""
        return ""

    def describe_topic(self, key: str) -> str:
        """Where the platform keeps a topic, in an editor's words: a list, a group, a field. "" where by its key.

        Only says what the options map; never talks to the platform.
        """
        return ""

    def key(self, target: Target, kind: str) -> str:
        """The key of an operation: the same over every retry, another for every version, for every pause that ends, and
        where the platform must be told once more.
        """
        step = f".{target.ended}" if target.ended else ""
        step += f"r{target.again}" if target.again else ""
        return self.operation_key(target.state.id, f"{target.state.version}{step}", kind)

    def operation_key(self, contact: UUID, version: int | str, kind: str) -> str:
        """A key where there is no target."""
        return f"{self.alias}-{contact.hex}-{version}-{kind}"


def restricts(since: Sequence[ChangeBatch]) -> bool:
    """Whether these changes hold a no: then the operation that carries them goes first and is never given up."""
    known: bool | None = getattr(
        since, "restricts", None
    )  # what the engine passes knows it without reading the ledger
    return any(effect.is_no for batch in since for effect in batch.effects) if known is None else known


def declared(capabilities: Capabilities, enforces: Sequence[str]) -> Capabilities:
    """Capabilities after the site declared what is obeyed behind a backend that only passes state on."""
    unknown = sorted(set(enforces) - set(CONCEPTS))
    if unknown:
        raise ImproperlyConfigured(f"ENFORCES knows {', '.join(CONCEPTS)}; not {', '.join(unknown)}.")
    support: dict[str, Any] = dict.fromkeys(enforces, Support.ENFORCES)
    return replace(capabilities, **support)


def validated(alias: str, known: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with defaults filled in. Errors name the option, never its value: it may be a secret."""
    where = f'WAGTAIL_PREFS["BACKENDS"]["{alias}"]["OPTIONS"]'
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{where} must be a dict.")
    unknown = sorted(set(given) - set(known))
    if unknown:
        expected = ", ".join(sorted(known)) or "none"
        raise ImproperlyConfigured(f"{where} has unknown keys {', '.join(unknown)}; known: {expected}.")
    options = {}
    for name, option in known.items():
        if name not in given:
            if option.required:
                raise ImproperlyConfigured(f'{where} needs "{name}": {option.help}.')
            options[name] = option.default
            continue
        value = given[name]
        wants_bool = option.types is bool
        if not isinstance(value, option.types) or (isinstance(value, bool) and not wants_bool):
            raise ImproperlyConfigured(f'{where}["{name}"] has the wrong type: {option.help}.')
        options[name] = value
    return options
