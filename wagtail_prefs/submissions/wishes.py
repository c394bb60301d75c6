"""What a person asks for, made exact: where she lives it is another day than here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext as _

from ..changes import Change, Pause, PauseFor
from ..decisions import periods
from ..errors import InvalidAnswers
from ..values import ContactState


def resolved(changes: Sequence[Change], state: ContactState, now: datetime) -> tuple[Change, ...]:
    """Changes as a record can hold them: a `PauseFor` is a `Pause` until the start of a day in the contact's zone.

    Raises InvalidAnswers for a pause that would have ended before it begins: her day may be ahead of ours.
    """
    if not any(isinstance(change, PauseFor) for change in changes):
        return tuple(changes)
    zone = periods.zone(state.timezone, settings.TIME_ZONE)
    return tuple(_pause(change, now, zone) if isinstance(change, PauseFor) else change for change in changes)


def _pause(wish: PauseFor, now: datetime, zone: ZoneInfo) -> Pause:
    if wish.day is not None:
        until = periods.start_of_day(wish.day, zone)
    else:
        until = periods.add_period(now, wish.length, zone)
    if until <= now:
        raise InvalidAnswers({"": {"pauses": [_("A pause ends in the future. Choose a later day.")]}})
    return Pause(wish.topic, wish.channel, until)
