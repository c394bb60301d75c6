"""What the admin shows. Only composes; imported while Django starts, so nothing here asks the database."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern
from wagtail import hooks
from wagtail.admin.viewsets.base import ViewSet
from wagtail.snippets.models import register_snippet

from .admin.centers import center_listings, center_viewsets
from .admin.deliveries import delivery_listings, register_policies
from .admin.menu import PreferencesGroup
from .admin.panels import before_bulk_action
from .admin.preview import preview_urls
from .centers.checks import audit

register_policies()
register_snippet(PreferencesGroup)


@hooks.register("register_icons")
def register_icons(icons: list[str]) -> list[str]:
    return [*icons, "wagtail_prefs/icons/wagtail-prefs.svg"]


@hooks.register("register_admin_viewset")
def register_viewsets() -> list[ViewSet]:
    return [*center_listings(), *center_viewsets(), *delivery_listings()]


@hooks.register("register_admin_urls")
def register_preview() -> list[URLPattern]:
    return preview_urls()


@hooks.register("register_log_actions")
def register_log_actions(actions: Any) -> None:
    audit.register_actions(actions)


hooks.register("before_bulk_action", before_bulk_action)
