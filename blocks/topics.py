"""The topics a person can choose, on each channel they can come by, and how often each may come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock, ListBlock, MultipleChoiceBlock
from wagtail.snippets.blocks import SnippetChooserBlock

from ..changes import Change, SetChoice, SetFrequency
from ..html import href_is_allowed
from ..values import (
    CHANNELS,
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    CompileContext,
    ContactState,
    Json,
    Need,
    Spec,
    TopicInfo,
)
from .base import PreferenceBlock, control, sample_context
from .fields import AnyField, KeyField, ObjectField, StrictBooleanField
from .transactional import named_always
from .words import CHANNEL_LABELS, FREQUENCY_LABELS, by_channel, channel_choices, how_often, in_order

#: The rows of a matrix, each with its topic.
_Table = Sequence[tuple[TopicInfo, Json]]


class TopicsBlock(PreferenceBlock):
    """A table: a row for each topic, a column for each channel, a box where a topic can come that way.

    Below it links to samples, and a second table for the topics that offer frequencies. The rows of private topics
    stand in `rules["private"]`: the public document never names them.
    """

    topics = ListBlock(
        SnippetChooserBlock("wagtail_prefs.Topic", label=_("Topic")),
        label=_("Topics"),
        min_num=1,
        help_text=_("In the order in which people see them. Topics of one group are shown together."),
    )
    channels = MultipleChoiceBlock(
        choices=channel_choices,
        label=_("Channels"),
        help_text=_("A box is shown where the topic comes by the channel as well."),
    )
    how_often = BooleanBlock(
        required=False,
        default=True,
        label=_("Ask how often each topic may come"),
        help_text=_("For the topics that offer frequencies."),
    )

    class Meta:
        icon = "list-ul"
        label = _("Topics")
        description = _("What people can get, and by which channel. Nothing is ticked before they tick it.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        offered = in_order(value.get("channels") or (), CHANNELS)
        found = self._infos(value, ctx)
        rows = {info.key: in_order(info.channels, offered) for info in found}
        infos = [info for info in found if rows[info.key]]
        asked = [info for info in infos if not info.transactional]
        codes = {info.key: in_order(info.frequencies, FREQUENCIES) for info in asked}
        paced = [info for info in asked if codes[info.key]] if value.get("how_often") else []
        used = {channel for info in infos for channel in rows[info.key]}
        picks = {code for info in paced for code in codes[info.key]}

        tables = {
            "choices": [(info, _row(info, rows[info.key], used, ctx)) for info in _grouped(infos)],
            "frequency": [(info, _pace(info, codes[info.key], picks, ctx)) for info in _grouped(paced)],
        }
        samples = _samples(_grouped(infos))
        controls = [
            _boxes(value.get("heading"), tables["choices"], in_order(used, CHANNELS)),
            *([control("links", "samples", gettext("Samples"), items=samples)] if samples else []),
            *([_picks(tables["frequency"], in_order(picks, FREQUENCIES))] if paced else []),
        ]
        private = {
            name: hidden
            for name, table in tables.items()
            if (hidden := [row for info, row in table if info.private])
        }
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, controls),
            rules={
                "choices": {info.key: list(rows[info.key]) for info in asked},
                "frequencies": {info.key: list(codes[info.key]) for info in paced},
                "bases": {info.key: info.basis for info in asked},
                "planned": {info.key: info.planned.to_json() for info in asked if info.planned},
                **_days(asked),
                "always": named_always(infos),
                **({"private": private} if private else {}),
            },
            paths={
                **{
                    f"choice:{info.key}:{channel}": (
                        f"choices.{info.key}.{channel}",
                        by_channel(info.label, channel),
                    )
                    for info in asked
                    for channel in rows[info.key]
                },
                **{
                    f"frequency:topic:{info.key}": (
                        f"frequency.{info.key}",
                        gettext("How often: %(what)s") % {"what": info.label},
                    )
                    for info in paced
                },
            },
            needs=(
                *(Need("choice", info.key, channel) for info in asked for channel in rows[info.key]),
                *(Need("frequency", info.key) for info in paced),
            ),
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        yes_or_no = StrictBooleanField()  # one for all: making a field takes longer than using it
        rows = {
            channels: ObjectField(dict.fromkeys(channels, yes_or_no))
            for channels in set(map(tuple, spec.rules["choices"].values()))
        }
        found: dict[str, AnyField] = {
            "choices": ObjectField(
                {topic: rows[tuple(channels)] for topic, channels in spec.rules["choices"].items()}
            )
        }
        frequencies = _frequencies(spec)
        if frequencies:
            found["frequency"] = ObjectField({topic: KeyField(codes) for topic, codes in frequencies.items()})
        return found

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        choices: dict[str, dict[str, bool]] = {}
        for topic, channels in spec.rules["choices"].items():
            for channel in channels:
                key = (topic, channel)
                # What waits for a confirmation is not chosen yet.
                if key in state.choices and key not in state.pending:
                    choices.setdefault(topic, {})[channel] = state.choices[key] == SUBSCRIBED
        picked = {
            topic: code
            for topic, codes in _frequencies(spec).items()
            # A code set elsewhere that this topic does not offer cannot be drawn as one of its choices.
            if (code := state.frequencies.get((topic, ""))) in codes
        }
        return {
            **({"choices": choices} if choices else {}),
            **({"frequency": picked} if picked else {}),
        }

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        return [
            *(
                SetChoice(topic, channel, SUBSCRIBED if wanted else UNSUBSCRIBED)
                for topic, channels in answers.get("choices", {}).items()
                for channel, wanted in channels.items()
            ),
            *(SetFrequency(topic, "", code) for topic, code in answers.get("frequency", {}).items()),
        ]

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        chosen = [topic.pk for topic in value.get("topics") or () if topic]
        if len(chosen) != len(set(chosen)):
            return {"topics": gettext("A topic stands here twice. Remove one of the two.")}
        return {}

    def get_preview_value(self) -> Any:
        return self.normalize(
            {
                "heading": gettext("What would you like to get?"),
                "text": "",
                "topics": [],
                "channels": ["email", "sms"],
                "how_often": True,
            }
        )

    def preview_spec(self, value: Any) -> Spec:
        ctx = sample_context()
        first, *others = ctx.topics
        paced = replace(ctx.topics[first], frequencies=("as_it_happens", "weekly", "monthly"))
        ctx = replace(ctx, topics={first: paced, **{pk: ctx.topics[pk] for pk in others}})
        topics = [SimpleNamespace(pk=pk) for pk in ctx.topics]
        return self.compiled({**value, "topics": topics}, ctx, "preview")

    def _infos(self, value: Mapping[str, Any], ctx: CompileContext) -> list[TopicInfo]:
        chosen: Iterable[Any] = value.get("topics") or ()
        # A deleted topic is None here. An archived or foreign one is not for this center.
        infos = [ctx.topics.get(topic.pk) for topic in chosen if topic]
        return list({info.key: info for info in infos if info and not info.archived}.values())


def _frequencies(spec: Spec) -> Mapping[str, Sequence[str]]:
    """What can be picked for each topic; nothing in snapshots of before topics had frequencies."""
    found: Mapping[str, Sequence[str]] = spec.rules.get("frequencies", {})
    return found


def _grouped(infos: Sequence[TopicInfo]) -> list[TopicInfo]:
    """The editor's order, with the topics of one group brought together where the first of them stands."""
    groups = list(dict.fromkeys(info.group for info in infos))
    return sorted(infos, key=lambda info: groups.index(info.group))


