"""Seals: which records they hold, when they are made, and how they leave the database."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import random
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.utils import timezone

from tests.ledger import chains
from wagtail_prefs.canonical import canonical
from wagtail_prefs.conf import conf
from wagtail_prefs.delivery.worker import Worker
from wagtail_prefs.ledger import seal1, seals, sinks
from wagtail_prefs.ledger.models import Record, Seal, SealExport
from wagtail_prefs.ledger.reading import Columns
from wagtail_prefs.ledger.seal1 import RUN
from wagtail_prefs.ledger.sealed import Held, Runs

NOW = chains.START + timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


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
@pytest.mark.parametrize("together", [3, 9])
def test_records_of_the_same_moment(configure: Callable[..., None], together: int) -> None:
    """An import gives many records one time: a seal may end among them, and a crash may follow it."""
    configure(SEAL_RECORDS=4)
    for number in range(together):
        chains.append(uuid.UUID(int=number + 1))
    first = seals.seal(NOW)[0]
    assert held() == all_records()
    Seal.objects.exclude(number=first.number).delete()  # the process had died here
    seals.seal(NOW)
    assert set(held()) == set(all_records())


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
    assert not failed
    rows = list(Seal.objects.order_by("number"))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert [row.prev for row in rows] == [seal1.GENESIS, *(row.hash for row in rows[:-1])]
    assert set(held()) == set(all_records())


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
        thread.join(30)
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
