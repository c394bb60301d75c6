"""The static rules of `rules` as SQL, in their order, for everybody at once: who is refused, and by which.

The statements here are put together from names of ours and from codes of countries; what is asked comes as parameters.
They give text, because a row that the database writes costs a tenth of one that Python does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from django.db import connection

from ..contacts.models import Contact, State
from ..law.countries import COUNTRIES, country_of
from ..law.services import Law, needs_consent
from ..ledger.models import Record
from ..values import SUBSCRIBED, UNSUBSCRIBED

Format = Literal["csv", "ndjson"]

#: The aliases of a contact's rows of state, by what they are about.
_ROWS = {"everything": ("", ""), "whole": ("", "%(channel)s"), "chosen": ("%(topic)s", "%(channel)s")}
_OF_TOPIC = {"topical": ("%(topic)s", "")}
_COMMA = " || ',' || "
#: What `str.strip` takes away of ASCII, as a text of SQL.
_BLANKS = ", ".join(str(code) for code in (9, 10, 11, 12, 13, 28, 29, 30, 31, 32))


def columns(*, since: bool, address: bool) -> list[str]:
    """The names of a file's columns, in order."""
    return [
        "contact", "external_id", *(["email"] if address else []), "reason", "until", *(["suppressed"] if since else []),
    ]  # fmt: skip


def needing_consent(current: Law, basis: str) -> Mapping[str, bool]:
    """Whether who was never asked needs to be, for each code that the law knows by itself; "" for all that is no code."""
    codes = [
        "",
        *sorted(COUNTRIES),
        *sorted(key for key in current.jurisdictions if "-" in key and country_of(key)),
    ]
    return {code: needs_consent(current.rules_for(code), basis) for code in codes}


def statement(
    channel: str,
    *,
    transactional: bool,
    consent: Mapping[str, bool],
    paused: bool,
    everybody: bool,
    address: bool,
    form: Format,
    listed: bool,
) -> str:
    """One piece of a file: a text of whole lines in the order of ids, and their number.

    `consent` as `needing_consent` gives it. `everybody`: a line also for who is not suppressed. `listed`: of the contacts
    in `ids`, else of those behind `after` up to `upto`. It also takes `audience`, `topic`, `channel` and `at`.
    """
    asks = _law(consent)
    return _statement(channel == "email", transactional, asks, paused, everybody, address, form, listed)


@lru_cache(maxsize=256)
def _statement(
    by_mail: bool,
    transactional: bool,
    asks: str,
    paused: bool,
    everybody: bool,
    address: bool,
    form: Format,
    listed: bool,
) -> str:
    paused = paused and not transactional
    contact = _table(Contact)
    rows = {} if transactional else {**_ROWS, **(_OF_TOPIC if paused else {})}
    joins = [_join(name, key, listed) for name, key in rows.items()]
    until = _latest() if paused else "NULL"
    judged = (
        "SELECT contact.id, contact.external_id, contact.email,"  # noqa: S608 - names and codes
        f" {_reason(by_mail, transactional, asks)} AS refused,"
        f" {until} AS paused_until FROM {contact} AS contact {' '.join(joins)}"
        f" WHERE contact.audience_id = %(audience)s AND {_which('contact.id', listed)}"
    )
    held = "paused_until > %(at)s" if paused else "1 = 0"
    row = _Row(
        reason=f"COALESCE(refused, CASE WHEN {held} THEN 'paused' ELSE '' END)",
        until=f"CASE WHEN refused IS NULL AND {held} THEN {_iso('paused_until')} END" if paused else "NULL",
        suppressed=f"CASE WHEN refused IS NOT NULL OR {held} THEN 'true' ELSE 'false' END"
        if everybody
        else "",
        address=address,
    )
    wanted = "1 = 1" if everybody else f"(refused IS NOT NULL OR {held})"
    # OFFSET keeps PostgreSQL from judging everybody twice, for the reason and for whether there is one.
    lines = (
        f"SELECT {row.written(form)} AS line FROM ({judged} {_once()}) AS judged WHERE {wanted} ORDER BY id"  # noqa: S608
    )
    gather = "string_agg(line, '')" if connection.vendor == "postgresql" else "group_concat(line, '')"
    return f"SELECT {gather}, count(line) FROM ({lines}) AS lines"  # noqa: S608 - names and codes


