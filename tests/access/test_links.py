"""Links, codes and sessions: who gets in, for how long, and what a link gives away (nothing)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from wagtail.models import Site

from tests import factories
from wagtail_prefs.access import services as access, sessions
from wagtail_prefs.access.links import LASTING
from wagtail_prefs.access.models import UsedCode
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.errors import BadToken, ForeignOrigin, UnknownContact

pytestmark = pytest.mark.django_db
SHOP = "https://shop.example"


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    return factories.make_center()


@pytest.fixture
def contact(center: PreferenceCenterPage) -> Contact:
    return factories.make_contact("anna.meyer@mail.example.org")


def test_a_link_says_what_it_was_made_for(center: PreferenceCenterPage, contact: Contact) -> None:
    token = access.make_token(
        Purpose.UNSUBSCRIBE, contact, center=center.translation_key, topic="news", channel="email", host=2
    )
    link = access.open_link(token, Purpose.UNSUBSCRIBE)
    assert (link.contact_id, link.center, link.topic, link.channel, link.host) == (
        contact.pk,
        center.translation_key,
        "news",
        "email",
        2,
    )
    assert not link.expired


def test_a_link_holds_nothing_of_the_person(center: PreferenceCenterPage, contact: Contact) -> None:
    token = access.make_token(Purpose.MANAGE, contact, center=center.translation_key)
    payload = token.split(".")[2]
    said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    for secret in ("anna", "meyer", "example", "@", str(contact.pk), contact.pk.hex):
        assert secret not in said
        assert secret not in token
    assert len(token) <= 512


@pytest.mark.parametrize("made", Purpose)
@pytest.mark.parametrize("used", Purpose)
def test_a_link_of_one_purpose_is_none_of_another(contact: Contact, made: Purpose, used: Purpose) -> None:
    token = access.make_token(made, contact, topic="news", channel="email")
    if made is used and made in LASTING:
        assert access.open_link(token, used).purpose is used
    else:
        with pytest.raises(BadToken):
            access.open_link(token, used)


def test_a_bad_token_costs_no_statement(contact: Contact, django_assert_num_queries: Any) -> None:
    token = access.make_token(Purpose.MANAGE, contact)
    with django_assert_num_queries(0), pytest.raises(BadToken):
        access.open_link(token[:-1] + ("A" if token[-1] != "A" else "Q"), Purpose.MANAGE)
    with django_assert_num_queries(1):
        access.open_link(token, Purpose.MANAGE)


@pytest.mark.parametrize(("days", "expired"), [(0, False), (59, False), (61, True), (400, True)])
def test_a_manage_link_degrades_and_an_unsubscribe_link_never_does(
    contact: Contact, days: int, expired: bool
) -> None:
    manage = access.make_token(Purpose.MANAGE, contact)
    leave = access.make_token(Purpose.UNSUBSCRIBE, contact, topic="news", channel="email")
    with time_machine.travel(timezone.now() + timedelta(days=days), tick=False):
        assert access.open_link(manage, Purpose.MANAGE).expired is expired
        assert access.open_link(leave, Purpose.UNSUBSCRIBE).expired is False


def test_revoking_ends_manage_links_but_never_the_way_out(contact: Contact) -> None:
    manage = access.make_token(Purpose.MANAGE, contact)
    leave = access.make_token(Purpose.UNSUBSCRIBE, contact, topic="news", channel="email")
    Contact.objects.update(epoch=1)
    with pytest.raises(BadToken):
        access.open_link(manage, Purpose.MANAGE)
    assert access.open_link(leave, Purpose.UNSUBSCRIBE).contact_id == contact.pk


def test_links_survive_a_rotation_of_the_key_ring_and_of_secret_key(contact: Contact) -> None:
    token = access.make_token(Purpose.UNSUBSCRIBE, contact, topic="news", channel="email")
    ring = [{"kid": "t2", "key": "n" * 40}, *settings.WAGTAIL_PREFS["SIGNING_KEYS"]]
    with override_settings(
        WAGTAIL_PREFS={"SIGNING_KEYS": ring}, SECRET_KEY="another secret, as long as this"
    ):
        assert access.open_link(token, Purpose.UNSUBSCRIBE).contact_id == contact.pk


def test_a_good_link_of_a_contact_that_is_gone_is_told_apart_from_a_forged_one(contact: Contact) -> None:
    token = access.make_token(Purpose.UNSUBSCRIBE, contact, topic="news", channel="email")
    Contact.objects.all().delete()
    with pytest.raises(UnknownContact):
        access.open_link(token, Purpose.UNSUBSCRIBE)


def test_urls_are_built_from_the_configured_site_and_never_from_a_request(
    center: PreferenceCenterPage, contact: Contact
) -> None:
    Site.objects.update(hostname="brand.example", port=443)
    url = access.manage_url(contact, center.translation_key)
    assert url.startswith("https://brand.example/prefs/l/v1.")
    assert "anna" not in url


def test_headers_of_a_mail_follow_rfc_8058(contact: Contact) -> None:
    headers = access.one_click_headers(contact, "news")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    uri = headers["List-Unsubscribe"]
    assert (uri[0], uri[-1], uri.count("<")) == ("<", ">", 1)
    token = uri.strip("<>").rstrip("/").rpartition("/")[2]
    link = access.open_link(token, Purpose.UNSUBSCRIBE)
    assert (link.topic, link.channel) == ("news", "email")


def test_a_code_opens_one_session_of_its_center_and_origin(
    center: PreferenceCenterPage, contact: Contact
) -> None:
    key = center.translation_key
    link = access.open_link(access.make_token(Purpose.MANAGE, contact, center=key), Purpose.MANAGE)
    code = access.make_code(link, key, SHOP)
    with pytest.raises(ForeignOrigin):
        access.redeem_code(code, center=key, origin="https://evil.example")
    with pytest.raises(BadToken):
        access.redeem_code(code, center=contact.pk, origin=SHOP)
    bearer, session = access.redeem_code(code, center=key, origin=SHOP)
    assert access.contact_of(session).state.id == contact.pk
    with pytest.raises(BadToken):
        access.redeem_code(code, center=key, origin=SHOP)
    assert access.open_session(bearer, center=key, origin=SHOP) == session
    for center_id, origin, error in ((key, "null", ForeignOrigin), (contact.pk, SHOP, BadToken)):
        with pytest.raises(error):
            access.open_session(bearer, center=center_id, origin=origin)


def test_used_codes_are_kept_only_while_they_could_be_used(
    center: PreferenceCenterPage, contact: Contact
) -> None:
    key = center.translation_key
    link = access.open_link(access.make_token(Purpose.MANAGE, contact, center=key), Purpose.MANAGE)

    def enter() -> None:
        access.redeem_code(access.make_code(link, key, SHOP), center=key, origin=SHOP)

    enter()
    enter()
    assert UsedCode.objects.count() == 2
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        enter()  # the next one sweeps up
        assert UsedCode.objects.count() == 1


def test_a_used_code_is_not_forgotten_by_a_request_that_began_while_it_held(
    center: PreferenceCenterPage, contact: Contact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests at the end of its ten minutes: the second is held up, and what the first has used is swept up."""
    key = center.translation_key
    link = access.open_link(access.make_token(Purpose.MANAGE, contact, center=key), Purpose.MANAGE)
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False) as clock:
        code = access.make_code(link, key, SHOP)
        clock.shift(600)
        access.redeem_code(code, center=key, origin=SHOP)
        sweep = sessions.forget_used_codes

        def later() -> int:
            clock.shift(1)
            return sweep()

        monkeypatch.setattr(sessions, "forget_used_codes", later)
        with pytest.raises(BadToken, match="used"):
            access.redeem_code(code, center=key, origin=SHOP)
