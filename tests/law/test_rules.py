"""What holds where: the shipped file country by country, and any sound file against a second resolver."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from tests.law.oracle import (
    STRICTNESS,
    Decided,
    decided,
    expected,
    expected_times,
    known,
    looser,
    policy_of,
    times,
)
from wagtail_prefs.law.countries import COUNTRIES, EEA, country_of, normal
from wagtail_prefs.law.documents import Document
from wagtail_prefs.law.rules import Law, Rules, hours_of
from wagtail_prefs.law.services import SHIPPED, load, needs_consent
from wagtail_prefs.law.validation import law_of

DATA: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
CODES = ["", *sorted(COUNTRIES), "US-CA", "US-NY", "GB-SCT", "DE-BY", "CA-QC", "MX-CMX"]


@pytest.fixture(scope="module")
def law() -> Law:
    return load()


def test_the_codes_are_those_of_iso_3166() -> None:
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isalpha() and code.isupper() for code in COUNTRIES)
    assert not COUNTRIES & {"UK", "EU", "XK", "EL", "AN", "XX", "ZZ", "SU", "YU", "TP"}
    assert {"NO", "GB", "SS", "BQ", "CW", "SX", "AX", "ME", "RS"} <= COUNTRIES
    assert len(EEA) == 30 and EEA <= COUNTRIES


@pytest.mark.parametrize(
    ("country", "jurisdiction", "model", "double_opt_in", "hours"),
    [
        ("DE", "DE", "opt_in", True, 24),
        ("FR", "EU", "opt_in", True, 24),
        ("NO", "EU", "opt_in", True, 24),
        ("GB", "GB", "opt_in", False, 24),
        ("GB-SCT", "GB", "opt_in", False, 24),
        ("US", "US", "opt_in", False, 24),
        ("US-NY", "US", "opt_in", False, 24),
        ("US-CA", "US-CA", "opt_in", False, 24),
        ("CA-QC", "CA", "opt_in", False, 24),
        ("RU", "RU", "opt_in", False, 0),
        ("JP", "JP", "opt_in", False, 0),
        ("ID", "ID", "opt_in", False, 24),
        ("NZ", "NZ", "opt_in", True, 0),  # all of its entry is uncertain
        ("CN", "CN", "opt_in", True, 0),
        ("MX", "unknown", "opt_in", True, 0),
        ("MX-CMX", "unknown", "opt_in", True, 0),
        ("", "unknown", "opt_in", True, 0),
    ],
)
def test_the_rules_of_the_shipped_file(
    law: Law, country: str, jurisdiction: str, model: str, double_opt_in: bool, hours: int
) -> None:
    rules = law.rules_for(country)
    assert decided(rules) == (jurisdiction, model, double_opt_in, False, hours)
    assert rules.country == country
    assert rules.version == law.version == DATA["as_of"]


@pytest.mark.parametrize("given_code", ["de", " DE ", "De\n", "\tdE"])
def test_case_and_blanks_do_not_matter(law: Law, given_code: str) -> None:
    assert law.rules_for(given_code) == law.rules_for("DE")
    assert law.rules_for(" us-ca ").jurisdiction == "US-CA"


@pytest.mark.parametrize(
    "garbage",
    [
        "XX",
        "EU",
        "UK",
        "DEU",
        "D",
        "D E",
        "US-",
        "US-CALIF",
        "US_CA",
        "-CA",
        "XX-CA",
        "ß",
        "ıd",
        "US-ß",
        "\0",
        "unknown",
        None,
        276,
        False,
    ],
    ids=repr,
)
def test_garbage_is_unknown_and_gets_the_strictest(law: Law, garbage: Any) -> None:
    rules = law.rules_for(garbage)
    assert rules == law.rules_for("")
    assert rules.jurisdiction == "unknown" and rules.country == ""
    for code in CODES:
        assert looser(decided(rules), decided(law.rules_for(code))) == []


@given(st.text(max_size=8))
def test_any_text_gets_rules_no_looser_than_the_policy(text: str) -> None:
    rules = load_once().rules_for(text)
    assert looser(decided(rules), policy_of(DATA)) == []
    assert rules.country in {"", text.strip().upper()}


def test_no_country_is_looser_than_the_policy(law: Law) -> None:
    """LW-01, on the shipped file: all countries, and what a second reader of the file expects of each."""
    for code in CODES:
        rules = decided(law.rules_for(code))
        assert looser(rules, policy_of(DATA)) == [], code
        assert rules == expected(DATA, code), code


def test_a_region_shows_its_own_facts_and_its_countrys(law: Law) -> None:
    facts = law.rules_for("US-CA").facts
    assert facts["signal"].jurisdiction == "US-CA"
    assert facts["link_valid_days"].jurisdiction == "US"
    assert facts["honour"].value == {"value": 15, "unit": "business_days"}
    assert law.rules_for("DE").facts["honour"].jurisdiction == "EU"


def test_facts_of_low_confidence_are_shown_and_do_not_decide(law: Law) -> None:
    facts = law.rules_for("BR").facts
    assert facts["honour"].confidence == "low" and not facts["honour"].decides
    assert facts["model"].decides
    assert not any(fact.decides for fact in law.rules_for("TR").facts.values()), "the entry is uncertain"
    assert not law.rules_for("AU").facts["preticked_allowed"].decides, "the fact is uncertain"
    assert not law.rules_for("US").facts["transactional"].decides, "nothing asks for it"
    every = [fact for entry in law.jurisdictions.values() for fact in entry.facts.values()]
    assert {fact.confidence for fact in every} == {"high", "medium", "low"}
    assert not [fact for fact in every if fact.decides and (fact.uncertain or fact.confidence == "low")]
    for entry in law.jurisdictions.values():
        raw = {name for name, value in DATA["jurisdictions"][entry.key].items() if isinstance(value, dict)}
        assert set(entry.facts) == raw


def test_a_fact_that_decides_is_shown_before_a_nearer_one_that_does_not() -> None:
    germany = {**DATA["jurisdictions"]["DE"], "model": {"v": "opt_out", "src": ["UWG"], "conf": "low"}}
    data = {**DATA, "jurisdictions": {**DATA["jurisdictions"], "DE": germany}}
    fact = law_of(Document(data, {})).rules_for("DE").facts["model"]
    assert (fact.jurisdiction, fact.value, fact.decides) == ("EU", "opt_in_soft", True)


def test_facts_name_their_sources(law: Law) -> None:
    for entry in law.jurisdictions.values():
        for fact in entry.facts.values():
            assert all(law.sources[source].title for source in fact.sources)


def test_rules_and_law_cannot_be_changed(law: Law) -> None:
    rules = law.rules_for("DE")
    with pytest.raises(AttributeError):
        rules.model = "opt_out"  # type: ignore[misc]
    with pytest.raises(TypeError):
        rules.facts["model"] = rules.facts["honour"]  # type: ignore[index]
    with pytest.raises(TypeError):
        law.jurisdictions["XX"] = law.jurisdictions["DE"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "unit", "hours"),
    [
        (72, "hours", 72),
        (10, "business_days", 240),
        (3, "calendar_days", 72),
        (0.5, "hours", 0),
        (0, "immediate", 0),
        (None, "immediate", 0),
        (None, "undue_delay", None),
        (None, "reasonable", None),
    ],
)
def test_deadlines_are_counted_in_calendar_hours(value: float | None, unit: str, hours: int | None) -> None:
    assert hours_of({"value": value, "unit": unit}) == hours


@pytest.mark.parametrize(
    ("basis", "asks"),
    [
        ("consent", {"opt_in", "opt_in_soft", "opt_out"}),
        ("soft_opt_in", {"opt_in", "opt_in_soft"}),
        ("legitimate_interest", {"opt_in", "opt_in_soft"}),
        ("contract", set()),
        ("", {"opt_in", "opt_in_soft", "opt_out"}),
        ("CONTRACT", {"opt_in", "opt_in_soft", "opt_out"}),
        ("vital_interest", {"opt_in", "opt_in_soft", "opt_out"}),
    ],
)
def test_consent_is_needed_by_basis_and_model(law: Law, basis: str, asks: set[str]) -> None:
    rules = law.rules_for("DE")
    for model in STRICTNESS:
        tried: Rules = replace(rules, model=model)  # type: ignore[arg-type]
        assert needs_consent(tried, basis) is (model in asks)


def test_every_basis_of_a_topic_is_known(law: Law) -> None:
    from wagtail_prefs.topics.models import Topic

    assert set(Topic.Basis.values) == {"consent", "soft_opt_in", "legitimate_interest", "contract"}


# Any sound file


def a_fact(dice: random.Random, value: Any) -> dict[str, Any]:
    fact = {"v": value, "src": ["S"], "conf": dice.choice(["high", "medium", "low"])}
    if dice.random() < 0.2:
        fact["uncertain"] = dice.random() < 0.7
    return fact


def an_honour(dice: random.Random) -> dict[str, Any]:
    unit = dice.choice(["hours", "calendar_days", "business_days", "immediate", "undue_delay", "reasonable"])
    numbered = unit in {"hours", "calendar_days", "business_days"}
    value = dice.randrange(60) if numbered else dice.choice([0, None]) if unit == "immediate" else None
    return {"value": value, "unit": unit}


def a_file(dice: random.Random) -> dict[str, Any]:
    """A sound file: any policy, some groups, countries and regions, with any facts."""

    def entry() -> dict[str, Any]:
        found: dict[str, Any] = {"name": "x", "model": a_fact(dice, dice.choice(list(STRICTNESS)))}
        if dice.random() < 0.5:
            found["honour"] = a_fact(dice, an_honour(dice))
        if dice.random() < 0.5:
            found["preticked_allowed"] = a_fact(dice, dice.choice([True, False, None]))
        if dice.random() < 0.3:
            found["double_opt_in"] = a_fact(dice, dice.choice([True, False, None, "as proof"]))
        if dice.random() < 0.4:
            months = {"sale": dice.choice([None, dice.randrange(1, 40)]), "inquiry": dice.choice([None, 6])}
            found["soft_opt_in_months"] = a_fact(dice, months)
        if dice.random() < 0.4:
            found["reask_wait_months"] = a_fact(dice, dice.choice([None, dice.randrange(1, 30)]))
        if dice.random() < 0.2:
            found["uncertain"] = dice.random() < 0.7
        return found

    countries = dice.sample(sorted(COUNTRIES), 12)
    entries = {
        "EU": {**entry(), "applies_to": countries[:3]},
        "GROUP": {
            **entry(),
            "applies_to": countries[3:6],
            **({"inherits": "EU"} if dice.random() < 0.5 else {}),
        },
        countries[0]: {**entry(), "inherits": "EU"},
        countries[3]: {**entry(), "inherits": "GROUP"},
        **{code: entry() for code in countries[6:10]},
        f"{countries[6]}-A1": entry(),
        f"{countries[0]}-B": {**entry(), "inherits": countries[7]},
        f"{countries[11]}-C": entry(),
    }
    kept = dice.sample(sorted(entries), dice.randrange(1, len(entries) + 1))
    for key in list(kept):  # an entry needs what it inherits
        while key := entries[key].get("inherits", ""):
            kept.append(key)
    data = {**DATA, "sources": {"S": {"t": "A law", "seen": True}}}
    data["jurisdictions"] = {
        key: {name: value for name, value in entries[key].items() if name != "applies_to" or value}
        for key in dict.fromkeys(kept)
    }
    data["product_policy"] = {
        **DATA["product_policy"],
        "model": dice.choice(list(STRICTNESS)),
        "honour_backends_hours": dice.randrange(49),
        "honour_hard_limit_hours": dice.randrange(49),
    }
    return data


def many_files(dice: random.Random, count: int) -> int:
    tried = 0
    for _ in range(count):
        data = a_file(dice)
        law = law_of(Document(data, {}))
        regions = [key for key in data["jurisdictions"] if "-" in key]
        all_rules: dict[str, Decided] = {}
        for code in [*CODES, *regions, *(f"{region[:2]}-ZZ" for region in regions)]:
            all_rules[code] = rules = decided(law.rules_for(code))
            assert looser(rules, policy_of(data)) == [], (code, data)
            assert rules == expected(data, code), (code, data)
            assert times(law.rules_for(code)) == expected_times(data, code), (code, data)
            tried += 1
        for code, rules in all_rules.items():
            assert looser(all_rules[""], rules) == [], ("unknown is not the strictest", code, data)
            if not known(data, code):
                assert rules[1:] == all_rules[""][1:], ("not known, and not the strictest", code, data)
            if "-" in code:
                assert looser(rules, all_rules[code[:2]]) == [] or not known(data, code[:2])
    return tried


def test_no_country_of_any_sound_file_is_looser_than_its_policy(tell: Callable[[str], None]) -> None:
    seed = random.getrandbits(32)
    tried = many_files(random.Random(seed), 40)
    tell(f"law: {tried} countries in 40 random files, none looser than the policy (seed {seed})")


@pytest.mark.soak
def test_no_country_of_any_sound_file_is_looser_than_its_policy_at_length() -> None:
    many_files(random.Random(random.getrandbits(32)), 2000)


def test_a_country_can_forbid_what_the_policy_would_allow(law: Law) -> None:
    """The loader takes no policy that pre-ticks; the resolver would still let a country forbid it, and only tighten."""
    loose = replace(law, policy=replace(law.policy, model="opt_out", preticked_allowed=True, honour_hours=48))
    assert decided(loose.rules_for("US")) == ("US", "opt_out", False, True, 48)
    assert decided(loose.rules_for("GB")) == ("GB", "opt_in_soft", False, False, 48)
    assert decided(loose.rules_for("IN")) == ("IN", "opt_in", False, False, 48)
    assert decided(loose.rules_for("AU")) == ("AU", "opt_in_soft", False, True, 48)  # its fact is uncertain
    assert decided(loose.rules_for("CN")) == ("CN", "opt_in", True, False, 0)  # all of its entry is
    assert decided(loose.rules_for("?")) == ("unknown", "opt_in", True, False, 0)


@pytest.mark.parametrize("model", STRICTNESS)
def test_a_country_of_which_nothing_is_certain_gets_the_strictest(model: str) -> None:
    """As one of which nothing is known: a site's looser policy holds where something is known."""
    data = {**DATA, "product_policy": {**DATA["product_policy"], "model": model}}
    rules = law_of(Document(data, {})).rules_for
    unsure = [code for code, entry in data["jurisdictions"].items() if entry.get("uncertain")]
    assert len(unsure) == 6
    for code in (*unsure, "CN-BJ"):
        assert decided(rules(code))[1:] == decided(rules(""))[1:] == ("opt_in", True, False, 0)
        assert rules(code).jurisdiction == code[:2]
        assert rules(code).facts["model"].jurisdiction == code[:2]
    assert rules("US").model == model
    # One certain fact about something else makes nothing known, and it still holds.
    entry = {"name": "x", "model": {"v": "opt_out", "src": ["USC"], "conf": "low"}}
    sure = {"v": {"value": 1, "unit": "hours"}, "src": ["USC"], "conf": "high"}
    data = {**data, "jurisdictions": {"US": DATA["jurisdictions"]["US"], "MX": {**entry, "honour": sure}}}
    rules = law_of(Document(data, {})).rules_for
    assert decided(rules("MX"))[1:] == decided(rules(""))[1:]
    assert rules("MX").honour_hours == 1


def test_codes_are_normalised() -> None:
    assert [normal(code) for code in (" us-ca", "fr", "EU", "US-", None)] == ["US-CA", "FR", "", "", ""]
    assert [country_of(code) for code in ("US-CA", "FR", "XX-A", "us")] == ["US", "FR", "", ""]


def test_the_file_is_of_a_day_that_has_been() -> None:
    assert date(2026, 1, 1) < date.fromisoformat(DATA["as_of"]) <= date.max


_loaded: list[Law] = []


def load_once() -> Law:
    if not _loaded:
        _loaded.append(load())
    return _loaded[0]
