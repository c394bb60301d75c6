"""The reference page names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from wagtail_prefs.blocks.registry import BUILT_IN

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "blocks.md").read_text()


def test_the_reference_names_every_block() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(BUILT_IN)
