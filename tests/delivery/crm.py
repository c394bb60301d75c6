"""A CRM in memory that can be told to fail: what a vendor's platform looks like to the engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from wagtail_prefs.backends.base import Backend, Option, Unsupported, restricts
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.values import (
    Capabilities,
    ChangeBatch,
    Identifiers,
    Json,
    Operation,
    Outcome,
    ReadBack,
    RemoteState,
    Result,
    Support,
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
        #: Calls that hold one of these contacts are refused as a whole.
        self.splits: set[UUID] = set()
        #: Whom it was told to forget, and what it answers to that and to questions; an exception is raised.
        self.erased: list[Identifiers] = []
        self.erasing: Outcome | Exception = DONE
        self.reading: Exception | None = None
        self.read: list[UUID] = []

    def answer(self, operations: Sequence[Operation]) -> list[Result]:
        self.calls.append(list(operations))
        if self.during is not None:
            self.during(operations)
        scripted = self.script.popleft() if self.script else DONE
        if any(operation.contact in self.splits for operation in operations):
            scripted = Outcome.SPLIT
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
        "BYTES": Option(int, "bytes a call", default=0),
        "WAKES": Option(bool, "is told when a pause ends", default=False),
        "READ": Option(bool, "can be read back", default=False),
        "ERASES": Option(bool, "can forget", default=True),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.capabilities = Capabilities(
            choice=Support.STORES if self.options["READ"] else Support.NONE,
            opt_out=Support.STORES if self.options["READ"] else Support.NONE,
            batch_size=self.options["BATCH"],
            batch_bytes=self.options["BYTES"],
            wakes=self.options["WAKES"],
            read_back=ReadBack.STRONG if self.options["READ"] else ReadBack.NONE,
            erases=self.options["ERASES"],
        )
        self.crm = CRMS.setdefault(alias, Crm())

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        if self.crm.plan_error is not None:
            raise self.crm.plan_error
        self.crm.plans.append((target, list(since)))
        state = {**desired_state(target), "paused": sorted(map(list, target.paused))}
        if target.retired:
            state["leave"] = [one.email for one in target.retired]
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
        return Operation(self.key(target, kind), state.id, state.version, kind, payload, restricts)

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        return self.crm.answer(batch)

    def read(self, contact: Target) -> RemoteState | None:
        if not self.options["READ"]:
            raise Unsupported(self.alias)
        self.crm.read.append(contact.state.id)
        if self.crm.reading is not None:
            raise self.crm.reading
        found = self.crm.contacts.get(str(contact.state.id))
        return found and RemoteState(
            opted_out=found["opted_out"],
            choices={
                (topic, channel): said
                for topic, channels in found["choices"].items()
                for channel, said in channels.items()
            },
        )

    def erase(self, identifiers: Identifiers) -> Result:
        if not self.options["ERASES"]:
            raise Unsupported(self.alias)
        if isinstance(self.crm.erasing, Exception):
            raise self.crm.erasing
        self.crm.erased.append(identifiers)
        return Result("whatever", self.crm.erasing, remote_id="stays-nowhere")
