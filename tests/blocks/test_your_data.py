"""The buttons for one's own data: which there are, what each does, and that an objection is an opt-out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError

from tests.blocks.conftest import compiled
from wagtail_prefs.blocks.your_data import YourDataBlock
from wagtail_prefs.changes import OptOut
from wagtail_prefs.values import ContactState, Spec

STATE = ContactState(id=uuid4(), audience="brand")


def actions(spec: Spec) -> dict[str, Any]:
    return {one["name"]: one["do"] for one in spec.document["controls"] if one["type"] == "action"}


def test_each_button_does_what_it_says() -> None:
    assert actions(compiled("your_data")) == {
        "object": {"answers": {"objected": True}},
        "step_up": "step_up",
        "export": "export",
        "erase": "erase",
    }


def test_an_editor_chooses_among_them() -> None:
    assert actions(compiled("your_data", erase=False, objection=False)) == {
        "step_up": "step_up",
        "export": "export",
    }
    # Who only objects needs no link for it.
    assert actions(compiled("your_data", erase=False, export=False)) == {
        "object": {"answers": {"objected": True}}
    }


def test_a_block_without_any_is_not_published() -> None:
    block = YourDataBlock()
    with pytest.raises(ValidationError):
        block.clean(
            block.normalize({"heading": "", "text": "", "export": False, "erase": False, "objection": False})
        )


def test_an_objection_is_an_opt_out_and_no_answer_takes_it_back() -> None:
    spec = compiled("your_data")
    assert YourDataBlock.changes(spec, {"objected": True}) == [OptOut()]
    assert YourDataBlock.changes(spec, {"objected": False}) == []
    assert YourDataBlock.changes(spec, {}) == []
    assert YourDataBlock.initial(spec, STATE) == {}
    assert YourDataBlock.initial(spec, replace(STATE, opted_out=True)) == {"objected": True}


def test_without_the_objection_there_is_nothing_to_answer() -> None:
    spec = compiled("your_data", objection=False)
    assert YourDataBlock.fields(spec) == {} and spec.paths == {}
