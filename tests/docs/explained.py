"""Runs the worked examples of a page of documentation: its Python blocks, as doctests.

Every ```` ```python ```` block with a prompt (`>>>`) is run, in order and in one namespace, and must print what the
page says. `...` in an expected output stands for anything. A page of `docs/explanation/` opens with such a block.
"""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.docs.blocks import Block, blocks

DOCS = Path(__file__).resolve().parents[2] / "docs"
_FLAGS = doctest.ELLIPSIS


def run(page: Path, globs: Mapping[str, Any] | None = None) -> int:
    """Run the examples of a page; returns how many there were. A test calls this, with the database it needs.

    `globs` are names that the page uses without importing them. Raises AssertionError with the line, what was expected
    and what came instead; also when the page's first block is no example.
    """
    found = list(blocks(page))
    if not found or not _is_example(found[0]):
        raise AssertionError(f"{page.name} does not open with a Python block with >>>")
    text = _with_its_line_numbers(page, [block for block in found if _is_example(block)])
    test = doctest.DocTestParser().get_doctest(text, dict(globs or {}), page.name, str(page), 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=_FLAGS, verbose=False)
    result = runner.run(test, out=said.append)
    if result.failed:
        raise AssertionError("".join(said))
    return result.attempted


def _is_example(block: Block) -> bool:
    return block.language == "python" and ">>> " in block.code


def _with_its_line_numbers(page: Path, examples: list[Block]) -> str:
    """The page with everything blanked but the examples, so that a failure names the line of the page."""
    lines = page.read_text().splitlines()
    kept = [""] * len(lines)
    for block in examples:
        code = block.code.splitlines()
        start = block.line if lines[block.line - 1].startswith("```") else block.line + 1
        kept[start : start + len(code)] = code
    return "\n".join(kept) + "\n"
