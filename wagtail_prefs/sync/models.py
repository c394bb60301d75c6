"""Where an import is. A run holds nothing of the file but its digest; an upload is the file, for a day at most."""

from __future__ import annotations

import uuid

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
    upload = models.UUIDField(null=True, editable=False)  # what it was, that its last button finds the way

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [models.UniqueConstraint(fields=["audience", "digest"], name="prefs_import_once")]

    def __str__(self) -> str:
        return self.digest[:12]


class ImportUpload(models.Model):
    """A file that a user of the admin has sent: kept while it is looked at and written, and never over a day.

    People stand in `file`, and nowhere else: `problems` are [number of the row, code], the first ones.
    """

    CHECKING, CHECKED, WRITING = "checking", "checked", "writing"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.CASCADE, related_name="+")
    user = models.CharField(max_length=64, editable=False)  # the primary key of whoever sent it
    file = models.BinaryField(editable=False)
    mapping = models.JSONField(default=dict, editable=False)  # {header: column}
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    state = models.CharField(max_length=16, default=CHECKING, editable=False)
    row = models.PositiveBigIntegerField(default=1, editable=False)  # the last one that was looked at
    rows = models.PositiveBigIntegerField(editable=False)  # the last one that there is
    sums = models.JSONField(default=dict, editable=False)
    problems = models.JSONField(default=list, editable=False)
    busy_until = models.DateTimeField(null=True, editable=False)  # a request is at it

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("file to import")
        verbose_name_plural = _("files to import")

    def __str__(self) -> str:
        return str(self.pk)
