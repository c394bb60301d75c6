"""The reference of receipts says what they are: its example has their form, its tables their words, and its code runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.rights.test_consent_record import fill, fits
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.rights import consent_facts, receipts
from wagtail_prefs.rights.consent_states import State
from wagtail_prefs.rights.receipts import Verdict
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Source
from wagtail_prefs.web.own_receipt import FORMS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "receipts.md").read_text()


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def contact(db: None) -> Contact:
    factories.make_center()
    contact = factories.make_contact()
    submissions.record(
        contact.pk,
        [SetChoice("news", "email", SUBSCRIBED)],
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=Source(method="element", language="en"),
    )
    return contact


def test_the_example_is_a_receipt(contact: Contact) -> None:
    example = json.loads(block("json"))
    fits(example, "receipt")
    real = receipts.make(Record.objects.get())
    assert example["receipt"].keys() == real["receipt"].keys()
    assert example["receipt"]["changes"][0].keys() == real["receipt"]["changes"][0].keys()


def test_the_verdicts_and_files_are_all_there() -> None:
    answers = re.findall(
        r"^\| `(\w+)` \| ", TEXT.partition("| answer |")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert answers == [verdict.value for verdict in Verdict]
    files = re.findall(
        r"^\| `([\w.-]+)` \| ", TEXT.partition("| file |")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert files == [name for _label, name, _type, _make in FORMS.values()]


def test_the_states_are_all_there() -> None:
    told = re.search(r"States are those of DPV: ([\w, ]+)\.", TEXT)
    assert told is not None
    assert set(told[1].split(", ")) == {state.value for state in State}


def test_the_code_runs(contact: Contact) -> None:
    fill()
    Contact.objects.filter(pk=contact.pk).update(country="IE")
    scope: dict[str, Any] = {"contact": contact}
    exec(block("python"), scope)
    assert consent_facts.holes(consent_facts.gather(contact.pk)) == []
