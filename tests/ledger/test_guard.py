"""The database itself refuses to change the ledger, and what a migration takes down is put up again."""

from __future__ import annotations

import itertools
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command, execute_from_command_line
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections, models, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests import factories
from wagtail_prefs.ledger import guard, services as ledger
from wagtail_prefs.ledger.checks import check_guard
from wagtail_prefs.ledger.format1 import GENESIS, Proof
from wagtail_prefs.ledger.models import Record, Seal, SideValue
from wagtail_prefs.values import Actor, ActorType, Effect, Source

REFUSED = "wagtail_prefs: ledger records are never changed or deleted"
NOT_EDITED = "wagtail_prefs: the personal values of ledger records are never edited"
SQLITE = connection.vendor == "sqlite"
on_sqlite = pytest.mark.skipif(not SQLITE, reason="how SQLite does it")
NAMES = (
    {
        "prefs_guard_record_update", "prefs_guard_record_delete", "prefs_guard_record_insert",
        "prefs_guard_seal_update", "prefs_guard_seal_delete", "prefs_guard_seal_insert",
        "prefs_guard_sidevalue_update", "prefs_guard_sidevalue_insert",
    }
    if SQLITE
    else {
        "prefs_guard_record_update_delete", "prefs_guard_record_truncate",
        "prefs_guard_seal_update_delete", "prefs_guard_seal_truncate",
        "prefs_guard_sidevalue_update",
    }
)  # fmt: skip


def switched(on: bool) -> override_settings:
    from django.conf import settings

    return override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "LEDGER_GUARD": on})


@pytest.fixture
def ledger_rows(db: None) -> Record:
    """A record with a personal value, and a seal; the guard is down."""
    record = ledger.append(
        contact=uuid.uuid4(),
        audience="brand",
        seq=1,
        prev=GENESIS,
        at=datetime(2026, 11, 22, 8, tzinfo=UTC),
        actor=Actor(ActorType.SUBJECT_LINK),
        source=Source(method="page"),
        base_version=0,
        changes=[],
        effects=[Effect("attribute:phone", None, "+4930123", "set")],
        merged=[],
        proof=Proof(),
        idempotency_key="k" * 64,
        request=None,
    )
    make_seal(1).save(force_insert=True)
    return record


def make_seal(number: int) -> Seal:
    return Seal(
        number=number,
        at=datetime(2026, 11, 22, 9, tzinfo=UTC),
        records=1,
        body="{}",
        prev=GENESIS,
        hash="a" * 64,
        kid="t1",
        signature="b" * 64,
    )


@pytest.fixture
def guarded(ledger_rows: Record) -> Record:
    """The same with the guard up, in the transaction of the test, which takes it down again."""
    guard.install(DEFAULT_DB_ALIAS)
    return ledger_rows


@pytest.fixture
def lasting(transactional_db: None) -> Iterator[None]:
    """The guard switched on, and up, outside a transaction; down again before the tables are emptied."""
    with switched(True):
        guard.install(DEFAULT_DB_ALIAS)
        yield
    guard.remove(DEFAULT_DB_ALIAS)


def held() -> list[Any]:
    """All that the guarded tables hold, byte for byte."""
    return [
        [tuple(bytes(it) if isinstance(it, memoryview) else it for it in row) for row in rows]
        for rows in (
            Record.objects.order_by("id").values_list(),
            Seal.objects.order_by("number").values_list(),
            SideValue.objects.order_by("id").values_list(),
        )
    ]


def sql(statement: str, *values: Any) -> None:
    """Run a statement on the tables r, s, v: record, seal, side value."""
    quote = connection.ops.quote_name
    names = {"r": Record, "s": Seal, "v": SideValue}
    tables = {short: quote(model._meta.db_table) for short, model in names.items()}
    with connection.cursor() as cursor:
        cursor.execute(statement.format(**tables), values or None)


def refused(attempt: Callable[[], Any], words: str = REFUSED) -> None:
    """The attempt is refused in our words and leaves every byte as it was."""
    before = held()
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        attempt()
    assert held() == before


# What is refused


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {r} SET body = '{{}}'",
        "UPDATE {r} SET audience = audience",
        "UPDATE {r} SET seq = seq + 1 WHERE seq = 1",
        "DELETE FROM {r}",
        "DELETE FROM {r} WHERE seq = 1",
        "UPDATE {s} SET signature = hash",
        "DELETE FROM {s}",
    ],
)
def test_records_and_seals_are_never_changed_or_deleted(guarded: Record, statement: str) -> None:
    refused(lambda: sql(statement))