def _boxes(heading: str | None, table: _Table, channels: Iterable[str]) -> Json:
    """The table of channels."""
    return control(
        "matrix",
        "choices",
        heading or gettext("Topics"),
        cell="toggle",
        single=False,
        rows=_public(table),
        columns=[{"key": key, "label": str(CHANNEL_LABELS[key])} for key in channels],
    )


def _picks(table: _Table, codes: Iterable[str]) -> Json:
    """The table of frequencies."""
    return control(
        "matrix",
        "frequency",
        gettext("How often, at most"),
        help=gettext("Where you set another limit as well, the rarer one holds."),
        cell="one_of",
        single=True,
        rows=_public(table),
        columns=[{"key": key, "label": str(FREQUENCY_LABELS[key])} for key in codes],
    )


def _public(table: _Table) -> list[Json]:
    return [row for info, row in table if not info.private]


def _samples(infos: Iterable[TopicInfo]) -> list[Json]:
    """Rows hold no links, so these stand below them. Those of private topics would give them away."""
    return [
        {"label": info.label, "href": info.sample}
        for info in infos
        if info.sample and not info.private and href_is_allowed(info.sample)
    ]


def _days(asked: Iterable[TopicInfo]) -> Json:
    """On which days messages come, where that is planned."""
    days = {info.key: info.planned.on.to_json() for info in asked if info.planned and info.planned.on}
    return {"planned_on": days} if days else {}


def _row(info: TopicInfo, channels: Sequence[str], used: Collection[str], ctx: CompileContext) -> Json:
    about = " ".join(part for part in (info.text, info.benefit) if part)
    planned = info.planned and how_often(info.planned.number, info.planned.per, channels)
    return {
        "key": info.key,
        "label": info.label,
        "help": " · ".join(part for part in (about, info.cadence or planned) if part),
        "media": info.media.to_json() if info.media else None,
        "group": info.group,
        "locked": gettext("Always sent. These messages are part of what you have with us.")
        if info.transactional
        else None,
        # What is always sent is no matter of roles.
        "when": None if info.transactional else ctx.roles.get(info.key),
        # No box where there is nothing to choose: a ticked one would claim a consent, an empty one that it is off.
        "columns": [] if info.transactional else (list(channels) if len(channels) < len(used) else None),
    }


def _pace(info: TopicInfo, codes: Sequence[str], picks: Collection[str], ctx: CompileContext) -> Json:
    return {
        "key": info.key,
        "label": info.label,
        "help": "",
        "media": None,
        "group": "",
        "locked": None,
        "when": ctx.roles.get(info.key),
        "columns": list(codes) if len(codes) < len(picks) else None,
    }
