"""A mail that waits to be sent."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..concealed import LENGTH, ConcealedEmailField, ConcealedJSONField
from ..ids import uuid7


class Mail(models.Model):
    """One mail of ours. `to` and `context` are personal, and emptied when it was sent or given up."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(_("kind"), max_length=32)  # a name of `kinds.KINDS`
    audience_id = models.BigIntegerField()
    contact = models.UUIDField(null=True, db_index=True)  # whom to forget it with; null: nobody we know
    to = ConcealedEmailField(_("to"), max_length=LENGTH, blank=True)
    locale = models.CharField(_("language"), max_length=35)
    context = ConcealedJSONField(
        default=dict
    )  # what the templates may say: links of ours, and editors' words
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    due_at = models.DateTimeField(_("due"), null=True)  # null: sent or given up
    lease = models.CharField(max_length=22, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    sent_at = models.DateTimeField(_("sent"), null=True)
    code = models.CharField(_("reason"), max_length=64, blank=True)  # why it failed last: never an address

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        indexes = [
            models.Index(fields=["due_at"], name="prefs_mail_due", condition=models.Q(due_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.created_at:%Y-%m-%d %H:%M}"
