"""A rest from everything, a channel or a topic: for a length or until a day. It ends by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy as _
from rest_framework import serializers
from wagtail.blocks import BooleanBlock, ListBlock, MultipleChoiceBlock
from wagtail.snippets.blocks import SnippetChooserBlock

from ..changes import Change, PauseFor, Resume
from ..values import (
    CHANNELS,
    CompileContext,
    ContactState,
    Json,
    Need,
    Spec,
    TopicInfo,
    key_to_scope,
    scope_to_key,
)
from .base import PreferenceBlock, control, row
from .fields import AnyField, KeyField, ObjectField
from .words import CHANNEL_LABELS, PREFERENCES, channel_choices, in_order

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: The lengths an editor can offer, from the shortest, and what the button of each says.
LENGTHS: dict[str, tuple[_StrPromise, _StrPromise]] = {
    "P7D": (_("One week"), _("Pause for one week")),
    "P14D": (_("Two weeks"), _("Pause for two weeks")),
    "P1M": (_("One month"), _("Pause for one month")),
    "P2M": (_("Two months"), _("Pause for two months")),
    "P3M": (_("Three months"), _("Pause for three months")),
    "P6M": (_("Six months"), _("Pause for six months")),
    "P1Y": (_("One year"), _("Pause for one year")),
}

#: Who wants a longer rest than this means to leave; a date far off is a slip of the finger.
LONGEST = timedelta(days=5 * 366)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def length_choices() -> list[tuple[str, object]]:
    return [(code, label) for code, (label, _button) in LENGTHS.items()]


class DayField(serializers.Field[str, Any, str, Any]):
    """A day to come, `YYYY-MM-DD`. With `allow_null`, null or an empty text take the pause back."""

    default_error_messages = {
        "invalid": _("This is no date. Write it like this: 2027-03-31"),
        "past": _("This day is over. Choose a later one."),
        "far": _("A pause lasts five years at most. Choose an earlier day."),
    }

    def to_internal_value(self, data: Any) -> str | None:  # type: ignore[override] # null is an answer
        if data == "" and self.allow_null:
            return None
        try:
            # Python also reads weeks, and days without hyphens.
            if not isinstance(data, str) or not _DAY.fullmatch(data):
                raise ValueError
            day = date.fromisoformat(data)
        except ValueError:
            self.fail("invalid")
        # Where she lives it may still be yesterday; what is over there as well is found out beside her state.
        today = timezone.localdate()
        if day < today:
            self.fail("past")
        if day - today > LONGEST:
            self.fail("far")
        return day.isoformat()

    def to_representation(self, value: str) -> str:
        return value


class PauseField(ObjectField):
    """`{"for": length}`, `{"until": day}`, or null, which ends the pause."""

    default_error_messages = {"one": _("Choose how long, or until which day: one of the two.")}

    def __init__(self, lengths: list[str], **kwargs: Any) -> None:
        super().__init__({"for": KeyField(lengths), "until": DayField()}, allow_null=True, **kwargs)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = super().to_internal_value(data)
        if len(values) != 1:
            self.fail("one")
        return values


class PauseBlock(PreferenceBlock):
    """Buttons for everything, picks for single channels and topics, and the day on which each pause ends."""

    of_contact = True

    lengths = MultipleChoiceBlock(
        choices=length_choices,
        label=_("Lengths"),
        required=False,
        help_text=_("How long people can pause. The pause ends by itself."),
    )
    dates = BooleanBlock(
        required=False,
        default=True,
        label=_("Let people choose a day"),
        help_text=_("Not ticked: the day on which a pause ends is shown, and cannot be changed."),
    )
    overall = BooleanBlock(required=False, default=True, label=_("Everything at once"))
    channels = MultipleChoiceBlock(
        choices=channel_choices, required=False, label=_("Each of these channels by itself")
    )
    topics = ListBlock(
        SnippetChooserBlock("wagtail_prefs.Topic", label=_("Topic")),
        label=_("Each of these topics by itself"),
        min_num=0,
        default=[],
    )

    class Meta:
        icon = "calendar-alt"
        group = PREFERENCES
        label = _("Pause")
        description = _(
            "A rest for a while instead of leaving. It ends by itself, and people can end it before."
        )
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        lengths = list(in_order(value.get("lengths") or (), LENGTHS))
        scopes = dict(_scopes(value, ctx))
        dates = bool(value.get("dates"))
        single = {scope: label for scope, label in scopes.items() if scope != "all"}
        controls: list[Json] = []
        if "all" in scopes:
            controls += [
                control(
                    "action",
                    f"for-{code.lower()}",
                    LENGTHS[code][1],
                    style="secondary",
                    do={"answers": {"pauses": {"all": {"for": code}}}},
                )
                for code in lengths
            ]
            controls += _end(block_id, "all", "", dates=dates)
        if single and lengths:
            controls.append(_picks(single, lengths))
        for scope, label in single.items():
            controls += _end(block_id, scope, label, dates=dates)
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, controls),
            rules={
                "lengths": lengths,
                "scopes": scopes,
                "days": {_day_name(scope): scope for scope in scopes},
                "topics": {info.key: [list(info.channels), info.basis] for info in _topics(value, ctx)},
            },
            # What is wrong with a pause, and what became of it, is told beside the day on which it ends.
            paths={
                f"pause:{scope}": (_day_name(scope), gettext("Pause: %(what)s") % {"what": label})
                for scope, label in scopes.items()
            },
            needs=tuple(Need("pause", *scope_to_key(scope)) for scope in scopes),
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        lengths, days = spec.rules["lengths"], spec.rules["days"]
        pause = PauseField(lengths)
        length = KeyField(lengths)
        day = DayField(allow_null=True)
        return {
            "pauses": ObjectField(dict.fromkeys(days.values(), pause)),
            "for": ObjectField({scope: length for scope in days.values() if scope != "all"}),
            **dict.fromkeys(days, day),
        }

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        held = {
            name: (scope, day_it_ends(state.pauses[key].until, state.timezone).isoformat())
            for name, scope in spec.rules["days"].items()
            if (key := scope_to_key(scope)) in state.pauses
        }
        if not held:
            return {}
        return {
            "pauses": {scope: {"until": day} for scope, day in held.values()},
            **{name: day for name, (_scope, day) in held.items()},
        }

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        wishes: list[tuple[str, Any]] = [*answers.get("pauses", {}).items()]
        wishes += [(scope, {"for": length}) for scope, length in answers.get("for", {}).items()]
        wishes += [
            (scope, {"until": answers[name]}) for name, scope in spec.rules["days"].items() if name in answers
        ]
        return list(dict.fromkeys(_change(scope, wish) for scope, wish in wishes))

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        chosen = [topic.pk for topic in value.get("topics") or () if topic]
        found: dict[str, Any] = {}
        if not value.get("lengths") and not value.get("dates"):
            found["lengths"] = gettext("Offer at least one length, or let people choose a day.")
        if not value.get("overall") and not value.get("channels") and not chosen:
            found["overall"] = gettext("Tick “Everything at once”, or choose a channel or a topic.")
        if len(chosen) != len(set(chosen)):
            found["topics"] = gettext("A topic stands here twice. Remove one of the two.")
        return found

    def get_preview_value(self) -> Any:
        return self.normalize(
            {
                "heading": gettext("Too much at the moment?"),
                "text": "",
                "lengths": ["P1M", "P3M"],
                "dates": True,
                "overall": True,
                "channels": [],
                "topics": [],
            }
        )


@lru_cache(maxsize=1024)
def day_it_ends(until: datetime, zone: str) -> date:
    """The calendar day on which a pause ends where the contact lives; the site's day where that is not known."""
    try:
        return until.astimezone(_zone(zone)).date()
    except OverflowError:  # the last day of all: it has no later one in the east
        return until.date()


