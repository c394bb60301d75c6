"""Trying a million known addresses against everything that the database holds (security.md AU-03, PR-01)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps

from wagtail_prefs.canonical import canonical
from wagtail_prefs.ledger.models import SideValue

FIRST = ["anna", *map("".join, itertools.product("bdfklmnrst", "aeiou", "lmnrst", ["a", "o"]))][:200]
LAST = ["meyer", *map("".join, itertools.product("bdfghklmnprst", "aeiou", "lmnrst", ["er", "ow"]))][:500]
DOMAINS = [
    f"{name}.example.{ending}"
    for name in ("mail", "post", "web", "inbox", "box")
    for ending in ("org", "com")
]


def known() -> Iterator[str]:
    """A million addresses as spammers make them: first.last at some providers, the same ones every time."""
    return (f"{first}.{last}@{domain}" for domain in DOMAINS for first in FIRST for last in LAST)


@dataclass(frozen=True)
class Dump:
    """What can be read out of every column of every table of the app."""

    text: str
    addresses: frozenset[str]  # in lower case
    digests: frozenset[bytes]  # whatever stands there in hex or base64, of the length of a digest
    salts: tuple[bytes, ...]


def dump() -> Dump:
    lines = []
    for model in apps.get_app_config("wagtail_prefs").get_models(include_auto_created=True):
        columns = [field.attname for field in model._meta.concrete_fields]
        for row in model._base_manager.values_list(*columns).iterator():
            lines += [text_of(value) for value in row if value not in (None, "", True, False)]
    return of("\n".join(lines))


def of(text: str) -> Dump:
    """The same of a text from elsewhere."""
    return Dump(
        text,
        frozenset(found.lower() for found in re.findall(r"[\w.+-]+@[\w.-]+\w", text)),
        frozenset(_digests(text)),
        tuple(bytes(salt) for salt in SideValue.objects.values_list("salt", flat=True)),
    )


def text_of(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        return f"{raw.hex()} {raw.decode('latin-1')}"
    return canonical(value).decode() if isinstance(value, dict | list) else str(value)


def _digests(text: str) -> Iterator[bytes]:
    for run in re.findall(r"[0-9a-fA-F]{32,}", text):
        for size in (32, 40, 64):
            for start in range(len(run) - size + 1):
                yield bytes.fromhex(run[start : start + size])
    for word in set(re.findall(r"[A-Za-z0-9+/_-]{22,}={0,2}", text)):
        plain = word.rstrip("=").replace("-", "+").replace("_", "/")
        if len(plain) in (22, 27, 43):
            try:
                yield base64.b64decode(plain + "=" * (-len(plain) % 4))
            except binascii.Error:
                continue


def found(candidates: Iterable[str], there: Dump, audience: str) -> set[str]:
    """Which of these addresses the dump gives away: in plain, or as a digest that nobody needs a key for."""
    hits = set()
    unknown, salts = there.digests.isdisjoint, there.salts
    sha256, sha1, md5, mac = hashlib.sha256, hashlib.sha1, hashlib.md5, hmac.digest
    scope = audience.encode()
    for address in candidates:
        plain = address.encode()
        quoted = b'"%b"' % plain
        if address in there.addresses or not unknown(
            (
                sha256(plain).digest(),
                sha256(plain.title()).digest(),
                sha1(plain).digest(),
                md5(plain).digest(),
                # What our own code hashes, or might: as JSON, as the message of the keyed hash, as a request.
                sha256(quoted).digest(),
                sha256(b"%b\n%b" % (scope, plain)).digest(),
                sha256(b'{"changes":[{"address":%b,"change":"ChangeAddress","v":1}]}' % quoted).digest(),
                *(mac(salt, quoted, "sha256") for salt in salts),
                *(mac(salt, b'{"after":null,"before":%b}' % quoted, "sha256") for salt in salts),
            )
        ):
            hits.add(address)
    return hits
