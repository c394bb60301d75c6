"""The database itself refuses to change the ledger, and what a migration takes down is put up again."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command, execute_from_command_line
from django.core.management.base import SystemCheckError
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections, models, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.statements import said
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.ledger import guard, services as ledger
from wagtail_prefs.ledger.checks import check_guard
from wagtail_prefs.ledger.format1 import GENESIS, Proof
from wagtail_prefs.ledger.models import Record, Seal, SideValue, Tombstone
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Effect, Source
from wagtail_prefs.writes import carry_out

REFUSED = "wagtail_prefs: ledger records are never changed or deleted"
NOT_EDITED = "wagtail_prefs: the personal values of ledger records are never edited"
SQLITE = connection.vendor == "sqlite"
NAMES = (
    {
        "prefs_guard_record_update", "prefs_guard_record_delete", "prefs_guard_record_insert",
        "prefs_guard_seal_update", "prefs_guard_seal_delete", "prefs_guard_seal_insert",
        "prefs_guard_sidevalue_update", "prefs_guard_sidevalue_insert",
        "prefs_guard_tombstone_update", "prefs_guard_tombstone_delete", "prefs_guard_tombstone_insert",
    }
    if SQLITE
    else {
        "prefs_guard_record_update_delete", "prefs_guard_record_truncate",
        "prefs_guard_seal_update_delete", "prefs_guard_seal_truncate",
        "prefs_guard_sidevalue_update",
        "prefs_guard_tombstone_update_delete", "prefs_guard_tombstone_truncate",
    }
)  # fmt: skip


def switched(on: bool) -> override_settings:
    from django.conf import settings

    return override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "LEDGER_GUARD": on})


@pytest.fixture
def ledger_rows(db: None) -> Record:
    """A record with a personal value, and a seal; the guard is down."""
    record = ledger.next_record(
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
    carry_out(record.writes)
    make_seal(1).save(force_insert=True)
    return Record.objects.get(pk=record.id)


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
            Tombstone.objects.order_by("number").values_list(),
        )
    ]


def sql(statement: str, *values: Any) -> None:
    """Run a statement on the tables r, s, v, t: record, seal, side value, tombstone."""
    quote = connection.ops.quote_name
    names = {"r": Record, "s": Seal, "v": SideValue, "t": Tombstone}
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


def make_stone(contact: uuid.UUID, records: int, number: int = 1) -> Tombstone:
    return Tombstone(
        number=number,
        contact_ref=contact,
        at=datetime(2026, 11, 22, 9, tzinfo=UTC),
        records=records,
        body="{}",
        prev=GENESIS,
        hash="a" * 64,
        kid="t1",
        signature="b" * 64,
    )


@pytest.mark.parametrize(
    "statement", ["UPDATE {t} SET records = 9", "DELETE FROM {t}", "UPDATE {r} SET prev = hash"]
)
def test_a_stone_stays_and_lets_nobody_change_what_it_stands_for(guarded: Record, statement: str) -> None:
    make_stone(guarded.contact_ref, 1).save(force_insert=True)
    refused(lambda: sql(statement))


def test_only_the_records_that_a_stone_stands_for_may_go(guarded: Record) -> None:
    make_stone(uuid.uuid4(), 1).save(force_insert=True)
    refused(lambda: sql("DELETE FROM {r}"))
    make_stone(guarded.contact_ref, 0, number=2).save(force_insert=True)
    refused(lambda: sql("DELETE FROM {r}"))
    if not SQLITE:
        refused(lambda: sql("TRUNCATE {r}"))


def test_what_a_stone_stands_for_goes(guarded: Record) -> None:
    make_stone(guarded.contact_ref, 1).save(force_insert=True)
    sql("DELETE FROM {r}")
    assert not Record.objects.exists()


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


if SQLITE:

    def test_nor_by_the_row_number_that_sqlite_keeps_beside_the_key(guarded: Record) -> None:
        """With a key of its own and the hidden `rowid` of another row, REPLACE would take that row's place."""
        columns = COPY.replace("id, contact_ref", f"'{uuid.uuid4().hex}', '{uuid.uuid4().hex}'", 1)
        refused(lambda: sql(f"REPLACE INTO {{r}} (rowid, {COPY}) SELECT rowid, {columns} FROM {{r}}"))
        fields = ", ".join(field.column for field in Seal._meta.concrete_fields)
        moved = fields.replace("number", "number + 1", 1)
        refused(lambda: sql(f"REPLACE INTO {{s}} (rowid, {fields}) SELECT rowid, {moved} FROM {{s}}"))
        refused(lambda: sql(f"REPLACE INTO {{s}} ({fields}) SELECT {fields} FROM {{s}}"))
        for number in ("id", "id + 1"):
            replace = f"REPLACE INTO {{v}} (id, record, name, salt, value) SELECT {number}, record, name, salt, 'null'"
            refused(lambda replace=replace: sql(f"{replace} FROM {{v}}"), NOT_EDITED)

    @pytest.mark.parametrize(
        "pragma", ["recursive_triggers = OFF", "ignore_check_constraints = ON", "legacy_alter_table = ON"]
    )
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


