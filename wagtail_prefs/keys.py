"""The key rings: purpose-bound keys, so that a MAC for one purpose is noise for another.

What we sign and check ourselves is under `SIGNING_KEYS`. What is looked up by its digest is under `PEPPERS`: a database
that was copied says nothing without them, and a digest whose pepper is lost finds nobody any more.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from functools import lru_cache

from .canonical import canonical
from .conf import SigningKey, conf


@lru_cache(maxsize=64)  # a few keys, each for a few purposes; asked for by every request
def derive(key: SigningKey, purpose: str) -> bytes:
    """The 32-byte key of one purpose. The label is canonical JSON, so no two purposes can be spelled the same way."""
    return hmac.digest(key.key, canonical(["wagtail-prefs", 1, purpose]), hashlib.sha256)


def mac(purpose: str, message: bytes, kid: str = "") -> tuple[str, bytes]:
    """Sign with the newest key, or with the one of that name while it is in the ring; returns (kid, 32 bytes)."""
    key = next((key for key in conf.signing_keys if key.kid == kid), conf.signing_keys[0])
    return key.kid, hmac.digest(derive(key, purpose), message, hashlib.sha256)


def mac_is_valid(purpose: str, message: bytes, kid: str, given: bytes) -> bool:
    """Hold a MAC against the key it names, in constant time. An unknown `kid` is simply not valid."""
    for key in conf.signing_keys:
        if key.kid == kid:
            return hmac.compare_digest(hmac.digest(derive(key, purpose), message, hashlib.sha256), given)
    return False


def digests(purpose: str, message: bytes) -> Iterator[str]:
    """The keyed digest under every pepper, newest first, as hex: for look-ups across a rotation."""
    for key in conf.peppers:
        yield hmac.digest(derive(key, purpose), message, hashlib.sha256).hex()


def digest(purpose: str, message: bytes) -> str:
    """The keyed digest under the newest pepper, as hex."""
    return next(digests(purpose, message))


def fingerprint(key: SigningKey) -> str:
    """What a key can be known by again, and nothing else: 256 bits of which nobody gets back to it."""
    return hmac.digest(derive(key, "fingerprint"), b"", hashlib.sha256).hex()
