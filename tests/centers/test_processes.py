"""What must be the same in every process of a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Prints the names by which the block picker asks for previews; what comes before differs from process to process.
NAMES = """
import django
django.setup()
{before}
from wagtail_prefs.centers.page import PreferenceCenterPage
body = PreferenceCenterPage._meta.get_field("body").stream_block
print([(name, block.definition_prefix) for name, block in body.child_blocks.items()])
"""


def test_every_process_knows_the_blocks_by_the_same_names() -> None:
    """A preview is answered by another process than the one that drew the editor."""
    first, second = (
        subprocess.run(
            [sys.executable, "-c", NAMES.format(before=before)],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for before in ("", "from wagtail.blocks import CharBlock; CharBlock()")
    )
    assert "unsubscribe_all" in first
    assert first == second
