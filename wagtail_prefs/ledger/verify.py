"""The verifier: holds every record against its chain, its columns, its personal values and the seals.

It believes nothing that the tables say about themselves. Everything streams: a page of records, the seals of one
contact, and what `sealed.Runs` sorts in bounded memory.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..changes import change_from_json
from ..values import iso
from . import format1, reading, seals as sealing, tombstone1, tombstones
from .format1 import GENESIS
from .models import SideValue
from .reading import Columns
from .seal1 import RUN, sealed_hash
from .sealed import Held, Runs, Seals, Stones

#: Problems beyond these are counted and not kept.
KEPT = 1000

WORDS: dict[str, str | Promise] = {
    "missing": _("The record is missing: it was deleted, or the end of the chain was cut off."),
    "double": _("Two records of one contact have this number, or it is none."),
    "prev": _(
        "It does not continue the record before: that one, or this one, was swapped, inserted or deleted."
    ),
    "hash": _("Its body or its hash was changed."),
    "column": _("A column does not say what the body says."),
    "sealed": _("It is not the record that was sealed: it was replaced, or its idempotency key changed."),
    "unsealed": _("No seal holds it, although seals were made long after: it may have been added later."),
    "value": _("A personal value is not the one that the record commits to."),
    "malformed": _("What stands in the table is no record."),
    "orphan": _("There are personal values of a record that does not exist."),
    "stone": _(
        "A stone stands for this chain, and it is not the chain that was there: it was removed, or changed, otherwise."
    ),
    "seal-missing": _("The seal is missing."),
    "seal-hash": _("The body or the hash of the seal was changed."),
    "seal-prev": _("The seal does not continue the one before."),
    "seal-signature": _("The signature of the seal is wrong: it was forged or changed."),
    "seal-unverifiable": _("The key of the seal is no longer in SIGNING_KEYS, and no later seal proves it."),
    "seal-forked": _("Two different seals have this number: the database was set back in between."),
    "seal-order": _("The seal stands behind later ones."),
    "seal-malformed": _("This is no seal."),
    "stone-missing": _("The stone is missing."),
    "stone-hash": _("The body or the hash of the stone was changed."),
    "stone-prev": _("The stone does not continue the one before."),
    "stone-signature": _("The signature of the stone is wrong: it was forged or changed."),
    "stone-unverifiable": _("The key of the stone is not in SIGNING_KEYS, and no later stone proves it."),
    "stone-forked": _("Two different stones have this number: the database was set back in between."),
    "stone-order": _("The stone stands behind later ones."),
    "stone-malformed": _("This is no stone."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: with a record (`contact`, `seq`), a seal, a stone, or with a row that is none of them."""

    code: str
    contact: UUID | None = None
    seq: int | None = None
    seal: int | None = None
    #: columns, the name of a personal value, or the id of a record: never anything personal
    detail: str = ""
    stone: int | None = None

    @property
    def words(self) -> str:
        return str(WORDS[self.code])

    def __str__(self) -> str:
        if self.contact:
            where = f"contact {self.contact}, record {self.seq}"
        elif self.seal is not None or self.stone is not None:
            where = f"seal {self.seal}" if self.seal is not None else f"stone {self.stone}"
        else:
            where = "a row or a line"
        return f"{where}: {self.code}{f' ({self.detail})' if self.detail else ''}: {self.words}"

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "contact": str(self.contact) if self.contact else None,
            "seq": self.seq,
            "seal": self.seal,
            "stone": self.stone,
            "detail": self.detail,
            "words": self.words,
        }


@dataclass(slots=True)
class Report:
    """What a verification found. Of each contact only the first bad record is named: nothing after it can be judged."""

    records: int = 0
    contacts: int = 0
    seals: int = 0
    #: signed, in place of chains that were removed
    stones: int = 0
    #: the moment up to which they were to hold everything
    sealed_until: datetime | None = None
    values: int = 0
    #: records that no seal holds; those of the last hours are still to be sealed
    unsealed: int = 0
    #: lines that a crash left unfinished
    torn: int = 0
    #: in the order found: of seals, then of contacts, then the others; not more than KEPT of `total`
    problems: list[Problem] = field(default_factory=list)
    total: int = 0
    #: how many of each code
    codes: Counter[str] = field(default_factory=Counter)
    #: the first bad record, in the order of contacts and numbers; without one the first other problem
    first: Problem | None = None

    @property
    def ok(self) -> bool:
        return not self.total

    def add(self, problem: Problem) -> None:
        self.total += 1
        self.codes[problem.code] += 1
        if len(self.problems) < KEPT:
            self.problems.append(problem)
        if self.first is None or (self.first.seq is None and problem.seq is not None):
            self.first = problem

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "records": self.records,
            "contacts": self.contacts,
            "seals": self.seals,
            "stones": self.stones,
            "sealed_until": iso(self.sealed_until) if self.sealed_until else None,
            "values": self.values,
            "unsealed": self.unsealed,
            "torn": self.torn,
            "problems_total": self.total,
            "first": self.first.to_json() if self.first else None,
            "problems": [problem.to_json() for problem in self.problems],
        }


