"""The words everything else is made of: JSON, scopes, frequencies, channels, moments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

#: A JSON object at a border.
Json = dict[str, Any]
#: A rich-text tree: a list of strings and [tag, {attributes}, *children] (docs/reference/center-document.md).
Tree = list[Any]
#: (topic key or "", channel or "")
Key = tuple[str, str]
#: {block id: {control: answer}}
Answers = Mapping[str, Mapping[str, Any]]

#: The caps a contact can pick, from the most mail to the least.
FREQUENCIES = ("as_it_happens", "daily", "weekly", "fortnightly", "monthly", "quarterly")
#: The channels there are, in the order people meet them.
CHANNELS = ("email", "sms", "push", "in_app", "post", "phone")

#: Stands for a country where programs name different ones: no country, so that the strictest law holds, and none that is
#: filled in from a file. Only she ends it, by saying where she lives. (CLDR's code for an unknown region.)
DISPUTED = "ZZ"

SUBSCRIBED = "subscribed"
UNSUBSCRIBED = "unsubscribed"
#: A yes that its owner has not confirmed: asked for, and no consent.
PENDING = "pending"
ChoiceValue = Literal["subscribed", "unsubscribed"]
Assurance = Literal["link", "fresh"]


def scope_to_key(scope: str) -> Key:
    """`topic:news` -> ("news", ""); raises ValueError for what is no scope."""
    if scope == "all":
        return ("", "")
    kind, _, name = scope.partition(":")
    if name and kind == "topic":
        return (name, "")
    if name and kind == "channel":
        return ("", name)
    raise ValueError("not a scope")


def key_to_scope(key: Key) -> str:
    """The inverse of `scope_to_key`."""
    topic, channel = key
    if topic:
        return f"topic:{topic}"
    return f"channel:{channel}" if channel else "all"


def iso(moment: datetime) -> str:
    """UTC ISO-8601 with microseconds and Z, the one form in which a moment is written. Raises ValueError without a zone."""
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain(value: Any) -> bool:
    """Whether this can be an attribute: text, a whole number, a truth, a list of texts - or the commitment to one."""
    if isinstance(value, str | bool | int):
        return isinstance(value, str | bool) or abs(value) < 2**53
    if isinstance(value, list | tuple):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, dict) and value.keys() == {"committed"}
