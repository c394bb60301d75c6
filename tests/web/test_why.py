"""`w/{token}/`: whoever got a mail learns which one, why, and how it ends; and whoever got it handed on, no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from tests import factories, pages
from tests.web.conftest import choose, path_of, post
from wagtail_prefs.access import revocations
from wagtail_prefs.access.links import lead_on
from wagtail_prefs.access.services import Purpose, make_token, message_digest, open_link, why_url
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import Change, OptOut, Pause, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.decisions.rules import RULES, YES
from wagtail_prefs.decisions.services import decide
from wagtail_prefs.ids import unb64
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source
from wagtail_prefs.web.why import BASES, BROKEN, REASONS

MESSAGE = "newsletter-2027-03/somebody@mail.example.org"


def note(contact: Contact, message: str = MESSAGE, topic: str = "news", **values: Any) -> Send:
    """What a sender left in the table."""
    found = {"channel": "email", "at": timezone.now(), "verdict": "send", "reason": "subscribed"}
    return Send.objects.create(message_id=message, contact=contact.pk, topic=topic, **found | values)


@pytest.fixture
def why(contact: Contact, center: PreferenceCenterPage) -> str:
    return path_of(why_url(contact, "news", "email", MESSAGE, center.translation_key))


def aged(contact: Contact, center: PreferenceCenterPage, days: float) -> str:
    token = make_token(
        Purpose.WHY,
        contact,
        center=center.translation_key,
        topic="news",
        channel="email",
        message=message_digest(contact.link_id, MESSAGE),
        issued=timezone.now() - timedelta(days=days),
    )
    return f"/prefs/w/{token}/"


def seen(client: Client, path: str) -> pages.Element:
    response = client.get(path)
    assert response.status_code == 200
    return pages.parse(response.content.decode())


def press(client: Client, page: pages.Element) -> pages.Element:
    """The button of the page, as a browser presses it."""
    form = page.one("form")
    button = form.one("button")
    data = {str(field.get("name")): field.get("value") for field in [*form.all("input"), button]}
    response = post(client, str(form.get("action")), data)
    assert response.status_code == 200
    return pages.parse(response.content.decode())


def test_the_token_is_small_and_holds_neither_the_message_nor_the_address(contact: Contact) -> None:
    token = path_of(why_url(contact, "t" * 64, "in_app", "m" * 200, uuid4())).split("/")[-2]
    assert len(token) <= 512
    said = json.loads(unb64(token.split(".")[2]))
    assert said["m"] == message_digest(contact.link_id, "m" * 200)
    assert len(said["m"]) == 12
    assert "mmm" not in str(said)
    assert "@" not in str(said)
    assert message_digest("another", MESSAGE) != message_digest(contact.link_id, MESSAGE)


def test_it_says_which_mail_and_since_when_and_where(strict: Client, center: PreferenceCenterPage) -> None:
    contact = factories.make_contact("reader@mail.example.org")
    with time_machine.travel(datetime(2027, 3, 3, 12, tzinfo=UTC)):
        snapshot = centers.get_snapshot(centers.current(center.translation_key).digest)
        submissions.submit(
            link_id=contact.link_id,
            epoch=contact.epoch,
            snapshot=snapshot,
            base_version=0,
            answers={factories.block_id(center, "topics"): {"choices": {"news": {"email": True}}}},
            actor=Actor(ActorType.SUBJECT_LINK),
            source=Source(method="page", form_id=str(center.translation_key), form_version=snapshot.digest),
            idempotency_key=None,
        )
    with time_machine.travel(datetime(2027, 4, 9, 12, tzinfo=UTC)):
        assert decide(contact.pk, "news", "email", record=MESSAGE, sender="Shop").verdict == "send"
        path = path_of(why_url(contact, "news", "email", MESSAGE, center.translation_key))
        page = seen(strict, path)
    assert page.one("h1").words == "Why did I get this mail?"
    assert "It was sent on April 9, 2027: “News by e-mail”." in page.words
    assert "You subscribed on March 3, 2027, on the page “Your choices”." in page.words
    assert "Shop" in page.words
    assert "r***@m***.org" in page.words
    assert "reader@" not in page.text
    assert MESSAGE not in page.text
    assert list(page.all("script")) == []


def test_the_button_stops_it_and_offers_all_that_the_unsubscribe_page_does(
    strict: Client, why: str, contact: Contact
) -> None:
    choose(contact, SetChoice("events", "email", SUBSCRIBED))
    note(contact)
    page = seen(strict, why)
    assert page.one("form").one("button").words == "Stop getting “News by e-mail”"
    page = press(strict, page)
    state = load_state(contact.pk)
    assert state.choices[("news", "email")] == UNSUBSCRIBED
    assert state.choices[("events", "email")] == SUBSCRIBED
    assert Record.objects.filter(contact_ref=contact.pk).latest("seq").actor == ActorType.ONE_CLICK
    assert {button.words for button in page.all("button")} >= {"Take it back", "Stop what is ticked"}
    page = seen(strict, why)
    assert "You do not get “News by e-mail” any more." in page.words
    assert list(page.all("form")) == []
    way = next(a.get("href") for a in page.all("a") if "take it back" in a.words)
    assert "Take it back" in {button.words for button in seen(strict, str(way)).all("button")}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([OptOut()], "You get no marketing from us any more."),
        ([SetChoice("", "email", UNSUBSCRIBED)], "You do not get “News by e-mail” any more."),
        ([SetChoice("news", "email", UNSUBSCRIBED)], "You do not get “News by e-mail” any more."),
    ],
)
def test_who_has_left_since_reads_so(
    strict: Client, why: str, contact: Contact, changes: list[Change], words: str
) -> None:
    note(contact)
    choose(contact, *changes)
    page = seen(strict, why)
    assert words in page.words
    assert list(page.all("form")) == []


@pytest.mark.parametrize("reason", sorted(BROKEN))
def test_a_mail_that_was_refused_is_named_a_mistake(
    strict: Client, why: str, contact: Contact, reason: str
) -> None:
    note(contact, verdict="refuse", reason=reason)
    page = seen(strict, why)
    words = page.words
    assert "It should not have been sent" in words
    assert str(BROKEN[reason]) in words
    assert "You can complain: write to localhost, or to the data protection authority" in words
    assert "You had subscribed" not in words
    assert list(page.all("form"))


@pytest.mark.parametrize("verdict", ["defer", "digest", "refuse"])
def test_a_reason_of_the_site_s_own_is_a_mistake_too(
    strict: Client, why: str, contact: Contact, verdict: str
) -> None:
    note(contact, verdict=verdict, reason="open_ticket")
    words = seen(strict, why).words
    assert "It should not have been sent" in words
    assert "open_ticket" not in words


def test_every_reason_of_ours_has_words_for_her() -> None:
    """But for those that no mail to somebody we know can have."""
    ours = {rule.code for rule in RULES} | set(YES)
    nobody = {"unknown", "erased", "merged", "unknown_topic", "not_offered", "reused", "allowed"}
    assert set(BROKEN) | set(REASONS) == ours - nobody
    assert set(BASES) == set(Topic.Basis.values) - {"consent"}


def test_a_mail_without_a_note_may_be_somebody_else_s(strict: Client, why: str, contact: Contact) -> None:
    note(contact, "another message")
    other = factories.make_contact("other@mail.example.org")
    note(other)  # the same message, to somebody else
    words = seen(strict, why).words
    assert "We have no note of this mail" in words
    assert "Type no password" in words
    assert "You subscribed on" in words  # what she chose is said, and the way out is there
    assert "Stop getting" in words


def test_a_note_without_a_judgement_says_what_she_chose(strict: Client, why: str, contact: Contact) -> None:
    note(contact, verdict="", reason="")
    words = seen(strict, why).words
    assert "You subscribed on" in words
    assert "should not have been" not in words


@pytest.mark.parametrize("basis", sorted(Topic.Basis.values))
def test_what_came_by_law_says_so(strict: Client, center: PreferenceCenterPage, basis: str) -> None:
    Topic.objects.filter(key="news").update(basis=basis)
    contact = factories.make_contact("customer@mail.example.org")
    note(contact, reason="allowed")
    page = seen(strict, path_of(why_url(contact, "news", "email", MESSAGE)))
    assert "ubscribed" not in page.words
    assert str(BASES.get(basis, "it takes no consent")) in page.words
    press(strict, page)
    assert load_state(contact.pk).choices == {("news", "email"): UNSUBSCRIBED}


def test_a_yes_that_came_later_is_not_why(strict: Client, center: PreferenceCenterPage) -> None:
    contact = factories.make_contact("later@mail.example.org")
    note(contact, verdict="", reason="", at=timezone.now() - timedelta(days=2))
    note(contact, "by law", reason="allowed", at=timezone.now() - timedelta(days=2))
    choose(contact, SetChoice("news", "email", SUBSCRIBED))
    for message in (MESSAGE, "by law"):
        assert "You subscribed" not in seen(strict, path_of(why_url(contact, "news", "email", message))).words


def test_what_is_always_sent_has_no_button(strict: Client, contact: Contact, center: Any) -> None:
    assert decide(contact.pk, "orders", "email", record=MESSAGE).verdict == "send"
    page = seen(strict, path_of(why_url(contact, "orders", "email", MESSAGE, center.translation_key)))
    assert "Such messages always come" in page.words
    assert list(page.all("form")) == []


def test_frequency_and_pause_are_said_with_her_day(strict: Client, why: str, contact: Contact) -> None:
    Contact.objects.filter(pk=contact.pk).update(timezone="Pacific/Auckland")
    choose(contact, Pause("", "email", datetime(2090, 5, 3, 12, tzinfo=UTC)))
    note(contact)
    words = seen(strict, why).words
    assert "Everything: At most one a week" in words
    assert "E-mail: paused until May 4, 2090" in words


def test_a_mail_that_waited_says_since_when(strict: Client, why: str, contact: Contact) -> None:
    note(contact, waited_since=datetime(2026, 1, 2, 12, tzinfo=UTC))
    assert "It had waited since Jan. 2, 2026" in seen(strict, why).words


@pytest.mark.parametrize(
    ("actor", "evidence", "words"),
    [
        (Actor(ActorType.ADMIN, "7"), True, "Our staff noted on"),
        (Actor(ActorType.IMPORT, "list"), True, "with data that we were given"),
        (Actor(ActorType.API, "shop"), True, "One of our systems noted on"),
        (Actor(ActorType.SUBJECT_SESSION), False, "You subscribed on"),
    ],
)
def test_who_noted_her_yes_is_named(
    strict: Client, center: Any, actor: Actor, evidence: bool, words: str
) -> None:
    contact = factories.make_contact("noted@mail.example.org")
    proof = Evidence(at=timezone.now(), reference="form 12") if evidence else None
    submissions.record(
        contact.pk,
        [SetChoice("news", "email", SUBSCRIBED)],
        actor=actor,
        source=Source(method="element", evidence=proof),
    )
    decide(contact.pk, "news", "email", record=MESSAGE)
    assert words in seen(strict, path_of(why_url(contact, "news", "email", MESSAGE))).words


@pytest.mark.parametrize("how", ["old", "called back"])
def test_an_old_link_tells_of_the_mail_and_not_of_her(
    strict: Client, contact: Contact, center: PreferenceCenterPage, how: str
) -> None:
    note(contact, sender="Shop")
    path = aged(contact, center, 400 if how == "old" else 1)
    if how == "called back":
        revocations.contact(contact.pk)
    page = seen(strict, path)
    assert "It was sent on" in page.words
    assert "You had subscribed to this." in page.words
    for hers in ("You subscribed on", "***", "Everything:", "Shop", "all of your choices"):
        assert hers not in page.words, hers
    assert len(list(page.all("a"))) == 0
    after = press(strict, page)
    assert load_state(contact.pk).choices[("news", "email")] == UNSUBSCRIBED
    # No more than an unsubscribe link of that age offers.
    assert "all of your choices" not in after.words
    assert "You get these as well" not in after.words
    assert ("Take it back" in {one.words for one in after.all("button")}) is (how == "old")


def test_whatever_it_leads_on_to_ends_with_it(
    strict: Client, contact: Contact, center: PreferenceCenterPage, why: str
) -> None:
    token = why.split("/")[-2]
    link = open_link(token, Purpose.WHY)
    manage = lead_on(link, Purpose.MANAGE)
    assert open_link(manage, Purpose.MANAGE).issued == link.issued
    with pytest.raises(ValueError, match="does not lead on"):
        lead_on(open_link(manage, Purpose.MANAGE), Purpose.PAUSE)
    assert strict.get(f"/prefs/l/{manage}/").status_code == 200
    revocations.contact(contact.pk)
    assert strict.get(f"/prefs/l/{manage}/").status_code == 404
    old = open_link(aged(contact, center, 1).split("/")[-2], Purpose.WHY)
    assert old.epoch == contact.epoch  # made with the object of before: it stays as called back as it is
    assert old.called_back
    assert strict.get(f"/prefs/l/{lead_on(old, Purpose.MANAGE)}/").status_code == 404


def test_whoever_was_merged_reads_what_she_got(strict: Client, contact: Contact, why: str) -> None:
    note(contact)
    winner = factories.make_contact("winner@mail.example.org")
    submissions.merge_contacts(
        contact.pk, winner.pk, actor=Actor(ActorType.SYSTEM), source=Source(method="api")
    )
    page = seen(strict, why)
    assert "It was sent on" in page.words
    press(strict, page)
    assert load_state(winner.pk).choices[("news", "email")] == UNSUBSCRIBED


def test_whoever_is_erased_leaves_nothing_to_read(strict: Client, contact: Contact, why: str) -> None:
    note(contact)
    submissions.erase(contact.pk, actor=Actor(ActorType.SYSTEM), source=Source(method="api"))
    page = seen(strict, why)
    assert page.one("h1").words == "Nothing is kept about this mail"
    assert "News" not in page.words
    assert list(page.all("form")) == []


def test_a_post_does_nothing(strict: Client, contact: Contact, why: str) -> None:
    note(contact)
    version = load_state(contact.pk).version
    data = {"List-Unsubscribe": "One-Click", "page": "1", "everything": "1", "do": "opt_out"}
    assert post(strict, why, data).status_code == 200
    assert load_state(contact.pk).version == version


def test_what_others_write_is_text(strict: Client, contact: Contact, center: Any) -> None:
    evil = "\"><script>alert('1')</script>"
    note(contact, sender=evil[:64], reason=evil)
    page = seen(strict, path_of(why_url(contact, "news", "email", MESSAGE)))
    assert list(page.all("script")) == []
    assert evil in page.text


def test_a_mail_about_no_topic_leads_out_of_everything(strict: Client, contact: Contact) -> None:
    page = seen(strict, path_of(why_url(contact, "", "", MESSAGE)))
    assert page.one("form").one("button").words == "Unsubscribe from everything"
    press(strict, page)
    assert load_state(contact.pk).opted_out


def test_a_topic_that_is_gone_is_still_left(strict: Client, contact: Contact, why: str) -> None:
    note(contact)
    Topic.objects.filter(key="news").update(archived=True)
    press(strict, seen(strict, why))
    assert load_state(contact.pk).choices[("news", "email")] == UNSUBSCRIBED


@pytest.mark.parametrize("language", ["ar", "de"])
def test_it_speaks_her_language(strict: Client, contact: Contact, language: str) -> None:
    Contact.objects.filter(pk=contact.pk).update(language=language)
    note(contact)
    response = strict.get(path_of(why_url(Contact.objects.get(pk=contact.pk), "news", "email", MESSAGE)))
    assert response["Content-Language"] == language
    assert ('dir="rtl"' in response.content.decode()) is (language == "ar")
    assert response["Cache-Control"] == "no-store, private"
    assert response["Referrer-Policy"] == "no-referrer"


def test_it_takes_few_statements_however_much_she_got(
    strict: Client, contact: Contact, why: str, statements: Callable[[], Any]
) -> None:
    note(contact, record=UUID(str(Record.objects.filter(contact_ref=contact.pk).latest("seq").pk)))
    strict.get(why)
    with statements() as few:
        strict.get(why)
    Send.objects.bulk_create(
        Send(
            message_id=f"m{number}",
            contact=contact.pk,
            topic="news",
            channel="email",
            at=timezone.now() - timedelta(days=number),
        )
        for number in range(1, 300)
    )
    with statements() as many:
        strict.get(why)
    assert len(few) == len(many)
    assert len(few) <= 7


def test_a_link_of_another_mail_of_hers_is_about_that_one(
    strict: Client, contact: Contact, center: PreferenceCenterPage
) -> None:
    note(contact, "first", at=datetime(2026, 1, 5, 12, tzinfo=UTC))
    note(contact, "second", at=datetime(2026, 2, 6, 12, tzinfo=UTC))
    for message, day in (("first", "Jan. 5, 2026"), ("second", "Feb. 6, 2026")):
        path = path_of(why_url(contact, "news", "email", message, center.translation_key))
        assert f"It was sent on {day}" in seen(strict, path).words