def test_a_personal_value_is_erased_and_never_edited(guarded: Record) -> None:
    refused(lambda: sql("UPDATE {v} SET value = 'null'"), NOT_EDITED)
    refused(lambda: SideValue.objects.update(value="null"), NOT_EDITED)
    SideValue.objects.filter(record=guarded.pk).delete()
    assert not SideValue.objects.exists()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda record: Record.objects.update(audience="x"),
        lambda record: Record.objects.filter(pk=record.pk).delete(),
        lambda record: record.save(force_update=True),
        lambda record: record.delete(),
        lambda record: Record.objects.bulk_update([record], ["body"]),
        lambda record: Record.objects.all()._raw_delete("default"),
        lambda record: Record.objects.bulk_create(
            [Record.objects.get()], update_conflicts=True, unique_fields=["id"], update_fields=["body"]
        ),
        lambda record: Seal.objects.update_or_create(number=1, defaults={"records": 2}),
        lambda record: Seal.objects.all().delete(),
        lambda record: Seal.objects.get().save(),
    ],
)
def test_nor_by_way_of_the_orm(guarded: Record, attempt: Callable[[Record], Any]) -> None:
    refused(lambda: attempt(guarded))


COPY = "id, contact_ref, audience, seq, at, actor, idempotency_key, body, prev, hash"


@pytest.mark.parametrize("key", ["id", "contact_ref, seq", "contact_ref, idempotency_key"])
def test_nor_by_inserting_over_a_record(guarded: Record, key: str) -> None:
    """An upsert on each key that a record has; what is not that key is new."""
    given = {
        "id": "id" if key == "id" else f"'{uuid.uuid4().hex}'" + ("" if SQLITE else "::uuid"),
        "contact_ref": "contact_ref",
        "seq": "seq" if "seq" in key else "seq + 1",
        "idempotency_key": "idempotency_key" if "idem" in key else "NULL",
        "body": "'{{}}'",
    }
    columns = ", ".join(given.get(name, name) for name in COPY.split(", "))
    insert = f"INTO {{r}} ({COPY}) SELECT {columns} FROM {{r}} WHERE true"
    refused(lambda: sql(f"INSERT {insert} ON CONFLICT ({key}) DO UPDATE SET body = excluded.body"))
    if SQLITE:
        refused(lambda: sql(f"INSERT OR REPLACE {insert}"))
        refused(lambda: sql(f"REPLACE {insert}"))
        refused(lambda: sql(f"INSERT OR IGNORE {insert}"))


@on_sqlite
def test_nor_by_the_row_number_that_sqlite_keeps_beside_the_key(guarded: Record) -> None:
    """With a key of its own and the hidden `rowid` of another row, REPLACE would put it in that row's place."""
    columns = COPY.replace("id, contact_ref", f"'{uuid.uuid4().hex}', '{uuid.uuid4().hex}'", 1)
    refused(lambda: sql(f"REPLACE INTO {{r}} (rowid, {COPY}) SELECT rowid, {columns} FROM {{r}}"))
    fields = ", ".join(field.column for field in Seal._meta.concrete_fields)
    moved = fields.replace("number", "number + 1", 1)
    refused(lambda: sql(f"REPLACE INTO {{s}} (rowid, {fields}) SELECT rowid, {moved} FROM {{s}}"))
    refused(lambda: sql(f"REPLACE INTO {{s}} ({fields}) SELECT {fields} FROM {{s}}"))
    for same in ("id, record, name, salt, 'null'", "id + 1, record, name, salt, 'null'"):
        refused(
            lambda same=same: sql(f"REPLACE INTO {{v}} (id, record, name, salt, value) SELECT {same} FROM {{v}}"),
            NOT_EDITED,
        )


@on_sqlite
@pytest.mark.parametrize("pragma", ["recursive_triggers = OFF", "ignore_check_constraints = ON", "legacy_alter_table = ON"])
def test_nor_with_other_pragmas(guarded: Record, pragma: str) -> None:
    name = pragma.split()[0]
    with connection.cursor() as cursor:
        before = cursor.execute(f"PRAGMA {name}").fetchone()[0]
        cursor.execute(f"PRAGMA {pragma}")
        try:
            refused(lambda: sql(f"REPLACE INTO {{r}} ({COPY}) SELECT {COPY} FROM {{r}}"))
            refused(lambda: sql("UPDATE OR IGNORE {r} SET body = ''"))
            refused(lambda: sql("UPDATE OR REPLACE {r} SET body = ''"))
            refused(lambda: sql("DELETE FROM {r}"))
        finally:
            cursor.execute(f"PRAGMA {name} = {before}")


@pytest.mark.postgres
def test_nor_by_truncating_or_merging(guarded: Record) -> None:
    refused(lambda: sql("TRUNCATE {r}"))
    refused(lambda: sql("TRUNCATE {s} CASCADE"))
    refused(lambda: sql("TRUNCATE {v}, {r}"))
    refused(lambda: sql("MERGE INTO {r} t USING {r} u ON t.id = u.id WHEN MATCHED THEN DELETE"))
    refused(lambda: sql("WITH gone AS (DELETE FROM {r} RETURNING *) SELECT count(*) FROM gone"))


def test_flush_is_refused_as_well(lasting: None) -> None:
    make_seal(1).save(force_insert=True)
    with pytest.raises(Exception, match="flush") as caught:
        call_command("flush", interactive=False, verbosity=0)
    assert REFUSED in str(caught.value.__cause__)
    assert Seal.objects.count() == 1
