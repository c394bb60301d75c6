"""What stands on a center's page, ready for the templates: values that say what to write, and nothing about why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString

from ..values import Json


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a pick."""

    key: str
    label: str
    help: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One thing on screen with an answer of its own: a control, a row or a cell. `name` is its HTML name and id."""

    name: str
    label: str
    help: str = ""
    media: Json | None = None
    required: bool = False
    locked: str = ""
    pending: str = ""
    errors: tuple[str, ...] = ()
    disabled: bool = False
    masked: bool = False
    value: str = ""
    was: str | None = None  # None: not part of the form
    options: tuple[Option, ...] = ()

    @property
    def ticked(self) -> bool:
        return self.value == "1"

    @property
    def described(self) -> bool:
        """Whether there are notes that the input must name."""
        return bool(self.help or self.locked or self.pending or self.errors)

    @property
    def answered(self) -> bool:
        """Whether the contact has an answer, which cannot be taken back to nothing; else a pick may stay open."""
        chosen = any(option.chosen for option in self.options)
        return chosen and (self.was is None or any(option.key == self.was for option in self.options))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a matrix; `cells` is as long as the columns, None where the row does not offer one."""

    field: Field
    cells: tuple[Field | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under one heading."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Press:
    """A button of an entry; `name` is its value in the form."""

    name: str
    label: str
    style: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a `records` control; `name` is the id of its title, `receipt` the id of what it tells of."""

    name: str
    title: str
    when: datetime | None
    lines: Sequence[str]
    buttons: tuple[Press, ...] = ()
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """A control and the template that draws it; `json` is what the document says of it."""

    template: str
    field: Field
    json: Json
    groups: tuple[Group, ...] = ()
    html: SafeString | None = None
    items: tuple[Json, ...] = ()
    entries: tuple[Entry, ...] = ()
    input_type: str = "text"
    href: str = ""  # where an action leads that is no button of the form

    @property
    def span(self) -> str:
        """The columns of a matrix and the one of its row names; text, so that no locale writes it otherwise."""
        return str(len(self.json["columns"]) + 1)


@dataclass(frozen=True, slots=True)
class Section:
    """A block on screen."""

    id: str
    type: str
    heading: str
    html: SafeString
    controls: tuple[Control, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """A link for people whom the page does not know; `name` is that of its route."""

    name: str
    href: str
    label: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A line of the error summary; `name` is the field to go to, or "" where there is none on screen."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Form:
    """A whole center on screen. Without `preferences` everything is drawn, and nothing can be changed."""

    document: Json
    labels: Mapping[str, str]
    sections: tuple[Section, ...]
    enabled: bool
    email: str = ""
    outlook: tuple[str, ...] = ()
    base_version: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def can_save(self) -> bool:
        """Whether there is anything on screen that the save button would send."""
        fields = (
            field for section in self.sections for control in section.controls for field in fields_of(control)
        )
        return any(field.was is not None and not field.disabled for field in fields)

    @property
    def way_out(self) -> Field | None:
        """The button that leaves everything by one press, where it stands further down: the head leads to it, so that three
        keys are enough (security.md WC-02).
        """
        return next(
            (
                control.field
                for section in self.sections[1:]
                for control in section.controls
                if control.json.get("style") == "danger"
                and isinstance(control.json.get("do"), Mapping)
                and not control.field.disabled
            ),
            None,
        )

    @property
    def signed_in_as(self) -> tuple[str, str] | None:
        """The words before and after the masked address."""
        before, found, after = self.labels.get("signed_in_as", "").partition("{email}")
        return (before, after) if found and self.email else None


def fields_of(control: Control) -> Iterable[Field]:
    """The fields of a control: its own, or those of its rows and cells."""
    if not control.groups:
        yield control.field
    for group in control.groups:
        for row in group.rows:
            yield row.field
            yield from (cell for cell in row.cells if cell)
