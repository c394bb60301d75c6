"""What our topics, frequencies and attributes are called over there, from a backend's `OPTIONS`.

Read at start, so that a mistake stops the site and not a visitor's save; whether the ids exist over there is
`Backend.check`'s to find out.
"""

from __future__ import annotations

import math
import re
from collections import abc
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from ..values import FREQUENCIES, Key, Target, TopicModel
from .base import Backend, Option

#: For the `known_options` of a backend that maps: `{**HttpBackend.known_options, **TOPICS, **ATTRIBUTES}`.
TOPICS: abc.Mapping[str, Option] = {
    "TOPICS": Option(
        dict, "{topic key: {channel: id over there}}, or {topic key: id} where there is one channel"
    ),
}
FREQUENCY_VALUES: abc.Mapping[str, Option] = {
    "FREQUENCIES": Option(dict, "{frequency code: value over there}", default={}),
}
ATTRIBUTES: abc.Mapping[str, Option] = {
    "ATTRIBUTES": Option(dict, '{attribute: name over there, or {"name": …, "type": …}}', default={}),
}

_KEY = re.compile(r"[a-z0-9_-]+")
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?", re.ASCII)


class Misfit(ValueError):
    """A value that cannot become what the platform wants."""


class Mapping:
    """The mapping of one backend. Raises ImproperlyConfigured, naming the option."""

    def __init__(
        self, alias: str, options: abc.Mapping[str, Any], channels: abc.Sequence[str] = ("email",)
    ) -> None:
        self._where = f'WAGTAIL_PREFS["BACKENDS"]["{alias}"]["OPTIONS"]'
        self._channels = tuple(channels)
        self._pairs = self._read_topics(options.get("TOPICS", {}))
        self._frequencies = self._read_frequencies(options.get("FREQUENCIES", {}))
        self._attributes = self._read_attributes(options.get("ATTRIBUTES", {}))
        self._keys = {remote: key for key, remote in self._pairs.items()}

    # --- topics ------------------------------------------------------------------------------------------------------

    def remote(self, topic: str, channel: str) -> str | None:
        """The id over there of a topic on a channel; None where the platform is not to hear of it."""
        return self._pairs.get((topic, channel))

    def key(self, remote: str | int) -> Key | None:
        """The inverse of `remote`: (topic, channel) of an id over there."""
        return self._keys.get(str(remote))

    def pairs(self) -> dict[Key, str]:
        """{(topic, channel): id over there} of all that is mapped, sorted."""
        return dict(self._pairs)

    def topics(self) -> set[str]:
        """The topic keys that the mapping names."""
        return {topic for topic, _channel in self._pairs}

    def unmapped(self, pairs: Iterable[Key]) -> list[Key]:
        """Which of these (topic, channel) pairs the platform does not hear of, sorted."""
        return sorted({pair for pair in pairs if pair not in self._pairs})

    # --- frequencies -------------------------------------------------------------------------------------------------

    def frequency(self, code: str) -> str | int | None:
        """The value over there of a frequency; None where it is not mapped."""
        return self._frequencies.get(code)

    def code(self, value: str | int) -> str | None:
        """The inverse of `frequency`: of several codes for one value the rarest."""
        codes = [
            code for code in FREQUENCIES if code in self._frequencies and self._frequencies[code] == value
        ]
        return codes[-1] if codes else None

    # --- attributes --------------------------------------------------------------------------------------------------

    def attributes(self, target: Target) -> dict[str, Any]:
        """{name over there: value in the type wanted there} of the mapped attributes; None: she took it back.

        What she never said is left out, so that nothing is emptied that somebody else wrote there. What does not fit
        its type is left out as well: `misfits` names it.
        """
        return self._coerced(target)[0]

    def misfits(self, target: Target) -> list[str]:
        """The attributes, by our names, whose values cannot become what the platform wants. See `HttpBackend.execute`."""
        return self._coerced(target)[1]

    def attribute_names(self) -> dict[str, str]:
        """{our name: name over there} of all that is mapped."""
        return {name: remote for name, (remote, _coerce) in self._attributes.items()}

    def _coerced(self, target: Target) -> tuple[dict[str, Any], list[str]]:
        state = target.state
        values: dict[str, Any] = {}
        misfits = []
        for name, (remote, coerce) in self._attributes.items():
            if name in state.attributes:
                try:
                    values[remote] = coerce(state.attributes[name])
                except Misfit:
                    misfits.append(name)
            elif f"attribute:{name}" in state.versions:
                values[remote] = None
        return values, misfits

    # --- reading the options -----------------------------------------------------------------------------------------

    def _read_topics(self, option: abc.Mapping[Any, Any]) -> dict[Key, str]:
        pairs: dict[Key, str] = {}
        for topic, given in option.items():
            where = f"TOPICS, topic {topic!r}"
            if not isinstance(topic, str) or not _KEY.fullmatch(topic):
                raise self._wrong("TOPICS", "a key of a topic is of small letters, digits, - and _")
            for channel, remote in self._by_channel(where, given).items():
                if channel not in self._channels:
                    raise self._wrong(where, f"has channels among {', '.join(self._channels)}")
                pairs[topic, channel] = self._remote_id(where, remote)
        self._once("TOPICS", pairs.values())
        return dict(sorted(pairs.items()))

    def _by_channel(self, where: str, given: Any) -> abc.Mapping[Any, Any]:
        if isinstance(given, abc.Mapping):
            return given
        if len(self._channels) != 1:
            raise self._wrong(where, "must be {channel: id}: this backend has several channels")
        return {self._channels[0]: given}

    def _read_frequencies(self, option: abc.Mapping[Any, Any]) -> dict[str, str | int]:
        for code, value in option.items():
            if code not in FREQUENCIES:
                raise self._wrong("FREQUENCIES", f"knows {', '.join(FREQUENCIES)}")
            if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
                raise self._wrong(f"FREQUENCIES, {code!r}", "must be a text or a whole number")
        return dict(option)

    def _read_attributes(self, option: abc.Mapping[Any, Any]) -> dict[str, tuple[str, Callable[[Any], Any]]]:
        found: dict[str, tuple[str, Callable[[Any], Any]]] = {}
        for name, given in option.items():
            if not isinstance(name, str) or not name:
                raise self._wrong("ATTRIBUTES", "has names of attributes as keys")
            where = f"ATTRIBUTES, {name!r}"
            entry = {"name": given} if isinstance(given, str) else given
            if not isinstance(entry, abc.Mapping) or not {"name"} <= set(entry) <= {"name", "type"}:
                raise self._wrong(where, 'must be a name, or {"name": …, "type": …}')
            if not isinstance(entry.get("type"), str | None) or entry.get("type") not in COERCIONS:
                types = ", ".join(filter(None, COERCIONS))
                raise self._wrong(where, f'"type" is one of {types}')
            found[name] = self._remote_id(where, entry["name"]), COERCIONS[entry.get("type")]
        self._once("ATTRIBUTES", [remote for remote, _coerce in found.values()])
        return found

    def _remote_id(self, where: str, given: Any) -> str:
        if isinstance(given, int) and not isinstance(given, bool):
            return str(given)
        if isinstance(given, str) and given.strip() == given != "" and given.isprintable():
            return given
        raise self._wrong(where, "must name something over there: a text or a whole number, not empty")

    def _once(self, option: str, remotes: Iterable[str]) -> None:
        remotes = list(remotes)
        if len(set(remotes)) < len(remotes):
            raise self._wrong(option, "has an id twice: what one of the two says would undo the other")

    def _wrong(self, option: str, problem: str) -> ImproperlyConfigured:
        return ImproperlyConfigured(f"{self._where}: {option}: {problem}.")


