"""The worker: a thread for each backend, so that one that hangs delays no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from django.db import DatabaseError, connection

from . import drain
from .engine import Tally

logger = logging.getLogger("wagtail_prefs.delivery")

#: Seconds to wait after the database was away.
DATABASE_PAUSE = 5.0


class Worker:
    """Delivers to some backends, once or until it is stopped. `stop` lets the call under way end first."""

    def __init__(self, aliases: Sequence[str], *, report: Callable[[str, Tally], None]) -> None:
        self.aliases = list(aliases)
        self.report = report
        self._stopping = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        self._stopping.set()

    def once(self) -> None:
        """Deliver what is due."""
        self._side_by_side(self._once)

    def loop(self, interval: float) -> None:
        """Deliver whatever becomes due, looking every `interval` seconds, until `stop` is called."""
        self._side_by_side(lambda alias: self._loop(alias, interval))

    def _side_by_side(self, work: Callable[[str], None]) -> None:
        if len(self.aliases) == 1:
            work(self.aliases[0])
            return
        threads = [
            threading.Thread(target=self._in_thread, args=(work, alias), name=f"prefs-{alias}")
            for alias in self.aliases
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _in_thread(self, work: Callable[[str], None], alias: str) -> None:
        try:
            work(alias)
        finally:
            connection.close()

    def _once(self, alias: str) -> None:
        self.report(alias, drain.drain(alias, stopping=self._stopping.is_set))

    def _loop(self, alias: str, interval: float) -> None:
        while not self.stopped:
            try:
                tally = drain.drain(alias, stopping=self._stopping.is_set)
            except DatabaseError as error:
                logger.warning("delivery to %s: no database (%s)", alias, type(error).__name__)
                connection.close()
                self._stopping.wait(DATABASE_PAUSE)
                continue
            if tally.claimed:
                self.report(alias, tally)
            self._stopping.wait(interval)
