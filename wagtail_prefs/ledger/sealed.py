"""What seals hold, sorted like the ledger, in bounded memory; and whether the seals themselves are whole."""

from __future__ import annotations

import heapq
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import IO

from ..conf import conf
from .seal1 import GENESIS, RUN, Line, Torn, read_line

#: Bytes of runs that are sorted in memory; more go to temporary files.
CHUNK_BYTES = 48 * 1024 * 1024
#: What CPython needs for a short bytes object and its place in a list, beyond its content.
OVERHEAD = 48

_LENGTH = struct.Struct(">I")


class Runs:
    """Runs of sealed records (see `seal1.RUN`), added in any order, read sorted by contact and number.

    Used as a context, which removes the temporary files.
    """

    def __init__(self, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.chunk_bytes = chunk_bytes
        self._chunk: list[bytes] = []
        self._size = 0
        self._files: list[IO[bytes]] = []
        self._closing = ExitStack()

    def __enter__(self) -> Runs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self._closing.close()

    def add(self, runs: Iterable[bytes]) -> None:
        before = len(self._chunk)
        self._chunk.extend(runs)
        self._size += sum(map(len, self._chunk[before:])) + OVERHEAD * (len(self._chunk) - before)
        if self._size >= self.chunk_bytes:
            self._spill()

    def _spill(self) -> None:
        self._chunk.sort()
        file = self._closing.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed by __exit__
        for run in self._chunk:
            file.write(_LENGTH.pack(len(run)))
            file.write(run)
        self._files.append(file)
        self._chunk, self._size = [], 0

    def __iter__(self) -> Iterator[bytes]:
        self._chunk.sort()
        if not self._files:
            return iter(self._chunk)
        return heapq.merge(self._chunk, *map(_from, self._files))


def _from(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while length := file.read(_LENGTH.size):
        yield file.read(*_LENGTH.unpack(length))


class Held:
    """Asks for what runs hold, contact after contact in their order."""

    def __init__(self, runs: Iterable[bytes]) -> None:
        self._runs = iter(runs)
        self._run = next(self._runs, b"")

    def before(self, contact: bytes) -> Iterator[bytes]:
        """The contacts before this one of which there are runs that nobody asked for; 16 bytes each, like `contact`."""
        while self._run and self._run[:16] < contact:
            passed = self._run[:16]
            yield passed
            self._skip(passed)

    def rest(self) -> Iterator[bytes]:
        """The same, to the end."""
        return self.before(b"\xff" * 17)

    def of(self, contact: bytes) -> dict[int, bytes]:
        """What the runs hold of a contact: number -> `sealed_hash`; b"" where they contradict each other."""
        found: dict[int, bytes] = {}
        while self._run[:16] == contact:
            _, seq, _ = RUN.unpack_from(self._run)
            for place in range(RUN.size, len(self._run), 32):
                item = self._run[place : place + 32]
                # Sealed twice is fine; as two different records it never was.
                found[seq] = item if found.get(seq, item) == item else b""
                seq += 1
            self._run = next(self._runs, b"")
        return found

    def _skip(self, contact: bytes) -> None:
        while self._run[:16] == contact:
            self._run = next(self._runs, b"")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one seal: a code of `verify.WORDS`."""

    number: int | None
    code: str


class Seals:
    """Reads lines in the order in which they were made, as an export holds them.

    A seal counts when its own signature is right, or when one with a right signature is chained to it: so seals
    whose key has left the ring are proven by later ones. The others are named in `faults` or `distrusted`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.torn = 0
        self.faults: list[Fault] = []
        self.newest: datetime | None = None
        #: numbers of seals that prove nothing
        self.distrusted: set[int] = set()
        self._known = {key.kid for key in conf.signing_keys}
        self._hashes: dict[int, str] = {}
        self._expected = 1
        self._before: str | None = GENESIS
        self._unproven: list[Line] = []

    def read(self, lines: Iterable[bytes]) -> Iterator[Line]:
        """Yields each seal once it was looked at; what is wrong with it is known when all were read."""
        garbled = False
        for text in lines:
            if b'{"at":' not in text and b'"signature":' not in text:
                continue  # empty, or somebody else's in a log that holds more than seals
            garbled = False
            try:
                line = read_line(text)
            except Torn:
                # A crash while the line was written: the sink wrote the seal again below. If it did not, the next
                # one shows the gap; and a line that was ended, and is the last, was whole once.
                self.torn += 1
                garbled = text.endswith(b"\n")
            except ValueError:
                self._fault(None, "seal-malformed")
            else:
                if self._look(line):
                    yield line
        if garbled:
            self._fault(None, "seal-malformed")
        self._give_up()

    def _look(self, line: Line) -> bool:
        """Whether the seal is new to us."""
        number, whole = line.number, line.is_whole()
        if number in self._hashes:
            # Sent again after a crash: the very same. Two that differ were made from two states of the database.
            if line.hash != self._hashes[number]:
                self._fault(number, "seal-forked")
            elif not whole:
                self._fault(number, "seal-hash")
            return False
        if number < self._expected:  # a part of a gap that was told already
            self._fault(number, "seal-order")
            return False
        self.count += 1
        self._hashes[number] = line.hash
        if number > self._expected:
            self._fault(self._expected, "seal-missing")
            self._give_up()
        elif whole and self._before is not None and line.prev != self._before:
            self._fault(number, "seal-prev")
            self._give_up()
        self._expected, self._before = number + 1, line.hash
        if not whole:
            self._fault(number, "seal-hash")
            self.distrusted.add(number)
            self._give_up()
        elif line.is_signed():
            self._prove(line)
        else:
            if line.kid in self._known:
                self._fault(number, "seal-signature")
            # Without what takes the memory: years of seals may wait for one that proves them.
            self._unproven.append(replace(line, body=b"", runs=()))
        return True

    def _prove(self, line: Line) -> None:
        """A right signature: it proves this seal, and by the chain those before it."""
        for proven in (*self._unproven, line):
            self.newest = max(self.newest, proven.at) if self.newest else proven.at
        self._unproven.clear()

    def _give_up(self) -> None:
        """Nothing is chained to these any more."""
        for line in self._unproven:
            self.distrusted.add(line.number)
            if line.kid not in self._known:
                self._fault(line.number, "seal-unverifiable")
        self._unproven.clear()

    def _fault(self, number: int | None, code: str) -> None:
        self.faults.append(Fault(number, code))
