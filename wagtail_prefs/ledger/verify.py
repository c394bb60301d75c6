"""The verifier: holds every record against its chain, its columns, its personal values and the seals.

It believes nothing that the tables say about themselves. Everything streams: a page of records, the seals of one
contact, and what `sealed.Runs` sorts in bounded memory.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..values import iso
from . import format1, reading, seals as sealing
from .seal1 import RUN, sealed_hash
from .sealed import Held, Runs, Seals

GENESIS = format1.GENESIS.encode()
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
    "sealed": _("It is not the record that was sealed: it was replaced, and the chain rewritten."),
    "unsealed": _("No seal holds it, although seals were made long after: it may have been added later."),
    "value": _("A personal value is not the one that the record commits to."),
    "malformed": _("What stands in the table is no record."),
    "orphan": _("There are personal values of a record that does not exist."),
    "seal-missing": _("The seal is missing."),
    "seal-hash": _("The body or the hash of the seal was changed."),
    "seal-prev": _("The seal does not continue the one before."),
    "seal-signature": _("The signature of the seal is wrong: it was forged or changed."),
    "seal-unverifiable": _("The key of the seal is no longer in SIGNING_KEYS, and no later seal proves it."),
    "seal-forked": _("Two different seals have this number: the database was set back in between."),
    "seal-order": _("The seal stands behind later ones."),
    "seal-malformed": _("This is no seal."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: with a record (`contact`, `seq`), with a seal, or with a row that is neither."""

    code: str
    contact: UUID | None = None
    seq: int | None = None
    seal: int | None = None
    #: columns, the name of a personal value, or the id of a record: never anything personal
    detail: str = ""

    @property
    def words(self) -> str:
        return str(WORDS[self.code])

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "contact": str(self.contact) if self.contact else None,
            "seq": self.seq,
            "seal": self.seal,
            "detail": self.detail,
            "words": self.words,
        }


