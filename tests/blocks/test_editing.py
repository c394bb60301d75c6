"""The blocks that ask, in the editor: they open, keep what was stored, and say where something is wrong."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse
from wagtail.blocks.base import get_error_json_data

from tests import factories
from tests.blocks.asking import asking, refusal
from wagtail_prefs.centers.page import PreferenceCenterPage


def test_editors_compose_these_blocks(client: Client, db: None) -> None:
    center = factories.make_center(asking())
    client.force_login(factories.make_editor())
    shown = client.get(reverse("wagtailadmin_pages:edit", args=[center.pk]))
    assert shown.status_code == 200
    assert "Show all topics until somebody answers" in shown.content.decode()
    # What stands there can be published as it stands.
    again = PreferenceCenterPage.objects.get(pk=center.pk)
    cleaned = again.body.stream_block.clean(again.body)
    kinds = {child.block_type: child.value for child in cleaned}
    assert [role["key"] for role in kinds["role"]["roles"]] == ["member", "press"]
    assert [option["key"] for option in kinds["question"]["answer"][0].value["options"]] == ["red", "blue"]
    assert kinds["profile"]["countries"] == ["AT", "DE"]


@pytest.mark.parametrize(
    ("kind", "place"),
    [("question", "key"), ("question", "answer"), ("profile", "own_fields"), ("role", "roles")],
)
def test_what_stops_an_editor_is_told_where_it_is(kind: str, place: str, db: None) -> None:
    stored = next(one["value"] for one in asking() if one["type"] == kind)
    twice = {"key": "same", "label": "Same", "help": "", "topics": [], "purpose": ""}
    wrong = {
        "key": "role",
        "answer": [],
        "own_fields": [twice, twice],
        "roles": [twice, twice],
    }[place]
    told = get_error_json_data(refusal(kind, {**stored, place: wrong}))
    assert told["blockErrors"].keys() == {place}
    json.dumps(told)
