"""Reading our pages as a browser without JavaScript does: what a form sends when its button is pressed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from django.template.loader import render_to_string

VOID = {"base", "input", "br", "img", "link", "meta", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    parent: Element | None = None
    children: list[Element | str] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        return self.attributes.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self.attributes

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def all(self, *tags: str, **attributes: str) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, str):
                continue
            wanted = all(child.get(name.rstrip("_")) == value for name, value in attributes.items())
            if (not tags or child.tag in tags) and wanted:
                yield child
            yield from child.all(*tags, **attributes)

    def one(self, *tags: str, **attributes: str) -> Element:
        found = list(self.all(*tags, **attributes))
        assert len(found) == 1, f"{len(found)} of {tags} {attributes}"
        return found[0]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _value in attrs]
        assert len(names) == len(set(names)), f"an attribute twice: {tag} {names}"
        element = Element(tag, dict(attrs), self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at = element

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.at.tag, f"</{tag}> closes <{self.at.tag}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        # The first line end of a textarea is not part of its value (HTML s13.2.6.4.7).
        if self.at.tag == "textarea" and not self.at.children:
            data = data.removeprefix("\n")
        self.at.children.append(data)


def parse(text: str) -> Element:
    """The page as a tree; fails on tags that do not nest, double attributes and double ids."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.at is reader.root, f"<{reader.at.tag}> is not closed"
    ids = [element.get("id") for element in reader.root.all() if "id" in element]
    assert len(ids) == len(set(ids)), "an id stands twice"
    return reader.root


def center(form: Any, **context: Any) -> Element:
    """A drawn center as the template writes it."""
    return parse(
        render_to_string("wagtail_prefs/center.html", {"form": form, "idempotency_key": "k1", **context})
    )


def submitted(page: Element, extra: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """The entries a browser builds from the page's first form (HTML s4.10.21.4), buttons left out."""
    form = next(page.all("form"))
    data: dict[str, list[str]] = {}
    for element in form.all("input", "select", "textarea"):
        name = element.get("name")
        if not name or "disabled" in element:
            continue
        for value in _values(element):
            # Line ends are sent as CR LF, whatever they were.
            data.setdefault(name, []).append(value.replace("\r\n", "\n").replace("\n", "\r\n"))
    data.update({name: [value] for name, value in (extra or {}).items()})
    return data


def _values(element: Element) -> list[str]:
    if element.tag == "textarea":
        return [element.text]
    if element.tag == "select":
        options = list(element.all("option"))
        chosen = [option for option in options if "selected" in option] or options[:1]
        return [option.get("value") or "" for option in chosen]
    if element.get("type") in {"checkbox", "radio"}:
        return [element.get("value") or "on"] if "checked" in element else []
    return [element.get("value") or ""]
