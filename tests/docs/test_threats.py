"""The page of threats names tests that exist, and no threat of our list is missing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "threats.md"
#: All threats of our security requirements.
THREATS = [f"T{number}" for number in range(1, 26)]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[str, str]:
    found = re.findall(r"^\| (T\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return dict(found)


def test_every_threat_is_there() -> None:
    assert list(rows()) == THREATS


@pytest.mark.parametrize("threat", THREATS)
def test_it_names_tests_that_exist(threat: str) -> None:
    named = TEST.findall(rows()[threat])
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path} has no {name}"
