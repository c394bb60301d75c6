"""The editor's forms for topics and groups."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from wagtail.admin.forms import WagtailAdminModelForm

from ..blocks.words import channel_choices, frequency_choices, in_order
from ..values import FREQUENCIES


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
        return cleaned
