"""Reading and writing state rows. Plain SQL where one statement must do what the ORM would do in three."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from django.db import connection
from django.db.models import F
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ..changes import FACTS
from ..ciphers import Unreadable, conceal, is_current, reveal
from ..concealed import JSON_MARK, place_of
from ..conf import conf
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
)
from ..writes import Write
from .addresses import address_key, address_keys
from .models import Contact, State
from .rules.paths import key_of

CONTACT_COLUMNS = (
    "id", "audience_id", "email", "external_id", "link_id", "version", "epoch", "language", "country", "timezone",
    "suppressed", "merged_into_id", "erased_at",
)  # fmt: skip
STATE_COLUMNS = (
    "topic", "channel", "choice", "choice_version", "pending", "choice_until", "frequency", "frequency_version", "paused_until",
    "pause_version", "attributes", "notices",
)  # fmt: skip
_LONGEST_PHONE = 32
_WIDTH = len(CONTACT_COLUMNS) + 1  # and the audience's key
#: Where `_fetch` finds what is one contact's alone.
_LINK = 1 + CONTACT_COLUMNS.index("link_id")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A contact with its state, as one statement fetches them."""

    state: ContactState
    #: As its column holds it: most who load a contact want no address, so it is revealed later.
    stored_email: str
    external_id: str
    link_id: str
    epoch: int
    audience_id: int

    @property
    def email(self) -> str:
        """Her address; "" where she has none, and where nobody can read it (`unreadable`)."""
        return self._address or ""

    @property
    def unreadable(self) -> bool:
        """Whether her address, or something she told, is under a key that is not in the settings."""
        return self._address is None or bool(self.state.unreadable)

    @property
    def _address(self) -> str | None:
        try:
            return reveal(self.stored_email, place=place_of(Contact, self.state.id, "email"))
        except Unreadable:
            return None

    @property
    def target(self) -> Target:
        return self.target_at(timezone.now())

    def target_at(self, now: datetime) -> Target:
        """What backends see at a moment: which pauses are in force then, and how many have ended by themselves."""
        pauses = self.state.pauses
        paused = frozenset(key for key, pause in pauses.items() if pause.until > now)
        return Target(
            self.state,
            Identifiers(email=self.email, phone=_phone(self.state), external_id=self.external_id),
            paused=paused,
            ended=len(pauses) - len(paused),
            unreadable=self.unreadable,
        )


def _phone(state: ContactState) -> str:
    """The phone number she told; what is too long to be one is none (E.164 has 15 digits)."""
    said = state.attributes.get("phone")
    return said if isinstance(said, str) and len(said) <= _LONGEST_PHONE else ""


def db_uuid(value: uuid.UUID) -> Any:
    """A UUID as this database's driver takes it."""
    return value if _has_uuids() else value.hex


@cache
def _has_uuids() -> bool:
    return bool(connection.features.has_native_uuid_field)


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


def _moment(value: Any) -> datetime:
    moment = as_datetime(value)
    if moment is None:
        raise ValueError("no moment")
    return moment


def as_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value


@cache
def contact_columns(table: str) -> str:
    """What `loaded` takes as `head`, as SQL: the CONTACT_COLUMNS of a row, then the key of the audience.

    SQL is written out here: for the ORM it takes longer to spell these columns than for the database to answer. And it
    is put together once: that takes longer than to send it.
    """
    audience = f"SELECT audience.key FROM {connection.ops.quote_name(Audience._meta.db_table)} AS audience"  # noqa: S608
    return f"{_columns(table, CONTACT_COLUMNS)}, ({audience} WHERE audience.id = {table}.audience_id)"


@cache
def state_columns(table: str) -> str:
    """What `loaded` takes as one of `rows`, as SQL: the STATE_COLUMNS."""
    return _columns(table, STATE_COLUMNS)


