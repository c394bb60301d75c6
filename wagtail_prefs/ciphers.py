"""Small secrets that must be read again, at rest: AES-256-GCM under a key of a ring (security.md PR-02).

`encrypt` is for what cannot be a keyed digest because somebody has to be told it once more: the address a platform must
forget. It always encrypts, under the signing keys where there are no others.

`conceal` is for columns that a site may have encrypted or not: with `ENCRYPTION_KEYS` it encrypts, without it leaves a
text as it is. Rows of both kinds stand beside each other, and `reveal` reads both.

What was written for one place cannot be read at another: the place - table, row and field - is bound into it.
"""

from __future__ import annotations

import base64
import binascii
import os
from functools import lru_cache
from typing import TYPE_CHECKING

from .conf import SigningKey, conf
from .errors import PrefsError
from .keys import derive

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_PURPOSE = "cipher"
#: What a concealed text begins with: no address does, and no JSON.
MARK = "enc1."


class Unreadable(PrefsError):
    """Written under a key that has left the ring, for another place, or changed since."""


def encrypt(text: str, *, place: str) -> str:
    """`{kid}.{base64url of nonce and ciphertext}`; `place` names table, row and field."""
    return _encrypt((conf.encryption_keys or conf.signing_keys)[0], text, place)


def decrypt(stored: str, *, place: str) -> str:
    """The text again; raises Unreadable, which never says what was stored."""
    return _decrypt([*conf.encryption_keys, *conf.signing_keys], stored, place)


def conceal(text: str, *, place: str) -> str:
    """The text as the column of `place` holds it. What is empty stays so: that it is empty is asked for in SQL."""
    ring = conf.encryption_keys
    return f"{MARK}{_encrypt(ring[0], text, place)}" if ring and text else text


def reveal(stored: str, *, place: str) -> str:
    """The text that a column holds, concealed or not; raises Unreadable."""
    return _decrypt(conf.encryption_keys, stored[len(MARK) :], place) if is_concealed(stored) else stored


def is_concealed(stored: str) -> bool:
    """Whether this was made by `conceal`, under whichever key."""
    return stored.startswith(MARK)


def is_current(stored: str) -> bool:
    """Whether `conceal` would do nothing for it today: it is under the newest key, or there is none and it is plain."""
    ring = conf.encryption_keys
    return not stored or (stored.startswith(f"{MARK}{ring[0].kid}.") if ring else not is_concealed(stored))


def _encrypt(key: SigningKey, text: str, place: str) -> str:
    nonce = os.urandom(_NONCE)
    sealed = _cipher(key).encrypt(nonce, text.encode("utf-8", "surrogatepass"), place.encode())
    return f"{key.kid}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def _decrypt(ring: list[SigningKey], stored: str, place: str) -> str:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - few processes need it

    kid, _, body = stored.partition(".")
    try:
        raw = base64.b64decode(body, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable from None
    for key in ring:  # two rings may use one name
        if key.kid == kid:
            try:
                plain = _cipher(key).decrypt(raw[:_NONCE], raw[_NONCE:], place.encode())
                return plain.decode("utf-8", "surrogatepass")
            except (InvalidTag, ValueError):
                continue
    raise Unreadable


@lru_cache(maxsize=16)  # setting one up takes as long as using it
def _cipher(key: SigningKey) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    return AESGCM(derive(key, _PURPOSE))