# What is not


def test_new_rows_go_in(guarded: Record) -> None:
    make_seal(2).save(force_insert=True)
    Seal.objects.bulk_create([make_seal(3), make_seal(4)])
    SideValue.objects.create(record=guarded.pk, name="ip_truncated", salt=b"s" * 16, value='"203.0.113.0/24"')
    given = {
        "id": f"'{uuid.uuid4().hex}'{'' if SQLITE else '::uuid'}",
        "seq": "seq + 1",
        "idempotency_key": "NULL",
    }
    columns = ", ".join(given.get(name, name) for name in COPY.split(", "))
    sql(f"INSERT INTO {{r}} ({COPY}) SELECT {columns} FROM {{r}}")
    assert (Record.objects.count(), Seal.objects.count(), SideValue.objects.count()) == (2, 4, 2)


#: What a statement does to which table; one may do it to several.
TABLES = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM|FROM) "?\w+"?')


def test_a_save_is_the_same_statements_under_the_guard(db: None) -> None:
    def saved(number: int) -> list[str]:
        contact = factories.make_contact(f"anna{number}@mail.example.org")
        with CaptureQueriesContext(connection) as captured:
            for value in ("subscribed", "unsubscribed"):
                submissions.record(
                    contact.pk,
                    [SetChoice("news", "email", value)],
                    actor=Actor(ActorType.SUBJECT_SESSION),
                    source=Source(method="python", ip="203.0.113.77"),
                    idempotency_key=value,
                )
        assert ledger.first_broken(contact.pk) is None
        assert Record.objects.filter(contact_ref=contact.pk).count() == 2
        return [" ".join(TABLES.findall(sql)) for sql in said(captured)]

    saved(0)  # what is asked only once in a process
    unguarded = saved(1)
    guard.install(DEFAULT_DB_ALIAS)
    assert saved(2) == unguarded
    assert sum("INSERT INTO wagtail_prefs_record" in each.replace('"', "") for each in unguarded) == 2


# Up and down


def test_it_goes_up_once_and_stays_as_it_is(ledger_rows: Record) -> None:
    assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES
    Record.objects.update(audience="still open")
    guard.install(DEFAULT_DB_ALIAS)
    assert guard.missing(DEFAULT_DB_ALIAS) == []
    with CaptureQueriesContext(connection) as captured:
        guard.install(DEFAULT_DB_ALIAS)
    assert {query["sql"].split()[0] for query in captured} == {"SELECT"}
    guard.remove(DEFAULT_DB_ALIAS)
    assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES
    Record.objects.update(audience="open again")


def test_the_names_fit_into_postgresql() -> None:
    assert all(len(name.encode()) < 63 for name in [*NAMES, guard.FUNCTION, guard.RECORD_FUNCTION])


def test_every_key_of_the_tables_is_watched(db: None) -> None:
    """REPLACE removes the row that has any of them; the database itself says which there are."""
    with connection.cursor() as cursor:
        for model in (Record, Seal, SideValue, Tombstone):
            found = connection.introspection.get_constraints(cursor, model._meta.db_table).values()
            unique = {tuple(each["columns"]) for each in found if each["unique"] or each["primary_key"]}
            assert {tuple(key) for key in guard._keys(model)} == unique
            assert unique


