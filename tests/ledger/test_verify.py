"""The verifier: what it counts, what it believes, what it names, and what nobody can see."""

from __future__ import annotations

import hmac
import json
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from hypothesis import given, strategies as st

from tests.ledger import chains
from wagtail_prefs.ledger import reading, seal1, sealed, seals, services
from wagtail_prefs.ledger.models import Record, Seal, SideValue
from wagtail_prefs.ledger.verify import KEPT, WORDS, Problem, Report, Verifier, _commitment, verify
from wagtail_prefs.values import Source

pytestmark = pytest.mark.django_db

NOW = chains.START + timedelta(days=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
CONTACT = uuid.UUID("019a0000-0000-7000-8000-000000000002")
OTHER = uuid.UUID("019a0000-0000-7000-8000-000000000003")


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    with time_machine.travel(NOW + 2 * HOUR, tick=False):
        yield


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    def change(**changed: Any) -> None:
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **changed}

    return change


def key(kid: str) -> dict[str, str]:
    return {"kid": kid, "key": f"{kid}-{'x' * 40}"}


def told(report: Report) -> list[tuple[str, object, int | None]]:
    """(code, contact or seal, number) of each problem. A record that is gone may leave personal values besides."""
    return [
        (problem.code, problem.contact or problem.seal, problem.seq or problem.seal)
        for problem in report.problems
        if problem.code != "orphan"
    ]


def people(count: int = 3, *, each: int = 2, at: Any = chains.START) -> list[uuid.UUID]:
    return chains.ledger([each] * count, random.Random(11), at)


# What is whole


def test_an_empty_ledger_is_whole() -> None:
    report = verify()
    assert report.ok
    assert report.first is None
    assert (report.records, report.contacts, report.seals, report.values, report.unsealed) == (0, 0, 0, 0, 0)
    assert verify([]).ok


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_a_whole_ledger_is_counted(page: int) -> None:
    # Chains longer than nine records: a database that sorts numbers as texts would be found out.
    chains.ledger([13, 1, 2, 11], random.Random(2))
    seals.seal(NOW)
    chains.append(CONTACT, NOW + MINUTE)
    values = SideValue.objects.count()
    assert values
    for lines in (chains.exported(), None):
        report = Verifier(lines, page=page).run()
        assert report.ok, report.first
        assert (report.records, report.contacts, report.seals, report.values) == (28, 5, 1, values)
        assert report.unsealed == 1
        assert report.sealed_until == NOW


def test_a_ledger_without_seals_is_held_against_itself() -> None:
    contacts = people()
    assert verify().ok
    assert verify().unsealed == 6
    Record.objects.filter(contact_ref=contacts[1], seq=2).update(audience="another")
    assert told(verify()) == [("column", contacts[1], 2)]
    assert verify().problems[0].detail == "audience"


def test_one_contact() -> None:
    contacts = people()
    seals.seal(NOW)
    Record.objects.filter(contact_ref=contacts[1], seq=2).delete()
    assert verify(contact=contacts[0]).ok
    assert verify(contact=contacts[0]).records == 2
    assert told(verify(contact=contacts[1])) == [("missing", contacts[1], 2)]
    assert told(verify()) == [("missing", contacts[1], 2)]
    assert verify(contact=OTHER).ok


def test_erased_values_leave_the_chain_whole() -> None:
    contacts = chains.ledger([8, 8], random.Random(4))
    seals.seal(NOW)
    before = verify().values
    services.forget(contacts[0])
    report = verify()
    assert report.ok
    assert 0 < report.values < before


@given(st.binary(max_size=64), st.text())
def test_a_commitment_is_an_hmac(salt: bytes, value: str) -> None:
    expected = hmac.digest(salt, value.encode(), "sha256").hex()
    assert _commitment(f"a name\n{salt.hex()}\n{value}") == ("a name", expected)


def test_every_problem_has_words() -> None:
    for code in WORDS:
        problem = Problem(code, CONTACT, 3)
        assert len(problem.words) > 10
        assert str(problem).startswith(f"contact {CONTACT}, record 3: {code}")
    assert str(Problem("seal-hash", seal=4)).startswith("seal 4: ")


def test_what_comes_meanwhile_disturbs_nothing() -> None:
    contacts = people(4, each=3)
    seals.seal(NOW)
    seen: list[int] = []

    def somebody_saves(report: Report) -> None:
        seen.append(report.records)
        for contact in (contacts[0], contacts[-1], uuid.uuid4()):
            if len(seen) < 10:
                chains.append(contact, NOW + MINUTE)
        seals.seal(NOW + HOUR)

    report = Verifier(page=2).run(somebody_saves)
    assert report.ok, report.first
    assert len(seen) > 5
    assert seen == sorted(seen)


