"""The paths of a state, as records name them, and what stands at each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...values import ContactState, Key, iso, key_to_scope, scope_to_key

OPTED_OUT = "opted_out"


def choice(key: Key) -> str:
    return f"choice:{key[0]}:{key[1]}"


def channel(name: str) -> str:
    """The path of what was said about a channel as a whole."""
    return choice(("", name))


def pending(key: Key) -> str:
    return f"pending:{key[0]}:{key[1]}"


def frequency(key: Key) -> str:
    return f"frequency:{key_to_scope(key)}"


def pause(key: Key) -> str:
    return f"pause:{key_to_scope(key)}"


def split(path: str) -> tuple[str, str]:
    """(kind, what it is about): ("choice", "news:email"), ("opted_out", "")."""
    kind, _, rest = path.partition(":")
    return kind, rest


def key_of(path: str) -> Key:
    """Topic and channel that a path is about, "" where it is about all; ("", "") for the contact as a whole."""
    kind, rest = split(path)
    if kind in {"choice", "pending"}:
        topic, _, channel = rest.rpartition(":")
        return (topic, channel)
    if kind in {"frequency", "pause"}:
        return scope_to_key(rest)
    return ("", "")


def recorded(state: ContactState) -> Mapping[str, tuple[Any, datetime | None]]:
    """Everything a state says, as the ledger records it: {path: (value, until)}; absent paths are left out."""
    found: dict[str, tuple[Any, datetime | None]] = {}
    if state.opted_out:
        found[OPTED_OUT] = (True, None)
    for key, value in state.choices.items():
        found[choice(key)] = (value, state.until.get(key) if key not in state.pending else None)
    for key in state.pending:
        found[pending(key)] = (True, state.until.get(key))
    for key, code in state.frequencies.items():
        found[frequency(key)] = (code, None)
    for key, entry in state.pauses.items():
        found[pause(key)] = (iso(entry.until), None)
    for name, value in state.attributes.items():
        found[f"attribute:{name}"] = (value, None)
    for name, sha256 in state.notices.items():
        found[f"notice:{name}"] = (sha256, None)
    if state.suppressed:
        found["suppressed"] = (True, None)
    if state.erased:
        found["erased"] = (True, None)
    if state.merged_into:
        found["merged_into"] = (str(state.merged_into), None)
    return found
