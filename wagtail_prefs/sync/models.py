"""Where an import is. No row holds anything of the file but its digest."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ImportRun(models.Model):
    """One file that is, or was, written into one audience: the same file again goes on, or has nothing to do."""

    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, editable=False)  # of the file, and of how its columns were read
    row = models.PositiveBigIntegerField(_("last row"), default=0, editable=False)
    sums = models.JSONField(default=dict, editable=False)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    done_at = models.DateTimeField(_("done"), null=True, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [models.UniqueConstraint(fields=["audience", "digest"], name="prefs_import_once")]

    def __str__(self) -> str:
        return self.digest[:12]
