"""What was asked for and how far it is, whom nobody should ask about twice, and what was forgotten. Nothing personal."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..ids import uuid7


class Erasure(models.Model):
    """That somebody was forgotten, and which platforms have followed. `contact` is the id of an empty row by now.

    `backends` is {alias: {"state", "at"}}, the states of `erasure.STATES`; `done_at` is set when none is left to follow.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    contact = models.UUIDField(_("contact"), unique=True, editable=False)
    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(_("erased"), editable=False)
    by = models.CharField(_("by"), max_length=80, editable=False)  # as records name the actor: "admin:7"
    reason = models.CharField(_("reason"), max_length=500, blank=True, editable=False)
    due_at = models.DateTimeField(_("to be done by"), editable=False)
    backends = models.JSONField(default=dict, editable=False)
    done_at = models.DateTimeField(_("done"), null=True, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        indexes = [
            models.Index(fields=["audience", "-at"], name="prefs_erasure_audience"),
            models.Index(fields=["due_at"], name="prefs_erasure_open", condition=models.Q(done_at=None)),
        ]

    def __str__(self) -> str:
        return str(self.contact)


class MatchKey(models.Model):
    """What two rows of one person would share, as a keyed digest (`duplicates.KINDS`); made by a scan, of no use else."""

    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=16, editable=False)
    key = models.CharField(max_length=64, editable=False)
    contact = models.UUIDField(editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("key of a match")
        verbose_name_plural = _("keys of matches")
        constraints = [models.UniqueConstraint(fields=["contact", "kind", "key"], name="prefs_match_once")]
        indexes = [models.Index(fields=["audience", "kind", "key"], name="prefs_match_key")]

    def __str__(self) -> str:
        return f"{self.contact} {self.kind}"


class Duplicate(models.Model):
    """Two contacts who may be one person: `first` is the smaller id. Open while `outcome` is "". Kept once it is settled,
    so that nobody is asked about the same two again.
    """

    class Outcome(models.TextChoices):
        MERGED = "merged", _("Merged")
        DISTINCT = "distinct", _("Two people")
        GONE = "gone", _("One of them is gone")

    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.CASCADE, related_name="+")
    first = models.UUIDField(editable=False)
    second = models.UUIDField(editable=False)
    kinds = models.JSONField(default=list, editable=False)  # of MatchKey: what they share
    found_at = models.DateTimeField(_("found"), editable=False)
    outcome = models.CharField(
        _("outcome"), max_length=16, choices=Outcome.choices, default="", blank=True, editable=False
    )
    settled_at = models.DateTimeField(_("settled"), null=True, editable=False)
    by = models.CharField(_("by"), max_length=80, default="", editable=False)
    reason = models.CharField(_("reason"), max_length=500, default="", editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("possible duplicate")
        verbose_name_plural = _("possible duplicates")
        constraints = [models.UniqueConstraint(fields=["first", "second"], name="prefs_duplicate_once")]
        indexes = [
            models.Index(
                fields=["audience", "found_at"], name="prefs_duplicate_open", condition=models.Q(outcome="")
            )
        ]

    def __str__(self) -> str:
        return f"{self.first} {self.second}"


class DuplicateScan(models.Model):
    """One look through the contacts of an audience, in the phases of `duplicates`. Where it is, so that it can go on:
    `after` is the last contact that was looked at, `place` the last group or pair of the phases behind that.
    """

    class Phase(models.TextChoices):
        WALK = "walk", _("Looking at people")
        PAIR = "pair", _("Putting pairs together")
        CHECK = "check", _("Looking through earlier pairs")
        CLEAN = "clean", _("Clearing up")

    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.CASCADE, related_name="+")
    started_at = models.DateTimeField(_("started"), editable=False)
    started_by = models.CharField(max_length=80, editable=False)
    after = models.UUIDField(null=True, editable=False)
    looked_at = models.PositiveBigIntegerField(default=0, editable=False)
    found = models.PositiveBigIntegerField(default=0, editable=False)
    total = models.PositiveBigIntegerField(default=0, editable=False)
    # so many shared something that they are no two who may be one
    crowds = models.PositiveBigIntegerField(default=0, editable=False)
    phase = models.CharField(max_length=8, choices=Phase.choices, default=Phase.WALK, editable=False)
    place = models.CharField(max_length=96, default="", editable=False)
    done_at = models.DateTimeField(_("done"), null=True, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("search for duplicates")
        verbose_name_plural = _("searches for duplicates")
        constraints = [
            models.UniqueConstraint(
                fields=["audience"], condition=models.Q(done_at=None), name="prefs_one_duplicate_scan"
            )
        ]

    def __str__(self) -> str:
        return f"{self.audience_id} {self.started_at:%Y-%m-%d}"


class RetentionRun(models.Model):
    """One round of forgetting: `report` is {rule: {"found", "forgotten"}}; a dry run has forgotten nothing."""

    started_at = models.DateTimeField(_("started"), editable=False)
    done_at = models.DateTimeField(_("done"), null=True, editable=False)
    dry = models.BooleanField(_("dry run"), default=False, editable=False)
    by = models.CharField(_("by"), max_length=80, editable=False)
    report = models.JSONField(default=dict, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("round of retention")
        verbose_name_plural = _("rounds of retention")
        indexes = [models.Index(fields=["-started_at"], name="prefs_retention_newest")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"
