"""Deliveries: what each backend should know, does know, and when to try next."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Delivery(models.Model):
    """Bringing one backend up to one contact's newest version. Saved in the transaction of the submission."""

    backend = models.CharField(_("backend"), max_length=64)
    contact = models.UUIDField(_("contact"))
    wanted = models.PositiveBigIntegerField(_("wanted version"))
    delivered = models.PositiveBigIntegerField(_("delivered version"), default=0)
    restricts = models.BooleanField(_("opt-out waiting"), default=False)  # these rows go first
    due_at = models.DateTimeField(_("due"), null=True)  # null: nothing to do
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    failing_since = models.DateTimeField(_("failing since"), null=True)
    last_outcome = models.CharField(_("last outcome"), max_length=32, blank=True)
    last_code = models.CharField(_("last code"), max_length=128, blank=True)  # never personal, never a secret
    parked = models.JSONField(
        _("parked"), default=list
    )  # operations refused for good, for a person to look at
    remote_id = models.CharField(max_length=255, blank=True)
    delivered_at = models.DateTimeField(_("delivered at"), null=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [models.UniqueConstraint(fields=["backend", "contact"], name="prefs_delivery_once")]
        indexes = [
            # Only what is due some day: a poll must not walk over millions of rows with nothing to do.
            models.Index(
                fields=["backend", "-restricts", "due_at"],
                name="prefs_delivery_due",
                condition=models.Q(due_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.backend} {self.contact}"


class Lane(models.Model):
    """What concerns one backend as a whole: until when to leave it alone, and when a worker last looked after it."""

    backend = models.CharField(_("backend"), max_length=64, primary_key=True)
    paused_until = models.DateTimeField(_("left alone until"), null=True)  # Retry-After, or wrong credentials
    code = models.CharField(_("reason"), max_length=128, blank=True)
    seen_at = models.DateTimeField(_("worker seen"), null=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("delivery lane")
        verbose_name_plural = _("delivery lanes")

    def __str__(self) -> str:
        return self.backend