@pytest.mark.parametrize("name", sorted(NAMES))
def test_any_one_that_is_gone_is_missing(guarded: Record, name: str) -> None:
    table = next(table for table in guard.tables(DEFAULT_DB_ALIAS) if table.split("_")[-1] in name)
    sql(f"DROP TRIGGER {name}" + ("" if SQLITE else f" ON {table}"))
    assert guard.missing(DEFAULT_DB_ALIAS) == [name]
    guard.install(DEFAULT_DB_ALIAS)
    assert guard.missing(DEFAULT_DB_ALIAS) == []


if SQLITE:
    SPOILT = [
        "DROP TRIGGER {name}; CREATE TRIGGER {name} BEFORE DELETE ON {table} BEGIN SELECT 1; END",
        "DROP TRIGGER {name}; CREATE TRIGGER {name} AFTER DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END",
        "DROP TRIGGER {name}; CREATE TRIGGER {name} BEFORE DELETE ON wagtail_prefs_sealexport BEGIN SELECT 1; END",
        "DROP TRIGGER {name}; CREATE TRIGGER {name} BEFORE DELETE ON {table} WHEN 0 BEGIN SELECT RAISE(ABORT, 'no'); END",
    ]
else:
    _CREATE = "DROP TRIGGER {name} ON {table}; CREATE TRIGGER {name}"
    _CALL = f"EXECUTE FUNCTION {guard.RECORD_FUNCTION}('{guard.KEPT}')"
    _LAX = f"FUNCTION {guard.RECORD_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN COALESCE(NEW, OLD); END$$"
    _ELSEWHERE = f"SET LOCAL search_path = elsewhere, public; CREATE {_LAX}; SET LOCAL search_path = public"
    SPOILT = [
        "ALTER TABLE {table} DISABLE TRIGGER {name}",
        "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "ALTER TABLE {table} ENABLE REPLICA TRIGGER {name}",
        "ALTER TRIGGER {name} ON {table} RENAME TO other",
        "SET LOCAL session_replication_role = replica",
        f"{_CREATE} BEFORE UPDATE ON {{table}} FOR EACH ROW {_CALL}",
        f"{_CREATE} BEFORE UPDATE OF body OR DELETE ON {{table}} FOR EACH ROW {_CALL}",
        f"{_CREATE} AFTER UPDATE OR DELETE ON {{table}} FOR EACH ROW {_CALL}",
        f"{_CREATE} BEFORE UPDATE OR DELETE ON {{table}} FOR EACH STATEMENT {_CALL}",
        f"{_CREATE} BEFORE UPDATE OR DELETE ON {{table}} FOR EACH ROW WHEN (OLD.seq > 9) {_CALL}",
        f"CREATE OR REPLACE {_LAX}",
        f"CREATE SCHEMA elsewhere; {_ELSEWHERE}; {_CREATE} BEFORE UPDATE OR DELETE ON {{table}} FOR EACH ROW "
        + _CALL.replace("FUNCTION ", "FUNCTION elsewhere."),
    ]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil[-70:])
def test_any_that_no_longer_does_its_work_is_missing_and_put_right(guarded: Record, spoil: str) -> None:
    name = "prefs_guard_record_delete" if SQLITE else "prefs_guard_record_update_delete"
    statements = spoil.format(name=name, table=Record._meta.db_table)
    with connection.cursor() as cursor:
        for statement in statements.split("; ", 1) if SQLITE else [statements]:
            cursor.execute(statement)
    assert name in guard.missing(DEFAULT_DB_ALIAS)
    if "replication_role" in spoil:
        sql("SET LOCAL session_replication_role = origin")  # nothing to put right, and nothing was lost
    else:
        guard.install(DEFAULT_DB_ALIAS)
    assert guard.missing(DEFAULT_DB_ALIAS) == []
    refused(lambda: sql("DELETE FROM {r}"))
    refused(lambda: sql("UPDATE {r} SET prev = hash"))


@pytest.mark.postgres
def test_one_that_always_fires_is_left_so(guarded: Record) -> None:
    sql("ALTER TABLE {r} ENABLE ALWAYS TRIGGER prefs_guard_record_update_delete")
    sql("SET LOCAL session_replication_role = replica")
    assert "prefs_guard_record_update_delete" not in guard.missing(DEFAULT_DB_ALIAS)
    refused(lambda: sql("DELETE FROM {r}"))


