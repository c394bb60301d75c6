"""A document and a contact's preferences, made ready for the templates: what stands where, ticked or not, and why.

The templates in `wagtail_prefs/controls/` only write down what is decided here; the element decides the same in
`frontend/src/state/answers.ts`. Nothing here is HTML, except rich text, which `wagtail_prefs.html` makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import NoReverseMatch, reverse
from django.utils.dateparse import parse_datetime

from ..errors import AnswerErrors
from ..html import href_is_allowed, tree_to_html
from ..values import Json, controls_of
from .conditions import holds
from .form import ERASE, EXPORT, STEP_UP, WAS, one
from .leaves import Kind, cell_kind, columns_of, is_flat, leaf_kind, lines, read, spell
from .screen import Control, Entry, Field, Form, Group, Option, Press, Problem, Row, Section, Way

_DRAWN = frozenset(
    "toggle one_of many_of select matrix scale text date action rich_text links image records".split()
)
#: What an action does that leads to another page.
REQUEST_LINK = "request_link"
_INPUT_TYPES = {"plain": "text", "email": "email", "tel": "tel"}


def draw(
    document: Json,
    preferences: Json | None,
    *,
    posted: QueryDict | None = None,
    errors: AnswerErrors | None = None,
) -> Form:
    """Decide what a center's page shows.

    `posted` is a form that was refused: its ticks are shown again, over the values they were drawn on, beside
    `errors`, so that nothing the person did is lost.
    """
    pen = _Pen(document, preferences, posted, errors or {})
    sections = tuple(filter(None, (pen.section(block) for block in document["blocks"])))
    seen = preferences or {}
    return Form(
        document=document,
        labels=document["labels"],
        sections=sections,
        enabled=preferences is not None,
        email=seen.get("contact", {}).get("email", ""),
        outlook=tuple(item["text"] for item in seen.get("outlook", ())),
        base_version=_base_version(posted, seen),
        problems=tuple(pen.problems()),
    )


@dataclass(slots=True)
class _Pen:
    document: Json
    preferences: Json | None
    posted: QueryDict | None
    refused: AnswerErrors
    words: dict[str, str] = field(default_factory=dict)  # name -> how the summary calls it

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.document["labels"]
        return labels

    def seen(self, what: str) -> Any:
        return (self.preferences or {}).get(what)

    def section(self, block: Json) -> Section | None:
        if not self.shown(block["id"]):
            return None
        controls = tuple(
            self.control(block["id"], control)
            for control in controls_of(block)
            if self.shown(f"{block['id']}.{control['name']}", control.get("when")) and _can_be_drawn(control)
        )
        html = tree_to_html(block.get("text") or [])
        if not (block.get("heading") or html or controls):
            return None
        return Section(block["id"], block["type"], block.get("heading") or "", html, controls)

    def shown(self, name: str, when: Json | None = None) -> bool:
        """Not hidden from this contact, and its condition holds on the answers that are stored."""
        if name in (self.seen("hidden") or ()):
            return False
        if not when:
            return True
        answers = (self.seen("answers") or {}).get(when["block"], {})
        return holds(when, read(answers, when["control"].split(".")))

    def control(self, block: str, control: Json) -> Control:
        kind = control["type"] if control["type"] in _DRAWN else "unknown"
        place = (control["name"],)
        masked = (
            bool(control.get("personal"))
            and self.preferences is not None
            and self.seen("assurance") != "fresh"
        )
        if masked and leaf_kind(control):
            kind = "masked"
        own = self.field(
            block, place, control, leaf_kind(control), masked=masked, options=control.get("options", ())
        )
        return Control(
            template=f"wagtail_prefs/controls/{kind}.html",
            field=own,
            json=control,
            groups=self.groups(block, control, masked=masked) if kind == "matrix" else (),
            html=tree_to_html(control["content"]) if kind == "rich_text" else None,
            items=tuple(_link(item) for item in control["items"]) if kind == "links" else _steps(control),
            entries=tuple(self.entries(block, own.name)) if kind == "records" else (),
            href=page_of("request-link", self.document) if control.get("do") == REQUEST_LINK else "",
            input_type=_INPUT_TYPES.get(control.get("format", ""), "text"),
        )

    def field(
        self,
        block: str,
        place: tuple[str, ...],
        what: Json,
        kind: Kind | None,
        *,
        masked: bool = False,
        locked: bool = False,
        options: Iterable[Json] = (),
        call: str = "",
    ) -> Field:
        name = ".".join((block, *place))
        disabled = self.preferences is None or locked or masked or bool(what.get("locked"))
        answer = read((self.seen("answers") or {}).get(block, {}), place)
        # What is masked is no answer of its kind, only a sign that there is one.
        stored = str(answer or "") if masked else spell(kind, answer) if kind else ""
        value, was = self._again(name, kind, stored)
        chosen = value.split() if kind == "many" else [value]
        self.words[name] = call or what["label"]
        return Field(
            name=name,
            label=what["label"],
            help=what.get("help") or "",
            media=what.get("media"),
            required=bool(what.get("required")),
            locked=what.get("locked") or "",
            pending=self.labels.get("pending", "") if name in (self.seen("pending") or ()) else "",
            errors=tuple(self.refused.get(block, {}).get(".".join(place), ())),
            disabled=disabled,
            masked=masked,
            value=value,
            was=None if kind is None or disabled else was,
            options=tuple(
                Option(one["key"], one["label"], one.get("help") or "", one["key"] in chosen)
                for one in options
            ),
        )

    def _again(self, name: str, kind: Kind | None, stored: str) -> tuple[str, str]:
        """What is shown, and what it was drawn on: the stored answer, or what a refused form held."""
        if self.posted is None or WAS + name not in self.posted:
            return stored, stored
        given, was = self.posted.getlist(name), one(self.posted, WAS + name)
        if kind == "toggle":
            return ("1" if given else "0"), was
        if kind == "many":
            return " ".join(given), was
        return (lines(given[0]) if given else was), was

    def groups(self, block: str, matrix: Json, *, masked: bool) -> tuple[Group, ...]:
        private = ((self.seen("private") or {}).get(block) or {}).get(matrix["name"], ())
        grouped: dict[str, list[Row]] = {}
        for row in [*matrix["rows"], *private]:
            if self.shown(f"{block}.{matrix['name']}.{row['key']}", row.get("when")):
                grouped.setdefault(row.get("group") or "", []).append(
                    self.row(block, matrix, row, masked=masked)
                )
        return tuple(Group(heading, tuple(rows)) for heading, rows in grouped.items())

    def row(self, block: str, matrix: Json, row: Json, *, masked: bool) -> Row:
        place = (matrix["name"], row["key"])
        locked = bool(matrix.get("locked"))
        offered = columns_of(matrix, row)
        if is_flat(matrix):
            options = offered if matrix["cell"] == "one_of" else ()
            return Row(
                self.field(
                    block, place, row, cell_kind(matrix), masked=masked, locked=locked, options=options
                )
            )
        cells: list[Field | None] = []
        for column in matrix["columns"]:
            if column not in offered:
                cells.append(None)
                continue
            cells.append(
                self.field(
                    block,
                    (*place, column["key"]),
                    column,
                    cell_kind(matrix),
                    masked=masked,
                    locked=locked or bool(row.get("locked")),
                    call=f"{row['label']}, {column['label']}",
                )
            )
        own = self.field(block, place, row, None, masked=masked, locked=locked)
        waiting = [cell.label for cell in cells if cell and cell.pending]
        told = [message for cell in cells if cell for message in cell.errors]
        return Row(
            Field(
                name=own.name,
                label=own.label,
                help=own.help,
                media=own.media,
                locked=own.locked,
                pending=f"{', '.join(waiting)}: {self.labels.get('pending', '')}" if waiting else own.pending,
                errors=tuple(dict.fromkeys([*own.errors, *told])),
                disabled=own.disabled,
            ),
            tuple(cells),
        )

    def entries(self, block: str, name: str) -> Iterable[Entry]:
        for number, item in enumerate((self.seen("records") or {}).get(block, ())):
            when = item.get("when")
            buttons = tuple(
                Press(f"{name}.{action['receipt']}", action["label"], action.get("style") or "secondary")
                for action in item.get("actions") or ()
                if action["do"] == "undo"  # as with other buttons: what this page can do
            )
            moment = parse_datetime(when) if when else None
            receipt = item.get("receipt") or ""
            yield Entry(f"{name}.{number}", item["title"], moment, item.get("lines") or (), buttons, receipt)

    def problems(self) -> Iterable[Problem]:
        told: set[str] = set()
        for block, fields in self.refused.items():
            for place, messages in fields.items():
                name = f"{block}.{place}"
                call = self.words.get(name, "")
                text = f"{call}: {' '.join(messages)}" if call else " ".join(messages)
                if text not in told:
                    told.add(text)
                    yield Problem(name if call else "", text)


def _base_version(posted: QueryDict | None, seen: Json) -> str:
    given = one(posted, "base_version") if posted is not None else ""
    return given if given.isascii() and given.isdigit() else str(seen.get("version", ""))


def _can_be_drawn(control: Json) -> bool:
    """Buttons are drawn where this page can do what they say; the element can do more."""
    return (
        control["type"] != "action"
        or isinstance(control["do"], Mapping)
        or control["do"] in {REQUEST_LINK, STEP_UP, EXPORT, ERASE}
    )


def ways_in(document: Json) -> tuple[Way, ...]:
    """For whoever is nobody here yet: the pages that send her link, or sign her up where there is what to choose."""
    labels = document["labels"]
    has_choices = any(
        control["type"] == "matrix" and cell_kind(control) == "toggle"
        for block in document["blocks"]
        for control in controls_of(block)
    )
    pages = [("request-link", labels.get("request_link")), ("sign-up", has_choices and labels.get("sign_up"))]
    return tuple(
        Way(name, href, label) for name, label in pages if label and (href := page_of(name, document))
    )


def page_of(name: str, document: Json) -> str:
    """The address of one of the center's pages for everybody, in the document's language; "" where none is mounted."""
    try:
        path = reverse(f"wagtail_prefs:{name}", args=[document["center"]])
    except (NoReverseMatch, KeyError):  # a preview of a single block has no center
        return ""
    return f"{path}?{urlencode({'locale': document['locale']})}"


def _link(item: Json) -> Json:
    href = str(item["href"])
    local = href.startswith("/") and not href.startswith(("//", "/\\"))
    return {"label": item["label"], "href": href if local or href_is_allowed(href) else ""}


def _steps(control: Json) -> tuple[Json, ...]:
    """The values of a scale."""
    if control["type"] != "scale":
        return ()
    limits = control.get("constraints") or {}
    low = int(limits.get("min") or 0)
    high = min(int(10 if limits.get("max") is None else limits["max"]), low + 20)
    return tuple({"key": str(step)} for step in range(low, high + 1))
