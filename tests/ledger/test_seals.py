"""Seals: which records they hold, when they are made, and how they leave the database."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from hypothesis import given, strategies as st

from tests.ledger import chains
from tests.properties import examples
from wagtail_prefs.canonical import canonical
from wagtail_prefs.conf import conf
from wagtail_prefs.delivery.worker import Worker
from wagtail_prefs.ledger import seal1, seals, sinks
from wagtail_prefs.ledger.models import Record, Seal, SealExport
from wagtail_prefs.ledger.reading import Columns
from wagtail_prefs.ledger.seal1 import RUN
from wagtail_prefs.ledger.sealed import Held, Runs
from wagtail_prefs.ledger.verify import verify

NOW = chains.START + timedelta(days=1)
MINUTE = timedelta(minutes=1)
SOON = chains.START + 20 * MINUTE
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    def change(**changed: Any) -> None:
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **changed}

    return change


def held() -> list[tuple[uuid.UUID, int]]:
    """What the seals in the database hold, each record as often as it is held."""
    found = []
    for line in seals.lines():
        for run in seal1.read_line(line).runs:
            contact, start, _ = RUN.unpack_from(run)
            found += [(uuid.UUID(bytes=contact), start + n) for n in range((len(run) - RUN.size) // 32)]
    return sorted(found)


def all_records() -> list[tuple[uuid.UUID, int]]:
    return sorted(Record.objects.values_list("contact_ref", "seq"))


# The format. It is final.

CONTACT = uuid.UUID("019a0000-0000-7000-8000-000000000002")
BODY = (
    b'{"at":"2026-11-22T08:00:00.123456Z","contacts":[{"contact":"019a0000-0000-7000-8000-000000000002","from":3,'
    b'"hashes":["'
    + b"11" * 32
    + b'","'
    + b"22" * 32
    + b'"]},{"contact":"019a0000-0000-7000-8000-000000000002",'
    b'"from":9,"hashes":["' + b"33" * 32 + b'"]}],"format":1,"kid":"t1","made":"2026-11-22T08:00:01.123456Z",'
    b'"number":7,"records":3}'
)
HASH = "8f75c47f0b4e8347638b61475317d114a505d9944a94ff4433b9c586418169d0"
SEALED_HASH = "b2f2a438ac49591600fef0c1f7e59e3108a8f62e4d4716225296328b05a63431"


def example_body() -> bytes:
    records = [
        seal1.Sealed(CONTACT, 9, b"\x33" * 32),
        seal1.Sealed(CONTACT, 4, b"\x22" * 32),
        seal1.Sealed(CONTACT, 3, b"\x11" * 32),
    ]
    made = chains.START + SECOND
    return seal1.body(number=7, at=chains.START, made=made, kid="t1", records=records)


def test_the_bytes_are_these_for_ever() -> None:
    assert example_body() == BODY
    assert seal1.seal_hash("ab" * 32, BODY) == HASH
    columns = Columns.of(CONTACT, "brand", chains.START, "one-click", "k" * 64)
    assert columns.text == (
        "019a0000-0000-7000-8000-000000000002\nbrand\n2026-11-22T08:00:00.123456Z\none-click\n" + "k" * 64
    )
    assert seal1.sealed_hash(b"\x01" * 32, columns.text).hex() == SEALED_HASH


@pytest.mark.django_db
def test_a_seal_can_be_checked_with_nothing_but_the_documentation() -> None:
    """Written from docs/reference/ledger.md, with nothing of ours."""
    record = chains.append(CONTACT, key="k" * 64)
    seals.seal(NOW)
    line = json.loads(next(seals.lines()))
    body = json.loads(line["body"])
    prev, hashed = bytes.fromhex(line["prev"]), bytes.fromhex(line["hash"])
    assert hashlib.sha256(b"wagtail-prefs/seal/1\n" + prev + line["body"].encode()).digest() == hashed
    ring = b"a-fixed-key-for-tests-only-0123456789-abcdefghij"
    key = hmac.digest(ring, b'["wagtail-prefs",1,"seal"]', "sha256")
    assert hmac.digest(key, hashed, "sha256").hex() == line["signature"]
    time = record.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    columns = f"{record.pk}\n{record.audience}\n{time}\n{record.actor}\n{record.idempotency_key}"
    held = hashlib.sha256(b"wagtail-prefs/sealed/1\n" + bytes.fromhex(record.hash) + columns.encode())
    assert body["contacts"] == [{"contact": str(CONTACT), "from": 1, "hashes": [held.hexdigest()]}]
    assert (body["format"], body["number"], body["records"], body["kid"]) == (1, 1, 1, "t1")


@pytest.mark.parametrize(
    "broken",
    [
        {"number": 8},
        {"number": True},
        {"kid": "t2"},
        {"at": "2026-11-22T08:00:00.123457Z"},
        {"hash": "AB" * 32},
        {"prev": "a" * 63},
        {"signature": None},
        {"extra": 1},
        {"body": "[]"},
        {"body": "{"},
        {"body": BODY.decode().replace('"records":3', '"records":4')},
        {"body": BODY.decode().replace('"format":1', '"format":2')},
        {"body": BODY.decode().replace('"from":3', '"from":-3')},
        {"body": BODY.decode().replace('"from":3', '"from":"3"')},
        {"body": BODY.decode().replace("11" * 32, "11" * 31)},
        {"body": BODY.decode().replace("000000000002", "00000000002", 1)},
        {"body": BODY.decode().replace('"contacts":[', '"contacts":[null,')},
        {"body": BODY.decode().replace("2026-11-22T08:00:01.123456Z", "soon")},
        {"body": "[" * 100_000},
    ],
)
def test_a_line_that_is_no_seal_is_refused(broken: dict[str, Any]) -> None:
    line = seal1.line(
        number=7,
        at=chains.START,
        body=BODY.decode(),
        prev="0" * 64,
        hash="ab" * 32,
        kid="t1",
        signature="cd" * 32,
    )
    assert seal1.read_line(line).number == 7
    assert seal1.read_line(b"Nov 22 08:00:00 web1 seals: " + line).number == 7
    with pytest.raises(ValueError, match=r".") as caught:
        seal1.read_line(json.dumps({**json.loads(line), **broken}).encode())
    assert not isinstance(caught.value, seal1.Torn)


@pytest.mark.parametrize("torn", [b'{"at":"2026', b"\x00\x00\x00", b'{"at":"\xff"}', b"nonsense"])
def test_a_torn_line_is_told_apart(torn: bytes) -> None:
    with pytest.raises(seal1.Torn):
        seal1.read_line(torn)


# Sorting what they hold


@pytest.mark.parametrize("chunk", [1, 500, 10**6])
def test_runs_come_back_sorted_however_little_memory_there_is(chunk: int) -> None:
    rng = random.Random(7)
    given = [
        RUN.pack(bytes([rng.randrange(4)]) * 16, rng.randrange(1, 99), number)
        + rng.randbytes(32 * rng.randrange(1, 4))
        for number in range(200)
    ]
    with Runs(chunk) as runs:
        for start in range(0, len(given), 7):
            runs.add(given[start : start + 7])
        assert list(runs) == sorted(given)


def test_asking_what_is_held() -> None:
    def run(contact: int, start: int, *hashes: bytes) -> bytes:
        return RUN.pack(bytes([contact]) * 16, start, 1) + b"".join(item * 32 for item in hashes)

    held = Held(
        [run(1, 1, b"a"), run(2, 1, b"a", b"b"), run(2, 2, b"b", b"c"), run(2, 3, b"d"), run(4, 5, b"e")]
    )
    assert list(held.before(b"\2" * 16)) == [b"\1" * 16]
    # 2 is held twice and the same; 3 is held as two different records, which no record is.
    assert held.of(b"\2" * 16) == {1: b"a" * 32, 2: b"b" * 32, 3: b""}
    assert held.of(b"\3" * 16) == {}
    assert list(held.rest()) == [b"\4" * 16]


# Which records


@pytest.mark.django_db
@pytest.mark.parametrize("size", [1, 4, 100])
def test_everything_is_sealed_once_in_a_chain_of_seals(configure: Callable[..., None], size: int) -> None:
    configure(SEAL_RECORDS=size)
    rng = random.Random(3)
    chains.ledger([5, 3, 2], rng)
    seals.seal(NOW)
    assert held() == all_records()
    chains.ledger([4], rng, NOW)
    seals.seal(NOW + MINUTE)
    assert held() == all_records()
    assert seals.seal(NOW + 2 * MINUTE) == []
    assert seals.seal(NOW + 2 * MINUTE, everything=True) == []
    rows = list(Seal.objects.order_by("number"))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert [row.prev for row in rows] == [seal1.GENESIS, *(row.hash for row in rows[:-1])]
    assert all(row.records <= size for row in rows)
    assert [row.at for row in rows] == sorted(row.at for row in rows)


@pytest.mark.django_db
@pytest.mark.parametrize("together", [3, 4, 5, 9])
def test_records_of_the_same_moment(configure: Callable[..., None], together: int) -> None:
    """An import gives many records one time: a seal may end among them, and a crash may follow it."""
    configure(SEAL_RECORDS=4)
    crowd(together)
    first = seals.seal(NOW)[0]
    assert held() == all_records()
    Seal.objects.exclude(number=first.number).delete()  # the process had died here
    chains.append(CONTACT, NOW - MINUTE)
    seals.seal(NOW)
    assert held() == all_records()
    assert all(row.records <= 4 for row in Seal.objects.all())


def crowd(count: int, at: datetime = chains.START) -> None:
    """Records of as many contacts, all of one moment; bodies that nobody reads."""
    Record.objects.bulk_create(
        Record(
            contact_ref=uuid.uuid4(),
            audience="brand",
            seq=1,
            at=at,
            actor="system",
            body="{}",
            prev="0" * 64,
            hash="ab" * 32,
        )
        for _ in range(count)
    )


def work(call: Callable[[], object]) -> int:
    """How much the database did: the records that PostgreSQL fetched, the instructions that SQLite ran."""
    if connection.vendor == "sqlite":
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection.ensure_connection()
        assert connection.connection is not None
        connection.connection.set_progress_handler(step, 100)
        try:
            call()
        finally:
            connection.connection.set_progress_handler(None, 0)
        return steps
    before = fetched()
    call()
    return fetched() - before


def fetched() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = %s",
            [Record._meta.db_table],
        )
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
@pytest.mark.parametrize("resumed", [False, True])
def test_what_a_seal_costs_does_not_grow_with_those_of_its_moment(
    configure: Callable[..., None], resumed: bool
) -> None:
    configure(SEAL_RECORDS=10)

    def cost(count: int, day: int) -> int:
        at = NOW + timedelta(days=day)
        crowd(count, at)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        if resumed:
            assert seals.Sealer().round(at + HOUR, lambda: True) == 1
        return work(lambda: seals.seal_if_due(at + HOUR, look_back=False))

    small, large = cost(500, 1), cost(5000, 2)
    assert held() == all_records()
    assert small > 0
    assert large < 20 * small, (small, large)  # where each seal read all of the moment: a hundred times


@pytest.mark.django_db
def test_a_seal_of_a_moment_takes_few_statements(
    configure: Callable[..., None], django_assert_max_num_queries: Any
) -> None:
    configure(SEAL_RECORDS=50)
    crowd(5000)
    with django_assert_max_num_queries(4 * 100 + 10):  # the records, the seal, and what stands around that
        assert [made.records for made in seals.seal_if_due(NOW, look_back=False)] == [50] * 100
    assert held() == all_records()


@pytest.mark.django_db
@pytest.mark.parametrize("size", [1, 3, 100])
def test_whoever_goes_on_in_a_moment_seals_nothing_twice(configure: Callable[..., None], size: int) -> None:
    """The worker was stopped in the midst; then came a transaction that took long, a clock that is behind, others of
    the very same time; and somebody thought about the settings."""
    configure(SEAL_RECORDS=3)
    chains.append(CONTACT, chains.START - MINUTE)
    crowd(8)
    sealer, count = seals.Sealer(), 0

    def stopping() -> bool:
        nonlocal count
        count += 1
        return count == 3

    assert sealer.round(SOON, stopping) == 3
    assert held() != all_records()
    configure(SEAL_RECORDS=size)
    crowd(2)
    crowd(2, chains.START - SECOND)
    crowd(2, chains.START - timedelta(microseconds=1))
    crowd(2, chains.START + timedelta(microseconds=1))
    chains.append(CONTACT, chains.START + MINUTE)
    seals.Sealer().round(SOON)
    assert held() == all_records()
    crowd(2)
    crowd(2, chains.START + timedelta(microseconds=1))
    seals.Sealer().round(SOON)
    assert held() == all_records()
    ends = list(Seal.objects.order_by("number").values_list("at", flat=True))
    assert ends == sorted(ends)
    assert seals.seal(SOON, everything=True) == []


@pytest.mark.django_db
@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("late", [False, True])
def test_workers_in_one_moment_seal_nothing_twice(
    configure: Callable[..., None], after: int, late: bool
) -> None:
    """One comes in the midst of the other's work, does what it finds, and the first goes on."""
    configure(SEAL_RECORDS=2)
    if late:
        chains.append(CONTACT, chains.START + MINUTE)
        seals.seal(chains.START + MINUTE)
    crowd(9)
    crowd(1, chains.START + 2 * MINUTE)
    count = 0

    def other_comes() -> bool:
        nonlocal count
        count += 1
        if count == after:
            seals.Sealer().round(SOON)
        return False

    seals.Sealer().round(SOON, other_comes)
    seals.Sealer().round(SOON)
    assert held() == all_records()


