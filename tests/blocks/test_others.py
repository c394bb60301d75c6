"""Frequency, privacy notice, what always comes, and the way out."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.serializers import ValidationError

from tests.blocks.conftest import compiled, state
from wagtail_prefs.blocks.fields import ObjectField
from wagtail_prefs.blocks.frequency import FrequencyBlock
from wagtail_prefs.blocks.privacy_notice import PrivacyNoticeBlock
from wagtail_prefs.blocks.transactional import TransactionalBlock
from wagtail_prefs.blocks.unsubscribe_all import UnsubscribeAllBlock
from wagtail_prefs.changes import AcknowledgeNotice, OptIn, OptOut, SetFrequency
from wagtail_prefs.html import tree_to_text


def control(name: str, kind: str, **value: Any) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in compiled(kind, **value).document["controls"] if c["name"] == name)
    return found


def test_frequency_has_a_row_for_everything_and_for_each_channel() -> None:
    matrix = control("frequency", "frequency")
    assert (matrix["cell"], matrix["single"]) == ("one_of", True)
    assert [row["key"] for row in matrix["rows"]] == ["all", "channel:email"]
    assert [column["key"] for column in matrix["columns"]] == [
        "weekly",
        "monthly",
    ]  # the order of people, not of ticks


def test_frequency_answers_become_caps() -> None:
    spec = compiled("frequency")
    answers = {"frequency": {"all": "monthly", "channel:email": "weekly"}}
    assert ObjectField(FrequencyBlock.fields(spec)).run_validation(answers) == answers
    assert FrequencyBlock.changes(spec, answers) == [
        SetFrequency("", "", "monthly"),
        SetFrequency("", "email", "weekly"),
    ]
    held = state(frequencies={("", ""): "daily", ("", "email"): "weekly"})
    assert FrequencyBlock.initial(spec, held) == {"frequency": {"channel:email": "weekly"}}


@pytest.mark.parametrize(
    "answers", [{"all": "daily"}, {"all": None}, {"channel:sms": "weekly"}, {"all": True}]
)
def test_a_frequency_that_is_not_offered_is_refused(answers: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ObjectField(FrequencyBlock.fields(compiled("frequency"))).run_validation({"frequency": answers})


def test_the_record_of_a_notice_names_the_text_that_was_shown() -> None:
    spec = compiled("privacy_notice")
    assert PrivacyNoticeBlock.changes(spec, {"acknowledged": True}) == [
        AcknowledgeNotice("privacy", spec.rules["notice"]["sha256"])
    ]
    changed = compiled("privacy_notice", content="<p>We sell it.</p>")
    assert changed.rules["notice"]["sha256"] != spec.rules["notice"]["sha256"]
    held = state(notices={"privacy": spec.rules["notice"]["sha256"]})
    assert PrivacyNoticeBlock.initial(spec, held) == {"acknowledged": True}
    assert PrivacyNoticeBlock.initial(changed, held) == {}  # asked again


def test_having_read_a_notice_cannot_be_taken_back() -> None:
    with pytest.raises(ValidationError):
        ObjectField(PrivacyNoticeBlock.fields(compiled("privacy_notice"))).run_validation(
            {"acknowledged": False}
        )


def test_a_notice_that_does_not_ask_takes_no_answer() -> None:
    spec = compiled("privacy_notice", ask=False)
    assert PrivacyNoticeBlock.fields(spec) == {}
    assert [c["name"] for c in spec.document["controls"]] == ["content", "policy"]
    assert [c["name"] for c in compiled("privacy_notice", policy_url="").document["controls"]] == [
        "content",
        "acknowledged",
    ]


def test_what_always_comes_lists_the_transactional_topics() -> None:
    content = control("always_sent", "transactional")["content"]
    assert tree_to_text(content) == "Orders – Receipts."
    assert TransactionalBlock.fields(compiled("transactional")) == {}


def test_one_button_leaves_and_one_comes_back() -> None:
    leave, back = control("opt_out", "unsubscribe_all"), control("opt_in", "unsubscribe_all")
    assert (leave["style"], leave["do"]) == ("danger", {"answers": {"opted_out": True}})
    assert leave["when"] == {"block": "b1", "control": "opted_out", "not_in": [True]}
    assert back["do"] == {"answers": {"opted_out": False}}
    assert back["when"] == {"block": "b1", "control": "opted_out", "in": [True]}
    spec = compiled("unsubscribe_all")
    assert UnsubscribeAllBlock.changes(spec, leave["do"]["answers"]) == [OptOut()]
    assert UnsubscribeAllBlock.changes(spec, back["do"]["answers"]) == [OptIn()]
    assert UnsubscribeAllBlock.initial(spec, state(opted_out=True)) == {"opted_out": True}


def test_beside_the_button_stands_what_still_comes() -> None:
    words = tree_to_text(control("still_comes", "unsubscribe_all")["content"])
    assert words.startswith("Receipts.")
    assert words.endswith("Orders – Receipts.")


def test_the_uses_of_data_are_part_of_the_notice() -> None:
    use = {"data": "Your address", "purpose": "to send what you choose"}
    uses = control("uses", "privacy_notice", uses=[use])
    assert tree_to_text(uses["content"]) == "Your address – to send what you choose"

    def shown(**value: Any) -> str:
        sha256: str = compiled("privacy_notice", **value).rules["notice"]["sha256"]
        return sha256

    assert shown(uses=[use]) != shown(uses=[{**use, "purpose": "to sell it"}])
    assert shown(uses=[use]) != shown()
    assert shown(uses=[]) == shown()  # nobody is asked again because a new version knows more


def test_an_editor_says_in_her_own_words_how_often() -> None:
    words = [{"frequency": "weekly", "words": "About one mail a week"}]
    columns = control("frequency", "frequency", words=words)["columns"]
    assert [column["label"] for column in columns] == ["About one mail a week", "At most one a month"]


def test_words_are_for_what_is_offered_and_once() -> None:
    weekly = {"frequency": "weekly", "words": "About one mail a week"}
    offer = {"frequencies": ["weekly"], "overall": True, "words": [weekly]}
    block = FrequencyBlock()
    assert block.problems(offer) == {}
    assert set(block.problems({**offer, "words": [weekly, weekly]})) == {"words"}
    assert set(block.problems({**offer, "frequencies": ["monthly"]})) == {"words"}
