"""What becomes of the addresses that strangers type."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.utils import timezone
from django_tasks import default_task_backend
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings
from wagtail.models import Site

from tests import factories
from wagtail_prefs.access.models import AccessRequest, OneTimeLink
from wagtail_prefs.access.services import Purpose, look, open_link
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import Change, OptOut, Pause, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact, Suppression
from wagtail_prefs.decisions.services import decide
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.mail.messages import message
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.rights.models import Erasure
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.requests import nudge, work_off
from wagtail_prefs.submissions.tasks import work_off_now
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source

from .conftest import PERSON
from .sign_ups import ORIGIN, ask_link, mails, shown, sign_up, told, who, yes
from .test_together import errors, side_by_side

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NEWS, OFFERS = ("news", "email"), ("offers", "email")
ANNA = "anna@mail.example.org"


@pytest.fixture
def center(db: None) -> PreferenceCenterPage:
    return factories.make_center()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def say(contact: Contact, *changes: Change, actor: Actor = PERSON, **more: Any) -> None:
    submissions.record(contact.pk, changes, actor=actor, source=PYTHON, **more)


def token(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


# --- send me my link -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [ANNA, " Anna@Mail.Example.ORG ", "ａnna@mail.example.org"])
def test_a_link_goes_to_the_stored_address_however_it_was_typed(
    center: PreferenceCenterPage, typed: str
) -> None:
    """Never to the typed one: what looks alike may be another mailbox (security.md AB-02)."""
    contact = factories.make_contact(ANNA)
    ask_link(center, typed)
    assert work_off() == 1
    (mail,) = mails()
    assert (mail.kind, mail.to, mail.contact, mail.audience_id, mail.locale) == (
        "access_link",
        ANNA,
        contact.pk,
        contact.audience_id,
        "en",
    )
    assert mail.context.keys() == {"url", "center_title"}
    assert mail.context["center_title"] == "Your choices"
    link = open_link(token(mail.context["url"]), Purpose.MANAGE)
    assert (link.contact_id, link.center, link.host) == (contact.pk, center.translation_key, None)
    assert not AccessRequest.objects.exists()
    assert not Record.objects.exists()  # nothing was changed


@pytest.mark.parametrize(
    "typed",
    [
        "nobody@mail.example.org",
        "",
        "no address",
        "@",
        "a@" + "ü" * 64 + ".example",
        "a" * 254,
        "anna@mail.example.org\nbcc: b@mail.example.org",
        "аnna@mail.example.org",  # a Cyrillic letter: it looks like hers
    ],
)
def test_an_address_of_nobody_gets_nothing_and_leaves_nothing(
    center: PreferenceCenterPage, typed: str
) -> None:
    factories.make_contact(ANNA)
    ask_link(center, typed)
    assert work_off() == 1
    assert (mails(), AccessRequest.objects.count(), Contact.objects.count()) == ([], 0, 1)


@pytest.mark.parametrize("how", ["dead", "erased"])
def test_nothing_goes_where_it_cannot_arrive(center: PreferenceCenterPage, how: str) -> None:
    contact = factories.make_contact(ANNA)
    if how == "dead":
        contacts.mark_dead(contact.pk, timezone.now())
    else:
        submissions.erase(contact.pk, actor=PERSON, source=PYTHON)
    ask_link(center, ANNA)
    sign_up(center, "dead@mail.example.org", "news")
    contacts.mark_dead(factories.make_contact("dead@mail.example.org").pk, timezone.now())
    assert work_off() == 2
    assert mails() == []


@pytest.mark.parametrize("how", ["opted out", "suppressed"])
def test_who_left_gets_her_link_for_it_is_how_she_comes_back(center: PreferenceCenterPage, how: str) -> None:
    contact = factories.make_contact(ANNA)
    if how == "opted out":
        say(contact, OptOut())
    else:
        submissions.erase(contact.pk, actor=PERSON, source=PYTHON)
        contact = factories.make_contact(ANNA)
        assert contact.suppressed
    ask_link(center, ANNA)
    work_off()
    assert [mail.contact for mail in mails("access_link")] == [contact.pk]


def test_a_stranger_gets_no_more_mails_sent_by_signing_somebody_up_first(
    center: PreferenceCenterPage,
) -> None:
    """One mail to confirm; whoever never did is as unknown as before (security.md AB-06, LW-11)."""
    sign_up(center, ANNA, "news")
    work_off()
    ask_link(center, ANNA)
    assert work_off() == 1
    assert [mail.kind for mail in mails()] == ["confirm"]
    say(who(ANNA), SetChoice(*NEWS, SUBSCRIBED))  # from now on she is known
    ask_link(center, ANNA)
    work_off()
    assert [mail.kind for mail in mails()] == ["confirm", "access_link"]


def test_the_address_of_one_who_was_merged_gets_nothing_but_leads_on(center: PreferenceCenterPage) -> None:
    """The link goes to the address that she reads now."""
    old, new = factories.make_contact("old@mail.example.org"), factories.make_contact(ANNA)
    submissions.merge_contacts(old.pk, new.pk, actor=PERSON, source=PYTHON)
    ask_link(center, "old@mail.example.org")
    work_off()
    assert [(mail.to, mail.contact) for mail in mails()] == [(ANNA, new.pk)]


@pytest.mark.parametrize(("language", "expected"), [("", "en"), ("de", "de"), ("de-AT", "de"), ("ar", "en")])
def test_the_mail_speaks_her_language_where_the_center_does(
    center: PreferenceCenterPage, language: str, expected: str
) -> None:
    factories.make_center(locale="de", title="Ihre Auswahl", translation_of=center)
    factories.make_contact(ANNA, language=language)
    ask_link(center, ANNA)
    work_off()
    (mail,) = mails()
    title = {"en": "Your choices", "de": "Ihre Auswahl"}[expected]
    assert (mail.locale, mail.context["center_title"]) == (expected, title)


def test_where_her_language_is_not_known_it_speaks_that_of_the_page(center: PreferenceCenterPage) -> None:
    german = factories.make_center(locale="de", title="Ihre Auswahl", translation_of=center)
    factories.make_contact(ANNA)
    ask_link(german, ANNA)
    work_off()
    assert [mail.locale for mail in mails()] == ["de"]


@pytest.mark.parametrize(("host", "expected"), [(0, 0), (None, None), (7, None)])
def test_a_link_leads_back_to_the_host_page_it_was_asked_from(
    db: None, host: int | None, expected: int | None
) -> None:
    site = factories.make_site(origins=[ORIGIN])
    center = factories.make_center(site=site, host_pages=f"{ORIGIN}/mail")
    factories.make_contact(ANNA)
    ask_link(center, ANNA, host=host)
    work_off()
    (mail,) = mails()
    assert open_link(token(mail.context["url"]), Purpose.MANAGE).host == expected


def test_a_center_that_is_closed_by_now_sends_nothing(center: PreferenceCenterPage) -> None:
    factories.make_contact(ANNA)
    ask_link(center, ANNA)
    sign_up(center, "bea@mail.example.org", "news")
    centers.unpublish(center)
    assert work_off() == 2
    assert (mails(), Contact.objects.count()) == ([], 1)


# --- sign up ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", ["ａnna@mail.example.org", "anna@mail．example．org", "anna＠mail.example.org"]
)
def test_who_types_an_address_first_as_no_server_takes_it_keeps_no_mail_from_its_owner(
    center: PreferenceCenterPage, typed: str
) -> None:
    sign_up(center, typed, "news")
    assert work_off() == 1
    (mail,) = mails()
    assert message(mail).recipients() == [ANNA]
    say(who(ANNA), SetChoice(*NEWS, SUBSCRIBED))
    ask_link(center, ANNA)
    assert work_off() == 1
    assert message(mails("access_link")[0]).recipients() == [ANNA]


def test_a_sign_up_waits_for_the_owner_of_the_address(
    center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    sign_up(center, "  New@Mail.example.org ", "news", "offers")
    assert work_off() == 1
    contact = who("new@mail.example.org")
    assert (contact.email, contact.language, contact.language_source) == (
        "New@Mail.example.org",
        "en",
        "sign-up",
    )
    state = contacts.load_state(contact.pk)
    assert (state.choices, state.pending) == ({}, {NEWS, OFFERS})
    assert state.until == {NEWS: START + 7 * DAY, OFFERS: START + 7 * DAY}
    assert told(contact.pk) == [
        ("system", [("pending:news:email", "requested"), ("pending:offers:email", "requested")])
    ]
    assert decide(contact.pk, "news", "email").verdict == "refuse"
    (mail,) = mails()
    url = mail.context.pop("url")
    assert (mail.kind, mail.to, mail.locale) == ("confirm", "New@Mail.example.org", "en")
    assert mail.context == {
        "center_title": "Your choices",
        "topics": ["News by e-mail", "Offers by e-mail"],
        "days": 7,
    }
    link = look(token(url), Purpose.CONFIRM)
    assert (link.contact_id, link.center, link.expires_at) == (
        contact.pk,
        center.translation_key,
        START + 7 * DAY,
    )
    assert link.answers == {
        "revision": shown(center).digest,
        "answers": yes(center, "news", "offers"),
        "locale": "en",
        "source_url": ORIGIN,
        "version": 1,
        "choices": [["news", "email"], ["offers", "email"]],
    }
    assert not AccessRequest.objects.exists()
    assert differences(contact.pk) == []


def test_the_record_of_it_says_where_and_on_what_it_was_asked(center: PreferenceCenterPage) -> None:
    sign_up(center, ANNA.title(), "news")
    work_off()
    body = ledger.read_body(Record.objects.get())
    assert (body["method"], body["form_id"], body["form_version"], body["language"], body["source_url"]) == (
        "sign_up",
        str(center.translation_key),
        shown(center).digest,
        "en",
        ORIGIN,
    )
    assert ANNA not in Record.objects.get().body.lower()
    assert SideValue.objects.get(name="address_as_entered").value == f'"{ANNA.title()}"'


def test_no_platform_hears_of_an_address_that_nobody_has_confirmed(center: PreferenceCenterPage) -> None:
    sign_up(center, "new@mail.example.org", "news")
    work_off()
    assert not Delivery.objects.exists()


def test_a_stranger_changes_nothing_of_somebody_who_is_known(center: PreferenceCenterPage) -> None:
    contact = factories.make_contact(ANNA, language="de", country="DE")
    say(
        contact,
        SetChoice(*NEWS, SUBSCRIBED),
        SetChoice(*OFFERS, UNSUBSCRIBED),
        SetFrequency("", "", "monthly"),
        Pause("", "", timezone.now() + 3 * DAY),
        SetAttribute("city", "Kassel"),
    )
    before = contacts.load_state(contact.pk)
    answers = {
        **yes(center, "news", "offers", "events"),
        factories.block_id(center, "frequency"): {"frequency": {"all": "as_it_happens"}},
        factories.block_id(center, "privacy_notice"): {"acknowledged": True},
    }
    sign_up(center, ANNA, answers=answers)
    work_off()
    after = contacts.load_state(contact.pk)
    for name in (
        "choices",
        "frequencies",
        "pauses",
        "attributes",
        "notices",
        "language",
        "country",
        "opted_out",
    ):
        assert getattr(after, name) == getattr(before, name), name
    assert after.pending == {OFFERS, ("events", "email")}
    (mail,) = mails("confirm")
    # What she has already is not asked for again; and it is told to her alone.
    assert (mail.to, mail.context["topics"]) == (ANNA, ["Offers by e-mail", "Events by e-mail"])
    assert decide(contact.pk, "offers", "email").verdict == "refuse"


def test_who_has_it_all_gets_the_link_to_her_choices_instead(center: PreferenceCenterPage) -> None:
    contact = factories.make_contact(ANNA)
    say(contact, SetChoice(*NEWS, SUBSCRIBED))
    for _ in range(3):
        sign_up(center, ANNA, "news")
        work_off()
    (mail,) = mails()  # one a day, as for those who are new
    assert (mail.kind, mail.to) == ("already_signed_up", ANNA)
    assert (mail.context["topics"], mail.context["center_title"]) == (["News by e-mail"], "Your choices")
    assert open_link(token(mail.context["url"]), Purpose.MANAGE).contact_id == contact.pk
    assert Contact.objects.get(pk=contact.pk).version == 1


@pytest.mark.parametrize("how", ["opted out", "suppressed", "ended"])
def test_a_yes_that_does_not_hold_is_none_that_she_has(
    center: PreferenceCenterPage, how: str, clock: time_machine.Traveller
) -> None:
    contact = factories.make_contact(ANNA)
    if how == "suppressed":
        submissions.erase(contact.pk, actor=PERSON, source=PYTHON)
        contact = factories.make_contact(ANNA)
    else:
        say(contact, SetChoice(*NEWS, SUBSCRIBED, START + DAY))
    if how == "opted out":
        say(contact, OptOut())
    if how == "ended":
        clock.shift(2 * DAY)
    sign_up(center, ANNA, "news")
    work_off()
    assert [mail.kind for mail in mails()] == ["confirm"]
    state = contacts.load_state(contact.pk)
    assert (state.pending, state.opted_out, state.suppressed) == (
        {NEWS},
        how == "opted out",
        how == "suppressed",
    )
    assert state.choices.get(NEWS) != SUBSCRIBED


def test_a_sign_up_is_confirmed_by_mail_once_a_day_and_twice_in_all(
    center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    """Whoever types somebody's address again and again fills no mailbox (security.md AB-06)."""
    sent = []
    for hours in (0, 1, 23, 25, 49, 100, 150):
        clock.move_to(START + timedelta(hours=hours))
        sign_up(center, f"{'x' if hours % 2 else 'X'}@mail.example.org", "news")  # spelled as they like
        work_off()
        sent.append(len(mails()))
    assert sent == [1, 1, 1, 2, 2, 2, 2]
    other = factories.make_center([factories.topics_block()])
    sign_up(other, "x@mail.example.org", "news")  # another page is another list
    work_off()
    assert len(mails()) == 3
    # What is beyond the limit waits for nothing, and so prolongs no wait.
    assert OneTimeLink.objects.count() == 3


