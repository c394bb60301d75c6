"""What seals hold, sorted like the ledger, in bounded memory; and whether the seals, and the stones, are whole."""

from __future__ import annotations

import heapq
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import IO, Generic, Protocol, TypeVar

from ..conf import conf
from . import seal1, tombstone1
from .seal1 import GENESIS, RUN, Torn

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
    """What is wrong with one seal, or stone: a code of `verify.WORDS`."""

    number: int | None
    code: str


class Link(Protocol):
    """A seal or a stone, as `seal1.Line` and `tombstone1.Line` have it."""

    @property
    def number(self) -> int: ...
    @property
    def at(self) -> datetime: ...
    @property
    def prev(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def kid(self) -> str: ...
    @property
    def runs(self) -> tuple[bytes, ...]: ...
    def is_whole(self) -> bool: ...
    def is_signed(self) -> bool: ...


L = TypeVar("L", bound=Link)


class Links(Generic[L]):
    """Reads lines in the order in which they were made, as an export holds them.

    A link counts when its own signature is right, or when one with a right signature is chained to it: so those whose
    key has left the ring are proven by later ones. The others are named in `faults` or `distrusted`.
    """

    def __init__(self, read_line: Callable[[bytes], L], kind: str, strip: Callable[[L], L]) -> None:
        self.count = 0
        self.torn = 0
        self.faults: list[Fault] = []
        self.newest: datetime | None = None
        #: numbers of links that prove nothing
        self.distrusted: set[int] = set()
        self._read_line, self._kind, self._strip = read_line, kind, strip
        self._known = {key.kid for key in conf.signing_keys}
        self._hashes: dict[int, str] = {}
        self._expected = 1
        self._before: str | None = GENESIS
        self._unproven: list[L] = []
        self._garbled = False

    def read(self, lines: Iterable[bytes]) -> Iterator[L]:
        """Yields each link once it was looked at; what is wrong with it is known when all were read."""
        for text in lines:
            line = self.take(text)
            if line is not None:
                yield line
        self.end()

    def take(self, text: bytes) -> L | None:
        """The link of one line, where it is one and new to us."""
        if b'{"at":' not in text and b'"signature":' not in text:
            return None  # empty, or somebody else's in a log that holds more than seals
        self._garbled = False
        try:
            line = self._read_line(text)
        except Torn:
            # A crash while the line was written: the sink wrote the seal again below. If it did not, the next
            # one shows the gap; and a line that was ended, and is the last, was whole once.
            self.torn += 1
            self._garbled = text.endswith(b"\n")
        except ValueError:
            self._fault(None, "malformed")
        else:
            if self._look(line):
                return line
        return None

    def end(self) -> None:
        """No more lines."""
        if self._garbled:
            self._fault(None, "malformed")
        self._give_up()

    def _look(self, line: L) -> bool:
        """Whether it is new to us."""
        number, whole = line.number, line.is_whole()
        if number in self._hashes:
            # Sent again after a crash: the very same. Two that differ were made from two states of the database.
            if line.hash != self._hashes[number]:
                self._fault(number, "forked")
            elif not whole:
                self._fault(number, "hash")
            return False
        if number < self._expected:  # a part of a gap that was told already
            self._fault(number, "order")
            return False
        self.count += 1
        self._hashes[number] = line.hash
        if number > self._expected:
            self._fault(self._expected, "missing")
            self._give_up()
        elif whole and self._before is not None and line.prev != self._before:
            self._fault(number, "prev")
            self._give_up()
        self._expected, self._before = number + 1, line.hash
        if not whole:
            self._fault(number, "hash")
            self.distrusted.add(number)
            self._give_up()
        elif line.is_signed():
            self._prove(line)
        else:
            if line.kid in self._known:
                self._fault(number, "signature")
            self._unproven.append(self._strip(line))
        return True

    def _prove(self, line: L) -> None:
        """A right signature: it proves this one, and by the chain those before it."""
        for proven in (*self._unproven, line):
            self.newest = max(self.newest, proven.at) if self.newest else proven.at
        self._unproven.clear()

    def _give_up(self) -> None:
        """Nothing is chained to these any more."""
        for line in self._unproven:
            self.distrusted.add(line.number)
            if line.kid not in self._known:
                self._fault(line.number, "unverifiable")
        self._unproven.clear()

    def _fault(self, number: int | None, code: str) -> None:
        self.faults.append(Fault(number, f"{self._kind}-{code}"))


class Seals(Links[seal1.Line]):
    """The seals; of those that wait for one that proves them, without what takes the memory: there may be years of them."""

    def __init__(self) -> None:
        super().__init__(seal1.read_line, "seal", lambda line: replace(line, body=b"", runs=()))


class Stones(Links[tombstone1.Line]):
    """The stones of chains that were removed."""

    def __init__(self) -> None:
        super().__init__(tombstone1.read_line, "stone", lambda line: replace(line, body=b"", runs=()))
