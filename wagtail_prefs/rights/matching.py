"""What would be the same of one person who is known twice: one spelling for all that mean the same. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from ..contacts.addresses import canonical_email


@dataclass(frozen=True, slots=True)
class Provider:
    """How a mail provider reads the part before the @. All of these drop what follows a plus.

    Gmail's dots: support.google.com/mail/answer/7436150; Proton's domains: proton.me/support/addresses-and-aliases, and
    its signs: only said by its support and by who tried it; the pluses of the others: the table of the Python package
    email-normalize 3.1. A pair is no more than a question, so a rule that changes does no harm.
    """

    domain: str  # of the mailbox: one account may have the same name at several
    ignored: str = ""  # characters that make no difference


_APPLE, _PROTON, _GOOGLE = Provider("icloud.com"), Provider("proton.me", ".-_"), Provider("gmail.com", ".")
PROVIDERS: Mapping[str, Provider] = {
    "gmail.com": _GOOGLE,
    "googlemail.com": _GOOGLE,
    "icloud.com": _APPLE,
    "me.com": _APPLE,
    "mac.com": _APPLE,
    "proton.me": _PROTON,
    "protonmail.com": _PROTON,
    "pm.me": _PROTON,
    **{name: Provider(name) for name in ("outlook.com", "hotmail.com", "live.com", "fastmail.com")},
}


def mailbox(email: str) -> str:
    """One spelling for all addresses of a mailbox, where its provider is known; "" where it is not."""
    try:
        local, _at, domain = canonical_email(email).rpartition("@")
    except (ValidationError, UnicodeError):
        return ""
    provider = PROVIDERS.get(domain)
    if provider is None:
        return ""
    name = local.partition("+")[0].translate({ord(sign): None for sign in provider.ignored})
    return f"{name}@{provider.domain}" if name else ""


def phone(said: object, country: str) -> str:
    """One spelling of a phone number; "" for what is none. Without a country code it is one of her country."""
    if not isinstance(said, str):
        return ""
    digits = re.sub(r"[^\d+]", "", unicodedata.normalize("NFKC", said))
    digits = f"+{digits[2:]}" if digits.startswith("00") else digits
    number = digits.lstrip("+")
    if not (number.isascii() and number.isdigit() and 7 <= len(number.lstrip("0")) <= 15):
        return ""
    if digits.startswith("+"):
        return f"+{number}"
    return f"{country[:2].upper()} {number.lstrip('0')}" if country else ""
