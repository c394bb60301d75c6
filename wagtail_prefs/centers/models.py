"""Snapshots, which of them are current, and the origins a center may be shown on.

The page itself is in `mixins` and `page`: a site with its own base page model takes the mixin only.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class CenterSnapshot(models.Model):
    """A published center compiled for one locale. Immutable, named by its digest, without a foreign key."""

    digest = models.CharField(max_length=64, primary_key=True, editable=False)
    center = models.UUIDField(editable=False)
    locale = models.CharField(max_length=35, editable=False)
    document = models.TextField(editable=False)  # the bytes that are served, as text
    specs = models.TextField(editable=False)  # canonical JSON of the server's side of every block
    created_at = models.DateTimeField(auto_now_add=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("snapshot")
        verbose_name_plural = _("snapshots")

    def __str__(self) -> str:
        return self.digest[:12]


class ShownText(models.Model):
    """That a snapshot shows a text: an index, by which `texts.find` need not read them all."""

    sha256 = models.CharField(max_length=64, editable=False)
    snapshot = models.CharField(max_length=64, editable=False)  # its digest

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("text shown")
        verbose_name_plural = _("texts shown")
        constraints = [models.UniqueConstraint(fields=["sha256", "snapshot"], name="prefs_shown_text")]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} {self.snapshot[:12]}"


class PublishedCenter(models.Model):
    """Which snapshot of a center is served in a locale, and where its page and its host pages are."""

    center = models.UUIDField(editable=False)
    locale = models.CharField(max_length=35, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.CASCADE, related_name="+")
    page_id = models.PositiveBigIntegerField(editable=False)
    page_url = models.URLField(max_length=2000, editable=False)
    host_pages = models.JSONField(default=list, editable=False)  # URLs; a link names one by its index
    origins = models.JSONField(default=list, editable=False)  # allowed by the site, narrowed by the center
    updated_at = models.DateTimeField(auto_now=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("published center")
        verbose_name_plural = _("published centers")
        constraints = [models.UniqueConstraint(fields=["center", "locale"], name="prefs_published_once")]

    def __str__(self) -> str:
        return f"{self.center} {self.locale}"
