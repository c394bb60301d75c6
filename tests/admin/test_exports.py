"""No cell of a file is a formula (security.md EX-01)."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Any

import pytest
from hypothesis import given, strategies as st
from openpyxl import load_workbook

from tests.properties import examples
from wagtail_prefs.admin.exports import Spreadsheet, safe

FORMULAS = (
    "=1+1", "+491701234567", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|calc", "＝1+1", "＋1", "－1", "＠SUM(A1)",
    "｜calc", "  =1", "\ufeff=1", "\u200b=1", "\u00a0\u2060 =1", "−1", "﹢1", '=HYPERLINK("https://evil.example","x")',
    "\x00=1", "\u202e=1",
)  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_what_could_be_a_formula_is_a_text(text: str) -> None:
    assert safe(text).startswith("'")


@pytest.mark.parametrize(
    "value", ["", "News", "a=b", "  News", "e-mail", 7, -7, 1.5, True, date(2026, 11, 22)]
)
def test_everything_else_is_left_alone(value: Any) -> None:
    assert safe(value) == value
    assert type(safe(value)) is type(value)
    assert safe(None) == ""


def cells_of_csv(rows: list[list[Any]], width: int) -> list[list[str]]:
    answer = Spreadsheet("x", ["h"] * width).response(rows, "csv")
    content = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]  # it streams
    return list(csv.reader(io.StringIO(content, newline="")))


@pytest.mark.property
@examples(200)
@given(rows=st.lists(st.lists(st.text(), min_size=3, max_size=3), max_size=5))
def test_one_record_stays_one_record(rows: list[list[str]]) -> None:
    found = cells_of_csv([*rows, *([text] * 3 for text in FORMULAS)], 3)
    assert len(found) == 1 + len(rows) + len(FORMULAS)
    for cells in found:
        assert len(cells) == 3
        for cell in cells:
            bare = cell.lstrip(" \ufeff\u200b")
            assert not bare or bare[0] not in "=+-@\t\r\n|＝＋－＠｜"


@pytest.mark.property
@examples(30)
@given(text=st.text())
def test_a_workbook_takes_any_text_and_holds_no_formula(text: str) -> None:
    answer = Spreadsheet("x", ["h", "n"]).response([[text, 7], *([one, 1] for one in FORMULAS)], "xlsx")
    sheet = load_workbook(io.BytesIO(b"".join(answer))).active  # type: ignore[call-overload]  # Django types both ways to stream
    rows = list(sheet.iter_rows(min_row=2))
    assert len(rows) == 1 + len(FORMULAS)
    assert {cell.data_type for row in rows for cell in row} <= {"s", "inlineStr", "n"}
    assert rows[0][1].value == 7


def test_how_a_file_is_handed_out() -> None:
    csv_file = Spreadsheet("people", ["a"]).response([["x"]], "csv")
    assert csv_file["Content-Disposition"] == 'attachment; filename="people.csv"'
    assert csv_file["Content-Type"] == "text/csv; charset=utf-8"
    assert csv_file["Cache-Control"] == "private, no-store"
    assert csv_file.streaming
    workbook = Spreadsheet("people", ["a"]).response([["x"]], "xlsx")
    assert workbook["Content-Disposition"] == 'attachment; filename="people.xlsx"'
    assert b"".join(workbook)[:2] == b"PK"  # type: ignore[call-overload]  # Django types both ways to stream