def test_what_was_found_is_kept_when_somebody_interrupts() -> None:
    contacts = sorted(people(4), key=lambda contact: contact.bytes)
    Record.objects.filter(contact_ref=contacts[0], seq=1).update(actor="system")

    def interrupt(report: Report) -> None:
        if report.records >= 4:
            raise KeyboardInterrupt

    verifier = Verifier(page=2)
    with pytest.raises(KeyboardInterrupt):
        verifier.run(interrupt)
    assert verifier.report.records == 4
    assert told(verifier.report) == [("column", contacts[0], 1)]


def test_many_problems_are_counted_and_the_first_is_told() -> None:
    report = Report()
    for number in range(KEPT + 5):
        report.add(Problem("seal-hash", seal=number))
    report.add(Problem("hash", CONTACT, 3))
    report.add(Problem("hash", OTHER, 1))
    assert (report.total, len(report.problems)) == (KEPT + 7, KEPT)
    assert report.first == Problem("hash", CONTACT, 3)
    assert not report.ok
    assert report.codes == {"seal-hash": KEPT + 5, "hash": 2}


# The time when a record should be in a seal


def test_an_old_record_in_no_seal_is_asked_about() -> None:
    people(at=NOW - 5 * HOUR)
    seals.seal(NOW)
    lines = chains.exported()
    chains.append(CONTACT, NOW - MINUTE)  # committed late, perhaps
    assert verify(lines).ok
    chains.append(OTHER, NOW - 3 * HOUR)
    chains.append(OTHER, NOW - 3 * HOUR)
    report = verify(lines)
    assert told(report) == [("unsealed", OTHER, 1)]
    assert report.unsealed == 3
    # It is named, and the chain is walked on.
    Record.objects.filter(contact_ref=OTHER, seq=2).update(audience="another")
    assert told(verify(lines)) == [("unsealed", OTHER, 1), ("column", OTHER, 2)]


def test_a_column_that_was_wrong_before_the_seal_is_found() -> None:
    contacts = people()
    Record.objects.filter(contact_ref=contacts[2], seq=1).update(audience="another")
    seals.seal(NOW)
    assert told(verify(chains.exported())) == [("column", contacts[2], 1)]


def test_a_record_sealed_as_two_is_neither() -> None:
    people()
    chains.append(CONTACT)
    seals.seal(NOW)
    before = chains.exported()
    Record.objects.filter(contact_ref=CONTACT).delete()
    chains.append(CONTACT, chains.START + MINUTE)
    Seal.objects.all().delete()
    seals.seal(NOW)
    body = json.loads(json.loads(chains.exported()[0])["body"])
    # The second seal, as our own key would have signed it.
    records = [
        seal1.Sealed(uuid.UUID(run["contact"]), run["from"] + n, bytes.fromhex(item))
        for run in body["contacts"]
        for n, item in enumerate(run["hashes"])
    ]
    second = signed(2, json.loads(before[0])["hash"], records)
    assert told(verify([*before, second])) == [("sealed", CONTACT, 1)]


# The seals


def signed(number: int, prev: str, records: list[seal1.Sealed], kid: str | None = None) -> bytes:
    from wagtail_prefs import keys

    kid = kid or keys.mac("seal", b"")[0]
    body = seal1.body(number=number, at=NOW, made=NOW, kid=kid, records=records)
    hashed = seal1.seal_hash(prev, body)
    _, signature = keys.mac("seal", bytes.fromhex(hashed))
    return seal1.line(
        number=number, at=NOW, body=body.decode(), prev=prev, hash=hashed, kid=kid, signature=signature.hex()
    )


@pytest.fixture
def five(configure: Callable[..., None]) -> list[bytes]:
    """Five seals over six records."""
    configure(SEAL_RECORDS=2)
    for number in range(5):
        people(1, at=chains.START + number * HOUR)
    seals.seal(NOW)
    found = chains.exported()
    assert len(found) == 5
    return found


def test_seals_are_read_as_a_file_holds_them(five: list[bytes]) -> None:
    assert verify(five).seals == 5
    assert verify(iter(five)).ok
    assert verify([b"\n", *five, b"  \n"]).ok
    log = [
        b"09:00 web1 somebody else's {\n",
        *(b"09:01 web1 seals: " + line for line in five),
        b"09:02 \xff\n",
    ]
    assert verify(log).to_json() == {**verify(five).to_json(), "torn": 0}
    assert verify([line.rstrip() for line in five]).ok
    assert verify([b"Nov 22 08:00:00 web1 " + line for line in five]).ok