Progress = Callable[[Report], None]


def verify(
    seals: Iterable[bytes] | None = None, *, contact: UUID | None = None, on_progress: Progress | None = None
) -> Report:
    """Verify the ledger, or the chain of one contact.

    `seals` are the lines that were exported; the table of seals is then not asked. Without them it is, and whoever
    cut a tail may have cut the seals of it too. The table of stones is always asked: what is signed cannot be forged there.
    """
    return Verifier(seals, contact=contact).run(on_progress)


class Verifier:
    """One verification. `report` grows while `run` runs, and holds what was found when it is interrupted."""

    def __init__(
        self, seals: Iterable[bytes] | None = None, *, contact: UUID | None = None, page: int = reading.PAGE
    ) -> None:
        self.report = Report()
        self.contact = contact
        self._lines = chain(sealing.lines() if seals is None else seals, tombstones.lines())
        self._page = page
        self._now = timezone.now()

    def run(self, on_progress: Progress | None = None) -> Report:
        report = self.report
        with Runs() as runs, Runs() as stone_runs:
            # The seals first: what they hold was committed before, so a record that comes meanwhile is only too new.
            seals, stones = self._read_lines(runs, stone_runs, on_progress)
            held, removed = held_by(runs, seals.distrusted), held_by(stone_runs, stones.distrusted)
            chains = _Chains(report, held, removed, self._should_be_sealed(seals))
            for page in reading.pages(self.contact, self._page):
                chains.walk(page)
                if on_progress:
                    on_progress(report)
            chains.end()
        if self.contact is None:
            for record in reading.misfits():
                report.add(Problem("malformed", detail=_printable(record)))
            for record in reading.orphans():
                report.add(Problem("orphan", detail=_printable(record)))
        return report

    def _read_lines(self, runs: Runs, stone_runs: Runs, on_progress: Progress | None) -> tuple[Seals, Stones]:
        seals, stones = Seals(), Stones()
        for text in self._lines:
            if tombstone1.is_one(text):
                if stone := stones.take(text):
                    self.report.stones += bool(stone.runs)
                    stone_runs.add(self._wanted(stone.runs))
            elif seal := seals.take(text):
                self.report.seals += 1
                runs.add(self._wanted(seal.runs))
                if on_progress:
                    on_progress(self.report)
        seals.end()
        stones.end()
        self.report.torn = seals.torn + stones.torn
        self.report.sealed_until = seals.newest
        for fault in seals.faults:
            self.report.add(Problem(fault.code, seal=fault.number))
        for fault in stones.faults:
            self.report.add(Problem(fault.code, stone=fault.number))
        return seals, stones

    def _wanted(self, runs: Iterable[bytes]) -> Iterable[bytes]:
        if self.contact is None:
            return runs
        only = self.contact.bytes
        return [run for run in runs if run.startswith(only)]

    def _should_be_sealed(self, seals: Seals) -> datetime | None:
        """What is older than this stands in a seal, if everything is as it should be."""
        if seals.newest is None or seals.faults:  # a seal that is gone explains it
            return None
        return min(seals.newest, self._now) - sealing.LOOK_BACK


def held_by(runs: Runs, distrusted: Set[int]) -> Held:
    """What the runs hold that nothing speaks against."""
    return Held((run for run in runs if RUN.unpack_from(run)[2] not in distrusted) if distrusted else runs)


