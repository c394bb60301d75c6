"""A receipt says what its record says, nothing personal, and is found out when a letter of it is another."""

from __future__ import annotations

import io
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import override_settings

from tests import factories
from tests.settings import WAGTAIL_PREFS
from wagtail_prefs.canonical import canonical
from wagtail_prefs.changes import (
    AcknowledgeNotice,
    Change,
    GiveReason,
    OptOut,
    Pause,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger import format1, guard, seals
from wagtail_prefs.ledger.models import Record, Seal
from wagtail_prefs.ledger.standing import standing
from wagtail_prefs.rights import receipts
from wagtail_prefs.rights.receipts import Verdict
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db
PERSON = Actor(ActorType.SUBJECT_SESSION)
END = datetime(2030, 1, 1, tzinfo=UTC)
KEYS = WAGTAIL_PREFS["SIGNING_KEYS"]
NEW = {"kid": "new1", "key": "a" * 48, "created": "2026-11-01", "retire_after": None}


def ring(*keys: dict[str, Any]) -> Any:
    return override_settings(WAGTAIL_PREFS={**WAGTAIL_PREFS, "SIGNING_KEYS": list(keys)})


def say(contact: Contact, *changes: Change, actor: Actor = PERSON, **source: Any) -> Record:
    saved = submissions.record(
        contact.pk, changes, actor=actor, source=Source(method="element", language="en", **source)
    )
    return Record.objects.get(pk=saved.receipt)


@pytest.fixture
def contact(db: None) -> Contact:
    factories.make_topics()
    return factories.make_contact("anna@mail.example.org")


def handed_out(record: Record) -> bytes:
    return receipts.as_bytes(receipts.make(record))


def test_it_is_genuine_as_it_was_handed_out_and_in_any_other_spelling_of_the_same(contact: Contact) -> None:
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    given = handed_out(record)
    for spelling in (given, canonical(json.loads(given)), json.dumps(json.loads(given)).encode("utf-8-sig")):
        checked = receipts.check(spelling)
        assert (checked.verdict, checked.signed, checked.record) == (Verdict.GENUINE, True, record)


def test_it_says_what_was_chosen_and_by_which_record(contact: Contact) -> None:
    say(contact, SetFrequency("", "", "weekly"))
    record = say(contact, SetChoice("news", "email", SUBSCRIBED, END))
    said = receipts.make(record)["receipt"]
    assert (said["receipt"], said["number"], said["record_hash"]) == (str(record.pk), 2, record.hash)
    assert (said["by"], said["method"], said["language"]) == ("subject-session", "element", "en")
    [change] = said["changes"]
    assert change == {
        "kind": "choice",
        "path": "choice:news:email",
        "action": "given",
        "topic": "news",
        "channel": "email",
        "before": None,
        "after": SUBSCRIBED,
        "until": "2030-01-01T00:00:00.000000Z",
        "lawful_basis": "consent",
    }


def test_it_holds_nothing_personal_and_nobody_else(contact: Contact) -> None:
    other = factories.make_contact("berta@mail.example.org")
    say(other, SetChoice("news", "email", SUBSCRIBED))
    record = say(
        contact,
        SetAttribute("city", "Ankh-Morpork"),
        GiveReason("other", "My neighbour Vimes told me"),
        AcknowledgeNotice("privacy", "ab" * 32),
        ip="203.0.113.77",
        address_as_entered="Anna@mail.example.org",
    )
    staff = Actor(ActorType.ADMIN, "j.doe@brand.example")
    merged = submissions.merge_contacts(other.pk, contact.pk, actor=staff, source=Source(method="admin"))
    records = [
        record,
        *Record.objects.filter(pk=merged.receipt),
        *Record.objects.filter(contact_ref=other.pk),
    ]
    assert len(records) >= 3
    for one in records:
        text = handed_out(one).decode()
        for word in ("Ankh", "city", "Vimes", "203.0.113", "mail.example", "j.doe"):
            assert word not in text, word
        assert str(contact.pk if one.contact_ref == other.pk else other.pk) not in text


def test_no_letter_of_it_can_be_another(contact: Contact) -> None:
    """Each letter in its turn. Under a key's name that no key has, the ledger alone answers for the words."""
    record = say(contact, SetChoice("news", "email", SUBSCRIBED), Pause("", "", END))
    receipt = receipts.make(record)
    given = canonical(receipt)
    rng = random.Random(7)
    for at, letter in enumerate(given):
        other = rng.choice([code for code in range(33, 127) if code != letter])
        shown = given[:at] + bytes([other]) + given[at + 1 :]
        checked = receipts.check(shown)
        assert not checked.signed, shown
        if checked.verdict is Verdict.GENUINE:
            assert json.loads(shown) == {**receipt, "kid": json.loads(shown)["kid"]}
        else:
            assert checked.verdict in {Verdict.CHANGED, Verdict.UNKNOWN, Verdict.UNREADABLE}


def test_after_a_rotation_the_old_key_still_says_so(contact: Contact) -> None:
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    given = handed_out(record)
    with ring(NEW, *KEYS):
        assert receipts.make(record)["kid"] == "new1"
        checked = receipts.check(given)
        assert (checked.verdict, checked.signed) == (Verdict.GENUINE, True)


def test_when_its_key_has_left_the_ring_the_ledger_answers(contact: Contact) -> None:
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    given = handed_out(record)
    with ring(NEW):
        checked = receipts.check(given)
        assert (checked.verdict, checked.signed, checked.record) == (Verdict.GENUINE, False, record)
        forged = json.loads(given)
        forged["receipt"]["changes"][0]["after"] = UNSUBSCRIBED
        assert receipts.check(json.dumps(forged).encode()).verdict is Verdict.CHANGED


def test_one_that_was_never_made_is_unknown(contact: Contact) -> None:
    said = receipts.make(say(contact, SetChoice("news", "email", SUBSCRIBED)))
    said["receipt"]["receipt"] = str(uuid4())
    assert receipts.check(json.dumps(said).encode()).verdict is Verdict.UNKNOWN


def test_it_outlives_its_record(contact: Contact) -> None:
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    given = handed_out(record)
    with guard.taken_down("default"):
        Record.objects.all().delete()
    checked = receipts.check(given)
    assert (checked.verdict, checked.signed, checked.record) == (Verdict.GENUINE, True, None)
    with ring(NEW):
        assert receipts.check(given).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("column", ["body", "hash", "prev", "seq", "actor"])
def test_it_contradicts_a_ledger_that_was_changed(contact: Contact, column: str) -> None:
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    given = handed_out(record)
    other = {
        "body": record.body.replace(SUBSCRIBED, UNSUBSCRIBED),
        "hash": "0" * 64,
        "prev": "1" * 64,
        "seq": 7,
        "actor": "admin",
    }
    with guard.taken_down("default"):
        Record.objects.filter(pk=record.pk).update(**{column: other[column]})
    assert receipts.check(given).verdict is Verdict.DISPUTED
    with ring(NEW):  # nobody vouches for anything any more
        assert receipts.check(given).verdict is Verdict.UNKNOWN


def test_a_whole_rewrite_of_the_record_is_contradicted_too(contact: Contact) -> None:
    """Whoever computes the hash anew has a chain that fits; the receipt does not."""
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    given = handed_out(record)
    body = record.body.replace(SUBSCRIBED, UNSUBSCRIBED)
    with guard.taken_down("default"):
        Record.objects.filter(pk=record.pk).update(
            body=body, hash=format1.record_hash(record.prev, body.encode())
        )
    checked = receipts.check(given)
    assert checked.standing is not None and checked.standing.whole
    assert checked.verdict is Verdict.DISPUTED


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"[]",
        b"7",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"receipt": {}, "kid": "t1", "mac": ""}',
        b'{"receipt": 7, "kid": "t1", "mac": "00"}',
        b'{"receipt": {"type": "wagtail-prefs-receipt", "format": 1, "receipt": 5}, "kid": "t1", "mac": "00"}',
        b'{"receipt": {"type": "wagtail-prefs-receipt", "format": 1, "receipt": "'
        + b"a" * 32
        + b'", "x": 1.5}, '
        b'"kid": "t1", "mac": "00"}',
        b'{"receipt": {"type": "wagtail-prefs-receipt", "format": 2, "receipt": "x"}, "kid": "t1", "mac": "00"}',
        b'{"kid": "a", "kid": "b", "mac": "00"}',
        b" " * (receipts.MAX_BYTES + 1),
    ],
    ids=range(12),
)
def test_what_is_no_receipt_is_called_so(given: bytes, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert receipts.check(given).verdict is Verdict.UNREADABLE


def test_which_seal_holds_it(contact: Contact, django_assert_max_num_queries: Any) -> None:
    first = say(contact, SetChoice("news", "email", SUBSCRIBED))
    assert standing(first).seal is None
    [made, *_rest] = seals.seal()
    second = say(contact, OptOut())
    seals.seal()
    with django_assert_max_num_queries(3):
        found = standing(first)
    assert (found.whole, found.seal) == (True, made.number)
    assert standing(second).seal == Seal.objects.order_by("-number").first().number  # type: ignore[union-attr]


def test_its_seal_is_found_among_many(contact: Contact, django_assert_max_num_queries: Any) -> None:
    records, made = [], []
    with time_machine.travel(END, tick=False) as clock:
        for number in range(75):
            value = UNSUBSCRIBED if number % 2 else SUBSCRIBED
            records.append(say(contact, SetChoice("news", "email", value)))
            clock.shift(600)
            made += [seal.number for seal in seals.seal()]
    assert made == list(range(1, 76))
    for record, number in zip(records, made, strict=True):
        with django_assert_max_num_queries(5):
            assert standing(record).seal == number


def test_a_seal_that_was_changed_or_forged_holds_nothing(contact: Contact) -> None:
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    seals.seal()
    seal = Seal.objects.get()
    for other in (
        {"body": seal.body.replace('"format":1', '"format": 1')},
        {"signature": "0" * 64},
        {"hash": "0" * 64},
        {"prev": "1" * 64},
        {"signature": "no hex"},
    ):
        with guard.taken_down("default"):
            Seal.objects.update(
                **{name: getattr(seal, name) for name in ("body", "signature", "hash", "prev")}
            )
            assert standing(record).seal == seal.number
            Seal.objects.update(**other)
        found = standing(record)
        assert (found.whole, found.seal) == (True, None), other


def test_a_seal_of_a_key_that_has_left_still_holds(contact: Contact) -> None:
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    seals.seal()
    with ring(NEW):
        assert standing(record).seal == 1


def test_a_record_without_the_one_before_is_not_whole(contact: Contact) -> None:
    first = say(contact, SetChoice("news", "email", SUBSCRIBED))
    second, third = say(contact, OptOut()), say(contact, SetChoice("news", "email", SUBSCRIBED))
    assert all(standing(record).whole for record in (first, second, third))
    with guard.taken_down("default"):
        Record.objects.filter(pk=second.pk).delete()
    assert [standing(record).whole for record in (first, third)] == [True, False]


def run(*args: str, stdin: bytes = b"", monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    out = io.StringIO()
    if monkeypatch:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    call_command("prefs_receipt", *args, stdout=out)
    return out.getvalue()


def test_the_command_makes_what_it_verifies(
    contact: Contact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = say(contact, SetChoice("news", "email", SUBSCRIBED))
    file = tmp_path / "receipt.json"
    file.write_text(run("--record", str(record.pk)))
    assert "genuine" in run("--verify", str(file))
    said = json.loads(run("--verify", "-", "--json", stdin=file.read_bytes(), monkeypatch=monkeypatch))
    assert said == {
        "verdict": "genuine",
        "signed": True,
        "record": str(record.pk),
        "whole": True,
        "seal": None,
    }


def test_the_command_ends_with_1_for_what_is_not_genuine_and_with_2_for_wrong_use(
    contact: Contact, tmp_path: Path
) -> None:
    file = tmp_path / "receipt.json"
    file.write_text("{}")
    with pytest.raises(SystemExit) as ended:
        run("--verify", str(file))
    assert ended.value.code == 1
    for args in (
        ["--record", str(uuid4())],
        ["--contact", str(uuid4())],
        ["--verify", str(tmp_path / "none")],
    ):
        with pytest.raises(CommandError) as refused:
            run(*args)
        assert refused.value.returncode == 2


def test_the_command_names_what_a_consent_record_lacks(contact: Contact) -> None:
    say(contact, SetChoice("news", "email", SUBSCRIBED))
    with pytest.raises(CommandError, match="controller name: “Legal name” of the audience"):
        run("--contact", str(contact.pk))
