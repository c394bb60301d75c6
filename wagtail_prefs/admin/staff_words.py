"""What staff read about a person: in the third person, in the language of whoever reads, with the names of topics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _, gettext_lazy

from ..blocks.words import CHANNEL_LABELS, by_channel
from ..changes import FACTS
from ..submissions.words import value_words
from ..values import CHANNELS, Actor, ActorType, Effect

#: topic key -> how it is called
Labels = Mapping[str, str]

_FACTS = {
    "language": gettext_lazy("Language"),
    "country": gettext_lazy("Country"),
    "timezone": gettext_lazy("Time zone"),
}


def scope_words(scope: str, topics: Labels) -> str:
    """`all`, `channel:sms` or `topic:news` as people read them."""
    kind, _colon, name = scope.partition(":")
    if kind == "all":
        return _("Everything")
    return (
        str(CHANNEL_LABELS[name]) if kind == "channel" and name in CHANNEL_LABELS else topics.get(name, name)
    )


def choice_words(topic: str, channel: str, topics: Labels) -> str:
    """`News by e-mail`."""
    label = topics.get(topic, topic)
    return by_channel(label, channel) if channel in CHANNELS else f"{label} / {channel}"


def path_words(path: str, topics: Labels) -> str:
    """What a path is about."""
    kind, _colon, rest = path.partition(":")
    match kind:
        case "choice" | "pending":
            topic, _colon, channel = rest.rpartition(":")
            return choice_words(topic, channel, topics)
        case "frequency":
            return _("How often: %(scope)s") % {"scope": scope_words(rest, topics)}
        case "pause":
            return _("Pause: %(scope)s") % {"scope": scope_words(rest, topics)}
        case "opted_out":
            return _("Unsubscribed from everything")
        case "attribute":
            return str(_FACTS[rest]) if rest in FACTS else _("Answer “%(name)s”") % {"name": rest}
        case "notice":
            return _("Notice “%(name)s”") % {"name": rest}
        case "address":
            return _("E-mail address")
        case "suppressed":
            return _("Suppressed")
        case "merged_into":
            return _("Merged into another contact")
        case "erased":
            return _("Erased")
    return path


def effect_words(effect: Effect, topics: Labels, zone: ZoneInfo) -> str:
    """One line of her history. Never the value of something personal. `zone` is hers."""
    label, kind = path_words(effect.path, topics), effect.path.partition(":")[0]
    if kind in {"merged_into", "erased"}:
        return label
    if kind in {"attribute", "address"}:
        return _("%(label)s: changed") % {"label": label}
    if kind == "notice":
        return _("%(label)s: read") % {"label": label}
    if kind in {"opted_out", "suppressed"}:
        return _("%(label)s: %(value)s") % {"label": label, "value": _("yes") if effect.after else _("no")}
    if kind == "pending":
        if effect.after:
            return _("%(label)s: asked for, and waiting to be confirmed") % {"label": label}
        return _("%(label)s: no longer waiting to be confirmed") % {"label": label}
    if effect.action == "expired":
        return _("%(label)s: ended by itself") % {"label": label}
    return _("%(label)s: %(value)s") % {"label": label, "value": became(effect.path, effect.after, zone)}


def became(path: str, value: Any, zone: ZoneInfo) -> str:
    """A value at a path, before or after; not for what is personal. `zone` is hers: a pause ends when her day begins."""
    kind = path.partition(":")[0]
    if kind in {"opted_out", "suppressed", "pending"}:
        return _("yes") if value else _("no")
    if kind == "pause" and value:
        moment = datetime.fromisoformat(value).astimezone(zone)
        return _("until %(date)s (%(zone)s)") % {
            "date": date_format(moment, "DATETIME_FORMAT"),
            "zone": zone.key,
        }
    return value_words(value)


def actor_words(actor: Actor, method: str, staff: Mapping[str, str]) -> str:
    """Who did it and where; `staff` names the users by their ids."""
    if method == "expiry":
        return _("Ended by itself")
    match actor.type:
        case ActorType.SUBJECT_LINK | ActorType.SUBJECT_SESSION:
            return _("She herself (%(method)s)") % {"method": method}
        case ActorType.ONE_CLICK:
            return _("She herself, with the unsubscribe button of her mail program")
        case ActorType.GPC:
            return _("The privacy signal of her browser")
        case ActorType.ADMIN:
            return _("Staff: %(name)s (%(method)s)") % {
                "name": staff.get(actor.id, actor.id),
                "method": method,
            }
        case ActorType.IMPORT:
            return _("Import: %(name)s") % {"name": actor.id or method}
        case ActorType.BACKEND:
            return _("Backend: %(name)s") % {"name": actor.id or method}
    return _("System: %(name)s") % {"name": " / ".join(filter(None, (actor.id, method)))}


def attribute_words(value: Any) -> str:
    """An answer, for whoever may read it."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):  # a reason for leaving
        return " - ".join(str(part) for part in value.values() if part)
    return str(value)