def _columns(table: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{table}.{connection.ops.quote_name(column)}" for column in columns)


def load(contact_id: uuid.UUID, assurance: Assurance = "link") -> Loaded | None:
    """Fetch one contact with all its state, in one statement; None when there is none."""
    found = _fetch(_select("contact.id = %s"), [db_uuid(contact_id)], assurance)
    return found[0] if found else None


def load_by_link(link_id: str, audience_id: int, assurance: Assurance = "link") -> Loaded | None:
    """Fetch the contact that a link leads to, in one statement; None when there is none.

    The links of one who was merged lead on to whom she was merged into, by a second statement: few were. `epoch` is
    then that of her own links.
    """
    values = [link_id, audience_id]
    found = _fetch(_select_by_link(), values, assurance) or _fetch(_select_via_link(), values, assurance)
    return found[0] if found else None


def load_many(ids: Sequence[uuid.UUID], assurance: Assurance = "link") -> list[Loaded]:
    """Fetch contacts by their ids, with their state, in one statement; unknown ids are left out."""
    if not ids:
        return []
    sql = _select(f"contact.id IN ({', '.join(['%s'] * len(ids))})")
    return _fetch(sql, [db_uuid(value) for value in ids], assurance)


@cache
def _select_by_link() -> str:
    return _select("contact.link_id = %s AND contact.audience_id = %s AND contact.merged_into_id IS NULL")


@cache
def _select_via_link() -> str:
    alias = f"JOIN {connection.ops.quote_name(Contact._meta.db_table)} AS alias ON contact.id = alias.merged_into_id"
    return _select("alias.link_id = %s AND alias.audience_id = %s", via=alias, epoch="alias.epoch")


def _select(condition: str, *, via: str = "", epoch: str = "contact.epoch") -> str:
    """The statement that `_fetch` takes. The audience is joined: `contact_columns` would ask for it once a row."""
    contact, audience, state = (
        connection.ops.quote_name(model._meta.db_table) for model in (Contact, Audience, State)
    )
    return (
        f"SELECT {epoch}, {_columns('contact', CONTACT_COLUMNS)}, audience.key, {state_columns('state')} "  # noqa: S608
        f"FROM {contact} AS contact {via} JOIN {audience} AS audience ON audience.id = contact.audience_id "
        f"LEFT JOIN {state} AS state ON state.contact_id = contact.id WHERE {condition}"
    )


def _fetch(sql: str, values: Sequence[Any], assurance: Assurance) -> list[Loaded]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()
    of: dict[str, list[Sequence[Any]]] = {}
    for row in rows:  # by a text: to hash a UUID takes longer than all the rest
        of.setdefault(row[_LINK], []).append(row)
    return [
        loaded(
            rows[0][1 : _WIDTH + 1],
            [row[_WIDTH + 1 :] for row in rows],
            assurance=assurance,
            epoch=rows[0][0],
        )
        for rows in of.values()
    ]


def loaded(  # noqa: C901, PLR0912 - in a function of their own, the lines for a row took as long as all the rest
    head: Sequence[Any], rows: Iterable[Sequence[Any]], *, assurance: Assurance, epoch: int | None = None
) -> Loaded:
    """Build one contact from its row, as `contact_columns` gives it, and those of its state, as `state_columns` does.

    `epoch` stands for the contact's own, where a link of another led to her.
    """
    contact = dict(zip((*CONTACT_COLUMNS, "audience"), head, strict=True))
    opted_out = False
    choices: dict[Key, str] = {}
    pending: set[Key] = set()
    frequencies: dict[Key, str] = {}
    pauses: dict[Key, Pause] = {}
    until: dict[Key, datetime] = {}
    attributes: dict[str, Any] = {}
    notices: dict[str, str] = {}
    versions: dict[str, int] = {}
    unreadable: dict[str, str] = {}
    for (
        topic, channel, choice, choice_version, waits, choice_until, frequency, frequency_version, paused_until,
        pause_version, profile, seen,
    ) in rows:  # fmt: skip
        if topic is None:  # the outer join gives one empty row to a contact without state
            continue
        key = (topic, channel)
        if key == ("", ""):
            opted_out = choice == UNSUBSCRIBED
            if choice_version:
                versions["opted_out"] = choice_version
            entries = as_json(profile)
            unreadable = _reveal(contact["id"], entries)
            _entries_of(entries, "attribute", "value", attributes, versions)
            _entries_of(seen, "notice", "sha256", notices, versions)
        else:
            if choice:
                choices[key] = choice
            if choice_version:
                versions[f"choice:{topic}:{channel}"] = choice_version
        if waits:
            pending.add(key)
        if choice_until is not None:
            until[key] = _moment(choice_until)
        if "" in key:
            if frequency:
                frequencies[key] = frequency
            if frequency_version:
                versions[f"frequency:{key_to_scope(key)}"] = frequency_version
            if paused_until is not None:
                pauses[key] = Pause(_moment(paused_until))
            if pause_version:
                versions[f"pause:{key_to_scope(key)}"] = pause_version
    return Loaded(
        state=ContactState(
            id=as_uuid(contact["id"]),
            audience=contact["audience"],
            version=contact["version"],
            language=contact["language"],
            country=contact["country"],
            timezone=contact["timezone"],
            suppressed=bool(contact["suppressed"]),
            merged_into=as_uuid(contact["merged_into_id"]) if contact["merged_into_id"] else None,
            erased=contact["erased_at"] is not None,
            opted_out=opted_out,
            choices=choices,
            pending=frozenset(pending),
            until=until,
            frequencies=frequencies,
            pauses=pauses,
            attributes=attributes,
            notices=notices,
            versions=versions,
            assurance=assurance,
            unreadable=unreadable,
        ),
        stored_email=contact["email"],
        external_id=contact["external_id"],
        link_id=contact["link_id"],
        epoch=contact["epoch"] if epoch is None else epoch,
        audience_id=contact["audience_id"],
    )


def upsert(state: ContactState, effects: Iterable[Effect]) -> list[Write]:
    """The rows that effects touched, all in one INSERT sorted by key: unsorted batches deadlock."""
    keys = sorted({key_of(effect.path) for effect in effects if effect.path not in _OF_THE_CONTACT})
    if not keys:
        return []
    contact_id, moment = db_uuid(state.id), connection.ops.adapt_datetimefield_value
    kinds = tuple(_kind(state, key) for key in keys)
    values = [
        value
        for key, kind in zip(keys, kinds, strict=True)
        for value in (contact_id, *key, *_values_of(state, key, kind, moment))
    ]
    return [Write(_upsert(kinds), values)]


def write_contact(state: ContactState, effects: Iterable[Effect]) -> None:
    """Write what became of the contact as a whole, an address, an erasure, a merge: one statement where there is any."""
    became = {
        effect.path: effect.after for effect in effects if effect.path in _OF_THE_CONTACT | _FACTS.keys()
    }
    if became:
        _write_contact(state, became)


#: What stands in the contact's own row and nowhere else.
_OF_THE_CONTACT = {"address:email", "suppressed", "merged_into", "erased"}
#: Attributes that rules and words go by, which therefore stand in her row as well. What she takes back is not known
#: any more, whatever an import had said before: then the strictest law holds, and the browser's language.
_FACTS = {f"attribute:{name}": name for name in FACTS}


#: What an erasure leaves of a contact's own row.
ERASED = {
    "email": "",
    "address_key": None,
    "external_id": "",
    "email_dead_at": None,
    **{name: "" for fact in FACTS for name in (fact, f"{fact}_source")},
}


def _write_contact(state: ContactState, became: Mapping[str, Any]) -> None:
    values: dict[str, Any] = {}
    for path, name in _FACTS.items():
        if path in became:
            values |= {name: became[path] or "", f"{name}_source": "said" if became[path] else ""}
    if "suppressed" in became:
        values["suppressed"] = bool(became["suppressed"])
    if "merged_into" in became:
        values["merged_into_id"] = state.merged_into
        # Who was merged into her goes on with her: always one step, however long the history.
        Contact.objects.filter(merged_into=state.id).update(merged_into=state.merged_into)
    if "address:email" in became:
        address = became["address:email"]
        if address:
            _move(state, address_keys(state.audience, address))
        values |= {
            "email": conceal(address or "", place=place_of(Contact, state.id, "email")),
            "address_key": address_key(state.audience, address) if address else None,
            "email_dead_at": None,
        }
    if "erased" in became:
        values |= {**ERASED, "erased_at": timezone.now(), "epoch": F("epoch") + 1}
    Contact.objects.filter(pk=state.id).update(**values)


def _move(state: ContactState, spellings: Sequence[str]) -> None:
    """What goes with another address: the mails to the old one open nothing any more, nor do sessions of theirs.

    Whoever was merged into her opened her page as well. Another spelling of her address is the same mailbox.
    """
    merged = Contact.objects.filter(merged_into=state.id)
    merged.filter(address_key__in=spellings).update(address_key=None)  # one from before a merge is hers again
    if not Contact.objects.filter(pk=state.id, address_key__in=spellings).exists():
        for links in (Contact.objects.filter(pk=state.id), merged):
            links.update(epoch=F("epoch") + 1)


def _place(contact_id: uuid.UUID, name: str) -> str:
    return f"{place_of(State, contact_id, 'attributes')}:{name}"


def concealed(contact_id: uuid.UUID, entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of attributes as the column holds them: with ENCRYPTION_KEYS each value is concealed by itself.

    Names and versions stay: to see that there are any, and which were cleared, nothing needs a key.
    """
    if not conf.encryption_keys:
        return dict(entries)
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        if "value" in entry:
            text = conceal(json.dumps(entry["value"]), place=_place(contact_id, name))
            entry = {"version": entry["version"], JSON_MARK: text}  # noqa: PLW2901 - the same entry, as it is stored
        found[name] = entry
    return found


def _reveal(contact_id: Any, entries: dict[str, Any]) -> dict[str, str]:
    """Put the values in their places; returns what nobody can read, by name."""
    unreadable: dict[str, str] = {}
    for name, entry in entries.items():
        if JSON_MARK in entry:
            try:
                text = reveal(entry[JSON_MARK], place=_place(as_uuid(contact_id), name))
            except Unreadable:
                unreadable[name] = entry[JSON_MARK]
            else:
                entries[name] = {"version": entry["version"], "value": json.loads(text)}
    return unreadable


def conceal_anew(contact_id: uuid.UUID, stored: Any) -> dict[str, Any] | None:
    """The same attributes under the newest key, as the column would hold them; None where they stand like that.

    Raises Unreadable.
    """
    entries: dict[str, Any] = as_json(stored)
    texts = [entry.get(JSON_MARK) for entry in entries.values() if entry.keys() & {JSON_MARK, "value"}]
    wanted = bool(conf.encryption_keys)
    if all((text is not None and is_current(text)) if wanted else text is None for text in texts):
        return None
    if _reveal(contact_id, entries):
        raise Unreadable
    return concealed(contact_id, entries)


def _entries_of(stored: Any, kind: str, field: str, held: dict[str, Any], versions: dict[str, int]) -> None:
    """The inverse of `_entries`."""
    for name, entry in as_json(stored).items():
        if field in entry:
            held[name] = entry[field]
        versions[f"{kind}:{name}"] = entry["version"]


#: The kinds of rows, with what is the same in all of a kind: psycopg parses a statement of more than 50 values each time
#: anew. A choice that waits for nothing and has no end is what nearly all rows are.
_CHOICE, _WAITING, _SCOPE = (
    "(%s, %s, %s, %s, %s, FALSE, NULL, '', 0, NULL, 0, '{}', '{}')",
    "(%s, %s, %s, %s, %s, %s, %s, '', 0, NULL, 0, '{}', '{}')",
    f"({', '.join(['%s'] * (1 + len(STATE_COLUMNS)))})",
)


def _kind(state: ContactState, key: Key) -> str:
    if "" in key:
        return _SCOPE
    return _WAITING if key in state.pending or key in state.until else _CHOICE


def _values_of(
    state: ContactState, key: Key, kind: str, moment: Callable[[datetime | None], Any]
) -> tuple[Any, ...]:
    """What stands in the row of a key beside it. `moment` spells one for this database's driver."""
    topic, channel = key
    versions = state.versions
    said, version = state.choices.get(key, ""), versions.get(f"choice:{topic}:{channel}", 0)
    if kind == _CHOICE:
        return (said, version)
    waits, until = key in state.pending, state.until.get(key)
    if kind == _WAITING:
        return (said, version, waits, moment(until))
    attributes: dict[str, Any] = {}
    notices: dict[str, Any] = {}
    if key == ("", ""):
        said = UNSUBSCRIBED if state.opted_out else (SUBSCRIBED if "opted_out" in versions else "")
        version, waits, until = versions.get("opted_out", 0), False, None
        attributes = _entries(state, "attribute", "value", state.attributes)
        for name, text in state.unreadable.items():
            attributes[name][JSON_MARK] = text
        notices = _entries(state, "notice", "sha256", state.notices)
    scope = key_to_scope(key)
    pause = state.pauses.get(key)
    return (
        said,
        version,
        waits,
        moment(until),
        state.frequencies.get(key, ""),
        versions.get(f"frequency:{scope}", 0),
        moment(pause.until if pause else None),
        versions.get(f"pause:{scope}", 0),
        json.dumps(concealed(state.id, attributes)),
        json.dumps(notices),
    )


def _entries(state: ContactState, kind: str, field: str, held: Mapping[str, Any]) -> dict[str, Any]:
    """Values with the version that set them; what was cleared keeps its version alone, for a later merge."""
    entries: dict[str, Any] = {}
    for path, version in state.versions.items():
        found, _, name = path.partition(":")
        if found == kind:
            entries[name] = {"version": version} | ({field: held[name]} if name in held else {})
    return entries


@lru_cache(maxsize=128)
def _upsert(kinds: tuple[str, ...]) -> str:
    quote = connection.ops.quote_name
    columns = ["contact_id", *STATE_COLUMNS]
    values = [f"{quote(column)} = excluded.{quote(column)}" for column in columns[3:]]
    return (
        f"INSERT INTO {quote(State._meta.db_table)} ({', '.join(map(quote, columns))}) "  # noqa: S608 - names, no values
        f"VALUES {', '.join(kinds)} "
        f"ON CONFLICT ({', '.join(map(quote, columns[:3]))}) DO UPDATE SET {', '.join(values)}"
    )
