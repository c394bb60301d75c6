"""Reading and writing state rows. Plain SQL where one statement must do what the ORM would do in three."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from django.db import connection
from django.utils.dateparse import parse_datetime

from ..topics.models import Audience
from ..values import (
    SUBSCRIBED,
    UNSUBSCRIBED,
    Assurance,
    ContactState,
    Effect,
    Identifiers,
    Key,
    Pause,
    Target,
    key_to_scope,
    scope_to_key,
)
from .models import Contact, State

CONTACT_COLUMNS = (
    "id", "audience_id", "email", "external_id", "link_id", "version", "epoch", "language", "country", "timezone",
)  # fmt: skip
STATE_COLUMNS = (
    "topic", "channel", "choice", "choice_version", "pending", "frequency", "frequency_version", "paused_until",
    "pause_version", "attributes", "notices",
)  # fmt: skip
_WIDTH = len(CONTACT_COLUMNS) + 1  # and the audience's key


@dataclass(frozen=True, slots=True)
class Loaded:
    """A contact with its state, as one statement fetches them."""

    state: ContactState
    email: str
    external_id: str
    link_id: str
    epoch: int
    audience_id: int

    @property
    def target(self) -> Target:
        return Target(self.state, Identifiers(email=self.email, external_id=self.external_id))


def db_uuid(value: uuid.UUID) -> Any:
    """A UUID as this database's driver takes it."""
    return value if connection.features.has_native_uuid_field else value.hex


def as_uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def as_datetime(value: Any) -> datetime | None:
    """A stored moment as aware UTC, whether the driver gives a datetime or SQLite's text."""
    if isinstance(value, str):
        value = parse_datetime(value)
    if value is None:
        return None
    moment: datetime = value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def as_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value


@cache
def contact_columns(table: str) -> str:
    """What `loaded` takes as `head`, as SQL: the CONTACT_COLUMNS of a row, then the key of the audience.

    SQL is written out here: for the ORM it takes longer to spell these columns than for the database to answer.
    """
    quote = connection.ops.quote_name
    columns = [f"{table}.{quote(column)}" for column in CONTACT_COLUMNS]
    audience = f"SELECT audience.key FROM {quote(Audience._meta.db_table)} AS audience"  # noqa: S608 - names
    return f"{', '.join(columns)}, ({audience} WHERE audience.id = {table}.audience_id)"


@cache
def state_columns(table: str) -> str:
    """What `loaded` takes as one of `rows`, as SQL: the STATE_COLUMNS."""
    return ", ".join(f"{table}.{connection.ops.quote_name(column)}" for column in STATE_COLUMNS)


def load(assurance: Assurance = "link", **where: Any) -> Loaded | None:
    """Fetch one contact by values of CONTACT_COLUMNS, with all its state, in one statement; None when there is none."""
    quote = connection.ops.quote_name
    condition = " AND ".join(f"contact.{quote(column)} = %s" for column in where)
    found = _fetch(condition, list(where.values()), assurance)
    return found[0] if found else None


def load_many(ids: Sequence[uuid.UUID], assurance: Assurance = "link") -> list[Loaded]:
    """Fetch contacts by their ids, with their state, in one statement; unknown ids are left out."""
    if not ids:
        return []
    return _fetch(f"contact.id IN ({', '.join(['%s'] * len(ids))})", ids, assurance)


