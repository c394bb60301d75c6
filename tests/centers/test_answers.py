"""Only what the shown snapshot offers is accepted, and every refusal says where."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from tests import factories
from tests.blocks.conftest import VALUES, compiled, state
from wagtail_prefs.centers.services import Snapshot, answers_to_changes, initial_answers, pending_paths
from wagtail_prefs.centers.values import make_snapshot
from wagtail_prefs.changes import AcknowledgeNotice, OptOut, SetChoice, SetFrequency
from wagtail_prefs.errors import InvalidAnswers
from wagtail_prefs.values import CHANNELS, SUBSCRIBED, UNSUBSCRIBED


def snapshot(*names: str, locale: str = "en", **extra: Any) -> Snapshot:
    """A center of compiled blocks whose ids are their names."""
    from dataclasses import replace

    specs = [replace(compiled(name), block_id=name) for name in names or sorted(VALUES)]
    specs += [replace(spec, block_id=block_id) for block_id, spec in extra.items()]
    document = {"center": str(UUID(int=7)), "locale": locale, "direction": "ltr", "blocks": []}
    return make_snapshot(document, specs)


def refused(answers: Any, shown: Snapshot | None = None) -> dict[str, Any]:
    with pytest.raises(InvalidAnswers) as caught:
        answers_to_changes(shown or snapshot(), answers)
    return {block: dict(fields) for block, fields in caught.value.errors.items()}


def test_answers_become_changes_in_the_order_of_the_page() -> None:
    shown = snapshot("topics", "frequency", "privacy_notice")
    changes = answers_to_changes(
        shown,
        {
            "privacy_notice": {"acknowledged": True},
            "frequency": {"frequency": {"all": "weekly"}},
            "topics": {"choices": {"news": {"email": True, "sms": False}}},
        },
    )
    assert changes == (
        SetChoice("news", "email", SUBSCRIBED),
        SetChoice("news", "sms", UNSUBSCRIBED),
        SetFrequency("", "", "weekly"),
        AcknowledgeNotice("privacy", compiled("privacy_notice").rules["notice"]["sha256"]),
    )


def test_no_answers_change_nothing() -> None:
    assert answers_to_changes(snapshot(), {}) == ()
    assert answers_to_changes(snapshot(), {"topics": {}}) == ()
    assert answers_to_changes(snapshot(), {"topics": {"choices": {}}}) == ()


@pytest.mark.parametrize(
    ("answers", "block", "field"),
    [
        ({"elsewhere": {}}, "elsewhere", "__all__"),
        ({"topics": []}, "topics", "__all__"),
        ({"topics": None}, "topics", "__all__"),
        ({"topics": {"other": True}}, "topics", "other"),
        ({"topics": {"choices": True}}, "topics", "choices"),
        ({"topics": {"choices": {"orders": {"email": False}}}}, "topics", "choices.orders"),
        ({"topics": {"choices": {"news": {"post": True}}}}, "topics", "choices.news.post"),
        ({"topics": {"choices": {"news": {"sms": 1}}}}, "topics", "choices.news.sms"),
        ({"topics": {"choices": {"news": {"sms": "true"}}}}, "topics", "choices.news.sms"),
        ({"topics": {"choices": {"news": {"sms": None}}}}, "topics", "choices.news.sms"),
        ({"frequency": {"frequency": {"all": "daily"}}}, "frequency", "frequency.all"),
        ({"frequency": {"frequency": {"channel:sms": "weekly"}}}, "frequency", "frequency.channel:sms"),
        ({"frequency": {"frequency": {"all": ["weekly"]}}}, "frequency", "frequency.all"),
        ({"unsubscribe_all": {"opted_out": "yes"}}, "unsubscribe_all", "opted_out"),
        ({"privacy_notice": {"acknowledged": False}}, "privacy_notice", "acknowledged"),
        ({"transactional": {"anything": True}}, "transactional", "anything"),
    ],
)
def test_what_is_not_offered_is_refused_with_its_place(answers: Any, block: str, field: str) -> None:
    errors = refused(answers)
    assert list(errors) == [block]
    assert list(errors[block]) == [field]
    assert all(message for message in errors[block][field])


def test_all_errors_are_reported_at_once() -> None:
    errors = refused({"topics": {"choices": {"news": {"sms": 1, "post": True}}}, "frequency": {"x": 1}})
    assert set(errors["topics"]) == {"choices.news.sms", "choices.news.post"}
    assert set(errors["frequency"]) == {"x"}


def test_leaving_and_joining_in_one_body_is_refused() -> None:
    answers = {"topics": {"choices": {"news": {"email": True}}}, "unsubscribe_all": {"opted_out": True}}
    errors = refused(answers)
    assert set(errors) == {"topics", "unsubscribe_all"}
    assert set(errors["topics"]) == {"choices.news.email"}
    fits = {"topics": {"choices": {"news": {"email": False}}}, "unsubscribe_all": {"opted_out": True}}
    assert answers_to_changes(snapshot("topics", "unsubscribe_all"), fits) == (
        SetChoice("news", "email", UNSUBSCRIBED),
        OptOut(),
    )


def test_two_blocks_may_say_the_same_and_not_the_opposite() -> None:
    shown = snapshot("topics", again=compiled("topics"))
    same = {"topics": {"choices": {"news": {"email": True}}}, "again": {"choices": {"news": {"email": True}}}}
    assert answers_to_changes(shown, same) == (SetChoice("news", "email", SUBSCRIBED),)
    same["again"] = {"choices": {"news": {"email": False}}}
    assert set(refused(same, shown)) == {"topics", "again"}


def test_messages_are_in_the_language_of_the_page() -> None:
    english = refused({"elsewhere": {}})
    german = refused({"elsewhere": {}}, snapshot(locale="de"))
    assert english != german


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "news", "email", "sms", "frequency", "all", "opted_out", "acknowledged", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*sorted(VALUES), "elsewhere"]), json_values, max_size=4))
def test_any_json_is_accepted_as_meant_or_refused_in_words(answers: dict[str, Any]) -> None:
    refusal: InvalidAnswers | None = None
    paths: set[str] = set()
    try:
        paths = {change.path for change in answers_to_changes(SHOWN, answers)}
    except InvalidAnswers as caught:
        refusal = caught
    assert paths <= {path for spec in SHOWN.specs for path in spec.paths}
    if refusal is not None:
        assert refusal.errors
        assert set(refusal.errors) <= set(answers)
        texts = [text for fields in refusal.errors.values() for field in fields.values() for text in field]
        assert texts
        assert all(isinstance(text, str) and text for text in texts)


SHOWN = snapshot()


def test_initial_answers_hold_what_was_chosen_and_nothing_else() -> None:
    assert initial_answers(SHOWN, state()) == {}
    held = state(
        opted_out=False,
        choices={
            ("news", "email"): SUBSCRIBED,
            ("offers", "sms"): UNSUBSCRIBED,
            ("foreign", "email"): SUBSCRIBED,
        },
        frequencies={("", ""): "weekly"},
    )
    assert initial_answers(SHOWN, held) == {
        "topics": {"choices": {"news": {"email": True}, "offers": {"sms": False}}},
        "frequency": {"frequency": {"all": "weekly"}},
    }


def test_pending_choices_are_named_by_their_place() -> None:
    held = state(
        choices={("news", "sms"): SUBSCRIBED}, pending=frozenset({("news", "sms"), ("foreign", "email")})
    )
    assert pending_paths(SHOWN, held) == ["topics.choices.news.sms"]
    assert "topics" not in initial_answers(SHOWN, held)


@pytest.mark.django_db
def test_a_published_center_takes_the_answers_it_shows() -> None:
    from wagtail_prefs.centers import services

    page = factories.make_center()
    shown = services.get_snapshot(services.current(page.translation_key).digest)
    topics = factories.block_id(page, "topics")
    rows = shown.document["blocks"][0]["controls"][0]["rows"]
    offered = {
        row["key"]: dict.fromkeys(row["columns"] or ["email", "sms"], True)
        for row in rows
        if row["locked"] is None
    }
    changes = services.answers_to_changes(shown, {topics: {"choices": offered}})
    assert {change.path for change in changes} == set(shown.spec(topics).paths)
    assert all(change.key[1] in CHANNELS for change in changes)


def test_threads_share_the_fields_of_a_snapshot_and_none_hears_of_another() -> None:
    """They are made once for a snapshot: what one person sends, good or bad, must leave no trace in them."""
    shown = snapshot()
    sent: list[dict[str, Any]] = [
        {
            "topics": {"choices": {"news": {"email": number % 2 == 0}}},
            "frequency": {"frequency": {"all": code}},
        }
        for number, code in enumerate(["weekly", "monthly", "never", 1, None] * 20)
    ]

    def outcome(answers: dict[str, Any]) -> object:
        try:
            return answers_to_changes(shown, answers)
        except InvalidAnswers as error:
            return error.errors

    alone = [outcome(answers) for answers in sent]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(outcome, sent * 5))
    assert together == alone * 5
    assert len({repr(each) for each in alone}) > 3
