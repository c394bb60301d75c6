"""The editor's forms for topics and groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django import forms
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.translation import gettext, gettext_lazy as _, ngettext, pgettext_lazy
from wagtail.admin.forms import WagtailAdminModelForm

from ..blocks.words import channel_choices, frequency_choices, in_order
from ..values import FREQUENCIES, SEND_DAYS, Per, Planned
from . import calendar

#: More numbers than a month has days are a slip.
_MAX_DATES = 200
WEEKS = {
    1: pgettext_lazy("weekday of a month", "first"),
    2: pgettext_lazy("weekday of a month", "second"),
    3: pgettext_lazy("weekday of a month", "third"),
    4: pgettext_lazy("weekday of a month", "fourth"),
    calendar.LAST_WEEK: pgettext_lazy("weekday of a month", "last"),
}


class Boxes(forms.CheckboxSelectMultiple):
    """Boxes side by side, as many as a line holds."""

    class Media:
        css: ClassVar = {"all": ["wagtail_prefs/css/calendar.css"]}

    def __init__(self) -> None:
        super().__init__(attrs={"class": "prefs-boxes"})


def _numbers(choices: Mapping[int, object], **words: Any) -> forms.TypedMultipleChoiceField:
    return forms.TypedMultipleChoiceField(
        choices=list(choices.items()), coerce=int, required=False, widget=Boxes, **words
    )


class DatesField(forms.Field):
    """Days of the month: "1, 15"."""

    def to_python(self, value: Any) -> list[int]:
        text = str(value or "")[:_MAX_DATES]
        words = [word for word in re.split(r"[\s,;.،、]+", text) if word]
        if not all(re.fullmatch(r"[0-9]{1,2}", word, re.ASCII) for word in words):
            raise forms.ValidationError(gettext("Write numbers from 1 to 31, for example: 1, 15"))
        dates = sorted({int(word) for word in words})
        if dates and not (dates[0] >= 1 and dates[-1] <= SEND_DAYS["dates"]):
            raise forms.ValidationError(gettext("Write numbers from 1 to 31, for example: 1, 15"))
        return dates

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(super().has_changed(self.prepare_value(initial), data))


class KeyedForm(WagtailAdminModelForm):
    """The key is fixed once it is saved: links, ledger records and CRM mappings name it. So is the audience."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        saved = bool(self.instance.pk)
        if "key" in self.fields:
            self.fields["key"].disabled = saved
        if "audience" in self.fields:
            audience = self.fields["audience"]
            audience.disabled = saved
            audience.required = False
            audience.help_text = _("Whose topics these are. Empty: the audience of the default site.")

    def clean_audience(self) -> Any:
        """A new site has no audience yet, and an editor should not need to know that."""
        from .services import default_audience  # noqa: PLC0415 - models import this module

        return self.cleaned_data["audience"] or default_audience()


class TopicGroupForm(KeyedForm):
    pass


class TopicForm(KeyedForm):
    """Channels and frequencies as boxes instead of JSON."""

    channels = forms.MultipleChoiceField(
        label=_("Channels"),
        choices=channel_choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("How messages of this topic can come."),
    )
    frequencies = forms.MultipleChoiceField(
        label=_("Frequencies"),
        choices=frequency_choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "From which people pick how often this topic may come, at most. None: they are not asked."
        ),
    )

    on_weekdays = _numbers(
        {number + 1: name for number, name in WEEKDAYS.items()},
        label=_("Weekdays"),
        help_text=_("Of each week, or of the weeks of the month below."),
    )
    on_weeks = _numbers(
        WEEKS,
        label=_("Which of them in the month"),
        help_text=_("For what is planned in each month, quarter or year: the first Tuesday, for example."),
    )
    on_dates = DatesField(
        label=_("Or days of the month"),
        required=False,
        help_text=_("Instead of weekdays: 1, 15 for example. 31 is the last day of every month."),
    )
    on_months = _numbers(
        MONTHS,
        label=_("Months"),
        help_text=_("For what is planned in each quarter or year. None: all of them."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        on = calendar.days_of(self.instance.planned_on)
        for name in SEND_DAYS:
            if f"on_{name}" in self.fields:  # a site may show other fields
                self.initial.setdefault(f"on_{name}", list(getattr(on, name)) if on else [])
        if "planned_per" in self.fields:  # not every site shows it
            self.fields["planned_per"].required = False

    def clean_planned_per(self) -> str:
        """Where no number is planned, nobody has to say in which time."""
        per: str = self.cleaned_data["planned_per"] or self.instance.planned_per
        return per

    def clean_frequencies(self) -> list[str]:
        chosen = in_order(self.cleaned_data["frequencies"], FREQUENCIES)
        if len(chosen) == 1:
            raise forms.ValidationError(_("Tick at least two, or none: one is no choice."))
        return list(chosen)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        group, audience = cleaned.get("group"), cleaned.get("audience")
        if group and audience and group.audience_id != audience.pk:
            self.add_error("group", _("This group belongs to another audience."))
        if cleaned.get("transactional") and (cleaned.get("private") or cleaned.get("frequencies")):
            field = "private" if cleaned.get("private") else "frequencies"
            self.add_error(
                field, _("A topic that is always sent can neither be private nor come less often.")
            )
        if not {"planned", "planned_per", *self._boxes.values()} & self.errors.keys():
            self._clean_days(cleaned)
        return cleaned

    @property
    def _boxes(self) -> dict[str, str]:
        return {name: f"on_{name}" for name in SEND_DAYS if f"on_{name}" in self.fields}

    def _clean_days(self, cleaned: dict[str, Any]) -> None:
        """Days are kept only with a number that they go with, so that nobody is told of a day that no one means."""
        if not self._boxes:
            return
        data = {name: cleaned[field] for name, field in self._boxes.items() if cleaned.get(field)}
        on = calendar.days_of(data)
        number: int | None = cleaned.get("planned", self.instance.planned)
        per = cast("Per", cleaned.get("planned_per") or self.instance.planned_per)
        if on is None:
            self.instance.planned_on = None
        elif not number:
            self.add_error(
                "on_weekdays", gettext("Say above how many messages are planned, or tick no days.")
            )
        elif (wrong := calendar.problem(planned := Planned(number, per, on))) is None:
            self.instance.planned_on = on.to_json()
        else:
            self.add_error(*_told(wrong, planned))


def _told(problem: calendar.Problem, planned: Planned) -> tuple[str, str]:
    """The field that a problem with the days stands at, and what an editor reads."""
    match problem:
        case "not_of_a_week":
            return "on_weekdays", gettext("Of what is planned in each week, tick weekdays only.")
        case "not_of_a_month":
            return "on_months", gettext("What is planned in each month comes in every month: tick none here.")
        case "weeks_or_dates":
            return "on_dates", gettext("Tick weekdays, or write days of the month: one of the two.")
        case "missing":
            return "on_weeks", gettext("Tick weekdays, and which of them in the month.")
        case "same_day":
            return "on_weeks" if planned.on and planned.on.weeks else "on_dates", gettext(
                "In some months two of these are one day. Leave one of them out."
            )
        case "uneven":
            return "on_months", gettext("Tick as many months in each quarter.")
        case "number":
            days = calendar.days_planned(planned)
            text = ngettext(
                "This is %(days)s day, and the number planned is %(number)s. Tick as many days as messages, or none.",
                "These are %(days)s days, and the number planned is %(number)s. Tick as many days as messages, or none.",
                days,
            )
            return "on_weekdays", text % {"days": days, "number": planned.number}
