"""What staff may change on behalf of somebody: a form that says nothing about what it leaves alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from ..blocks.words import CHANNEL_LABELS, FREQUENCY_LABELS, in_order
from ..changes import Change, OptIn, OptOut, PauseFor, Resume, SetChoice, SetFrequency
from ..topics.models import Topic
from ..values import (
    CHANNELS,
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Evidence,
    EvidenceKind,
    Key,
    key_to_scope,
)
from . import staff_words

_ADDRESS = re.compile(r"\S@\S")
_NO_CHANGE = gettext_lazy("No change")
_CHOICES = [
    ("", _NO_CHANGE),
    (SUBSCRIBED, gettext_lazy("Subscribe")),
    (UNSUBSCRIBED, gettext_lazy("Unsubscribe")),
]
_EVERYTHING = [
    ("", _NO_CHANGE),
    ("opt_out", gettext_lazy("Unsubscribe from everything")),
    ("opt_in", gettext_lazy("No longer unsubscribed from everything")),
]


def refuse_address(text: str) -> None:
    """Reasons and references are kept for ever, and read by more people than may see her address."""
    if _ADDRESS.search(text):
        raise ValidationError(_("Leave out e-mail addresses and names: this is kept with the record."))


#: Beside `EVIDENCE_KINDS` in words.
_EVIDENCE = [
    ("consent", gettext_lazy("She said yes")),
    ("sale", gettext_lazy("She bought something")),
    ("inquiry", gettext_lazy("She asked about a product")),
]


@dataclass(frozen=True, slots=True)
class Cell:
    """A field, where there is one, and what holds now."""

    field: Any
    now: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table of the form."""

    label: str
    cells: tuple[Cell, ...]


