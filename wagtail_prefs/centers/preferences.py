"""The preferences JSON (docs/reference/center-document.md): one contact's answers beside a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache

from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _, ngettext

from ..blocks.pause import day_it_ends
from ..blocks.words import CHANNEL_LABELS, in_order
from ..contacts.addresses import masked
from ..values import (
    CHANNELS,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Assurance,
    ContactState,
    Json,
    Key,
    Outlook,
    controls_of,
    scope_to_key,
)
from . import visibility
from .answers import initial_answers, pending_paths, today
from .values import Snapshot, remembered

#: What was recorded of a contact, the newest entries first, as many as asked for: [{title, when, lines, actions}].
Records = Callable[[int], list[Json]]


def preferences(
    snapshot: Snapshot,
    state: ContactState,
    email: str,
    *,
    assurance: Assurance = "link",
    records: Records | None = None,
    shared: Collection[str] = (),
) -> Json:
    """What element and page draw for this contact. The address is masked whatever the assurance (security.md TK-08).

    `shared` are the topics that her browser's privacy signal says no to: they are drawn as off, and the outlook says so.
    `records` is called where a block of the page shows what was recorded, once, and nowhere else.
    """
    state = _off(today(state), shared)
    answers, pending = initial_answers(snapshot, state), pending_paths(snapshot, state)
    private: Json = {}
    hidden: list[str] = []
    if not visibility.is_same_for_all(snapshot):
        hidden = visibility.hidden(snapshot, state)
        private = visibility.private_rows(snapshot, state)
        answers = visibility.told(snapshot, answers, hidden, assurance)
        pending = [path for path in pending if path.partition(".")[0] not in hidden]
        if assurance == "fresh":
            hidden = [*hidden, *visibility.step_ups(snapshot)]
    return {
        "version": state.version,
        "revision": snapshot.digest,
        "assurance": assurance,
        "contact": {"email": masked(email)},
        "answers": answers,
        "pending": pending,
        "private": private,
        "hidden": hidden,
        "records": _records(snapshot, hidden, records) if records else {},
        "outlook": [sentence.to_json() for sentence in outlook(snapshot, state, signal=bool(shared))],
    }


def _records(snapshot: Snapshot, hidden: list[str], records: Records) -> Json:
    """The entries of each block that shows some, as many as its editor wants."""
    wanted = {
        block_id: entries for block_id, entries in _looking_back(snapshot).items() if block_id not in hidden
    }
    if not wanted:
        return {}
    found = records(max(wanted.values()))
    return {block_id: found[:entries] for block_id, entries in wanted.items()}


@remembered
def _looking_back(snapshot: Snapshot) -> dict[str, int]:
    """The blocks that show what was recorded, with the number of their entries."""
    return {
        spec.block_id: int(spec.rules.get("entries", 10))
        for spec in snapshot.specs
        if spec.rules.get("records")
    }


def _off(state: ContactState, topics: Collection[str]) -> ContactState:
    """The state with every yes to these topics, and every wait for one, as a no."""
    if not topics:
        return state
    return replace(
        state,
        choices={key: UNSUBSCRIBED if key[0] in topics else value for key, value in state.choices.items()},
        pending=frozenset(key for key in state.pending if key[0] not in topics),
    )


def outlook(snapshot: Snapshot, state: ContactState, *, signal: bool = False) -> list[Outlook]:
    """What will come now: a sentence for each pause and each channel, in the snapshot's language.

    `signal`: her browser asks that her data is not sold or shared, and there are topics that this is about.
    """
    state = today(state)
    honoured: list[Outlook] = []
    if signal:
        with translation.override(snapshot.locale):
            honoured = [Outlook(_("Your browser’s opt-out signal is honoured."), "gpc")]
    if state.opted_out:
        with translation.override(snapshot.locale):
            return [Outlook(_("You get no marketing from us."), "opted_out"), *honoured]
    return _what_comes(snapshot, state) + honoured


def _what_comes(snapshot: Snapshot, state: ContactState) -> list[Outlook]:
    paused = _pauses(snapshot, state) if state.pauses else []
    got = {key for key, value in state.choices.items() if value == SUBSCRIBED} - state.pending
    return paused + [
        Outlook(
            _sentence(snapshot.locale, channel, sum(key in got for key in offered), len(offered)), "topics"
        )
        for channel, offered in _offered(snapshot, _closed(snapshot, state))
    ]


def _pauses(snapshot: Snapshot, state: ContactState) -> list[Outlook]:
    """One sentence for each pause: of everything, of the channels, of the topics that this page names."""
    names = {("", ""): "", **{("", channel): "" for channel in CHANNELS}, **_topics(snapshot)}
    return [
        Outlook(
            _paused(snapshot.locale, key, name, day_it_ends(state.pauses[key].until, state.timezone)), "pause"
        )
        for key, name in names.items()
        if key in state.pauses
    ]


@remembered
def _topics(snapshot: Snapshot) -> dict[Key, str]:
    """The topics that everybody sees on a page, or can pause there, with their names."""
    found: dict[Key, str] = {}
    for spec in snapshot.specs:
        chosen = {path.split(":")[1] for path in spec.paths if path.startswith("choice:")}
        for control in controls_of(spec.document):
            rows = control["rows"] if control["type"] == "matrix" else ()
            found |= {(row["key"], ""): row["label"] for row in rows if row["key"] in chosen}
        for scope, name in spec.rules.get("scopes", {}).items() if spec.type == "pause" else ():
            if scope.startswith("topic:"):
                found[scope_to_key(scope)] = name
    return found


def _closed(snapshot: Snapshot, state: ContactState) -> frozenset[str]:
    """The blocks, and rows as `block.topic`, that are not for this contact."""
    if visibility.is_same_for_all(snapshot):
        return frozenset()
    return frozenset(
        [
            *visibility.hidden(snapshot, state),
            *(
                f"{spec.block_id}.{row['key']}"
                for spec in snapshot.specs
                for row in visibility.closed_rows(spec, state)
            ),
        ]
    )


def _offered(snapshot: Snapshot, closed: Collection[str]) -> Iterator[tuple[str, Sequence[Key]]]:
    """What this contact can choose on a page, by channel in the order in which people meet them."""
    for channel, offered in _choices(snapshot):
        keys = (
            [
                key
                for block_id, key in offered
                if block_id not in closed and f"{block_id}.{key[0]}" not in closed
            ]
            if closed
            else [key for _block_id, key in offered]
        )
        if keys:
            yield channel, keys


@remembered
def _choices(snapshot: Snapshot) -> list[tuple[str, list[tuple[str, Key]]]]:
    """[(channel, [(block id, choice)])] of all that a page offers to anybody."""
    found: dict[str, list[tuple[str, Key]]] = {}
    for spec in snapshot.specs:
        for path in spec.paths:
            kind, _colon, rest = path.partition(":")
            topic, _colon, channel = rest.rpartition(":")
            if kind == "choice" and topic and channel in CHANNEL_LABELS:
                found.setdefault(channel, []).append((spec.block_id, (topic, channel)))
    return [(channel, found[channel]) for channel in in_order(found, CHANNELS)]


@lru_cache(maxsize=1024)  # few sentences, and translating one takes longer than reading a contact's rows
def _sentence(locale: str, channel: str, chosen: int, offered: int) -> str:
    with translation.override(locale):
        text = ngettext(
            "%(channel)s: you get %(chosen)s of %(offered)s topic.",
            "%(channel)s: you get %(chosen)s of %(offered)s topics.",
            offered,
        )
        return text % {"channel": CHANNEL_LABELS[channel], "chosen": chosen, "offered": offered}


@lru_cache(maxsize=1024)
def _paused(locale: str, key: Key, name: str, day: date) -> str:
    with translation.override(locale):
        until = date_format(day, "DATE_FORMAT")
        if key == ("", ""):
            return _("Paused until %(day)s.") % {"day": until}
        what = CHANNEL_LABELS[key[1]] if key[1] else name
        return _("%(what)s: paused until %(day)s.") % {"what": what, "day": until}
