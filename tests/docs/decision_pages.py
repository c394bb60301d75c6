"""Writes the table of reasons of docs/reference/decisions.md, which the code has: `python -m tests.docs.decision_pages`."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/decisions.md"

#: The record behind a decision, in words: by where the code finds it, and where that is a choice, by the reason.
BEHIND = {
    "": "",
    "contact": "her last",
    "opted_out": "the opt-out",
    "channel": "the no to the channel",
    "pause": "the pause",
    "frequency": "the frequency",
}
CHOICES = {
    "expired": "the yes",
    "unsubscribed": "the no",
    "subscribed": "the yes",
    "recorded": "the yes, if there is one",
}
_PART = re.compile(
    r"(<!-- made by python -m tests\.docs\.decision_pages -->\n).*?(<!-- end -->\n)", re.DOTALL
)


def reasons() -> str:
    """A row for each rule in the order of the rules, then for what a site's rule cannot say, then for each yes."""
    from wagtail_prefs.decisions.custom import FAILED
    from wagtail_prefs.decisions.rules import RULES, YES
    from wagtail_prefs.decisions.values import Verdict

    rows = [
        (rule.code, rule.verdict, rule.static, _behind(rule.code, getattr(rule, "behind", "")), rule.words)
        for rule in RULES
    ]
    rows.append(
        (FAILED.reason, FAILED.verdict, FAILED.static, _behind(FAILED.reason, FAILED.behind), FAILED.rule)
    )
    rows += [(code, Verdict.SEND, False, CHOICES.get(code, ""), words) for code, words in YES.items()]
    table = [["reason", "verdict", "static", "record behind", "words"], ["---"] * 5]
    table += [
        [f"`{code}`", str(verdict), "yes" if static else "no", behind, str(words)]
        for code, verdict, static, behind, words in rows
    ]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in table)


def _behind(code: str, where: str) -> str:
    return CHOICES[code] if where == "choice" else BEHIND[where]


def made() -> str:
    """The page with the table as the code has it now."""
    text, count = _PART.subn(lambda found: f"{found[1]}\n{reasons()}\n{found[2]}", PAGE.read_text())
    assert count == 1, f"{PAGE.name} has no place for it"
    return text


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django
    from django.utils import translation

    django.setup()
    with translation.override("en"):
        PAGE.write_text(made())