@pytest.mark.django_db
def test_of_two_who_seal_the_same_one_leaves_it_to_the_other(configure: Callable[..., None]) -> None:
    configure(SEAL_RECORDS=2)
    crowd(9)

    def other_comes() -> bool:
        seals.Sealer().round(SOON, lambda: True)
        return False

    assert seals.Sealer().round(SOON, other_comes) == 1
    assert Seal.objects.count() == 2
    seals.Sealer().round(SOON)
    assert held() == all_records()


@pytest.mark.django_db
def test_what_is_late_is_sealed_though_others_seal_what_is_new(configure: Callable[..., None]) -> None:
    configure(SEAL_RECORDS=2)
    chains.append(CONTACT, chains.START + MINUTE)
    seals.seal(chains.START + MINUTE)
    crowd(7)
    made = []

    def other_comes() -> bool:
        now = SOON + (1 + len(made)) * MINUTE
        crowd(2, now - 10 * SECOND)
        made.extend(seals.seal_if_due(now, look_back=False))
        return False

    seals.Sealer().round(SOON, other_comes)
    assert len(made) > 3
    assert held() == all_records()


@pytest.mark.django_db
def test_a_look_at_everything_beside_a_worker_seals_nothing_twice(configure: Callable[..., None]) -> None:
    """Each finds what the other does not, and some that both do."""
    configure(SEAL_RECORDS=3)
    chains.append(uuid.UUID(int=99), chains.START)
    seals.seal(chains.START)
    for number in range(1, 10):
        chains.append(uuid.UUID(int=number), chains.START - (timedelta(days=1) if number % 2 else MINUTE))
    everything = seals._all(SOON)
    assert next(everything).records == 3
    assert [made.records for made in seals.seal_if_due(SOON)] == [3]
    assert [made.records for made in everything] == [1, 2]
    assert held() == all_records()


