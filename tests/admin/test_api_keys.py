"""The screens of API keys: made and shown once, listed, revoked."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.api.client import make_key
from tests.factories import make_audience, make_editor, make_site
from wagtail_prefs.access import api_keys
from wagtail_prefs.access.api_keys import Scope
from wagtail_prefs.access.models import ApiKey
from wagtail_prefs.admin.api_keys import MADE, REVOKED
from wagtail_prefs.errors import BadToken
from wagtail_prefs.topics.models import Audience

pytestmark = pytest.mark.django_db

INDEX, MAKE = "prefs_api_keys:index", "prefs_api_keys:add"
KEY = re.compile(r"wpk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
ALL = ("view_apikey", "add_apikey", "change_apikey")


def wish(audience: Audience, /, **more: Any) -> dict[str, Any]:
    expires = (timezone.localdate() + timedelta(days=30)).isoformat()
    found = {
        "name": "crm", "audience": audience.pk, "scopes": ["contacts:read"], "expires": expires,
    }  # fmt: skip
    return {**found, **more}


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(make_editor())
    return client


def test_a_key_is_made_and_shown_once(editor: Client) -> None:
    audience = make_audience()
    form = editor.get(reverse(MAKE)).content.decode()
    for scope in Scope:
        assert str(scope.label) in form
    answer = editor.post(reverse(MAKE), wish(audience, scopes=["contacts:read", "links:write"]))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    found = set(KEY.findall(answer.content.decode()))
    assert len(found) == 1
    key = found.pop()
    row = api_keys.open_key(key, Scope.CONTACTS_READ)
    assert (row.name, row.audience, row.scopes) == ("crm", audience, ["contacts:read", "links:write"])
    assert row.made_by is not None
    assert row.expires_at is not None
    assert timezone.localdate(row.expires_at) == timezone.localdate() + timedelta(days=30)
    # Nowhere else, ever: no page, no table - the session's and the log's among them - and no message.
    secret = key[17:]
    for url in (reverse(INDEX), reverse(MAKE), reverse("prefs_api_keys:revoke", args=[row.pk])):
        assert secret[:20] not in editor.get(url).content.decode()
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")
            assert not [
                line for line in cursor.fetchall() if secret[:20] in json.dumps([str(c) for c in line])
            ]
    entry = ModelLogEntry.objects.get(action=MADE)
    assert (entry.object_id, entry.data) == (row.pk, {"scopes": ["contacts:read", "links:write"]})
    assert "contacts:read, links:write" in str(entry.message)


def test_a_key_without_an_end_and_what_is_no_key(editor: Client) -> None:
    audience = make_audience()
    for wrong in (
        {"name": " "},
        {"name": "x" * 256},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"expires": timezone.localdate().isoformat()},
        {"expires": "soon"},
        {"audience": 0},
    ):
        answer = editor.post(reverse(MAKE), wish(audience, **wrong))
        assert answer.status_code == 200
        assert not KEY.search(answer.content.decode())
    assert not ApiKey.objects.exists()
    assert KEY.search(editor.post(reverse(MAKE), wish(audience, expires="")).content.decode())
    assert ApiKey.objects.get().expires_at is None


def test_names_are_text(editor: Client) -> None:
    nasty = "<script>alert(1)</script>"
    made = editor.post(reverse(MAKE), wish(make_audience(), name=nasty)).content.decode()
    row = ApiKey.objects.get()
    pages = [editor.get(reverse(INDEX)), editor.get(reverse("prefs_api_keys:revoke", args=[row.pk]))]
    for text in (made, *(page.content.decode() for page in pages)):
        assert nasty not in text
        assert "&lt;script&gt;alert(1)" in text


def test_the_list_says_what_there_is(editor: Client) -> None:
    audience = make_audience()
    row, _key = make_key(Scope.CONTACTS_READ, audience=audience, made_by=make_editor())
    ended, _key = make_key(audience=audience, name="old")
    ApiKey.objects.filter(pk=ended.pk).update(expires_at=timezone.now() - timedelta(days=1))
    gone, _key = make_key(audience=audience, name="gone")
    api_keys.revoke(gone)
    text = editor.get(reverse(INDEX)).content.decode()
    for words in (row.pk, "Look at people", "editor", "Works", "Expired", "Revoked", "Make a key"):
        assert words in text
    assert reverse("prefs_api_keys:revoke", args=[row.pk]) in text
    assert reverse("prefs_api_keys:revoke", args=[gone.pk]) not in text
    with CaptureQueriesContext(connection) as few:
        editor.get(reverse(INDEX))
    for number in range(10):
        make_key(audience=audience, name=f"crm {number}", made_by=make_editor())
    with CaptureQueriesContext(connection) as more:
        editor.get(reverse(INDEX))
    assert len(more) == len(few)


def test_a_key_is_revoked_by_a_post_alone(editor: Client) -> None:
    row, key = make_key()
    url = reverse("prefs_api_keys:revoke", args=[row.pk])
    page = editor.get(url)
    assert "Yes, revoke it" in page.content.decode()
    assert api_keys.open_key(key, Scope.CONTACTS_READ) == row
    assert editor.post(url).status_code == 302
    with pytest.raises(BadToken):
        api_keys.open_key(key, Scope.CONTACTS_READ)
    editor.post(url)
    assert ModelLogEntry.objects.filter(action=REVOKED, object_id=row.pk).count() == 1
    assert editor.get(url).status_code == 302  # there is nothing left to do
    assert editor.get(reverse("prefs_api_keys:revoke", args=["nothing"])).status_code == 404


def test_nobody_edits_or_deletes_a_key() -> None:
    row, _key = make_key()
    for name in ("edit", "delete", "copy", "inspect", "history", "usage"):
        with pytest.raises(NoReverseMatch):
            reverse(f"prefs_api_keys:{name}", args=[row.pk])


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize(
    "codenames", [(), ("view_contact",), *((name,) for name in ALL), ALL[:2], ALL[::2], ALL[1:], ALL]
)
def test_each_permission_opens_its_own_door(
    client: Client, codenames: tuple[str, ...], everywhere: bool
) -> None:
    """To make and to revoke need to see, too."""
    audience = make_audience()
    row, _key = make_key(audience=audience)
    client.force_login(make_staff("staff", *codenames, site=None if everywhere else audience.site))
    sees = "view_apikey" in codenames
    makes, revokes = (sees and name in codenames for name in ("add_apikey", "change_apikey"))
    revoke = reverse("prefs_api_keys:revoke", args=[row.pk])
    assert (client.get(reverse(INDEX)).status_code == 200) is sees
    assert (client.get(reverse(MAKE)).status_code == 200) is makes
    assert (client.get(revoke).status_code == 200) is revokes
    client.post(reverse(MAKE), wish(audience))
    assert ApiKey.objects.count() == (2 if makes else 1)
    client.post(revoke)
    row.refresh_from_db()
    assert (row.revoked_at is not None) is revokes
    actions = set(
        ModelLogEntry.objects.filter(action__startswith="wagtail_prefs.apikey").values_list(
            "action", flat=True
        )
    )
    assert actions == ({MADE} if makes else set()) | ({REVOKED} if revokes else set())


def test_staff_of_a_site_see_and_make_the_keys_of_its_audience(client: Client) -> None:
    here = make_audience()
    there = make_audience(make_site("other.example", port=443))
    loose = Audience.objects.create(key="loose", name="Loose")
    make_key(audience=here, name="own program")
    others = [make_key(audience=audience, name="foreign program")[0] for audience in (there, loose)]
    client.force_login(make_staff("here", *ALL, site=here.site))
    text = client.get(reverse(INDEX)).content.decode()
    assert "own program" in text
    assert "foreign program" not in text
    for row in others:
        url = reverse("prefs_api_keys:revoke", args=[row.pk])
        assert client.get(url).status_code == client.post(url).status_code == 404
        client.post(reverse(MAKE), wish(row.audience))
    assert ApiKey.objects.filter(revoked_at=None).count() == 3
    client.post(reverse(MAKE), wish(here))
    assert ApiKey.objects.filter(audience=here).count() == 2


def test_to_make_there_and_to_look_here_makes_nothing_there(client: Client) -> None:
    here, there = make_audience(), make_audience(make_site("other.example", port=443))
    user = make_staff("here", *ALL, site=here.site)
    user.groups.add(*make_staff("there", "add_apikey", "change_apikey", site=there.site).groups.all())
    client.force_login(user)
    row, _key = make_key(audience=there)
    assert client.post(reverse("prefs_api_keys:revoke", args=[row.pk])).status_code == 404
    client.post(reverse(MAKE), wish(there))
    assert ApiKey.objects.get() == row
    assert row.revoked_at is None


def test_the_menu_shows_it_to_whoever_may(client: Client) -> None:
    make_audience()
    client.force_login(make_staff("looks", "view_apikey"))
    assert reverse(INDEX) in client.get(reverse("wagtailadmin_home")).content.decode()
    client.force_login(make_staff("does not", "add_apikey", "view_contact"))
    assert reverse(INDEX) not in client.get(reverse("wagtailadmin_home")).content.decode()
