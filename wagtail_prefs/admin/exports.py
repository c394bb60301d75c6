"""Files for spreadsheets, in Wagtail's formats, in which no cell is a formula (`cells`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from wagtail.admin.views.mixins import SpreadsheetExportMixin

from ..cells import safe


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
