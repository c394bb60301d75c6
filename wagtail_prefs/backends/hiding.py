"""Keeping secrets and addresses out of what backends and platforms say of themselves, before people read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_ADDRESS = re.compile(r"[^\s'\"<>(),:;]+@[^\s'\"<>(),:;]*[^\s'\"<>(),:;.!?]")
#: An option with such a name holds a secret, wherever it stands.
_SECRET = re.compile(r"secret|token|key|pass|user|login|url|host", re.IGNORECASE)
#: Words that are shorter stand in any text.
_SHORT = 4


def secrets_of(options: object, *, named: bool = False) -> list[str]:
    """Every text of the options that may be a secret, or lead to the platform: the longest first."""
    if isinstance(options, Mapping):
        found = [
            secret
            for name, value in options.items()
            for secret in secrets_of(value, named=named or bool(_SECRET.search(str(name))))
        ]
    elif isinstance(options, list | tuple | set):
        found = [secret for value in options for secret in secrets_of(value, named=named)]
    else:
        found = [options] if named and isinstance(options, str) and len(options) >= _SHORT else []
    return sorted(found, key=len, reverse=True)


def without(hidden: Iterable[str], text: str) -> str:
    """A text without these, and without addresses."""
    for secret in hidden:
        text = text.replace(secret, "…")
    return without_addresses(text)


def without_addresses(text: str) -> str:
    return _ADDRESS.sub("…", text)