@pytest.mark.postgres
def test_each_schema_has_its_own(db: None) -> None:
    """As with a schema for each tenant: the tables that the connection sees are guarded, by a function beside them."""
    with connection.cursor() as cursor:
        cursor.execute('CREATE SCHEMA "Tenant 1"; CREATE SCHEMA empty')
        for table in guard.tables(DEFAULT_DB_ALIAS):
            cursor.execute(f'CREATE TABLE "Tenant 1".{table} (LIKE {table} INCLUDING ALL)')
        cursor.execute('SET LOCAL search_path = empty, "Tenant 1"')
    assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES
    guard.install(DEFAULT_DB_ALIAS)
    assert guard.missing(DEFAULT_DB_ALIAS) == []
    make_seal(1).save(force_insert=True)
    refused(Seal.objects.all().delete)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pronamespace::regnamespace::text FROM pg_proc WHERE proname IN (%s, %s)",
            [guard.FUNCTION, guard.RECORD_FUNCTION],
        )
        assert cursor.fetchall() == [('"Tenant 1"',)] * 2
        cursor.execute("SET LOCAL search_path = public")
    assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES
    assert not Seal.objects.exists()


def tamper_and_fail() -> None:
    sql("DELETE FROM {r}")
    raise ZeroDivisionError


def test_it_is_taken_down_in_one_piece_and_stands_again(guarded: Record) -> None:
    with guard.taken_down(DEFAULT_DB_ALIAS):
        assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES
        sql("UPDATE {r} SET audience = 'tampered'")
    assert guard.missing(DEFAULT_DB_ALIAS) == []
    refused(Record.objects.all().delete)
    before = held()
    with pytest.raises(ZeroDivisionError), guard.taken_down(DEFAULT_DB_ALIAS):
        tamper_and_fail()
    assert held() == before
    assert guard.missing(DEFAULT_DB_ALIAS) == []


def test_after_a_refusal_inside_it_stands_again_as_well(guarded: Record) -> None:
    with pytest.raises(IntegrityError), guard.taken_down(DEFAULT_DB_ALIAS):
        sql("INSERT INTO {s} SELECT * FROM {s}")
    assert guard.missing(DEFAULT_DB_ALIAS) == []


def test_taking_down_what_did_not_stand_puts_nothing_up(ledger_rows: Record) -> None:
    with guard.taken_down(DEFAULT_DB_ALIAS):
        sql("UPDATE {r} SET audience = 'tampered'")
    assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES


def test_nobody_else_sees_it_down(lasting: None) -> None:
    def look() -> list[str]:
        with closing(connections[DEFAULT_DB_ALIAS]):
            return guard.missing(DEFAULT_DB_ALIAS)

    with ThreadPoolExecutor(1) as other, guard.taken_down(DEFAULT_DB_ALIAS):
        assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES
        assert other.submit(look).result() == []


class NotHere:
    """A router that keeps the ledger in another database."""

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool | None:
        return False if app_label == "wagtail_prefs" else None


