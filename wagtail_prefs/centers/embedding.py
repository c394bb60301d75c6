"""The site setting that says where centers may be embedded. It has a permission of its own."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel
from wagtail.contrib.settings.models import BaseSiteSetting, register_setting

from .origins import lines, validate_origins


@register_setting(icon="wagtail-prefs")
class EmbedSettings(BaseSiteSetting):
    """Allowed origins of one site. A center may only narrow them (security.md EB-03, EB-13)."""

    origins = models.TextField(
        _("allowed origins"),
        blank=True,
        validators=[validate_origins],
        help_text=_(
            "Websites that may show this site's preference centers, one a line, for example https://www.example.org. "
            "List only sites that you run: a page of theirs can read and change what its visitor chooses."
        ),
    )

    panels = [FieldPanel("origins")]

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("Embedding of preference centers")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @property
    def origin_list(self) -> list[str]:
        return lines(self.origins)


def site_origins(site_id: int) -> list[str]:
    """The allowed origins of a site; asks only, and makes no row."""
    found = EmbedSettings.objects.filter(site_id=site_id).values_list("origins", flat=True).first()
    return lines(found or "")
