"""For platforms where frequency and pause are fields that the site owner makes: which field holds what.

A scope has a field, and the field holds the strictest wish that concerns it: `topic:news` the rarest frequency and the
longest pause of everything, of the channel and of the topic itself. So a segment for the newsletter looks at one field.

    "FREQUENCY_FIELDS": {"all": "pref_freq", "topic:news": "pref_freq_news"},
    "PAUSE_FIELDS": {"all": "pref_paused_until"},

Who obeys them is for the site to say (ENFORCES): the platform only keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.translation import gettext as _

from ..values import (
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    ChangeBatch,
    Key,
    PauseStyle,
    Support,
    Target,
    key_to_scope,
    scope_to_key,
)
from .answers import parse_moment
from .base import Option, declared
from .desired import is_out
from .http import OWN_NETWORK, HttpBackend
from .mapping import ATTRIBUTES, FREQUENCY_VALUES, TOPICS

#: For the `known_options` of such a platform.
FIELDS: Mapping[str, Option] = {
    **TOPICS,
    **FREQUENCY_VALUES,
    **ATTRIBUTES,
    "FREQUENCY_FIELDS": Option(dict, "{scope: field over there}: all, channel:email, topic:news", default={}),
    "PAUSE_FIELDS": Option(dict, "{scope: field over there} of the day a pause ends", default={}),
    "ENFORCES": Option((list, tuple), "what your segments over there go by", default=()),
}


#: A yes that is older when it is written may have been overtaken over there: the platform was away, an answer was lost.
RECENT = timedelta(minutes=1)


class FieldsBackend(HttpBackend):
    """Subclass it as `HttpBackend`; `field_values` gives what a plan writes, `read_fields` what was found there."""

    max_answer = 4 * 1024 * 1024

    known_options: ClassVar[Mapping[str, Option]] = {
        **HttpBackend.known_options,
        **OWN_NETWORK,
        **FIELDS,
        "URL": Option(str, "another address than the platform's own: a proxy, a test", default=""),
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self._where = f'WAGTAIL_PREFS["BACKENDS"]["{alias}"]["OPTIONS"]'
        self.frequency_fields = self._scopes("FREQUENCY_FIELDS")
        self.pause_fields = self._scopes("PAUSE_FIELDS")
        names = [
            *self.frequency_fields.values(),
            *self.pause_fields.values(),
            *self.mapping.attribute_names().values(),
        ]
        if len(set(names)) < len(names):
            raise self._wrong("ATTRIBUTES, FREQUENCY_FIELDS, PAUSE_FIELDS", "name a field twice")
        self._fields = {"frequency": self.frequency_fields, "pause": self.pause_fields}
        self.capabilities = self._narrowed()

    def _narrowed(self) -> Any:
        """The capabilities without what these options give no place to, and with what the site obeys."""
        found = declared(self.capabilities, self.options["ENFORCES"])
        if not self.frequency_fields:
            found = replace(found, frequency=Support.NONE)
        if not self.pause_fields and found.pause_style is PauseStyle.ATTRIBUTE:
            found = replace(found, pause=Support.NONE, pause_style=PauseStyle.NONE)
        if not self.mapping.attribute_names():
            found = replace(found, attributes=Support.NONE)
        return found

    # --- for a vendor's module to override ---------------------------------------------------------------------------

    def pause_value(self, until: datetime, day: str) -> Any:
        """The end of a pause as the platform keeps it. `day` is the day she may be written to again, where she lives."""
        return day

    def parse_pause(self, value: Any) -> datetime | None:
        """The inverse of `pause_value`; None for what is no end of a pause."""
        return parse_moment(value)

    # --- what is new -------------------------------------------------------------------------------------------------

    def is_new(self, target: Target, since: Sequence[ChangeBatch], path: str) -> bool:
        """Whether the platform has not heard what stands at a path of the state: never told, or told once more."""
        return target.state.versions.get(path, 0) > self.heard(target, since)

    def heard(self, target: Target, since: Sequence[ChangeBatch]) -> int:
        """The version of the contact up to which the platform has heard; -1: nothing, or all is to be told once more."""
        if has_moved(target, since):
            return -1  # at her new address nobody has heard anything
        return heard_of_her(target, since)

    def yeses(self, target: Target, since: Sequence[ChangeBatch]) -> dict[Key, str]:
        """{(topic, channel): id over there} of each yes that the platform has not heard. Who left by its own link is not
        brought back by anything but her own new yes: not by a change of her address either, where she stays the same.
        """
        told = (heard_of_her if self.stays(target) else self.heard)(target, since)
        versions = target.state.versions
        return {
            key: remote
            for key, remote in self.mapping.pairs().items()
            if target.subscribed(*key) and versions.get(f"choice:{key[0]}:{key[1]}", 0) > told
        }

    def stays(self, target: Target) -> bool:
        """Whether the platform knows her by something that stays when her address changes, with all that she said."""
        return False

    def noes(self, target: Target, since: Sequence[ChangeBatch]) -> dict[Key, str]:
        """{(topic, channel): id over there} of each no that the platform has not heard, and of each yes taken back.

        After "unsubscribe from all" these are those that she was asked about. What was never asked is no no, unless she said
        no to the channel as a whole.
        """
        state, told = target.state, self.heard(target, since)
        versions = state.versions
        found = {}
        for key, remote in self.mapping.pairs().items():
            if target.subscribed(*key):
                continue
            path = f"choice:{key[0]}:{key[1]}"
            # A path that has a version and no value is a yes that was undone, or one that waits to be confirmed.
            asked = key in state.choices or path in versions
            left = state.choices.get(("", key[1])) == UNSUBSCRIBED
            new = versions.get(path, 0) > told or (left and versions.get(f"choice::{key[1]}", 0) > told)
            if (asked or left) and new:
                found[key] = remote
        return found

    def refuses(self, target: Target, channel: str) -> bool:
        """Whether she has said no to a channel as a whole, and yes to nothing on it since."""
        return target.state.choices.get(("", channel)) == UNSUBSCRIBED and not any(
            target.subscribed(*key) for key in self.mapping.pairs() if key[1] == channel
        )

    def leaves_channel(self, target: Target, since: Sequence[ChangeBatch], channel: str) -> bool:
        """Whether she has said no to a channel as a whole, and the platform has not heard that."""
        return self.refuses(target, channel) and self.is_new(target, since, f"choice::{channel}")

    def refusals(self, target: Target) -> dict[Key, str]:
        """{(topic, channel): id over there} of every no that stands, heard or not."""
        choices = target.state.choices
        return {
            key: remote
            for key, remote in self.mapping.pairs().items()
            if choices.get(key) == UNSUBSCRIBED or (is_out(target.state) and choices.get(key) == SUBSCRIBED)
        }

    def evidence(self, target: Target, topic: str, channel: str) -> str:
        """What names the ledger record of a choice: nothing personal, and short enough for any field."""
        version = target.state.versions.get(f"choice:{topic}:{channel}", target.state.version)
        return f"prefs:{target.state.id}#{version}"

    def said_at(self, target: Target, since: Sequence[ChangeBatch], keys: Iterable[Key]) -> datetime | None:
        """When she last said something about one of these topics and channels; None where that is not known any more."""
        versions = target.state.versions
        return moment_of(
            since, max((versions.get(f"choice:{topic}:{channel}", 0) for topic, channel in keys), default=0)
        )

    def given_at(self, target: Target, since: Sequence[ChangeBatch], key: Key) -> datetime | None:
        """When she last said yes to a topic, or moved: that is a word of hers, too, for what she has at her new address.
        What became a no over there after it stands. None where nobody knows: then whatever no is there stands.
        """
        moments = [self.said_at(target, since, [key])]
        if has_moved(target, since):
            moments.append(self.moved_at(since))
        return max((moment for moment in moments if moment), default=None)

    def moved_at(self, since: Sequence[ChangeBatch]) -> datetime | None:
        """When her address changed last, of what the platform has not heard."""
        moments = [batch.at for batch in since for effect in batch.effects if effect.path == "address:email"]
        return max(moments, default=None)

    # --- fields ------------------------------------------------------------------------------------------------------

    def field_values(
        self, target: Target, since: Sequence[ChangeBatch], *, everything: bool = False
    ) -> dict[str, Any]:
        """{field: value} of attributes, frequencies and pauses that the platform has not heard; None: taken back.

        With `everything` all that was ever said: for somebody whom the platform may not have known until now.
        """
        after = -1 if everything else self.heard(target, since)
        names = self.mapping.attribute_names()
        state = target.state
        told = {
            remote
            for name, remote in names.items()
            if state.versions.get(f"attribute:{name}", 0 if name in state.attributes else -1) > after
        }
        values = {name: value for name, value in self.mapping.attributes(target).items() if name in told}
        for key, field in self.frequency_fields.items():
            if self._any_since(target, after, "frequency", key, state.frequencies):
                values[field] = self._frequency(target, key)
        for key, field in self.pause_fields.items():
            if self._any_since(target, after, "pause", key, state.pauses):
                values[field] = self._pause(target, key)
        return values

    def read_fields(
        self, values: Mapping[str, Any], contact: Target
    ) -> tuple[dict[Key, str], dict[Key, datetime | None], dict[str, Any]]:
        """Frequencies, pauses and attributes, in our words, of fields as they were read.

        What a field holds is hers, with her own scope, where it is what we would write there; else it is of the field's.
        """
        frequencies: dict[Key, str] = {}
        pauses: dict[Key, datetime | None] = {}
        state = contact.state
        for key, field in self.frequency_fields.items():
            value = values.get(field)
            if value in (None, ""):
                continue
            if value == self._frequency(contact, key):
                scope = self._rarest(contact, key)
                frequencies[scope] = state.frequencies[scope]
            elif (code := self._code(value)) is not None:
                frequencies[key] = code
        for key, field in self.pause_fields.items():
            until = self.parse_pause(values.get(field)) if values.get(field) not in (None, "") else None
            if until is None:
                continue
            if values.get(field) == self._pause(contact, key):
                scope = self._longest(contact, key)
                pauses[scope] = state.pauses[scope].until
            else:
                pauses[key] = until
        attributes = {
            name: values[remote]
            for name, remote in self.mapping.attribute_names().items()
            if values.get(remote) not in (None, "")
        }
        return frequencies, pauses, attributes

    def keeps(self, concept: str, scope: Key, topic: str, channel: str) -> bool:
        place = self._place(concept, topic, channel)
        if place is None:
            return concept not in self._fields
        return scope in self._concerning(place)

    def describe_field(self, concept: str, topic: str, channel: str) -> str:
        place = self._place(concept, topic, channel)
        return self._fields[concept][place] if place is not None else ""

    def describe_topic(self, key: str) -> str:
        """With the fields that a segment for it looks at: `Interest 1a2b; how often: PFREQ; paused until: PPAUSE`."""
        words = super().describe_topic(key)
        if not words:
            return ""
        channels = [channel for topic, channel in self.mapping.pairs() if topic == key]
        for concept, label in (("frequency", _("how often: %s")), ("pause", _("paused until: %s"))):
            fields = dict.fromkeys(
                field for channel in channels if (field := self.describe_field(concept, key, channel))
            )
            if fields:
                words = f"{words}; {label % ', '.join(fields)}"
        return words

    # --- how ---------------------------------------------------------------------------------------------------------

    def _scopes(self, option: str) -> dict[Key, str]:
        """{(topic, channel): field} of an option."""
        found: dict[Key, str] = {}
        for scope, field in self.options.get(option, {}).items():
            try:
                topic, channel = key = scope_to_key(scope)
            except (ValueError, AttributeError):
                raise self._wrong(option, "has scopes as keys: all, channel:email, topic:news") from None
            if channel and channel not in self.capabilities.channels:
                raise self._wrong(option, f"has channels among {', '.join(self.capabilities.channels)}")
            if topic and topic not in self.mapping.topics():
                raise self._wrong(option, f"names the topic {topic}, which TOPICS does not have")
            if not isinstance(field, str) or not field.strip() == field != "" or not field.isprintable():
                raise self._wrong(option, "must name a field over there")
            found[key] = field
        return found

    def _wrong(self, option: str, problem: str) -> ImproperlyConfigured:
        return ImproperlyConfigured(f"{self._where}: {option}: {problem}.")

    def _place(self, concept: str, topic: str, channel: str) -> Key | None:
        """Whose field a segment for a topic on a channel looks at: the narrowest that there is."""
        fields = self._fields.get(concept, {})
        return next((key for key in ((topic, ""), ("", channel), ("", "")) if key in fields), None)

    def _concerning(self, key: Key) -> Iterator[Key]:
        """The scopes whose wishes concern all of a scope, the widest first."""
        topic, channel = key
        yield ("", "")
        channels = self.capabilities.channels
        if channel or len(channels) == 1:
            yield ("", channel or channels[0])
        if topic:
            yield (topic, "")

    def _any_since(self, target: Target, after: int, word: str, key: Key, said: Mapping[Key, object]) -> bool:
        """Whether something that concerns a scope was said, or taken back, after a version."""
        versions = target.state.versions
        return any(
            versions.get(f"{word}:{key_to_scope(scope)}", 0 if scope in said else -1) > after
            for scope in self._concerning(key)
        )

    def _rarest(self, target: Target, key: Key) -> Key:
        said = target.state.frequencies
        scopes = [scope for scope in self._concerning(key) if said.get(scope) in FREQUENCIES]
        return max(scopes, key=lambda scope: FREQUENCIES.index(said[scope]))

    def _frequency(self, target: Target, key: Key) -> str | int | None:
        try:
            code = target.state.frequencies[self._rarest(target, key)]
        except ValueError:  # nothing is said
            return None
        value = self.mapping.frequency(code)
        return code if value is None else value

    def _code(self, value: Any) -> str | None:
        """The frequency of a value, also of one that came back as a text."""
        code = self.mapping.code(value)
        if code is None and isinstance(value, str) and value.isascii() and value.isdigit():
            code = self.mapping.code(int(value))
        return code if code is not None else (value if value in FREQUENCIES else None)

    def _longest(self, target: Target, key: Key) -> Key:
        pauses = target.state.pauses
        return max(
            (scope for scope in self._concerning(key) if scope in pauses),
            key=lambda scope: pauses[scope].until,
        )

    def _pause(self, target: Target, key: Key) -> Any:
        try:
            until = target.state.pauses[self._longest(target, key)].until
        except ValueError:  # none
            return None
        return self.pause_value(until, local_day(until, target.state.timezone))


def is_late(given: object) -> bool:
    """Whether a yes is to be looked up before it is written. `given`: its moment as a payload has it, "" unknown."""
    moment = parse_moment(given)
    return moment is None or moment < timezone.now() - RECENT


def has_moved(target: Target, since: Sequence[ChangeBatch]) -> bool:
    """Whether she goes by another address than when the platform last heard of her."""
    return bool(target.retired) or bool(getattr(since, "moved", False))


def moment_of(since: Sequence[ChangeBatch], version: int) -> datetime | None:
    """When a version of hers was made; None where that is not known any more."""
    moment: Callable[[int], datetime | None] | None = getattr(since, "moment", None)
    if moment is not None:  # what the engine passes knows it without reading what was said
        return moment(version)
    return next((batch.at for batch in since if batch.version == version), None)


def heard_of_her(target: Target, since: Sequence[ChangeBatch]) -> int:
    """As `FieldsBackend.heard`, where the platform knows her by something that stays when her address changes."""
    state = target.state
    after: int | None = getattr(
        since, "after", None
    )  # what the engine passes knows it without reading the ledger
    if after is None:
        after = min((batch.version for batch in since), default=state.version + 1) - 1
    if after < state.version:
        return after
    # Nothing has changed: a pause has ended, or all is brought over once more.
    return after if target.ended else -1


def local_day(until: datetime, zone: str) -> str:
    """The day of a moment in her time zone. A pause ends when that day begins: on it she may be written to again."""
    try:
        local = until.astimezone(ZoneInfo(zone) if zone else timezone.get_default_timezone())
    except (ValueError, KeyError, OSError):
        local = until.astimezone(timezone.get_default_timezone())
    return local.date().isoformat()
