"""Everybody as a file: whole, in order, and who left is in it as somebody not to write to (security.md LW-13)."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, strategies as st
from wagtail.models import ModelLogEntry

from tests.delivery.people import HERSELF
from tests.factories import make_audience, make_contact, make_site, make_topics
from tests.properties import examples
from wagtail_prefs.changes import Change, OptIn, OptOut, Pause, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.rights import portability
from wagtail_prefs.rights.export import export
from wagtail_prefs.rights.services import MOVED
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Source, iso

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")


def said(contact: Contact, *changes: Change) -> None:
    submissions.record(contact.pk, changes, actor=HERSELF, source=PYTHON)


def lines() -> list[dict[str, Any]]:
    return list(portability.everybody(make_audience()))


def of(kind: str) -> list[dict[str, Any]]:
    return [line for line in lines() if line["kind"] == kind]


def test_a_person_is_there_with_all_she_chose() -> None:
    make_topics()
    anna = make_contact("anna@mail.example.org", language="de", country="DE", timezone="Europe/Berlin")
    until = timezone.now() + timedelta(days=30)
    said(anna, SetChoice("news", "email", SUBSCRIBED), SetChoice("offers", "email", UNSUBSCRIBED))
    said(anna, SetFrequency("", "", "weekly"), Pause("news", "", until), SetAttribute("city", "Köln"))
    (line,) = of("person")
    whole = export(anna.pk)
    assert line["choices"] == [
        {name: value for name, value in choice.items() if name != "label"} for choice in whole["choices"]
    ]
    assert line["frequencies"] == whole["frequencies"] == [{"scope": "all", "frequency": "weekly"}]
    assert line["pauses"] == whole["pauses"] == [{"scope": "topic:news", "until": iso(until)}]
    assert line["profile"] == {"city": "Köln"}
    assert (line["email"], line["language"], line["country"]) == ("anna@mail.example.org", "de", "DE")
    assert json.loads(json.dumps(line)) == line


def test_who_left_is_a_suppression_and_nothing_else() -> None:
    make_topics()
    anna, dead, back = (make_contact(f"{name}@mail.example.org") for name in ("anna", "dead", "back"))
    for contact in (anna, dead):
        said(contact, SetChoice("news", "email", SUBSCRIBED), SetAttribute("city", "Qzx"))
    said(anna, OptOut())
    contacts.mark_dead(dead.pk, timezone.now())
    submissions.erase(back.pk, actor=HERSELF, source=PYTHON)
    make_contact("back@mail.example.org")  # brought back by a list
    found = {line["email"]: line for line in of("suppression")}
    assert {email: line["reason"] for email, line in found.items()} == {
        "anna@mail.example.org": "opted_out",
        "dead@mail.example.org": "dead_address",
        "back@mail.example.org": "suppressed",
    }
    assert all(set(line) == {"kind", "email", "external_id", "reason"} for line in found.values())
    assert of("person") == [] and "Qzx" not in json.dumps(lines())


def test_who_wants_no_mail_but_messages_leaves_without_her_address() -> None:
    make_topics()
    anna = make_contact("anna@mail.example.org")
    said(anna, SetChoice("", "email", UNSUBSCRIBED), SetChoice("news", "sms", SUBSCRIBED))
    (gone,), (line,) = of("suppression"), of("person")
    assert (gone["email"], gone["reason"]) == ("anna@mail.example.org", "channel_refused")
    assert (line["contact"], line["email"]) == (str(anna.pk), "")
    said(anna, SetChoice("news", "email", SUBSCRIBED))  # but for the news
    assert of("suppression") == [] and of("person")[0]["email"] == "anna@mail.example.org"


def test_who_is_gone_is_not_there_and_who_was_merged_is_there_once() -> None:
    anna, again, gone = (make_contact(f"{name}@mail.example.org") for name in ("anna", "again", "gone"))
    submissions.merge_contacts(again.pk, anna.pk, actor=HERSELF, source=PYTHON)
    submissions.erase(gone.pk, actor=HERSELF, source=PYTHON)
    make_contact("elsewhere@mail.example.org", audience=make_audience(make_site("other.example", port=443)))
    assert [line["contact"] for line in of("person")] == [str(anna.pk)]
    assert "gone@" not in json.dumps(lines()) and "elsewhere" not in json.dumps(lines())
    assert lines()[-1] == {"kind": "end", "people": 1, "suppressions": 0}


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_everybody_is_there_once_whatever_the_pages(monkeypatch: Any, size: int) -> None:
    monkeypatch.setattr(portability, "BATCH", size)
    people = [make_contact(f"a{number}@mail.example.org").pk for number in range(5)]
    assert [UUID(line["contact"]) for line in of("person")] == sorted(people)
    assert lines()[-1]["people"] == 5


def test_a_page_takes_two_statements() -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            lines()
        return len(queries)

    make_contact("a@mail.example.org")
    make_audience()
    few = count()
    for number in range(30):
        make_contact(f"b{number}@mail.example.org")
    assert count() == few <= 8


CHANGES = st.lists(
    st.sampled_from(
        [
            OptOut(), OptIn(), SetChoice("news", "email", SUBSCRIBED), SetChoice("offers", "email", UNSUBSCRIBED),
            SetChoice("", "email", UNSUBSCRIBED), SetAttribute("city", "Qzxhausen"), SetFrequency("", "", "daily"),
        ]
    ),
    max_size=5,
)  # fmt: skip


@pytest.mark.property
@examples(40)
@given(st.lists(CHANGES, min_size=1, max_size=3))
def test_whoever_has_left_is_in_no_line_but_her_suppression(pasts: list[list[Any]]) -> None:
    """And who has not left is in none: over whatever people did before."""
    make_topics()
    number = Contact.objects.count()
    people = []
    for place, changes in enumerate(pasts):
        contact = make_contact(f"qzxwvq{number}x{place}x@mail.example.org")
        for change in changes:
            said(contact, change)
        people.append(contact)
    written = lines()
    assert written[0]["kind"] == "about" and written[-1]["kind"] == "end"
    for contact in people:
        state = contacts.load_state(contact.pk)
        named = [
            line
            for line in written
            if contact.email in json.dumps(line) or str(contact.pk) in json.dumps(line)
        ]
        (line,) = named
        left = state.opted_out or (
            state.choices.get(("", "email")) == UNSUBSCRIBED and SUBSCRIBED not in state.choices.values()
        )
        assert line["kind"] == ("suppression" if left else "person")
        if left:
            assert "Qzxhausen" not in json.dumps(line)


def run(*arguments: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("prefs_export", *map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_writes_a_file_for_its_owner_and_logs_why(tmp_path: Path) -> None:
    anna = make_contact("anna@mail.example.org")
    path = tmp_path / "people.ndjson"
    out, _err = run("--everybody", "--output", path, "--reason", "Moving house")
    assert out == "1 people and 0 suppressions are written.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["kind"] for line in written] == ["about", "person", "end"]
    assert written[1]["contact"] == str(anna.pk)
    entry = ModelLogEntry.objects.get(action=MOVED)
    assert entry.data == {"reason": "Moving house"} and "Moving house" in entry.message
    with pytest.raises(CommandError, match="cannot be written"):
        run("--everybody", "--output", path)


@pytest.mark.parametrize("more", [["01938c5e-0000-7000-8000-000000000000"], ["--addresses", "-"]])
def test_everybody_or_one(tmp_path: Path, more: list[str]) -> None:
    with pytest.raises(CommandError, match="not both"):
        run("--everybody", "--output", tmp_path / "x", *more)
    assert not (tmp_path / "x").exists()


def test_a_file_that_would_lose_somebody_is_not_whole_and_says_so(tmp_path: Path, settings: Any) -> None:
    key = "0123456789abcdef0123456789abcde"
    before = settings.WAGTAIL_PREFS
    settings.WAGTAIL_PREFS = {**before, "ENCRYPTION_KEYS": [{"kid": "e1", "key": f"1{key}"}]}
    make_contact("anna@mail.example.org")
    settings.WAGTAIL_PREFS = {**before, "ENCRYPTION_KEYS": [{"kid": "e2", "key": f"2{key}"}]}
    with pytest.raises(CommandError, match="not whole"):
        run("--everybody", "--output", tmp_path / "x")
    assert '"end"' not in (tmp_path / "x").read_text()
