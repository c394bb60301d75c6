"""Writes the parts of two pages that code says better: `python -m tests.docs.backend_pages`.

docs/reference/backends.md has what each backend can do, docs/reference/conformance-kit.md what the kit asks.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BACKENDS_PAGE = ROOT / "docs/reference/backends.md"
KIT_PAGE = ROOT / "docs/reference/conformance-kit.md"

#: The backends that come with the package, in the order of the table.
BACKENDS = {
    "database": "wagtail_prefs.backends.database.DatabaseBackend",
    "webhook": "wagtail_prefs.backends.webhook.WebhookBackend",
    "Mailman": "wagtail_prefs.backends.mailman.MailmanBackend",
    "Mailchimp": "wagtail_prefs.backends.mailchimp.MailchimpBackend",
    "HubSpot": "wagtail_prefs.backends.hubspot.HubspotBackend",
    "Salesforce": "wagtail_prefs.backends.salesforce.SalesforceBackend",
    "Braze": "wagtail_prefs.backends.braze.BrazeBackend",
    "Customer.io": "wagtail_prefs.backends.customerio.CustomerioBackend",
    "memory": "wagtail_prefs.backends.memory.MemoryBackend",
    "console": "wagtail_prefs.backends.console.ConsoleBackend",
}
_PART = re.compile(r"(<!-- made by python -m tests\.docs\.backend_pages -->\n).*?(<!-- end -->\n)", re.DOTALL)


def capabilities() -> str:
    """A row for each flag of `Capabilities`, a column for each backend."""
    from django.utils.module_loading import import_string

    from wagtail_prefs.values import Capabilities

    classes = [import_string(path) for path in BACKENDS.values()]
    rows = [
        [f"`{field.name}`", *(_said(getattr(cls.capabilities, field.name)) for cls in classes)]
        for field in dataclasses.fields(Capabilities)
    ]
    return _table(["", *BACKENDS], rows)


def questions() -> str:
    """A row for each test of the kit."""
    from wagtail_prefs.backends.testing.arriving import Arriving
    from wagtail_prefs.backends.testing.contract import Contract
    from wagtail_prefs.backends.testing.failing import Failing

    headings = {Arriving: "What arrives", Failing: "What goes wrong", Contract: "What a backend is"}
    parts = []
    for suite, heading in headings.items():
        rows = [[f"`{name}`", _asked(test)] for name, test in vars(suite).items() if name.startswith("test_")]
        parts.append(f"### {heading}\n\n{_table(['test', 'what must be so'], rows)}")
    return "\n".join(parts)


def _asked(test: Any) -> str:
    return " ".join((inspect.getdoc(test) or "").split())


def _said(value: Any) -> str:
    from wagtail_prefs.values import CHANNELS, Rate

    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.StrEnum):
        return "–" if value == "none" else value.value.replace("_", " ")
    if isinstance(value, tuple):
        return "all" if value == CHANNELS else ", ".join(value)
    if value is None or value == 0:
        return "–"
    if isinstance(value, Rate):
        return f"{value.calls} in {value.seconds:g} s"
    return str(value)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


def made(page: Path) -> str:
    """The page with its part as the code has it now."""
    part = {BACKENDS_PAGE: capabilities, KIT_PAGE: questions}[page]()
    text, count = _PART.subn(lambda found: f"{found[1]}\n{part}\n{found[2]}", page.read_text())
    assert count == 1, f"{page.name} has no place for it"
    return text


def explained() -> Iterator[str]:
    """The flags that the page explains, in its order."""
    yield from re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", BACKENDS_PAGE.read_text(), re.MULTILINE)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    for written in (BACKENDS_PAGE, KIT_PAGE):
        written.write_text(made(written))