@pytest.mark.parametrize(
    "wrong",
    [
        "revision",
        "other center",
        "block",
        "answers",
        "nothing",
        "only no",
        "gone topic",
        "address",
        "private",
    ],
)
def test_what_cannot_be_signed_up_for_leaves_nobody_behind(
    center: PreferenceCenterPage, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    block = factories.block_id(center, "topics")
    address, answers, revision = "new@mail.example.org", yes(center, "news"), shown(center).digest
    match wrong:
        case "revision":
            revision = "0" * 64
        case "other center":
            revision = shown(factories.make_center([factories.topics_block()])).digest
        case "block":
            answers = {"nowhere": {"choices": {"news": {"email": True}}}}
        case "answers":
            answers = {block: {"choices": {"news": {"email": "yes"}}}}
        case "nothing":
            answers = {}
        case "only no":
            answers = {block: {"choices": {"news": {"email": False}}}}
        case "gone topic":
            Topic.objects.filter(key="news").update(archived=True)
            center.save_revision().publish()  # so that the worker knows a newer screen than this one
            revision = shown(center).digest
            answers = yes(center, "news")
        case "address":
            address = "no address"
        case "private":
            Topic.objects.filter(key="news").update(private=True)
            center.save_revision().publish()
            revision = shown(center).digest
    sign_up(
        center,
        address,
        details={"revision": revision, "answers": answers, "source_url": ORIGIN},
    )
    assert work_off() == 1
    assert (mails(), Contact.objects.count(), OneTimeLink.objects.count()) == ([], 0, 0)
    assert not AccessRequest.objects.exists()
    assert address not in caplog.text


def test_the_same_key_again_is_no_second_sign_up(center: PreferenceCenterPage, settings: Settings) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"confirm_address": [(100, 86400)]}}
    for _ in range(2):
        sign_up(center, ANNA, "news", key="one")
        sign_up(center, ANNA, "news", key="one")
        work_off()
    assert (len(mails()), Record.objects.count(), OneTimeLink.objects.count()) == (1, 1, 1)
    assert not AccessRequest.objects.exists()
    sign_up(center, ANNA, "news", key="two")
    work_off()
    assert len(mails()) == 2


