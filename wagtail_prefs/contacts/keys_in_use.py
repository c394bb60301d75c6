"""Which peppers and encryption keys this database was written with, so that none is taken out of the settings unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.models.signals import post_migrate
from django.utils.timezone import now

from ..conf import SigningKey, conf
from ..keys import fingerprint
from .models import KeyInUse

#: What is encrypted and does not stay is gone after so long: what platforms must forget, events, mails that wait.
SHORT_LIVED = timedelta(days=35)


def connect(config: AppConfig) -> None:
    """Remember after every migration; called from apps.ready()."""
    post_migrate.connect(_migrated, sender=config, dispatch_uid="wagtail_prefs.contacts.keys_in_use")


def _migrated(**_kwargs: Any) -> None:
    if _is_there():
        remember()


def remember() -> None:
    """Note the keys of both rings: one statement where all are known. What stands in the settings may have been used.

    The key that development makes up for itself is none.
    """
    ours = {fingerprint(key): (ring, key) for ring, key in _rings()}
    if not ours:
        return
    known = set(KeyInUse.objects.values_list("fingerprint", flat=True))
    KeyInUse.objects.bulk_create(
        [
            KeyInUse(fingerprint=print_, ring=ring, kid=key.kid, since=now())
            for print_, (ring, key) in ours.items()
            if print_ not in known
        ],
        ignore_conflicts=True,
    )


def leave(ring: str, but: SigningKey) -> None:
    """Note that nothing that stays is under the other keys of a ring any more."""
    KeyInUse.objects.filter(ring=ring, left_at=None).exclude(fingerprint=fingerprint(but)).update(
        left_at=now()
    )


def _rings() -> Iterator[tuple[str, SigningKey]]:
    if not settings.DEBUG or conf.raw.get("PEPPERS") or conf.raw.get("SIGNING_KEYS"):
        for key in conf.peppers:
            yield KeyInUse.PEPPERS, key
    for key in conf.encryption_keys:
        yield KeyInUse.ENCRYPTION_KEYS, key


def missing() -> Iterator[KeyInUse]:
    """The keys that this database needs and the settings do not have."""
    held = {(ring, fingerprint(key)) for ring, key in _rings()}
    for row in KeyInUse.objects.order_by("since", "fingerprint"):
        left = row.left_at is not None and row.left_at < now() - SHORT_LIVED
        if (row.ring, row.fingerprint) not in held and not left:
            yield row


def check_keys_in_use(**_kwargs: Any) -> list[CheckMessage]:
    """E063 and E064, of a deployment: a pepper or an encryption key that is lost (security.md PR-01, PR-02)."""
    try:
        rows = list(missing()) if _is_there() else []
    except (DatabaseError, ImproperlyConfigured, KeyError, TypeError):  # other checks say so
        return []
    return [_PROBLEMS[row.ring](row) for row in rows]


def _no_pepper(row: KeyInUse) -> CheckMessage:
    return Error(
        f"This database was written with a pepper that is not in the settings: {row.kid!r}, since {row.since:%Y-%m-%d} "
        f"({row.fingerprint[:12]}).",
        hint='Put it back into WAGTAIL_PREFS["PEPPERS"], at the end (or into SIGNING_KEYS, where there are no PEPPERS). '
        "Without it nobody knows any more who was erased and must get nothing.",
        id="wagtail_prefs.E063",
    )


def _no_encryption_key(row: KeyInUse) -> CheckMessage:
    return Error(
        f"This database was written with an encryption key that is not in the settings: {row.kid!r}, since "
        f"{row.since:%Y-%m-%d} ({row.fingerprint[:12]}).",
        hint='Put it back into WAGTAIL_PREFS["ENCRYPTION_KEYS"], at the end; `manage.py prefs_rekey --apply` makes it '
        f"superfluous {SHORT_LIVED.days} days later.",
        id="wagtail_prefs.E064",
    )


_PROBLEMS = {KeyInUse.PEPPERS: _no_pepper, KeyInUse.ENCRYPTION_KEYS: _no_encryption_key}


def _is_there() -> bool:
    """Before the first migrate there is no table."""
    return KeyInUse._meta.db_table in connection.introspection.table_names()
