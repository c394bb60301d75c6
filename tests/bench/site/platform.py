"""A platform that takes the desired state of many contacts in one call, or of one: what the engine is measured with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from wagtail_prefs.backends.base import Backend, Option, restricts
from wagtail_prefs.backends.desired import desired_state
from wagtail_prefs.values import Capabilities, ChangeBatch, Operation, Outcome, Result, Support, Target

#: Where `tests.bench.crm` listens, for worker processes.
PORT = "BENCH_CRM_PORT"


class PlatformBackend(Backend):
    capabilities = Capabilities(choice=Support.STORES, opt_out=Support.STORES)
    known_options: ClassVar[Mapping[str, Option]] = {"BATCH": Option(int, "contacts a call")}

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        from wagtail_prefs.backends.transport import Transport

        super().__init__(alias, options)
        self.capabilities = Capabilities(
            choice=Support.STORES, opt_out=Support.STORES, batch_size=self.options["BATCH"]
        )
        self.transport = Transport()
        self.url = f"http://127.0.0.1:{os.environ.get(PORT)}/contacts"

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        state = target.state
        return [
            Operation(
                key=self.key(target, "state"),
                contact=state.id,
                version=state.version,
                kind="state",
                payload=desired_state(target),
                restricts=restricts(since),
            )
        ]

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        body = json.dumps([operation.payload for operation in batch]).encode()
        answer = self.transport.send(
            "POST", self.url, body=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status == 200
        return [Result(operation.key, Outcome.DONE) for operation in batch]
