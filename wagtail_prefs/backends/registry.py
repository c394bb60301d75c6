"""The configured backends by alias, like Django's `storages`: `backends["crm"]`, one instance per thread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from asgiref.local import Local
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ..conf import conf
from .base import Backend

#: Beside the class and its options: the words of the address its webhooks come to (one or two, the newest first), and
#: whether its news may make a yes where it names evidence of the person's own act.
_KEYS = {"BACKEND", "OPTIONS", "INBOUND_SECRETS", "AUTHORITATIVE"}
#: An alias stands in addresses and in columns of 64 letters.
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: 128 bits as base64url; security.md asks for no less in an address that is a password.
_SECRET = re.compile(r"[A-Za-z0-9_-]{22,128}")


class UnknownBackend(ImproperlyConfigured):
    """No backend of that alias is configured."""


class BackendRegistry:
    """Backends are imported on first use, so a process that never delivers never loads their libraries."""

    def __init__(self) -> None:
        self._instances = Local()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(conf.backends))

    def __contains__(self, alias: object) -> bool:
        return alias in conf.backends

    def __getitem__(self, alias: str) -> Backend:
        """The backend of an alias; raises UnknownBackend, and ImproperlyConfigured for settings it cannot use."""
        made: dict[str, Backend] | None = getattr(self._instances, "made", None)
        if made is None:
            made = self._instances.made = {}
        if alias not in made:
            made[alias] = self._make(alias)
        return made[alias]

    def inbound_secrets(self, alias: str) -> list[str]:
        """The secret words in the address that the webhooks of a backend come to; none: it takes no webhooks."""
        return list(conf.backends.get(alias, {}).get("INBOUND_SECRETS", ()))

    def is_authoritative(self, alias: str) -> bool:
        """Whether a yes that this backend tells us of, with evidence, counts."""
        return conf.backends.get(alias, {}).get("AUTHORITATIVE") is True

    def reset(self) -> None:
        """Forget all instances; the settings have changed."""
        self._instances = Local()

    def _make(self, alias: str) -> Backend:
        if alias not in self:
            configured = ", ".join(self) or "none"
            raise UnknownBackend(
                f'There is no backend "{alias}". Add it to WAGTAIL_PREFS["BACKENDS"], or use one of: {configured}.'
            )
        if not _ALIAS.fullmatch(alias):
            raise ImproperlyConfigured(
                f'The alias {alias!r} in WAGTAIL_PREFS["BACKENDS"] must be of letters, digits, - and _, 64 at most.'
            )
        entry: object = conf.backends[alias]
        where = f'WAGTAIL_PREFS["BACKENDS"]["{alias}"]'
        if not isinstance(entry, Mapping) or "BACKEND" not in entry:
            raise ImproperlyConfigured(f'{where} must be a dict with "BACKEND", the dotted path of a class.')
        unknown = sorted(set(entry) - _KEYS)
        if unknown:
            raise ImproperlyConfigured(f"{where} has unknown keys: {', '.join(unknown)}.")
        secrets = entry.get("INBOUND_SECRETS", ())
        if not isinstance(secrets, list | tuple) or not all(
            isinstance(secret, str) and _SECRET.fullmatch(secret) for secret in secrets
        ):
            raise ImproperlyConfigured(
                f'{where}["INBOUND_SECRETS"] must be a list of random words of 22 letters, digits, - and _ or more: '
                'python -c "import secrets; print(secrets.token_urlsafe(24))".'
            )
        if not isinstance(entry.get("AUTHORITATIVE", False), bool):
            raise ImproperlyConfigured(f'{where}["AUTHORITATIVE"] must be True or False.')
        try:
            cls = import_string(entry["BACKEND"])
        except ImportError as error:
            raise ImproperlyConfigured(f'{where}["BACKEND"] cannot be imported: {error}') from error
        if not (isinstance(cls, type) and issubclass(cls, Backend)):
            raise ImproperlyConfigured(
                f'{where}["BACKEND"] must be a subclass of wagtail_prefs.backends.base.Backend.'
            )
        try:
            return cls(alias, entry.get("OPTIONS", {}))
        except ImproperlyConfigured:
            raise
        except Exception as error:
            # The type and not the text, which may hold a secret.
            raise ImproperlyConfigured(f"{where} cannot be made: {type(error).__name__}.") from error


backends = BackendRegistry()


def _forget(*, setting: str, **_: object) -> None:
    if setting == "WAGTAIL_PREFS":
        backends.reset()


setting_changed.connect(_forget, dispatch_uid="wagtail_prefs.backends")
