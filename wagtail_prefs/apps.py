"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WagtailPrefsConfig(AppConfig):
    """One app, one label; the packages inside are layers, not apps."""

    name = "wagtail_prefs"
    label = "wagtail_prefs"
    verbose_name = _("Preferences")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: PLC0415 - models are loaded by now
        from .centers import fields, receivers  # noqa: PLC0415
        from .contacts import keys_in_use  # noqa: PLC0415
        from .ledger import guard  # noqa: PLC0415
        from .rights import duplicates, erasure  # noqa: PLC0415
        from .sync import anymail  # noqa: PLC0415
        from .web import logs  # noqa: PLC0415

        logs.install_if_wanted()
        checks.connect()
        receivers.connect()
        guard.connect(self)
        keys_in_use.connect(self)
        fields.build_blocks()
        anymail.connect()
        erasure.connect()
        duplicates.connect()
