"""For development: what would be told to a platform, as a line of JSON. Docs: docs/reference/console-backend.md."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TextIO
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

from ..contacts.addresses import masked
from ..values import Capabilities, ChangeBatch, Identifiers, Json, Operation, Outcome, Result, Target
from .base import Backend, Option
from .desired import changed_paths, whole_state

logger = logging.getLogger("wagtail_prefs.console")

_PLACES = ("stdout", "stderr", "log")


class ConsoleBackend(Backend):
    """Writes a line for each contact and keeps nothing: it has no capability that a page could promise anything by."""

    capabilities = Capabilities(identifiers=("email", "phone", "external_id"), batch_size=100, erases=True)
    known_options: ClassVar[Mapping[str, Option]] = {
        "TO": Option(str, f"one of {', '.join(_PLACES)}", default="stdout"),
        "UNMASKED": Option(bool, "show addresses, numbers and attributes as they are", default=False),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        if self.options["TO"] not in _PLACES:
            raise ImproperlyConfigured(
                f'WAGTAIL_PREFS["BACKENDS"]["{alias}"]["OPTIONS"]["TO"] must be one of {", ".join(_PLACES)}.'
            )

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        more: Json = {"changed": changed_paths(since)}
        if target.retired:
            more["former"] = [_ids(former) for former in target.retired]
        return whole_state(self, target, since, **more)

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        for operation in batch:
            self._write(operation.kind, operation.payload, restricts=operation.restricts)
        return [Result(operation.key, Outcome.DONE, remote_id=str(operation.contact)) for operation in batch]

    def erase(self, identifiers: Identifiers) -> Result:
        known = identifiers.remote.get(self.alias, "")
        self._write("erase", {"contact": {**({"id": known} if known else {}), **_ids(identifiers)}})
        return Result(self.operation_key(UUID(int=0), 0, "erase"), Outcome.DONE)

    def _write(self, kind: str, payload: Json, *, restricts: bool = True) -> None:
        shown = payload if self.options["UNMASKED"] else _masked(payload)
        line = {"backend": self.alias, "kind": kind, "restricts": restricts, **shown}
        # Without letters beyond ASCII: a terminal may not have them, and none of them may move its cursor.
        text = json.dumps(line, ensure_ascii=True)
        if self.options["TO"] == "log":
            logger.info("%s", text)
        else:
            stream: TextIO = sys.stdout if self.options["TO"] == "stdout" else sys.stderr
            stream.write(f"{text}\n")
            stream.flush()


def _ids(identifiers: Identifiers) -> Json:
    ids = {
        "email": identifiers.email,
        "phone": identifiers.phone,
        "external_id": identifiers.external_id,
    }
    return {name: value for name, value in ids.items() if value}


def _masked(payload: Json) -> Json:
    """The payload without what is personal: whose it is stays to be seen by her UUID."""
    hidden = {**payload, "contact": _masked_ids(payload["contact"])}
    if "former" in payload:
        hidden["former"] = [_masked_ids(former) for former in payload["former"]]
    if "attributes" in payload:
        hidden["attributes"] = dict.fromkeys(payload["attributes"], "***")
    return hidden


def _masked_ids(ids: Json) -> Json:
    hidden = dict(ids)
    for name in ("phone", "external_id"):
        if name in hidden:
            hidden[name] = "***"
    if "email" in hidden:
        hidden["email"] = masked(hidden["email"])
    return hidden
