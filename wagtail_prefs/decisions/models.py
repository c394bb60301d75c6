"""What was sent: the slots that frequency caps count."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Send(models.Model):
    """A message that a sender was told to send to a contact. A refusal or a wait leaves no row."""

    message_id = models.CharField(_("message"), max_length=200)
    contact = models.UUIDField(_("contact"))
    topic = models.CharField(_("topic"), max_length=64)
    channel = models.CharField(_("channel"), max_length=16)
    at = models.DateTimeField(_("sent"))
    counts = models.BooleanField(_("counts"), default=True)  # transactional mail takes no slot of a cap

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("sent message")
        verbose_name_plural = _("sent messages")
        constraints = [models.UniqueConstraint(fields=["message_id", "contact"], name="prefs_send_once")]
        indexes = [models.Index(fields=["contact", "-at"], name="prefs_send_contact")]

    def __str__(self) -> str:
        return f"{self.contact} {self.topic} {self.channel}"
