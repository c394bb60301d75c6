"""Addresses: one canonical form, and the keyed hash that stands for it in look-ups and suppressions."""

from __future__ import annotations

import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from .. import keys


def canonical_email(address: str) -> str:
    """The form in which two spellings of one mailbox are equal: NFKC, trimmed, case folded.

    The local part is folded too: no mailbox provider tells `A@x` from `a@x`, and a look-alike must not become a
    second person. Raises ValidationError for what is no address.
    """
    folded = unicodedata.normalize("NFKC", address).strip().casefold()
    validate_email(folded)
    if len(folded) > 254:
        raise ValidationError("too long")
    local, _, domain = folded.rpartition("@")
    return f"{local}@{domain.encode('idna').decode()}" if not domain.isascii() else folded


def mailbox(address: str) -> str:
    """An address as mail is sent there: as it was typed, or its canonical form where no mail could go to that.

    Full-width letters, as keyboards for Japanese make them, are the same mailbox to us and none to a mail server: who
    typed somebody's address like that first must not keep her mails from her. Raises ValidationError for what is none.
    """
    typed = address.strip()
    try:
        validate_email(typed)
    except ValidationError:
        return canonical_email(address)
    return typed


def address_key(audience_key: str, email: str) -> str:
    """The keyed hash under the newest pepper, for writing."""
    return keys.digest("address", _message(audience_key, email))


def address_keys(audience_key: str, email: str) -> list[str]:
    """The keyed hashes under every pepper, for looking up across a rotation."""
    return list(keys.digests("address", _message(audience_key, email)))


def _message(audience_key: str, email: str) -> bytes:
    return f"{audience_key}\n{canonical_email(email)}".encode()


def masked(email: str) -> str:
    """What a forwarded mail may show of an address: `a***@e***.org`."""
    local, _, domain = email.rpartition("@")
    name, dot, ending = domain.rpartition(".")
    if not local or not name:
        return "***"
    return f"{local[0]}***@{name[0]}***{dot}{ending}"
