"""What the rows of a file mean."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.properties import examples
from wagtail_prefs.sync.codes import Code
from wagtail_prefs.sync.reading import BadFile, Line, Source, moment


def write(tmp: Path, content: str | bytes) -> Path:
    path = tmp / "people.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(tmp: Path, content: str | bytes, mapping: dict[str, str] | None = None) -> list[Line]:
    return list(Source(write(tmp, content), mapping).lines())


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("between", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_kinds_of_files(tmp_path: Path, mark: str, between: str, end: str) -> None:
    rows = [["E-Mail", "news:email", "attribute:city"], ["Anna@Mail.example.org", "yes", "Bremen, DE; \t."]]
    quoted = end.join(between.join(f'"{cell}"' for cell in row) for row in rows)
    (line,) = read(tmp_path, mark + quoted)
    assert (line.row, line.email, line.address) == (2, "Anna@Mail.example.org", "anna@mail.example.org")
    assert line.yeses == (("news", "email"),)
    assert line.attributes == {"city": "Bremen, DE; \t."}
    assert line.problems == ()


def test_both_forms_and_everything_else(tmp_path: Path) -> None:
    (line,) = read(
        tmp_path,
        "email,external_id,language,country,timezone,topic,channel,choice,offers:sms,opted_out,evidence,evidence_at\n"
        "anna@mail.example.org,7,de-AT,at,Europe/Vienna,news,email,No,1,no,order 7,2026-03-04\n",
    )
    assert line.facts == {"language": "de-AT", "country": "AT", "timezone": "Europe/Vienna"}
    assert line.external_id == "7"
    assert line.noes == (("news", "email"),)
    assert line.yeses == (("offers", "sms"),)
    assert not line.opted_out
    assert line.evidence is not None
    assert (line.evidence.reference, line.evidence.at) == ("order 7", datetime(2026, 3, 4, tzinfo=UTC))


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ("nobody,,,,", Code.BAD_ADDRESS),
        (",yes,,,", Code.BAD_ADDRESS),
        ("a@mail.example.org,perhaps,,,", Code.BAD_CHOICE),
        ("a@mail.example.org,yes,order 7,,", Code.BAD_EVIDENCE),
        ("a@mail.example.org,yes,,2026-01-01,", Code.BAD_EVIDENCE),
        ("a@mail.example.org,yes,order 7,yesterday,", Code.BAD_EVIDENCE),
        ("a@mail.example.org,yes,order 7,2026-02-31,", Code.BAD_EVIDENCE),
        ("a@mail.example.org,yes,by a@mail.example.org,2026-01-01,", Code.BAD_EVIDENCE),
        ("a@mail.example.org,,,,Atlantis", Code.BAD_FACT),
        ("a@mail.example.org,,,", Code.BAD_ROW),
        ("a@mail.example.org,,,,,", Code.BAD_ROW),
    ],
)
def test_what_is_wrong_with_a_row(tmp_path: Path, cells: str, code: Code) -> None:
    (line,) = read(tmp_path, f"email,news:email,evidence,evidence_at,country\n{cells}\n")
    assert line.problems == (code,)
    assert line.evidence is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "email"),
        ("name\nanna", "email"),
        ("email,email\n", "mean the same"),
        ("email,mail\n", "mean the same"),
        ("email,shoe size\n", "columns mean: 2"),
        ("email,news:pigeon\n", "columns mean: 2"),
        ("email,topic\n", "need each other"),
        ("email,evidence\n", "evidence_at"),
        ("email,attribute:language\n", "columns mean: 2"),
        (b"email\n\xff\xfe@mail.example.org", "not UTF-8"),
        (b"\xff\xfee\0m\0a\0i\0l\0", "not UTF-8"),
        ('email\n"anna@mail.example.org" x\n', "no row of a CSV"),
        ("email\n" + "x" * 200_000, "no row of a CSV"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(BadFile, match=words) as found:
        read(tmp_path, content)
    assert "anna" not in str(found.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadFile):
        Source(tmp_path / "none.csv")


def test_columns_are_mapped_and_left_out(tmp_path: Path) -> None:
    content = "Kontakt;Schuhgröße;Rundbrief\nanna@mail.example.org;39;ja\n"
    mapping = {"Kontakt": "email", "schuhgröße": "", " RUNDBRIEF ": "news:email"}
    (line,) = read(tmp_path, content, mapping)
    assert line.address == "anna@mail.example.org"
    assert line.problems == (Code.BAD_CHOICE,)  # "ja" is no word of ours


def test_rows_are_numbered_as_in_a_spreadsheet_and_empty_ones_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "email\na@mail.example.org\n\n ,\nb@mail.example.org\n".replace(" ,", " "))
    source = Source(path)
    assert [line.row for line in source.lines()] == [2, 5]
    assert [line.row for line in source.lines(after=2)] == [5]


def test_a_digest_names_file_audience_and_mapping(tmp_path: Path) -> None:
    path = write(tmp_path, "email,x\na@mail.example.org,1\n")
    one = Source(path, {"x": ""})
    assert one.digest("brand") == Source(path, {"X ": ""}).digest("brand")
    assert one.digest("brand") != one.digest("other")
    assert one.digest("brand") != Source(path, {"x": "attribute:x"}).digest("brand")
    before = one.digest("brand")
    write(tmp_path, "email,x\na@mail.example.org,2\n")
    assert one.digest("brand") != before


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-07-04", "2026-07-03T22:00"),
        ("2026-07-04 10:00", "2026-07-04T08:00"),
        ("2026-07-04T10:00:00Z", "2026-07-04T10:00"),
        ("2026-07-04T10:00:00-05:00", "2026-07-04T15:00"),
    ],
)
def test_a_moment_is_one_of_the_site_and_kept_as_utc(settings: Any, text: str, utc: str) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    found = moment(text)
    assert found is not None
    assert found.tzinfo is UTC
    assert found.isoformat().startswith(utc)


@pytest.mark.parametrize("text", ["", "0001-01-01", "0026-07-04", "04.07.2026", "9999-12-31T23:59:59-23:00"])
def test_what_is_no_moment(text: str) -> None:
    assert moment(text) is None


@pytest.mark.property
@examples(200)
@given(text=st.text())
def test_no_text_is_a_moment_by_accident(text: str) -> None:
    found = moment(text)
    assert found is None or found.tzinfo is not None
