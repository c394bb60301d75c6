"""The configured backends by alias, like Django's `storages`: `backends["crm"]`, one instance per thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asgiref.local import Local
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ..conf import conf
from .base import Backend

_KEYS = {"BACKEND", "OPTIONS"}


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

    def reset(self) -> None:
        """Forget all instances; the settings have changed."""
        self._instances = Local()

    def _make(self, alias: str) -> Backend:
        if alias not in self:
            configured = ", ".join(self) or "none"
            raise UnknownBackend(
                f'There is no backend "{alias}". Add it to WAGTAIL_PREFS["BACKENDS"], or use one of: {configured}.'
            )
        entry: object = conf.backends[alias]
        where = f'WAGTAIL_PREFS["BACKENDS"]["{alias}"]'
        if not isinstance(entry, Mapping) or "BACKEND" not in entry:
            raise ImproperlyConfigured(f'{where} must be a dict with "BACKEND", the dotted path of a class.')
        unknown = sorted(set(entry) - _KEYS)
        if unknown:
            raise ImproperlyConfigured(f"{where} has unknown keys: {', '.join(unknown)}.")
        try:
            cls = import_string(entry["BACKEND"])
        except ImportError as error:
            raise ImproperlyConfigured(f'{where}["BACKEND"] cannot be imported: {error}') from error
        if not (isinstance(cls, type) and issubclass(cls, Backend)):
            raise ImproperlyConfigured(
                f'{where}["BACKEND"] must be a subclass of wagtail_prefs.backends.base.Backend.'
            )
        return cls(alias, entry.get("OPTIONS", {}))


backends = BackendRegistry()


def _forget(*, setting: str, **_: object) -> None:
    if setting == "WAGTAIL_PREFS":
        backends.reset()


setting_changed.connect(_forget, dispatch_uid="wagtail_prefs.backends")
