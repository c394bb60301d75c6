"""GET, HEAD and OPTIONS change nothing, whatever they carry (design.md s12, 1; security.md EM-04)."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import get_resolver

from tests import factories
from tests.settings import WAGTAIL_PREFS
from tests.web.conftest import path_of
from wagtail_prefs.access import api_keys, services as access
from wagtail_prefs.access.services import Purpose, manage_url, one_click_url, pause_url, why_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.topics.models import Topic

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
#: Of the address that the events of a backend come to.
SECRET = "a-word-that-nobody-guesses-1"
QUERIES = (
    "List-Unsubscribe=One-Click",
    "List-Unsubscribe=One-Click&page=1&everything=1",
    "do=opt_out",
    "for=P1M",
    "saved=nothing",
    "receipt=nothing&as=jsonld",
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
        columns = [
            connection.ops.quote_name(field.column)
            for field in model._meta.local_concrete_fields
            # When a key was used last is noted once a minute, also by a GET: an exception that is listed (a counter).
            if field.name != "last_used_at"
        ]
        cursor.execute(f"SELECT {', '.join(columns)} FROM {connection.ops.quote_name(model._meta.db_table)}")
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


def addresses(contact: Contact, center: PreferenceCenterPage) -> dict[str, list[str]]:
    """Addresses of every route there is, by its name: whoever adds a route says here how it is reached."""
    key = center.translation_key
    root = f"/prefs/api/v1/centers/{key}/"
    once = {
        purpose: path_of(access.issue(purpose, contact, center=key, address="other@mail.example.org"))
        for purpose in (Purpose.FRESH, Purpose.CONFIRM, Purpose.CHANGE_ADDRESS)
    }
    found = {
        "manage": [
            path_of(manage_url(contact, key)),
            path_of(manage_url(contact, key, host=0)),
            once[Purpose.FRESH],
        ],
        "one-click": [
            path_of(one_click_url(contact, "news", "email", key)),
            path_of(one_click_url(contact, "", "")),
        ],
        "why": [
            path_of(why_url(contact, "news", "email", "issue-1", key)),
            path_of(why_url(contact, "", "", "issue-2")),
        ],
        "longer-pause": [path_of(pause_url(contact, "email", key)), path_of(pause_url(contact))],
        "receipts": ["/prefs/r/"],
        "receipt": [
            access.receipt_path(record) for record in Record.objects.values_list("pk", flat=True)[:2]
        ],
        "confirm": [once[Purpose.CONFIRM], once[Purpose.CHANGE_ADDRESS]],
        "member": [f"/prefs/me/{key}/"],
        "embed": ["/prefs/embed.js"],
        "embed-version": ["/prefs/embed/0123456789abcdef.js"],
        "embed-frame": [f"/prefs/embed/{key}/"],
        "request-link": [f"/prefs/request-link/{key}/"],
        "sign-up": [f"/prefs/sign-up/{key}/"],
        "openapi": ["/prefs/api/v1/openapi.json"],
        "center": [root],
        "sessions": [f"{root}sessions/"],
        "preferences": [f"{root}preferences/"],
        "undo": [f"{root}preferences/undo/"],
        "history": [f"{root}preferences/history/"],
        "step-up": [f"{root}preferences/step-up/"],
        "export": [f"{root}preferences/export/"],
        "erasure": [f"{root}preferences/erasure/"],
        "access-links": [f"{root}access-links/"],
        "sign-ups": [f"{root}signups/"],
        "contacts": ["/prefs/api/v1/contacts/"],
        "contact": [f"/prefs/api/v1/contacts/{contact.pk}/"],
        "find-contact": ["/prefs/api/v1/contacts/find/"],
        "links": ["/prefs/api/v1/links/"],
        "decisions": ["/prefs/api/v1/decisions/"],
        "asking": ["/prefs/api/v1/decisions/asking/"],
        "sends": ["/prefs/api/v1/sends/"],
        "send": ["/prefs/api/v1/sends/issue-1/", "/prefs/api/v1/sends/a%2Fb/"],
        # Notes who fetched a file in the log of the site: read audit, an exception that is listed.
        "suppressions": [
            f"/prefs/api/v1/suppressions/{query}" for query in ("", "?topic=news&channel=email")
        ],
        "inbound": [f"/prefs/api/v1/inbound/{alias}/{SECRET}/" for alias in ("database", "nobody")],
    }
    names = {str(one.name) for one in get_resolver("wagtail_prefs.web.urls").url_patterns}
    names |= {str(one.name) for one in get_resolver("wagtail_prefs.api.urls").url_patterns}
    assert set(found) == names
    return found


def bearers(contact: Contact, center: PreferenceCenterPage) -> list[dict[str, str]]:
    """What opens the routes that ask who is there: sessions of either assurance, and a key that may do everything."""
    key = center.translation_key
    link = access.open_link(access.make_token(Purpose.MANAGE, contact, center=key), Purpose.MANAGE)
    sessions = [
        access.start_session(link, key, "http://localhost", assurance="link"),
        access.start_session(link, key, "http://localhost", assurance="fresh"),
    ]
    _row, api_key = api_keys.make("a program", contact.audience, list(api_keys.Scope), None)
    return [{"Authorization": f"Bearer {one}"} for one in (*sessions, api_key)]


# Ten times as many on the database of the demo: the views do not ask which one it is.
@pytest.mark.parametrize("count", [1_000, pytest.param(9_000, marks=pytest.mark.sqlite)])
def test_safe_requests_over_every_route_change_nothing(
    contact: Contact, center: PreferenceCenterPage, count: int, settings: Any, tell: Any
) -> None:
    # No limit in the way, and no count of it in the database, which is a listed exception.
    free = [(10**9, 60)]
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "LIMITS": dict.fromkeys(("api_read", "api_write", "bad_token_network", "key_files"), free),
        "BACKENDS": {"database": {**WAGTAIL_PREFS["BACKENDS"]["database"], "INBOUND_SECRETS": [SECRET]}},
    }
    Topic.objects.filter(key="offers").update(shares_data=True)  # what a signal of the browser would end
    factories.make_center(locale="de", translation_of=center)
    paths = [path for some in addresses(contact, center).values() for path in some]
    who = [{}, *bearers(contact, center)]
    client = Client()
    before = checksum()
    seen: Counter[int] = Counter()
    rng = random.Random(910 + count)
    for method, path, body, headers in requests(rng, paths, count):
        kind = headers.pop("Content-Type", "application/octet-stream")
        # Only a session that is used from its own origin is let in.
        bearer = rng.choice(who)
        if bearer:
            headers.pop("Origin", None)
        response = client.generic(method, path, body, content_type=kind, headers={**headers, **bearer})
        b"".join(response) if response.streaming else response.content
        seen[response.status_code] += 1
        assert response.status_code in {200, 204, 302, 304, 400, 401, 403, 404, 405, 422}, (method, path)
    assert checksum() == before
    assert {200, 302, 401, 404, 405} <= set(seen)
    tell(f"safe requests: {count} over {len(paths)} addresses, {dict(sorted(seen.items()))}")


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
