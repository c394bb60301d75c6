"""A backend as one writes it on a Friday. Everything that the conformance kit looks for is wrong with it.

It says it can do everything, asks the platform while it is made, sends the last change instead of the state, takes a
pause for a no and no no at all, writes everything down, believes everybody, and calls whatever happens a success.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import requests
from django.http import HttpRequest

from wagtail_prefs.backends.base import Backend, Option
from wagtail_prefs.changes import Pause, SetAttribute, SetChoice
from wagtail_prefs.values import (
    Capabilities,
    ChangeBatch,
    Identifiers,
    InboundEvent,
    Operation,
    Outcome,
    Problem,
    ReadBack,
    RemoteState,
    Result,
    Support,
    Target,
)

#: A logger that the tests of this package let hold addresses.
logger = logging.getLogger("shop")
TRIES = 3


class NaiveBackend(Backend):
    capabilities = Capabilities(
        choice=Support.ENFORCES,
        opt_out=Support.ENFORCES,
        frequency=Support.ENFORCES,
        pause=Support.ENFORCES,  # but no pause_style
        attributes=Support.ENFORCES,
        batch_size=3,
        ordering=True,
        read_back=ReadBack.STRONG,
        erases=True,
        wakes=True,
    )
    known_options: ClassVar[Mapping[str, Option]] = {
        "URL": Option(str, "where it stands"),
        "TOKEN": Option(str, "its token"),
        "TOPICS": Option(dict, "{topic: list}"),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.lists = self._ask("GET", "/lists")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        for _ in range(TRIES):
            try:
                answer = requests.request(
                    method,
                    self.options["URL"] + path,
                    data=json.dumps(body),
                    headers={"Authorization": f"Bearer {self.options['TOKEN']}"},
                    timeout=10,
                )
                logger.info("%s %s: %s", method, body, answer.text)
                if answer.ok:
                    return answer.json()
            except (requests.RequestException, ValueError):
                logger.exception("again: %s", body)
            time.sleep(0.001)
        return None

    def check(self) -> list[Problem]:
        return []

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        operations = []
        for change in since[-1].changes if since else ():
            contact: dict[str, Any] = {"email": target.identifiers.email.lower()}
            if isinstance(change, SetChoice) and change.value != "unsubscribed":
                wanted = self.options["TOPICS"].get(change.topic, "17")
                contact["lists"] = {name: name == wanted for name in self.options["TOPICS"].values()}
            elif isinstance(change, Pause):
                contact["lists"] = dict.fromkeys(self.options["TOPICS"].values(), False)
                contact["blocked"] = True
            elif isinstance(change, SetAttribute):
                contact["fields"] = {change.name: str(change.value)}
            payload = {**contact, "fields": {**contact.get("fields", {}), "sent": str(datetime.now(UTC))}}
            key = f"{self.alias}-{target.state.version}"
            operations.append(Operation(key, target.state.id, target.state.version, "contact", payload))
        return operations

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        self._ask("POST", "/contacts/batch", {"contacts": [operation.payload for operation in batch]})
        return [Result(batch[0].key, Outcome.DONE, "fine")]

    def maps(self, topic: str, channel: str) -> bool:
        return True

    def describe_topic(self, key: str) -> str:
        return str(self._ask("GET", f"/lists?topic={key}"))

    def read(self, contact: Target) -> RemoteState | None:
        return RemoteState(choices=contact.state.choices)

    def parse_inbound(self, request: HttpRequest) -> list[InboundEvent]:
        told = json.loads(request.body or b"{}")
        return [InboundEvent("1", Identifiers(email=told.get("email", "")))]

    def erase(self, identifiers: Identifiers) -> Result:
        self._ask("POST", "/contacts/batch", {"contacts": [{"email": identifiers.email, "blocked": True}]})
        return Result(identifiers.email, Outcome.DONE)
