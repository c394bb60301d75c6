"""The topics a person can choose, on each channel they can come by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import ListBlock, MultipleChoiceBlock
from wagtail.snippets.blocks import SnippetChooserBlock

from ..changes import Change, SetChoice
from ..values import (
    CHANNELS,
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
from .fields import AnyField, ObjectField, StrictBooleanField
from .words import CHANNEL_LABELS, by_channel, channel_choices, in_order


class TopicsBlock(PreferenceBlock):
    """A table: a row for each topic, a column for each channel, a box where a topic can come that way."""

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

    class Meta:
        icon = "list-ul"
        label = _("Topics")
        description = _("What people can get, and by which channel. Nothing is ticked before they tick it.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        offered = in_order(value.get("channels") or (), CHANNELS)
        infos = self._infos(value, ctx)
        rows = {info.key: in_order(info.channels, offered) for info in infos}
        rows = {key: channels for key, channels in rows.items() if channels}
        choices = {info.key: rows[info.key] for info in infos if info.key in rows and not info.transactional}
        labels = {info.key: info.label for info in infos}
        used = {channel for channels in rows.values() for channel in channels}
        matrix = control(
            "matrix",
            "choices",
            value.get("heading") or gettext("Topics"),
            cell="toggle",
            single=False,
            rows=[_row(info, rows[info.key], len(used)) for info in _grouped(infos) if info.key in rows],
            columns=[{"key": key, "label": str(CHANNEL_LABELS[key])} for key in offered if key in used],
        )
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, [matrix]),
            rules={
                "choices": {topic: list(channels) for topic, channels in choices.items()},
                "bases": {info.key: info.basis for info in infos if info.key in choices},
            },
            paths={
                f"choice:{topic}:{channel}": (
                    f"choices.{topic}.{channel}",
                    by_channel(labels[topic], channel),
                )
                for topic, channels in choices.items()
                for channel in channels
            },
            needs=tuple(
                Need("choice", topic, channel) for topic, channels in choices.items() for channel in channels
            ),
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        yes_or_no = StrictBooleanField()  # one for all: making a field takes longer than using it
        rows = {
            channels: ObjectField(dict.fromkeys(channels, yes_or_no))
            for channels in set(map(tuple, spec.rules["choices"].values()))
        }
        return {
            "choices": ObjectField(
                {topic: rows[tuple(channels)] for topic, channels in spec.rules["choices"].items()}
            )
        }

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        choices: dict[str, dict[str, bool]] = {}
        for topic, channels in spec.rules["choices"].items():
            for channel in channels:
                key = (topic, channel)
                # What waits for a confirmation is not chosen yet.
                if key in state.choices and key not in state.pending:
                    choices.setdefault(topic, {})[channel] = state.choices[key] == SUBSCRIBED
        return {"choices": choices} if choices else {}

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        return [
            SetChoice(topic, channel, SUBSCRIBED if wanted else UNSUBSCRIBED)
            for topic, channels in answers.get("choices", {}).items()
            for channel, wanted in channels.items()
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
            }
        )

    def preview_spec(self, value: Any) -> Spec:
        ctx = sample_context()
        return self.compile(
            {**value, "topics": [SimpleNamespace(pk=pk) for pk in ctx.topics]}, ctx, "preview"
        )

    def _infos(self, value: Mapping[str, Any], ctx: CompileContext) -> list[TopicInfo]:
        chosen: Iterable[Any] = value.get("topics") or ()
        # A deleted topic is None here. An archived, private or foreign one is not for this document.
        infos = [ctx.topics.get(topic.pk) for topic in chosen if topic]
        found = [info for info in infos if info and not info.archived and not info.private]
        return list({info.key: info for info in found}.values())


def _grouped(infos: Sequence[TopicInfo]) -> list[TopicInfo]:
    """The editor's order, with the topics of one group brought together where the first of them stands."""
    groups = list(dict.fromkeys(info.group for info in infos))
    return sorted(infos, key=lambda info: groups.index(info.group))


def _row(info: TopicInfo, channels: Sequence[str], width: int) -> Json:
    return {
        "key": info.key,
        "label": info.label,
        "help": " · ".join(part for part in (info.text, info.cadence) if part),
        "media": info.media.to_json() if info.media else None,
        "group": info.group,
        "locked": gettext("Always sent. These messages are part of what you have with us.")
        if info.transactional
        else None,
        "when": None,
        # No box where there is nothing to choose: a ticked one would claim a consent, an empty one that it is off.
        "columns": [] if info.transactional else (list(channels) if len(channels) < width else None),
    }
