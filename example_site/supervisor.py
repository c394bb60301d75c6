"""Starts processes, watches them, starts again what falls over, and leaves none behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 10
#: A process that falls over more often than this in a minute is broken and not unlucky.
RESTARTS_A_MINUTE = 3


class Broken(Exception):
    """A process cannot be kept running; the message says which, and shows its last words."""


@dataclass
class Child:
    """One process and its log."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)

    def start(self, env: Mapping[str, str]) -> None:
        self.starts = [at for at in self.starts if at > time.monotonic() - 60] + [time.monotonic()]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                self.command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A group of its own: Ctrl-C reaches us alone, and we stop the children in order.
                process_group=0,
                preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )

    @property
    def fell_over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  {line}" for line in lines[-15:])

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def stop(self, deadline: float) -> None:
        """Wait until `deadline`, then end the whole group."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Supervisor:
    """Keeps children running until `stop`. Not thread-safe: one loop owns it."""

    def __init__(self, env: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._env = env
        self._say = say
        self._children: list[Child] = []

    def start(self, child: Child) -> None:
        self._children.append(child)
        child.start(self._env)

    def look_after(self) -> None:
        """Start again what fell over. Raises Broken for what keeps falling over."""
        for child in self._children:
            if not child.fell_over:
                continue
            code = child.process.returncode if child.process else None
            if len(child.starts) > RESTARTS_A_MINUTE:
                raise Broken(
                    f"{child.name} keeps stopping (exit code {code}). Its last words, from {child.log}:\n"
                    f"{child.last_words()}"
                )
            self._say(f"{child.name} stopped (exit code {code}) and is started again; see {child.log}")
            child.start(self._env)

    def stop(self) -> None:
        """Stop all, the last started first to be asked; what does not go within ten seconds is killed."""
        for child in reversed(self._children):
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for child in reversed(self._children):
            child.stop(deadline)
        self._children.clear()


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """Make Linux end a child whose parent was killed without a chance to clean up."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded here: little is safe between fork and exec
    set_death_signal = 1

    def ask() -> None:
        prctl(set_death_signal, signal.SIGTERM)
        if os.getppid() != parent:  # killed in between
            os._exit(1)

    return ask
