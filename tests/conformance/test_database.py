"""The kit on the reference backend."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from wagtail_prefs.backends.database.models import Subscriber, Subscription
from wagtail_prefs.backends.testing import Conformance, Harness, Seen
from wagtail_prefs.values import scope_to_key


class DatabaseHarness(Harness):
    def entry(self) -> dict[str, Any]:
        return {"BACKEND": "wagtail_prefs.backends.database.DatabaseBackend"}

    def seen(self, email: str) -> Seen | None:
        subscriber = Subscriber.objects.filter(email=email).first()
        if subscriber is None:
            return None
        rows = list(Subscription.objects.filter(email=email))
        return Seen(
            frozenset((row.topic, row.channel) for row in rows if row.subscribed),
            frozenset((row.topic, row.channel) for row in rows if not row.subscribed),
            subscriber.opted_out,
            {scope_to_key(scope): code for scope, code in subscriber.frequencies.items()},
            {scope_to_key(scope): datetime.fromisoformat(end) for scope, end in subscriber.pauses.items()},
            subscriber.attributes,
        )

    def people(self) -> int:
        return Subscriber.objects.count()

    def reset(self) -> None:
        Subscriber.objects.all().delete()


class TestDatabase(Conformance):
    @pytest.fixture
    def harness(self) -> DatabaseHarness:
        return DatabaseHarness()
