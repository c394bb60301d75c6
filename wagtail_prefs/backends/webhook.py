"""A backend for everything that has an address: the desired state as a signed webhook (docs/reference/webhook.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from ..values import (
    ChangeBatch,
    Identifiers,
    Inbound,
    InboundEvent,
    Json,
    Operation,
    Outcome,
    Result,
    Target,
    iso,
)
from .answers import Answer, classify
from .base import Option, PlatformError, declared
from .desired import KEEPS_ALL, changed_paths, whole_state
from .http import OWN_NETWORK, HttpBackend
from .signature import secret_bytes, signed_headers
from .webhook_inbound import events

_KEY_HELP = 'a string "whsec_" + base64 of 24 to 64 random bytes'
#: The largest body that is sent. Standard Webhooks asks for less than 20 KB, which all but very odd contacts have.
MAX_BODY = 256 * 1024
#: How many ledger records a body names: a platform that was away for long may have missed more.
MAX_RECORDS = 1_000


class WebhookBackend(HttpBackend):
    """One signed POST per contact. The receiver drops repeats by `webhook-id` and older versions by `version`."""

    capabilities = replace(KEEPS_ALL, ordering=True, evidence=True, inbound=Inbound.SIGNED, erases=True)
    known_options: ClassVar[Mapping[str, Option]] = {
        **HttpBackend.known_options,
        **OWN_NETWORK,
        "URL": Option(str, "the https address to post to"),
        "SECRET": Option(str, _KEY_HELP, default=""),
        "SECRETS": Option((list, tuple), f"one or two of: {_KEY_HELP}; the first is the newest", default=()),
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

    @property
    def base_url(self) -> str:
        return str(self.options["URL"])

    def plan(self, target: Target, since: Sequence[ChangeBatch]) -> list[Operation]:
        kind = "contact.preferences"
        more: Json = {
            "type": kind,
            "id": self.key(target, kind),
            "changed": changed_paths(since),
            "records": [str(batch.record_id) for batch in since[-MAX_RECORDS:]],
            "at": iso(since[-1].at) if since else None,
        }
        if target.retired:
            more["former"] = [_known(former) for former in target.retired]
        return whole_state(self, target, since, kind, **more)

    def send(self, batch: Sequence[Operation]) -> list[Result]:
        return self.one_by_one(batch, self._tell)

    def _tell(self, operation: Operation) -> Result:
        self._post(operation.key, operation.payload)
        # What the receiver knows her by, for the day it must forget her.
        return Result(operation.key, Outcome.DONE, remote_id=str(operation.contact))

    def erase(self, identifiers: Identifiers) -> Result:
        known = identifiers.remote.get(self.alias, "")
        contact = {**({"id": known} if known else {}), **_known(identifiers)}
        if not contact:
            return Result("", Outcome.DONE)  # nobody
        # Another id each time: one may have come back in between, and to forget her twice does no harm. Nothing of her
        # is in it, because ids stand in logs.
        key = f"{self.alias}-{uuid4().hex}-contact.erased"
        return self.attempt(
            key, lambda: self._post(key, {"type": "contact.erased", "id": key, "contact": contact})
        )

    def classify(self, answer: Answer) -> tuple[Outcome, str]:
        outcome, code = classify(answer)
        # A receiver that is being mended says 400 and 409, too; only 413 and 422 are about this contact.
        return (Outcome.RETRY if answer.status in {400, 409} else outcome), code

    def parse_inbound(self, request: HttpRequest) -> list[InboundEvent]:
        return events(request, self._keys, self.alias)

    def _post(self, key: str, payload: Json) -> None:
        body = json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(
            errors="replace"
        )
        if len(body) > MAX_BODY:
            raise PlatformError(Outcome.REFUSED, "too-large")
        headers = {
            "Content-Type": "application/json",
            **signed_headers(self._keys, key, int(time.time()), body),
        }
        self.judged(self.transport.send("POST", self.base_url, body=body, headers=headers))


def _known(identifiers: Identifiers) -> Json:
    """The identifiers there are. Empty ones are left out, so that a receiver cannot match two people by ''."""
    ids = {
        "email": identifiers.email,
        "phone": identifiers.phone,
        "external_id": identifiers.external_id,
    }
    return {name: value for name, value in ids.items() if value}
