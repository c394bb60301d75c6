"""Nothing but what we signed opens anything, and finding that out asks no database (security.md TK-01, AB-07)."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests import factories
from wagtail_prefs.access import services as access
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.centers import services as centers
from wagtail_prefs.errors import BadToken, ForeignOrigin

pytestmark = pytest.mark.django_db
ALPHABET = string.ascii_letters + string.digits + "-_.=+/ %\n\u00e9"
SHOP = "https://shop.example"


def mutants(rng: random.Random, tokens: list[str], count: int) -> Iterator[str]:
    """Tokens with a few characters replaced, removed, doubled or swapped, or with a part of another token."""
    known = set(tokens)
    while count:
        token = list(rng.choice(tokens))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(token))
            match rng.randrange(5):
                case 0:
                    token[at] = rng.choice(ALPHABET)
                case 1:
                    del token[at : at + rng.randint(1, 9)]
                case 2:
                    token.insert(at, rng.choice(ALPHABET))
                case 3:
                    token[at], token[-at] = token[-at], token[at]
                case _:
                    parts, other = "".join(token).split("."), rng.choice(tokens).split(".")
                    part = rng.randrange(4)
                    if len(parts) == 4:
                        parts[part] = other[part]
                    token = list(".".join(parts))
            if not token:
                break
        mutant = "".join(token)
        if mutant not in known:
            count -= 1
            yield mutant


def tokens_of_each_kind() -> tuple[list[str], Any]:
    center = factories.make_center()
    contact = factories.make_contact("somebody@mail.example.org")
    key = center.translation_key
    manage = access.make_token(Purpose.MANAGE, contact, center=key)
    link = access.open_link(manage, Purpose.MANAGE)
    once = [
        access.issue(p, contact, center=key) for p in (Purpose.FRESH, Purpose.CONFIRM, Purpose.CHANGE_ADDRESS)
    ]
    return [
        manage,
        access.make_token(Purpose.UNSUBSCRIBE, contact, topic="news", channel="email"),
        *(url.rstrip("/").rpartition("/")[2] for url in once),
        access.make_code(link, key, SHOP),
        access.start_session(link, key, SHOP, assurance="fresh"),
    ], key


def refused(token: str, center: Any) -> None:
    for opened in (
        lambda: access.open_link(token, *Purpose),
        lambda: access.look(token, *Purpose),
        lambda: access.redeem_code(token, center=center, origin=SHOP),
        lambda: access.open_session(token, center=center, origin=SHOP),
    ):
        with pytest.raises((BadToken, ForeignOrigin)):
            opened()


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.sqlite)])
def test_mutated_tokens_are_refused_without_a_statement(
    count: int, django_assert_num_queries: Any, request: pytest.FixtureRequest, tell: Any
) -> None:
    tokens, key = tokens_of_each_kind()
    seed = int(request.config.getoption("--hypothesis-seed"))
    with django_assert_num_queries(0):
        for mutant in mutants(random.Random(seed), tokens, count):
            refused(mutant, key)
    tell(f"mutated tokens: {count} refused in four places, seed {seed}")


def test_over_http_they_all_get_the_same_answer_without_a_statement(
    client: Client, django_assert_num_queries: Any, settings: Any
) -> None:
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "LIMITS": {"bad_token_network": [(10_000, 60)]},
        "CENTER_CACHE_SECONDS": 3600,
    }
    settings.MIDDLEWARE = []  # Wagtail's redirects look up every 404; this is about our own views
    tokens, key = tokens_of_each_kind()
    centers.current(key)
    rng = random.Random(5)
    answers = set()
    with django_assert_num_queries(0):
        for mutant in mutants(rng, tokens, 60):
            if set(mutant) & set("/%\n. ") - {"."} or "\u00e9" in mutant:
                continue
            for kind in "luc":
                for method in ("get", "post"):
                    answer = getattr(client, method)(f"/prefs/{kind}/{mutant}/")
                    body = answer.content.decode().split("nonce")[0]
                    answers.add((answer.status_code, body))
    assert len(answers) == 1 and next(iter(answers))[0] == 404
