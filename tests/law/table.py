"""The tables of docs/reference/jurisdictions.md, made from the shipped file. `python -m tests.law.table` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wagtail_prefs.law.services import Fact, Law, load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "jurisdictions.md"
_TABLE = re.compile(r"(?<=<!-- countries, as of )[\d-]+ -->.*?(?=<!-- end -->)", re.DOTALL)


def written(page: str, law: Law) -> str:
    """The page with its table anew."""
    assert len(_TABLE.findall(page)) == 1
    return _TABLE.sub(lambda _: f"{law.version} -->\n" + "\n".join(rows(law)) + "\n", page)


def rows(law: Law) -> Iterator[str]:
    yield "| entry | its law: model | its law: opt-out within | here: model | double opt-in | opt-out within |"
    yield "|---|---|---|---|---|---|"
    for key, entry in law.jurisdictions.items():
        code = key if not entry.applies_to else entry.applies_to[0]
        rules = law.rules_for(code)
        shown = {name: entry.facts.get(name) or rules.facts.get(name) for name in ("model", "honour")}
        yield (
            f"| `{key}` {entry.name} | {told(shown['model'])} | {told(shown['honour'])} "
            f"| {PLAIN[rules.model]} | {'on' if rules.double_opt_in else 'off'} | {hours(rules.honour_hours)} |"
        )
    rules = law.rules_for("")
    yield (
        f"| any other | not known | not known | {PLAIN[rules.model]} "
        f"| {'on' if rules.double_opt_in else 'off'} | {hours(rules.honour_hours)} |"
    )


PLAIN = {
    "immediate": "at once",
    "undue_delay": "without undue delay",
    "reasonable": "a reasonable time",
    "opt_in": "opt-in",
    "opt_in_soft": "soft opt-in",
    "opt_out": "opt-out",
}


def told(fact: Fact | None) -> str:
    if fact is None:
        return "-"
    value: Any = fact.value
    if isinstance(value, dict):
        number, unit = value["value"], value["unit"]
        words = PLAIN.get(unit, f"{number} {unit.replace('_', ' ')}")
    else:
        words = PLAIN[value]
    return words if fact.decides else f"({words})"


def hours(number: int) -> str:
    return f"{number} hours" if number else "at once"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), load()))
