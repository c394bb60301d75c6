"""manage.py prefs_verify_ledger."""

from __future__ import annotations

import io
import json
import random
import sys
import uuid
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, ManagementUtility, call_command
from django.db import DEFAULT_DB_ALIAS

from tests import factories
from tests.ledger import chains
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import State
from wagtail_prefs.ledger import guard, seals
from wagtail_prefs.ledger.models import Record, Seal, SealExport
from wagtail_prefs.ledger.verify import Verifier
from wagtail_prefs.submissions.services import record
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db

NOW = chains.START + timedelta(days=1)
CONTACT = uuid.UUID("019a0000-0000-7000-8000-000000000002")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def run(*arguments: str, stderr: StringIO | None = None) -> tuple[int, str]:
    """(exit code, output)"""
    out = StringIO()
    try:
        call_command("prefs_verify_ledger", *arguments, stdout=out, stderr=stderr or StringIO())
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Nine records of three people, sealed, and the file of their seals."""
    chains.ledger([4, 3, 2], random.Random(8))
    seals.seal(NOW)
    return chains.write(tmp_path / "seals.jsonl")


def test_whole(file: Path) -> None:
    code, output = run("--seals", str(file))
    assert code == 0
    assert "9 records of 3 contacts" in output
    assert "The newest seal is of 2026-11-23 08:00:00 UTC." in output
    assert output.splitlines()[-1] == "The ledger is whole."
    assert "with --seals" not in output
    code, output = run()
    assert code == 0
    assert "Verified by the seals in the database alone" in output


def test_broken(file: Path) -> None:
    record = Record.objects.order_by("contact_ref", "seq")[1]
    Record.objects.filter(pk=record.pk).update(hash="0" * 64)
    code, output = run("--seals", str(file))
    assert code == 1
    lines = output.splitlines()
    assert lines[0] == f"contact {record.contact_ref}, record 2: hash: Its body or its hash was changed."
    assert lines[-1] == f"The ledger is broken: 1 problems. First: {lines[0]}"


def test_broken_as_json(file: Path) -> None:
    record = Record.objects.order_by("contact_ref", "seq")[1]
    Record.objects.filter(pk=record.pk).update(actor="system" if record.actor != "system" else "api")
    code, output = run("--seals", str(file), "--json")
    assert code == 1
    data = json.loads(output)
    assert data["ok"] is data["whole"] is False
    assert data["first"] == data["problems"][0]
    assert data["first"] == {
        "code": "column",
        "contact": str(record.contact_ref),
        "seq": 2,
        "seal": None,
        "stone": None,
        "detail": "actor",
        "words": "A column does not say what the body says.",
    }
    assert (data["records"], data["contacts"], data["seals"], data["unsealed"]) == (9, 3, 1, 0)
    assert (data["problems_total"], data["guard_missing"], data["interrupted"]) == (1, [], False)


def test_one_contact(file: Path) -> None:
    first, second, _ = sorted({record.contact_ref for record in Record.objects.all()}, key=lambda c: c.bytes)
    Record.objects.filter(contact_ref=first).delete()
    assert run("--seals", str(file), "--contact", str(second))[0] == 0
    code, output = run("--seals", str(file), "--contact", str(first))
    assert code == 1
    assert f"contact {first}, record 1: missing" in output


def test_lines_from_a_pipe(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    Seal.objects.all().delete()
    code, output = run("--seals", "-")
    assert code == 0
    assert "1 seals" in output


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    code, output = run("--seals", str(tmp_path / "none.jsonl"))
    assert code == 2
    assert output.endswith("none.jsonl: No such file or directory")


def test_a_database_that_guards_nothing(file: Path, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LEDGER_GUARD": True}
    code, output = run("--seals", str(file))
    assert code == 3
    assert "The database does not guard the ledger: prefs_guard_record_update" in output
    assert output.splitlines()[-1] == "The ledger is whole."
    assert json.loads(run("--seals", str(file), "--json")[1])["guard_missing"]
    Record.objects.filter(seq=2).update(prev="0" * 64)
    assert run("--seals", str(file))[0] == 1
    guard.install(DEFAULT_DB_ALIAS)
    try:
        output = run("--seals", str(file))[1]
        assert "does not guard" not in output
    finally:
        guard.remove(DEFAULT_DB_ALIAS)


def test_interrupted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Record.objects.filter(seq=2).update(prev="0" * 64)
    whole = Verifier.run

    def interrupted(self: Verifier, *arguments: Any) -> None:
        whole(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Verifier, "run", interrupted)
    code, output = run("--seals", str(file))
    assert code == 130
    assert "record 2: prev" in output
    assert output.splitlines()[-1] == "Interrupted. What is above was found so far."
    code, output = run("--json")
    assert code == 130
    assert json.loads(output)["interrupted"] is True


def test_progress_is_shown_to_people_only(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wagtail_prefs.management.commands import prefs_verify_ledger

    monkeypatch.setattr(prefs_verify_ledger, "EVERY", 0)
    terminal = Terminal()
    run("--seals", str(file), stderr=terminal)
    assert "9 of 9 records" in terminal.getvalue()
    for quiet in (StringIO(), Terminal()):
        run("--seals", str(file), *(["--no-progress"] if quiet.isatty() else []), stderr=quiet)
        assert quiet.getvalue() == ""


# Sealing what no seal holds


def test_what_no_seal_holds_can_be_sealed(file: Path, tmp_path: Path, settings: Any) -> None:
    new = tmp_path / "new.jsonl"
    sink = {"SINK": "wagtail_prefs.ledger.sinks.FileSink", "OPTIONS": {"path": str(new)}}
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "SEALS": sink}
    chains.append(CONTACT, chains.START - timedelta(days=3))
    chains.append(CONTACT, chains.START - timedelta(days=3))
    with time_machine.travel(NOW + timedelta(hours=3)):
        code, output = run("--seals", str(file))
        assert code == 1
        assert f"contact {CONTACT}, record 1: unsealed" in output
        code, output = run("--seals", str(file), "--seal")
        assert code == 0
        assert "1 seals made." in output
        assert run("--seals", str(new))[0] == 0
        assert SealExport.objects.count() == Seal.objects.count() == 2
        assert json.loads(run("--seal", "--json")[1])["seals_made"] == 0


def test_a_broken_ledger_is_not_sealed(file: Path) -> None:
    Record.objects.filter(seq=2).update(prev="0" * 64)
    chains.append(CONTACT)
    code, output = run("--seals", str(file), "--seal")
    assert code == 1
    assert "seals made" not in output
    assert Seal.objects.count() == 1


def test_wrong_use_ends_the_process_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:

    for arguments in (
        ["--seals", str(tmp_path / "none")],
        ["--seals", "/"],
        ["--contact", "anna"],
        ["--seal", "--contact", str(CONTACT)],
        ["--what"],
    ):
        with pytest.raises(SystemExit) as end:
            ManagementUtility(["manage.py", "prefs_verify_ledger", *arguments]).execute()
        assert end.value.code == 2
        assert capsys.readouterr().err


def test_a_hand_in_the_state_is_found(tmp_path: Path) -> None:
    factories.make_topics()
    people = [factories.make_contact(f"{name}@mail.example.org") for name in ("anna", "ben")]
    for person in people:
        wish = [SetChoice("news", "email", UNSUBSCRIBED)]
        record(person.pk, wish, actor=Actor(ActorType.SUBJECT_LINK), source=Source(method="page"))
    assert run("--state")[0] == 0
    State.objects.filter(contact=people[1].pk).update(choice=SUBSCRIBED)
    code, output = run("--state")
    assert code == 1
    lines = output.splitlines()
    assert f"contact {people[1].pk}: the state is not what the records say: choice:news:email" in lines
    assert (
        lines[-1] == "The ledger is whole, and today's state is not what it says." or "--seals" in lines[-1]
    )
    assert str(people[0].pk) not in output
    code, output = run("--state", "--json", "--contact", str(people[1].pk))
    found = json.loads(output)
    assert (code, found["whole"], found["problems_total"]) == (1, False, 0)
    assert found["states_differing"] == {str(people[1].pk): ["choice:news:email"]}
    assert run("--state", "--contact", str(people[0].pk))[0] == 0
    assert run()[0] == 0  # the records themselves are whole
