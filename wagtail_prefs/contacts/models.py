"""Contacts and the one table of their state.

A row of `State` is about (topic or "", channel or ""): choice, frequency and pause share it, so that a save is one
upsert and a decision one join. The row ("", "") speaks for the contact as a whole: its choice `unsubscribed` is the
opt-out, its frequency and pause hold for everything, and `attributes` and `notices` live there. Each of the three
columns carries the version that last changed it.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..concealed import LENGTH, ConcealedEmailField
from ..ids import random_id, uuid7


class Contact(models.Model):
    """A person: a UUID and an address. `address_key` is the keyed hash that look-ups use (security.md PR-01)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.PROTECT, related_name="contacts")
    email = ConcealedEmailField(_("e-mail address"), max_length=LENGTH, blank=True)
    address_key = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001 - null is "erased", unique else
    external_id = models.CharField(_("external id"), max_length=255, blank=True)
    link_id = models.CharField(max_length=22, unique=True, default=random_id, editable=False)
    version = models.PositiveBigIntegerField(_("version"), default=0, editable=False)
    epoch = models.PositiveIntegerField(default=0, editable=False)  # +1 revokes every link and session
    language = models.CharField(_("language"), max_length=35, blank=True)
    language_source = models.CharField(max_length=32, blank=True)
    country = models.CharField(_("country"), max_length=6, blank=True)
    country_source = models.CharField(max_length=32, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, blank=True)
    timezone_source = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    suppressed = models.BooleanField(_("suppressed"), default=False, editable=False)  # see Suppression
    email_dead_at = models.DateTimeField(_("e-mail address found dead"), null=True, editable=False)
    # Her links go on working for the contact she was merged into; always the last one, never one merged itself.
    merged_into = models.ForeignKey(
        "wagtail_prefs.Contact", on_delete=models.PROTECT, null=True, editable=False, related_name="+"
    )
    erased_at = models.DateTimeField(_("erased"), null=True, editable=False)
    # When something was noted of her that no ledger record tells of: that her address is dead, her external id.
    touched_at = models.DateTimeField(null=True, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        # Django's own "view" and "change" are to look at a person, and to change choices on her behalf.
        permissions = [
            ("reveal_contact", "Can see addresses and answers"),
            ("export_contact", "Can export people"),
            ("erase_contact", "Can erase people"),
            ("retry_contact", "Can retry deliveries"),
            ("verify_contact", "Can verify the ledger"),
            ("results_contact", "Can see results"),
            ("download_contact", "Can download results"),
            ("import_contact", "Can import people"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["audience", "address_key"], name="prefs_contact_address"),
            models.UniqueConstraint(
                fields=["audience", "external_id"],
                condition=~models.Q(external_id=""),
                name="prefs_contact_external",
            ),
        ]
        # Of few, and saves do not change it: files of what changed look here (decisions/suppressions.py).
        indexes = [
            models.Index(
                fields=["touched_at"],
                name="prefs_contact_touched",
                condition=models.Q(touched_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


class State(models.Model):
    """One row of a contact's state; see the module."""

    pk = models.CompositePrimaryKey("contact_id", "topic", "channel")
    contact = models.ForeignKey("wagtail_prefs.Contact", on_delete=models.CASCADE, related_name="states")
    topic = models.CharField(max_length=64, default="", blank=True)
    channel = models.CharField(max_length=16, default="", blank=True)
    choice = models.CharField(
        max_length=16, default="", blank=True
    )  # subscribed, unsubscribed, "" = never asked
    choice_version = models.PositiveBigIntegerField(default=0)
    pending = models.BooleanField(
        default=False
    )  # a yes waits for its confirmation; `choice` is what holds now
    choice_until = models.DateTimeField(null=True)  # when the yes, or the wait for it, ends by itself
    frequency = models.CharField(max_length=16, default="", blank=True)
    frequency_version = models.PositiveBigIntegerField(default=0)
    paused_until = models.DateTimeField(null=True)
    pause_version = models.PositiveBigIntegerField(default=0)
    # only on the row ("", ""): {name: {"value", "version"}} and {id: {"sha256", "version"}}; what was cleared
    # keeps its version alone. With ENCRYPTION_KEYS a value of an attribute is {"concealed", "version"} (`store`)
    attributes = models.JSONField(default=dict)
    notices = models.JSONField(default=dict)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("state")
        verbose_name_plural = _("states")
        indexes = [
            models.Index(fields=["topic", "channel", "contact"], name="prefs_state_topic"),
            # Few choices end by themselves: looking for those that did must not walk over all of them.
            models.Index(
                fields=["choice_until"],
                name="prefs_state_until",
                condition=models.Q(choice_until__isnull=False),
            ),
            # The same of pauses, for who is told that hers has ended.
            models.Index(
                fields=["paused_until"],
                name="prefs_state_paused",
                condition=models.Q(paused_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.contact_id} {self.topic or '*'} {self.channel or '*'}"


class Suppression(models.Model):
    """An erased address, as a keyed hash: whoever brings it back, it gets nothing but by its owner's own link."""

    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.PROTECT, related_name="+")
    address_key = models.CharField(max_length=64, editable=False)
    at = models.DateTimeField(_("since"), editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = [models.UniqueConstraint(fields=["audience", "address_key"], name="prefs_suppression")]

    def __str__(self) -> str:
        return f"{self.audience_id} {self.at:%Y-%m-%d}"


class KeyInUse(models.Model):
    """A pepper or an encryption key that this database was written with, by its fingerprint: it must not get lost.

    Without its pepper a suppression finds nobody any more, and nothing can say whose it was.
    """

    PEPPERS, ENCRYPTION_KEYS = "PEPPERS", "ENCRYPTION_KEYS"  # the settings

    fingerprint = models.CharField(max_length=64, primary_key=True, editable=False)
    ring = models.CharField(max_length=16, editable=False)
    kid = models.CharField(max_length=16, editable=False)
    since = models.DateTimeField(editable=False)
    # Of an encryption key: when nothing that stays was under it any more (`prefs_rekey`).
    left_at = models.DateTimeField(null=True, editable=False)

    wagtail_reference_index_ignore = True

    def __str__(self) -> str:
        return f"{self.ring} {self.kid}"
