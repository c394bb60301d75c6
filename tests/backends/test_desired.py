"""The desired state as JSON, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.delivery.people import HERSELF, person
from tests.properties import examples
from wagtail_prefs.backends.desired import desired_state, remote_state
from wagtail_prefs.changes import SetAttribute
from wagtail_prefs.contacts.services import load_targets
from wagtail_prefs.submissions.services import record
from wagtail_prefs.values import CHANNELS, FREQUENCIES, SUBSCRIBED, UNSUBSCRIBED, Pause, Source

from .states import target

TOPIC = st.sampled_from(["news", "offers", "a-b_c"])
CHANNEL = st.sampled_from(CHANNELS)
PAIR = st.one_of(st.tuples(TOPIC, CHANNEL), st.tuples(st.just(""), CHANNEL))
SCOPE = st.one_of(st.just(("", "")), st.tuples(TOPIC, st.just("")), st.tuples(st.just(""), CHANNEL))
MOMENT = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(
    choices=st.dictionaries(PAIR, st.sampled_from([SUBSCRIBED, UNSUBSCRIBED])),
    frequencies=st.dictionaries(SCOPE, st.sampled_from(FREQUENCIES)),
    pauses=st.dictionaries(SCOPE, MOMENT.map(Pause)),
    opted_out=st.booleans(),
)
@pytest.mark.property
@examples(100)
def test_what_was_said_can_be_read_back(**state: Any) -> None:
    person = target(**state)
    found = remote_state(desired_state(person))
    assert (found.version, found.opted_out) == (3, state["opted_out"])
    assert (found.choices, found.frequencies) == (state["choices"], state["frequencies"])
    assert found.pauses == {key: pause.until for key, pause in state["pauses"].items()}


@pytest.mark.parametrize("why", ["opted_out", "suppressed", "erased"])
def test_whoever_must_not_be_mailed_is_out(why: str) -> None:
    assert desired_state(target(**{why: True}))["opted_out"] is True
    assert desired_state(target())["opted_out"] is False


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("said", "number"),
    [("+49 170 1234567", "+49 170 1234567"), ("4" * 32, "4" * 32), ("4" * 33, ""), (4917, ""), (["1"], "")],
)
def test_a_phone_number_is_what_she_told_as_one(said: Any, number: str) -> None:
    contact = person("anna")
    record(contact, [SetAttribute("phone", said)], actor=HERSELF, source=Source(method="python"))
    assert load_targets([contact])[contact].identifiers.phone == number
    assert desired_state(load_targets([contact])[contact])["contact"].get("phone", "") == number
