"""DRF fields of strict types: a submission is taken as it is meant or refused, never coerced."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, TypeAlias

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

AnyField: TypeAlias = "serializers.Field[Any, Any, Any, Any]"

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
#: As people write a phone number, with all that stands between the digits.
PHONE_LENGTH = 40
#: RFC 5321, s4.5.3.1.3, without the brackets.
ADDRESS_LENGTH = 254
#: Control characters, halves of characters, ends of lines and of paragraphs.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
#: Embeddings, overrides and isolates: they make a text read as another one, in any direction.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class StrictBooleanField(serializers.Field[bool, Any, bool, Any]):
    """`true` or `false`; not "yes", not 1, not null. With `only`, just that one of them."""

    default_error_messages = {
        "invalid": _("This must be true or false."),
        "fixed": _("This cannot be taken back here."),
    }

    def __init__(self, *, only: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.only = only

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        if self.only is not None and data is not self.only:
            self.fail("fixed")
        return data

    def to_representation(self, value: bool) -> bool:
        return value


class KeyField(serializers.Field[str, Any, str, Any]):
    """One of the offered keys."""

    default_error_messages = {"invalid": _("This is not one of the choices.")}

    def __init__(self, keys: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keys = frozenset(keys)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.keys:
            self.fail("invalid")
        return data

    def to_representation(self, value: str) -> str:
        return value


class KeysField(serializers.Field[list[str], Any, list[str], Any]):
    """Any of the offered keys, each once; the value has them in the order in which they are offered."""

    default_error_messages = {"invalid": _("This is not a list of the choices.")}

    def __init__(self, keys: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keys = tuple(keys)

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list | tuple) or not all(isinstance(key, str) for key in data):
            self.fail("invalid")
        chosen = set(data)
        if len(chosen) != len(data) or not chosen <= set(self.keys):
            self.fail("invalid")
        return [key for key in self.keys if key in chosen]

    def to_representation(self, value: list[str]) -> list[str]:
        return value


class WholeNumberField(serializers.Field[int, Any, int, Any]):
    """A whole number from `low` to `high`; not "7", not 7.0, not true."""

    default_error_messages = {"invalid": _("Choose a number from {low} to {high}.")}

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low, self.high = low, high

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool) or not self.low <= data <= self.high:
            self.fail("invalid", low=self.low, high=self.high)
        return data

    def to_representation(self, value: int) -> int:
        return value


class DayField(serializers.Field[str, Any, str, Any]):
    """A day as YYYY-MM-DD, from `first` to `last`; either may be "", which is no limit. The value is a text."""

    default_error_messages = {
        "invalid": _("Give a date as year, month and day: 2026-03-31"),
        "early": _("Choose a date from {first} on."),
        "late": _("Choose a date up to {last}."),
    }

    def __init__(self, first: str = "", last: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first, self.last = first, last

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or not _DATE.fullmatch(data):
            self.fail("invalid")
        try:
            date.fromisoformat(data)
        except ValueError:
            self.fail("invalid")
        # Written this way, days compare like texts.
        if self.first and data < self.first:
            self.fail("early", first=self.first)
        if self.last and data > self.last:
            self.fail("late", last=self.last)
        return data

    def to_representation(self, value: str) -> str:
        return value


class TextField(serializers.Field[str, Any, str, Any]):
    """Somebody's own words: text and nothing else (security.md HT-08), without the blanks around it.

    Of `lines`, line ends are line feeds; without, there is one.
    """

    default_error_messages = {
        "invalid": _("This must be a text."),
        "long": _("This is too long. Use at most {max_length} characters."),
        "unprintable": _("This holds characters that cannot be printed. Please type it anew."),
    }

    def __init__(self, max_length: int, *, lines: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_length, self.lines = max_length, lines

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text = data.replace("\r\n", "\n").replace("\r", "\n").strip() if self.lines else data.strip()
        if len(text) > self.max_length:
            self.fail("long", max_length=self.max_length)
        allowed = "\n\t" if self.lines else ""
        for character in text:
            if character in _TURNING or (
                unicodedata.category(character) in _UNPRINTABLE and character not in allowed
            ):
                self.fail("unprintable")
        return text

    def to_representation(self, value: str) -> str:
        return value


class PhoneField(TextField):
    """A phone number with the country's code; the value is as E.164 has it (+4930123456), or "" for none.

    Loosely read: blanks, hyphens, dots, brackets, 00 for +, a "(0)" after the country's code and digits of any script.
    Whether anybody answers there is not asked.
    """

    default_error_messages = {
        "number": _("Give the number with + and the code of the country in front: +49 30 123456")
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(PHONE_LENGTH, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        digits = "".join(str(unicodedata.decimal(one, one)) for one in text)
        number = re.sub(r"[\s().\-/\u2010-\u2015]", "", digits.replace("(0)", "", 1))
        number = re.sub(r"^(\uff0b|00)", "+", number)
        if number and not _PHONE.fullmatch(number):
            self.fail("number")
        return number


class AddressField(TextField):
    """An e-mail address as it is written, or "" for none."""

    default_error_messages = {"address": _("Give an e-mail address, for example name@example.org")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(ADDRESS_LENGTH, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        address = super().to_internal_value(data)
        if address:
            try:
                validate_email(address)
            except ValidationError:
                self.fail("address")
        return address


class ObjectField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON object of the named members, any of which may be absent and none of which may be another."""

    default_error_messages = {
        "invalid": _("This must be an object."),
        "unknown": _("This center does not offer that."),
    }

    def __init__(self, members: Mapping[str, AnyField], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members = dict(members)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.fail("invalid")
        values: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, given in data.items():
            member = self.members.get(name)
            if member is None:
                errors[str(name)] = [str(self.error_messages["unknown"])]
                continue
            try:
                values[name] = member.run_validation(given)
            except serializers.ValidationError as refused:
                errors[name] = refused.detail
        if errors:
            raise serializers.ValidationError(errors)
        return values

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value
