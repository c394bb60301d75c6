"""What must be remembered about getting in: what was used up, what waits, what was revoked, and who may use the API."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..concealed import LENGTH, ConcealedCharField, ConcealedEmailField, ConcealedJSONField
from ..ids import random_id, uuid7


class UsedCode(models.Model):
    """A one-time code that opened a session; the row is what makes the second use fail."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    wagtail_reference_index_ignore = True

    def __str__(self) -> str:
        return self.digest


class OneTimeLink(models.Model):
    """A link that works once: the row says for what. The token in the mail names it and holds the MAC.

    `used_at` is set by the one UPDATE that uses it up. `address` is a new address that waits for its confirmation, and
    `answers` what a sign-up asked for; both are emptied once the link is used or too old.
    """

    id = models.CharField(max_length=22, primary_key=True, default=random_id, editable=False)
    purpose = models.CharField(max_length=16)
    contact = models.ForeignKey("wagtail_prefs.Contact", on_delete=models.CASCADE, related_name="+")
    epoch = models.PositiveIntegerField()  # the contact's when it was made: raising that revokes it
    center = models.UUIDField(null=True)
    address = ConcealedEmailField(max_length=LENGTH, blank=True)
    answers = ConcealedJSONField(default=dict)  # {"revision", "answers", "locale"} of a sign-up
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    wagtail_reference_index_ignore = True

    class Meta:
        indexes = [models.Index(fields=["contact", "purpose", "issued_at"], name="prefs_once_contact")]

    def __str__(self) -> str:
        return f"{self.purpose} {self.issued_at:%Y-%m-%d}"


class Revocation(models.Model):
    """Links of a center, or of a signing key, that open nothing any more but the way out."""

    center = models.UUIDField(_("center"), null=True, blank=True)
    kid = models.CharField(_("key"), max_length=16, blank=True)
    before = models.DateTimeField(_("links made before"))
    made_at = models.DateTimeField(_("revoked"), auto_now_add=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("revocation")
        verbose_name_plural = _("revocations")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(center__isnull=False, kid="")
                | models.Q(center__isnull=True) & ~models.Q(kid=""),
                name="prefs_revocation_of_one",
            )
        ]

    def __str__(self) -> str:
        return f"{self.center or self.kid} {self.before:%Y-%m-%d}"


class AccessRequest(models.Model):
    """Somebody typed an address: to get a link, or to sign up. One row whoever it is; the worker looks whose it is.

    It goes away when it is worked off, with the address in it.
    """

    class Kind(models.TextChoices):
        LINK = "link", _("Send me my link")
        SIGN_UP = "sign_up", _("Sign-up")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.CASCADE, related_name="+")
    center = models.UUIDField()
    host = models.PositiveSmallIntegerField(null=True)  # index of the center's host page it was asked from
    address = ConcealedCharField(max_length=LENGTH)
    locale = models.CharField(max_length=35)
    details = ConcealedJSONField(default=dict)  # of a sign-up: {"revision", "answers", "source_url"}
    idempotency_key = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001 - keyed digest; null is none
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    wagtail_reference_index_ignore = True

    def __str__(self) -> str:
        return f"{self.kind} {self.asked_at:%Y-%m-%d %H:%M}"


class ApiKey(models.Model):
    """A key with which another program asks and tells: its secret is shown once, and kept as a keyed hash."""

    id = models.CharField(max_length=12, primary_key=True, editable=False)  # the public part of the key
    name = models.CharField(_("name"), max_length=255, help_text=_("What uses it: the name of the program."))
    audience = models.ForeignKey(
        "wagtail_prefs.Audience", verbose_name=_("audience"), on_delete=models.PROTECT, related_name="+"
    )
    secret_digest = models.CharField(max_length=64, editable=False)
    kid = models.CharField(max_length=16, editable=False)  # the signing key that the digest was made under
    scopes = models.JSONField(_("scopes"), default=list)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("made by"),
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    made_at = models.DateTimeField(_("made"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-made_at"]

    def __str__(self) -> str:
        return self.name


class Hits(models.Model):
    """How often something was done, where no shared cache counts it. `key` is a keyed hash.

    Of a limit, `moments` are those of the last hits that passed, newest first, in milliseconds since 1970, and `count`
    is how many did not pass since. Of an alarm, `count` is all of a span.
    """

    key = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    moments = models.JSONField(default=list)
    expires_at = models.DateTimeField(db_index=True)

    wagtail_reference_index_ignore = True

    def __str__(self) -> str:
        return f"{self.count} until {self.expires_at:%Y-%m-%d %H:%M}"