class _Chains:
    """Walks along the chains of all contacts, and along what the seals, and the stones, hold of them."""

    def __init__(self, report: Report, held: Held, removed: Held, should_be_sealed: datetime | None) -> None:
        self.report = report
        self._held, self._removed = held, removed
        self._values = SideValue.objects.exists()
        self._limit = iso(should_be_sealed) if should_be_sealed else ""
        # The chain of the contact that is being read
        self._text: str | None = None
        self._contact = b""
        self._sealed: dict[int, bytes] = {}
        self._stone: dict[int, bytes] = {}
        self._before, self._expected = GENESIS, 1
        self._bad = self._late = False

    def walk(self, page: list[reading.Row]) -> None:
        """Go on with these records, which come by contact and number."""
        values = reading.values(page) if self._values else {}
        for text, rows in groupby(page, itemgetter(0)):
            if text != self._text:
                self._leave()
                self._enter(text)
            if not self._bad:
                self._follow(rows, values)
        self.report.records += len(page)
        self.report.values += sum(map(len, values.values()))

    def end(self) -> None:
        """No more records."""
        self._leave()
        for contact in self._held.rest():
            self._gone(contact)

    def _enter(self, text: str) -> None:
        contact = reading.contact_of(text)
        self._text, self._before, self._expected = text, GENESIS, 1
        self._bad, self._late = contact is None, False
        if contact is None:
            self.report.add(Problem("malformed", detail=_printable(text)))
            return
        self.report.contacts += 1
        self._contact = contact
        for lost in self._held.before(contact):
            self._gone(lost)
        self._sealed = self._held.of(contact)
        self._stone = self._under_stone(contact)

    def _gone(self, contact: bytes) -> None:
        """There is no chain, and seals hold one. A stone says why, where it stands for that very chain."""
        stone = self._under_stone(contact)
        for seq, item in sorted(self._held.of(contact).items()):
            if stone.get(seq) != item:
                self._name("stone" if stone else "missing", seq if stone else 1, contact=contact)
                return

    def _under_stone(self, contact: bytes) -> dict[int, bytes]:
        """What the stone of a contact says that her chain was. Of whom nobody asks, no seal holds anything either."""
        for _passed in self._removed.before(contact):
            pass
        return self._removed.of(contact)

    def _leave(self) -> None:
        """The end of a chain. What is sealed and did not come is lost, from the first number that did not come."""
        if self._sealed and not self._bad:
            self._name("missing", self._expected)
        self._sealed = {}

    def _follow(self, rows: Iterable[reading.Row], values: dict[str, list[reading.Value]]) -> None:
        # What is done here for each record is what a verification costs.
        sha256, domain, fromhex = hashlib.sha256, format1.DOMAIN, bytes.fromhex
        before, expected, sealed, stone = self._before, self._expected, self._sealed, self._stone
        for _text, seq, columns, prev, given, body in rows:
            code = detail = ""
            digest = sha256(domain + fromhex(before) + body.encode(errors="surrogateescape"))
            held = sealed.pop(seq, None)
            if seq != expected:
                code = "missing" if seq > expected else "double"
            elif prev != before:
                code = "prev"
            elif digest.hexdigest() != given:
                code = "hash"
            # What a seal holds was held against the body when it was sealed.
            elif held != (item := sealed_hash(digest.digest(), columns)) and (
                detail := _wrong_columns(columns, body, seq, self._contact)
            ):
                code = "column"
            elif held is not None and held != item:
                code = "sealed"
            elif (own := values.get(columns[: reading.ID])) and (detail := _wrong_values(own, body)):
                code = "value"
            elif (
                stone and stone.get(seq) != item
            ):  # about to be removed: then it is this chain, and no longer one
                code = "stone"
            if code:
                self._name(code, min(seq, expected), detail)
                self._bad = True
                return
            if held is None:
                self._unsealed(seq, columns)
            before, expected = given, seq + 1
        self._before, self._expected = before, expected

    def _unsealed(self, seq: int, columns: str) -> None:
        self.report.unsealed += 1
        if not self._late and Columns.from_text(columns).at < self._limit:
            self._late = True
            self._name("unsealed", seq)

    def _name(self, code: str, seq: int, detail: str = "", contact: bytes | None = None) -> None:
        self.report.add(Problem(code, UUID(bytes=contact or self._contact), seq, detail=detail))


def _wrong_columns(text: str, body: str, seq: int, contact: bytes) -> str:
    """Names of the columns that say something else than the body."""
    said = reading.said(body)
    if said is None:
        return "body"
    columns = Columns.from_text(text)._replace(idempotency_key="")
    names = [
        name for name, own, told in zip(Columns._fields, columns, said.columns, strict=True) if own != told
    ]
    names += ["seq"] if said.seq != seq else []
    names += ["contact_ref"] if said.contact != str(UUID(bytes=contact)) else []
    return ", ".join(names)


def _wrong_values(values: list[reading.Value], body: str) -> str:
    """Names of the personal values that are not what the body commits to."""
    wrong, others = [], []
    for value in values:
        try:
            name, commitment = _commitment(value)
        except ValueError:
            wrong.append("?")
            continue
        # The address stands at the beginning of a body, the network near its end.
        find = body.find if name < "b" else body.rfind
        if find(f'"{name}":"{commitment}"') < 0:
            others.append((name, commitment))
    if others:
        committed = _committed(body)
        wrong += [name for name, commitment in others if (name, commitment) not in committed]
    return _printable(", ".join(sorted(wrong))) if wrong else ""


def _commitment(value: reading.Value, sha256: Callable[[bytes], Any] = hashlib.sha256) -> tuple[str, str]:
    """Name and HMAC-SHA256, as hex. OpenSSL takes three times as long to set up one of its own for each salt.

    Raises ValueError where somebody has put what cannot be.
    """
    name, salt, text = value.split("\n", 2)
    key = bytes.fromhex(salt).ljust(64, b"\0")
    inner = sha256(key.translate(_INNER) + text.encode(errors="surrogateescape")).digest()
    return name, sha256(key.translate(_OUTER) + inner).hexdigest()


_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def _committed(body: str) -> set[tuple[str, str]]:
    """(path, commitment) of the effects, of the wishes that yielded and of the changes in a body."""
    try:
        data = json.loads(body)
        holders = [(item["path"], item) for item in (*data["effects"], *data["merged"])]
        holders += [(change_from_json(item).path, item) for item in data["changes"]]
        return {
            (path, value["committed"])
            for path, item in holders
            for value in item.values()
            if isinstance(value, dict) and "committed" in value
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return set()


def _printable(text: str) -> str:
    """For a terminal and for JSON, whatever somebody has written into the table; 200 characters of it."""
    shown = text[:200]
    return shown if shown.isprintable() else ascii(shown)