# --- the worker ------------------------------------------------------------------------------------------------------


def test_nothing_to_do_is_one_statement(
    center: PreferenceCenterPage, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ask_link(center, ANNA)
    AccessRequest.objects.update(due_at=timezone.now() + DAY)
    with django_assert_num_queries(1):
        assert work_off() == 0


def test_the_oldest_come_first_and_no_more_than_asked_for(center: PreferenceCenterPage) -> None:
    for number in range(4):
        factories.make_contact(f"p{number}@mail.example.org")
        ask_link(center, f"p{number}@mail.example.org")
    assert work_off(limit=3) == 3
    assert [mail.to for mail in mails()] == [f"p{number}@mail.example.org" for number in range(3)]
    assert work_off(stopping=lambda: True) == 0
    assert work_off() == 1


def test_one_that_fails_stops_no_other_and_is_tried_again(
    center: PreferenceCenterPage, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    factories.make_contact(ANNA)
    ask_link(center, ANNA)
    AccessRequest.objects.update(kind="later")  # of a release that knows more, which has been taken back
    ask_link(center, ANNA)
    assert work_off() == 1
    assert len(mails()) == 1
    row = AccessRequest.objects.get()
    assert row.attempts == 1
    assert START < row.due_at < START + timedelta(seconds=10)
    assert work_off() == 0  # it is not due
    tries = 1
    while AccessRequest.objects.exists():
        clock.move_to(AccessRequest.objects.get().due_at)
        work_off()
        tries += 1
        assert tries < 20
    assert START + DAY <= timezone.now() < START + 2 * DAY
    assert tries > 4
    assert f"given up after {tries} tries (ValueError)" in caplog.text
    assert "@" not in caplog.text
    assert len(mails()) == 1


def test_a_failure_leaves_nothing_half_done_and_heals(
    center: PreferenceCenterPage, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a site there is no address for a link: the last thing that a sign-up needs."""
    sign_up(center, ANNA, "news")
    site = Site.objects.get(is_default_site=True)
    Site.objects.update(is_default_site=False)
    site_of = factories.make_audience(site)
    type(site_of).objects.update(site=None)
    assert work_off() == 0
    assert (Contact.objects.count(), Record.objects.count(), OneTimeLink.objects.count(), mails()) == (
        0,
        0,
        0,
        [],
    )
    assert "DoesNotExist" in caplog.text
    assert ANNA not in caplog.text
    Site.objects.update(is_default_site=True)
    clock.shift(timedelta(seconds=10))
    assert work_off() == 1
    assert [mail.kind for mail in mails()] == ["confirm"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_do_one_twice() -> None:
    center = factories.make_center()
    for number in range(12):
        factories.make_contact(f"p{number}@mail.example.org")
        ask_link(center, f"p{number}@mail.example.org")
        sign_up(center, f"n{number}@mail.example.org", "news")
    outcomes = side_by_side(*[work_off] * 4)
    assert errors(outcomes) == []
    assert sum(outcomes) == 24
    assert not AccessRequest.objects.exists()
    assert sorted(Mail.objects.values_list("to", flat=True)) == sorted(
        f"{who}{number}@mail.example.org" for who in "pn" for number in range(12)
    )


@pytest.mark.django_db(transaction=True)
def test_two_sign_ups_of_one_address_at_once_are_one_mail() -> None:
    center = factories.make_center()
    for number in range(8):
        sign_up(center, ANNA if number % 2 else ANNA.upper(), "news" if number % 3 else "offers")
    outcomes = side_by_side(*[work_off] * 4)
    assert errors(outcomes) == []
    while AccessRequest.objects.exists():  # who lost a race to make the contact tries again
        AccessRequest.objects.update(due_at=timezone.now())
        work_off()
    assert Contact.objects.count() == 1
    assert len(mails()) == 1
    assert differences(Contact.objects.get().pk) == []
    assert ledger.first_broken(Contact.objects.get().pk) is None


def test_under_the_immediate_backend_nobody_is_nudged(
    center: PreferenceCenterPage, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        nudge()
    assert callbacks == []


def test_where_there_is_a_worker_it_is_nudged_after_the_commit(
    center: PreferenceCenterPage,
    settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.dummy.DummyBackend"}}
    with django_capture_on_commit_callbacks(execute=True):
        nudge()
        results: list[Any] = default_task_backend.results
        assert results == []
    (result,) = default_task_backend.results
    assert result.task == work_off_now
    assert (result.args, result.kwargs) == ([], {})  # no address waits in a broker


def test_the_task_works_off_what_is_due(center: PreferenceCenterPage) -> None:
    factories.make_contact(ANNA)
    ask_link(center, ANNA)
    work_off_now.call()
    assert len(mails()) == 1


# --- nobody confirms -------------------------------------------------------------------------------------------------


def test_what_nobody_confirms_is_gone_after_seven_days(
    center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    sign_up(center, "new@mail.example.org", "news", "offers")
    work_off()
    contact = who("new@mail.example.org")
    clock.move_to(START + timedelta(days=6.9))
    assert submissions.expire_due() == 0
    assert contacts.load_state(contact.pk).pending == {NEWS, OFFERS}
    clock.move_to(START + timedelta(days=7.1))
    assert submissions.expire_due(limit=1) == 1  # in rounds: not before the last of her waits is over
    assert Contact.objects.get(pk=contact.pk).erased_at is None
    assert submissions.expire_due() == 1
    contact.refresh_from_db()
    assert (contact.email, contact.address_key, contact.language) == ("", None, "")
    assert contact.erased_at is not None
    for model in (Suppression, OneTimeLink, Mail, Delivery, SideValue):
        assert not model._default_manager.exists(), model
    assert told(contact.pk)[-1][0] == "system"
    assert ledger.first_broken(contact.pk) is None
    assert differences(contact.pk) == []
    account = Erasure.objects.get()
    assert (account.contact, account.by, account.backends) == (contact.pk, "system:expiry", {})
    assert account.done_at is not None
    # Nothing is held against her: she may come another day.
    assert not factories.make_contact("new@mail.example.org").suppressed
    assert submissions.expire_due() == 0


def test_what_waits_of_an_address_that_is_erased_is_dropped_and_nothing_else(
    center: PreferenceCenterPage,
) -> None:
    """Else it would stay for as long as a request is tried: a day."""
    contact, other = factories.make_contact(ANNA), "bea@mail.example.org"
    for typed in (ANNA, f" {ANNA.title()} ", "no address", other):
        ask_link(center, typed)
    sign_up(center, ANNA.upper(), "news")
    AccessRequest.objects.update(due_at=timezone.now() + DAY)
    submissions.erase(contact.pk, actor=PERSON, source=PYTHON)
    assert {row.address for row in AccessRequest.objects.all()} == {"no address", other}


def test_a_sign_up_that_nobody_confirmed_ends_without_the_next_one(
    center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    """Nobody asked for anything to be forgotten, and somebody has just asked to be signed up."""
    sign_up(center, ANNA, "news")
    work_off()
    clock.shift(8 * DAY)
    sign_up(center, ANNA, "offers")
    submissions.expire_due()
    assert contacts.find(factories.make_audience().pk, ANNA) is None
    work_off()
    assert contacts.load_state(who(ANNA).pk).pending == {OFFERS}


def test_an_address_that_was_erased_once_stays_remembered(
    center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    submissions.erase(factories.make_contact(ANNA).pk, actor=PERSON, source=PYTHON)
    sign_up(center, ANNA, "news")
    work_off()
    clock.shift(8 * DAY)
    submissions.expire_due()
    assert contacts.find(factories.make_audience().pk, ANNA) is None
    assert factories.make_contact(ANNA).suppressed


@pytest.mark.parametrize(
    "how", ["before", "made elsewhere", "chose", "left", "paused", "told by a job", "external id"]
)
def test_who_was_known_or_has_spoken_is_not_forgotten(
    center: PreferenceCenterPage, clock: time_machine.Traveller, how: str
) -> None:
    if how == "before":
        say(factories.make_contact(ANNA), SetChoice(*NEWS, SUBSCRIBED))
    if how == "made elsewhere":
        factories.make_contact(ANNA, language="en", source="site")
    sign_up(center, ANNA, "offers")
    work_off()
    contact = who(ANNA)
    match how:
        case "chose":
            say(contact, SetChoice(*NEWS, SUBSCRIBED))
        case "left":
            say(contact, OptOut())
        case "paused":
            say(contact, Pause("", "", START + DAY))
        case "told by a job":
            evidence = Evidence("order 7", START)
            submissions.record(
                contact.pk,
                [SetChoice(*NEWS, SUBSCRIBED)],
                actor=Actor(ActorType.API, "shop"),
                source=Source(method="python", evidence=evidence),
            )
        case "external id":
            Contact.objects.filter(pk=contact.pk).update(external_id="c-7")
    clock.shift(8 * DAY)
    submissions.expire_due()
    contact.refresh_from_db()
    assert (contact.email, contact.erased_at) == (ANNA, None)
    assert contacts.load_state(contact.pk).pending == frozenset()
    assert differences(contact.pk) == []


def test_a_second_sign_up_waits_for_itself(
    center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    sign_up(center, ANNA, "news")
    work_off()
    clock.shift(5 * DAY)
    sign_up(center, ANNA, "offers")
    work_off()
    contact = who(ANNA)
    clock.move_to(START + 8 * DAY)
    submissions.expire_due()
    assert contacts.load_state(contact.pk).pending == {OFFERS}
    clock.move_to(START + 13 * DAY)
    submissions.expire_due()
    assert Contact.objects.get(pk=contact.pk).erased_at is not None


def test_a_plain_erasure_still_remembers(center: PreferenceCenterPage) -> None:
    contact = factories.make_contact(ANNA)
    submissions.erase(contact.pk, actor=PERSON, source=PYTHON, remember=False)
    assert not Suppression.objects.exists()
    contact = factories.make_contact(ANNA)
    submissions.erase(contact.pk, actor=PERSON, source=PYTHON)
    assert Suppression.objects.count() == 1
