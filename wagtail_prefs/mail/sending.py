"""Sending what waits, oldest first, one after the other over one connection.

Each mail is sent at least once: a worker that dies after the server took a mail, and before it wrote that down, sends it
again, with the same Message-ID. A mail that fails waits longer and longer and stops no other; a server that is away puts
all of them off, and takes from none.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.utils import timezone

from . import rows
from .messages import Unsendable, message
from .models import Mail
from .rows import SERVER
from .server import Answer, Server, Verdict

logger = logging.getLogger("wagtail_prefs.mail")

#: Seconds after which each try follows the one before; then every four hours, until it is given up (`kinds`).
SCHEDULE = (60, 120, 300, 900, 3_600, 7_200)
SLOWLY = 14_400
JITTER = 0.1
#: How long mails are left alone when there is no server. Shorter than the first wait of a mail that failed, so that one
#: at which a server closes each connection does not stand before the others for ever.
AWAY = timedelta(seconds=30)
#: After so many connections that broke one after the other the server counts as away.
BROKEN_IN_A_ROW = 3


@dataclass(slots=True)
class Tally:
    """What draining came to: mails taken, sent, to be tried again, and given up."""

    claimed: int = 0
    sent: int = 0
    failed: int = 0
    given_up: int = 0


def never() -> bool:
    return False


def drain(limit: int | None = None, stopping: Callable[[], bool] = never) -> Tally:
    """Send what is due until nothing is, the server is away, or `limit` mails were tried.

    `stopping` is asked before each mail. Raises DatabaseError alone: then the mail under way is due again when its lease
    ends.
    """
    with Server() as server:
        return _Round(server, stopping).run(limit)


def retry_now() -> int:
    """Have what waits for its next try tried now: for after an outage. Returns how many."""
    return rows.make_due(timezone.now())


def waiting() -> int:
    """How many mails are still to be sent, now or later."""
    return rows.waiting()


def delay(attempts: int, *, uniform: Callable[[float, float], float] = random.uniform) -> timedelta:
    """How long to wait after so many tries."""
    seconds = SCHEDULE[attempts - 1] if 0 < attempts <= len(SCHEDULE) else SLOWLY
    return timedelta(seconds=seconds * uniform(1 - JITTER, 1 + JITTER))


class _Round:
    """The state of one call of `drain`."""

    def __init__(self, server: Server, stopping: Callable[[], bool]) -> None:
        self.server = server
        self.stopping = stopping
        self.tally = Tally()
        self.broken = 0
        self.closed = False

    def run(self, limit: int | None) -> Tally:
        while not self.closed and not self.stopping() and (limit is None or self.tally.claimed < limit):
            mail = rows.claim(timezone.now())
            if mail is None:
                break
            self.tally.claimed += 1
            self._one(mail)
        return self.tally

    def _one(self, mail: Mail) -> None:
        now = timezone.now()
        if rows.is_over(mail, now):
            self._give_up(mail, "too-old")
            return
        if not self.server.is_open and (away := rows.server_away(now)) is not None:
            self._put_off(mail, now, *away)
            return
        try:
            made = message(mail)
        except Unsendable as error:
            self._give_up(mail, error.code)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - templates are anybody's; one that is broken must not stop the others
            self._try_again(mail, f"unusable-{type(error).__name__}"[:64])
        else:
            if rows.is_held(mail, timezone.now()):
                self._judge(mail, self.server.send(made))
            else:  # we slept, and another worker may be sending it
                self._settled(mail, held=False)

    def _judge(self, mail: Mail, answer: Answer) -> None:
        self.broken = self.broken + 1 if answer.verdict is Verdict.BROKEN else 0
        now = timezone.now()
        match answer.verdict:
            case Verdict.SENT:
                self._settled(mail, held=rows.sent(mail, now))
                self.tally.sent += 1
            case Verdict.REFUSED:
                self._give_up(mail, answer.code)
            case Verdict.NO_SERVER:
                self._put_off(mail, now, now + AWAY, f"{SERVER}{answer.code}")
            case _:
                self._try_again(mail, answer.code)
                if answer.verdict is Verdict.AWAY or self.broken >= BROKEN_IN_A_ROW:
                    self._close(now, now + AWAY, f"{SERVER}{answer.code}")

    def _give_up(self, mail: Mail, code: str) -> None:
        self.tally.given_up += 1
        logger.error("mail %s (%s): given up (%s)", mail.pk, mail.kind, code)
        self._settled(mail, held=rows.give_up(mail, code))

    def _try_again(self, mail: Mail, code: str) -> None:
        self.tally.failed += 1
        logger.warning("mail %s (%s): try %d failed (%s)", mail.pk, mail.kind, mail.attempts, code)
        self._settled(mail, held=rows.try_again(mail, timezone.now() + delay(mail.attempts), code))

    def _put_off(self, mail: Mail, now: datetime, until: datetime, code: str) -> None:
        self.tally.failed += 1
        self._settled(mail, held=rows.put_back(mail, until, code))
        self._close(now, until, code)

    def _close(self, now: datetime, until: datetime, code: str) -> None:
        self.closed = True
        others = rows.put_off(now, until, code)
        logger.warning("mail: no server (%s), %d others are put off", code, others)

    def _settled(self, mail: Mail, *, held: bool) -> None:
        if not held:
            logger.warning("mail %s (%s): its lease was lost, or it was forgotten", mail.pk, mail.kind)
