"""Files for spreadsheets in which no cell is a formula, whatever people or platforms have written (security.md EX-01)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from wagtail.admin.views.mixins import SpreadsheetExportMixin

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


class Spreadsheet(SpreadsheetExportMixin):
    """Rows of plain values as a CSV, streamed, or as an XLSX; Wagtail's writers with our cells.

    CSV is UTF-8 with the quoting of RFC 4180. `name` is the file's, without its ending.
    """

    def __init__(self, name: str, headings: Sequence[str]) -> None:
        self.export_filename = name
        self.list_export = [str(number) for number in range(len(headings))]
        self.export_headings = {
            str(number): str(safe(str(heading))) for number, heading in enumerate(headings)
        }

    def to_row_dict(self, item: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self.list_export, item, strict=True))

    def preprocess_field_value(self, field: str, value: Any, export_format: str) -> Any:
        return safe(value)

    def response(self, rows: Iterable[Sequence[Any]], file_format: str) -> HttpResponseBase:
        """`file_format` is one of FORMATS. The rows of a CSV are read while it is sent."""
        found: StreamingHttpResponse | FileResponse | HttpResponse = self.as_spreadsheet(rows, file_format)
        found["Cache-Control"] = "private, no-store"
        if file_format == self.FORMAT_CSV:
            found["Content-Type"] = "text/csv; charset=utf-8"
        return found

    def lines(self, rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
        """The lines of the CSV, the headings first."""
        yield from self.stream_csv(rows)
