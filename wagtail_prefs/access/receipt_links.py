"""Links to a receipt: they name one record of the ledger and nobody, so that a receipt can be shown around.

Whoever holds one reads when it was recorded and whether it still stands there, and nothing that was chosen. Such a link
has no contact, no epoch and no end; it goes with the key that signed it.
"""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse

from ..errors import BadToken
from ..ids import b64, unb64
from . import tokens
from .links import PREFIX, Purpose


def receipt_path(record: UUID) -> str:
    """The path of the page that says whether a receipt is genuine. No query."""
    token = tokens.sign(PREFIX, {"p": Purpose.RECEIPT.value, "r": b64(record.bytes)})
    return reverse("wagtail_prefs:receipt", args=[token])


def open_receipt(token: str) -> UUID:
    """The record that a link names; raises BadToken for what is forged, malformed or for another purpose. No query."""
    payload = tokens.verify(PREFIX, token)
    try:
        if payload.keys() != {"p", "r"} or Purpose(payload["p"]) is not Purpose.RECEIPT:
            raise BadToken
        return UUID(bytes=unb64(payload["r"]))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise BadToken from error
