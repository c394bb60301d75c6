"""The code blocks of a Markdown file, and what to do with each.

A shell block is run. Any other block does nothing unless an HTML comment right above it says what it is for:
`append FILE`, `write FILE`, `replace FILE: TEXT` (the block takes the place of the text), `python manage.py shell` (the
block is its input), `serve URL` (the shell block below runs until the address answers, and is then ended).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:<!-- (?P<what>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    language: str
    code: str
    verb: str
    argument: str
    line: int


def blocks(path: Path) -> Iterator[Block]:
    """All blocks of a file, in order."""
    text = path.read_text()
    for found in _BLOCK.finditer(text):
        verb, _, argument = (found["what"] or ("run" if found["language"] == "sh" else "show")).partition(" ")
        yield Block(
            found["language"], found["code"], verb, argument.strip(), text.count("\n", 0, found.start()) + 1
        )
