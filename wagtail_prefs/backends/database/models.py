"""The desired state as rows that other software can query, without knowing anything about this package:

SELECT email FROM wagtail_prefs_subscription
WHERE topic = 'news' AND channel = 'email' AND subscribed AND (paused_until IS NULL OR paused_until < CURRENT_TIMESTAMP)
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Subscriber(models.Model):
    """One contact as last delivered."""

    contact = models.UUIDField(_("contact"), primary_key=True)
    version = models.PositiveBigIntegerField(_("version"), default=0)
    audience = models.CharField(_("audience"), max_length=64, blank=True)
    email = models.CharField(_("e-mail address"), max_length=254, blank=True, db_index=True)
    phone = models.CharField(_("phone number"), max_length=32, blank=True)
    external_id = models.CharField(_("external id"), max_length=255, blank=True, db_index=True)
    language = models.CharField(_("language"), max_length=35, blank=True)
    country = models.CharField(_("country"), max_length=6, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, blank=True)
    opted_out = models.BooleanField(_("unsubscribed from all"), default=False)
    frequencies = models.JSONField(_("frequencies"), default=dict)  # {scope: code}
    pauses = models.JSONField(_("pauses"), default=dict)  # {scope: until}
    attributes = models.JSONField(_("attributes"), default=dict)
    delivered_at = models.DateTimeField(_("delivered at"))

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("subscriber")
        verbose_name_plural = _("subscribers")

    def __str__(self) -> str:
        return str(self.contact)


class Subscription(models.Model):
    """One contact x topic x channel that she was asked about. The address stands here too: most questions are one table's.

    A row without a topic is about the channel as a whole. A no to a channel is written to the topics that she had by it, so
    only who mails without a yes must look there. `frequency` and `paused_until` are what holds for this topic on this channel, after the contact's wishes for the
    channel and for everything: the rarer cap, the later end.
    """

    pk = models.CompositePrimaryKey("subscriber_id", "topic", "channel")
    subscriber = models.ForeignKey(
        "wagtail_prefs.Subscriber",
        verbose_name=_("subscriber"),
        db_column="contact",
        on_delete=models.CASCADE,
        related_name="subscriptions",
    )
    topic = models.CharField(_("topic"), max_length=64)
    channel = models.CharField(_("channel"), max_length=16)
    subscribed = models.BooleanField(_("subscribed"))
    email = models.CharField(_("e-mail address"), max_length=254, blank=True)
    frequency = models.CharField(_("frequency"), max_length=16, blank=True)
    paused_until = models.DateTimeField(_("paused until"), null=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        indexes = [models.Index(fields=["topic", "channel", "subscribed"], name="prefs_subscription_topic")]

    def __str__(self) -> str:
        return f"{self.subscriber_id} {self.topic} {self.channel}"
