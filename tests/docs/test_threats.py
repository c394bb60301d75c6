"""The page of threats names tests that exist, and every threat of the list that touches getting in."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "threats.md"
#: The threats of our security requirements that links, mails, sign-up, keys and limits have to do with.
TOUCHED = ["T1", "T2", "T3", "T6", "T7", "T8", "T9", "T12", "T13", "T14", "T15", "T17", "T21", "T25"]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[str, str]:
    found = re.findall(r"^\| (T\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return dict(found)


def test_every_threat_that_touches_getting_in_is_there() -> None:
    assert list(rows()) == TOUCHED


@pytest.mark.parametrize("threat", TOUCHED)
def test_it_names_tests_that_exist(threat: str) -> None:
    named = TEST.findall(rows()[threat])
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path} has no {name}"
