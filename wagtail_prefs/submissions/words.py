"""What a save did, in the words of the page it was made on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _, gettext_lazy, override

from ..blocks.pause import day_it_ends
from ..blocks.words import CHANNEL_LABELS, FREQUENCY_LABELS, by_channel
from ..centers.services import Snapshot, remembered
from ..contacts.rules import OPTED_OUT
from ..values import SUBSCRIBED, UNSUBSCRIBED, Effect, Json, Merged, Spec

#: A moment as records write it.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


#: Why something was not added that a purchase was to allow.
_OF_SALES = {
    "sale": gettext_lazy("%(label)s: not added, because a purchase is no yes to it."),
    "law": gettext_lazy("%(label)s: not added, because the law where you are asks for a yes of your own."),
    "over": gettext_lazy("%(label)s: not added, because the purchase was too long ago."),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence about one answer; `path` is dotted and begins with the block id, or is "" off the page."""

    path: str
    text: str

    def to_json(self) -> Json:
        return {"path": self.path, "text": self.text}


class Words:
    """Speaks about state paths in the locale and with the labels of a snapshot, of days as they are in a zone."""

    def __init__(self, specs: Iterable[Spec], locale: str, zone: str = "") -> None:
        self.locale = locale
        self.zone = zone
        self.where: Mapping[str, tuple[str, str]] = {
            path: (f"{spec.block_id}.{dotted}", label)
            for spec in specs
            for path, (dotted, label) in spec.paths.items()
        }

    def there(self, zone: str) -> Words:
        """The same words for somebody who lives in that zone."""
        if zone == self.zone:
            return self
        words = copy(self)
        words.zone = zone
        return words

    def applied(self, effects: Iterable[Effect], yielded: Iterable[Merged] = ()) -> tuple[Line, ...]:
        """One line for every effect that the page has a place for, and that `merged` does not speak of already.

        It says what is, and of a frequency or a pause what was as well: of two values one says what the other was.
        """
        told = {item.path for item in yielded if item.rule != "newest"}
        return tuple(
            Line(self.where[effect.path][0], self._became(self.where[effect.path][1], effect))
            for effect in effects
            if effect.path in self.where and effect.path not in told
        )

    def past(self, effects: Sequence[Effect]) -> tuple[Line, ...]:
        """One line for every effect, also for what the page has no place for; personal values stay out of it.

        A wait that was answered is left out: the answer says it.
        """
        answered = {effect.path for effect in effects}
        with override(self.locale):
            return tuple(
                Line(*self._place(effect))
                for effect in effects
                if effect.path == (path := _choice_path(effect.path)) or path not in answered
            )

    def _place(self, effect: Effect) -> tuple[str, str]:
        path = _choice_path(effect.path)
        where, label = self.where.get(path, ("", ""))
        if path == OPTED_OUT or path.startswith("notice:"):
            return where, self._became(label or _("Notice"), effect)
        kind, _colon, rest = path.partition(":")
        label = label or _general(kind, rest)
        if _is_silent(path):
            return where, label
        if effect.action == "expired":
            return where, _("%(label)s: ended by itself") % {"label": label}
        if path == effect.path:
            value = _value(path, effect.after, self.zone)
            return where, _("%(label)s: %(value)s") % {"label": label, "value": value}
        if effect.after:
            return where, _("%(label)s: asked for, and waiting to be confirmed") % {"label": label}
        return where, _("%(label)s: no longer waiting to be confirmed") % {"label": label}

    def merged(self, merged: Sequence[Merged]) -> tuple[Line, ...]:
        """One line for every wish that yielded, saying what stands and why."""
        if not merged:  # as nearly always
            return ()
        with override(self.locale):
            lines = []
            for item in merged:
                path, label = self.where.get(item.path, ("", item.path.rpartition(":")[2]))
                lines.append(Line(path, self._kept(label, item)))
            return tuple(lines)

    def _became(self, label: str, effect: Effect) -> str:
        if effect.path.startswith(("choice:", "frequency:", "pause:")):
            return _became(self.locale, label, effect.path, effect.after, _was(effect), self.zone)
        with override(self.locale):
            if effect.path == OPTED_OUT:
                if effect.after:
                    return _("You are unsubscribed from everything except what must always be sent.")
                return _("You are no longer unsubscribed from everything. Choose what you would like to get.")
            if effect.path.startswith("notice:"):
                return _("%(label)s: read") % {"label": label}
            if _is_silent(effect.path):
                if effect.after is None:
                    return _("%(label)s: taken back") % {"label": label}
                return _("%(label)s: saved") % {"label": label}
            value = value_words(effect.after, self.zone)
            return _("%(label)s: %(value)s") % {"label": label, "value": value}

    def _kept(self, label: str, item: Merged) -> str:
        if item.rule == "opt_out":
            return _("%(label)s: not changed, because you unsubscribed from everything in the meantime.") % {
                "label": label
            }
        if item.rule == "refused":
            return _("%(label)s: not brought back, because you said no to it later.") % {"label": label}
        if item.rule == "erased":
            return _("%(label)s: not brought back, because its value was erased.") % {"label": label}
        if item.rule == "evidence":
            return _("%(label)s: left behind, because nobody showed that both are you.") % {"label": label}
        if item.rule in {"stricter", "rarer", "later", "changed"}:
            if _is_silent(item.path):
                return _("%(label)s: not changed, because it was changed elsewhere in the meantime.") % {
                    "label": label
                }
            return _("%(label)s: changed elsewhere in the meantime; “%(value)s” stays.") % {
                "label": label,
                "value": value_words(item.kept, self.zone),
            }
        if item.rule == "hidden":
            return _("%(label)s: not saved, because it was not shown for your other answers.") % {
                "label": label
            }
        if item.rule == "gone":
            return _("%(label)s: not saved, because it is no longer offered.") % {"label": label}
        if item.rule == "gpc":
            return _(
                "%(label)s: stays off, because your browser asks that your data is not sold or shared."
            ) % {"label": label}
        if item.rule in _OF_SALES:
            return str(_OF_SALES[item.rule]) % {"label": label}
        return _("%(label)s: your newer answer replaces one given elsewhere in the meantime.") % {
            "label": label
        }


