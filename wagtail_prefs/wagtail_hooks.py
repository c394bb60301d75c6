"""What the admin shows. Only composes; imported while Django starts, so nothing here asks the database."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import QuerySet
from django.urls import URLPattern
from wagtail import hooks
from wagtail.admin.viewsets.base import ViewSet
from wagtail.snippets.models import register_snippet

from .access import bulk
from .admin import (
    api_keys,
    arrivals,
    backends,
    backfills,
    calendar,
    comparisons,
    duplicates,
    erasures,
    imports,
    law,
    mails,
    promises,
    results,
    retention,
    staff_log,
    waiting,
)
from .admin.centers import center_listings, center_viewsets
from .admin.contacts import contact_viewsets
from .admin.deliveries import delivery_listings
from .admin.menu import PreferencesGroup
from .admin.panels import before_bulk_action
from .admin.permissions import SitePermissionsForm, permissions, register_policies
from .admin.preview import preview_urls
from .admin.topics import register_log_actions as register_topic_actions
from .centers.checks import audit
from .decisions import suppressions
from .rights import services as rights
from .sync import importing

register_policies()
arrivals.register_policy()
register_snippet(PreferencesGroup)


@hooks.register("register_icons")
def register_icons(icons: list[str]) -> list[str]:
    return [*icons, "wagtail_prefs/icons/wagtail-prefs.svg"]


@hooks.register("register_admin_viewset")
def register_viewsets() -> list[ViewSet]:
    return [
        *center_listings(),
        *center_viewsets(),
        *contact_viewsets(),
        duplicates.DuplicatesViewSet(),
        erasures.ErasuresViewSet(),
        retention.RetentionViewSet(),
        *delivery_listings(),
        arrivals.ArrivalViewSet(),
        results.ResultsViewSet(),
        promises.PromisesViewSet(),
        calendar.CalendarViewSet(),
        law.LawViewSet(),
        backends.BackendsViewSet(),
        backfills.BackfillsViewSet(),
        comparisons.ComparisonsViewSet(),
        imports.ImportsViewSet(),
        mails.MailsViewSet(),
        waiting.WaitingViewSet(),
        api_keys.ApiKeyViewSet(),
    ]


@hooks.register("register_admin_urls")
def register_preview() -> list[URLPattern]:
    return preview_urls()


@hooks.register("register_log_actions")
def register_log_actions(actions: Any) -> None:
    audit.register_actions(actions)
    register_topic_actions(actions)
    staff_log.register_actions(actions)
    results.register_actions(actions)
    promises.register_actions(actions)
    importing.register_actions(actions)
    bulk.register_actions(actions)
    suppressions.register_actions(actions)
    rights.register_actions(actions)
    api_keys.register_actions(actions)


@hooks.register("register_permissions")
def register_permissions() -> QuerySet[Permission]:
    return permissions()


@hooks.register("register_group_permission_panel")
def register_group_permission_panel() -> type[SitePermissionsForm]:
    return SitePermissionsForm


hooks.register("before_bulk_action", before_bulk_action)
