"""`manage.py prefs_keys`."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.factories import make_audience, make_site
from wagtail_prefs.access import api_keys
from wagtail_prefs.access.api_keys import Scope
from wagtail_prefs.access.models import ApiKey
from wagtail_prefs.errors import BadToken, NotAllowed

pytestmark = pytest.mark.django_db


def command(*args: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("prefs_keys", *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_key_is_made_and_shown_once() -> None:
    audience = make_audience()
    said, warned = command("create", "crm", "--scope", "contacts:read", "--scope", "links:write")
    key = said.strip()
    row = api_keys.open_key(key, Scope.CONTACTS_READ)
    assert (row.name, row.audience, row.scopes) == ("crm", audience, ["contacts:read", "links:write"])
    assert row.expires_at is not None
    assert timedelta(days=364) < row.expires_at - timezone.now() < timedelta(days=366)
    assert row.made_by is None
    with pytest.raises(NotAllowed):
        api_keys.open_key(key, Scope.CONTACTS_WRITE)
    assert "only time" in warned
    assert key[17:] not in warned
    listed, _warned = command("list")
    assert row.pk in listed
    assert key[17:40] not in listed + command("list", "--json")[0] + command("revoke", row.pk)[0]


def test_a_key_is_told_of_as_json() -> None:
    make_audience()
    made = json.loads(command("create", "crm", "--scope", "contacts:read", "--never-expires", "--json")[0])
    assert made["key"].startswith(f"wpk_{made['id']}_")
    (listed,) = [json.loads(line) for line in command("list", "--json")[0].splitlines()]
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert (listed["state"], listed["expires_at"], listed["last_used_at"]) == ("active", None, None)


def test_a_key_ends_when_it_was_told_to() -> None:
    make_audience()
    command("create", "a", "--scope", "contacts:read", "--days", "7")
    command("create", "b", "--scope", "contacts:read", "--expires", "2101-02-03")
    ends = {row.name: row.expires_at for row in ApiKey.objects.all()}
    assert timedelta(days=6) < (ends["a"] or timezone.now()) - timezone.now() < timedelta(days=8)
    assert ends["b"] == datetime(2101, 2, 3, tzinfo=UTC)


def test_a_key_is_revoked_at_once() -> None:
    make_audience()
    key = command("create", "crm", "--scope", "contacts:read")[0].strip()
    public = key[4:16]
    assert "is revoked" in command("revoke", public)[0]
    with pytest.raises(BadToken):
        api_keys.open_key(key, Scope.CONTACTS_READ)
    assert "before" in command("revoke", public)[0]
    assert json.loads(command("list", "--json")[0])["state"] == "revoked"


def test_the_audience_is_named_where_there_are_two() -> None:
    first, second = make_audience(), make_audience(make_site("other.example", port=443))
    with pytest.raises(CommandError, match=r"--audience.*default"):
        command("create", "crm", "--scope", "contacts:read")
    command("create", "crm", "--scope", "contacts:read", "--audience", second.key)
    assert ApiKey.objects.get().audience == second
    assert command("list", "--audience", first.key)[0] == ""
    assert "crm" in command("list", "--audience", second.key)[0]
    assert "crm" in command("list")[0]


@pytest.mark.parametrize(
    "args",
    [
        ("create", "crm"),
        ("create", "crm", "--scope", "everything"),
        ("create", " ", "--scope", "contacts:read"),
        ("create", "crm", "--scope", "contacts:read", "--days", "0"),
        ("create", "crm", "--scope", "contacts:read", "--days", "99999999999"),
        ("create", "crm", "--scope", "contacts:read", "--expires", "soon"),
        ("create", "crm", "--scope", "contacts:read", "--expires", "2001-01-01"),
        ("create", "crm", "--scope", "contacts:read", "--audience", "nobody"),
        ("revoke", "nothing"),
        ("revoke", "x" * 300),
    ],
)
def test_what_makes_no_sense_is_refused(args: tuple[str, ...]) -> None:
    make_audience()
    with pytest.raises(CommandError) as refused:
        command(*args)
    # argparse's own refusals bear no code when they are called from Python; the shell gets its 2 for them as well.
    assert refused.value.returncode in {1, 2}
    assert not ApiKey.objects.exists()


def test_nothing_to_list_is_nothing(capsys: Any) -> None:
    make_audience()
    assert command("list") == ("", "")