OFFSETS = [timedelta(microseconds=n) for n in (-1, 0, 0, 0, 1, 2)] + [SECOND, 9 * SECOND]
STEP = st.one_of(
    st.tuples(st.just("save"), st.integers(1, 7), st.sampled_from(OFFSETS)),
    st.tuples(st.just("seal"), st.integers(0, 2), st.integers(1, 4)),
    st.tuples(st.just("stop"), st.integers(0, 2), st.none()),
    st.tuples(st.just("size"), st.integers(1, 5), st.none()),
    st.tuples(st.just("wait"), st.integers(1, 10), st.none()),
)


@pytest.mark.property
@pytest.mark.django_db
@examples(60)
@given(steps=st.lists(STEP, max_size=25))
def test_whatever_comes_and_whoever_stops_each_record_is_sealed_once(
    steps: list[tuple[str, int, Any]],
) -> None:
    """Three workers that take turns and are stopped at any point; records of a few moments, in any order."""
    Record.objects.all().delete()
    Seal.objects.all().delete()
    size = 2
    workers: dict[int, Iterator[seals.Made]] = {}
    now = chains.START + MINUTE
    for kind, number, value in steps:
        match kind:
            case "save":
                crowd(number, chains.START + value)
            case "seal":
                worker = workers.setdefault(number, seals._due(now, True))
                with sealing(size):
                    if len(list(islice(worker, value))) < value:
                        del workers[number]
                found = held()
                assert len(found) == len(set(found)), "sealed twice"
            case "stop":
                workers.pop(number, None)
            case "size":
                size = number
            case "wait":
                now += number * SECOND
    with sealing(size):
        for worker in workers.values():
            list(worker)
        seals.seal_if_due(now + MINUTE)
    assert held() == all_records()
    ends = list(Seal.objects.order_by("number").values_list("at", flat=True))
    assert ends == sorted(ends)


