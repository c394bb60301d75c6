"""Small secrets that must be read again, at rest: AES-256-GCM under a key of the ring (security.md PR-02).

For what cannot be a keyed digest because somebody has to be told it once more: the address a platform must forget. What
was written for one place cannot be read at another: the place is bound into it.
"""

from __future__ import annotations

import base64
import binascii
import os

from .conf import conf
from .errors import PrefsError
from .keys import derive

_NONCE = 12
_PURPOSE = "cipher"


class Unreadable(PrefsError):
    """Written under a key that has left the ring, for another place, or changed since."""


def encrypt(text: str, *, place: str) -> str:
    """`{kid}.{base64url of nonce and ciphertext}`; `place` names table, row and field."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - few processes need it

    key = conf.signing_keys[0]
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(derive(key, _PURPOSE)).encrypt(nonce, text.encode(), place.encode())
    return f"{key.kid}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def decrypt(stored: str, *, place: str) -> str:
    """The text again; raises Unreadable, which never says what was stored."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    kid, _, body = stored.partition(".")
    try:
        raw = base64.b64decode(body, altchars=b"-_", validate=True)
        key = next(key for key in conf.signing_keys if key.kid == kid)
        return AESGCM(derive(key, _PURPOSE)).decrypt(raw[:_NONCE], raw[_NONCE:], place.encode()).decode()
    except (binascii.Error, StopIteration, InvalidTag, ValueError):
        raise Unreadable from None
