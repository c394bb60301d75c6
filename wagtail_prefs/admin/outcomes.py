"""What became of a delivery, in words."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from ..backends.registry import backends
from ..delivery.models import Delivery
from ..values import Outcome

OUTCOME_LABELS = {
    Outcome.DONE: _("Delivered"),
    Outcome.RATE_LIMITED: _("Asked to wait"),
    Outcome.RETRY: _("Failed, will be tried again"),
    Outcome.MISCONFIGURED: _("Settings must be mended"),
    Outcome.REFUSED: _("Refused"),
    Outcome.NEEDS_CONFIRMATION: _("Waits for a confirmation there"),
    Outcome.ACCEPTED_UNKNOWN: _("Accepted, not yet confirmed"),
}


def outcome_in_words(delivery: Delivery) -> str:
    """What became of the last try."""
    if not delivery.last_outcome:
        return ""
    return str(OUTCOME_LABELS[Outcome(delivery.last_outcome)])


def can_retry(row: Delivery, at: datetime) -> bool:
    """Whether a retry would do something: it failed, or was given up, and is not about to go out by itself."""
    waits = row.due_at > at if row.due_at else row.wanted > row.delivered
    return row.backend in backends and row.failing_since is not None and waits