def sealing(size: int) -> override_settings:
    return override_settings(
        WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "SEAL_RECORDS": size, "SEAL_MINUTES": 0}
    )


@pytest.mark.django_db
def test_a_seal_of_an_older_version_may_end_within_a_moment(configure: Callable[..., None]) -> None:
    """They filled every seal, and a process may have ended after any."""
    configure(SEAL_RECORDS=4)
    later = chains.START + SECOND
    contacts = [uuid.UUID(int=number) for number in range(1, 8)]
    records = [chains.append(contact, chains.START) for contact in contacts[:3]]
    records += [chains.append(contact, later) for contact in contacts[3:]]
    some = [seals.sealed(record) for record in records[:4]]
    made = seals._make(seals._newest(), later - seals.INSTANT, SOON, some)
    assert made and made.records == 4
    assert [made.records for made in seals.seal_if_due(SOON)] == [3]
    chains.append(CONTACT, chains.START + MINUTE)
    seals.seal_if_due(SOON + MINUTE)
    assert held() == all_records()
    report = verify(seals.lines())
    assert (report.ok, report.unsealed, report.seals) == (True, 0, 3)


@pytest.mark.django_db
def test_a_look_back_that_ends_in_a_moment_knows_all_of_its_seals(configure: Callable[..., None]) -> None:
    configure(SEAL_RECORDS=2)
    crowd(3)
    seals.seal(chains.START)
    now = chains.START + seals.LOOK_BACK
    chains.append(CONTACT, now)
    assert [made.at for made in seals.seal(now)] == [now]
    assert seals.seal(now) == []
    assert held() == all_records()


