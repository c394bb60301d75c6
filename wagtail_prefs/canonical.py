"""Canonical JSON, the one byte form that links, snapshots, ledger records and webhooks are signed or hashed in.

The JSON Canonicalization Scheme (RFC 8785) without its hard part: numbers are integers within +-(2**53 - 1), so
there is nothing to say about floats. Refusing them keeps the bytes the same in every language that verifies them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

MAX_INT = 2**53 - 1

_keeping, _sorting = (
    json.JSONEncoder(
        ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=sort_keys, separators=(",", ":")
    ).encode
    for sort_keys in (False, True)
)


def canonical(value: Any) -> bytes:
    """Return the canonical UTF-8 bytes of a JSON value.

    Raises TypeError for what is not JSON (floats, bytes, non-string keys) and ValueError for an integer that
    JavaScript could not hold or a lone surrogate.
    """
    try:
        if _is_simple((value,)):
            return _sorting(value).encode()
    except TypeError:  # a key that is no text; below, it is refused
        pass
    return _keeping(_ordered(value)).encode()


def sha256_hex(value: Any) -> str:
    """The SHA-256 of the canonical bytes, as 64 lower-case hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


#: Types that json writes as we do, whatever the value.
_PLAIN = frozenset((str, bool, type(None)))


def _is_simple(values: Collection[Any]) -> bool:
    """Whether json's own order is right: plain types, whole numbers in range, and keys of ASCII only.

    Nearly everything is, and is written several times faster so.
    """
    if _PLAIN.issuperset(map(type, values)):  # most are, and this asks all of them at once
        return True
    for value in values:
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind is dict:
            if not ("".join(value).isascii() and _is_simple(value.values())):
                return False
        elif kind is list or kind is tuple:
            if not _is_simple(value):
                return False
        elif not (kind is int and -MAX_INT <= value <= MAX_INT):
            return False
    return True


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
