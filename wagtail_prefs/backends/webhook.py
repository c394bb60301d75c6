"""A backend for everything that has an address: the desired state as a signed webhook (docs/reference/webhook.md)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ImproperlyConfigured

from ..canonical import canonical
from ..values import (
    Capabilities,
    ChangeBatch,
    Identifiers,
    Json,
    Operation,
    Outcome,
    PauseStyle,
    Problem,
    Result,
    Support,
    Target,
    iso,
)
from .base import Backend, Option, declared, restricts
from .desired import changed_paths, desired_state
from .signature import secret_bytes, signed_headers

if TYPE_CHECKING:
    from .http import Transport

_KEY_HELP = 'a string "whsec_" + base64 of 24 to 64 random bytes'


class WebhookBackend(Backend):
    """One signed POST per contact. The receiver drops repeats by `webhook-id` and older versions by `version`."""

    capabilities = Capabilities(
        identifiers=("email", "phone", "external_id"),
        choice=Support.STORES,
        opt_out=Support.STORES,
        frequency=Support.STORES,
        pause=Support.STORES,
        pause_style=PauseStyle.ATTRIBUTE,
        attributes=Support.STORES,
        batch_size=1,
        ordering=True,
    )
    known_options: ClassVar[Mapping[str, Option]] = {
        "URL": Option(str, "the https address to post to"),
        "SECRET": Option(str, _KEY_HELP, default=""),
        "SECRETS": Option((list, tuple), f"one or two of: {_KEY_HELP}; the first is the newest", default=()),
        "TIMEOUT": Option((int, float), "seconds for the whole call", default=10),
        "ENFORCES": Option((list, tuple), "what the receiver obeys when it sends", default=()),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.capabilities = declared(self.capabilities, self.options["ENFORCES"])
        self._keys = self._read_secrets()

    def _read_secrets(self) -> list[bytes]:
        secrets = [*filter(None, [self.options["SECRET"]]), *self.options["SECRETS"]]
        if not 1 <= len(secrets) <= 2:
            raise ImproperlyConfigured(
                f'The webhook "{self.alias}" needs SECRET, or one or two SECRETS: {_KEY_HELP}.'
            )
        try:
            return [secret_bytes(secret) for secret in secrets]
        except ValueError as error:
            raise ImproperlyConfigured(
                f'A secret of the webhook "{self.alias}" {error}: {_KEY_HELP}.'
            ) from None

    @cached_property
    def transport(self) -> Transport:
        from .http import Transport  # noqa: PLC0415 - loads `requests`, which only a worker needs

        return Transport(timeout=self.options["TIMEOUT"])

    def check(self) -> list[Problem]:
        from .http import TransportError, check_url  # noqa: PLC0415

        try:
            check_url(self.options["URL"])
        except TransportError:
            return [
                Problem(
                    "error",
                    f'The URL of the webhook "{self.alias}" must be https, on port 443, without a user.',
                )
            ]
        return []

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        kind = "contact.preferences"
        key = self.operation_key(target.state.id, target.state.version, kind)
        payload: Json = {
            "type": kind,
            "id": key,
            **desired_state(target),
            "changed": changed_paths(since),
            "records": [str(batch.record_id) for batch in since],
            "at": iso(since[-1].at) if since else None,
        }
        return [
            Operation(
                key=key,
                contact=target.state.id,
                version=target.state.version,
                kind=kind,
                payload=payload,
                restricts=restricts(since),
            )
        ]

    def execute(self, batch: Sequence[Operation]) -> list[Result]:
        return [self._post(operation.key, operation.payload) for operation in batch]

    def erase(self, identifiers: Identifiers) -> Result:
        contact = {
            name: value
            for name, value in (
                ("id", identifiers.remote.get(self.alias, "")),
                ("email", identifiers.email),
                ("phone", identifiers.phone),
                ("external_id", identifiers.external_id),
            )
            if value
        }
        key = f"{self.alias}-{hashlib.sha256(canonical(contact)).hexdigest()[:32]}-contact.erased"
        return self._post(key, {"type": "contact.erased", "id": key, "contact": contact})

    def _post(self, key: str, payload: Json) -> Result:
        from .http import TransportError, classify  # noqa: PLC0415

        body = json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            **signed_headers(self._keys, key, int(time.time()), body),
        }
        try:
            response = self.transport.send("POST", self.options["URL"], body=body, headers=headers)
        except TransportError as error:
            return Result(key, error.outcome, error.code)
        outcome, code = classify(response)
        if response.status in {400, 409}:
            # A receiver that is being mended says this too; only 413 and 422 are about this contact.
            outcome = Outcome.RETRY
        return Result(key, outcome, code, response.retry_after)
