"""Calling links back: what opens settings stops, in every process; the way out does not (security.md TK-13)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.utils import timezone

from tests import factories
from wagtail_prefs.access import services as access
from wagtail_prefs.access.services import Purpose, revocations
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.errors import BadToken
from wagtail_prefs.submissions.services import merge_contacts
from wagtail_prefs.values import Actor, ActorType, Source

pytestmark = pytest.mark.django_db
SHOP = "https://shop.example"
OLD = settings.WAGTAIL_PREFS["SIGNING_KEYS"]
RING = [{"kid": "new", "key": "a-new-key-that-is-long-enough-0123456789abcdefg"}, *OLD]


@pytest.fixture
def center() -> PreferenceCenterPage:
    factories.make_site(origins=[SHOP])
    return factories.make_center(host_pages=f"{SHOP}/choices")


@pytest.fixture
def contact(center: PreferenceCenterPage) -> Contact:
    return factories.make_contact("somebody@mail.example.org")


class Held:
    """All that somebody can have in her hands: links of each kind, a code, a session."""

    def __init__(self, contact: Contact, center: PreferenceCenterPage) -> None:
        key = center.translation_key
        self.client, self.key = Client(), key
        self.manage = access.make_token(Purpose.MANAGE, contact, center=key)
        self.leave = access.make_token(
            Purpose.UNSUBSCRIBE, contact, topic="news", channel="email", center=key
        )
        self.confirm = access.issue(Purpose.CONFIRM, contact, center=key).rstrip("/").rpartition("/")[2]
        link = access.open_link(self.manage, Purpose.MANAGE)
        self.code = access.make_code(link, key, SHOP)
        self.session = self.post_code(access.make_code(link, key, SHOP)).json()["session"]

    def post_code(self, code: str) -> Any:
        return self.post({"code": code})

    def post(self, body: dict[str, str], **headers: str) -> Any:
        return self.client.post(
            f"/prefs/api/v1/centers/{self.key}/sessions/",
            json.dumps(body),
            content_type="application/json",
            headers={"Origin": SHOP, **headers},
        )

    def renew(self) -> Any:
        return self.post({}, Authorization=f"Bearer {self.session}")

    def opens(self) -> dict[str, bool]:
        """What of it still opens something, over HTTP."""
        centers.forget(self.key)  # as a process does after a second
        bearer = {"Origin": SHOP, "Authorization": f"Bearer {self.session}"}
        read = self.client.get(f"/prefs/api/v1/centers/{self.key}/preferences/", headers=bearer)
        return {
            "manage": self.client.get(f"/prefs/l/{self.manage}/").status_code == 200,
            "confirm": not _refused(lambda: access.look(self.confirm, Purpose.CONFIRM)),
            "code": self.post_code(self.code).status_code == 200,
            "session": read.status_code == 200,
            "carried on": self.renew().status_code == 200,
        }


def _refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except BadToken:
        return True
    return False


def leaves(held: Held, contact: Contact) -> bool:
    answer = held.client.post(f"/prefs/u/{held.leave}/", {"List-Unsubscribe": "One-Click"})
    return answer.status_code == 200 and load_state(contact.pk).choices[("news", "email")] == "unsubscribed"


def test_all_of_it_opens_something_at_first(contact: Contact, center: PreferenceCenterPage) -> None:
    assert all(Held(contact, center).opens().values())


def test_of_a_contact(contact: Contact, center: PreferenceCenterPage) -> None:
    held, other = Held(contact, center), Held(factories.make_contact("other@mail.example.org"), center)
    revocations.contact(contact.pk)
    assert not any(held.opens().values())
    assert all(other.opens().values())
    assert leaves(held, contact)
    contact.refresh_from_db()
    assert all(Held(contact, center).opens().values())  # new ones work


def test_of_a_center(contact: Contact, center: PreferenceCenterPage) -> None:
    elsewhere = factories.make_center(title="Another", host_pages=f"{SHOP}/other")
    held, other = Held(contact, center), Held(contact, elsewhere)
    with time_machine.travel(timezone.now() + timedelta(seconds=5)):
        revocations.center(center.translation_key)
        assert not any(held.opens().values())
        assert all(other.opens().values())
        assert leaves(held, contact)
    with time_machine.travel(timezone.now() + timedelta(seconds=10)):
        assert all(Held(contact, center).opens().values())


def test_of_a_key_whatever_date_it_writes(contact: Contact, center: PreferenceCenterPage) -> None:
    held = Held(contact, center)
    with override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "SIGNING_KEYS": RING}):
        assert all(Held(contact, center).opens().values())
        newer = Held(contact, center)
        revocations.key(OLD[0]["kid"])
        assert not any(held.opens().values())
        assert all(newer.opens().values())
        assert leaves(held, contact)
    # Whoever has the key can date what he signs after the revocation.
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        forged = access.make_token(Purpose.MANAGE, contact, center=center.translation_key)
    with pytest.raises(BadToken):
        access.open_link(forged, Purpose.MANAGE)


def test_of_a_key_and_all_that_came_of_it_since_another_one_signs(
    contact: Contact, center: PreferenceCenterPage
) -> None:
    held = Held(contact, center)
    with override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "SIGNING_KEYS": RING}):
        link = access.open_link(held.manage, Purpose.MANAGE)
        held.code = access.make_code(link, held.key, SHOP)
        held.session = held.post_code(access.make_code(link, held.key, SHOP)).json()["session"]
        renewed = held.renew().json()["session"]
        page = held.client.get(f"/prefs/u/{held.leave}/").content.decode()
        (led_to,) = set(re.findall(r"/prefs/l/([^/]+)/", page))
        assert held.client.get(f"/prefs/l/{led_to}/").status_code == 200
        revocations.key(OLD[0]["kid"])
        assert not any(held.opens().values())
        held.session, held.manage = renewed, led_to
        assert not any(held.opens().values())
        assert leaves(held, contact)


@pytest.mark.parametrize("by", ["loser", "winner"])
def test_of_a_contact_with_all_who_were_merged_into_her(
    contact: Contact, center: PreferenceCenterPage, by: str
) -> None:
    """The links of the old address open the page of the one they are now."""
    winner = factories.make_contact("other@mail.example.org")
    held, hers = Held(contact, center), Held(winner, center)
    somebody = Held(factories.make_contact("third@mail.example.org"), center)
    staff = Actor(ActorType.ADMIN, "staff")
    merge_contacts(contact.pk, winner.pk, actor=staff, source=Source(method="admin"))
    assert held.client.get(f"/prefs/l/{held.manage}/").status_code == 200
    revocations.contact(contact.pk if by == "loser" else winner.pk)
    assert not any(held.opens().values())
    assert not any(hers.opens().values())
    assert all(somebody.opens().values())
    assert leaves(held, winner)


def test_the_key_that_signs_now_is_not_called_back(contact: Contact) -> None:
    with pytest.raises(ValueError, match="signs now"):
        revocations.key(OLD[0]["kid"])


def test_links_cost_no_more_statements_for_it(
    contact: Contact, center: PreferenceCenterPage, django_assert_num_queries: Any
) -> None:
    revocations.center(contact.pk)
    token = access.make_token(Purpose.MANAGE, contact, center=center.translation_key)
    with django_assert_num_queries(1):
        access.open_link(token, Purpose.MANAGE)


def call(*arguments: str) -> Any:
    out = StringIO()
    call_command("prefs_revoke", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_by_command(contact: Contact, center: PreferenceCenterPage) -> None:
    held = Held(contact, center)
    assert call("--contact", str(contact.pk)) == {"revoked": "contact", "id": str(contact.pk)}
    assert not any(held.opens().values())
    with time_machine.travel(timezone.now() + timedelta(seconds=5)):
        contact.refresh_from_db()
        held = Held(contact, center)
    with time_machine.travel(timezone.now() + timedelta(seconds=10)):
        assert call("--center", str(center.translation_key))["revoked"] == "center"
        assert not any(held.opens().values())
    with override_settings(WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "SIGNING_KEYS": RING}):
        assert call("--key", OLD[0]["kid"])["revoked"] == "key"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--contact", "00000000-0000-0000-0000-000000000000"], "no such contact"),
        (["--center", "00000000-0000-0000-0000-000000000000"], "no such center"),
        (["--key", "none"], "no key 'none'"),
        (["--key", OLD[0]["kid"]], "signs now"),
    ],
)
def test_the_command_says_what_is_wrong(
    center: PreferenceCenterPage, arguments: list[str], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        call(*arguments)
