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
    # taken, but what became of it must be read back: `due_at` says when
    checking = models.BooleanField(default=False)
    # whom the platform must forget or stop mailing, by addresses that are no longer hers: encrypted, and emptied when it
    # is confirmed, at the latest after 30 days
    retired = models.TextField(blank=True)
    retired_at = models.DateTimeField(null=True)
    # how often all had to be told once more: a part of the key, or a receiver that drops repeats would drop it
    again = models.PositiveIntegerField(default=0, db_default=0)
    # what was sent and answered, the newest first, five at most: [{"at", "version", "outcome", "code", "kinds"}]
    log = models.JSONField(default=list)
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
            ),
            # Few fail at a time: whoever asks which do, and why, must not walk over the others.
            models.Index(
                fields=["backend", "last_code"],
                name="prefs_delivery_failing",
                condition=models.Q(failing_since__isnull=False),
            ),
            models.Index(
                fields=["retired_at"],
                name="prefs_delivery_retired",
                condition=models.Q(retired_at__isnull=False),
            ),
            # Whom a platform means by the id that it gave.
            models.Index(
                fields=["backend", "remote_id"],
                name="prefs_delivery_remote",
                condition=~models.Q(remote_id=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.backend} {self.contact}"


class Lane(models.Model):
    """What concerns one backend as a whole, shared by all workers: the heartbeat, the rate limit, the circuit breaker.

    The breaker is open while `open_since` is set: then one worker at a time tries one call when `paused_until` is over, and
    a success closes it. `disabled_at` says that it stayed open for days: from then on only opt-outs are tried, daily.
    """

    backend = models.CharField(_("backend"), max_length=64, primary_key=True)
    paused_until = models.DateTimeField(
        _("left alone until"), null=True
    )  # Retry-After, an outage, credentials
    code = models.CharField(_("reason"), max_length=128, blank=True)
    seen_at = models.DateTimeField(_("worker seen"), null=True)
    failures = models.PositiveIntegerField(default=0)  # calls in a row without an answer, of all workers
    open_since = models.DateTimeField(_("away since"), null=True)
    disabled_at = models.DateTimeField(_("given up"), null=True)
    next_call_at = models.DateTimeField(null=True)  # the rate limit: when a further call fits in
    done_at = models.DateTimeField(_("last success"), null=True)
    failed_at = models.DateTimeField(_("last failure"), null=True)
    last_code = models.CharField(_("last error"), max_length=128, blank=True)
    # which alarms were raised, and not taken back: {"opt_outs_15m": {"at", ...}}; and when somebody last looked
    alarms = models.JSONField(default=dict)
    watched_at = models.DateTimeField(null=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("delivery lane")
        verbose_name_plural = _("delivery lanes")

    def __str__(self) -> str:
        return self.backend


class DeliveryCount(models.Model):
    """How much went to a backend in an hour, for its chart."""

    pk = models.CompositePrimaryKey("backend", "hour")
    backend = models.CharField(_("backend"), max_length=64)
    hour = models.DateTimeField(_("hour"))
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("delivery count")
        verbose_name_plural = _("delivery counts")

    def __str__(self) -> str:
        return f"{self.backend} {self.hour:%Y-%m-%d %H}"


class Backfill(models.Model):
    """Bringing a backend up to everybody, from the first contact to the last; it goes on where it was interrupted."""

    backend = models.CharField(_("backend"), max_length=64)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    started_by = models.CharField(max_length=64, blank=True)  # the primary key of a user; "" for a command
    again = models.BooleanField(default=False)  # also those whom the backend knows as they are
    last = models.UUIDField(null=True)  # the contact it has come to
    total = models.PositiveBigIntegerField(default=0)  # contacts there were when it began
    seen = models.PositiveBigIntegerField(default=0)  # contacts it has come past
    queued = models.PositiveBigIntegerField(default=0)  # of them, those that it had to wake or to add
    finished_at = models.DateTimeField(_("finished"), null=True)
    stopped_at = models.DateTimeField(_("stopped"), null=True)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("backfill")
        verbose_name_plural = _("backfills")
        constraints = [
            models.UniqueConstraint(
                fields=["backend"],
                condition=models.Q(finished_at=None, stopped_at=None),
                name="prefs_backfill_one",
            )
        ]

    def __str__(self) -> str:
        return f"{self.backend} {self.started_at:%Y-%m-%d}"
