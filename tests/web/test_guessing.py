"""Who guesses links is stopped after thirty in a minute; whoever has one is not, whatever her network did (AB-07, EM-12)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoAssertNumQueries, Settings

from wagtail_prefs.contacts.models import Contact

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FORGED = "v1.t1.eyJhIjoxLCJjIjoiZ3hYaDh4RnNTRXEy.l0T4U81Tm3TuTOO6EUQW7eCtbGd9Ea6nSgzHRaXEkAg"
PAIR = {"List-Unsubscribe": "One-Click"}


@pytest.fixture(autouse=True)
def _the_defaults(settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {
        name: value for name, value in settings.WAGTAIL_PREFS.items() if name != "LIMITS"
    }


@pytest.mark.parametrize("route", "luc")
def test_thirty_a_minute(
    client: Client,
    db: None,
    settings: Settings,
    route: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.MIDDLEWARE = []  # Wagtail's looks for a redirect wherever there is a 404
    path = f"/prefs/{route}/{FORGED}/"
    with time_machine.travel(NOON, tick=False) as clock, django_assert_num_queries(0):
        assert [client.get(path).status_code for _ in range(15)] == [404] * 15
        client.head(path)
        assert {client.post(path, PAIR).status_code for _ in range(14)} <= {404, 405}
        answers = [client.get(path) for _ in range(20)]
        answer = answers[-1]
        assert answer.status_code == 429
        assert 1 <= int(answer["Retry-After"]) <= 60
        assert answer["Cache-Control"] == "no-store, private"
        assert FORGED not in answer.content.decode()
        other = client.get(path, REMOTE_ADDR="198.51.100.4")
        assert other.status_code == 404
        clock.shift(61)
        assert client.get(path).status_code == 404


def test_a_link_that_holds_is_answered_as_ever(
    client: Client, manage: str, one_click: str, contact: Contact
) -> None:
    with time_machine.travel(NOON):
        for _ in range(40):
            client.get(f"/prefs/l/{FORGED}/")
        assert client.get(f"/prefs/u/{FORGED}/").status_code == 429
        assert client.get(manage).status_code == 200
        assert client.get(one_click).status_code == 200
        assert client.post(one_click, PAIR).status_code == 200


def test_five_thousand_one_clicks_of_one_network(client: Client, one_click: str) -> None:
    """Mailbox providers post from few addresses. (Two hundred here: each counts as much as the first.)"""
    for _ in range(40):
        client.get(f"/prefs/u/{FORGED}/")
    assert {client.post(one_click, PAIR).status_code for _ in range(200)} == {200}


def test_forwarding_headers_do_not_help(client: Client, db: None, settings: Settings) -> None:
    with time_machine.travel(NOON, tick=False):
        for number in range(40):
            answer = client.get(f"/prefs/l/{FORGED}/", headers={"X-Forwarded-For": f"203.0.113.{number}"})
    assert answer.status_code == 429
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "TRUSTED_PROXIES": 1}
    forged = [f"203.0.113.{number}, 198.51.100.9" for number in range(40)]
    with time_machine.travel(NOON, tick=False):
        for forwarded in forged:
            answer = client.get(f"/prefs/l/{FORGED}/", headers={"X-Forwarded-For": forwarded})
        assert answer.status_code == 429
        answer = client.get(f"/prefs/l/{FORGED}/", headers={"X-Forwarded-For": "198.51.100.10"})
        assert answer.status_code == 404


def views(resolver: URLResolver) -> list[tuple[str, Any]]:
    found = []
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            found.append((str(pattern.pattern), pattern.callback))
        else:
            found += views(pattern)
    return found


def test_no_view_of_ours_runs_in_the_transaction_of_a_request() -> None:
    """A site with ATOMIC_REQUESTS would roll counts back with what failed, and keep them locked till the end."""
    for_everybody = ("embed", "api/v1/openapi")  # documents, and nothing is counted
    of_ours = [
        (path, view)
        for path, view in views(get_resolver("wagtail_prefs.urls"))
        if view.__module__.startswith("wagtail_prefs.")
        and not path.startswith(for_everybody)
        and path != "api/v1/centers/<uuid:center>/"
    ]
    assert len(of_ours) > 8
    inside = [path for path, view in of_ours if getattr(view, "_non_atomic_requests", None) != {"default"}]
    assert inside == []
