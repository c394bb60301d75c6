"""The page for the data protection officer names every table there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from django.apps import apps

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "for-the-data-protection-officer.md"


def test_every_table_is_told_of() -> None:
    told = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    models = apps.get_app_config("wagtail_prefs").get_models()
    # The page of a center is a page of Wagtail's: nobody's data.
    assert sorted(told) == sorted(
        model.__name__ for model in models if model.__name__ != "PreferenceCenterPage"
    )
