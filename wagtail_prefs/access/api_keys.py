"""Keys with which other programs ask and tell: made once, shown once, kept as a keyed hash (security.md AP-10).

`wpk_{id}_{secret}{checksum}`: a prefix that scanners for leaked secrets can look for, a public id of 12 characters, 43
random ones (256 bits), and the CRC-32 of all before it in 6, so that a typing error is told from a wrong key without a
database. Letters and digits only, but for the two underscores: one double click takes all of it.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import keys
from ..conf import conf
from ..contacts.store import as_datetime, as_json
from ..errors import BadToken, NotAllowed
from ..topics.models import Audience
from .models import ApiKey

PREFIX = "wpk_"
_ALPHABET = string.digits + string.ascii_letters
_ID, _SECRET, _CHECKSUM = 12, 43, 6  # 43 of 62 characters are 256.03 bits
_FORM = re.compile(rf"(wpk_([0-9A-Za-z]{{{_ID}}})_[0-9A-Za-z]{{{_SECRET}}})([0-9A-Za-z]{{{_CHECKSUM}}})\Z")
#: When a key was used is noted this often at most.
NOTED_EVERY = timedelta(minutes=1)


class Scope(models.TextChoices):
    """What a key may be used for."""

    CONTACTS_READ = "contacts:read", _("Look at people")
    CONTACTS_WRITE = "contacts:write", _("Add people and change their choices")
    LINKS_WRITE = "links:write", _("Make links for people")
    DECISIONS_READ = "decisions:read", _("Ask whether a message may be sent")
    SENDS_WRITE = "sends:write", _("Tell what was sent")
    SUPPRESSIONS_READ = "suppressions:read", _("Fetch who must get nothing")


class KeyState(models.TextChoices):
    """Whether a key opens anything."""

    ACTIVE = "active", _("Works")
    EXPIRED = "expired", _("Expired")
    REVOKED = "revoked", _("Revoked")


def make(
    name: str, audience: Audience, scopes: Iterable[str], expires_at: datetime | None, made_by: Any = None
) -> tuple[ApiKey, str]:
    """Make a key; returns its row and the key itself, which nobody can read anywhere afterwards.

    Raises ValueError without a name, for scopes that there are not or none at all, and for an end that is past.
    """
    wanted = set(scopes)
    if not name.strip() or len(name.strip()) > 255:
        raise ValueError("a key needs a name of at most 255 characters")
    if not wanted or not wanted <= set(Scope.values):
        raise ValueError(f"a key needs scopes of these: {', '.join(Scope.values)}")
    if expires_at is not None and expires_at <= timezone.now():
        raise ValueError("a key ends in the future")
    public = _random(_ID)
    key = f"{PREFIX}{public}_{_random(_SECRET)}"
    key += _checksum(key)
    kid, digest = _digest(key)
    row = ApiKey.objects.create(
        id=public,
        name=name.strip(),
        audience=audience,
        secret_digest=digest,
        kid=kid,
        scopes=[scope for scope in Scope.values if scope in wanted],
        made_by=made_by,
        expires_at=expires_at,
    )
    return row, key


def open_key(key: str, scope: Scope) -> ApiKey:
    """The row of a key that holds, with its audience. One statement; none for what is no key at all.

    Raises BadToken for one that is malformed, unknown, wrong, revoked or expired - nobody learns which - and NotAllowed
    for one that holds and lacks the scope.
    """
    form = _FORM.match(key)
    if form is None or not secrets.compare_digest(_checksum(form[1]), form[3]):
        raise BadToken
    row = _row(form[2])
    # What is not there is held against something as well, so that it takes as long.
    kid, digest = (row.kid, row.secret_digest) if row else (conf.signing_keys[0].kid, "00" * 32)
    held = keys.mac_is_valid("api-key", key.encode(), kid, bytes.fromhex(digest))
    if row is None or not held or state_of(row) is not KeyState.ACTIVE:
        raise BadToken
    if scope not in row.scopes:
        raise NotAllowed(f"this key lacks the scope {scope}")
    return row


def _row(public: str) -> ApiKey | None:
    """A key with its audience. Every call of a program comes by here, and a third of a short one was the ORM, spelling the
    same statement again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_look_up(), [public])
        values = cursor.fetchone()
    if values is None:
        return None
    names = [field.attname for field in ApiKey._meta.concrete_fields]
    plain = dict(zip(names, values, strict=False))
    plain["scopes"] = as_json(plain["scopes"])
    plain |= {name: as_datetime(plain[name]) for name in names if name.endswith("_at")}
    alias = connection.alias or DEFAULT_DB_ALIAS
    row: ApiKey = ApiKey.from_db(alias, names, [plain[name] for name in names])
    # Its other columns are fetched if somebody asks for them.
    row.audience = Audience.from_db(alias, _AUDIENCE, values[len(names) :])
    return row


_AUDIENCE = ("id", "key", "name", "site_id")


@cache
def _look_up() -> str:
    quote = connection.ops.quote_name
    columns = [f"api_key.{quote(str(field.column))}" for field in ApiKey._meta.concrete_fields]
    columns += [f"audience.{quote(column)}" for column in _AUDIENCE]
    return (
        f"SELECT {', '.join(columns)} FROM {quote(ApiKey._meta.db_table)} AS api_key "  # noqa: S608 - names, no values
        f"JOIN {quote(Audience._meta.db_table)} AS audience ON audience.id = api_key.audience_id WHERE api_key.id = %s"
    )


def note_use(row: ApiKey, key: str) -> None:
    """Note that a key was used just now, at most once a minute: one statement then, and mostly none.

    A key that was made under an older signing key is kept under the newest from then on, so that the older one can go
    some day. Never call this for a call that was refused.
    """
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - NOTED_EVERY)
    values: dict[str, Any] = {"last_used_at": now}
    if row.kid != conf.signing_keys[0].kid:
        stale |= Q(kid=row.kid)
        values["kid"], values["secret_digest"] = _digest(key)
    elif row.last_used_at is not None and row.last_used_at > now - NOTED_EVERY:
        return
    ApiKey.objects.filter(stale, pk=row.pk).update(**values)


def revoke(row: ApiKey) -> bool:
    """End a key, at once and in all processes; says whether that was not done before."""
    return bool(ApiKey.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=timezone.now()))


def state_of(row: ApiKey) -> KeyState:
    """Whether a key opens anything now."""
    if row.revoked_at is not None:
        return KeyState.REVOKED
    if row.expires_at is not None and row.expires_at <= timezone.now():
        return KeyState.EXPIRED
    return KeyState.ACTIVE


def scope_labels(row: ApiKey) -> list[str]:
    """What a key may be used for, in words; a scope that there is no longer stands as it is."""
    labels = {scope.value: str(scope.label) for scope in Scope}
    return [labels.get(scope, scope) for scope in row.scopes]


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _place in range(length))


def _checksum(text: str) -> str:
    number, found = zlib.crc32(text.encode()), ""
    for _place in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        found = _ALPHABET[digit] + found
    return found


def _digest(key: str) -> tuple[str, str]:
    kid, mac = keys.mac("api-key", key.encode())
    return kid, mac.hex()
