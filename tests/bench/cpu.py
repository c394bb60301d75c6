"""CPU time of other processes, from /proc/<pid>/stat."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def children(parent: int) -> list[int]:
    """The processes that `parent` has started."""
    return [pid for pid, fields in _all() if int(fields[1]) == parent]


def parent_of(pid: int) -> int:
    return int(_fields(pid)[1])


def seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes together."""
    return sum(sum(map(int, _fields(pid)[11:13])) for pid in pids) / TICKS


def exact_seconds(pids: Iterable[int]) -> float:
    """The same to the nanosecond, of processes of one thread."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def _all() -> Iterable[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                yield int(entry.name), _fields(int(entry.name))


def _fields(pid: int) -> list[str]:
    """The fields from `state` on: the name before them may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