def bound() -> str:
    """The last id of a piece behind `after`: `skip` is one less than its size."""
    return f"SELECT id FROM {_table(Contact)} WHERE id > %(after)s ORDER BY id LIMIT 1 OFFSET %(skip)s"  # noqa: S608


@lru_cache(maxsize=4)
def changed(paused: bool) -> str:
    """The ids, behind `after`, of who may have changed since: by a submission, by something noted, by having come - and
    by a yes, or a wait for one, that ended by itself. `made` is the first id of that moment.
    """
    contact, state, record = _table(Contact), _table(State), _table(Record)
    touches = "(topic = '' OR topic = %(topic)s) AND (channel = '' OR channel = %(channel)s)"
    sources = [
        f"SELECT contact_ref AS id FROM {record} WHERE at >= %(since)s",  # noqa: S608 - names
        f"SELECT id FROM {contact} WHERE touched_at >= %(since)s",  # noqa: S608 - names
        f"SELECT id FROM {contact} WHERE id >= %(made)s",  # noqa: S608 - names
        f"SELECT contact_id FROM {state} WHERE topic = %(topic)s AND channel = %(channel)s AND {_ended('choice_until')}",  # noqa: S608
    ]
    if paused:
        sources.append(f"SELECT contact_id FROM {state} WHERE {touches} AND {_ended('paused_until')}")  # noqa: S608
    return f"SELECT id FROM ({' UNION '.join(sources)}) AS changed WHERE id > %(after)s LIMIT %(most)s"  # noqa: S608


def _ended(moment: str) -> str:
    return f"{moment} > %(since)s AND {moment} <= %(at)s"


def _reason(by_mail: bool, transactional: bool, asks: str) -> str:
    """The code of the first rule that refuses, in the order of `rules.RULES`; NULL where none does."""
    said_yes = f"chosen.choice = '{SUBSCRIBED}'"
    rules = {
        "erased": "contact.erased_at IS NOT NULL",
        "merged": "contact.merged_into_id IS NOT NULL",
        **({"dead_address": "contact.email_dead_at IS NOT NULL"} if by_mail else {}),
    }
    if not transactional:
        rules |= {
            "suppressed": "contact.suppressed",
            "opted_out": f"everything.choice = '{UNSUBSCRIBED}'",
            "channel_refused": f"whole.choice = '{UNSUBSCRIBED}' AND ({said_yes}) IS NOT TRUE",
            "expired": f"{said_yes} AND NOT chosen.pending AND chosen.choice_until <= %(at)s",
            "unsubscribed": f"chosen.choice = '{UNSUBSCRIBED}'",
            "pending": f"chosen.pending AND chosen.choice <> '{SUBSCRIBED}'"
            " AND (chosen.choice_until IS NULL OR chosen.choice_until > %(at)s)",
            "no_consent": f"({said_yes}) IS NOT TRUE AND {asks}",
        }
    return f"CASE {' '.join(f'WHEN {holds} THEN {_text(code)}' for code, holds in rules.items())} END"


def _law(needing: Mapping[str, bool]) -> str:
    """Whether the law of her country asks for a yes, as `law.rules_for` reads the code of a country."""
    if len(set(needing.values())) == 1:
        return "1 = 1" if needing[""] else "1 = 0"
    postgres = connection.vendor == "postgresql"
    blanks = " || ".join(f"chr({code})" for code in _BLANKS.split(", ")) if postgres else f"char({_BLANKS})"
    # Other letters than those of ASCII are of no code: not the dotless i, which is an I in capitals.
    collation = ' COLLATE "C"' if postgres else ""
    code = f"upper(ltrim(rtrim(contact.country, {blanks}), {blanks}){collation})"
    region = (
        f"{code} ~ '^[A-Z]{{2}}-[A-Z0-9]{{1,3}}$'"
        if postgres
        else "(" + " OR ".join(f"{code} GLOB '[A-Z][A-Z]-{'[A-Z0-9]' * n}'" for n in (1, 2, 3)) + ")"
    )
    asking = [known for known, needed in needing.items() if needed and known]
    return (
        f"CASE WHEN {code} IN ({_texts(known for known in needing if known)}) THEN {_in(code, asking)}"
        f" WHEN {region} AND substr({code}, 1, 2) IN ({_texts(sorted(COUNTRIES))})"
        f" THEN {_in(f'substr({code}, 1, 2)', asking)} ELSE {'1 = 1' if needing[''] else '1 = 0'} END"
    )


def _in(code: str, codes: list[str]) -> str:
    return f"{code} IN ({_texts(codes)})" if codes else "1 = 0"


