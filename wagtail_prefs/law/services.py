"""The rules by the recipient's country: read a file of facts, and answer what holds where.

Not legal advice: the shipped file says what was found, with sources, and how sure that is. A site replaces it with
`WAGTAIL_PREFS["JURISDICTIONS"]`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..conf import conf
from .documents import MAX_BYTES, Unreadable, parse
from .months import months_after
from .rules import Fact, Jurisdiction, Law, Model, Policy, Reason, Rules, Source, needs_consent
from .validation import BadLaw, law_of

__all__ = [
    "SHIPPED",
    "BadLaw",
    "Fact",
    "Jurisdiction",
    "Law",
    "Model",
    "Policy",
    "Reason",
    "Rules",
    "Source",
    "current",
    "load",
    "months_after",
    "needs_consent",
]

SHIPPED = Path(__file__).parent / "jurisdictions.yaml"


def load(path: Path | None = None) -> Law:
    """Read and check a file, the shipped one without a path. Raises BadLaw with every problem and its place."""
    path = path or SHIPPED
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise BadLaw([f"cannot be read: {problem.strerror}"]) from None
    try:
        return law_of(parse(raw))
    except Unreadable as problem:
        raise BadLaw(problem.problems) from None


def current() -> Law:
    """The site's file, or the shipped one; read again when it changes. Raises BadLaw, as check E030 does at the start."""
    path = Path(conf.jurisdictions) if conf.jurisdictions else SHIPPED
    try:
        stat = path.stat()
    except OSError as problem:
        raise BadLaw([f"cannot be read: {problem.strerror}"]) from None
    return _loaded(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _loaded(path: Path, _mtime: int, _size: int) -> Law:
    return load(path)
