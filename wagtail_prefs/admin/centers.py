"""All preference centers of all sites in one list, and the views that edit one."""

from __future__ import annotations

from typing import Any

import swapper
from django.utils.translation import gettext_lazy as _
from wagtail.admin.views.pages.create import CreateView
from wagtail.admin.views.pages.edit import EditView
from wagtail.admin.views.pages.revisions import RevisionsRevertView
from wagtail.admin.views.pages.workflow import WorkflowActionView
from wagtail.admin.viewsets.pages import PageListingViewSet, PageViewSet, page_viewset_registry

from .menu import SUBMENU_HOOK
from .panels import ChecksInEditor, ChecksInWorkflow, center_models

swapper.set_app_prefix("wagtailcore", "wagtail")


def center_listings() -> list[PageListingViewSet]:
    """One listing; none where the site has its own base page model and so its own page type."""
    if swapper.is_swapped("wagtailcore", "Page"):
        return []
    from ..centers.page import PreferenceCenterPage  # noqa: PLC0415 - exists only here

    class CenterListing(PageListingViewSet):
        model = PreferenceCenterPage
        name = "prefs_centers"
        icon = "wagtail-prefs"
        menu_label = _("Preference centers")
        menu_order = 0
        menu_hook = SUBMENU_HOOK

    return [CenterListing()]


class CenterCreateView(ChecksInEditor, CreateView):
    pass


class CenterEditView(ChecksInEditor, EditView):
    pass


class CenterRevertView(ChecksInEditor, RevisionsRevertView):
    pass


class CenterWorkflowView(ChecksInWorkflow, WorkflowActionView):
    pass


class CenterPageViewSet(PageViewSet):
    """How a center is edited. A site with a viewset of its own for its page type takes our view classes into it."""

    icon = "wagtail-prefs"
    add_view_class = CenterCreateView
    edit_view_class = CenterEditView
    revisions_revert_view_class = CenterRevertView
    workflow_action_view_class = CenterWorkflowView

    def on_register(self) -> None:
        known: dict[Any, Any] = page_viewset_registry.values_by_class
        if self.model not in known:
            super().on_register()


def center_viewsets() -> list[PageViewSet]:
    """One for each page type that is a center."""
    return [
        CenterPageViewSet(f"prefs_{model._meta.label_lower.replace('.', '_')}", model=model)
        for model in center_models()
    ]
