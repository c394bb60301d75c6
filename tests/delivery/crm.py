"""A CRM in memory that can be told to fail: what a vendor's platform looks like to the engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from wagtail_prefs.backends.base import Backend, Option, restricts
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.values import (
    Capabilities,
    ChangeBatch,
    Json,
    Operation,
    Outcome,
    Result,
    Target,
)

DONE = Outcome.DONE


class Crm:
    """What stands on the other side of the wire. It believes whatever it is told last."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.contacts: dict[str, Json] = {}
        self.calls: list[list[Operation]] = []
        self.plans: list[tuple[Target, list[ChangeBatch]]] = []
        #: What the next calls answer; an exception is raised. Empty: everything works.
        self.script: deque[Outcome | Result | Exception] = deque()
        #: Outcomes by operation kind, for as long as they stand here.
        self.always: dict[str, Outcome] = {}
        #: Called at the start of each call, with the operations.
        self.during: Callable[[Sequence[Operation]], None] | None = None
        self.plan_error: Exception | None = None

    def answer(self, operations: Sequence[Operation]) -> list[Result]:
        self.calls.append(list(operations))
        if self.during is not None:
            self.during(operations)
        scripted = self.script.popleft() if self.script else DONE
        if isinstance(scripted, Exception):
            raise scripted
        results = []
        for operation in operations:
            if isinstance(scripted, Result):
                result = Result(operation.key, scripted.outcome, scripted.code, scripted.retry_after)
            else:
                outcome = self.always.get(operation.kind, scripted)
                code = "" if outcome is DONE else f"scripted-{outcome}"
                result = Result(operation.key, outcome, code, remote_id=f"remote-{operation.contact}")
            if result.outcome in {DONE, Outcome.ACCEPTED_UNKNOWN, Outcome.NEEDS_CONFIRMATION}:
                self.contacts.setdefault(str(operation.contact), {}).update(operation.payload)
            results.append(result)
        return results

    def sent(self) -> list[tuple[str, str]]:
        """(kind, address) of every operation, in order."""
        return [
            (operation.kind, operation.payload["contact"]["email"])
            for call in self.calls
            for operation in call
        ]


#: alias -> what is behind it; emptied by the fixture `crm`
CRMS: dict[str, Crm] = {}


class CrmBackend(Backend):
    """One operation per contact, or two: what restricts apart from the rest."""

    capabilities = Capabilities(batch_size=2)
    known_options: ClassVar[Mapping[str, Option]] = {
        "SPLIT": Option(bool, "opt-outs as an operation of their own", default=False),
        "BATCH": Option(int, "contacts a call", default=2),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.capabilities = Capabilities(batch_size=self.options["BATCH"])
        self.crm = CRMS.setdefault(alias, Crm())

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        if self.crm.plan_error is not None:
            raise self.crm.plan_error
        self.crm.plans.append((target, list(since)))
        state = desired_state(target)
        if not self.options["SPLIT"]:
            return [self._operation(target, "state", state, restricts=restricts(since))]
        operations = []
        if restricts(since):
            no = {name: state[name] for name in ("contact", "version", "opted_out", "choices")}
            operations.append(self._operation(target, "unsubscribe", no, restricts=True))
        operations.append(self._operation(target, "state", state, restricts=False))
        return operations

    def _operation(self, target: Target, kind: str, payload: Json, *, restricts: bool) -> Operation:
        state = target.state
        key = self.operation_key(state.id, state.version, kind)
        return Operation(key, state.id, state.version, kind, payload, restricts)

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        return self.crm.answer(batch)
