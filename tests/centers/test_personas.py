"""Invented contacts: states that a person can really come to, on any page, and never one who is invited by accident."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from tests.blocks.conftest import VALUES
from tests.centers.test_answers import snapshot
from tests.centers.test_visibility import center, matrix, row, spec
from tests.properties import examples
from wagtail_prefs.centers import personas
from wagtail_prefs.centers.personas import LABELS, Circumstances, Persona
from wagtail_prefs.centers.services import Snapshot, initial_answers, preferences
from wagtail_prefs.centers.visibility import hidden, is_open, private_rows
from wagtail_prefs.contacts.rules import effective
from wagtail_prefs.law import services as law
from wagtail_prefs.law.countries import COUNTRIES
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Json

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
GIVEN = Circumstances("default", NOW, BERLIN, home="DE", language="ar", country="US")


def somebody(name: str, shown: Snapshot | None = None) -> Persona:
    return personas.persona(name, shown or snapshot(), GIVEN)


def test_whoever_is_new_has_said_nothing() -> None:
    assert initial_answers(snapshot(), somebody("new").state) == {}
    assert somebody("new").state.version == 0


def test_whoever_is_subscribed_has_every_topic_that_everybody_is_offered() -> None:
    state = somebody("subscribed").state
    chosen = initial_answers(snapshot("topics"), state)["topics"]["choices"]
    assert chosen == {
        "news": {"email": True, "sms": True},
        "events": {"email": True},
        "offers": {"email": True, "sms": True},
    }
    assert not state.pending and not state.opted_out


def test_whoever_is_paused_rests_for_a_month_of_her_days() -> None:
    state = somebody("paused").state
    (pause,) = state.pauses.values()
    assert state.pauses.keys() == {("", "")}
    assert pause.until == datetime(2026, 12, 22, tzinfo=BERLIN)
    assert effective(state, NOW + timedelta(days=29)).pauses
    assert state.choices == somebody("subscribed").state.choices


def test_whoever_opted_out_has_said_no_to_all_that_she_had() -> None:
    state = somebody("opted_out").state
    assert state.opted_out
    assert state.choices.keys() == somebody("subscribed").state.choices.keys()
    assert set(state.choices.values()) == {UNSUBSCRIBED}


def test_who_differs_differs_in_that_alone() -> None:
    usual = somebody("subscribed").state
    assert (usual.language, usual.country) == ("en", "DE")
    assert replace(somebody("language").state, id=usual.id) == replace(usual, language="ar")
    assert replace(somebody("country").state, id=usual.id) == replace(usual, country="US")


def test_a_persona_is_the_same_each_time_and_nobody_else() -> None:
    found = [somebody(name) for name in LABELS]
    assert found == [somebody(name) for name in LABELS]
    assert len({one.state.id for one in found}) == len(LABELS)


def test_the_address_is_of_a_domain_that_nobody_has_and_is_shown_masked() -> None:
    for name in LABELS:
        persona = somebody(name)
        assert persona.email.endswith("@example.org")
        shown = preferences(snapshot(), persona.state, persona.email)
        assert shown["contact"] == {"email": "p***@e***.org"}


def test_an_unknown_persona_is_an_error() -> None:
    with pytest.raises(KeyError):
        somebody("admin")


@st.composite
def centers(draw: Any) -> Snapshot:
    """Topics, some of them private, in up to three blocks; a topic may stand in several."""
    keys = st.sampled_from(["a", "b", "c", "d", "news:odd"])
    private = draw(st.sets(keys))
    specs = []
    for number in range(draw(st.integers(0, 3))):
        chosen = draw(st.lists(keys, unique=True))
        channels = draw(st.lists(st.sampled_from(["email", "sms"]), min_size=1, unique=True))
        specs.append(
            spec(
                f"b{number}",
                matrix(*(row(key) for key in chosen if key not in private)),
                paths={
                    f"choice:{key}:{channel}": (f"choices.{key}.{channel}", key)
                    for key in chosen
                    for channel in channels
                },
                rules={"private": {"choices": [row(key) for key in chosen if key in private]}},
            )
        )
    return center(*specs)


@pytest.mark.property
@examples(60)
@given(shown=centers())
def test_only_the_invited_see_what_is_private(shown: Snapshot) -> None:
    keys, private = personas.offered(shown)
    for name in LABELS:
        state = somebody(name, shown).state
        assert bool(private_rows(shown, state)) == (name == "invited" and bool(private))
        assert all(is_open(state, topic) == (name == "invited") for topic in private)
        assert all(value <= state.version for value in state.versions.values())
        assert set(state.choices) <= set(keys)
    assert set(somebody("subscribed", shown).state.choices.items()) == {(key, SUBSCRIBED) for key in keys}


# --- another language, another country -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locale", "country"),
    [("de-at", "AT"), ("en-GB", "GB"), ("de", ""), ("zh-hans", ""), ("en-xx", ""), ("", "")],
)
def test_a_locale_may_name_a_country(locale: str, country: str) -> None:
    assert personas.home_of(locale) == country


@pytest.mark.parametrize(
    ("locale", "published", "languages", "found"),
    [
        ("en", ["ar"], ["en", "de", "ar"], "ar"),
        ("en", ["de", "ar"], ["en", "ar", "de"], "ar"),
        ("en", [], ["en", "de", "ar"], "de"),
        ("en", ["fr"], ["en", "de"], "fr"),
        ("en", [], ["en"], "de"),
        ("en-gb", [], ["en-gb"], "de"),
        ("de", [], ["de"], "en"),
    ],
)
def test_the_other_language_is_rather_one_that_has_a_page(
    locale: str, published: list[str], languages: list[str], found: str
) -> None:
    assert personas.other_language(locale, published, languages) == found


@pytest.mark.parametrize(
    ("condition", "home"),
    [
        ({"fact": "country", "in": ["JP"]}, "DE"),
        ({"fact": "country", "not_in": ["UY"]}, "DE"),
        ({"fact": "country", "in": ["DE", "AT"]}, "DE"),
        ({"fact": "country", "not_in": ["DE"]}, "DE"),
        ({"fact": "country", "in": ["CH"]}, ""),
    ],
)
def test_the_other_country_is_one_where_the_page_differs(condition: Json, home: str) -> None:
    other = {"fact": "role", "in": ["member"]}
    page = center(
        spec("for-some", conditions=(condition,)), spec("for-members", conditions=(condition, other))
    )
    there = personas.other_country(page, home, law.current())
    given = replace(GIVEN, country=there)
    abroad = personas.persona("country", page, given).state
    assert there != home
    assert ("for-some" in hidden(page, abroad)) != ("for-some" in hidden(page, replace(abroad, country=home)))


def test_where_the_page_does_not_differ_the_law_does() -> None:
    for home in ("", *sorted(COUNTRIES)):
        there = personas.other_country(snapshot("transactional"), home, law.current())
        assert there != home
        found = personas.differences(law.current(), home, there)
        assert {"jurisdiction"} < {one.what for one in found}, home
        assert all(one.here != one.there for one in found)


def test_the_same_law_makes_no_difference() -> None:
    assert personas.differences(law.current(), "FR", "FR") == []


def test_every_block_is_drawn_for_everybody() -> None:
    shown = snapshot(*VALUES)
    for name in LABELS:
        persona = somebody(name, shown)
        assert preferences(shown, persona.state, persona.email)["revision"] == shown.digest
