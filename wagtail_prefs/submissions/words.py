"""What a save did, in the words of the page it was made on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.utils.translation import gettext as _, override

from ..blocks.words import FREQUENCY_LABELS
from ..values import SUBSCRIBED, UNSUBSCRIBED, Effect, Json, Merged, Spec


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence about one answer; `path` is dotted and begins with the block id, or is "" off the page."""

    path: str
    text: str

    def to_json(self) -> Json:
        return {"path": self.path, "text": self.text}


class Words:
    """Speaks about state paths in the locale and with the labels of a snapshot."""

    def __init__(self, specs: Iterable[Spec], locale: str) -> None:
        self.locale = locale
        self.where: Mapping[str, tuple[str, str]] = {
            path: (f"{spec.block_id}.{dotted}", label)
            for spec in specs
            for path, (dotted, label) in spec.paths.items()
        }

    def applied(self, effects: Iterable[Effect]) -> tuple[Line, ...]:
        """One line for every effect that the page has a place for."""
        with override(self.locale):
            return tuple(
                Line(self.where[effect.path][0], self._became(self.where[effect.path][1], effect))
                for effect in effects
                if effect.path in self.where
            )

    def merged(self, merged: Iterable[Merged]) -> tuple[Line, ...]:
        """One line for every wish that yielded, saying what stands and why."""
        with override(self.locale):
            lines = []
            for item in merged:
                path, label = self.where.get(item.path, ("", item.path.rpartition(":")[2]))
                lines.append(Line(path, self._kept(label, item)))
            return tuple(lines)

    def _became(self, label: str, effect: Effect) -> str:
        if effect.path == "opted_out":
            if effect.after:
                return _("You are unsubscribed from everything except what must always be sent.")
            return _("You are no longer unsubscribed from everything. Choose what you would like to get.")
        if effect.path.startswith("notice:"):
            return _("%(label)s: read") % {"label": label}
        if effect.path.startswith(("choice:", "frequency:")):
            return _choice(self.locale, label, effect.after)
        return _("%(label)s: %(value)s") % {"label": label, "value": value_words(effect.after)}

    def _kept(self, label: str, item: Merged) -> str:
        if item.rule == "opt_out":
            return _("%(label)s: not changed, because you unsubscribed from everything in the meantime.") % {
                "label": label
            }
        if item.rule in {"stricter", "rarer"}:
            return _("%(label)s: changed elsewhere in the meantime; “%(value)s” stays.") % {
                "label": label,
                "value": value_words(item.kept),
            }
        if item.rule == "hidden":
            return _("%(label)s: not saved, because it was not shown for your other answers.") % {
                "label": label
            }
        return _("%(label)s: your newer answer replaces one given elsewhere in the meantime.") % {
            "label": label
        }


@lru_cache(maxsize=1024)  # the same few sentences for everybody, and nothing that a person wrote
def _choice(locale: str, label: str, value: str) -> str:
    with override(locale):
        return _("%(label)s: %(value)s") % {"label": label, "value": value_words(value)}


def value_words(value: object) -> str:
    """A stored value as people read it, in the active language."""
    if value == SUBSCRIBED:
        return _("subscribed")
    if value == UNSUBSCRIBED:
        return _("unsubscribed")
    if isinstance(value, str) and value in FREQUENCY_LABELS:
        return str(FREQUENCY_LABELS[value])
    return str(value)