@pytest.mark.django_db
def test_a_moment_of_which_nothing_is_left_is_not_read_for_ever(configure: Callable[..., None]) -> None:
    """Retention removed what was still to be sealed: a seal of nothing speaks for the time."""
    configure(SEAL_RECORDS=2)
    crowd(3)
    assert seals.Sealer().round(SOON, lambda: True) == 1
    Record.objects.exclude(contact_ref__in=[contact for contact, _ in held()]).delete()
    assert [(made.records, made.at) for made in seals.seal_if_due(SOON)] == [(0, chains.START)]
    assert seals.seal_if_due(SOON) == []
    assert held() == all_records()


@pytest.mark.django_db
def test_everything_leaves_what_is_of_tomorrow(configure: Callable[..., None]) -> None:
    """A server whose clock is ahead: its time will come, and with it its seal."""
    configure(SEAL_RECORDS=2)
    crowd(3)
    crowd(3, NOW + HOUR)
    seals.seal(NOW, everything=True)
    assert len(held()) == 3
    seals.seal(NOW + 2 * HOUR, everything=True)
    assert held() == all_records()


@pytest.mark.django_db(transaction=True)
def test_somebody_saves_while_much_is_sealed(configure: Callable[..., None]) -> None:
    """SQLite lets nobody write who still reads what has changed since."""
    configure(SEAL_RECORDS=1000)
    chains.append(CONTACT, chains.START + MINUTE)
    seals.seal(chains.START + MINUTE)
    crowd(4500)
    saved: list[uuid.UUID] = []

    def save() -> None:
        saved.append(uuid.uuid4())
        try:
            chains.append(saved[-1], chains.START + 2 * MINUTE)
        finally:
            connection.close()

    def stopping() -> bool:
        thread = threading.Thread(target=save)
        thread.start()
        thread.join(60)
        return False

    seals.Sealer().round(SOON, stopping)
    assert len(saved) >= 5
    seals.Sealer().round(SOON)
    assert held() == all_records()


@pytest.mark.django_db
def test_what_was_saved_a_moment_ago_is_left_for_the_next_time(configure: Callable[..., None]) -> None:
    configure(SEAL_RECORDS=1)
    chains.append(CONTACT, NOW - 10 * SECOND)
    fresh = uuid.uuid4()
    chains.append(fresh, NOW - SECOND)
    seals.seal_if_due(NOW)
    assert held() == [(CONTACT, 1)]
    seals.seal_if_due(NOW + 10 * SECOND)
    assert held() == all_records()


@pytest.mark.django_db
def test_what_is_committed_late_is_found(configure: Callable[..., None]) -> None:
    """A transaction that took long: its record has a time before the newest seal's."""
    configure(SEAL_RECORDS=1)
    chains.append(CONTACT, NOW - MINUTE)
    seals.seal_if_due(NOW)
    late = uuid.uuid4()
    chains.append(late, NOW - timedelta(minutes=100))
    assert seals.seal_if_due(NOW + MINUTE, look_back=False) == []
    assert len(seals.seal_if_due(NOW + MINUTE)) == 1
    assert held() == all_records()
    assert seals.seal_if_due(NOW + MINUTE) == []
    # A day late, only a look at everything finds it.
    chains.append(late, NOW - timedelta(days=1))
    assert seals.seal_if_due(NOW + MINUTE) == []
    assert len(seals.seal(NOW + MINUTE, everything=True)) == 1
    assert held() == all_records()


