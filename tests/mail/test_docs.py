"""The reference says which kinds there are, what they hold, and when one is tried again."""

from __future__ import annotations

import re
from pathlib import Path

from django.template import Context, Engine

from wagtail_prefs.mail import kinds, retention, rows, sending, server
from wagtail_prefs.mail.kinds import KINDS, Kind, Shape

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "reference" / "mails.md").read_text()
#: Words may break over lines.
WORDS = " ".join(TEXT.split())


def cells(heading: str) -> list[list[str]]:
    """The first table below a heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = section.partition("\n| ")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]


def test_the_kinds_and_their_values() -> None:
    told = {row[0].strip("`"): re.findall(r"`(\w+)`", row[-1]) for row in cells("The kinds")}
    assert told == {name: list(kind.shapes) for name, kind in KINDS.items()}


def test_numbers() -> None:
    waits = [
        f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h" for seconds in sending.SCHEDULE
    ]
    slowly = f"then every {sending.SLOWLY // 3600} h"
    assert (
        f"tried again after {', '.join(waits)}, {slowly} (± {sending.JITTER:.0%}".replace("%", " %") in WORDS
    )
    assert f"the others wait {sending.AWAY.seconds} s" in WORDS
    assert (rows.LEASE.seconds, "a lease of five minutes" in WORDS) == (300, True)
    assert (kinds.GIVEN_UP_AFTER.days, "at the latest after five days" in WORDS) == (5, True)
    assert f"deleted {retention.KEPT.days} days after it was made" in WORDS
    assert f"it is {server.TIMEOUT:.0f} seconds" in WORDS
    assert (sending.BROKEN_IN_A_ROW, "three connections that break in a row" in WORDS) == (3, True)


def test_the_kind_of_the_example_is_one() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    call = code[code.index("            Kind(") : code.rindex("        )")].strip()
    made = eval(call, {"Kind": Kind, "Shape": Shape})
    kinds.hold(made, made.sample("http://localhost"))


def test_the_template_of_the_how_to_is_one() -> None:
    text = (DOCS / "how-to" / "change-our-mails.md").read_text()
    example = "{% extends" + text.partition("\n{% extends")[2].partition("```")[0]
    ours = Path(kinds.__file__).parents[1] / "templates"
    engine = Engine(dirs=[str(ours)], libraries={"i18n": "django.templatetags.i18n"})
    values = {"brand": "Example", "url": "http://localhost/x/", "subject": "Subject"}
    said = engine.from_string(example).render(Context(values, autoescape=False))
    assert "Yes, please:\nhttp://localhost/x/" in said
    assert said.rstrip().endswith("Example Ltd, 1 Example Street, Exampletown")
