"""What other packages use of `centers`."""

from __future__ import annotations

from .answers import WHOLE, answers_to_changes, initial_answers, pending_paths
from .outlook import outlook
from .preferences import preferences
from .publishing import draft_snapshot, publish, republish, republish_below, unpublish
from .serving import current, forget, get_snapshot, lately
from .values import Center, Snapshot, remembered

__all__ = [
    "WHOLE",
    "Center",
    "Snapshot",
    "answers_to_changes",
    "current",
    "draft_snapshot",
    "forget",
    "get_snapshot",
    "initial_answers",
    "lately",
    "outlook",
    "pending_paths",
    "preferences",
    "publish",
    "remembered",
    "republish",
    "republish_below",
    "unpublish",
]
