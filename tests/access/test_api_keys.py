"""API keys: made, opened, ended; what is kept of them, and what is not (security.md AP-10)."""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from hypothesis import given, strategies as st
from pytest_django import DjangoAssertNumQueries

from tests.api.client import Program, make_key
from tests.factories import make_audience
from tests.properties import examples
from tests.settings import WAGTAIL_PREFS
from wagtail_prefs.access import api_keys, limits
from wagtail_prefs.access.api_keys import KeyState, Scope
from wagtail_prefs.access.models import ApiKey
from wagtail_prefs.errors import BadToken, NotAllowed
from wagtail_prefs.web.logs import RedactTokens, redact

pytestmark = pytest.mark.django_db

READ = Scope.CONTACTS_READ
ROOT = Path(__file__).resolve().parents[2]
FORM = r"wpk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}"


def opens(key: str, scope: Scope = READ) -> bool:
    try:
        api_keys.open_key(key, scope)
    except BadToken:
        return False
    return True


def test_a_key_has_the_form_that_scanners_look_for(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    audience = make_audience()
    made = [make_key(audience=audience)[1] for _number in range(20)]
    assert all(re.fullmatch(FORM, key) for key in made)
    assert len({key[17:60] for key in made}) == 20
    row, key = make_key(READ, audience=audience)
    assert row.pk == key[4:16]
    with django_assert_num_queries(1):
        found = api_keys.open_key(key, READ)
        assert found.audience == audience
    assert found == row


def test_what_is_no_key_costs_no_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    _row, key = make_key()
    wrong = [
        key[:place] + ("a" if key[place] != "a" else "b") + key[place + 1 :] for place in range(len(key))
    ]
    wrong += [key[:length] for length in range(len(key))]
    wrong += [
        key + "a",
        f" {key}",
        f"{key}\n",
        key.upper(),
        "wpk_" * 1000,
        "",
        "Bearer",
        key.replace("wpk", "wpĸ"),
    ]
    with django_assert_num_queries(0):
        assert not any(opens(text) for text in wrong)


@pytest.mark.property
@examples(200)
@given(text=st.one_of(st.text(max_size=100), st.from_regex(FORM, fullmatch=True)))
def test_no_text_opens_anything(text: str) -> None:
    make_audience()
    assert not opens(text)


def test_a_wrong_key_costs_one_query_whoever_it_is(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    row, key = make_key()
    other = f"{key[:17]}{'x' * 43}"
    unknown = f"wpk_{'0' * 12}_{key[17:60]}"
    for text in (other, unknown):
        with django_assert_num_queries(1):
            assert not opens(text + api_keys._checksum(text))
    assert opens(key)
    assert ApiKey.objects.get() == row


def test_a_key_does_what_it_may_and_no_more() -> None:
    _row, key = make_key(READ)
    assert opens(key)
    for scope in set(Scope) - {READ}:
        with pytest.raises(NotAllowed):
            api_keys.open_key(key, scope)


def test_a_key_ends_when_it_ends_and_when_it_is_revoked() -> None:
    row, key = make_key(expires_at=timezone.now() + timedelta(days=1))
    _never, lasting = make_key(expires_at=None)
    with time_machine.travel(timezone.now() + timedelta(hours=23)):
        assert opens(key)
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        assert not opens(key)
        assert api_keys.state_of(row) is KeyState.EXPIRED
    with time_machine.travel(timezone.now() + timedelta(days=4000)):
        assert opens(lasting)
    assert api_keys.revoke(row)
    assert not api_keys.revoke(row)
    row.refresh_from_db()
    assert api_keys.state_of(row) is KeyState.REVOKED
    assert not opens(key)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"name": "x" * 256},
        {"scopes": []},
        {"scopes": ["contacts:read", "everything"]},
        {"expires_at": timezone.now() - timedelta(days=1)},
    ],
)
def test_nonsense_makes_no_key(wrong: dict[str, Any]) -> None:
    values: dict[str, Any] = {"name": "crm", "scopes": [READ], "expires_at": None}
    with pytest.raises(ValueError, match="a key"):
        api_keys.make(audience=make_audience(), **{**values, **wrong})
    assert not ApiKey.objects.exists()