@pytest.mark.django_db
def test_a_late_one_is_found_before_the_seals_move_on(configure: Callable[..., None]) -> None:
    """`--once` from cron, every six hours: the look back is from the seal before, not from now."""
    configure(SEAL_RECORDS=1)
    chains.append(CONTACT, NOW - MINUTE)
    seals.seal_if_due(NOW)
    chains.append(uuid.uuid4(), NOW - 30 * MINUTE)
    chains.append(CONTACT, NOW + timedelta(hours=5))
    seals.seal_if_due(NOW + timedelta(hours=6))
    assert held() == all_records()


@pytest.mark.django_db
def test_clocks_that_are_wrong_lose_nothing(configure: Callable[..., None]) -> None:
    configure(SEAL_RECORDS=1)
    ahead = NOW + timedelta(hours=3)
    chains.append(CONTACT, NOW - MINUTE)
    seals.seal_if_due(ahead)  # by a worker whose clock is ahead
    chains.append(uuid.uuid4(), NOW + MINUTE)
    seals.seal_if_due(NOW + 2 * MINUTE)
    assert held() == all_records()
    tomorrow = uuid.uuid4()
    chains.append(tomorrow, NOW + timedelta(days=1))  # by a server whose clock is
    chains.append(CONTACT, ahead + MINUTE)
    seals.seal_if_due(ahead + 2 * MINUTE)
    assert [seq for contact, seq in held() if contact == tomorrow] == []
    assert (CONTACT, 2) in held()
    seals.seal_if_due(NOW + timedelta(days=1, minutes=1))
    assert held() == all_records()


@pytest.mark.django_db
def test_a_record_whose_columns_are_wrong_is_sealed_as_wrong() -> None:
    """Whoever changes a column before the seal is made gains nothing: see the verifier's tests."""
    record = chains.append(CONTACT)
    Record.objects.filter(pk=record.pk).update(audience="another")
    seals.seal(NOW)
    (line,) = seals.lines()
    (run,) = seal1.read_line(line).runs
    assert run[RUN.size :] == bytes(32)


@pytest.mark.django_db
def test_a_seal_that_somebody_broke_stops_no_new_one(caplog: pytest.LogCaptureFixture) -> None:
    chains.append(CONTACT, NOW - MINUTE)
    seals.seal(NOW)
    Seal.objects.update(body="{}")
    chains.append(CONTACT, NOW + MINUTE)
    seals.seal(NOW + 2 * MINUTE)
    assert "run prefs_verify_ledger" in caplog.text
    Seal.objects.filter(number=1).delete()
    assert held() == all_records()  # what the broken one held is held again


# When


@pytest.mark.django_db
def test_a_seal_is_made_after_so_many_records_or_so_many_minutes(configure: Callable[..., None]) -> None:
    configure(SEAL_RECORDS=3, SEAL_MINUTES=10)
    assert seals.seal_if_due(NOW) == []  # nothing yet
    for number in range(2):
        chains.append(CONTACT, NOW + number * SECOND)
    assert seals.seal_if_due(NOW + MINUTE) == []
    assert seals.seal_if_due(NOW + 10 * MINUTE - SECOND) == []
    assert [row.records for row in seals.seal_if_due(NOW + 10 * MINUTE)] == [2]
    for number in range(7):
        chains.append(CONTACT, NOW + 11 * MINUTE + number * SECOND)
    assert [row.records for row in seals.seal_if_due(NOW + 12 * MINUTE)] == [3, 3, 1]
    assert held() == all_records()


@pytest.mark.django_db
def test_nothing_new_costs_two_small_statements(django_assert_num_queries: Any) -> None:
    chains.append(CONTACT)
    seals.seal(NOW)
    with django_assert_num_queries(2) as asked:
        assert seals.seal_if_due(NOW, look_back=False) == []
    assert all("LIMIT 1" in query["sql"] for query in asked.captured_queries)


@pytest.mark.django_db
def test_a_worker_looks_back_every_ten_minutes(django_assert_num_queries: Any) -> None:
    chains.append(CONTACT)
    sealer = seals.Sealer()
    sealer.round(NOW)
    with django_assert_num_queries(2):
        sealer.round(NOW + 9 * MINUTE)
    chains.append(uuid.uuid4(), NOW - MINUTE)
    assert sealer.round(NOW + 9 * MINUTE) == 0
    assert sealer.round(NOW + 11 * MINUTE) == 1


