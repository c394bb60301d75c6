"""Where an import is, what platforms told us, and how far they drifted. A run holds nothing of the file but its digest; an upload is the file, for a day at most."""

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


class Arrival(models.Model):
    """One event that a platform told us of: kept first and looked at later. `event` is a digest of its id: once is enough."""

    WAITING, DONE, NOTHING, UNKNOWN, REFUSED = "waiting", "done", "nothing", "unknown", "refused"

    backend = models.CharField(_("backend"), max_length=64)
    event = models.CharField(max_length=64, editable=False)
    received_at = models.DateTimeField(_("received"))
    at = models.DateTimeField(_("happened"), null=True)  # over there; null where the platform does not say
    payload = models.TextField(blank=True, editable=False)  # encrypted; emptied when it was looked at
    state = models.CharField(_("state"), max_length=16, default=WAITING)
    code = models.CharField(_("code"), max_length=64, blank=True)  # why nothing came of it
    due_at = models.DateTimeField(null=True)  # when to look at it; null: it was
    attempts = models.PositiveIntegerField(default=0)
    contact = models.UUIDField(_("contact"), null=True)
    record = models.UUIDField(_("record"), null=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [models.UniqueConstraint(fields=["backend", "event"], name="prefs_arrival_once")]
        indexes = [
            models.Index(
                fields=["due_at"], name="prefs_arrival_due", condition=models.Q(due_at__isnull=False)
            ),
            models.Index(fields=["received_at"], name="prefs_arrival_received"),
        ]

    def __str__(self) -> str:
        return f"{self.backend} {self.received_at:%Y-%m-%d %H:%M}"


class PollMark(models.Model):
    """How far a platform without webhooks was asked for its news."""

    backend = models.CharField(_("backend"), max_length=64, primary_key=True)
    cursor = models.TextField(blank=True)  # the platform's own; may name people, so it is encrypted
    due_at = models.DateTimeField(null=True)
    polled_at = models.DateTimeField(_("last asked"), null=True)
    code = models.CharField(_("last error"), max_length=128, blank=True)
    busy_until = models.DateTimeField(null=True)  # a worker is at it

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("poll")
        verbose_name_plural = _("polls")

    def __str__(self) -> str:
        return self.backend


class DriftRun(models.Model):
    """Reading a backend back and comparing it with what we hold, field by field. No values, only counts and contacts."""

    AUTOMATIC = "worker"

    backend = models.CharField(_("backend"), max_length=64)
    against = models.CharField(max_length=64, blank=True)  # another backend; "": what we hold
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    # the primary key of a user, "" for a command, AUTOMATIC
    started_by = models.CharField(max_length=64, blank=True)
    repairs = models.BooleanField(default=False)  # whether what differs is put right, toward less mail
    sample = models.PositiveIntegerField(default=0)  # contacts to look at; 0: everybody
    total = models.PositiveBigIntegerField(default=0)  # contacts the backend had heard of when it began
    last = models.UUIDField(null=True)
    checked = models.PositiveBigIntegerField(_("contacts looked at"), default=0)
    differing = models.PositiveBigIntegerField(_("contacts that differ"), default=0)
    unknown = models.PositiveBigIntegerField(_("not known there"), default=0)
    failed = models.PositiveBigIntegerField(_("could not be read"), default=0)
    # {field: {"stricter_there": n, "looser_there": n, "other": n, "contacts": [ids, the first 20]}}
    fields = models.JSONField(default=dict)
    repaired = models.PositiveBigIntegerField(_("put right"), default=0)
    finished_at = models.DateTimeField(_("finished"), null=True)
    code = models.CharField(max_length=128, blank=True)  # why it waits, or ended before its end
    busy_until = models.DateTimeField(null=True)  # a worker is at it, or it waits for the platform

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")
        constraints = [
            models.UniqueConstraint(
                fields=["backend"], condition=models.Q(finished_at=None), name="prefs_drift_one"
            )
        ]
        indexes = [models.Index(fields=["backend", "-started_at"], name="prefs_drift_started")]

    def __str__(self) -> str:
        return f"{self.backend} {self.started_at:%Y-%m-%d}"
