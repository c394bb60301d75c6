"""From a person's choice to GNU Mailman, through the real engine, and what Mailman then holds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from django.utils import timezone

from tests.delivery.people import BACK, HERSELF, JOIN, JOIN_OFFERS, LEAVE, OUT, person, row, save
from tests.mailman.server import Mailman
from wagtail_prefs.backends.mailman import MailmanBackend
from wagtail_prefs.changes import ChangeAddress, Pause, Resume, SetChoice, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.addresses import canonical_email
from wagtail_prefs.delivery import backfill
from wagtail_prefs.delivery.services import Round, run_once
from wagtail_prefs.submissions.services import erase, merge_contacts
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import Outcome, Source

pytestmark = pytest.mark.django_db

ANNA = "anna@mail.example.org"
REGULAR = ("regular", "enabled")
DIGEST = ("mime_digests", "enabled")
HALTED = ("regular", "by_user")
WEEKLY = SetFrequency("", "", "weekly")
HOUR = timedelta(hours=1)


def deliver() -> Round:
    return run_once()


def delivered(contact: UUID) -> bool:
    delivery = row(contact, "mailman")
    return delivery.delivered == delivery.wanted and delivery.failing_since is None and not delivery.parked


def addressed(email: str) -> UUID:
    """A contact who wants the news, at this address."""
    audience, _ = Audience.objects.get_or_create(key="brand", defaults={"name": "Brand"})
    contact: UUID = contacts.get_or_create(audience.pk, email).id
    save(contact, JOIN)
    return contact


# --- choices -------------------------------------------------------------------------------------------------------------


def test_a_yes_makes_a_member_and_a_no_takes_her_off(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    anna = person("anna", JOIN, JOIN_OFFERS)
    deliver()
    assert mailman.members(news) == mailman.members(offers) == {ANNA: REGULAR}
    assert delivered(anna)
    save(anna, LEAVE)
    deliver()
    assert mailman.members(news) == {}
    assert mailman.members(offers) == {ANNA: REGULAR}
    assert delivered(anna)


def test_nobody_is_mailed_about_it(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    """The lists want a confirmation and say welcome and goodbye: here it is our own pages that do."""
    config = mailman.call("GET", f"/lists/{news}/config")
    assert config["subscription_policy"] == config["unsubscription_policy"] == "confirm"
    assert config["send_welcome_message"] is config["send_goodbye_message"] is True
    mails = mailman.mails()
    anna = person("anna", JOIN)
    deliver()
    assert ANNA in mailman.members(news)
    save(anna, LEAVE)
    deliver()
    assert mailman.members(news) == {}
    assert mailman.mails() == mails


def test_leaving_twice_is_leaving(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    anna = person("anna", JOIN)
    deliver()
    mailman.call("DELETE", f"/lists/{news}/roster/member", {"emails": [ANNA]})
    save(anna, LEAVE)
    deliver()
    assert delivered(anna)
    save(anna, WEEKLY)
    deliver()
    assert delivered(anna)
    assert mailman.members(news) == {}


def test_an_opt_out_leaves_all_lists_that_are_mapped_and_no_other(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    theirs = mailman.make_list()
    anna = person("anna", JOIN)
    for list_id in (theirs, offers):  # of `offers` nobody asked her here
        assert mailman.join(list_id, ANNA, pre_verified=True, pre_confirmed=True, pre_approved=True) == 201
    deliver()
    assert mailman.members(offers) == {ANNA: REGULAR}, "what she was never asked is no no"
    save(anna, OUT)
    deliver()
    assert mailman.members(news) == mailman.members(offers) == {}
    assert mailman.members(theirs) == {ANNA: REGULAR}
    save(anna, BACK, JOIN)
    deliver()
    assert mailman.members(news) == {ANNA: REGULAR}
    assert mailman.members(offers) == {}


def test_who_left_by_mailman_itself_is_not_brought_back(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    """Another wish, of another kind, is no yes to the list; a yes is."""
    anna = person("anna", JOIN, JOIN_OFFERS)
    deliver()
    mailman.call("DELETE", f"/lists/{news}/roster/member", {"emails": [ANNA]})
    save(anna, WEEKLY)
    deliver()
    assert delivered(anna)
    assert mailman.members(news) == {}
    assert mailman.members(offers) == {ANNA: DIGEST}
    save(anna, LEAVE)
    save(anna, JOIN)
    deliver()
    assert mailman.members(news) == {ANNA: DIGEST}


def test_a_topic_without_a_list_goes_nowhere(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    anna = person("anna", SetChoice("events", "email", "subscribed"), SetChoice("news", "sms", "subscribed"))
    deliver()
    assert delivered(anna)
    assert mailman.members(news) == {}
    assert backend.maps("news", "email")
    assert not backend.maps("events", "email")
    assert not backend.maps("news", "sms")
    assert backend.describe_topic("news") == f"List {news}"


# --- frequency and pause -------------------------------------------------------------------------------------------------


def test_the_rarest_wish_decides_on_digests(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    anna = person(
        "anna", JOIN, JOIN_OFFERS, SetFrequency("", "", "as_it_happens"), SetFrequency("news", "", "monthly")
    )
    deliver()
    assert mailman.members(news) == {ANNA: DIGEST}
    assert mailman.members(offers) == {ANNA: REGULAR}
    save(anna, WEEKLY)
    deliver()
    assert mailman.members(offers) == {ANNA: DIGEST}
    save(anna, SetFrequency("", "", "as_it_happens"))
    deliver()
    assert mailman.members(news) == {ANNA: DIGEST}
    assert mailman.members(offers) == {ANNA: REGULAR}


def test_frequencies_go_by_the_sites_own_map(
    mailman: Mailman, configure: Callable[..., MailmanBackend], news: str
) -> None:
    backend = configure(FREQUENCIES={"weekly": "summary_digests", "as_it_happens": "regular"})
    anna = person("anna", JOIN, WEEKLY)
    deliver()
    assert mailman.members(news) == {ANNA: ("summary_digests", "enabled")}
    state = backend.read(contacts.load_target(anna))
    assert state is not None
    assert state.frequencies == {("", ""): "weekly"}
    save(anna, SetFrequency("", "", "monthly"))  # not mapped: left as it is
    deliver()
    assert delivered(anna)
    assert mailman.members(news) == {ANNA: ("summary_digests", "enabled")}


def test_a_pause_halts_delivery_and_keeps_her_on_the_list(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    anna = person("anna", JOIN)
    deliver()
    save(anna, Pause("", "", timezone.now() + timedelta(days=30)))
    deliver()
    assert mailman.members(news) == {ANNA: HALTED}
    save(anna, JOIN_OFFERS)  # what she joins while she pauses waits as well
    deliver()
    assert mailman.members(offers) == {ANNA: HALTED}
    save(anna, Resume("", ""))
    deliver()
    assert mailman.members(news) == mailman.members(offers) == {ANNA: REGULAR}


def test_a_pause_of_one_topic_halts_this_list(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    person("anna", JOIN, JOIN_OFFERS, Pause("news", "", timezone.now() + timedelta(days=30)))
    deliver()
    assert mailman.members(news) == {ANNA: HALTED}
    assert mailman.members(offers) == {ANNA: REGULAR}


def test_a_pause_ends_by_itself(
    mailman: Mailman, backend: MailmanBackend, news: str, clock: time_machine.Traveller
) -> None:
    """Mailman keeps no date: the engine tells it when the time has come."""
    anna = person("anna", JOIN, WEEKLY, Pause("", "", timezone.now() + timedelta(days=30)))
    deliver()
    assert mailman.members(news) == {ANNA: ("mime_digests", "by_user")}
    clock.shift(timedelta(days=29))
    deliver()
    assert mailman.members(news) == {ANNA: ("mime_digests", "by_user")}
    clock.shift(timedelta(days=2))
    deliver()
    assert mailman.members(news) == {ANNA: DIGEST}
    assert delivered(anna)


def test_the_end_of_a_pause_brings_nobody_back(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str, clock: time_machine.Traveller
) -> None:
    anna = person("anna", JOIN, JOIN_OFFERS, Pause("", "", timezone.now() + timedelta(days=30)))
    deliver()
    save(anna, LEAVE)
    deliver()
    mailman.call("DELETE", f"/lists/{offers}/roster/member", {"emails": [ANNA]})
    clock.shift(timedelta(days=31))
    deliver()
    assert mailman.members(news) == mailman.members(offers) == {}
    assert delivered(anna)


def test_what_mailman_halted_is_not_ours_to_end(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    """Bounces and moderators halt delivery as well, and so does she, in Mailman, if she never paused here."""
    anna = person("anna", JOIN, JOIN_OFFERS)
    deliver()
    mailman.set(news, ANNA, delivery_status="by_bounces")
    mailman.set(offers, ANNA, delivery_status="by_user")
    save(anna, WEEKLY)
    deliver()
    assert mailman.members(news) == {ANNA: ("mime_digests", "by_bounces")}
    assert mailman.members(offers) == {ANNA: ("mime_digests", "by_user")}
    save(anna, Pause("", "", timezone.now() + timedelta(days=30)))
    save(anna, Resume("", ""))
    deliver()
    assert mailman.members(news) == {ANNA: ("mime_digests", "by_bounces")}


# --- who she is ----------------------------------------------------------------------------------------------------------


def test_the_old_address_leaves_when_a_new_one_comes(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    anna = person("anna", JOIN, WEEKLY)
    deliver()
    # Also what she subscribed to by that address in Mailman itself.
    assert mailman.join(offers, ANNA, pre_verified=True, pre_confirmed=True, pre_approved=True) == 201
    save(anna, ChangeAddress("new@mail.example.org"))
    deliver()
    assert mailman.members(news) == {"new@mail.example.org": DIGEST}
    assert mailman.members(offers) == {}
    assert delivered(anna)


def test_who_shares_the_old_address_stays(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    """Mailman has no audiences: to it the contacts of two that have one address are one."""
    anna = person("anna", JOIN)
    other, _ = Audience.objects.get_or_create(key="other", defaults={"name": "Other"})
    also = contacts.get_or_create(other.pk, ANNA).id
    save(also, JOIN)
    save(also, WEEKLY)
    deliver()
    save(anna, ChangeAddress("new@mail.example.org"))
    deliver()
    assert mailman.members(news) == {ANNA: DIGEST, "new@mail.example.org": REGULAR}
    assert delivered(also)


def test_of_two_contacts_that_are_one_the_other_leaves(
    mailman: Mailman, backend: MailmanBackend, news: str
) -> None:
    loser, winner = person("loser", JOIN), person("winner", JOIN)
    deliver()
    assert len(mailman.members(news)) == 2
    merge_contacts(loser, winner, actor=HERSELF, source=Source(method="python"))
    deliver()
    assert mailman.members(news) == {"winner@mail.example.org": REGULAR}


def test_an_erased_person_is_forgotten(mailman: Mailman, backend: MailmanBackend, news: str) -> None:
    gone, stays = person("gone", JOIN), person("stays", JOIN)
    deliver()
    assert {"gone@mail.example.org", "stays@mail.example.org"} <= mailman.addresses()
    erase(gone, actor=HERSELF, source=Source(method="python"))
    deliver()
    assert mailman.members(news) == {"stays@mail.example.org": REGULAR}
    assert not mailman.knows("gone@mail.example.org")
    assert mailman.knows("stays@mail.example.org")
    assert delivered(stays)


@pytest.mark.parametrize(
    "email",
    [
        "o'reader+news@mail.example.org",
        "a/b?c=d&e#f%40{g}@mail.example.org",
        "*@mail.example.org",
        "Upper.Case@Mail.Example.ORG",
        "reader@bücher.example.org",
    ],
)
def test_every_spelling_comes_and_goes(
    mailman: Mailman, backend: MailmanBackend, news: str, email: str
) -> None:
    person("somebody-else", JOIN, SetFrequency("", "", "as_it_happens"))
    contact = addressed(email)
    deliver()
    known = canonical_email(email)
    assert mailman.members(news) == {known: REGULAR, "somebody-else@mail.example.org": REGULAR}
    save(contact, WEEKLY)
    deliver()
    assert mailman.members(news) == {known: DIGEST, "somebody-else@mail.example.org": REGULAR}
    state = backend.read(contacts.load_target(contact))
    assert state is not None
    assert state.choices == {("news", "email"): "subscribed"}
    save(contact, OUT)
    deliver()
    assert mailman.members(news) == {"somebody-else@mail.example.org": REGULAR}
    assert delivered(contact)


def test_mailman_knows_addresses_in_small_letters_only(
    mailman: Mailman, backend: MailmanBackend, news: str
) -> None:
    """Who joined as ANNA there leaves as anna here."""
    anna = person("anna", JOIN_OFFERS)
    assert (
        mailman.join(news, "ANNA@Mail.Example.org", pre_verified=True, pre_confirmed=True, pre_approved=True)
        == 201
    )
    save(anna, LEAVE)
    deliver()
    assert mailman.members(news) == {}


def test_an_address_that_mailman_cannot_have_holds_up_nobody(
    mailman: Mailman, backend: MailmanBackend, news: str
) -> None:
    """It takes no upright strokes, which are allowed in an address."""
    strange, anna = addressed("a|b@mail.example.org"), person("anna", JOIN)
    deliver()
    assert mailman.members(news) == {ANNA: REGULAR}
    assert delivered(anna)
    assert row(strange, "mailman").last_outcome == Outcome.REFUSED
    assert row(strange, "mailman").last_code == "invalid-address"
    save(strange, OUT)
    deliver()
    assert delivered(strange)


# --- what the list says to it --------------------------------------------------------------------------------------------


def test_a_banned_address_is_refused_and_can_still_leave(
    mailman: Mailman, backend: MailmanBackend, news: str, offers: str
) -> None:
    mailman.call("POST", f"/lists/{news}/bans", {"email": ANNA})
    anna = person("anna", JOIN, JOIN_OFFERS)
    deliver()
    assert mailman.members(news) == {}
    assert mailman.members(offers) == {ANNA: REGULAR}, "a refusal stops nothing but itself"
    assert row(anna, "mailman").last_code == "banned"
    save(anna, OUT)
    deliver()
    assert mailman.members(offers) == {}
    assert delivered(anna)


def test_moderators_are_asked_if_the_site_wants_it(
    mailman: Mailman, configure: Callable[..., MailmanBackend]
) -> None:
    news = mailman.make_list(subscription_policy="confirm_then_moderate")
    configure(TOPICS={"news": news}, ASK_MODERATORS=True)
    anna = person("anna", JOIN)
    deliver()
    assert mailman.members(news) == {}
    assert mailman.waiting(news) == [ANNA]
    assert row(anna, "mailman").last_code in {"", "waits-for-moderator"}
    save(anna, LEAVE)
    save(anna, JOIN)
    deliver()
    assert mailman.waiting(news) == [ANNA], "asking again changes nothing"
    save(anna, LEAVE)
    deliver()
    assert mailman.waiting(news) == [], "a moderator could have let her in after she left"


def test_what_she_began_by_mail_does_not_stand_in_the_way(
    mailman: Mailman, backend: MailmanBackend, news: str
) -> None:
    assert mailman.join(news, ANNA) == 202
    assert mailman.waiting(news) == [ANNA]
    anna = person("anna", JOIN)
    deliver()
    assert mailman.members(news) == {ANNA: REGULAR}
    assert mailman.waiting(news) == []
    assert delivered(anna)


def test_who_is_a_member_already_gets_her_settings(
    mailman: Mailman, backend: MailmanBackend, news: str
) -> None:
    assert mailman.join(news, ANNA, pre_verified=True, pre_confirmed=True, pre_approved=True) == 201
    anna = person("anna", JOIN, WEEKLY, Pause("", "", timezone.now() + timedelta(days=3)))
    deliver()
    assert mailman.members(news) == {ANNA: ("mime_digests", "by_user")}
    assert delivered(anna)


# --- trouble -------------------------------------------------------------------------------------------------------------


def test_a_server_that_is_killed_gets_everything_when_it_is_back(
    mailman: Mailman, backend: MailmanBackend, news: str, clock: time_machine.Traveller
) -> None:
    anna = person("anna", JOIN)
    deliver()
    mailman.kill()
    try:
        save(anna, LEAVE)
        bea = person("bea", JOIN)
        deliver()
        assert row(anna, "mailman").last_outcome == Outcome.RETRY
        assert row(anna, "mailman").last_code == "connection"
        assert not delivered(anna)
    finally:
        mailman.start()
    assert mailman.members(news) == {ANNA: REGULAR}
    for _ in range(3):
        clock.shift(HOUR)
        deliver()
    assert mailman.members(news) == {"bea@mail.example.org": REGULAR}
    assert delivered(anna)
    assert delivered(bea)


@pytest.mark.parametrize("many", [60, pytest.param(1000, marks=pytest.mark.soak)])
def test_many_people_come_and_go(mailman: Mailman, backend: MailmanBackend, news: str, many: int) -> None:
    """In more than one round: sixty calls are more than the engine makes in one."""
    people = [person(f"reader-{number}", JOIN) for number in range(many)]
    assert deliver().done == many
    assert len(mailman.members(news)) == many
    for contact in people[: many // 2]:
        save(contact, LEAVE)
    assert deliver().done == many // 2
    stay = {f"reader-{number}@mail.example.org" for number in range(many // 2, many)}
    assert mailman.members(news).keys() == stay


def test_a_wrong_password_waits_for_a_person_and_is_told_to_nobody(
    mailman: Mailman,
    configure: Callable[..., MailmanBackend],
    news: str,
    clock: time_machine.Traveller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = configure(PASSWORD="tulips-and-windmills")
    anna = person("anna", JOIN)
    deliver()
    assert row(anna, "mailman").last_outcome == Outcome.MISCONFIGURED
    assert row(anna, "mailman").last_code == "http-401"
    assert [problem.level for problem in wrong.check()] == ["error"]
    told = [*caplog.messages, *(problem.text for problem in wrong.check()), repr(row(anna, "mailman").log)]
    assert not any(secret in text for text in told for secret in ("tulips", ANNA, "Basic "))
    configure()
    clock.shift(HOUR)
    deliver()
    assert mailman.members(news) == {ANNA: REGULAR}
    assert delivered(anna)


def test_a_list_that_is_not_there_waits_for_a_person(
    mailman: Mailman, configure: Callable[..., MailmanBackend], news: str
) -> None:
    nowhere = configure(TOPICS={"news": "nowhere.lists.example.org"})
    anna = person("anna", JOIN)
    bea = person("bea", LEAVE)
    for contact in (anna, bea):
        target = contacts.load_target(contact)
        (operation,) = nowhere.plan(target, [])
        (result,) = nowhere.execute([operation])
        assert (result.outcome, result.code) == (Outcome.MISCONFIGURED, "unknown-list")
    deliver()
    assert not delivered(anna)
    assert not delivered(bea), "what she left may be another list than the one that is named"


def test_a_backfill_brings_a_new_server_everybody(
    mailman: Mailman, backend: MailmanBackend, news: str
) -> None:
    """Also whose newest change was another one than her yes."""
    anna = person("anna", JOIN, WEEKLY)
    deliver()
    mailman.forget_everybody()
    assert mailman.members(news) == {}
    backfill.start("mailman", again=True)
    assert backfill.feed() == 1
    deliver()
    assert mailman.members(news) == {ANNA: DIGEST}
    assert delivered(anna)
