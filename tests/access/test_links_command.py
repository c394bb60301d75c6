"""`manage.py prefs_links`."""

from __future__ import annotations

import argparse
import csv
import gc
import io
import json
import os
import signal
import stat
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.management import BaseCommand, CommandError, call_command, load_command_class
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from wagtail.models import ModelLogEntry

from tests.factories import make_audience, make_center, make_contact, make_site, make_topics
from wagtail_prefs.access import bulk
from wagtail_prefs.access.links import Purpose, open_link
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import OptOut
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.ids import uuid7
from wagtail_prefs.submissions import door, services as submissions
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db

HER = Actor(ActorType.SUBJECT_LINK)


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    make_topics()
    site = make_site(origins=["https://shop.example"])
    return make_center(site=site, host_pages="https://shop.example/mail")


def command(center: PreferenceCenterPage, *args: Any) -> tuple[str, str, int]:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(
            "prefs_links", "--center", str(center.translation_key), *map(str, args), stdout=out, stderr=err
        )
    except SystemExit as ended:
        code = int(ended.code or 0)
    return out.getvalue(), err.getvalue(), code


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def many(number: int) -> list[Contact]:
    """People, in the order of their ids."""
    audience = make_audience()
    made = Contact.objects.bulk_create(Contact(id=uuid7(), audience=audience) for _place in range(number))
    return sorted(made, key=lambda contact: contact.pk)


