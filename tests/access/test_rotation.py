"""Keys are rotated twice and SECRET_KEY is changed, and a link of 400 days ago still lets people out (security.md TK-04, T21)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.test import Client, override_settings
from django.utils import timezone

from tests import factories
from tests.web.conftest import path_of
from wagtail_prefs.access import services as access
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.errors import BadToken

pytestmark = pytest.mark.django_db
FIRST = settings.WAGTAIL_PREFS["SIGNING_KEYS"]
SECOND = [{"kid": "second", "key": "the-second-key-is-long-enough-0123456789abcdef"}, *FIRST]
THIRD = [{"kid": "third", "key": "the-third-key-is-long-enough-0123456789abcdefg"}, *SECOND]


@contextmanager
def later(days: int, ring: list[dict[str, str]], secret: str) -> Iterator[None]:
    keys = {**settings.WAGTAIL_PREFS, "SIGNING_KEYS": ring}
    with (
        override_settings(WAGTAIL_PREFS=keys, SECRET_KEY=secret),
        time_machine.travel(timezone.now() + timedelta(days=days)),
    ):
        yield


def test_a_link_of_400_days_ago_lets_people_out_after_two_rotations() -> None:
    center = factories.make_center()
    contact = factories.make_contact("somebody@mail.example.org")
    audience = contact.audience_id
    leave = path_of(access.one_click_url(contact, "news", "email", center.translation_key))
    manage = access.make_token(Purpose.MANAGE, contact, center=center.translation_key)
    client = Client(enforce_csrf_checks=True)
    with later(200, SECOND, "another secret, as long as this one is, and longer"):
        between = path_of(access.one_click_url(contact, "offers", "email", center.translation_key))
    with later(400, THIRD, "a third secret, as long as this one is, and longer"):
        for path in (leave, between):
            answer = client.post(path, {"List-Unsubscribe": "One-Click"})
            assert answer.status_code == 200
            assert not answer.has_header("Location") and not answer.cookies
        choices = load_state(contact.pk).choices
        assert choices[("news", "email")] == choices[("offers", "email")] == "unsubscribed"
        # And she is found by her address, though its hash was made under the first key.
        found = contacts.find(audience, "Somebody@Mail.Example.Org")
        assert found is not None and found.pk == contact.pk
        # What opens settings is only too old, not unknown.
        assert access.open_link(manage, Purpose.MANAGE).expired
        # New links bear the new key.
        assert access.make_token(Purpose.MANAGE, contact).split(".")[1] == "third"


def test_a_key_that_is_taken_away_ends_its_links_and_no_others() -> None:
    factories.make_center()
    contact = factories.make_contact("somebody@mail.example.org")
    old = access.make_token(Purpose.UNSUBSCRIBE, contact, topic="news", channel="email")
    with later(1, THIRD, "another secret, as long as this one is, and longer"):
        new = access.make_token(Purpose.UNSUBSCRIBE, contact, topic="news", channel="email")
    with later(2, THIRD[:2], "another secret, as long as this one is, and longer"):
        assert access.open_link(new, Purpose.UNSUBSCRIBE).contact_id == contact.pk
        with pytest.raises(BadToken):
            access.open_link(old, Purpose.UNSUBSCRIBE)
