"""Canonical JSON, the one byte form that links, snapshots, ledger records and webhooks are signed or hashed in.

The JSON Canonicalization Scheme (RFC 8785) without its hard part: numbers are integers within +-(2**53 - 1), so
there is nothing to say about floats. Refusing them keeps the bytes the same in every language that verifies them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

MAX_INT = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Return the canonical UTF-8 bytes of a JSON value.

    Raises TypeError for what is not JSON (floats, bytes, non-string keys) and ValueError for an integer that
    JavaScript could not hold or a lone surrogate.
    """
    return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def sha256_hex(value: Any) -> str:
    """The SHA-256 of the canonical bytes, as 64 lower-case hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _ordered(value: Any) -> Any:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if isinstance(value, int):
        if abs(value) > MAX_INT:
            raise ValueError("integer beyond 2**53 - 1")
        return value
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in _sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    if isinstance(value, str):
        return value
    raise TypeError(f"not canonical JSON: {kind.__name__}")


def _sorted(keys: Iterable[Any]) -> list[str]:
    """RFC 8785 s3.2.3 sorts by UTF-16 code units, which differs from Python's order beyond the BMP."""
    try:
        if "".join(keys).isascii():
            return sorted(keys)
    except TypeError:
        raise TypeError("keys must be strings") from None
    return sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
