"""All preference centers of all sites in one list."""

from __future__ import annotations

import swapper
from django.utils.translation import gettext_lazy as _
from wagtail.admin.viewsets.pages import PageListingViewSet

from .menu import SUBMENU_HOOK

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
