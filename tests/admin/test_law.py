"""The rules by country as staff read them: true to the file, with sources, for those who may, whatever the file is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from tests.admin.staff import make_staff
from tests.decisions.cases import law_files
from wagtail_prefs.admin.law import applied, lines, rows
from wagtail_prefs.law import services as law
from wagtail_prefs.law.countries import COUNTRIES

pytestmark = pytest.mark.django_db
INDEX = "prefs_law:index"


@pytest.fixture
def analyst(client: Client) -> Client:
    client.force_login(make_staff("analyst", "results_contact"))
    return client


def text_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    found: str = answer.content.decode()
    return found


def one(client: Client, code: str) -> str:
    return text_of(client, reverse("prefs_law:one", args=[code]))


def test_every_place_of_the_file_is_there_and_so_is_any_other(analyst: Client) -> None:
    text = text_of(analyst, reverse(INDEX))
    current = law.current()
    for entry in current.jurisdictions.values():
        assert reverse("prefs_law:one", args=[entry.key]) in text
    assert "any other place" in text
    assert "no legal advice" in text and current.version in text


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ("DE", ["DE"]),
        ("germ", ["DE"]),
        ("fr", ["EU"]),
        ("us-ca", ["US-CA"]),
        ("US-NY", ["US"]),
        ("VA", ["VA"]),
        ("atlantis", []),
        ("<b>", []),
    ],
)
def test_a_search_finds_a_place_by_name_code_or_group(analyst: Client, asked: str, keys: list[str]) -> None:
    assert [row.code for row in rows(law.current(), asked, "")] == keys
    text = analyst.get(reverse(INDEX), {"q": asked}).content.decode()
    assert ("Nothing in the file fits" in text) == (not keys)
    assert "<b>" not in text


def test_the_model_filters(analyst: Client, settings: Any, tmp_path: Path) -> None:
    path = str(law_files(tmp_path)["opt_out"])
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "JURISDICTIONS": path}
    loose = [row.code for row in rows(law.current(), "", "opt_out")]
    assert "US" in loose and "DE" not in loose and "unknown" not in loose
    assert "The site has a file of its own." in text_of(analyst, reverse(INDEX) + "?model=opt_out&q=")
    assert "United States" in text_of(analyst, reverse(INDEX) + "?model=nonsense")


def test_what_holds_says_what_decided_it(settings: Any, tmp_path: Path) -> None:
    path = str(law_files(tmp_path)["opt_out"])
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "JURISDICTIONS": path}
    current = law.current()

    def by(code: str) -> str:
        return applied(current, current.rules_for(code))[0].by

    assert by("US") == "the policy of the site"
    assert "Germany" in by("DE")
    assert by("") == by("KR") == "the strictest of all"


def test_confirmation_in_the_union_is_put_down_to_the_union() -> None:
    current = law.current()
    for code in ("FR", "IS"):
        (found,) = [
            one for one in applied(current, current.rules_for(code)) if one.label.startswith("Confirm")
        ]
        assert (found.words, found.by) == ("yes", current.jurisdictions["EU"].name)


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://law.example/cfr?a=1&b=2", True),
        ("http://law.example/", True),
        ("javascript:alert(1)", False),
        ("JavaScript:alert('http://law.example/')", False),
        ('https://law.example/" onclick="alert(1)', False),
        ("//law.example/", False),
        ("law.example (quoted)", False),
        ("", False),
    ],
)
def test_a_source_is_a_link_only_where_it_is_an_address_of_the_web(
    analyst: Client, monkeypatch: Any, url: str, linked: bool
) -> None:
    current = law.current()
    cited = current.jurisdictions["CA"].facts["model"].sources[0]
    sources = {**current.sources, cited: replace(current.sources[cited], url=url)}
    monkeypatch.setattr(law, "current", lambda: replace(current, sources=sources))
    text = one(analyst, "CA")
    assert (f'<a href="{escape(url)}" rel="noopener noreferrer">' in text) == linked
    assert 'href="javascript' not in text.lower() and 'onclick="alert' not in text
    assert bool(lines(law.current(), current.jurisdictions["CA"].facts.values())[0].sources[0].url) == linked


@pytest.mark.parametrize(
    ("asked", "words", "by"),
    [
        (0, "after 365 days at the earliest", "the policy of the site"),
        (12, "after 365 days at the earliest", "the policy of the site"),
        (13, "13 months", "Canada"),
    ],
)
def test_asking_again_is_told_as_it_is_counted(asked: int, words: str, by: str) -> None:
    current = law.current()
    canada = current.jurisdictions["CA"]
    fact = replace(canada.facts["model"], name="reask_wait_months", value=asked)
    entry = replace(canada, facts={**canada.facts, "reask_wait_months": fact})
    current = replace(current, jurisdictions={**current.jurisdictions, "CA": entry})
    with time_machine.travel("2026-11-23T12:00Z", tick=False):
        found = applied(current, current.rules_for("CA"))[-1]
    assert found.words == words and found.by.startswith(by)


def test_months_for_customers_are_words() -> None:
    current = law.current()
    found = [line.words for line in lines(current, current.jurisdictions["CA"].facts.values())]
    assert "Customers after a purchase: 24 months; Customers after an inquiry: 6 months" in found


def test_one_place_has_its_rules_facts_and_sources(analyst: Client) -> None:
    text = one(analyst, "CA")
    assert "S.C. 2010 c.23" in text and "not read by whoever wrote the file" in text
    assert "decides" in text and "informs" in text
    assert "What the file says of European Union" in one(analyst, "DE")  # what it adds to
    assert "the strictest of everything" in one(analyst, "KR")
    assert "the strictest of everything" in one(analyst, "unknown")
    assert "Holds for" in one(analyst, "EU")


def test_every_country_of_the_world_has_a_page(analyst: Client) -> None:
    for code in sorted(COUNTRIES)[::25]:
        assert "What holds here" in one(analyst, code)
    for code in ("atlantis", "ZZ", "1", "de-1234"):
        assert analyst.get(reverse("prefs_law:one", args=[code])).status_code == 404


def test_a_file_that_cannot_be_used_is_said_and_breaks_nothing(
    analyst: Client, settings: Any, tmp_path: Path
) -> None:
    for number, content in enumerate((None, "jurisdictions: [", "schema_version: 7\n")):
        path = tmp_path / f"{number}.yaml"
        if content is not None:
            path.write_text(content)
        settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "JURISDICTIONS": str(path)}
        for text in (text_of(analyst, reverse(INDEX)), one(analyst, "DE")):
            assert "own file of rules cannot be used" in text and "<li>" in text


@pytest.mark.parametrize(
    ("name", "allowed"), [("topics", ["change_topic"]), ("results", ["results_contact"])]
)
def test_who_may_look(client: Client, name: str, allowed: list[str]) -> None:
    client.force_login(make_staff(name, *allowed))
    assert client.get(reverse(INDEX)).status_code == 200
    assert client.post(reverse(INDEX)).status_code == 405


def test_who_may_not_is_turned_away(client: Client) -> None:
    client.force_login(make_staff("other", "view_contact"))
    for url in (reverse(INDEX), reverse("prefs_law:one", args=["DE"])):
        assert client.get(url).status_code == 302


def test_the_pages_ask_the_database_for_nothing_of_their_own(analyst: Client) -> None:
    counts = []
    for url in (reverse(INDEX), reverse("prefs_law:one", args=["DE"]), reverse("prefs_contacts:index")):
        analyst.get(url)
        with CaptureQueriesContext(connection) as queries:
            analyst.get(url)
        counts.append(len(queries))
    assert counts[0] == counts[1] and counts[0] < 12
