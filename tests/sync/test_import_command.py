"""`manage.py prefs_import`."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.factories import make_audience, make_site, make_topics
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.sync.importing import BATCH
from wagtail_prefs.sync.models import ImportRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(tmp_path: Path) -> Path:
    make_topics()
    path = tmp_path / "people.csv"
    rows = ["email,news:email,evidence,evidence_at", "=cmd@mail.example.org,no,,", "nonsense,no,,"]
    rows += [f"p{number}@mail.example.org,{'no' if number else 'yes'},," for number in range(5)]
    path.write_text("\n".join(rows))
    return path


def command(*args: Any) -> tuple[str, int]:
    out, code = io.StringIO(), 0
    try:
        call_command("prefs_import", *map(str, args), stdout=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return out.getvalue(), code


def test_without_write_it_writes_nothing(people: Path) -> None:
    said, code = command(people)
    assert code == 0
    assert Contact.objects.count() == Record.objects.count() == ImportRun.objects.count() == 0
    assert "5  A no" in said
    assert "1  Not a valid e-mail address" in said
    assert "1  A yes without evidence" in said
    assert said.endswith("nothing was written; add --write to do so\n")
    assert "example.org" not in said


def test_with_write_it_does_and_again_it_does_nothing(people: Path) -> None:
    said, code = command(people, "--write")
    assert (code, said.splitlines()[-1]) == (0, "written")
    assert Contact.objects.count() == Record.objects.count() == 5
    said, code = command(people, "--write")
    assert (code, said) == (0, "nothing to do: this file was written before\n")
    assert Record.objects.count() == 5


def test_json(people: Path) -> None:
    said, _ = command(people, "--json", "--write")
    assert json.loads(said.splitlines()[-1]) == {
        "event": "ended", "written": True, "row": 8,
        "sums": {"stricter": 5, "new": 5, "bad_address": 1, "no_evidence": 1},
    }  # fmt: skip


def test_the_report_names_rows_and_nobody(people: Path, tmp_path: Path) -> None:
    command(people, "--report", tmp_path / "report.csv")
    rows = list(csv.reader((tmp_path / "report.csv").read_text().splitlines()))
    assert [row[:2] for row in rows] == [["row", "code"], ["3", "bad_address"], ["4", "no_evidence"]]
    assert "example.org" not in str(rows)
    assert not any(cell[0] in "=+-@" for row in rows for cell in row)


def test_it_is_stopped_and_goes_on(people: Path) -> None:
    """Ctrl-C in the middle of the first rows: they are written to their end, and the others by the next run."""
    many = BATCH + 20
    people.write_text("\n".join(["email,news:email", *(f"p{n}@mail.example.org,no" for n in range(many))]))
    ran = count(1)

    def wrapper(execute: Any, sql: str, params: Any, is_many: bool, context: Any) -> Any:
        if next(ran) == 50:
            os.kill(os.getpid(), signal.SIGINT)
        return execute(sql, params, is_many, context)

    with connection.execute_wrapper(wrapper):
        said, code = command(people, "--write")
    assert code == 1
    assert said.endswith(f"stopped after row {BATCH + 1}; run the same again to go on\n")
    assert Record.objects.count() == BATCH
    said, code = command(people, "--write")
    assert (code, said.splitlines()[-1]) == (0, "written")
    assert Record.objects.count() == many
    assert f"{many}  A no" in said


def test_columns_can_be_mapped(people: Path) -> None:
    people.write_text("Kontakt;News?;Alter\nanna@mail.example.org;no;39\n")
    with pytest.raises(CommandError, match="no column is called email") as found:
        command(people)
    assert found.value.returncode == 2
    said, _ = command(people, "--map", "Kontakt=email", "--map", "News?=news:email", "--map", "Alter=")
    assert "1  A no" in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["none.csv"], "no such file"),
        (["--audience", "nobody"], "There are: "),
        (["--map", "email"], "HEADER=COLUMN"),
        (["--report", "/nowhere/at/all.csv"], "report cannot be written"),
    ],
)
def test_what_cannot_be_used(people: Path, args: list[str], words: str) -> None:
    given = [args[0]] if args[0].endswith("csv") else [str(people), *args]
    with pytest.raises(CommandError, match=words) as found:
        command(*given)
    assert found.value.returncode == 2


def test_where_there_are_two_audiences_one_is_named(people: Path) -> None:
    other = make_audience(make_site("other.example", port=443))
    with pytest.raises(CommandError, match="--audience"):
        command(people)
    said, _ = command(people, "--audience", other.key)
    assert "6  A topic that there is not" in said  # its topics are its own
