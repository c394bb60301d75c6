"""Ledger records and, apart from them, the personal values they commit to. No foreign key leaves the ledger."""

from __future__ import annotations

from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..ciphers import reveal
from ..concealed import place_of
from ..ids import uuid7
from ..values import ActorType


class Record(models.Model):
    """One submission. `body` is the canonical JSON that `hash` covers; the other columns repeat it for queries."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    contact_ref = models.UUIDField(_("contact"), editable=False)
    audience = models.CharField(max_length=64, editable=False)
    seq = models.PositiveBigIntegerField(_("sequence"), editable=False)
    at = models.DateTimeField(_("time"), editable=False)
    actor = models.CharField(_("actor"), max_length=16, editable=False)
    idempotency_key = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001 - unique where given
    body = models.TextField(editable=False)
    prev = models.CharField(max_length=64, editable=False)
    hash = models.CharField(max_length=64, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("ledger record")
        verbose_name_plural = _("ledger records")
        constraints = [
            models.UniqueConstraint(fields=["contact_ref", "seq"], name="prefs_record_seq"),
            models.UniqueConstraint(fields=["contact_ref", "idempotency_key"], name="prefs_record_once"),
            models.CheckConstraint(
                condition=models.Q(actor__in=[actor.value for actor in ActorType]), name="prefs_record_actor"
            ),
        ]
        indexes = [models.Index(fields=["at"], name="prefs_record_at")]

    def __str__(self) -> str:
        return f"{self.contact_ref} #{self.seq}"


class SideValue(models.Model):
    """A personal value that a record holds `HMAC(salt, value)` of. Erasing deletes the row and leaves the chain whole.

    With ENCRYPTION_KEYS the column holds the value concealed; what was committed to is the value itself.
    """

    record = models.UUIDField(editable=False)
    name = models.CharField(max_length=128, editable=False)
    salt = models.BinaryField(max_length=16, editable=False)
    value = models.TextField(editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("personal value of a record")
        verbose_name_plural = _("personal values of records")
        constraints = [models.UniqueConstraint(fields=["record", "name"], name="prefs_side_value")]

    def __str__(self) -> str:
        return f"{self.record} {self.name}"

    @staticmethod
    def place(record: UUID | str, name: str) -> str:
        """What is bound into a concealed value. The number of the row is not: another one may take its place."""
        return place_of(SideValue, f"{record}:{name}", "value")

    @classmethod
    def revealed(cls, record: UUID | str, name: str, stored: str) -> str:
        """The value that a column holds; raises ciphers.Unreadable."""
        return reveal(stored, place=cls.place(record, name))


class Seal(models.Model):
    """A signed summary of new records of all contacts; the seals are a chain of their own, and copies stand elsewhere.

    `body` is canonical JSON that `hash` covers and `signature` signs (docs/reference/ledger.md).
    """

    number = models.PositiveBigIntegerField(_("number"), primary_key=True)
    at = models.DateTimeField(_("time"), editable=False)
    records = models.PositiveIntegerField(_("records"), editable=False)
    body = models.TextField(editable=False)
    prev = models.CharField(max_length=64, editable=False)
    hash = models.CharField(max_length=64, editable=False)
    kid = models.CharField(max_length=16, editable=False)
    signature = models.CharField(max_length=64, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("ledger seal")
        verbose_name_plural = _("ledger seals")

    def __str__(self) -> str:
        return f"#{self.number}"


class SealExport(models.Model):
    """That a seal has left the database. Apart from the seal, because a seal is never changed."""

    seal = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField(_("exported"))

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("export of a seal")
        verbose_name_plural = _("exports of seals")

    def __str__(self) -> str:
        return f"#{self.seal}"


class Tombstone(models.Model):
    """A signed stone in place of a chain that retention has removed: whose, how long it was, and what its records hashed
    to, so that seals that name them still verify. The stones are a chain of their own, like the seals (`tombstone1`).
    """

    number = models.PositiveBigIntegerField(_("number"), primary_key=True)
    contact_ref = models.UUIDField(_("contact"), unique=True, editable=False)
    at = models.DateTimeField(_("time"), editable=False)
    records = models.PositiveIntegerField(_("records"), editable=False)
    body = models.TextField(editable=False)
    prev = models.CharField(max_length=64, editable=False)
    hash = models.CharField(max_length=64, editable=False)
    kid = models.CharField(max_length=16, editable=False)
    signature = models.CharField(max_length=64, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("tombstone of the ledger")
        verbose_name_plural = _("tombstones of the ledger")

    def __str__(self) -> str:
        return f"#{self.number}"


class TombstoneExport(models.Model):
    """That a tombstone has left the database, as `SealExport` has it."""

    tombstone = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField(_("exported"))

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("export of a tombstone")
        verbose_name_plural = _("exports of tombstones")

    def __str__(self) -> str:
        return f"#{self.tombstone}"


class DayCount(models.Model):
    """How often something happened on one day, counted from the records (`counts`); about nobody in particular."""

    day = models.DateField(_("day"), editable=False)
    audience = models.CharField(max_length=64, editable=False)
    topic = models.CharField(_("topic"), max_length=64, editable=False)
    channel = models.CharField(_("channel"), max_length=16, editable=False)
    event = models.CharField(max_length=16, editable=False)
    action = models.CharField(max_length=16, editable=False)
    method = models.CharField(max_length=32, editable=False)
    count = models.PositiveBigIntegerField(_("number"), editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("count of a day")
        verbose_name_plural = _("counts of days")
        constraints = [
            models.UniqueConstraint(
                fields=["day", "audience", "topic", "channel", "event", "action", "method"],
                name="prefs_day_count",
            )
        ]
        indexes = [models.Index(fields=["audience", "day"], name="prefs_day_count_audience")]

    def __str__(self) -> str:
        return f"{self.day} {self.event}"


class CountMark(models.Model):
    """The seal up to which records are counted: one row. `basis` is what the counts rest on."""

    ONLY = 1

    seal = models.PositiveBigIntegerField(default=0)
    at = models.DateTimeField(_("counted up to"), null=True)
    basis = models.CharField(max_length=64, default="")

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("mark of the counts")
        verbose_name_plural = _("marks of the counts")

    def __str__(self) -> str:
        return f"#{self.seal}"
