"""DRF fields of strict types: a submission is taken as it is meant or refused, never coerced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

AnyField: TypeAlias = "serializers.Field[Any, Any, Any, Any]"


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
