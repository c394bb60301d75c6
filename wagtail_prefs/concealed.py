"""Model fields whose columns hold `ciphers.conceal`: a model reads and writes the plain value.

The row's own key is bound into what stands there, so it must be known before the row is written. `values_list`, `update`
and SQL by hand see the column as it is: there the caller conceals and reveals, with `place_of`. Long enough for 254
characters that are encrypted: LENGTH.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from . import ciphers

LENGTH = 512
#: The one member of the JSON of a concealed value.
JSON_MARK = "concealed"


def place_of(model: type[models.Model], pk: Any, field: str) -> str:
    """What is bound into a concealed value: table, row and field."""
    return f"{model._meta.model_name}:{pk}:{field}"


def readable(instance: models.Model, field: str) -> Any:
    """A concealed text of a row; "" where its key is missing."""
    try:
        return getattr(instance, field)
    except ciphers.Unreadable:
        return ""


class _Stored(str):
    """A concealed text that a column holds. What somebody types is none of these, whatever it looks like."""

    __slots__ = ()


class _Revealed(DeferredAttribute):
    """Reads what stands in the row when somebody asks for it, and no sooner: most who load a row do not."""

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if instance is None:
            return value
        field = cast("_Concealed", self.field)
        if isinstance(value, _Stored):
            value = field.plain(ciphers.reveal(value, place=field.place(instance)))
            instance.__dict__[field.attname] = value
        return value

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
    _EmailField = models.EmailField[Any, Any]
    _CharField = models.CharField[Any, Any]
else:  # Django's own know no types
    _Field = object
    _EmailField, _CharField = models.EmailField, models.CharField


class _Concealed(_Field):
    """What is the same of all these fields."""

    descriptor_class = _Revealed

    def place(self, instance: models.Model) -> str:
        return place_of(type(instance), instance.pk, self.attname)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        return self.stored(getattr(model_instance, self.attname), self.place(model_instance))

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> Any:
        return _Stored(value) if isinstance(value, str) and ciphers.is_concealed(value) else value

    def plain(self, text: str) -> Any:
        return text

    def stored(self, value: Any, place: str) -> Any:
        return ciphers.conceal(value, place=place)


class ConcealedEmailField(_Concealed, _EmailField):
    """An e-mail address."""


class ConcealedCharField(_Concealed, _CharField):
    """A line of text."""


class ConcealedJSONField(_Concealed, models.JSONField):
    """A JSON object, as `{"concealed": text}`; an empty one stays empty."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = models.JSONField.from_db_value(self, value, expression, connection)
        return _Stored(found[JSON_MARK]) if isinstance(found, dict) and found.keys() == {JSON_MARK} else found

    def plain(self, text: str) -> Any:
        return json.loads(text)

    def stored(self, value: Any, place: str) -> Any:
        text = ciphers.conceal(json.dumps(value), place=place) if value else ""
        return {JSON_MARK: text} if ciphers.is_concealed(text) else value