@pytest.mark.django_db
def test_a_worker_that_is_stopped_leaves_the_rest_for_the_next(moody: type[Moody]) -> None:
    chains.ledger([5], random.Random(1))
    assert seals.Sealer().round(NOW, lambda: True) == 1
    assert not moody.received
    assert seals.Sealer().round(NOW, lambda: False) == 4
    assert held() == all_records()
    SealExport.objects.all().delete()
    assert seals.export(NOW, lambda: True) == 1


@pytest.mark.django_db
def test_a_key_that_is_missing_stops_no_worker(
    configure: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    chains.append(CONTACT)
    configure(SIGNING_KEYS=[])
    assert seals.Sealer().round(NOW) == 0
    assert "no seal was made: ImproperlyConfigured" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_make_one_chain(configure: Callable[..., None]) -> None:
    configure(SEAL_RECORDS=3)
    rng = random.Random(5)
    chains.ledger([6, 6, 5], rng)
    barrier = threading.Barrier(4)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            barrier.wait(20)
            for _ in range(4):
                seals.seal(NOW)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failed
    rows = list(Seal.objects.order_by("number"))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert [row.prev for row in rows] == [seal1.GENESIS, *(row.hash for row in rows[:-1])]
    assert held() == all_records()


@pytest.mark.django_db
def test_the_worker_seals_once(configure: Callable[..., None]) -> None:
    configure(SEAL_RECORDS=1)
    chains.append(CONTACT, timezone.now() - MINUTE)
    Worker(["database"], report=lambda alias, tally: None).once()
    assert held() == all_records()


@pytest.mark.django_db(transaction=True)
def test_the_worker_seals_beside_its_deliveries(configure: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "seals.jsonl"
    configure(SEAL_RECORDS=1, SEALS=to_file(path))
    chains.append(CONTACT, timezone.now() - MINUTE)
    worker = Worker(["database"], report=lambda alias, tally: None)
    thread = threading.Thread(target=worker.loop, args=(0.01,))
    thread.start()
    try:
        for _ in range(2000):
            if SealExport.objects.exists():
                break
            threading.Event().wait(0.01)
    finally:
        worker.stop()
        thread.join(60)
    assert not thread.is_alive()
    assert path.read_bytes().splitlines() == list(seals.lines())
    assert held() == all_records()


# Out of the database


def to_file(path: Path) -> dict[str, Any]:
    return {"SINK": "wagtail_prefs.ledger.sinks.FileSink", "OPTIONS": {"path": str(path)}}


class Moody:
    """A sink that fails when told to."""

    failing: ClassVar[bool] = False
    received: ClassVar[list[tuple[bytes, int]]] = []

    def __init__(self, secret: str = "") -> None:
        if secret == "no":
            raise RuntimeError(f"the secret is {secret}")

    def send(self, line: bytes, number: int) -> None:
        if Moody.failing:
            raise OSError("no way to /secret")
        Moody.received.append((line, number))


MOODY = {"SINK": f"{__name__}.Moody"}


@pytest.fixture
def moody(configure: Callable[..., None]) -> type[Moody]:
    configure(SEALS=MOODY, SEAL_RECORDS=1)
    Moody.failing = False
    Moody.received = []
    return Moody


@pytest.mark.django_db
def test_each_seal_leaves_once_and_in_order(moody: type[Moody]) -> None:
    chains.ledger([3], random.Random(1))
    seals.seal(NOW)
    assert seals.export(NOW) == 3
    assert seals.export(NOW) == 0
    assert moody.received == [(line, number) for number, line in seals.lines_by_number()]
    assert list(SealExport.objects.order_by("seal").values_list("seal", "at")) == [
        (n, NOW) for n in (1, 2, 3)
    ]


@pytest.mark.django_db
def test_an_outage_stops_nothing_and_is_made_up_for(
    moody: type[Moody], caplog: pytest.LogCaptureFixture
) -> None:
    chains.ledger([2], random.Random(1))
    moody.failing = True
    assert seals.Sealer().round(NOW) == 2
    assert Seal.objects.count() == 2
    assert not SealExport.objects.exists()
    assert caplog.text.count("not handed out") == 1
    assert "secret" not in caplog.text
    moody.failing = False
    chains.append(CONTACT, NOW)
    seals.Sealer().round(NOW + MINUTE)
    assert [number for _, number in moody.received] == [1, 2, 3]


@pytest.mark.django_db
def test_a_crash_after_sending_sends_again(moody: type[Moody]) -> None:
    chains.ledger([2], random.Random(1))
    seals.seal(NOW)
    seals.export(NOW)
    SealExport.objects.filter(seal=2).delete()
    seals.export(NOW)
    assert [number for _, number in moody.received] == [1, 2, 2]


@pytest.mark.django_db
def test_without_a_sink_nothing_is_noted(configure: Callable[..., None]) -> None:
    configure(SEALS={})
    chains.append(CONTACT)
    seals.seal(NOW)
    assert seals.export(NOW) == 0
    assert not SealExport.objects.exists()


def test_the_file_is_appended_to_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "seals.jsonl"
    sink = sinks.FileSink(path)
    sink.send(b'{"number":1}', 1)
    assert path.stat().st_mode & 0o777 == 0o600
    sinks.FileSink(str(path)).send(b'{"number":2}', 2)
    assert path.read_bytes() == b'{"number":1}\n{"number":2}\n'
    with path.open("ab") as file:
        file.write(b'{"numb')
    sink.send(b'{"number":3}', 3)
    assert path.read_bytes().splitlines() == [b'{"number":1}', b'{"number":2}', b'{"numb', b'{"number":3}']


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sinks.FileSink(tmp_path / "nowhere" / "seals.jsonl").send(b"{}", 1)
    with pytest.raises(IsADirectoryError):
        sinks.FileSink(tmp_path).send(b"{}", 1)
    with pytest.raises(ValueError, match="absolute"):
        sinks.FileSink("seals.jsonl")


def test_many_processes_may_append(tmp_path: Path) -> None:
    path = tmp_path / "seals.jsonl"
    line = canonical({"text": "x" * 100_000})

    def work() -> None:
        for number in range(20):
            sinks.FileSink(path).send(line, number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert path.read_bytes() == (line + b"\n") * 80


def test_the_log_gets_one_message_for_each_seal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wagtail_prefs.seals")
    sinks.LogSink().send(b'{"at":"100 %"}', 1)
    assert caplog.messages == ['{"at":"100 %"}']
    caplog.set_level(logging.WARNING, "wagtail_prefs.seals")
    with pytest.raises(sinks.LogIsOff):
        sinks.LogSink().send(b"{}", 2)


# Settings


def found(*, deploy: bool = False) -> list[str]:
    return [
        str(message.id)
        for message in run_checks(include_deployment_checks=deploy)
        if message.id in {"wagtail_prefs.E021", "wagtail_prefs.W021"}
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"SINK": "nowhere.Sink"},
        {"SINK": "wagtail_prefs.ledger.sinks.FileSink"},
        {"SINK": "wagtail_prefs.ledger.sinks.FileSink", "OPTIONS": {"path": "relative"}},
        {"SINK": "wagtail_prefs.ledger.sinks.LogSink", "OPTIONS": {"path": "/x"}},
        {"SINK": "wagtail_prefs.ledger.sinks.LogSink", "OPTIONS": None},
        {"SINK": "builtins.dict"},
        {"SINK": f"{__name__}.Moody", "OPTIONS": {"secret": "no"}},
        {"OPTIONS": {}},
        {"SINK": "wagtail_prefs.ledger.sinks.LogSink", "PATH": "/x"},
        "wagtail_prefs.ledger.sinks.LogSink",
        None,
    ],
)
def test_a_sink_that_cannot_be_used_is_an_error(configure: Callable[..., None], broken: Any) -> None:
    configure(SEALS=broken)
    assert found() == ["wagtail_prefs.E021"]
    text = str([message for message in run_checks() if message.id == "wagtail_prefs.E021"])
    assert "the secret is" not in text


@pytest.mark.parametrize("broken", [{"SEAL_RECORDS": 0}, {"SEAL_RECORDS": "x"}, {"SEAL_MINUTES": -1}])
def test_seals_that_would_never_be_made_are_an_error(configure: Callable[..., None], broken: Any) -> None:
    configure(**broken)
    assert found() == ["wagtail_prefs.E021"]


@pytest.mark.django_db  # other checks of a deployment read it
def test_seals_that_stay_in_the_database_are_a_warning_in_a_deployment(
    configure: Callable[..., None],
) -> None:
    configure(SEALS={})
    assert found() == []
    assert found(deploy=True) == ["wagtail_prefs.W021"]
    configure(SEALS={"SINK": "wagtail_prefs.ledger.sinks.LogSink"})
    assert found(deploy=True) == []


def test_the_defaults_are_those_that_were_promised() -> None:
    """security.md AU-02: every 1,000 records or 10 minutes."""
    assert (conf.seal_records, conf.seal_age) == (1000, 10 * MINUTE)
