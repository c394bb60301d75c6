"""The one token format: `{prefix}.{kid}.{payload}.{mac}`.

The payload is canonical JSON in base64url; the MAC is HMAC-SHA256 over everything before it, under a key derived
for the kind of token, so that a link can never pass for a code or a session. Nothing is looked up before the MAC
holds (security.md TK-01..TK-04). Described for other languages in docs/reference/links.md.
"""

from __future__ import annotations

import json
import re

from .. import keys
from ..canonical import canonical
from ..conf import conf
from ..errors import BadToken
from ..ids import b64, unb64
from ..values import Json

MAX_LENGTH = 512
_FORM = re.compile(r"([a-z]\d)\.([A-Za-z0-9_-]{1,16})\.([A-Za-z0-9_-]{1,440})\.([A-Za-z0-9_-]{43})\Z")


def sign(prefix: str, payload: Json, *, of: str = "") -> str:
    """Make a token; `prefix` is the kind and version: `v1` link, `c1` code, `s1` session.

    Signed by the newest key, or, where it comes `of` another token, by the key of that one: whoever calls a key back
    means all that came of what it has signed (security.md TK-13).
    """
    ring = [key.kid for key in conf.signing_keys]
    kid = kid_of(of) if kid_of(of) in ring else ring[0]  # it stands inside what is signed
    message = f"{prefix}.{kid}.{b64(canonical(payload))}"
    _, mac = keys.mac(f"token:{prefix}", message.encode(), kid)
    return f"{message}.{b64(mac)}"


def kid_of(token: str) -> str:
    """The name of the key that signed a token; "" where it has none."""
    return next(iter(token.split(".", 2)[1:2]), "")


def verify(prefix: str, token: str) -> Json:
    """The payload of a token of this kind whose MAC holds; raises BadToken otherwise, always the same."""
    if len(token) > MAX_LENGTH:
        raise BadToken
    form = _FORM.match(token)
    if form is None or form[1] != prefix:
        raise BadToken
    message, _, _ = token.rpartition(".")
    try:
        mac = unb64(form[4])
        if not keys.mac_is_valid(f"token:{prefix}", message.encode(), form[2], mac):
            raise BadToken
        payload: Json = json.loads(unb64(form[3]).decode())
    except ValueError as error:
        raise BadToken from error
    return payload
