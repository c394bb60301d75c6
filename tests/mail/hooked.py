"""A mail backend that does something first: what a site's own could do at the wrong moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.mail.backends.locmem import EmailBackend

PATH = f"{__name__}.HookedBackend"
#: Called with each message before it is kept; empty it when done.
HOOKS: list[Callable[[Any], None]] = []


class HookedBackend(EmailBackend):
    def send_messages(self, messages: Any) -> int:
        for message in messages:
            for hook in HOOKS:
                hook(message)
        sent: int = super().send_messages(messages)
        return sent