@dataclass(frozen=True)
class _Row:
    """The columns of a row as SQL; `suppressed` is "" where there is none."""

    reason: str
    until: str
    suppressed: str
    address: bool

    def written(self, form: Format) -> str:
        """The row as it stands in the file, with its end."""
        return self._csv() if form == "csv" else self._json()

    def _csv(self) -> str:
        cells = [_uuid("id"), _cell("external_id"), *([_cell("email")] if self.address else []), self.reason]
        cells += [f"COALESCE({self.until}, '')", *([self.suppressed] if self.suppressed else [])]
        return f"{_COMMA.join(cells)} || {_char(13)} || {_char(10)}"

    def _json(self) -> str:
        parts = {
            "contact": _quoted(_uuid("id")),
            "external_id": _json("external_id"),
            **({"email": _json("email")} if self.address else {}),
            "reason": _quoted(self.reason),
            "until": f"COALESCE({_quoted(self.until)}, 'null')",
            **({"suppressed": self.suppressed} if self.suppressed else {}),
        }
        joined = _COMMA.join(f"'\"{name}\":' || {part}" for name, part in parts.items())
        return f"'{{' || {joined} || '}}' || {_char(10)}"


def _quoted(text: str) -> str:
    return f"'\"' || {text} || '\"'"


def _cell(column: str) -> str:
    """A text as a cell. What is not plainly harmless stands as hexadecimal digits between two marks, for Python."""
    if connection.vendor == "postgresql":
        harmless = f"{column} COLLATE \"C\" ~ '^[A-Za-z0-9][A-Za-z0-9_.:/@ +-]*$'"
        digits = f"encode(convert_to({column}, 'UTF8'), 'hex')"
    else:
        harmless = f"{column} GLOB '[A-Za-z0-9]*' AND {column} NOT GLOB '*[^A-Za-z0-9_.:/@ +-]*'"
        digits = f"hex({column})"
    mark = _char(2)
    return f"CASE WHEN {column} = '' OR {harmless} THEN {column} ELSE {mark} || {digits} || {mark} END"


def _json(column: str) -> str:
    if connection.vendor == "postgresql":
        return f"CASE WHEN {column} = '' THEN '\"\"' ELSE to_json({column})::text END"
    return f"json_quote({column})"


def _join(name: str, key: tuple[str, str], listed: bool) -> str:
    topic, channel = (part or "''" for part in key)
    return (
        f"LEFT JOIN {_table(State)} AS {name} ON {name}.contact_id = contact.id"
        f" AND {name}.topic = {topic} AND {name}.channel = {channel}"
        # Said once more of each table: PostgreSQL concludes it of what is equal, but not of what is greater.
        + (f" AND {_which(f'{name}.contact_id', listed)}" if connection.vendor == "postgresql" else "")
    )


def _which(column: str, listed: bool) -> str:
    if not listed:
        return f"{column} > %(after)s AND {column} <= %(upto)s"
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%(ids)s::uuid[])"
    return f"{column} IN (SELECT value FROM json_each(%(ids)s))"  # noqa: S608 - a name


def _latest() -> str:
    ends = [f"{name}.paused_until" for name in ("everything", "whole", "topical")]
    if connection.vendor == "postgresql":
        return f"GREATEST({', '.join(ends)})"
    known = ", ".join(f"COALESCE({end}, '')" for end in ends)
    return f"NULLIF(max({known}), '')"


def _iso(moment: str) -> str:
    """A moment as `values.iso` writes it."""
    if connection.vendor == "postgresql":
        return f"""to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    whole = f"CASE WHEN length({moment}) = 19 THEN {moment} || '.000000' ELSE {moment} END"
    return f"replace({whole}, ' ', 'T') || 'Z'"


def _uuid(column: str) -> str:
    if connection.features.has_native_uuid_field:
        return f"CAST({column} AS text)"
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr({column}, {start}, {length})" for start, length in parts)


def _once() -> str:
    return "OFFSET 0" if connection.vendor == "postgresql" else ""


def _char(code: int) -> str:
    return f"chr({code})" if connection.vendor == "postgresql" else f"char({code})"


def _text(text: str) -> str:
    return f"'{text}'"


def _texts(texts: Iterable[str]) -> str:
    return ", ".join(map(_text, texts))


def _table(model: type[Contact | State | Record]) -> str:
    return connection.ops.quote_name(model._meta.db_table)