@dataclass(slots=True)
class Report:
    """What a verification found. Of each contact only the first bad record is named: nothing after it can be judged."""

    records: int = 0
    contacts: int = 0
    seals: int = 0
    values: int = 0
    #: records that no seal holds; those of the last hours are still to be sealed
    unsealed: int = 0
    #: lines that a crash left unfinished
    torn: int = 0
    problems: list[Problem] = field(default_factory=list)
    total: int = 0

    @property
    def ok(self) -> bool:
        return not self.total

    @property
    def first(self) -> Problem | None:
        """The first bad record, in the order of contacts and numbers; else the first other problem."""
        of_records = (problem for problem in self.problems if problem.seq is not None)
        return next(of_records, self.problems[0] if self.problems else None)

    def add(self, problem: Problem) -> None:
        self.total += 1
        if len(self.problems) < KEPT:
            self.problems.append(problem)

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "records": self.records,
            "contacts": self.contacts,
            "seals": self.seals,
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
    cut a tail may have cut the seals of it too.
    """
    return Verifier(seals, contact=contact).run(on_progress)


class Verifier:
    """One verification. `report` grows while `run` runs, and holds what was found when it is interrupted."""

    def __init__(
        self, seals: Iterable[bytes] | None = None, *, contact: UUID | None = None, page: int = reading.PAGE
    ) -> None:
        self.report = Report()
        self.contact = contact
        self._lines = sealing.lines() if seals is None else seals
        self._page = page
        self._now = timezone.now()

    def run(self, on_progress: Progress | None = None) -> Report:
        report = self.report
        with Runs() as runs:
            # The seals first: what they hold was committed before, so a record that comes meanwhile is only too new.
            seals = self._read_seals(runs, on_progress)
            trusted = (run for run in runs if RUN.unpack_from(run)[2] not in seals.distrusted)
            held = Held(trusted if seals.distrusted else runs)
            chains = _Chains(report, held, self._should_be_sealed(seals))
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

    def _read_seals(self, runs: Runs, on_progress: Progress | None) -> Seals:
        seals = Seals()
        only = self.contact.bytes if self.contact else None
        for line in seals.read(self._lines):
            self.report.seals += 1
            runs.add(line.runs if only is None else [run for run in line.runs if run.startswith(only)])
            if on_progress:
                on_progress(self.report)
        self.report.torn = seals.torn
        for fault in seals.faults:
            self.report.add(Problem(fault.code, seal=fault.number))
        return seals

    def _should_be_sealed(self, seals: Seals) -> datetime | None:
        """What is older than this stands in a seal, if everything is as it should be."""
        return min(seals.newest, self._now) - sealing.LOOK_BACK if seals.newest else None


class _Chains:
    """Walks along the chains of all contacts, and along what the seals hold of them."""

    def __init__(self, report: Report, held: Held, should_be_sealed: datetime | None) -> None:
        self.report = report
        self._held = held
        self._limit = iso(should_be_sealed).encode() if should_be_sealed else b""
        # The chain of the contact that is being read
        self._text = b""
        self._contact = b""
        self._subject = b""
        self._sealed: dict[int, bytes] = {}
        self._before, self._raw, self._expected = GENESIS, bytes(32), 1
        self._bad = self._late = False

    def walk(self, page: list[reading.Row]) -> None:
        """Go on with these records, which come by contact and number."""
        values = reading.values([row[2] for row in page])
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
            self._name("missing", 1, contact=contact)

    def _enter(self, text: bytes) -> None:
        self._text, self._before, self._raw, self._expected = text, GENESIS, bytes(32), 1
        of = reading.contact_of(text)
        self._bad, self._late = of is None, False
        if of is None:
            self.report.add(Problem("malformed", detail=_printable(text)))
            return
        self.report.contacts += 1
        contact, written = of
        self._contact = contact
        self._subject = b'"subject_ref":"%b","user_agent_family":' % written
        for lost in self._held.before(contact):
            self._name("missing", 1, contact=lost)
        self._sealed = self._held.of(contact)

    def _leave(self) -> None:
        """The end of a chain. What is sealed and did not come is lost, from the first number that did not come."""
        if self._sealed and not self._bad:
            self._name("missing", self._expected)
        self._sealed = {}

    def _follow(self, rows: Iterable[reading.Row], values: dict[bytes, list[reading.Value]]) -> None:
        # What is done here for each record is what a verification costs.
        sha256, domain, subject, sealed = hashlib.sha256, format1.DOMAIN, self._subject, self._sealed
        before, raw, expected = self._before, self._raw, self._expected
        for row in rows:
            _, number, record_id, audience, at, actor, key, prev, given, body = row
            digest, seq = sha256(domain + raw + body), int(number)
            held, code, detail = sealed.pop(seq, None), "", ""
            if seq != expected:
                code = "missing" if seq > expected else "double"
            elif prev != before:
                code = "prev"
            elif digest.hexdigest().encode() != given:
                code = "hash"
            # Unescaped quotes stand around keys and values only, and these keys nowhere else: so these bytes do not
            # either. A body that does not look like this may still be right, and is read as JSON.
            elif not (
                subject in body
                and b'"record_id":"%b","request":' % record_id in body
                and len(at) == 27
                and b'"event_time_utc":"%b",' % at in body
                and b'"seq":%b,"source_url":' % number in body
                and b'"controller_id":"%b","effects":' % audience in body
                and b'"type":"%b"},"address_as_entered":' % actor in body
            ) and (wrong := _wrong_columns(row, self._contact)):
                code, detail = "column", wrong
            elif held is not None and held != sealed_hash(digest.digest(), key):
                code = "sealed"
            elif record_id in values and (wrong := _wrong_values(body, values[record_id])):
                code, detail = "value", wrong
            if code:
                self._name(code, min(seq, expected), detail)
                self._bad = True
                return
            if held is None:
                self._unsealed(seq, at)
            before, raw, expected = given, digest.digest(), seq + 1
        self._before, self._raw, self._expected = before, raw, expected

    def _unsealed(self, seq: int, at: bytes) -> None:
        self.report.unsealed += 1
        if at < self._limit and not self._late:
            self._late = True
            self._name("unsealed", seq)

    def _name(self, code: str, seq: int, detail: str = "", contact: bytes | None = None) -> None:
        self.report.add(Problem(code, UUID(bytes=contact or self._contact), seq, detail=detail))


#: The fields of a body that columns repeat, beside the actor's type.
_REPEATED = ("controller_id", "event_time_utc", "record_id", "subject_ref", "seq")


def _wrong_columns(row: reading.Row, contact: bytes) -> str:
    """Names of the columns that say something else than the body, read as JSON."""
    _, seq, record_id, audience, at, actor, _, _, _, body = row
    try:
        said = json.loads(body)
        actual = [said["actor"]["type"], *map(said.__getitem__, _REPEATED)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "body"
    columns = (
        *(item.decode(errors="replace") for item in (actor, audience, at, record_id)),
        int(seq),
        str(contact),
    )
    names = ("actor", "audience", "at", "id", "seq", "contact_ref")
    return ", ".join(
        name for name, column, inside in zip(names, columns, actual, strict=True) if column != inside
    )


def _wrong_values(body: bytes, values: list[reading.Value]) -> str:
    """Names of the personal values that are not what the body commits to."""
    wrong = []
    for name, salt, value in values:
        digest = hmac.digest(salt, value, hashlib.sha256).hex()
        plainly = b'"%b":"%b"' % (name, digest.encode())
        if plainly not in body and not _committed(body, _printable(name), {"committed": digest}):
            wrong.append(_printable(name))
    return ", ".join(sorted(wrong))


def _committed(body: bytes, path: str, commitment: dict[str, str]) -> bool:
    """Whether an effect on this path holds the commitment."""
    try:
        return any(
            effect["path"] == path and commitment in (effect["before"], effect["after"])
            for effect in json.loads(body)["effects"]
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _printable(text: bytes) -> str:
    """For a terminal and for JSON, whatever somebody has written into the table; 200 characters of it."""
    shown = text.decode(errors="replace")[:200]
    return shown if shown.isprintable() else ascii(shown)
