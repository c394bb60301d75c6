"""The role block: who somebody is, and which rows that shows."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.blocks.asking import controls, initial, objections, preview, refused, saved, valid
from tests.blocks.conftest import TOPICS, VALUES, compiled, context, state
from tests.properties import examples
from wagtail_prefs.blocks.role import RoleBlock
from wagtail_prefs.centers.conditions import holds
from wagtail_prefs.changes import ClearAttribute, SetAttribute

STORED: dict[str, Any] = {
    "question": "Who are you?",
    "purpose": "",
    "roles": [
        {"key": "member", "label": "A member", "help": "", "topics": []},
        {"key": "press", "label": "A writer", "help": "", "topics": []},
    ],
    "all_until_answered": True,
}


def rows(**value: Any) -> dict[str, Any]:
    return dict(RoleBlock().row_conditions({**VALUES["role"], **value}, context(), "b1"))


def role(key: str, *pks: int) -> dict[str, Any]:
    return {"key": key, "label": key.title(), "topics": [SimpleNamespace(pk=pk) for pk in pks]}


def test_it_is_one_question_with_an_option_for_each_role() -> None:
    (control,) = compiled("role").document["controls"]
    assert (
        control.items()
        >= {"type": "one_of", "name": "role", "label": "Who are you?", "personal": False}.items()
    )
    assert [one["key"] for one in control["options"]] == ["member", "press"]
    assert control["help"] == "We use it for this: to show what is for you"


def test_a_topic_is_shown_to_the_roles_that_name_it_and_to_who_has_not_answered() -> None:
    assert rows() == {
        "news": {"block": "b1", "control": "role", "in": ["member", None]},
        "events": {"block": "b1", "control": "role", "in": ["member", "press", None]},
    }


def test_without_the_tick_who_has_not_answered_sees_what_no_role_names() -> None:
    assert rows(all_until_answered=False)["news"]["in"] == ["member"]
    assert not holds(rows(all_until_answered=False)["news"], None)
    assert "offers" not in rows(all_until_answered=False)


def test_a_deleted_topic_and_half_a_role_show_nothing() -> None:
    half = [role("member", 1), {"label": "No key yet", "topics": [SimpleNamespace(pk=2)]}, role("gone", 99)]
    assert rows(roles=half) == {"news": {"block": "b1", "control": "role", "in": ["member", None]}}
    assert rows(roles=[]) == {}
    assert compiled("role", roles=[]).document["controls"] == []


def test_a_topic_named_twice_by_one_role_is_named_once() -> None:
    assert rows(roles=[role("member", 1, 1)])["news"]["in"] == ["member", None]


def test_its_conditions_reach_the_rows_of_topics() -> None:
    ctx = replace(context(), roles=rows())
    when = {row["key"]: row["when"] for row in controls(compiled("topics", ctx))["choices"]["rows"]}
    assert when["news"] == {"block": "b1", "control": "role", "in": ["member", None]}
    assert when["offers"] is None


def test_the_answer_is_kept_as_the_role() -> None:
    spec = compiled("role")
    assert RoleBlock.changes(spec, valid(spec, {"role": "press"})) == [SetAttribute("role", "press")]
    assert RoleBlock.changes(spec, valid(spec, {"role": None})) == [ClearAttribute("role")]
    assert RoleBlock.changes(spec, {}) == []
    assert spec.paths == {"attribute:role": ("role", "Who are you?")}
    assert spec.rules["attributes"]["role"]["purpose"] == "to show what is for you"


@pytest.mark.parametrize("answer", ["nobody", "", True, 1, ["press"], {"press": True}])
def test_a_role_that_is_not_offered_is_refused(answer: Any) -> None:
    assert refused(compiled("role"), {"role": answer})


def test_a_role_of_another_time_is_no_answer() -> None:
    assert initial(compiled("role"), state(attributes={"role": "nobody"})) == {}
    assert initial(compiled("role"), state(attributes={"role": ["press"]})) == {}


@pytest.mark.property
@examples(60)
@given(
    named=st.dictionaries(
        st.sampled_from(["member", "press", "partner"]), st.sets(st.sampled_from(sorted(TOPICS))), min_size=1
    ),
    unanswered=st.booleans(),
    data=st.data(),
)
def test_everybody_sees_what_her_role_names_and_what_none_does(
    named: dict[str, set[int]], unanswered: bool, data: st.DataObject
) -> None:
    roles = [role(key, *pks) for key, pks in named.items()]
    spec = compiled("role", roles=roles)
    found = rows(roles=roles, all_until_answered=unanswered)
    answer = data.draw(st.sampled_from([*named, None]))
    after = saved(spec, {"role": answer}, saved(spec, {"role": data.draw(st.sampled_from([*named, None]))}))
    assert initial(spec, after) == ({} if answer is None else {"role": answer})
    on_screen = initial(spec, after).get("role")
    shown = {
        info.key for info in TOPICS.values() if info.key not in found or holds(found[info.key], on_screen)
    }
    for pk, info in TOPICS.items():
        naming = {key for key, pks in named.items() if pk in pks}
        assert (info.key in shown) == (not naming or answer in naming or (answer is None and unanswered))


def test_roles_differ_and_there_is_more_than_one() -> None:
    assert objections("role", STORED) == []
    twice = [*STORED["roles"], {**STORED["roles"][0]}]
    assert objections("role", {**STORED, "roles": twice}) == ["roles: The key “member” stands here twice."]
    assert objections("role", {**STORED, "roles": STORED["roles"][:1]}) == [
        "roles: The minimum number of items is 2"
    ]


@pytest.mark.django_db
def test_the_picker_shows_the_roles(admin_client: Any) -> None:
    html = preview("role", admin_client)
    assert html.count('type="radio"') == 3
    assert "I write for the press" in html
    assert "We use it for this: to show you the topics that are for you" in html
