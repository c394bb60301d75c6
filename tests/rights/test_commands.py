"""`prefs_erase` and `prefs_export`: dry at first, no address on the command line, safe to run again."""

from __future__ import annotations

import io
import json
import stat
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from wagtail.models import ModelLogEntry

from tests.delivery.people import JOIN, save
from tests.factories import make_contact, make_topics
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.management.doctor import examine
from wagtail_prefs.rights.models import Erasure
from wagtail_prefs.rights.services import EXPORTED
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db
ADDRESS = "anna@mail.example.org"


@pytest.fixture
def anna() -> UUID:
    make_topics()
    contact: UUID = make_contact(ADDRESS).pk
    save(contact, JOIN)
    return contact


def run(command: str, *arguments: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(command, *map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def erased(contact: UUID) -> bool:
    return Contact.objects.get(pk=contact).erased_at is not None


def test_a_dry_run_says_what_would_happen_and_does_nothing(anna: UUID) -> None:
    out, err = run("prefs_erase", anna)
    assert out == f"{anna}: would be erased\n" and "dry run" in err
    assert not erased(anna)


def test_it_erases_once_and_says_so_again(anna: UUID) -> None:
    out, err = run("prefs_erase", anna, "--apply", "--reason", "Asked by letter", "--json")
    said = json.loads(out)
    assert said["outcome"] == "erased" and said["contact"] == str(anna) and not err
    account = Erasure.objects.get()
    assert (account.by, account.reason) == ("system:prefs_erase", "Asked by letter")
    assert erased(anna)
    assert json.loads(run("prefs_erase", anna, "--apply", "--json")[0])["outcome"] == "erased before"


def test_addresses_come_by_standard_input(anna: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n  Anna@Mail.example.org\nnobody@mail.example.org\n"))
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("prefs_erase", "--addresses", "-", "--apply", stdout=out, stderr=err)
    assert ended.value.code == 1  # one of them is nobody
    assert erased(anna)
    assert "line 3: unknown" in out.getvalue() and "@" not in out.getvalue() + err.getvalue()


def test_a_mistake_in_a_file_does_nothing_and_repeats_no_address(anna: UUID, tmp_path: Path) -> None:
    file = tmp_path / "people.txt"
    file.write_text(f"{ADDRESS}\nno address at all\n")
    with pytest.raises(CommandError, match="Line 2 is no e-mail address"):
        run("prefs_erase", "--addresses", file, "--apply")
    assert not erased(anna)
    for wrong in (
        ["anna@mail.example.org"],
        [anna, "--reason", ADDRESS],
        [],
        ["--addresses", tmp_path / "none"],
    ):
        with pytest.raises(CommandError) as refused:
            run("prefs_erase", *wrong, "--apply")
        assert refused.value.returncode == 2 and ADDRESS not in str(refused.value)
    make_audience_of_another_name()
    with pytest.raises(CommandError, match="Name the audience"):
        run("prefs_erase", "--addresses", file, "--apply")
    assert not erased(anna)


def make_audience_of_another_name() -> None:
    Audience.objects.create(key="another", name="Another")


def test_what_is_open_is_shown_and_settled_by_hand(anna: UUID) -> None:
    run("prefs_erase", anna, "--apply")
    Erasure.objects.update(
        backends={"crm": {"state": "given_up", "at": "2026-01-01T00:00:00.000000Z"}},
        done_at=None,
        due_at=timezone.now() - timedelta(days=1),
    )
    assert run("prefs_erase", "--open")[0] == f"{anna}: stuck (crm: given_up) LATE\n"
    (found,) = [one for one in examine() if one.area == "erasures"]
    assert found.level == "warning" and str(anna) in found.text
    assert run("prefs_erase", anna, "--by-hand", "crm")[0] == f"{anna}: noted (crm: by_hand)\n"
    assert run("prefs_erase", "--open")[0] == ""
    (found,) = [one for one in examine() if one.area == "erasures"]
    assert found.level == "ok"
    with pytest.raises(SystemExit):
        run("prefs_erase", uuid4(), "--by-hand", "crm")


def test_her_data_is_a_file_of_its_owners_alone(anna: UUID, tmp_path: Path) -> None:
    file = tmp_path / "anna.zip"
    run("prefs_export", anna, "--output", file, "--reason", "Asked by letter")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ADDRESS in zipfile.ZipFile(file).read("person.csv").decode()
    assert ModelLogEntry.objects.get(action=EXPORTED).data == {"by": "command", "reason": "Asked by letter"}
    with pytest.raises(CommandError, match="cannot be written"):  # somebody else's, perhaps
        run("prefs_export", anna, "--output", file)


def test_by_address_and_as_json(anna: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{ADDRESS}\n"))
    run("prefs_export", "--addresses", "-", "--json", "--output", tmp_path / "anna.json")
    assert json.loads((tmp_path / "anna.json").read_text())["format"] == 1


def test_of_nobody_there_is_no_file(anna: UUID, tmp_path: Path) -> None:
    submissions.erase(anna, actor=Actor(ActorType.SYSTEM), source=Source(method="python"))
    file = tmp_path / "file.zip"
    for who in (anna, uuid4()):
        with pytest.raises(CommandError) as refused:
            run("prefs_export", who, "--output", file)
        assert refused.value.returncode == 1
    with pytest.raises(CommandError, match="Name one person"):
        run("prefs_export", "--output", file)
    assert not file.exists()
