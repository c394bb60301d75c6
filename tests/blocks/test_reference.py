"""The block of the reference page works as it is printed."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.blocks.conftest import state
from wagtail_prefs.blocks.registry import BUILT_IN
from wagtail_prefs.centers import services
from wagtail_prefs.centers.fields import CenterStreamField
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import SetChoice

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "blocks.md").read_text()


def test_the_reference_names_every_block() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(BUILT_IN)


@pytest.mark.django_db
def test_the_printed_block_can_be_published_and_answered(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, setting = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    shop, blocks = types.ModuleType("shop"), types.ModuleType("shop.blocks")
    monkeypatch.setitem(sys.modules, "shop", shop)
    monkeypatch.setitem(sys.modules, "shop.blocks", blocks)
    exec(module, vars(blocks))
    printed: dict[str, Any] = {}
    exec(setting, printed)
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **printed["WAGTAIL_PREFS"]}
    field = PreferenceCenterPage._meta.get_field("body")
    monkeypatch.setitem(vars(field), "stream_block", CenterStreamField(blank=True).stream_block)

    page = factories.make_center([factories.block("club", {"heading": "The club", "text": ""}, "b1")])
    snapshot = services.get_snapshot(services.current(page.translation_key).digest)
    assert services.initial_answers(snapshot, state()) == {}
    assert services.answers_to_changes(snapshot, {"b1": {"member": True}}) == (
        SetChoice("club", "email", "subscribed"),
    )
    held = state(choices={("club", "email"): "unsubscribed"})
    assert services.initial_answers(snapshot, held) == {"b1": {"member": False}}
