"""A mail that waits: for the end of a pause, of a quiet night, or of a period that has had its message."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..ids import uuid7


class Waiting(models.Model):
    """One mail to one contact that `decide` put off. `packed` is the mail, encrypted, and emptied when it is settled.

    A row waits while `outcome` is "". `due_at` is when it is looked at next, or the end of a lease. What was being sent
    when its worker died (`handed_at`) is not sent again: nobody knows whether it arrived, and two are one too many.
    """

    class Kind(models.TextChoices):
        DEFER = "defer", _("Waits")
        DIGEST = "digest", _("For a digest")

    class Outcome(models.TextChoices):
        SENT = "sent", _("Sent")
        IN_DIGEST = "in_digest", _("Sent in a digest")
        REFUSED = "refused", _("Not wanted any more")
        EXPIRED = "expired", _("Pointless by now")
        FAILED = "failed", _("The mail server refused it")
        UNCERTAIN = "uncertain", _("Interrupted while it was sent")
        WITHDRAWN = "withdrawn", _("Taken back by the sender")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message_id = models.CharField(_("message"), max_length=200)
    contact = models.UUIDField(_("contact"))
    audience_id = models.BigIntegerField()
    topic = models.CharField(_("topic"), max_length=64)
    channel = models.CharField(_("channel"), max_length=16)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    reason = models.CharField(_("reason"), max_length=64)  # of the newest decision
    sender = models.CharField(_("sender"), max_length=64, default="", db_default="")
    center = models.UUIDField(null=True)  # whose page the links of the mail open
    packed = models.TextField(blank=True)
    created_at = models.DateTimeField(_("since"))
    expires_at = models.DateTimeField(_("pointless from"))
    due_at = models.DateTimeField(_("due"))
    lease = models.CharField(max_length=22, blank=True)
    handed_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome.choices, blank=True)
    settled_at = models.DateTimeField(_("settled"), null=True)
    code = models.CharField(max_length=64, blank=True)  # why it failed last: never an address

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("waiting mail")
        verbose_name_plural = _("waiting mails")
        constraints = [models.UniqueConstraint(fields=["message_id", "contact"], name="prefs_waiting_once")]
        indexes = [
            models.Index(fields=["due_at"], name="prefs_waiting_due", condition=models.Q(outcome="")),
            models.Index(fields=["contact"], name="prefs_waiting_contact"),
            models.Index(
                fields=["settled_at"], name="prefs_waiting_settled", condition=~models.Q(outcome="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.contact} {self.topic} {self.channel}"


class PauseNoticeMark(models.Model):
    """Up to when ended pauses were announced: one row. `contact` is the last of those whose ended at that very moment."""

    ONLY = 1

    at = models.DateTimeField(_("announced up to"))
    contact = models.UUIDField(null=True)  # null: all of them

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("mark of announced pauses")
        verbose_name_plural = _("marks of announced pauses")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"
