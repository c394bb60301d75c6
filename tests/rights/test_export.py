"""What a person gets of herself: all of it, hers alone, and the same in both forms."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings, strategies as st

from tests.delivery.people import HERSELF, JOIN, JOIN_OFFERS, LEAVE, WEEKLY, save
from tests.factories import make_contact, make_topics
from tests.properties import examples
from wagtail_prefs import decide
from wagtail_prefs.access import services as access
from wagtail_prefs.cells import safe
from wagtail_prefs.changes import SetAttribute
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.mail.services import post
from wagtail_prefs.rights.export import COLUMNS, as_zip, export
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Evidence, Source

pytestmark = pytest.mark.django_db


def live(name: str, word: str) -> UUID:
    """A person with a past of every kind; `word` is in all that is hers alone."""
    contact = make_contact(f"{name}@mail.example.org").pk
    Contact.objects.filter(pk=contact).update(
        external_id=f"x-{word}", language="de", language_source="page", country="DE", country_source="import"
    )
    save(contact, JOIN, WEEKLY)
    submissions.record(
        contact,
        [SetAttribute("city", f"City of {word}"), SetAttribute("tags", [word, "=1+1"])],
        actor=HERSELF,
        source=Source(method="python", address_as_entered=f"{word}@mail.example.org", ip="203.0.113.9"),
    )
    submissions.record(
        contact,
        [JOIN_OFFERS],
        actor=Actor(ActorType.ADMIN, f"staff-of-{name}"),
        source=Source(
            method="staff", evidence=Evidence(f"order {word}", timezone.now() - timedelta(hours=1))
        ),
    )
    save(contact, LEAVE)
    save(contact, JOIN)
    decide([contact], "news", "email", record=f"letter to {word}")
    post(
        "address_changed", to=f"{name}@mail.example.org", audience_id=Contact.objects.get(pk=contact).audience_id, locale="en",
        context={"center_title": "Brand"}, contact=contact,
    )  # fmt: skip
    return contact


def text_of(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


@pytest.fixture
def anna() -> UUID:
    make_topics()
    return live("anna", "annasword")


def test_everything_of_hers_is_there(anna: UUID) -> None:
    delivery.run_once()
    data = export(anna)
    assert data["format"] == 1
    assert {line["field"] for line in data["person"]} >= {
        "contact",
        "email",
        "external_id",
        "language",
        "country",
    }
    assert {"field": "language", "value": "de", "source": "page"} in data["person"]
    assert [line["topic"] for line in data["choices"]] == ["news", "offers"]
    assert data["choices"][:1] == [
        {
            "topic": "news", "label": "News", "channel": "email", "choice": "subscribed", "waits_for_confirmation": False,
            "until": None,
        }
    ]  # fmt: skip
    assert data["frequencies"] == [{"scope": "all", "frequency": "weekly"}]
    assert {"name": "city", "value": "City of annasword"} in data["profile"]
    assert [line["message"] for line in data["messages"]] == ["letter to annasword"]
    assert [line["kind"] for line in data["mails"]] == ["address_changed"]
    assert {line["by"] for line in data["history"]} == {"subject-session", "staff"}
    assert any(line["evidence"] == "order annasword" for line in data["history"])
    named = {line["name"] for line in data["values"]}
    assert {"address_as_entered", "ip_truncated", "attribute:city", "attribute:tags"} <= named
    # What a record commits to is told once, where it can be read.
    hidden = [line for line in data["history"] if line["path"] == "attribute:city"]
    assert [line["after"] for line in hidden] == ["in values"]


def test_the_history_is_in_words_too(anna: UUID) -> None:
    data = export(anna)
    said = [line["words"] for line in data["history"] if line["path"] == "choice:news:email"]
    yes, no = "News per E-Mail: angemeldet", "News per E-Mail: abgemeldet"  # she reads German
    assert said == [yes, no, yes]
    assert all(line["words"] for line in data["history"])
    assert "City of annasword" not in text_of([line["words"] for line in data["history"]])


def test_she_can_hold_the_chain_against_itself(anna: UUID) -> None:
    """With what docs/reference/export.md says, and nothing of ours."""
    data = export(anna)
    assert [record["number"] for record in data["records"]] == list(range(1, len(data["records"]) + 1))
    before, read = "0" * 64, 0
    for record in data["records"]:
        assert record["prev"] == before
        before = record["hash"]
        if record["body"] is not None:
            line = b"wagtail-prefs/ledger/1\n" + bytes.fromhex(record["prev"]) + record["body"].encode()
            assert hashlib.sha256(line).hexdigest() == record["hash"]
            read += 1
    by_staff = {line["receipt"] for line in data["history"] if line["by"] == "staff"}
    assert {record["receipt"] for record in data["records"] if record["body"] is None} == by_staff
    assert read == len(data["records"]) - len(by_staff) > 0
    bodies = " ".join(record["body"] or "" for record in data["records"])
    for value in data["values"]:
        text = json.dumps(value["value"], ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        digest = hmac.digest(bytes.fromhex(value["salt"]), text.encode(), "sha256").hex()
        assert digest in bodies, value["name"]


def test_what_a_link_waits_for_is_there_and_the_link_is_not(anna: UUID) -> None:
    contact = Contact.objects.get(pk=anna)
    url = access.issue(access.Purpose.CHANGE_ADDRESS, contact, center=uuid4(), address="new@mail.example.org")
    data = export(anna)
    assert [link["address"] for link in data["links"]] == ["new@mail.example.org"]
    assert url.rstrip("/").rpartition("/")[2] not in text_of(data)


def test_nobody_elses_word_is_in_it(anna: UUID) -> None:
    """Two people who share topics, messages, platforms and a network."""
    bea = live("bea", "beasword")
    decide([anna, bea], "news", "email", record="one letter for both")
    delivery.run_once()
    hers, others = text_of(export(anna)), text_of(export(bea))
    assert "annasword" in hers and "beasword" in others
    for word in ("beasword", "bea@", str(bea)):
        assert word not in hers
    for word in ("annasword", "anna@", str(anna)):
        assert word not in others
    assert "staff-of-" not in hers  # who of the staff it was is about them


def test_whom_she_was_before_is_she(anna: UUID) -> None:
    bea = live("bea", "beasword")
    submissions.merge_contacts(bea, anna, actor=HERSELF, source=Source(method="python"))
    data = export(anna)
    assert {line["contact"] for line in data["history"]} == {str(anna), str(bea)}
    assert "City of beasword" in text_of(data["values"])
    with pytest.raises(UnknownContact):
        export(bea)


def test_of_who_was_erased_there_is_nothing(anna: UUID) -> None:
    submissions.erase(anna, actor=HERSELF, source=Source(method="python"))
    with pytest.raises(UnknownContact):
        export(anna)
    with pytest.raises(UnknownContact):
        export(UUID(int=7))


def test_both_forms_say_the_same(anna: UUID) -> None:
    data = export(anna)
    archive = zipfile.ZipFile(io.BytesIO(as_zip(data)))
    assert sorted(archive.namelist()) == sorted(
        [*(f"{name}.csv" for name in COLUMNS), "about.csv", "data.json"]
    )
    assert json.loads(archive.read("data.json")) == data
    for name, columns in COLUMNS.items():
        rows = list(csv.reader(io.StringIO(archive.read(f"{name}.csv").decode())))
        assert tuple(rows[0]) == tuple(columns)
        assert rows[1:] == [
            [str(safe(written(line.get(column)))) for column in columns] for line in data[name]
        ], name
        for line in data[name]:
            assert set(line) <= set(columns), name


def written(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@given(st.text(max_size=20))
@settings(max_examples=100, deadline=None)
@pytest.mark.property
def test_no_cell_is_a_formula(value: str) -> None:
    lists: dict[str, Any] = {name: [] for name in COLUMNS}
    data = {
        **lists,
        "format": 1,
        "made_at": "",
        "unsubscribed_from_everything": False,
        "controller": {"name": value},
        "profile": [{"name": "word", "value": value}],
    }
    archive = zipfile.ZipFile(io.BytesIO(as_zip(data)))
    for name in ("about", "profile"):
        for row in csv.reader(io.StringIO(archive.read(f"{name}.csv").decode())):
            assert not any(cell.strip(" \ufeff\u200b")[:1] in set("=+-@|\t\r\n") - {""} for cell in row)


def test_the_cost_does_not_grow_with_her_past(anna: UUID) -> None:
    with CaptureQueriesContext(connection) as before:
        export(anna)
    for _ in range(5):
        save(anna, LEAVE)
        save(anna, JOIN)
    with CaptureQueriesContext(connection) as after:
        export(anna)
    assert len(before) == len(after) <= 16


#: Tables with a contact in them that no export tells of, and why not.
UNTOLD = {
    "AccessRequest": "a wish of a minute ago, by whoever typed the address",
    "Arrival": "what a platform says, until it is worked off",
    "Duplicate": "that two rows may be one person is about the rows",
    "Erasure": "is about who is not there any more",
    "MatchKey": "digests of what is told",
    "Subscriber": "a copy of the same, told as the platform `database`",
    "Subscription": "a copy of the same",
    "Tombstone": "is about who is not there any more",
    "PauseNoticeMark": "a place in a list",
    "TopicMerge": "a place in a list",
    "DuplicateScan": "a place in a list",
    "Backfill": "a place in a list",
}


def test_every_table_about_a_person_is_told_of_or_named() -> None:
    """So that a new one is thought of."""
    told = {"Contact", "State", "Record", "SideValue", "Send", "Waiting", "Mail", "OneTimeLink", "Delivery"}
    about = {
        model.__name__
        for model in apps.get_app_config("wagtail_prefs").get_models()
        if {"contact", "contact_id", "contact_ref", "first", "after", "address"}
        & {field.attname for field in model._meta.concrete_fields}
    } | {"Contact", "SideValue"}
    assert about - told <= set(UNTOLD)
    assert not told & set(UNTOLD)


SHARED = "Shared by both"


@pytest.mark.property
@examples(15)
@given(
    st.lists(
        st.sampled_from(["choice", "phone", "platform", "message", "page", "merged", "evidence"]), unique=True
    ),
    st.booleans(),
)
def test_nothing_of_hers_is_in_anothers_export_whatever_they_share(shared: list[str], first: bool) -> None:
    """Two people with one phone number, one platform, one message and one reason: each file holds one person."""
    make_topics()
    number = Contact.objects.count()
    words = [f"qzxwvqanna{number}", f"qzxwvqbert{number}"]
    people = [live(f"{word}", word) for word in words]
    for contact, word in zip(people, words, strict=True):
        if "phone" in shared:
            save(contact, SetAttribute("phone", "+49301234567"))
        if "platform" in shared:
            Delivery.objects.filter(contact=contact).update(delivered=1)
            Delivery.objects.get_or_create(
                backend="crm",
                contact=contact,
                defaults={"wanted": 1, "delivered": 1, "remote_id": f"r-{word}"},
            )
        if "message" in shared:
            decide([contact], "news", "email", record=SHARED)
        if "evidence" in shared:
            source = Source(method="staff", evidence=Evidence(SHARED, timezone.now()))
            submissions.record(contact, [JOIN_OFFERS], actor=Actor(ActorType.ADMIN, "7"), source=source)
        if "merged" in shared:
            third = live(f"third{word}", f"{word}third")
            submissions.merge_contacts(third, contact, actor=HERSELF, source=Source(method="python"))
    mine, other = (0, 1) if first else (1, 0)
    data = export(people[mine])
    texts = [
        text_of(data),
        *(zipfile.ZipFile(io.BytesIO(as_zip(data))).read(f"{name}.csv").decode() for name in COLUMNS),
    ]
    assert words[mine] in texts[0]
    for text in texts:
        assert words[other] not in text
        assert str(people[other]) not in text
    own = {
        str(people[mine]),
        *map(str, Contact.objects.filter(merged_into=people[mine]).values_list("pk", flat=True)),
    }
    for name, columns in COLUMNS.items():
        if "contact" in columns:
            assert {line["contact"] for line in data[name]} <= own, name
