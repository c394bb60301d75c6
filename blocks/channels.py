"""By which channels a person wants to be written to at all; where that takes a number, she is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock, CharBlock, ChoiceBlock, ListBlock, MultipleChoiceBlock, StructBlock

from ..changes import Change, SetChoice
from ..values import CHANNELS, SUBSCRIBED, UNSUBSCRIBED, CompileContext, ContactState, Json, Need, Spec
from .attributes import declared, held_text, said
from .base import PreferenceBlock, control, row
from .fields import PHONE_LENGTH, AnyField, KeyField, ObjectField, PhoneField
from .words import CHANNEL_LABELS, PREFERENCES, by_channel, channel_choices, in_order

#: The attribute that holds the number, and the channels that take one. CRMs know one number of a person.
PHONE = "phone"
NUMBERED = ("sms", "phone")
#: Two answers and no box: an unticked box could not tell "never asked" from "no".
ANSWERS = {"yes": SUBSCRIBED, "no": UNSUBSCRIBED}


class ChannelWordsBlock(StructBlock):
    """What the editor says about one channel."""

    channel = ChoiceBlock(choices=channel_choices, label=_("Channel"))
    words = CharBlock(
        label=_("Words"),
        max_length=255,
        help_text=_("For example: only for deliveries that change at short notice"),
    )

    class Meta:
        icon = "openquote"
        label = _("Words")
        label_format = "{words}"


class ChannelsBlock(PreferenceBlock):
    """A table: a row for each channel, yes or no, nothing picked before the person picks it.

    A no is a no to everything that comes by the channel; a yes only takes it back, and subscribes to nothing. A number
    is asked for while its channel is a yes.
    """

    channels = MultipleChoiceBlock(
        choices=channel_choices,
        label=_("Channels"),
        help_text=_(
            "Of each, people say yes or no as a whole. Their topics stay as they are asked for elsewhere."
        ),
    )
    words = ListBlock(
        ChannelWordsBlock(),
        label=_("In your own words"),
        min_num=0,
        default=[],
        help_text=_("Shown under a channel: what you use it for, how often, what it costs."),
    )
    ask_number = BooleanBlock(
        required=False,
        default=True,
        label=_("Ask for the phone number"),
        help_text=_("Only of those who say yes to text messages or to calls."),
    )

    class Meta:
        icon = "mobile-alt"
        group = PREFERENCES
        label = _("Channels")
        description = _("Yes or no to text messages, calls, post or mail as a whole.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        channels = in_order(value.get("channels") or (), CHANNELS)
        words = {item["channel"]: item["words"] for item in value.get("words") or () if item.get("channel")}
        numbered = [channel for channel in NUMBERED if channel in channels] if value.get("ask_number") else []
        table = control(
            "matrix",
            "channels",
            value.get("heading") or gettext("Channels"),
            help=gettext(
                "No means that nothing comes that way but what must always be sent, until you say yes here or choose a "
                "topic that way: what you said last counts. Yes alone subscribes you to nothing."
            ),
            cell="one_of",
            single=True,
            rows=[
                row(channel, str(CHANNEL_LABELS[channel]), help=words.get(channel) or "")
                for channel in channels
            ],
            columns=[{"key": "yes", "label": gettext("Yes")}, {"key": "no", "label": gettext("No")}],
        )
        numbers = [_number(channel, block_id) for channel in numbered]
        paths = {
            f"choice::{channel}": (f"channels.{channel}", by_channel("", channel)) for channel in channels
        }
        attributes: Json = {}
        if numbers:
            label = gettext("Phone number")
            purpose = gettext("to reach you by the channels that you say yes to")
            attributes[PHONE] = declared(label, purpose, personal=True)
            paths[f"attribute:{PHONE}"] = (numbers[0]["name"], label)
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, [table, *numbers]),
            rules={
                "channels": list(channels),
                "numbers": [one["name"] for one in numbers],
                "attributes": attributes,
            },
            paths=paths,
            needs=tuple(Need("choice", "", channel) for channel in channels),
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        answer, number = KeyField(ANSWERS), PhoneField(allow_null=True)
        return {
            "channels": ObjectField(dict.fromkeys(spec.rules["channels"], answer)),
            **dict.fromkeys(spec.rules["numbers"], number),
        }

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        words = {value: answer for answer, value in ANSWERS.items()}
        picked = {
            channel: words[state.choices["", channel]]
            for channel in spec.rules["channels"]
            # What waits for a confirmation is not chosen yet.
            if ("", channel) in state.choices and ("", channel) not in state.pending
        }
        number = held_text(state, PHONE)
        return {
            **({"channels": picked} if picked else {}),
            **(dict.fromkeys(spec.rules["numbers"], number) if number else {}),
        }

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        return [
            *(
                SetChoice("", channel, ANSWERS[answer])
                for channel, answer in answers.get("channels", {}).items()
            ),
            *(said(PHONE, answers[name]) for name in spec.rules["numbers"] if name in answers),
        ]

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        named = [item["channel"] for item in value.get("words") or ()]
        if len(named) != len(set(named)):
            return {"words": gettext("A channel stands here twice. Remove one of the two.")}
        if not set(named) <= set(value.get("channels") or ()):
            return {"words": gettext("Here are words for a channel that is not ticked above.")}
        return {}

    def get_preview_value(self) -> Any:
        return self.normalize(
            {
                "heading": gettext("How may we reach you?"),
                "text": "",
                "channels": ["email", "sms", "post"],
                "words": [],
                "ask_number": True,
                "conditions": [],
            }
        )


def _number(channel: str, block_id: str) -> Json:
    """A field for each channel that takes the number: a condition looks at one answer. All of them hold the same."""
    labels = {"sms": gettext("Phone number for text messages"), "phone": gettext("Phone number for calls")}
    return control(
        "text",
        f"number-{channel}",
        labels[channel],
        help=gettext("With the code of the country, for example +49 30 123456."),
        format="tel",
        constraints={"max_length": PHONE_LENGTH, "autocomplete": "tel"},
        personal=True,
        when={"block": block_id, "control": f"channels.{channel}", "in": ["yes"]},
    )
