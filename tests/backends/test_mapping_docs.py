"""docs/reference/mapping.md says what happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from wagtail_prefs.backends.http import HttpBackend
from wagtail_prefs.backends.mapping import COERCIONS, Mapping
from wagtail_prefs.values import FREQUENCIES

from .states import target

PAGE = (Path(__file__).parents[2] / "docs/reference/mapping.md").read_text()


def code(number: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[number], found)
    return found


def test_the_mapping_of_the_page_is_one() -> None:
    options = code(0)["WAGTAIL_PREFS"]["BACKENDS"]["crm"]["OPTIONS"]
    backend: HttpBackend = code(1)["CrmBackend"]("crm", options)
    assert backend.maps("news", "sms")
    assert not backend.maps("offers", "sms")
    assert backend.describe_topic("news") == "Group a1 (email), Group a2 (sms)"
    assert backend.mapping.frequency("weekly") == "W"
    person = target(attributes={"size": "M", "birthday": "28.2.1990", "unmapped": "stays"})
    assert backend.mapping.attributes(person) == {"shirt_size": "M"}
    assert backend.mapping.misfits(person) == ["birthday"]


def test_every_type_code_and_method_is_on_the_page() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == set(filter(None, COERCIONS))
    for frequency in FREQUENCIES:
        assert f"`{frequency}`" in PAGE
    methods = {name for name in vars(Mapping) if not name.startswith("_")}
    assert methods <= set(re.findall(r"`(\w+)\(", PAGE))
