"""A platform in memory, for a site's own tests: what it was told can be looked at, and it fails when it is asked to.

    from wagtail_prefs.backends import memory

    store = memory.store("crm")
    store.fail(Outcome.RATE_LIMITED, retry_after=30)

One store per alias and process; all threads see the same. Docs: docs/reference/memory-backend.md.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from uuid import UUID

from ..values import (
    ChangeBatch,
    Identifiers,
    Json,
    Operation,
    Outcome,
    ReadBack,
    RemoteState,
    Result,
    Target,
)
from .base import Backend, Option, PlatformError, declared
from .desired import KEEPS_ALL, remote_state, whole_state

#: For as long as nobody calls `mend` or `clear`.
ALWAYS = None


@dataclass(slots=True)
class _Failure:
    """What goes wrong, for whom, and how many calls long."""

    outcome: Outcome | None = None
    code: str = ""
    retry_after: float | None = None
    error: BaseException | None = None
    takes: bool = False  # what is answered this way has been done all the same
    kind: str | None = None
    contact: UUID | None = None
    times: int | None = 1

    def hits(self, kind: str, contact: UUID | None) -> bool:
        return self.kind in (None, kind) and self.contact in (None, contact)


class Store:
    """What stands on the other side of the wire.

    `contacts` is {contact id: desired state}, as `docs/reference/webhook.md` describes it; `operations` is what was
    accepted, in order; `calls` is every call with its operations, also of those that failed; `erased` is whom it was
    asked to forget.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.contacts: dict[str, Json] = {}
        self.operations: list[Operation] = []
        self.calls: list[list[Operation]] = []
        self.erased: list[Identifiers] = []
        self._failures: list[_Failure] = []

    def clear(self) -> None:
        """Forget everything, also what was to fail."""
        with self._lock:
            for kept in (self.contacts, self.operations, self.calls, self.erased, self._failures):
                kept.clear()

    def mend(self) -> None:
        """Fail no more."""
        with self._lock:
            self._failures.clear()

    def fail(
        self,
        outcome: Outcome,
        times: int | None = 1,
        *,
        kind: str | None = None,
        contact: UUID | None = None,
        retry_after: float | None = None,
        code: str = "",
    ) -> None:
        """Answer the next `times` calls with this outcome, and do nothing; `times=ALWAYS` until `mend()`.

        Only for operations of a `kind` ("write", "read", "erase"), or of one `contact`: the others of the call are done.
        """
        code = code or f"told-to-{outcome.value}"
        self._add(_Failure(outcome, code, retry_after, kind=kind, contact=contact, times=times))

    def raise_(self, error: BaseException, times: int | None = 1, *, kind: str | None = None) -> None:
        """Raise this in the next calls, as a backend with a mistake in it does."""
        self._add(_Failure(error=error, kind=kind, times=times))

    def lose_answers(self, times: int | None = 1, *, kind: str | None = None) -> None:
        """Do what the next calls ask for, and let their answers get lost on the way."""
        self._add(_Failure(Outcome.RETRY, "timeout", takes=True, kind=kind, times=times))

    def _add(self, failure: _Failure) -> None:
        with self._lock:
            self._failures.append(failure)

    # --- for the backend ---------------------------------------------------------------------------------------------

    def take(self, batch: Sequence[Operation]) -> list[Result]:
        with self._lock:
            self.calls.append(list(batch))
            failure = self._next([(operation.kind, operation.contact) for operation in batch])
            return [self._take(operation, failure) for operation in batch]

    def forget(self, identifiers: Identifiers, contact: str, key: str) -> Result:
        with self._lock:
            failure = self._next([("erase", None)])
            if failure is None or failure.takes:
                self.erased.append(identifiers)
                for known in [
                    known for known, state in self.contacts.items() if _is(state, identifiers, contact)
                ]:
                    del self.contacts[known]
            if failure is None or failure.outcome is None:
                return Result(key, Outcome.DONE)
            return Result(key, failure.outcome, failure.code, failure.retry_after)

    def look_up(self, contact: UUID) -> Json | None:
        with self._lock:
            failure = self._next([("read", contact)])
            if failure is not None and failure.outcome is not None:
                raise PlatformError(failure.outcome, failure.code, failure.retry_after)
            return copy.deepcopy(self.contacts.get(str(contact)))

    def _next(self, items: Sequence[tuple[str, UUID | None]]) -> _Failure | None:
        """The failure that this call is to have, used up by one; raises if it is an exception."""
        for failure in self._failures:
            if any(failure.hits(kind, contact) for kind, contact in items):
                if failure.times is not None:
                    failure.times -= 1
                    if failure.times <= 0:
                        self._failures.remove(failure)
                if failure.error is not None:
                    raise failure.error
                return failure
        return None

    def _take(self, operation: Operation, failure: _Failure | None) -> Result:
        failed = failure is not None and failure.hits(operation.kind, operation.contact)
        if failure is None or not failed or failure.takes:
            self.operations.append(operation)
            held = self.contacts.get(str(operation.contact))
            if held is None or held["version"] <= operation.version:
                self.contacts[str(operation.contact)] = copy.deepcopy(operation.payload)
        if failure is None or not failed or failure.outcome is None:
            return Result(operation.key, Outcome.DONE, remote_id=str(operation.contact))
        return Result(operation.key, failure.outcome, failure.code, failure.retry_after)


_stores: dict[str, Store] = {}


def store(alias: str) -> Store:
    """What stands behind the backend of this alias."""
    return _stores.setdefault(alias, Store())


def outbox(alias: str) -> list[Operation]:
    """What the backend of this alias was told and took, in order, like Django's `mail.outbox`."""
    return store(alias).operations


def clear() -> None:
    """Empty all stores: for a fixture, before each test."""
    for each in list(_stores.values()):
        each.clear()


class MemoryBackend(Backend):
    """Keeps the desired state of each contact in a dictionary. Idempotent; ignores older versions."""

    capabilities = replace(KEEPS_ALL, batch_size=100, ordering=True, read_back=ReadBack.STRONG, erases=True)
    known_options: ClassVar[Mapping[str, Option]] = {
        "ENFORCES": Option((list, tuple), "what your code obeys when it sends", default=()),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.capabilities = declared(self.capabilities, self.options["ENFORCES"])

    @property
    def store(self) -> Store:
        return store(self.alias)

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        return whole_state(self, target, since)

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        return self.store.take(batch)

    def read(self, contact: Target) -> RemoteState | None:
        held = self.store.look_up(contact.state.id)
        return None if held is None else remote_state(held)

    def erase(self, identifiers: Identifiers) -> Result:
        known = identifiers.remote.get(self.alias, "")
        return self.store.forget(identifiers, known, self.operation_key(UUID(int=0), 0, "erase"))


def _is(state: Json, identifiers: Identifiers, contact: str) -> bool:
    """Whether these identifiers mean this person: by the id that is ours alone, else by what else is known of her."""
    ids = state["contact"]
    if contact:
        return bool(ids["id"] == contact)
    if identifiers.external_id:
        return bool(ids.get("external_id") == identifiers.external_id)
    return bool(identifiers.email) and ids.get("email") == identifiers.email