def test_a_seal_that_was_sent_twice_is_one(five: list[bytes]) -> None:
    assert verify([five[0], five[1], five[0], five[1], *five[2:], five[4]]).ok
    assert verify([five[0], five[1], five[1], *five[2:]]).seals == 5


def test_a_line_that_a_crash_left_unfinished(five: list[bytes]) -> None:
    torn = five[3][:100]
    report = verify([*five[:3], torn + b"\n", *five[3:]])
    assert report.ok
    assert report.torn == 1
    report = verify([*five, torn])  # the worker has not come back yet
    assert report.ok
    assert report.torn == 1
    assert told(verify([*five[:3], torn + b"\n", five[4]])) == [("seal-missing", 4, 4)]
    assert told(verify([*five[:4], five[4][:50] + b"\n"])) == [("seal-malformed", None, None)]


def test_lines_that_are_gone_or_in_another_order(five: list[bytes]) -> None:
    assert told(verify([*five[:2], *five[3:]])) == [("seal-missing", 3, 3)]
    assert told(verify(five[2:])) == [("seal-missing", 1, 1)]
    swapped = [five[0], five[2], five[1], *five[3:]]
    assert ("seal-missing", 2, 2) in told(verify(swapped))
    # Lines at the end that never arrived: what they hold is as if it were not sealed yet.
    report = verify(five[:3])
    assert report.ok
    assert report.unsealed == 4


def test_every_byte_of_a_line_counts(five: list[bytes], tell: Callable[[str], None]) -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    text = b"".join(five)
    trials = 300
    for trial in range(trials):
        place = rng.randrange(len(text) - 1)
        flipped = text[:place] + bytes([text[place] ^ (1 << rng.randrange(8))]) + text[place + 1 :]
        report = verify(flipped.splitlines(keepends=True))
        number = text[:place].count(b"\n") + 1
        assert not report.ok, (seed, trial, place)
        assert report.problems[0].seal in {number, number + 1, None}, (seed, trial, place)
    tell(f"bytes of seals: {trials} of {trials} flips found, seed {seed}")
    # And the last one, which ends the last line: either that is seen, or the line has not arrived yet, as after a crash.
    for bit in range(8):
        report = verify([*five[:-1], five[-1][:-1] + bytes([five[-1][-1] ^ (1 << bit)])])
        assert (report.ok, report.torn) in {(False, 0), (True, 1)}
        assert report.unsealed == 2  # what it holds is as if it were not sealed


def test_a_forged_seal_is_named_and_believed_in_nothing(five: list[bytes]) -> None:
    last = json.loads(five[-1])
    records = [seal1.Sealed(CONTACT, 1, bytes(32)), seal1.Sealed(OTHER, 1, bytes(32))]
    chains.append(CONTACT, NOW)
    body = seal1.body(number=6, at=NOW, made=NOW, kid="t1", records=records)
    hashed = seal1.seal_hash(last["hash"], body)
    signature = hmac.digest(b"not the key", bytes.fromhex(hashed), "sha256").hex()
    forged = seal1.line(
        number=6, at=NOW, body=body.decode(), prev=last["hash"], hash=hashed, kid="t1", signature=signature
    )
    assert told(verify([*five, forged])) == [("seal-signature", 6, 6)]
    right = signed(6, last["hash"], records)
    assert {code for code, *_ in told(verify([*five, right]))} == {"sealed", "missing"}


def test_a_seal_that_does_not_continue_the_one_before(five: list[bytes]) -> None:
    stray = signed(6, "ab" * 32, [])
    assert told(verify([*five, stray])) == [("seal-prev", 6, 6)]


def test_two_seals_of_one_number(five: list[bytes]) -> None:
    """The database was set back to a copy, and made its fifth seal once more."""
    fourth = json.loads(five[3])
    assert told(verify([*five, signed(5, fourth["hash"], [])])) == [("seal-forked", 5, 5)]


def test_the_table_of_seals_is_not_asked_when_lines_are_given(five: list[bytes]) -> None:
    Seal.objects.filter(number=3).update(body="{}")
    assert verify(five).ok
    assert told(verify()) == [("seal-malformed", None, None), ("seal-missing", 3, 3)]
    Seal.objects.all().delete()
    assert verify(five).ok


