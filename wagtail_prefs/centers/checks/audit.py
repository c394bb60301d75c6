"""What the page's history says about checks: warnings that an editor overruled, and what was published past them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _, gettext_lazy
from wagtail.log_actions import LogFormatter, log

from ..values import Snapshot
from .gather import check_snapshot

if TYPE_CHECKING:
    from ..mixins import PreferenceCenterMixin

logger = logging.getLogger(__name__)

OVERRULED = "wagtail_prefs.center.overruled"
UNCHECKED = "wagtail_prefs.center.unchecked"


@dataclass(frozen=True, slots=True)
class Overruled:
    """Warnings that an editor knew and published all the same, by their keys, and why."""

    keys: tuple[str, ...]
    reason: str


def accepted(page: PreferenceCenterMixin) -> frozenset[str]:
    """The warnings that were overruled when the page was last published in spite of any. One statement."""
    from wagtail.models import PageLogEntry  # noqa: PLC0415 - a model; forms are imported with models

    if page.pk is None:
        return frozenset()
    entries = PageLogEntry.objects.filter(page_id=page.pk, action=OVERRULED).order_by("-timestamp", "-pk")
    data = entries.values_list("data", flat=True).first() or {}
    return frozenset(data.get("findings", ()))


def log_overruled(page: PreferenceCenterMixin, overruled: Overruled, revision: Any, user: Any) -> None:
    """Into Wagtail's audit log: codes, places and the reason. Nothing of what the page says, nothing about people."""
    log(
        instance=page,
        action=OVERRULED,
        user=user,
        revision=revision,
        data={
            "codes": _codes(overruled.keys),
            "findings": list(overruled.keys),
            "reason": overruled.reason,
        },
    )


def log_unchecked(page: PreferenceCenterMixin, snapshot: Snapshot) -> None:
    """A page went live that the editor would have refused: by code, from an older schedule, after a change elsewhere.

    It is not stopped, for nobody stands at the screen who could mend it.
    """
    keys = [finding.key for finding in check_snapshot(page, snapshot) if finding.level == "error"]
    if keys:
        logger.warning(
            "Preference center %s was published with %s. See docs/how-to/publish-checks.md.",
            page.pk,
            ", ".join(_codes(keys)),
        )
        log(instance=page, action=UNCHECKED, data={"codes": _codes(keys), "findings": keys})


def register_actions(actions: Any) -> None:
    """For the hook `register_log_actions`."""

    @actions.register_action(OVERRULED)
    class OverruledFormatter(LogFormatter):
        label = gettext_lazy("Overrule checks")

        def format_message(self, log_entry: Any) -> str:
            data = {
                "codes": ", ".join(log_entry.data.get("codes", ())),
                "reason": log_entry.data.get("reason", ""),
            }
            return _("Published in spite of warnings (%(codes)s): %(reason)s") % data

    @actions.register_action(UNCHECKED)
    class UncheckedFormatter(LogFormatter):
        label = gettext_lazy("Publish unchecked")

        def format_message(self, log_entry: Any) -> str:
            codes = ", ".join(log_entry.data.get("codes", ()))
            return _("Published by a program although checks failed: %(codes)s") % {"codes": codes}


def _codes(keys: Any) -> list[str]:
    return list(dict.fromkeys(key.partition(":")[0] for key in keys))
