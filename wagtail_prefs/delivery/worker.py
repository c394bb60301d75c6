"""The worker: a thread for each backend, one for mail, one for whatever else is to be sent, so that none that hangs delays
another, and one that keeps house."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from django.db import DatabaseError, connection
from django.utils import timezone

from ..ledger.seals import Sealer
from ..mail import sending
from . import drain
from .engine import Tally

logger = logging.getLogger("wagtail_prefs.delivery")

#: A round of something, which ends early when it is told to stop.
Round = Callable[[Callable[[], bool]], object]

#: Seconds to wait after the database was away.
DATABASE_PAUSE = 5.0


class Worker:
    """Delivers to some backends, once or until it is stopped. `stop` lets the call under way end first.

    With `mailed` it sends mails as well, and reports there. It also seals the ledger, and does the `chores` it is given,
    each at every look: what packages above this one want done from time to time. They must be cheap where there is
    nothing to do. `rounds` are the same for what may take long, by name: each has a thread of its own.
    """

    def __init__(
        self,
        aliases: Sequence[str],
        *,
        report: Callable[[str, Tally], None],
        mailed: Callable[[sending.Tally], None] | None = None,
        chores: Sequence[Callable[[], object]] = (),
        rounds: Mapping[str, Round] | None = None,
    ) -> None:
        self.aliases = list(aliases)
        self.report = report
        self.mailed = mailed
        self.chores = list(chores)
        self.rounds = dict(rounds or {})
        self._stopping = threading.Event()
        self._broken: list[BaseException] = []
        self._complained: set[tuple[Callable[[], object], type[Exception]]] = set()

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        self._stopping.set()

    def once(self) -> None:
        """Do the chores, deliver and mail what is due, and seal what is.

        Raises what a thread of it raised, and so does `loop`: then all of it has ended, after the calls under way.
        """
        self._do_chores()
        work: dict[str, Callable[[], object]] = {alias: partial(self._once, alias) for alias in self.aliases}
        if self.mailed is not None:
            work["(mail)"] = partial(self._mail_once, self.mailed)
        for name, round_ in self.rounds.items():
            work[f"({name})"] = partial(round_, self._is_stopping)
        if connection.in_atomic_block:  # threads would not see what the caller's transaction has written
            for task in work.values():
                task()
        else:
            self._side_by_side(work)
        if not self.stopped:
            Sealer().round(timezone.now(), self._stopping.is_set)

    def loop(self, interval: float) -> None:
        """Deliver whatever becomes due, looking every `interval` seconds, until `stop` is called."""
        work: dict[str, Callable[[], object]] = {
            alias: partial(self._loop, alias, interval) for alias in self.aliases
        }
        if self.mailed is not None:
            work["(mail)"] = partial(self._mail_loop, self.mailed, interval)
        for name, round_ in self.rounds.items():
            work[f"({name})"] = partial(self._round_loop, name, round_, interval)
        self._side_by_side({**work, "(house)": partial(self._keep_house, interval)})

    def _side_by_side(self, work: Mapping[str, Callable[[], object]]) -> None:
        if len(work) == 1:
            for only in work.values():
                only()
            return
        threads = [
            threading.Thread(target=self._in_thread, args=(task,), name=f"prefs-{name}")
            for name, task in work.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._broken:
            raise self._broken[0]

    def _in_thread(self, task: Callable[[], object]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - raised by `_side_by_side`
            # A worker that has lost a thread looks well and is not: it ends as a whole, and whoever runs it sees that.
            self._broken.append(error)
            self.stop()
        finally:
            connection.close()

    def _do_chores(self) -> None:
        """One that fails stops no other, and no delivery."""
        for chore in self.chores:
            try:
                chore()
            except DatabaseError:
                raise
            except Exception as error:  # noqa: BLE001 - receivers of signals and backends are anybody's code
                if (chore, type(error)) not in self._complained:  # not at every look
                    self._complained.add((chore, type(error)))
                    name = getattr(chore, "__name__", "chore")
                    logger.error("keeping house: %s failed (%s)", name, type(error).__name__)  # noqa: TRY400

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

    def _mail_once(self, mailed: Callable[[sending.Tally], None]) -> None:
        mailed(sending.drain(stopping=self._stopping.is_set))

    def _mail_loop(self, mailed: Callable[[sending.Tally], None], interval: float) -> None:
        while not self.stopped:
            try:
                tally = sending.drain(stopping=self._stopping.is_set)
            except DatabaseError as error:
                logger.warning("mail: no database (%s)", type(error).__name__)
                connection.close()
                self._stopping.wait(DATABASE_PAUSE)
                continue
            if tally.claimed:
                mailed(tally)
            self._stopping.wait(interval)

    def _is_stopping(self) -> bool:
        return self._stopping.is_set()

    def _round_loop(self, name: str, round_: Round, interval: float) -> None:
        while not self.stopped:
            try:
                round_(self._is_stopping)
            except DatabaseError as error:
                logger.warning("%s: no database (%s)", name, type(error).__name__)
                connection.close()
                self._stopping.wait(DATABASE_PAUSE)
                continue
            self._stopping.wait(interval)

    def _keep_house(self, interval: float) -> None:
        sealer = Sealer()
        while not self.stopped:
            try:
                self._do_chores()
                sealer.round(timezone.now(), self._stopping.is_set)
            except DatabaseError as error:
                logger.warning("keeping house: no database (%s)", type(error).__name__)
                connection.close()
                self._stopping.wait(DATABASE_PAUSE)
                continue
            self._stopping.wait(interval)
