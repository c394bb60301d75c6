"""What became of a delivery, in words."""

from __future__ import annotations

from datetime import datetime

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext, gettext_lazy as _

from ..backends.registry import backends
from ..delivery.models import Delivery
from ..values import Outcome

OUTCOME_LABELS = {
    Outcome.DONE: _("Delivered"),
    Outcome.RATE_LIMITED: _("Asked to wait"),
    Outcome.RETRY: _("Failed, will be tried again"),
    Outcome.MISCONFIGURED: _("Settings must be mended"),
    Outcome.REFUSED: _("Refused"),
    Outcome.SPLIT: _("Refused"),  # as one of a batch; the engine tells it apart
    Outcome.NEEDS_CONFIRMATION: _("Waits for a confirmation there"),
    Outcome.ACCEPTED_UNKNOWN: _("Accepted, not yet confirmed"),
}


def outcome_in_words(delivery: Delivery) -> str:
    """What became of the last try."""
    if not delivery.last_outcome:
        return ""
    return str(OUTCOME_LABELS[Outcome(delivery.last_outcome)])


def said(delivery: Delivery) -> list[str]:
    """What was sent and answered, the newest first, a line each: when, which version, as what, and what became of it."""
    return [
        gettext("%(at)s: version %(version)d (%(kinds)s): %(outcome)s%(code)s")
        % {
            "at": date_format(localtime(datetime.fromisoformat(entry["at"])), "SHORT_DATETIME_FORMAT"),
            "version": entry["version"],
            "kinds": ", ".join(entry["kinds"]) or "–",
            "outcome": OUTCOME_LABELS.get(entry["outcome"], entry["outcome"]),
            "code": f" ({entry['code']})" if entry["code"] else "",
        }
        for entry in delivery.log
    ]


def can_retry(row: Delivery, at: datetime) -> bool:
    """Whether a retry would do something: it failed, or was given up, and is not about to go out by itself."""
    # Without a next try it was given up, also where it is of no newer version: what was to be said at the end of a pause.
    waits = row.due_at is None or row.due_at > at
    return row.backend in backends and row.failing_since is not None and waits
