"""How often messages may come: at all, and by each channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock, CharBlock, ChoiceBlock, ListBlock, MultipleChoiceBlock, StructBlock

from ..changes import Change, SetFrequency
from ..values import (
    CHANNELS,
    FREQUENCIES,
    CompileContext,
    ContactState,
    Json,
    Need,
    Spec,
    key_to_scope,
    scope_to_key,
)
from .base import PreferenceBlock, control, row
from .fields import AnyField, KeyField, ObjectField
from .words import CHANNEL_LABELS, FREQUENCY_LABELS, channel_choices, frequency_choices, in_order


class WordsBlock(StructBlock):
    """How the editor calls one frequency."""

    frequency = ChoiceBlock(choices=frequency_choices, label=_("Frequency"))
    words = CharBlock(label=_("Words"), max_length=120, help_text=_("For example: about one mail a week"))

    class Meta:
        icon = "openquote"
        label = _("Words")
        label_format = "{words}"


class FrequencyBlock(PreferenceBlock):
    """A table: a row for everything and for each channel, a column for each frequency, one pick a row."""

    frequencies = MultipleChoiceBlock(
        choices=frequency_choices,
        label=_("Frequencies"),
        help_text=_("From which people pick. A pick is a limit: messages beyond it wait or are left out."),
    )
    overall = BooleanBlock(
        required=False,
        default=True,
        label=_("For everything"),
        help_text=_("One pick that holds for all channels."),
    )
    channels = MultipleChoiceBlock(
        choices=channel_choices,
        required=False,
        label=_("For each of these channels"),
        help_text=_("Where both are picked, the rarer one holds."),
    )

    words = ListBlock(
        WordsBlock(),
        label=_("In your own words"),
        min_num=0,
        default=[],
        help_text=_(
            "What people read instead of “At most one a week” and the like. The limit stays the same."
        ),
    )

    class Meta:
        icon = "time"
        label = _("Frequency")
        description = _("How often messages may come, at most.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        codes = in_order(value.get("frequencies") or (), FREQUENCIES)
        channels = in_order(value.get("channels") or (), CHANNELS)
        own = {said["frequency"]: said["words"] for said in value.get("words") or ()}
        rows = {"all": gettext("Everything")} if value.get("overall") else {}
        rows |= {key_to_scope(("", channel)): str(CHANNEL_LABELS[channel]) for channel in channels}
        matrix = control(
            "matrix",
            "frequency",
            value.get("heading") or gettext("How often"),
            cell="one_of",
            single=True,
            rows=[row(scope, label) for scope, label in rows.items()],
            columns=[{"key": code, "label": own.get(code) or str(FREQUENCY_LABELS[code])} for code in codes],
        )
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, [matrix]),
            rules={"scopes": list(rows), "codes": list(codes)},
            paths={
                f"frequency:{scope}": (
                    f"frequency.{scope}",
                    gettext("How often: %(what)s") % {"what": label},
                )
                for scope, label in rows.items()
            },
            needs=tuple(Need("frequency", *scope_to_key(scope)) for scope in rows),
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        codes = spec.rules["codes"]
        return {"frequency": ObjectField({scope: KeyField(codes) for scope in spec.rules["scopes"]})}

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        picked = {
            scope: code
            for scope in spec.rules["scopes"]
            # A code set elsewhere that this block does not offer cannot be drawn as one of its choices.
            if (code := state.frequencies.get(scope_to_key(scope))) in spec.rules["codes"]
        }
        return {"frequency": picked} if picked else {}

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        return [
            SetFrequency(*scope_to_key(scope), code) for scope, code in answers.get("frequency", {}).items()
        ]

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not value.get("overall") and not value.get("channels"):
            found["channels"] = gettext("Tick “For everything” or at least one channel.")
        named = [said["frequency"] for said in value.get("words") or ()]
        if len(named) != len(set(named)):
            found["words"] = gettext("A frequency stands here twice. Remove one of the two.")
        elif not set(named) <= set(value.get("frequencies") or ()):
            found["words"] = gettext("Here are words for a frequency that is not ticked above.")
        return found

    def get_preview_value(self) -> Any:
        return self.normalize(
            {
                "heading": gettext("How often?"),
                "text": "",
                "frequencies": ["as_it_happens", "weekly", "monthly"],
                "overall": True,
                "channels": [],
                "words": [],
            }
        )
