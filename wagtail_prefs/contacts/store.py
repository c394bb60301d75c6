"""Reading and writing state rows. Plain SQL where one statement must do what the ORM would do in three."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.utils.dateparse import parse_datetime

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


def load(assurance: Assurance = "link", **where: Any) -> Loaded | None:
    """Fetch one contact by `id` or `link_id`, with all its state, in one statement; None when there is none."""
    found = load_many(where, assurance=assurance)
    return found[0] if found else None


def load_many(where: dict[str, Any], assurance: Assurance = "link") -> list[Loaded]:
    """Fetch contacts with their state in one statement; `where` are ORM filters on Contact."""
    contacts = Contact.objects.filter(**where).values_list(
        *CONTACT_COLUMNS, "audience__key", *(f"states__{column}" for column in STATE_COLUMNS)
    )
    rows_of: dict[uuid.UUID, list[Sequence[Any]]] = {}
    heads: dict[uuid.UUID, Sequence[Any]] = {}
    width = len(CONTACT_COLUMNS) + 1
    for row in contacts.order_by():
        heads.setdefault(row[0], row)
        rows = rows_of.setdefault(row[0], [])
        if row[width] is not None:  # an outer join gives one empty row to a contact without state
            rows.append(row[width:])
    return [loaded(heads[key][:width], rows_of[key], assurance=assurance) for key in heads]


def loaded(head: Sequence[Any], rows: Iterable[Sequence[Any]], *, assurance: Assurance) -> Loaded:
    """Build from a contact's columns (CONTACT_COLUMNS and the audience's key) and its state rows (STATE_COLUMNS)."""
    contact = dict(zip((*CONTACT_COLUMNS, "audience"), head, strict=True))
    state = ContactState(
        id=as_uuid(contact["id"]),
        audience=contact["audience"],
        version=contact["version"],
        language=contact["language"],
        country=contact["country"],
        timezone=contact["timezone"],
        assurance=assurance,
    )
    return Loaded(
        state=with_rows(state, rows),
        email=contact["email"],
        external_id=contact["external_id"],
        link_id=contact["link_id"],
        epoch=contact["epoch"],
        audience_id=contact["audience_id"],
    )


def with_rows(state: ContactState, rows: Iterable[Sequence[Any]]) -> ContactState:
    """Fold state rows into a state."""
    opted_out = False
    choices: dict[Key, str] = {}
    pending: set[Key] = set()
    frequencies: dict[Key, str] = {}
    pauses: dict[Key, Pause] = {}
    attributes: dict[str, Any] = {}
    notices: dict[str, str] = {}
    versions: dict[str, int] = {}
    for row in rows:
        values = dict(zip(STATE_COLUMNS, row, strict=True))
        key = (values["topic"], values["channel"])
        scope = key_to_scope(key) if "" in key else ""
        if key == ("", ""):
            opted_out = values["choice"] == UNSUBSCRIBED
            if values["choice_version"]:
                versions["opted_out"] = values["choice_version"]
            for name, entry in as_json(values["attributes"]).items():
                attributes[name] = entry["value"]
                versions[f"attribute:{name}"] = entry["version"]
            for name, entry in as_json(values["notices"]).items():
                notices[name] = entry["sha256"]
                versions[f"notice:{name}"] = entry["version"]
        elif values["choice"]:
            choices[key] = values["choice"]
            versions[f"choice:{key[0]}:{key[1]}"] = values["choice_version"]
        if values["pending"]:
            pending.add(key)
        if values["frequency"]:
            frequencies[key] = values["frequency"]
            versions[f"frequency:{scope}"] = values["frequency_version"]
        until = as_datetime(values["paused_until"])
        if until is not None:
            pauses[key] = Pause(until)
        if values["pause_version"]:
            versions[f"pause:{scope}"] = values["pause_version"]
    return replace(
        state,
        opted_out=opted_out,
        choices=choices,
        pending=frozenset(pending),
        frequencies=frequencies,
        pauses=pauses,
        attributes=attributes,
        notices=notices,
        versions=versions,
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


def row_for(state: ContactState, key: Key) -> State:
    """The whole row of one key, as the state now has it."""
    topic, channel = key
    versions = state.versions
    row = State(contact_id=state.id, topic=topic, channel=channel, pending=key in state.pending)
    if key == ("", ""):
        row.choice = UNSUBSCRIBED if state.opted_out else (SUBSCRIBED if "opted_out" in versions else "")
        row.choice_version = versions.get("opted_out", 0)
        row.attributes = {
            name: {"value": value, "version": versions[f"attribute:{name}"]}
            for name, value in state.attributes.items()
        }
        row.notices = {
            name: {"sha256": sha256, "version": versions[f"notice:{name}"]}
            for name, sha256 in state.notices.items()
        }
    else:
        row.choice = state.choices.get(key, "")
        row.choice_version = versions.get(f"choice:{topic}:{channel}", 0)
    if "" in key:
        scope = key_to_scope(key)
        row.frequency = state.frequencies.get(key, "")
        row.frequency_version = versions.get(f"frequency:{scope}", 0)
        pause = state.pauses.get(key)
        row.paused_until = pause.until if pause else None
        row.pause_version = versions.get(f"pause:{scope}", 0)
    return row


def write(state: ContactState, effects: Iterable[Effect]) -> None:
    """Upsert the rows that effects touched, in one statement sorted by key: unsorted batches deadlock."""
    keys = sorted({key_of(effect.path) for effect in effects})
    State.objects.bulk_create(
        [row_for(state, key) for key in keys],
        update_conflicts=True,
        unique_fields=["contact", "topic", "channel"],
        update_fields=[column for column in STATE_COLUMNS if column not in {"topic", "channel"}],
    )