def words_of(snapshot: Snapshot, zone: str = "") -> Words:
    """The words of a snapshot for a contact of that time zone."""
    return _words_of(snapshot).there(zone)


@remembered
def _words_of(snapshot: Snapshot) -> Words:
    return Words(snapshot.specs, snapshot.locale)


@lru_cache(maxsize=1024)  # the same few sentences for everybody, and nothing that a person wrote
def _became(locale: str, label: str, path: str, after: str | None, before: str | None, zone: str) -> str:
    with override(locale):
        said = {"label": label, "value": _value(path, after, zone)}
        if before is None:
            return _("%(label)s: %(value)s") % said
        return _("%(label)s: %(value)s (before: %(before)s)") % {
            **said,
            "before": _value(path, before, zone),
        }


def _was(effect: Effect) -> str | None:
    """The former value where a sentence should say it; None for a pause that was over by itself."""
    before: str | None = effect.before
    if before is None or effect.path.startswith("choice:"):
        return None
    if effect.path.startswith("pause:") and datetime.fromisoformat(before) <= timezone.now():
        return None
    return before


def _value(path: str, value: object, zone: str) -> str:
    if value is None and path.startswith("pause:"):
        return _("ended")
    return value_words(value, zone)


def _choice_path(path: str) -> str:
    """The path of the choice that a wait is about; any other path as it is."""
    kind, _colon, rest = path.partition(":")
    return f"choice:{rest}" if kind == "pending" else path


#: Kinds of paths whose values are nobody's business on a page that a forwarded mail opens.
_SILENT = {"attribute", "address", "suppressed", "merged_into", "erased"}


def _is_silent(path: str) -> bool:
    """Whether a line about this path tells its label and no value."""
    return path.partition(":")[0] in _SILENT


def _general(kind: str, rest: str) -> str:
    """What a path is about where no page has a label for it."""
    match kind:
        case "choice":
            topic, _colon, channel = rest.rpartition(":")
            return by_channel(topic, channel)
        case "frequency":
            return _("How often (%(scope)s)") % {"scope": _scope(rest)}
        case "pause":
            return _("Pause (%(scope)s)") % {"scope": _scope(rest)}
        case "attribute":
            return _("An answer of yours was changed.")
        case "address":
            return _("Your address was changed.")
        case "suppressed":
            return _("Whether anything may be sent to your address at all was changed.")
        case "merged_into":
            return _("This entry was merged with another one of yours.")
        case "erased":
            return _("Your data was erased.")
    return kind


def _scope(scope: str) -> str:
    kind, _colon, name = scope.partition(":")
    if kind == "all":
        return _("everything")
    return str(CHANNEL_LABELS[name]) if kind == "channel" and name in CHANNEL_LABELS else name


def value_words(value: object, zone: str = "") -> str:
    """A stored value as people read it, in the active language; a moment as the day that it falls on in the zone."""
    if value is None:
        return _("nothing chosen")
    if value == SUBSCRIBED:
        return _("subscribed")
    if value == UNSUBSCRIBED:
        return _("unsubscribed")
    if isinstance(value, str) and value in FREQUENCY_LABELS:
        return str(FREQUENCY_LABELS[value])
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return _("until %(date)s") % {
            "date": date_format(day_it_ends(datetime.fromisoformat(value), zone), "DATE_FORMAT")
        }
    return str(value)
