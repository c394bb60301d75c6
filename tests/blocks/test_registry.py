"""Which blocks there are, and under which name they may be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from wagtail_prefs.blocks.base import PreferenceBlock
from wagtail_prefs.blocks.registry import block_class, block_classes
from wagtail_prefs.centers.fields import CenterStreamField

ROOT = Path(__file__).resolve().parents[2]


class LoyaltyBlock(PreferenceBlock):
    """A third party's block: one module, named in one setting."""


def with_blocks(settings: Any, blocks: dict[str, str]) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "BLOCKS": blocks}


def test_a_site_adds_a_block_and_no_migration_changes(settings: Any) -> None:
    before = CenterStreamField(blank=True).deconstruct()
    assert "loyalty" not in CenterStreamField().stream_block.child_blocks
    with_blocks(settings, {"loyalty": f"{__name__}.LoyaltyBlock"})
    field = CenterStreamField(blank=True)
    assert isinstance(field.stream_block.child_blocks["loyalty"], block_class("loyalty"))
    assert field.deconstruct() == before
    assert before == (None, "wagtail_prefs.centers.fields.CenterStreamField", [], {"blank": True})


def test_a_site_may_put_its_own_block_in_place_of_ours(settings: Any) -> None:
    with_blocks(settings, {"topics": f"{__name__}.LoyaltyBlock"})
    assert block_classes()["topics"].__name__ == "LoyaltyBlock"


@pytest.mark.parametrize(
    "path", ["nowhere.Block", f"{__name__}.missing", "wagtail.blocks.StructBlock", "builtins.len"]
)
def test_a_setting_that_names_no_block_is_an_error_in_words(settings: Any, path: str) -> None:
    with_blocks(settings, {"loyalty": path})
    with pytest.raises(ImproperlyConfigured, match="loyalty"):
        block_classes()


def test_the_folder_cannot_be_imported_under_another_name() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import blocks"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "import these blocks as wagtail_prefs.blocks" in run.stderr
