"""The form of an audience: countries and companies as people write them, and not as JSON."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.utils.translation import gettext, gettext_lazy as _

from ..law.countries import normal
from ..topics.forms import KeyedForm

#: Of a company's name, and of how many there are.
MAX_LINE, MAX_LINES = 255, 100


class CountriesField(forms.Field):
    """Codes of countries, or of regions of them: "DE, US-CA"."""

    def to_python(self, value: Any) -> list[str]:
        words = [word for word in re.split(r"[\s,;،、]+", str(value or "")[:2000]) if word]
        codes = [normal(word) for word in words]
        wrong = [word for word, code in zip(words, codes, strict=True) if not code]
        if wrong:
            raise ValidationError(
                gettext("“%(word)s” is no code of a country. Write codes of two letters: DE, IE"),
                params={"word": wrong[0][:20]},
            )
        return list(dict.fromkeys(codes))

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(super().has_changed(self.prepare_value(initial), data))


class LinesField(forms.Field):
    """One name on each line."""

    widget = forms.Textarea(attrs={"rows": 3})

    def to_python(self, value: Any) -> list[str]:
        lines = [" ".join(line.split()) for line in str(value or "").splitlines()]
        found = list(dict.fromkeys(line for line in lines if line))
        if len(found) > MAX_LINES or any(len(line) > MAX_LINE for line in found):
            raise ValidationError(
                gettext("At most %(lines)s lines of %(letters)s letters."),
                params={"lines": MAX_LINES, "letters": MAX_LINE},
            )
        return found

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        written = str(data or "").replace("\r\n", "\n")
        return bool(super().has_changed(self.prepare_value(initial), written))


class AudienceForm(KeyedForm):
    """Whatever is written is checked: it stands in records that people take along."""

    data_locations = CountriesField(
        label=_("Where data is stored"),
        required=False,
        help_text=_("Codes of countries, for example: DE, IE"),
    )
    recipients = LinesField(
        label=_("Who else gets data"),
        required=False,
        help_text=_("Companies that send or store for you, one on each line."),
    )

    def clean_controller_contact(self) -> str:
        """An address or a page; nobody can be reached by anything else here."""
        contact = str(self.cleaned_data["controller_contact"] or "").strip()
        check = validate_email if "@" in contact and "/" not in contact else URLValidator(["https", "http"])
        if contact:
            try:
                check(contact)
            except ValidationError:
                raise ValidationError(
                    gettext("Write an e-mail address, or the address of a page that begins with https://")
                ) from None
        return contact
