"""The guard: triggers by which the database itself refuses to change what the ledger holds.

Records, seals and tombstones are never changed or deleted, but for the records of a chain for which a tombstone stands
(`tombstones`); a personal value may be deleted, by an erasure, and is never edited.
`post_migrate` puts the triggers up, never a migration: SQLite loses them whenever it rebuilds a table. Another text
of a trigger here means that every site's guard counts as missing until its next `migrate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig
from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models.signals import post_migrate

from ..conf import conf
from .models import Record, Seal, SideValue, Tombstone

KEPT = (
    "ledger records are never changed or deleted; a correction is a new record, and tests that empty tables set "
    "LEDGER_GUARD to False"
)
NOT_EDITED = "the personal values of ledger records are never edited; an erasure deletes them"

#: The records that may go: they are named by a stone, which is signed; whoever makes one without the key is found out.
BURIED = "SELECT 1 FROM {stones} WHERE contact_ref = OLD.contact_ref AND records >= OLD.seq"

FUNCTION = "prefs_ledger_guard"
RECORD_FUNCTION = "prefs_ledger_guard_record"
BODY = """
BEGIN
{unless}    RAISE EXCEPTION 'wagtail_prefs: % (% of %)', TG_ARGV[0], TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
"""
UNLESS = """\
    IF TG_OP = 'DELETE' AND EXISTS ({buried}) THEN
        RETURN OLD;
    END IF;
"""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What one trigger refuses: some events on the table of a model."""

    model: type[models.Model]
    events: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"prefs_guard_{self.model._meta.model_name}_{'_'.join(self.events)}".lower()

    @property
    def text(self) -> str:
        return NOT_EDITED if self.model is SideValue else KEPT

    @property
    def spares_buried(self) -> bool:
        return self.model is Record and "delete" in self.events


def connect(config: AppConfig) -> None:
    """Put the guard up after every migration; called from apps.ready()."""
    post_migrate.connect(_migrated, sender=config, dispatch_uid="wagtail_prefs.ledger.guard")


def _migrated(*, using: str, **_kwargs: Any) -> None:
    # `flush` tells the same, so what stands is left alone where the setting is off.
    if conf.ledger_guard:
        install(using)


def install(alias: str) -> None:
    """Put up what `missing` names. Does nothing on a database without the ledger, or of a kind we do not know."""
    connection = connections[alias]
    triggers = _triggers(connection)
    lacking = set(_missing(connection, triggers))
    if not lacking:
        return
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        for trigger in triggers:
            if trigger.name in lacking:
                _put_up(connection, cursor, trigger)


def missing(alias: str) -> list[str]:
    """Names of the triggers that ought to stand in this database and do not, or not as ours: empty where all is well.

    Looks at what is there and not at names: a trigger that is disabled, on another table or with another body is
    missing. Tables that do not exist, or that the router keeps from this database, need none.
    """
    connection = connections[alias]
    return _missing(connection, _triggers(connection))


def tables(alias: str) -> list[str]:
    """The tables in this database that the guard is for."""
    return [model._meta.db_table for model in _models(connections[alias])]


@contextmanager
def taken_down(alias: str) -> Iterator[None]:
    """Change the ledger in spite of the guard: for retention, migrations of data and tests of tampering.

    One transaction: others never see the guard down, and an exception undoes all of it. Afterwards the guard stands
    again, if any of it stood before.
    """
    connection = connections[alias]
    with transaction.atomic(using=alias):
        triggers = _triggers(connection)
        stood = len(_missing(connection, triggers)) < len(triggers)
        remove(alias)
        yield
        if stood:
            install(alias)


def remove(alias: str) -> None:
    """Take the guard down and leave it down: for tests that put it up."""
    connection = connections[alias]
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        for trigger in _triggers(connection):
            cursor.execute(_drop(connection, trigger))


def _models(connection: BaseDatabaseWrapper) -> list[type[models.Model]]:
    with connection.cursor() as cursor:
        here = set(connection.introspection.table_names(cursor))
    return [
        model
        for model in (Record, Seal, SideValue, Tombstone)
        if model._meta.db_table in here and router.allow_migrate_model(connection.alias, model)
    ]


def _triggers(connection: BaseDatabaseWrapper) -> list[Trigger]:
    found = []
    for model in _models(connection):
        change = ("update",) if model is SideValue else ("update", "delete")
        if connection.vendor == "sqlite":
            # One for each event; and REPLACE deletes the row in its way without asking a trigger for DELETE.
            found += [Trigger(model, (event,)) for event in (*change, "insert")]
        else:
            found.append(Trigger(model, change))
            if model is not SideValue:
                found.append(Trigger(model, ("truncate",)))
    return found


def _missing(connection: BaseDatabaseWrapper, triggers: Sequence[Trigger]) -> list[str]:
    standing: set[str] = set()
    if connection.vendor == "postgresql":
        standing = _standing_postgresql(connection, triggers)
    elif connection.vendor == "sqlite":
        standing = _standing_sqlite(connection, triggers)
    return [trigger.name for trigger in triggers if trigger.name not in standing]


def _put_up(connection: BaseDatabaseWrapper, cursor: CursorWrapper, trigger: Trigger) -> None:
    """Whatever stands there by the name is dropped first: a new trigger is enabled, whatever the old one was."""
    if connection.vendor == "sqlite":
        cursor.execute(_drop(connection, trigger))
        cursor.execute(_sql_sqlite(connection, trigger))
    elif connection.vendor == "postgresql":
        cursor.execute(SCHEMA, [connection.ops.quote_name(trigger.model._meta.db_table)])
        for statement in _sql_postgresql(connection, trigger, schema=cursor.fetchone()[0]):
            cursor.execute(statement)