def rotated(*kids: str) -> Any:
    keys = [{"kid": kid, "key": f"{kid}-a-key-for-tests-only-0123456789-abcdefghij"} for kid in kids]
    of_the_tests = [] if "-t1" in kids else WAGTAIL_PREFS["SIGNING_KEYS"]
    return override_settings(
        WAGTAIL_PREFS={
            **WAGTAIL_PREFS,
            "SIGNING_KEYS": [key for key in keys if key["kid"] != "-t1"] + list(of_the_tests),
        }
    )


def test_a_key_survives_a_rotation_and_moves_on_when_it_is_used() -> None:
    row, key = make_key()
    _idle, unused = make_key()
    with rotated("t2"):
        found = api_keys.open_key(key, READ)
        api_keys.note_use(found, key)
        row.refresh_from_db()
        assert row.kid == "t2"
        assert opens(unused)
    with rotated("t3", "t2", "-t1"):  # the first one is gone
        assert opens(key)
        assert not opens(unused)


def test_use_is_noted_once_a_minute(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    row, key = make_key()
    begin = timezone.now()
    for seconds, statements in ((0, 1), (1, 0), (59, 0), (61, 1), (62, 0)):
        with time_machine.travel(begin + timedelta(seconds=seconds), tick=False):
            found = api_keys.open_key(key, READ)
            with django_assert_num_queries(statements):
                api_keys.note_use(found, key)
    row.refresh_from_db()
    assert row.last_used_at == begin + timedelta(seconds=61)


def test_calls_at_once_note_it_once() -> None:
    """Both have read the row before either wrote."""
    _row, key = make_key()
    begin = timezone.now()
    first, second = api_keys.open_key(key, READ), api_keys.open_key(key, READ)
    with time_machine.travel(begin, tick=False):
        api_keys.note_use(first, key)
    with time_machine.travel(begin + timedelta(seconds=1), tick=False):
        api_keys.note_use(second, key)
    assert ApiKey.objects.get().last_used_at == begin


def test_a_dump_of_all_tables_holds_no_key() -> None:
    _row, key = make_key()
    program = Program(key)
    assert program.post("contacts/", {"email": "anna@mail.example.org"}).status_code == 201
    secret = key[17:]
    seen = 0
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")
            for line in cursor.fetchall():
                seen += 1
                text = json.dumps([str(cell) for cell in line])
                assert secret[:43] not in text
                assert secret[:12] not in text
    assert seen > 20


def test_no_log_line_holds_a_key() -> None:
    _row, key = make_key()
    said = f"curl -H 'Authorization: Bearer {key}'"
    assert redact(said) == f"curl -H 'Authorization: Bearer {key[:17]}[redacted]'"
    for text in (key, f"Bearer%20{key}", f"x{key}x", key[:40], {"HTTP_AUTHORIZATION": [f"Bearer {key}"]}):
        assert key[20:40] not in str(redact(text))
    record = logging.LogRecord("x", logging.INFO, "x", 1, "key %s", (key,), None)
    assert RedactTokens().filter(record)
    assert key[17:] not in record.getMessage()


def test_the_reference_names_every_scope_and_the_form() -> None:
    text = (ROOT / "docs/reference/api-keys.md").read_text()
    assert f"`{FORM}`" in text
    assert re.findall(r"^\| `([a-z]+:[a-z]+)` \|", text, re.MULTILINE) == Scope.values
    ((times, seconds),) = limits.LIMITS["key_calls"]
    assert (times, seconds) == (1200, 60)
    assert "`key_calls`: 1,200 calls a minute" in text