class OnBehalfForm(forms.Form):
    """Choices by topic and channel, everything at once, frequencies and pauses; why, and how we know."""

    base_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    act = forms.UUIDField(widget=forms.HiddenInput)
    everything = forms.ChoiceField(
        label=gettext_lazy("Everything"),
        choices=_EVERYTHING,
        required=False,
        widget=forms.Select(attrs={"class": "w-w-full"}),  # else as wide as its longest word, also on a phone
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        validators=[refuse_address],
        help_text=gettext_lazy(
            "Why you do this for her, such as “called us”. Kept in the log. No names, no addresses."
        ),
    )
    evidence_reference = forms.CharField(
        label=gettext_lazy("Evidence: where her own act can be looked up"),
        max_length=200,
        required=False,
        validators=[refuse_address],
        help_text=gettext_lazy(
            "Needed for every yes: the number of a ticket, an order, a signed form. No names, no addresses."
        ),
    )
    evidence_at = forms.DateTimeField(
        label=gettext_lazy("Evidence: when she did it"),
        required=False,
        input_formats=["%Y-%m-%dT%H:%M"],
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
        help_text=gettext_lazy("It must be later than her last word on the matter."),
    )

    evidence_kind = forms.ChoiceField(
        label=gettext_lazy("Evidence: what she did"),
        choices=_EVIDENCE,
        required=False,
        help_text=gettext_lazy(
            "A purchase is no yes. It only allows topics for existing customers, where the law of her country lets it."
        ),
    )

    def __init__(
        self,
        data: Any = None,
        *,
        topics: Sequence[Topic],
        now: Mapping[str, str] | None = None,
        initial: Any = None,
    ) -> None:
        """`now` says for names of fields what holds now."""
        super().__init__(data, initial=initial)
        self.now = now or {}
        self.topics = [topic for topic in topics if not topic.archived and not topic.transactional]
        self.labels = {topic.key: str(topic) for topic in topics}
        self.channels = in_order({channel for topic in self.topics for channel in topic.channels}, CHANNELS)
        for topic in self.topics:
            for channel in in_order(topic.channels, CHANNELS):
                self.fields[f"choice:{topic.key}:{channel}"] = forms.ChoiceField(
                    label=staff_words.choice_words(topic.key, channel, self.labels),
                    choices=_CHOICES,
                    required=False,
                )
        for key in self._scopes():
            scope = key_to_scope(key)
            label = staff_words.scope_words(scope, self.labels)
            self.fields[f"frequency:{scope}"] = forms.ChoiceField(
                label=_("How often: %(scope)s") % {"scope": label},
                choices=[("", _NO_CHANGE), *((code, FREQUENCY_LABELS[code]) for code in FREQUENCIES)],
                required=False,
            )
            self.fields[f"pause:{scope}"] = forms.DateField(
                label=_("Pause until: %(scope)s") % {"scope": label},
                required=False,
                input_formats=["%Y-%m-%d"],
                widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
            )
            self.fields[f"resume:{scope}"] = forms.BooleanField(
                label=_("End the pause now: %(scope)s") % {"scope": label}, required=False
            )

    def _scopes(self) -> Iterator[Key]:
        yield ("", "")
        yield from (("", channel) for channel in self.channels)
        yield from ((topic.key, "") for topic in self.topics)

    # --- as it is drawn ----------------------------------------------------------------------------------------------

    @property
    def channel_labels(self) -> list[str]:
        return [str(CHANNEL_LABELS[channel]) for channel in self.channels]

    @property
    def choice_lines(self) -> list[Line]:
        return [
            Line(
                self.labels[topic.key],
                tuple(self._cell(f"choice:{topic.key}:{channel}") for channel in self.channels),
            )
            for topic in self.topics
        ]

    @property
    def limit_lines(self) -> list[Line]:
        return [
            Line(
                staff_words.scope_words(scope, self.labels),
                tuple(self._cell(f"{kind}:{scope}") for kind in ("frequency", "pause", "resume")),
            )
            for scope in map(key_to_scope, self._scopes())
        ]

    @property
    def has_field_errors(self) -> bool:
        return any(name != NON_FIELD_ERRORS for name in self.errors)

    def _cell(self, name: str) -> Cell:
        return Cell(self[name], self.now.get(name, "")) if name in self.fields else Cell(None)

    # --- as it is read -----------------------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in list(cleaned):  # an error takes its field out
            kind, _colon, scope = name.partition(":")
            if kind == "resume" and cleaned[name] and cleaned.get(f"pause:{scope}"):
                self.add_error(f"pause:{scope}", _("Either pause until a day, or end the pause."))
        if cleaned.get("everything") == "opt_out" and any(
            name.startswith("choice:") and value == SUBSCRIBED for name, value in cleaned.items()
        ):
            self.add_error("everything", _("Nobody can leave everything and subscribe at once."))
        self._clean_evidence(cleaned)
        if not self.errors and not self.changes():
            raise ValidationError(_("Choose what is to be changed."))
        return cleaned

    def _clean_evidence(self, cleaned: dict[str, Any]) -> None:
        reference, at = cleaned.get("evidence_reference"), cleaned.get("evidence_at")
        wanted = self.says_yes(cleaned) or reference or at
        if wanted and not reference and "evidence_reference" not in self.errors:
            self.add_error("evidence_reference", _("Say where her own act can be looked up."))
        if wanted and not at and "evidence_at" not in self.errors:
            self.add_error("evidence_at", _("Say when she did it."))
        if at and at > timezone.now():
            self.add_error("evidence_at", _("This has not happened yet."))

    @staticmethod
    def says_yes(cleaned: dict[str, Any]) -> bool:
        """Whether somebody is to get something that only her own act allows."""
        return cleaned.get("everything") == "opt_in" or any(
            name.startswith("choice:") and value == SUBSCRIBED for name, value in cleaned.items()
        )

    @property
    def evidence(self) -> Evidence | None:
        reference, at = self.cleaned_data.get("evidence_reference"), self.cleaned_data.get("evidence_at")
        kind: EvidenceKind = self.cleaned_data.get("evidence_kind") or "consent"
        return Evidence(reference, at, kind) if reference and at else None

    def changes(self) -> list[Change]:
        """What is wished for; a pause is still a day."""
        return list(self._changes())

    def _changes(self) -> Iterator[Change]:
        cleaned = self.cleaned_data
        if cleaned.get("everything"):
            yield OptOut() if cleaned["everything"] == "opt_out" else OptIn()
        for topic in self.topics:
            for channel in self.channels:
                if value := cleaned.get(f"choice:{topic.key}:{channel}"):
                    yield SetChoice(topic.key, channel, value)
        for key in self._scopes():
            scope = key_to_scope(key)
            if code := cleaned.get(f"frequency:{scope}"):
                yield SetFrequency(*key, code)
            if cleaned.get(f"resume:{scope}"):
                yield Resume(*key)
            elif day := cleaned.get(f"pause:{scope}"):
                yield PauseFor(*key, day=day)
