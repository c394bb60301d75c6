"""`prefs_suppressions`: the same file on the command line, with addresses where a platform knows nothing else."""

from __future__ import annotations

import io
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError
from wagtail.models import ModelLogEntry

from tests.factories import make_audience, make_contact, make_topics
from wagtail_prefs.changes import OptOut
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.decisions import suppressions
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db


@pytest.fixture
def leaver(db: None) -> Contact:
    make_topics()
    contact = make_contact("left@mail.example.org")
    submissions.record(
        contact.pk, [OptOut()], actor=Actor(ActorType.SUBJECT_LINK), source=Source(method="page")
    )
    return contact


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("prefs_suppressions", "--topic", "news", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_it_writes_the_file_and_says_what_comes_next(leaver: Contact) -> None:
    out, err = run()
    assert out.splitlines() == ["contact,external_id,reason,until", f"{leaver.pk},,opted_out,", "#end,1,,"]
    since = err.split("--since ")[1].split()[0]
    assert "1 rows" in err and "not held: frequency, pauses" in err
    out, _err = run("--since", since, "--format", "ndjson")
    assert '"suppressed":true' in out.splitlines()[0]
    with pytest.raises(CommandError) as needed:
        run("--since", since, "--paused")
    assert needed.value.returncode == 3
    for wrong in (["--topic", "unheard-of"], ["--channel", "post"], ["--since", "x"], ["--audience", "x"]):
        with pytest.raises(CommandError) as refused:
            run(*wrong)
        assert refused.value.returncode == 2


def test_a_database_that_stops_leaves_a_file_that_can_be_gone_on_with(
    leaver: Contact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: object) -> Iterator[bytes]:
        yield b"first\r\n"
        raise OperationalError("the server is gone, and knew left@mail.example.org")

    monkeypatch.setattr(suppressions.File, "_found", stops)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("prefs_suppressions", "--topic", "news", stdout=out, stderr=err)
    assert ended.value.code == 1
    assert "to go on: --after" in err.getvalue()
    assert "#end" not in out.getvalue()
    assert "left@mail" not in err.getvalue()


def test_addresses_come_only_when_they_are_asked_for_and_that_is_noted(
    leaver: Contact, tmp_path: Path
) -> None:
    Contact.objects.filter(pk=leaver.pk).update(email="=left@mail.example.org")
    path = tmp_path / "file.csv"
    path.touch(0o644)
    out, _err = run("--output", str(path), "--with-address")
    assert out == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == [
        "contact,external_id,email,reason,until",
        f"{leaver.pk},,'=left@mail.example.org,opted_out,",
        "#end,1,,,",
    ]
    assert "@" not in run()[0]
    entries = ModelLogEntry.objects.filter(action=suppressions.FETCHED).order_by("pk")
    assert [entry.message for entry in entries] == [
        "Fetched a file of whom not to write to, with addresses",
        "Fetched a file of whom not to write to",
    ]
    assert entries[0].object_id == str(make_audience().pk)


def test_a_file_goes_on_where_it_was_stopped(
    leaver: Contact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppressions, "PIECE", 2)
    audience = make_audience()
    Contact.objects.bulk_create(Contact(audience=audience) for _number in range(7))
    whole, _err = run()
    cut, path = whole.splitlines(keepends=True)[:4], tmp_path / "file.csv"
    path.write_bytes("".join(cut).encode())
    _out, told = run("--output", str(path), "--after", cut[-1].split(",")[0])
    assert "the first part" in told and "~" not in told  # of a later moment, it would pass over changes
    joined = path.read_bytes().decode().splitlines()
    assert joined[:-1] == whole.splitlines()[:-1]
    assert joined[-1] == "#end,5,,"
    Topic.objects.filter(key="news").update(archived=True)
    with pytest.raises(CommandError):
        run()


class _Stopping(io.StringIO):
    """What it writes to is where a signal comes in."""

    def write(self, text: str) -> int:
        signal.raise_signal(signal.SIGTERM)
        return super().write(text)


def test_who_is_stopped_is_told_what_comes_next_when_the_rest_is_there(
    leaver: Contact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppressions, "PIECE", 2)
    Contact.objects.bulk_create(Contact(audience=make_audience()) for _number in range(7))
    err = io.StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("prefs_suppressions", "--topic", "news", stdout=_Stopping(), stderr=err)
    assert stopped.value.code == 1
    assert "--after" in err.getvalue()
    since = err.getvalue().split("--since ")[1].split()[0]
    assert run("--since", since)[0].endswith("\r\n")
