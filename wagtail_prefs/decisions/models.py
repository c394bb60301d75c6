"""What was sent - the places that frequencies count, and what a report holds against promises - and what was asked."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Send(models.Model):
    """A message that a sender was told to send to a contact, or told us that it sent. A refusal or a wait leaves no row.

    `verdict`, `reason` and `record` say what `decide` answered for its moment: anything but `send` is a broken promise.
    """

    message_id = models.CharField(_("message"), max_length=200)
    contact = models.UUIDField(_("contact"))
    topic = models.CharField(_("topic"), max_length=64)
    channel = models.CharField(_("channel"), max_length=16)
    at = models.DateTimeField(_("sent"))
    counts = models.BooleanField(_("counts"), default=True)  # transactional mail takes no slot of a cap
    sender = models.CharField(_("sender"), max_length=64, default="", db_default="")  # as it calls itself
    verdict = models.CharField(
        _("decision"), max_length=8, default="", db_default=""
    )  # values.Verdict; "": not judged
    reason = models.CharField(_("reason"), max_length=64, default="", db_default="")
    record = models.UUIDField(_("record"), null=True)  # of the ledger, behind the decision
    waited_since = models.DateTimeField(_("waited since"), null=True)  # it was put off then, and went out now

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("sent message")
        verbose_name_plural = _("sent messages")
        constraints = [models.UniqueConstraint(fields=["message_id", "contact"], name="prefs_send_once")]
        indexes = [
            models.Index(fields=["contact", "-at"], name="prefs_send_contact"),
            models.Index(fields=["at"], name="prefs_send_at"),  # a day is counted at a time (promises.py)
            models.Index(
                fields=["-at"],
                name="prefs_send_broken",  # few, or none: what was sent against a no
                condition=~models.Q(verdict__in=["send", ""]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.contact} {self.topic} {self.channel}"


class DecisionCount(models.Model):
    """How often something was answered or sent on one day (`counting`); about nobody in particular."""

    day = models.DateField(_("day"), editable=False)
    audience_id = models.BigIntegerField(default=0, editable=False)  # 0: asked by Python code, for any
    topic = models.CharField(_("topic"), max_length=64, editable=False)
    channel = models.CharField(_("channel"), max_length=16, editable=False)
    sender = models.CharField(_("sender"), max_length=64, editable=False)
    event = models.CharField(max_length=16, editable=False)  # of counting.Event
    reason = models.CharField(_("reason"), max_length=64, editable=False)
    count = models.PositiveBigIntegerField(_("number"), editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("count of decisions")
        verbose_name_plural = _("counts of decisions")
        constraints = [
            models.UniqueConstraint(
                fields=["day", "audience_id", "topic", "channel", "sender", "event", "reason"],
                name="prefs_decision_count",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.event}"


class SendCountMark(models.Model):
    """How far the counting of sends is (`promises.count_sends`): the newest row that was seen, and when. One row."""

    ONLY = 1

    send = models.BigIntegerField(default=0)
    at = models.DateTimeField(_("counted"), null=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("mark of counted sends")
        verbose_name_plural = _("marks of counted sends")

    def __str__(self) -> str:
        return str(self.send)