def _fetch(condition: str, values: Sequence[Any], assurance: Assurance) -> list[Loaded]:
    quote = connection.ops.quote_name
    sql = (
        f"SELECT {contact_columns('contact')}, {state_columns('state')} "  # noqa: S608 - names, no values
        f"FROM {quote(Contact._meta.db_table)} AS contact "
        f"LEFT JOIN {quote(State._meta.db_table)} AS state ON state.contact_id = contact.id WHERE {condition}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [db_uuid(value) if isinstance(value, uuid.UUID) else value for value in values])
        rows = cursor.fetchall()
    of: dict[Any, list[Sequence[Any]]] = {}
    for row in rows:
        of.setdefault(row[0], []).append(row)
    return [
        loaded(rows[0][:_WIDTH], [row[_WIDTH:] for row in rows], assurance=assurance) for rows in of.values()
    ]


def loaded(head: Sequence[Any], rows: Iterable[Sequence[Any]], *, assurance: Assurance) -> Loaded:
    """Build one contact from its row, as `contact_columns` gives it, and those of its state, as `state_columns` does."""
    contact = dict(zip((*CONTACT_COLUMNS, "audience"), head, strict=True))
    opted_out = False
    choices: dict[Key, str] = {}
    pending: set[Key] = set()
    frequencies: dict[Key, str] = {}
    pauses: dict[Key, Pause] = {}
    attributes: dict[str, Any] = {}
    notices: dict[str, str] = {}
    versions: dict[str, int] = {}
    for (
        topic, channel, choice, choice_version, waits, frequency, frequency_version, paused_until, pause_version,
        profile, seen,
    ) in rows:  # fmt: skip
        if topic is None:  # the outer join gives one empty row to a contact without state
            continue
        key = (topic, channel)
        scope = key_to_scope(key) if "" in key else ""
        if key == ("", ""):
            opted_out = choice == UNSUBSCRIBED
            if choice_version:
                versions["opted_out"] = choice_version
            for name, entry in as_json(profile).items():
                attributes[name] = entry["value"]
                versions[f"attribute:{name}"] = entry["version"]
            for name, entry in as_json(seen).items():
                notices[name] = entry["sha256"]
                versions[f"notice:{name}"] = entry["version"]
        elif choice:
            choices[key] = choice
            versions[f"choice:{topic}:{channel}"] = choice_version
        if waits:
            pending.add(key)
        if frequency:
            frequencies[key] = frequency
            versions[f"frequency:{scope}"] = frequency_version
        until = as_datetime(paused_until)
        if until is not None:
            pauses[key] = Pause(until)
        if pause_version:
            versions[f"pause:{scope}"] = pause_version
    return Loaded(
        state=ContactState(
            id=as_uuid(contact["id"]),
            audience=contact["audience"],
            version=contact["version"],
            language=contact["language"],
            country=contact["country"],
            timezone=contact["timezone"],
            opted_out=opted_out,
            choices=choices,
            pending=frozenset(pending),
            frequencies=frequencies,
            pauses=pauses,
            attributes=attributes,
            notices=notices,
            versions=versions,
            assurance=assurance,
        ),
        email=contact["email"],
        external_id=contact["external_id"],
        link_id=contact["link_id"],
        epoch=contact["epoch"],
        audience_id=contact["audience_id"],
    )


def key_of(path: str) -> Key:
    """The state row that a path stands in."""
    kind, _, rest = path.partition(":")
    if kind == "choice":
        topic, _, channel = rest.rpartition(":")
        return (topic, channel)
    if kind in {"frequency", "pause"}:
        return scope_to_key(rest)
    return ("", "")


def write(state: ContactState, effects: Iterable[Effect]) -> None:
    """Upsert the rows that effects touched, in one statement sorted by key: unsorted batches deadlock."""
    keys = sorted({key_of(effect.path) for effect in effects})
    with connection.cursor() as cursor:
        cursor.execute(
            _upsert(tuple("" in key for key in keys)),
            [value for key in keys for value in (db_uuid(state.id), *key, *values_of(state, key))],
        )


def values_of(state: ContactState, key: Key) -> tuple[Any, ...]:
    """What stands in the row of a key: all columns of a scope, the choice alone of a topic on a channel."""
    topic, channel = key
    versions = state.versions
    choice = (state.choices.get(key, ""), versions.get(f"choice:{topic}:{channel}", 0), key in state.pending)
    if "" not in key:
        return choice
    attributes: dict[str, Any] = {}
    notices: dict[str, Any] = {}
    if key == ("", ""):
        said = UNSUBSCRIBED if state.opted_out else (SUBSCRIBED if "opted_out" in versions else "")
        choice = (said, versions.get("opted_out", 0), key in state.pending)
        attributes = {
            name: {"value": value, "version": versions[f"attribute:{name}"]}
            for name, value in state.attributes.items()
        }
        notices = {
            name: {"sha256": sha256, "version": versions[f"notice:{name}"]}
            for name, sha256 in state.notices.items()
        }
    scope = key_to_scope(key)
    pause = state.pauses.get(key)
    return (
        *choice,
        state.frequencies.get(key, ""),
        versions.get(f"frequency:{scope}", 0),
        connection.ops.adapt_datetimefield_value(pause.until if pause else None),
        versions.get(f"pause:{scope}", 0),
        json.dumps(attributes),
        json.dumps(notices),
    )


@lru_cache(maxsize=128)
def _upsert(scopes: tuple[bool, ...]) -> str:
    """The statement for rows of these kinds. psycopg parses a statement of more than 50 parameters each time anew,
    so what is the same in every choice stands in the text.
    """
    quote = connection.ops.quote_name
    columns = ["contact_id", *STATE_COLUMNS]
    scope = f"({', '.join(['%s'] * len(columns))})"
    choice = "(%s, %s, %s, %s, %s, %s, '', 0, NULL, 0, '{}', '{}')"
    values = [f"{quote(column)} = excluded.{quote(column)}" for column in columns[3:]]
    return (
        f"INSERT INTO {quote(State._meta.db_table)} ({', '.join(map(quote, columns))}) "  # noqa: S608 - names, no values
        f"VALUES {', '.join(scope if is_scope else choice for is_scope in scopes)} "
        f"ON CONFLICT ({', '.join(map(quote, columns[:3]))}) DO UPDATE SET {', '.join(values)}"
    )
