"""A CSV of people, row by row: what its columns mean, and what each row wants. Nothing here asks the database.

UTF-8 with or without a byte order mark; commas, semicolons or tabs; the first row names the columns (docs/how-to/
import-contacts.md). Rows are numbered as a spreadsheet numbers them: the first one of people is row 2.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path
from typing import IO, Any
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from ..contacts.addresses import canonical_email
from ..law.countries import normal
from ..values import CHANNELS, EVIDENCE_KINDS, Evidence, Key
from .codes import Code

DELIMITERS = (",", ";", "\t")
#: Other words for a column, in lower case.
SYNONYMS = {
    "e-mail": "email",
    "e-mail address": "email",
    "email address": "email",
    "mail": "email",
    "id": "external_id",
    "time zone": "timezone",
    "evidence_date": "evidence_at",
}
FACTS = ("language", "country", "timezone")
COLUMNS = (
    "email",
    "external_id",
    *FACTS,
    "topic",
    "channel",
    "choice",
    "opted_out",
    "evidence",
    "evidence_at",
    "evidence_kind",
)
YES = frozenset({"yes", "y", "true", "1", "subscribed", "opt-in", "in"})
NO = frozenset({"no", "n", "false", "0", "unsubscribed", "opt-out", "out"})

_TOPIC = re.compile(r"([a-z0-9_-]{1,64}):([a-z_]{1,16})")
_ATTRIBUTE = re.compile(r"attribute:([a-z0-9_-]{1,64})")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class BadFile(Exception):
    """The file as a whole cannot be read; the message says why, and holds nothing of its rows."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one row wants. `noes` and `yeses` are topics with their channels; `problems` is what is wrong with the row.

    A row whose address is wrong has nothing else. `email` is as it stands there, `address` its canonical form.
    """

    row: int
    email: str = ""
    address: str = ""
    external_id: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    noes: tuple[Key, ...] = ()
    yeses: tuple[Key, ...] = ()
    opted_out: bool = False
    evidence: Evidence | None = None
    problems: tuple[Code, ...] = ()

    @property
    def chooses(self) -> bool:
        """Whether it says anything about messages."""
        return bool(self.noes or self.yeses or self.opted_out)


class Source:
    """A file, or what stands in one, to be read as often as wanted. Raises BadFile where its head cannot be read."""

    def __init__(self, path: Path | bytes, mapping: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._mapping = {name.strip().casefold(): to for name, to in (mapping or {}).items()}
        try:
            with self._open() as file:
                head = file.readline(65536)
        except OSError as error:
            raise BadFile(_("there is no such file, or it may not be read")) from error
        except UnicodeDecodeError as error:
            raise BadFile(_("the file is not UTF-8")) from error
        self.delimiter, self.columns = self._columns(head)

    def _open(self) -> IO[str]:
        return io.TextIOWrapper(self._open_raw(), encoding="utf-8-sig", newline="")

    def _open_raw(self) -> Any:
        return io.BytesIO(self.path) if isinstance(self.path, bytes) else self.path.open("rb")

    def digest(self, audience: str) -> str:
        """Names the file, and how it is read, for whom: hex."""
        found = hashlib.sha256(f"{audience}\n{sorted(self._mapping.items())}\n".encode())
        with self._open_raw() as file:
            while some := file.read(1 << 20):
                found.update(some)
        return found.hexdigest()

    def lines(self, after: int = 0) -> Iterator[Line]:
        """The rows beyond one, in order; empty rows are left out. Raises BadFile where it is no CSV any more."""
        for row, cells in self._rows():
            if row > after and any(cell.strip() for cell in cells):
                yield self._line(row, cells)

    def last_row(self) -> int:
        """The number of the last row that is not empty, 1 where there is nobody. Raises BadFile as `lines` does."""
        return max((row for row, cells in self._rows() if any(cell.strip() for cell in cells)), default=1)

    def _rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        row = 1
        try:
            with self._open() as file:
                rows = csv.reader(file, delimiter=self.delimiter, strict=True)
                next(rows)
                for row, cells in enumerate(rows, start=2):
                    yield row, cells
        except csv.Error as error:
            raise BadFile(_("row %(row)s is no row of a CSV") % {"row": row + 1}) from error
        except UnicodeDecodeError as error:
            raise BadFile(_("what follows row %(row)s is not UTF-8") % {"row": row}) from error

    def _columns(self, head: str) -> tuple[str, Sequence[str]]:
        for delimiter in sorted(DELIMITERS, key=lambda one: -head.count(one)):
            try:
                names = next(csv.reader([head], delimiter=delimiter, strict=True), [])
            except csv.Error:
                continue
            columns = [self._meaning(name) for name in names]
            if "email" in columns:
                break
        else:
            raise BadFile(_("no column is called email; name the columns in the first row"))
        unknown = [str(number) for number, name in enumerate(columns, start=1) if not _is_column(name)]
        if unknown:
            raise BadFile(
                _("it is not known what these columns mean: %(columns)s; map or remove them")
                % {"columns": ", ".join(unknown)}
            )
        named = [name for name in columns if name]
        if len(set(named)) < len(named):
            raise BadFile(_("two columns mean the same"))
        long = {"topic", "channel", "choice"} & set(columns)
        if long and len(long) < 3:
            raise BadFile(_("topic, channel and choice need each other"))
        if ("evidence" in columns) != ("evidence_at" in columns):
            raise BadFile(_("evidence needs the day of it, evidence_at, and that needs evidence"))
        if "evidence_kind" in columns and "evidence" not in columns:
            raise BadFile(_("evidence_kind says what the evidence shows, and needs evidence"))
        return delimiter, columns

    def _meaning(self, name: str) -> str:
        plain = name.strip().casefold()
        if plain in self._mapping:
            return self._mapping[plain]
        return SYNONYMS.get(plain, plain)

    def _line(self, row: int, cells: Sequence[str]) -> Line:
        if len(cells) != len(self.columns):
            return Line(row, problems=(Code.BAD_ROW,))
        given = {
            name: cell.strip()
            for name, cell in zip(self.columns, cells, strict=True)
            if name and cell.strip()
        }
        try:
            address = canonical_email(given.get("email", ""))
        except (ValidationError, UnicodeError):
            return Line(row, problems=(Code.BAD_ADDRESS,))
        return _Reading(given).line(row, given["email"], address)


class _Reading:
    """The cells of one row, by the names of their columns, becoming what it wants."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.problems: list[Code] = []
        self.noes: list[Key] = []
        self.yeses: list[Key] = []

    def line(self, row: int, email: str, address: str) -> Line:
        given = self.given
        long = [name for name in ("topic", "channel", "choice") if name in given]
        if len(long) == 3:
            self._choose((given["topic"], given["channel"]), given["choice"])
        elif "choice" in long:
            self.problems.append(Code.BAD_CHOICE)
        attributes = {}
        for name, cell in given.items():
            if attribute := _ATTRIBUTE.fullmatch(name):
                attributes[attribute[1]] = cell.replace("\0", "")
            elif wide := _TOPIC.fullmatch(name):
                self._choose((wide[1], wide[2]), cell)
        out = given.get("opted_out", "").casefold()
        if out and out not in YES | NO:
            self.problems.append(Code.BAD_CHOICE)
        external_id = given.get("external_id", "").replace("\0", "")
        if len(external_id) > 255:
            self.problems.append(Code.BAD_FACT)
            external_id = ""
        return Line(
            row=row,
            email=email,
            address=address,
            external_id=external_id,
            facts=self._facts(),
            attributes=attributes,
            noes=tuple(self.noes),
            yeses=tuple(self.yeses),
            opted_out=out in YES,
            evidence=self._evidence(),
            problems=tuple(dict.fromkeys(self.problems)),
        )

    def _choose(self, key: Key, cell: str) -> None:
        said = cell.casefold()
        if said in NO:
            self.noes.append(key)
        elif said in YES:
            self.yeses.append(key)
        else:
            self.problems.append(Code.BAD_CHOICE)

    def _facts(self) -> dict[str, str]:
        found = {}
        for name in FACTS:
            if cell := self.given.get(name):
                value = fact(name, cell)
                if value:
                    found[name] = value
                else:
                    self.problems.append(Code.BAD_FACT)
        return found

    def _evidence(self) -> Evidence | None:
        reference, day = self.given.get("evidence", ""), self.given.get("evidence_at", "")
        if not reference and not day:
            return None
        at = moment(day)
        # A record keeps the reference for ever, so it may be no address (values.Evidence).
        if not reference or len(reference) > 255 or "@" in reference or "\0" in reference or at is None:
            self.problems.append(Code.BAD_EVIDENCE)
            return None
        kind = self.given.get("evidence_kind", "consent").casefold()
        for known in EVIDENCE_KINDS:
            if kind == known:
                return Evidence(reference, at, known)
        self.problems.append(Code.BAD_EVIDENCE)
        return None


def moment(text: str) -> datetime | None:
    """A moment in ISO 8601, as UTC; a day alone is its beginning, so that nothing counts as newer than it is."""
    try:
        found = parse_datetime(text)
        if found is None and (day := parse_date(text)):
            found = datetime.combine(day, time.min)
        if found is None:
            return None
        aware = timezone.make_aware(found) if timezone.is_naive(found) else found
        return aware.astimezone(UTC) if found.year >= 1900 else None  # a typing error, before
    except (ValueError, OverflowError):
        return None


def fact(name: str, cell: str) -> str:
    """A language, country or time zone as it is kept; "" for what is none."""
    match name:
        case "country":
            return normal(cell)
        case "timezone":
            return cell if cell in _timezones() else ""
    return cell if len(cell) <= 35 and _LANGUAGE.fullmatch(cell) else ""


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _is_column(name: str) -> bool:
    """Whether this is a column that we know; "" is one to be left out."""
    wide = _TOPIC.fullmatch(name)
    if wide and wide[1] != "attribute":
        return wide[2] in CHANNELS
    attribute = _ATTRIBUTE.fullmatch(name)
    return name in COLUMNS or name == "" or (attribute is not None and attribute[1] not in {*FACTS, "reason"})