def _zone(name: str) -> tzinfo:
    for candidate in (name, settings.TIME_ZONE):
        try:
            return ZoneInfo(candidate)
        except (KeyError, ValueError, OSError, TypeError, EOFError):
            continue  # no such zone, "../etc", a folder, None, no zone in the file
    return UTC


def _scopes(value: Mapping[str, Any], ctx: CompileContext) -> Iterator[tuple[str, str]]:
    """What can be paused, in the editor's order, with the words for it."""
    if value.get("overall"):
        yield "all", gettext("Everything")
    for channel in in_order(value.get("channels") or (), CHANNELS):
        yield key_to_scope(("", channel)), str(CHANNEL_LABELS[channel])
    for info in _topics(value, ctx):
        yield key_to_scope((info.key, "")), info.label


def _topics(value: Mapping[str, Any], ctx: CompileContext) -> Iterator[TopicInfo]:
    """The topics that can be paused by themselves."""
    for topic in value.get("topics") or ():
        info = ctx.topics.get(topic.pk) if topic else None
        # A private topic has no name on a page that everybody sees, and what is always sent takes no rest.
        if info and not (info.archived or info.private or info.transactional):
            yield info


def _day_name(scope: str) -> str:
    """The control that holds the day of a scope: a control's name has neither colon nor dot."""
    return "until" if scope == "all" else f"until--{scope.replace(':', '-')}"


def _picks(scopes: Mapping[str, str], lengths: list[str]) -> Json:
    return control(
        "matrix",
        "for",
        gettext("Pause only this"),
        cell="one_of",
        single=True,
        rows=[row(scope, label) for scope, label in scopes.items()],
        columns=[{"key": code, "label": str(LENGTHS[code][0])} for code in lengths],
    )


def _end(block_id: str, scope: str, label: str, *, dates: bool) -> list[Json]:
    """The day on which the pause of a scope ends, and the button that ends it now."""
    held = {"block": block_id, "control": f"pauses.{scope}.until", "not_in": [None]}
    name = _day_name(scope)
    what = {"what": label}
    if dates:
        title = gettext("%(what)s: pause until") % what if label else gettext("Pause until")
        day = control("date", name, title, help=gettext("On this day messages come again, by themselves."))
    else:
        title = gettext("%(what)s: paused until") % what if label else gettext("Paused until")
        locked = gettext("The pause ends on this day, by itself.")
        day = control("date", name, title, locked=locked, when=held)
    resume = control(
        "action",
        name.replace("until", "resume", 1),
        gettext("%(what)s: end the pause now") % what if label else gettext("End the pause now"),
        style="secondary",
        do={"answers": {"pauses": {scope: None}}},
        when=held,
    )
    return [day, resume]


def _change(scope: str, wish: Mapping[str, Any] | None) -> Change:
    key = scope_to_key(scope)
    if wish and wish.get("for"):
        return PauseFor(*key, length=wish["for"])
    if wish and wish.get("until"):
        return PauseFor(*key, day=date.fromisoformat(wish["until"]))
    return Resume(*key)
