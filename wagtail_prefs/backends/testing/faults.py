"""What can go wrong between us and a platform, at will: `Faults`, and how it is done without a wire between."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ...values import Json, Operation, Outcome, Result

#: How a call goes wrong. `dropped` is before the platform heard of it, `lost` after it has done it: the answer is.
Kind = Literal["away", "slow_down", "dropped", "lost", "garbled", "delayed"]
Execute = Callable[[Sequence[Operation]], list[Result]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the next calls; `times` is how many, None for all until `heal`."""

    kind: Kind
    times: int | None = None
    seconds: float = 0.0
    status: int = 503
    done: bool = True  # the platform hears of it all the same


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it passed by. Over HTTP with method, path, body and the status that was answered (0: none at all)."""

    fault: Kind | None = None
    method: str = ""
    path: str = ""
    headers: Json = field(default_factory=dict)
    body: bytes = b""
    status: int = 0


class Faults:
    """Base of both kinds. One fault at a time; calls are counted and kept, whatever happened to them. Thread-safe."""

    #: Whether there are answers whose bytes can be spoilt.
    has_answers = False

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._fault: Fault | None = None
        self._refused: set[str] = set()
        self._lock = threading.Lock()

    def away(self, times: int | None = None, status: int = 503) -> None:
        """The platform is down: 503, or another status."""
        self._set(Fault("away", times, status=status))

    def slow_down(self, seconds: float, times: int | None = None) -> None:
        """Too many calls: 429 with Retry-After."""
        self._set(Fault("slow_down", times, seconds))

    def drop(self, times: int | None = 1) -> None:
        """The connection breaks before the platform hears of the call."""
        self._set(Fault("dropped", times))

    def lose(self, times: int | None = 1) -> None:
        """The platform does it, and its answer is lost: what a worker sees that dies between sending and recording."""
        self._set(Fault("lost", times))

    def garble(self, times: int | None = 1, *, done: bool = True) -> None:
        """What comes back is 200 with a page of somebody else's; `done` says whether the platform heard of the call."""
        self._set(Fault("garbled", times, done=done))

    def delay(self, seconds: float, times: int | None = 1) -> None:
        """The platform takes its time; `heal` ends it at once."""
        self._set(Fault("delayed", times, seconds))

    def refuse(self, text: str) -> None:
        """Refuse for good every call, or item of a call, that holds this text: an address."""
        with self._lock:
            self._refused.add(text)

    def heal(self) -> None:
        """All is well again."""
        with self._lock:
            self._fault = None
            self._refused.clear()

    def _set(self, fault: Fault) -> None:
        with self._lock:
            self._fault = fault

    @property
    def ahead(self) -> Fault | None:
        """What the next call meets."""
        with self._lock:
            return self._fault

    def take(self) -> Fault | None:
        """The fault of the call that begins now."""
        with self._lock:
            fault = self._fault
            if fault is not None and fault.times is not None:
                self._fault = replace(fault, times=fault.times - 1) if fault.times > 1 else None
            return fault

    def keep(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)

    def refused(self) -> set[str]:
        with self._lock:
            return set(self._refused)

    def around(self, execute: Execute) -> Execute:
        """`execute` with the faults in its way, where they do not stand on the wire."""
        return execute

    def open(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End; nothing stays open."""


class LocalFaults(Faults):
    """For a backend that makes no calls: its `execute` is what fails."""

    def around(self, execute: Execute) -> Execute:
        def faulty(batch: Sequence[Operation]) -> list[Result]:
            fault = self.take()
            kind = fault.kind if fault else None
            self.keep(Call(kind))
            if fault is not None and kind in _ANSWERS:
                outcome, code = _ANSWERS[kind]
                return [Result(each.key, outcome, code, fault.seconds or None) for each in batch]
            if kind == "dropped":
                raise ConnectionError
            refused = [each for each in batch if any(text in _text(each) for text in self.refused())]
            accepted = [each for each in batch if each not in refused]
            results = execute(accepted) if accepted else []
            if kind == "lost":
                raise ConnectionError
            return [*results, *(Result(each.key, Outcome.REFUSED, "refused") for each in refused)]

        return faulty


_ANSWERS: dict[Kind | None, tuple[Outcome, str]] = {
    "away": (Outcome.RETRY, "away"),
    "slow_down": (Outcome.RATE_LIMITED, "slow-down"),
}


def _text(operation: Operation) -> str:
    return json.dumps(operation.payload, ensure_ascii=False, default=str)