class Mapped(Backend):
    """A backend whose topics are something over there, if its `known_options` have TOPICS."""

    def __init__(self, alias: str, options: abc.Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self.mapping = Mapping(alias, self.options, self.capabilities.channels)

    def maps(self, topic: str, channel: str) -> bool:
        if "TOPICS" not in self.known_options:
            return super().maps(topic, channel)
        return self.mapping.remote(topic, channel) is not None

    def describe_topic(self, key: str) -> str:
        """`List 17`; with the channels where the backend has several: `Group a1 (email), Group a2 (sms)`."""
        several = len(self.capabilities.channels) > 1
        words = self._nouns[self.capabilities.topics]()
        return ", ".join(
            f"{words} {remote} ({channel})" if several else f"{words} {remote}"
            for (topic, channel), remote in self.mapping.pairs().items()
            if topic == key
        )

    #: The words are looked up when they are shown, in the language of whoever looks.
    _nouns: ClassVar[abc.Mapping[TopicModel, Callable[[], str]]] = {
        TopicModel.KEY: lambda: _("Key"),
        TopicModel.LIST: lambda: _("List"),
        TopicModel.GROUP: lambda: _("Group"),
        TopicModel.INTEREST: lambda: _("Interest"),
        TopicModel.SUBSCRIPTION: lambda: _("Subscription type"),
        TopicModel.ATTRIBUTE: lambda: _("Field"),
    }


# --- attribute values: text, whole number, truth or list of texts, as a block keeps them -----------------------------


def _as_it_is(value: Any) -> Any:
    if isinstance(value, abc.Mapping):
        raise Misfit
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, str | int | float):
        return str(value)
    raise Misfit


def _number(value: Any) -> int | float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value) if "." in value else int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise Misfit


def _boolean(value: Any) -> bool:
    truths = {True: True, False: False, "true": True, "false": False}
    if isinstance(value, str | int) and value in truths:  # 1 and 0 are equal to True and False
        return truths[value]
    raise Misfit


def _date(value: Any) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise Misfit from None


def _list(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [_text(item) for item in value]
    raise Misfit


#: How a value becomes what a platform wants, by the type that the mapping names; None: as it is.
COERCIONS: abc.Mapping[str | None, Callable[[Any], Any]] = {
    None: _as_it_is,
    "text": _text,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "list": _list,
}
