"""Links that work once: looking uses nothing up, and of many who press at the same moment one gets in."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from tests import factories
from wagtail_prefs.access import once, services as access
from wagtail_prefs.access.models import OneTimeLink
from wagtail_prefs.access.retention import forget_old_access
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.errors import BadToken, UnknownContact

pytestmark = pytest.mark.django_db
ONCE = (Purpose.FRESH, Purpose.CONFIRM, Purpose.CHANGE_ADDRESS)
LIVES = {
    Purpose.FRESH: timedelta(minutes=15),
    Purpose.CONFIRM: timedelta(days=7),
    Purpose.CHANGE_ADDRESS: timedelta(hours=24),
}


def issue(purpose: Purpose = Purpose.CONFIRM, **more: Any) -> tuple[str, Contact]:
    factories.make_site()
    contact = factories.make_contact("somebody@mail.example.org")
    url = access.issue(purpose, contact, center=None, **more)
    return url.rstrip("/").rpartition("/")[2], contact


@pytest.mark.parametrize("purpose", ONCE)
def test_looking_uses_nothing_up_and_using_it_does(purpose: Purpose, django_assert_num_queries: Any) -> None:
    token, contact = issue(purpose, address="new@mail.example.org", answers={"revision": "x"}, host=1)
    for _ in range(3):
        with django_assert_num_queries(1):
            link = access.look(token, purpose)
        assert (link.contact_id, link.host, link.over) == (contact.pk, 1, False)
    with django_assert_num_queries(1):
        access.consume(link)
    assert access.look(token, purpose).used
    with pytest.raises(BadToken):
        access.consume(link)
    # What it was about is kept no longer than it takes.
    assert OneTimeLink.objects.values_list("address", "answers").get() == ("", {})


@pytest.mark.parametrize("purpose", ONCE)
def test_it_is_over_when_its_time_is(purpose: Purpose) -> None:
    token, _contact = issue(purpose)
    with time_machine.travel(timezone.now() + LIVES[purpose] - timedelta(seconds=30), tick=False):
        assert not access.look(token, purpose).over
    with time_machine.travel(timezone.now() + LIVES[purpose] + timedelta(seconds=30), tick=False):
        link = access.look(token, purpose)
        assert link.over and not link.used
        with pytest.raises(BadToken):
            access.consume(link)


@pytest.mark.parametrize("made", Purpose)
@pytest.mark.parametrize("used", Purpose)
def test_a_link_of_one_purpose_is_none_of_another(made: Purpose, used: Purpose) -> None:
    token, contact = issue(made if made in ONCE else Purpose.CONFIRM)
    if made not in ONCE:
        token = access.make_token(made, contact, topic="news", channel="email")
    if made is used and made in ONCE:
        assert access.look(token, used).purpose is used
        return
    with pytest.raises(BadToken):
        access.look(token, used)


def test_it_ends_with_whoever_it_was_for() -> None:
    token, contact = issue()
    Contact.objects.update(epoch=1)
    with pytest.raises(BadToken):
        access.look(token, Purpose.CONFIRM)
    Contact.objects.update(epoch=0, erased_at=timezone.now())
    with pytest.raises(UnknownContact):
        access.look(token, Purpose.CONFIRM)
    contact.delete()
    with pytest.raises(BadToken):
        access.look(token, Purpose.CONFIRM)


def test_it_was_called_back_between_the_look_and_the_press() -> None:
    token, _contact = issue()
    link = access.look(token, Purpose.CONFIRM)
    Contact.objects.update(epoch=1)
    with pytest.raises(BadToken):
        access.consume(link)


def test_an_act_that_fails_leaves_it_unused() -> None:
    token, _contact = issue()
    link = access.look(token, Purpose.CONFIRM)

    def press() -> None:
        with transaction.atomic():
            access.consume(link)
            raise ValueError("the act failed")

    with pytest.raises(ValueError, match="the act"):
        press()
    access.consume(access.look(token, Purpose.CONFIRM))


def test_a_link_holds_nothing_of_the_person_and_the_row_opens_nothing() -> None:
    token, contact = issue(Purpose.CHANGE_ADDRESS, address="new@mail.example.org")
    for secret in ("somebody", "new@", str(contact.pk), contact.link_id):
        assert secret not in token
    row = OneTimeLink.objects.get()
    with pytest.raises(BadToken):  # whoever can read the table has no key
        access.look(f"v1.{token.split('.')[1]}.{row.pk}.{'A' * 43}", Purpose.CHANGE_ADDRESS)


def test_what_it_was_about_goes_with_its_end_and_the_row_three_months_later() -> None:
    issue(Purpose.CHANGE_ADDRESS, address="new@mail.example.org")
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        forget_old_access()
        assert OneTimeLink.objects.values_list("address", flat=True).get() == ""
    with time_machine.travel(timezone.now() + timedelta(days=92)):
        assert forget_old_access() == 1
    assert not OneTimeLink.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_fifty_who_press_at_once_one_gets_in(center: PreferenceCenterPage) -> None:
    contact = factories.make_contact("somebody@mail.example.org")
    url = access.issue(Purpose.CONFIRM, contact, center=center.translation_key)
    link = access.look(url.rstrip("/").rpartition("/")[2], Purpose.CONFIRM)
    start, won = threading.Barrier(10), []

    def press() -> None:
        try:
            start.wait()
            for _ in range(5):
                try:
                    with transaction.atomic():
                        once.consume(link)
                        won.append(threading.current_thread().name)
                except BadToken:
                    pass
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


@pytest.fixture
def center() -> PreferenceCenterPage:
    return factories.make_center()
