"""How much went to each backend in an hour, for its chart (`health`): counted by the round, kept for two weeks."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from .models import DeliveryCount

#: How long the number of an hour is kept.
KEPT = timedelta(days=14)

_ADD = """INSERT INTO {table} AS kept (backend, hour, done, failed) VALUES (%s, %s, %s, %s)
ON CONFLICT (backend, hour) DO UPDATE SET done = kept.done + excluded.done, failed = kept.failed + excluded.failed"""


def count(alias: str, done: int, failed: int, at: datetime | None = None) -> None:
    """Add to the hour of `at`, which is now. One statement, and none where there is nothing to add."""
    if not done and not failed:
        return
    hour = (at or timezone.now()).replace(minute=0, second=0, microsecond=0)
    moment = DeliveryCount._meta.get_field("hour").get_db_prep_value(hour, connection)
    table = connection.ops.quote_name(DeliveryCount._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(_ADD.format(table=table), [alias, moment, done, failed])


def forget_old(now: datetime) -> int:
    """Delete the hours of two weeks ago, also those of backends that are gone; returns how many."""
    deleted, _ = DeliveryCount.objects.filter(hour__lt=now - KEPT).delete()
    return deleted
