"""The page type for sites with Wagtail's own page model."""

from __future__ import annotations

import swapper
from django.utils.translation import gettext_lazy as _

from .mixins import PreferenceCenterMixin

swapper.set_app_prefix("wagtailcore", "wagtail")

# A child of a page model that the site has replaced could never be saved. Such a site makes its own page type with
# the mixin, and this one does not exist there (nor its table: see the migration).
if not swapper.is_swapped("wagtailcore", "Page"):
    from wagtail.models import Page

    class PreferenceCenterPage(PreferenceCenterMixin, Page):
        """A preference center as a page."""

        content_panels = [*Page.content_panels, *PreferenceCenterMixin.center_panels]

        class Meta:
            verbose_name = _("preference center")
            verbose_name_plural = _("preference centers")