def test_a_key_that_was_replaced_is_proven_by_later_seals(configure: Callable[..., None]) -> None:
    configure(SIGNING_KEYS=[key("k1")])
    people(1)
    seals.seal(NOW)
    configure(SIGNING_KEYS=[key("k2"), key("k1")])
    people(1, at=NOW + MINUTE)
    seals.seal(NOW + HOUR)
    lines = chains.exported()
    assert verify(lines).ok
    configure(SIGNING_KEYS=[key("k2")])
    assert verify(lines).ok
    # Nothing but the last seal's own signature proves the first: without it nobody can tell.
    assert told(verify(lines[:1])) == [("seal-unverifiable", 1, 1)]
    flipped = json.loads(lines[1])
    flipped["signature"] = "00" * 32
    assert told(verify([lines[0], json.dumps(flipped).encode()])) == [
        ("seal-signature", 2, 2),
        ("seal-unverifiable", 1, 1),
    ]
    configure(SIGNING_KEYS=[key("k3")])
    assert told(verify(lines)) == [("seal-unverifiable", 1, 1), ("seal-unverifiable", 2, 2)]


def test_a_seal_nobody_proves_holds_nothing(configure: Callable[..., None]) -> None:
    configure(SIGNING_KEYS=[key("k1")])
    people(2)
    seals.seal(NOW)
    lines = chains.exported()
    configure(SIGNING_KEYS=[key("k2")])
    Record.objects.all().delete()
    assert told(verify(lines)) == [("seal-unverifiable", 1, 1)]


def test_more_seals_than_memory(five: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "CHUNK_BYTES", 100)
    monkeypatch.setattr(sealed.Runs.__init__, "__defaults__", (100,))
    assert verify(five).ok
    gone = Record.objects.order_by("contact_ref").first()
    assert gone
    Record.objects.filter(contact_ref=gone.contact_ref).delete()
    assert told(verify(five))[0] == ("missing", gone.contact_ref, 1)


# What nobody can see: the chain and the seals prove what was sealed, not what came after.


def test_a_forged_record_at_the_end_looks_like_a_save() -> None:
    chains.append(CONTACT)
    seals.seal(NOW)
    lines = chains.exported()
    chains.append(CONTACT, NOW + MINUTE)  # by whoever may write to the database
    assert verify(lines).ok
    assert verify(lines).unsealed == 1


def test_a_cut_before_the_next_seal_cannot_be_seen() -> None:
    chains.append(CONTACT)
    seals.seal(NOW)
    lines = chains.exported()
    last = chains.append(CONTACT, NOW + MINUTE)
    Record.objects.filter(pk=last.pk).delete()
    assert verify(lines).ok


def test_a_cut_together_with_its_seals_is_seen_by_the_exported_ones_only() -> None:
    chains.append(CONTACT)
    seals.seal(NOW)
    chains.append(CONTACT, NOW + MINUTE)
    seals.seal(NOW + HOUR)
    lines = chains.exported()
    Record.objects.filter(seq=2).delete()
    assert told(verify()) == [("missing", CONTACT, 2)]
    Seal.objects.filter(number=2).delete()
    assert verify().ok
    assert told(verify(lines)) == [("missing", CONTACT, 2)]


# Personal values


def record_with_values() -> Record:
    return chains.append(
        CONTACT,
        changes=[chains.told("city", "Berlin"), chains.told("first_name", "Anna")],
        source=Source(method="page", ip="203.0.113.7", address_as_entered="anna@mail.example.org"),
    )


@pytest.mark.parametrize("name", ["attribute:city", "address_as_entered", "ip_truncated"])
def test_a_changed_value_is_found_and_not_shown(name: str) -> None:
    record_with_values()
    seals.seal(NOW)
    assert verify().values == 4
    SideValue.objects.filter(name=name).update(value='"Hamburg"')
    report = verify()
    assert told(report) == [("value", CONTACT, 1)]
    assert report.problems[0].detail == name
    assert "Hamburg" not in json.dumps(report.to_json())


def test_values_that_changed_names() -> None:
    record = record_with_values()
    city = SideValue.objects.get(name="attribute:city")
    name = SideValue.objects.get(name="attribute:first_name")
    SideValue.objects.filter(pk=city.pk).update(salt=name.salt, value=name.value)
    SideValue.objects.filter(pk=name.pk).update(salt=city.salt, value=city.value)
    assert told(verify()) == [("value", CONTACT, 1)]
    assert verify().problems[0].detail == "attribute:city, attribute:first_name"
    SideValue.objects.create(record=record.pk, name="a\nb", salt=b"", value='"x"')
    assert "?" in verify().problems[0].detail