def _drop(connection: BaseDatabaseWrapper, trigger: Trigger) -> str:
    quote = connection.ops.quote_name
    on = f" ON {quote(trigger.model._meta.db_table)}" if connection.vendor == "postgresql" else ""
    return f"DROP TRIGGER IF EXISTS {quote(trigger.name)}{on}"


# SQLite


def _sql_sqlite(connection: BaseDatabaseWrapper, trigger: Trigger) -> str:
    quote = connection.ops.quote_name
    (event,) = trigger.events
    table = quote(trigger.model._meta.db_table)
    if event == "insert":
        taken = [
            f"EXISTS (SELECT 1 FROM {table} WHERE "  # noqa: S608 - names, no values
            + " AND ".join(f"{column} = NEW.{column}" for column in columns)
            + ")"
            for columns in (["rowid"], *([quote(name) for name in key] for key in _keys(trigger.model)))
        ]
        when = f" WHEN {' OR '.join(taken)}"
    elif trigger.spares_buried:
        when = f" WHEN NOT EXISTS ({BURIED.format(stones=quote(Tombstone._meta.db_table))})"
    else:
        when = ""
    text = f"wagtail_prefs: {trigger.text} ({event.upper()} of {trigger.model._meta.db_table})".replace(
        "'", "''"
    )
    return (
        f"CREATE TRIGGER {quote(trigger.name)} BEFORE {event.upper()} ON {table}{when} "
        f"BEGIN SELECT RAISE(ABORT, '{text}'); END"
    )


def _keys(model: type[models.Model]) -> Iterable[Sequence[str]]:
    """The columns of every key that only one row may have."""
    columns = {field.name: str(field.column) for field in model._meta.concrete_fields}
    yield from ([columns[field.name]] for field in model._meta.concrete_fields if field.unique)
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            yield [columns[name] for name in constraint.fields]


def _standing_sqlite(connection: BaseDatabaseWrapper, triggers: Iterable[Trigger]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        found = dict(cursor.fetchall())
    return {
        trigger.name for trigger in triggers if found.get(trigger.name) == _sql_sqlite(connection, trigger)
    }


# PostgreSQL

#: The bits of pg_trigger.tgtype; without ROW it is for the statement, without BEFORE it comes after.
ROW, BEFORE, DELETE, UPDATE, TRUNCATE = 1, 2, 8, 16, 32
BITS = {"update": UPDATE, "delete": DELETE, "truncate": TRUNCATE}

#: All triggers on a table, and what they are. A trigger that fires for this session is enabled, and for everybody.
LOOK = """
SELECT t.tgname, t.tgtype, t.tgargs, p.prosrc
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE t.tgrelid = pg_catalog.to_regclass(%s)
  AND (t.tgenabled = 'A'
       OR t.tgenabled = 'O' AND pg_catalog.current_setting('session_replication_role') <> 'replica')
  AND t.tgqual IS NULL AND pg_catalog.cardinality(t.tgattr::int2[]) = 0
  AND l.lanname = 'plpgsql' AND NOT p.prosecdef AND p.proconfig IS NULL
"""
SCHEMA = """
SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass(%s)
"""


def _sql_postgresql(connection: BaseDatabaseWrapper, trigger: Trigger, *, schema: str) -> list[str]:
    quote = connection.ops.quote_name
    table = quote(trigger.model._meta.db_table)
    function = f"{quote(schema)}.{quote(RECORD_FUNCTION if trigger.spares_buried else FUNCTION)}"
    body = _body(connection, trigger, schema)
    level = "ROW" if _of_rows(trigger) else "STATEMENT"
    events = " OR ".join(trigger.events).upper()
    text = trigger.text.replace("'", "''")
    create = f"CREATE TRIGGER {quote(trigger.name)} BEFORE {events} ON {table}"
    return [
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $guard${body}$guard$",
        _drop(connection, trigger),
        f"{create} FOR EACH {level} EXECUTE FUNCTION {function}('{text}')",
    ]


def _body(connection: BaseDatabaseWrapper, trigger: Trigger, schema: str) -> str:
    """What the function of a trigger says. The table of stones is that beside it, whatever the path of a search says."""
    quote = connection.ops.quote_name
    stones = f"{quote(schema)}.{quote(Tombstone._meta.db_table)}"
    unless = UNLESS.format(buried=BURIED.format(stones=stones)) if trigger.spares_buried else ""
    return BODY.format(unless=unless)


def _of_rows(trigger: Trigger) -> bool:
    return "truncate" not in trigger.events


def _standing_postgresql(connection: BaseDatabaseWrapper, triggers: Iterable[Trigger]) -> set[str]:
    standing = set()
    with connection.cursor() as cursor:
        for trigger in triggers:
            table = connection.ops.quote_name(trigger.model._meta.db_table)
            cursor.execute(SCHEMA, [table])
            body = _body(connection, trigger, cursor.fetchone()[0])
            cursor.execute(LOOK, [table])
            kind = BEFORE | ROW * _of_rows(trigger) | sum(BITS[event] for event in trigger.events)
            ours = (trigger.name, kind, trigger.text.encode() + b"\0", body)
            if ours in {(name, bits, bytes(args), body) for name, bits, args, body in cursor.fetchall()}:
                standing.add(trigger.name)
    return standing
