"""What the page prints is what the other tests install and use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.docs.blocks import blocks
from tests.docs.explained import DOCS
from tests.third_party.conftest import PACKAGE

PAGE = DOCS / "how-to" / "add-your-own-block.md"


def printed() -> list[tuple[str, str]]:
    return [(block.language, block.code) for block in blocks(PAGE)]


def test_the_page_prints_the_package() -> None:
    (_, module), (_, project), *_rest = printed()
    assert module == "# loyalty_card.py\n" + (PACKAGE / "loyalty_card.py").read_text()
    assert project == "# pyproject.toml\n" + (PACKAGE / "pyproject.toml").read_text()


@pytest.mark.usefixtures("loyalty")
def test_the_printed_setting_is_the_one_that_is_used(settings: Any) -> None:
    said: dict[str, Any] = {}
    exec(printed()[2][1], said)
    assert said["WAGTAIL_PREFS"]["BLOCKS"] == settings.WAGTAIL_PREFS["BLOCKS"]


def test_the_printed_attributes_have_the_names_of_the_module() -> None:
    attributes = json.loads(printed()[3][1])["attributes"]
    module = (PACKAGE / "loyalty_card.py").read_text()
    assert all(f'"{name}"' in module for name in attributes)
    assert printed()[4:] == []
