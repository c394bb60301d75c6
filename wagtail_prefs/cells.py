"""Cells of files for spreadsheets: none is a formula, whatever people or platforms have written (security.md EX-01)."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Any

#: What a program takes for the beginning of a formula or of another cell; others look like these when they are folded.
_FORMULA = frozenset("=+-@|\t\r\n−")
#: Control characters that no spreadsheet can hold.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def safe(value: Any) -> Any:
    """A cell: numbers and dates as they are, None as nothing, and a text behind a quote where it could be a formula."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float | date):
        return value
    text = _CONTROL.sub("", str(value)).encode(errors="replace").decode()
    for character in text:
        folded = unicodedata.normalize("NFKC", character)[:1]
        if folded in _FORMULA:
            return f"'{text}"
        # Spaces and what has no width hide nothing. Tabs and ends of lines are in the list above.
        if unicodedata.category(character) not in {"Zs", "Zl", "Zp", "Cf"}:
            break
    return text