def test_a_database_without_the_ledger_needs_no_guard(db: None, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.NotHere"]
    assert guard.tables(DEFAULT_DB_ALIAS) == guard.missing(DEFAULT_DB_ALIAS) == []
    guard.install(DEFAULT_DB_ALIAS)
    settings.DATABASE_ROUTERS = []
    assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES


# Migrations


def alter(model: type[models.Model], name: str, **changed: Any) -> None:
    """What a migration's AlterField does."""
    old = model._meta.get_field(name)
    _, _, args, kwargs = old.deconstruct()
    new = type(old)(*args, **{**kwargs, **changed})
    new.set_attributes_from_name(name)
    new.model = model
    with connection.schema_editor() as editor:
        editor.alter_field(model, old, new, strict=True)


def added(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    """A column more, as AddField makes it: with a default that all rows get."""
    field = models.CharField(max_length=8, default="x")
    field.set_attributes_from_name(name)
    field.model = model
    return field


def test_a_table_altered_by_a_migration_still_has_its_guard(lasting: None) -> None:
    contact = factories.make_contact()
    save = partial(
        submissions.record,
        contact.pk,
        actor=Actor(ActorType.SUBJECT_SESSION),
        source=Source(method="python", ip="203.0.113.77"),
    )
    save([SetChoice("news", "email", "subscribed")])
    make_seal(1).save(force_insert=True)
    lost = {name for name in NAMES if "_record_" in name} if SQLITE else set()
    extra = added(Record, "extra")
    try:
        alter(Record, "audience", max_length=65)
        assert set(guard.missing(DEFAULT_DB_ALIAS)) == lost
        call_command("migrate", verbosity=0)
        assert guard.missing(DEFAULT_DB_ALIAS) == []
        refused(lambda: sql("DELETE FROM {r}"))
        refused(lambda: sql("UPDATE {r} SET audience = 'x'"))

        with connection.schema_editor() as editor:
            editor.add_field(Record, extra)
        assert set(guard.missing(DEFAULT_DB_ALIAS)) == lost
        call_command("migrate", verbosity=0)
        assert guard.missing(DEFAULT_DB_ALIAS) == []
        refused(lambda: sql("DELETE FROM {r}"))
    finally:
        with connection.schema_editor() as editor:
            editor.remove_field(Record, extra)
        alter(Record, "audience", max_length=64)
    guard.install(DEFAULT_DB_ALIAS)
    save([SetChoice("news", "email", "unsubscribed")])
    assert ledger.first_broken(contact.pk) is None
    assert Record.objects.count() == 2


def test_only_the_setting_puts_it_up_and_nothing_takes_it_down(transactional_db: None) -> None:
    with switched(False):
        call_command("migrate", verbosity=0)
        assert set(guard.missing(DEFAULT_DB_ALIAS)) == NAMES
    try:
        with switched(True):
            call_command("migrate", verbosity=0)
            assert guard.missing(DEFAULT_DB_ALIAS) == []
        with switched(False):
            call_command("migrate", verbosity=0)
            assert guard.missing(DEFAULT_DB_ALIAS) == []
    finally:
        guard.remove(DEFAULT_DB_ALIAS)


# The checks


def found(**given: Any) -> list[str]:
    return [
        str(message.id)
        for message in run_checks(**given)
        if str(message.id) in {"wagtail_prefs.E020", "wagtail_prefs.W020"}
    ]


def test_a_missing_guard_is_an_error(db: None) -> None:
    with switched(True):
        assert found(databases=[DEFAULT_DB_ALIAS]) == ["wagtail_prefs.E020"]
        assert found() == []  # Django asks no database then
        guard.install(DEFAULT_DB_ALIAS)
        assert found(databases=[DEFAULT_DB_ALIAS]) == []
        name = min(NAMES)
        sql(f"DROP TRIGGER {name}" + ("" if SQLITE else f" ON {Record._meta.db_table}"))
        (error,) = check_guard(databases=[DEFAULT_DB_ALIAS])
        assert name in error.msg and error.obj == DEFAULT_DB_ALIAS


def test_a_guard_that_is_switched_off_is_a_warning(db: None, settings: Any) -> None:
    with switched(False):
        assert found(databases=[DEFAULT_DB_ALIAS]) == ["wagtail_prefs.W020"]
        assert found() == []
    settings.DATABASE_ROUTERS = [f"{__name__}.NotHere"]
    for on in (True, False):
        with switched(on):
            assert found(databases=[DEFAULT_DB_ALIAS]) == []


def test_migrate_is_not_stopped_by_what_it_puts_right(lasting: None, monkeypatch: pytest.MonkeyPatch) -> None:
    guard.remove(DEFAULT_DB_ALIAS)
    with pytest.raises(SystemCheckError, match=r"wagtail_prefs\.E020"):
        call_command("check", databases=[DEFAULT_DB_ALIAS])
    monkeypatch.setattr(sys, "argv", ["manage.py", "migrate", "--verbosity", "0"])
    execute_from_command_line(sys.argv)  # runs the checks, as `call_command("migrate")` does not
    assert guard.missing(DEFAULT_DB_ALIAS) == []