def test_values_of_a_record_that_is_gone() -> None:
    record = record_with_values()
    Record.objects.filter(pk=record.pk).delete()
    report = verify()
    assert [(problem.code, problem.detail) for problem in report.problems] == [("orphan", str(record.pk))]


# Rows that no model would write


def sql(statement: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        assert cursor.rowcount == 1


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "change",
    [
        "body = CAST(x'ff' AS TEXT)",
        "body = x'7b7d'",
        "body = 5",
        "body = 'null'",
        "body = '" + "[" * 5000 + "'",
        "hash = CAST(x'ff' AS TEXT)",
        "hash = ''",
        "prev = 7",
        "audience = CAST(x'fe0a' AS TEXT)",
        "audience = 'brand' || char(10) || 'x'",
        "at = 'yesterday'",
        "at = at || char(10)",
        "at = 5",
        "actor = actor || ' '",
        "idempotency_key = x'00'",
        "id = 'x'",
        "id = CAST(x'ff' AS TEXT)",
        "id = upper(id)",
        "seq = 0",
        "seq = 2.5",
        "seq = 'two'",
        "seq = x'02'",
        "seq = 9223372036854775807",
        "contact_ref = upper(contact_ref)",
        "contact_ref = ''",
        "contact_ref = 'nobody'",
        "contact_ref = CAST(x'ff' AS TEXT)",
        "contact_ref = CAST(contact_ref AS BLOB)",
    ],
)
def test_whatever_sqlite_keeps_is_found(change: str) -> None:
    for contact in (CONTACT, OTHER):
        for _ in range(3):
            chains.append(contact)
    seals.seal(NOW)
    lines = chains.exported()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
    try:
        record = Record.objects.get(contact_ref=CONTACT, seq=2)
        sql(f"UPDATE wagtail_prefs_record SET {change} WHERE id = %s", record.pk.hex)
        for page in (1, 2, 100):
            report = Verifier(lines, page=page).run()
            first = {problem.seq for problem in report.problems if problem.contact == CONTACT}
            assert first in ({2}, {0}), (report.problems, page)
            assert OTHER not in {problem.contact for problem in report.problems}
            json.dumps(report.to_json(), ensure_ascii=False).encode()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


@pytest.mark.postgres
@pytest.mark.parametrize(
    "change",
    [
        "at = 'infinity'",
        "at = '-infinity'",
        "at = at - interval '4051 years'",
        "at = at + interval '10000 years'",
        "at = (to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00 BC')::timestamptz",
        "seq = 9223372036854775807",
        "contact_ref = '00000000-0000-0000-0000-000000000000'",
        "body = ''",
        "body = body || ' '",
        "audience = E'brand\\n2026'",
        "idempotency_key = E'\\n'",
        "actor = 'gpc'",
    ],
)
def test_whatever_postgresql_keeps_is_found(change: str) -> None:
    for contact in (CONTACT, OTHER):
        for _ in range(3):
            chains.append(contact)
    seals.seal(NOW)
    lines = chains.exported()
    sql(f"UPDATE wagtail_prefs_record SET {change} WHERE contact_ref = %s AND seq = 2", CONTACT)
    for page in (1, 2, 100):
        report = Verifier(lines, page=page).run()
        assert {problem.seq for problem in report.problems if problem.contact == CONTACT} == {2}
        assert OTHER not in {problem.contact for problem in report.problems}


def test_the_statement_walks_along_the_index() -> None:
    """Else a table of millions is sorted for every page."""
    many = [
        Record(
            contact_ref=uuid.UUID(int=number),
            audience="brand",
            seq=1,
            at=NOW,
            actor="system",
            body="{}",
            prev="0" * 64,
            hash="0" * 64,
        )
        for number in range(3000)
    ]
    Record.objects.bulk_create(many)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        query = captured(lambda: next(reading.pages(size=100)))[0]
        cursor.execute(f"{'EXPLAIN QUERY PLAN' if connection.vendor == 'sqlite' else 'EXPLAIN'} {query}")
        plan = "\n".join(str(row) for row in cursor.fetchall())
    assert "(contact_ref,seq)>" in plan.replace(" ", ""), plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


def captured(call: Callable[[], object]) -> list[str]:
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as context:
        call()
    return [query["sql"] for query in context.captured_queries]
