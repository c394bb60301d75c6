"""The preferences JSON (docs/reference/center-document.md): one contact's answers beside a snapshot."""

from __future__ import annotations

from functools import lru_cache

from django.utils import translation
from django.utils.translation import gettext as _, ngettext

from ..blocks.words import CHANNEL_LABELS, in_order
from ..contacts.addresses import masked
from ..values import CHANNELS, SUBSCRIBED, Assurance, ContactState, Json, Key, Outlook
from . import visibility
from .answers import initial_answers, pending_paths, today
from .values import Snapshot


def preferences(
    snapshot: Snapshot, state: ContactState, email: str, *, assurance: Assurance = "link"
) -> Json:
    """What element and page draw for this contact. The address is masked whatever the assurance (security.md TK-08)."""
    state = today(state)
    answers, pending = initial_answers(snapshot, state), pending_paths(snapshot, state)
    private: Json = {}
    hidden: list[str] = []
    if not visibility.is_same_for_all(snapshot):
        hidden = visibility.hidden(snapshot, state)
        private = visibility.private_rows(snapshot, state)
        answers = visibility.told(snapshot, answers, hidden, assurance)
        pending = [path for path in pending if path.partition(".")[0] not in hidden]
    return {
        "version": state.version,
        "revision": snapshot.digest,
        "assurance": assurance,
        "contact": {"email": masked(email)},
        "answers": answers,
        "pending": pending,
        "private": private,
        "hidden": hidden,
        "records": {},
        "outlook": [sentence.to_json() for sentence in outlook(snapshot, state)],
    }


def outlook(snapshot: Snapshot, state: ContactState) -> list[Outlook]:
    """What will come now, in one sentence for each channel, in the snapshot's language."""
    state = today(state)
    if state.opted_out:
        with translation.override(snapshot.locale):
            return [Outlook(_("You get no marketing from us."), "opted_out")]
    got = {key for key, value in state.choices.items() if value == SUBSCRIBED} - state.pending
    return [
        Outlook(
            _sentence(snapshot.locale, channel, sum(key in got for key in offered), len(offered)), "topics"
        )
        for channel, offered in _offered(snapshot, _closed(snapshot, state))
    ]


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


@lru_cache(maxsize=512)
def _offered(snapshot: Snapshot, closed: frozenset[str]) -> tuple[tuple[str, tuple[Key, ...]], ...]:
    """What can be chosen on a page, by channel in the order in which people meet them."""
    found: dict[str, list[Key]] = {}
    for spec in snapshot.specs:
        if spec.block_id in closed:
            continue
        for path in spec.paths:
            kind, _colon, rest = path.partition(":")
            topic, _colon, channel = rest.rpartition(":")
            if f"{spec.block_id}.{topic}" in closed:
                continue
            if kind == "choice" and channel in CHANNEL_LABELS:
                found.setdefault(channel, []).append((topic, channel))
    return tuple((channel, tuple(found[channel])) for channel in in_order(found, CHANNELS))


@lru_cache(maxsize=1024)  # few sentences, and translating one takes longer than reading a contact's rows
def _sentence(locale: str, channel: str, chosen: int, offered: int) -> str:
    with translation.override(locale):
        text = ngettext(
            "%(channel)s: you get %(chosen)s of %(offered)s topic.",
            "%(channel)s: you get %(chosen)s of %(offered)s topics.",
            offered,
        )
        return text % {"channel": CHANNEL_LABELS[channel], "chosen": chosen, "offered": offered}