def test_everybody_who_lives_gets_links_that_work(center: PreferenceCenterPage) -> None:
    anna, ben = make_contact(), make_contact("ben@mail.example.org")
    gone, merged = make_contact("gone@mail.example.org"), make_contact("anna@work.example.org")
    submissions.erase(gone.pk, actor=HER, source=Source(method="page"))
    submissions.merge_contacts(merged.pk, anna.pk, actor=HER, source=Source(method="page"))
    make_contact(audience=make_audience(make_site("other.example", port=443)))
    said, told, code = command(center, "--topic", "news")
    found = {row["id"]: row for row in rows(said)}
    assert code == 0
    assert set(found) == {str(anna.pk), str(ben.pk)}
    assert told == "2 people\n"
    assert "@" not in said
    hers = found[str(anna.pk)]
    assert list(hers) == ["id", "external_id", "manage", "unsubscribe"]
    assert Client().get(hers["manage"]).status_code == 200
    assert Client().post(hers["unsubscribe"], {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert load_state(anna.pk).choices == {("news", "email"): "unsubscribed"}
    assert load_state(ben.pk).version == 0


def test_a_host_page_and_everything(center: PreferenceCenterPage) -> None:
    anna = make_contact()
    (row,) = rows(command(center, "--host", 0)[0])
    assert Client().get(row["manage"])["Location"].startswith("https://shop.example/mail#pc=")
    link = open_link(row["unsubscribe"].rstrip("/").rpartition("/")[2], Purpose.UNSUBSCRIBE)
    assert (link.topic, link.channel, link.contact_id) == ("", "", anna.pk)


def test_addresses_are_asked_for_and_are_no_list_of_who_left(center: PreferenceCenterPage) -> None:
    """security.md LW-13: whoever opted out leaves in no file of addresses."""
    anna, ben, erased, dead = (
        make_contact(f"{name}@mail.example.org") for name in ("anna", "ben", "erased", "dead")
    )
    door.record(ben, OptOut(), by=HER)
    Contact.objects.filter(pk=erased.pk).update(suppressed=True)
    Contact.objects.filter(pk=dead.pk).update(email_dead_at=timezone.now())
    assert len(rows(command(center)[0])) == 4
    (row,) = rows(command(center, "--with-address")[0])
    assert (row["email"], row["id"]) == (anna.email, str(anna.pk))
    logged = ModelLogEntry.objects.filter(action=bulk.MADE).order_by("pk")
    assert [entry.data["with_address"] for entry in logged] == [False, True]
    assert [str(entry.message) for entry in logged][1] == "Made a file of links, with addresses"


def test_no_cell_is_a_formula_and_json_is_as_it_is(center: PreferenceCenterPage) -> None:
    nasty = '=HYPERLINK("https://evil.example")\r\n"x'
    contact = make_contact()
    Contact.objects.filter(pk=contact.pk).update(external_id=nasty)
    (row,) = rows(command(center)[0])
    assert row["external_id"] == f"'{nasty}"
    (line,) = command(center, "--format", "ndjson")[0].splitlines()
    assert json.loads(line)["external_id"] == nasty
    assert list(json.loads(line)) == ["id", "external_id", "manage", "unsubscribe"]


def test_a_file_is_its_owners_and_is_whole(center: PreferenceCenterPage, tmp_path: Path) -> None:
    make_contact()
    path = tmp_path / "links.csv"
    assert command(center, "--output", path)[2] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(rows(path.read_text())) == 1
    path.chmod(0o644)
    assert command(center, "--output", path)[2] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(rows(path.read_text())) == 1  # written anew


def test_nobody_is_a_header(center: PreferenceCenterPage) -> None:
    assert command(center)[:2] == ("id,external_id,manage,unsubscribe\r\n", "0 people\n")
    assert command(center, "--format", "ndjson")[0] == ""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 100)


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Ctrl-C while the batch of this number is made."""

    def arm(number: int) -> None:
        made = iter(range(1, 1000))
        stream = bulk.Maker.stream

        def stopping(self: bulk.Maker, **named: Any) -> Iterator[Any]:
            for batch in stream(self, **named):
                if next(made) == number:
                    os.kill(os.getpid(), signal.SIGINT)
                yield batch

        monkeypatch.setattr(bulk.Maker, "stream", stopping)

    return arm


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_it_can_be_stopped_and_goes_on(
    center: PreferenceCenterPage, tmp_path: Path, interrupted: Callable[[int], None], form: str
) -> None:
    people = many(450)
    path = tmp_path / "links"
    interrupted(2)
    _said, told, code = command(center, "--output", path, "--format", form)
    assert code == 1
    begun = path.read_text()
    assert begun.endswith("\n")
    assert len(begun.splitlines()) == 200 + (form == "csv")
    after = told.split("--after ")[1].strip()
    assert after == str(people[199].pk)
    _said, told, code = command(center, "--output", path, "--format", form, "--after", after)
    assert (code, told) == (0, "250 people\n")
    text = path.read_text()
    ids = [row["id"] for row in (rows(text) if form == "csv" else map(json.loads, text.splitlines()))]
    assert ids == [str(contact.pk) for contact in people]


def test_a_file_that_was_cut_is_not_gone_on_with(center: PreferenceCenterPage, tmp_path: Path) -> None:
    (contact,) = many(1)
    path = tmp_path / "links.csv"
    path.write_text("id,external_id,manage,unsubscribe\r\n" + str(contact.pk))
    with pytest.raises(CommandError, match="whole row"):
        command(center, "--output", path, "--after", contact.pk)


@pytest.mark.parametrize(
    "args",
    [
        ("--topic", "unheard-of"),
        ("--topic", "orders"),
        ("--topic", "news", "--channel", "post"),
        ("--channel", "email"),
        ("--host", "1"),
        ("--host", "-1"),
        ("--after", "x"),
        ("--format", "xml"),
        ("--output", "/nowhere/at/all"),
    ],
)
def test_what_makes_no_sense_is_refused(center: PreferenceCenterPage, args: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        command(center, *args)
    assert not ModelLogEntry.objects.filter(action=bulk.MADE).exists()


def test_there_must_be_such_a_center(center: PreferenceCenterPage) -> None:
    center.unpublish()
    with pytest.raises(CommandError, match="no published center"):
        command(center)


@pytest.mark.usefixtures("small_batches")
def test_neither_statements_nor_memory_grow_with_rows(
    center: PreferenceCenterPage, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 rows in batches of 100: a statement for each; what was made is written, and forgotten."""
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "CENTER_CACHE_SECONDS": 0,
    }  # or a slow machine asks once more
    path = tmp_path / "links.csv"
    stream = bulk.Maker.stream
    sizes: list[int] = []
    alive: list[int] = []

    def watched(self: bulk.Maker, **named: Any) -> Iterator[Any]:
        for batch in stream(self, **named):
            sizes.append(path.stat().st_size)
            if len(sizes) == 20:
                gc.collect()
                kinds = [type(thing) for thing in gc.get_objects()]
                alive.extend([kinds.count(bulk.Links), kinds.count(Contact)])
            yield batch

    monkeypatch.setattr(bulk.Maker, "stream", watched)

    def cost() -> int:
        sizes.clear()
        with CaptureQueriesContext(connection) as asked:
            command(center, "--output", path)
        return len(asked)

    many(200)
    cost()  # what is asked once in a process
    few = cost()
    many(1800)
    lots = cost()
    assert lots - few == 18
    with path.open() as file:
        assert sum(1 for _line in file) == 2001
    assert len(sizes) == 20
    steps = [after - before for before, after in pairwise(sizes)]
    assert min(steps) > 0
    assert max(steps) < 2 * min(steps)
    # This batch and at most the one before.
    links, contacts = alive
    assert 100 <= links <= 200
    assert 100 <= contacts <= 300


@pytest.mark.sqlite
def test_no_batch_sorts_all_people(center: PreferenceCenterPage) -> None:
    """SQLite would, by an index of the audience: a million people took five times as long."""
    make_contact()
    with CaptureQueriesContext(connection) as asked:
        command(center)
        command(center, "--with-address")
    batches = [query["sql"] for query in asked if "ORDER BY" in query["sql"] and "_contact" in query["sql"]]
    assert len(batches) == 4
    with connection.cursor() as cursor:
        for sql in batches:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            assert "TEMP B-TREE" not in str(cursor.fetchall())


def test_the_reference_names_every_option() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/reference/commands.md").read_text()
    everybodys = set(BaseCommand().create_parser("manage.py", "any")._option_string_actions)
    for name in ("prefs_links", "prefs_keys"):
        section = text.split(f"## {name}")[1].split("\n## ")[0]
        parsers = [load_command_class("wagtail_prefs", name).create_parser("manage.py", name)]
        for action in parsers[0]._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
        options = {option for parser in parsers for option in parser._option_string_actions} - everybodys
        assert len(options) > 4
        assert [option for option in sorted(options) if option not in section] == []
