"""GET, HEAD and OPTIONS change nothing, whatever they carry (design.md s12, 1; security.md EM-04)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Model
from django.test import Client

from tests import factories
from tests.web.conftest import path_of
from wagtail_prefs.access.services import manage_url, one_click_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact

REQUESTS = 1_000
METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = (
    {"Origin": "https://evil.example"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Sec-GPC": "1"},
    {"Purpose": "prefetch", "Sec-Purpose": "prefetch;prerender"},
    {"X-HTTP-Method-Override": "POST"},
    {"User-Agent": "Mozilla/5.0 (compatible; LinkScanner/1.0)"},
    {"Accept-Language": "de,en;q=0.5"},
    {"Content-Type": "application/x-www-form-urlencoded"},
)
QUERIES = (
    "List-Unsubscribe=One-Click",
    "List-Unsubscribe=One-Click&page=1&everything=1",
    "do=opt_out",
    "saved=nothing",
    "locale=de",
    "utm_source=mail&utm_medium=email",
    "_method=POST",
)


def checksum() -> dict[str, str]:
    """Of every row of every table of ours, by table."""
    return {
        model.__name__: hashlib.sha256("\n".join(sorted(map(repr, rows(model)))).encode()).hexdigest()
        for model in apps.get_app_config("wagtail_prefs").get_models()
    }


def rows(model: type[Model]) -> Iterator[list[object]]:
    """As the database holds them: what a model makes of a value is not always the same text twice."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")
        for row in cursor.fetchall():
            yield [bytes(value) if isinstance(value, memoryview) else value for value in row]


def requests(
    rng: random.Random, paths: list[str], count: int
) -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
    for _ in range(count):
        path = rng.choice(paths)
        if rng.random() < 0.2 and len(path) > 60:
            at = rng.randrange(len("/prefs/l/"), len(path) - 1)
            path = path[:at] + rng.choice("ABCxyz09_-") + path[at + 1 :]
        query = "&".join(rng.sample(QUERIES, rng.randrange(3)))
        headers: dict[str, str] = {}
        for some in rng.sample(HEADERS, rng.randrange(4)):
            headers |= some
        body = b"List-Unsubscribe=One-Click" if rng.random() < 0.3 else b""
        yield rng.choice(METHODS), f"{path}?{query}" if query else path, body, headers


def test_a_thousand_safe_requests_change_nothing(contact: Contact, center: PreferenceCenterPage) -> None:
    factories.make_center(locale="de", translation_of=center)
    paths = [
        path_of(manage_url(contact, center.translation_key)),
        path_of(manage_url(contact, center.translation_key, host=0)),
        path_of(one_click_url(contact, "news", "email", center.translation_key)),
        path_of(one_click_url(contact, "", "")),
        "/prefs/embed.js",
        "/prefs/embed/0123456789abcdef.js",
        f"/prefs/api/v1/centers/{center.translation_key}/",
    ]
    client = Client()
    before = checksum()
    seen = set()
    for method, path, body, headers in requests(random.Random(910), paths, REQUESTS):
        kind = headers.pop("Content-Type", "application/octet-stream")
        response = client.generic(method, path, body, content_type=kind, headers=headers)
        seen.add(response.status_code)
        assert response.status_code in {200, 204, 302, 304, 404, 405}, (method, path)
    assert checksum() == before
    assert {200, 404} <= seen


def test_the_checksum_sees_a_change(strict: Client, one_click: str) -> None:
    before = checksum()
    strict.post(one_click, {"List-Unsubscribe": "One-Click"})
    assert checksum() != before


@pytest.mark.parametrize("method", METHODS)
def test_safe_methods_are_answered(strict: Client, manage: str, one_click: str, method: str) -> None:
    for path in (manage, one_click):
        response = strict.generic(method, path)
        assert response.status_code == 200
        assert bool(response.content) == (method == "GET")
