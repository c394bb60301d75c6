"""What an error of handing a mail over means for it: try again, never, nobody there - or nobody knows."""

from __future__ import annotations

import enum
import smtplib
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured

from ..mail.server import CLOSING, NotTaken, Verdict, judge, may_have_arrived


class Fate(enum.Enum):
    AGAIN = "again"  # later
    BROKEN = "broken"  # later, and the connection is gone
    AWAY = "away"  # the server talks to nobody now: others would meet the same
    FAILED = "failed"  # for good: this mail, or this address
    UNCERTAIN = "uncertain"  # it may have arrived, and is not sent again by itself


class Judged(NamedTuple):
    """A fate and its reason: never an address."""

    fate: Fate
    code: str


#: What an answer over HTTP says of the moment and not of the mail: no right key, no time, too many.
_PASSING = {401, 402, 403, 408, 425, 429, 503}


def judged(error: Exception, *, handed: bool) -> Judged:
    """What an error means for a mail; `handed`: the backend had been called."""
    if isinstance(error, NotTaken):
        return Judged(Fate.AGAIN, "not-taken")
    if isinstance(error, ImproperlyConfigured):
        return Judged(Fate.AGAIN, "unusable-settings")
    status = getattr(error, "status_code", None)  # of django-anymail, where the platform has answered
    if status in _PASSING:
        return Judged(Fate.AGAIN, f"http-{status}")
    if handed and may_have_arrived(error):
        return Judged(Fate.UNCERTAIN, f"http-{status}" if isinstance(status, int) else judge(error).code)
    if isinstance(status, int):
        return Judged(Fate.FAILED, f"http-{status}")
    if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code != CLOSING:
        return Judged(Fate.AGAIN, judge(error).code)  # senders differ here, so it may be about this one
    if any(kind.__module__ == "anymail.exceptions" for kind in type(error).__mro__):
        # Nobody was called, or nobody could be, or all recipients were refused.
        return Judged(Fate.AGAIN if isinstance(error, OSError) else Fate.FAILED, type(error).__name__[:40])
    if not handed and not isinstance(error, OSError | ValueError):
        return Judged(Fate.AGAIN, f"unusable-{type(error).__name__}"[:64])
    answer = judge(error)
    return Judged(_FATES.get(answer.verdict, Fate.BROKEN), answer.code)


_FATES = {Verdict.REFUSED: Fate.FAILED, Verdict.FAILED: Fate.AGAIN, Verdict.AWAY: Fate.AWAY}
