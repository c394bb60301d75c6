"""The page behind the mail of a sign-up: nothing counts before its button, and everything in it counts once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail as outbox
from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tests import factories, pages
from tests.submissions.sign_ups import ORIGIN, mails, shown, sign_up, told, who, yes
from tests.web.conftest import choose, path_of, post
from wagtail_prefs.access.models import AccessRequest, OneTimeLink
from wagtail_prefs.access.retention import forget_old_access
from wagtail_prefs.access.services import Purpose, issue, make_token
from wagtail_prefs.backends.database.models import Subscriber
from wagtail_prefs.centers.models import CenterSnapshot
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.centers.services import get_snapshot, unpublish
from wagtail_prefs.changes import OptOut, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact, Suppression
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.decisions.services import decide
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger import seals, services as ledger
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.ledger.services import read_body
from wagtail_prefs.ledger.verify import verify
from wagtail_prefs.mail import sending
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.requests import work_off
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NEW = "new@mail.example.org"
NEWS, OFFERS = ("news", "email"), ("offers", "email")
PYTHON = Source(method="python")


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def asked(center: PreferenceCenterPage, *topics: str, address: str = NEW, **more: Any) -> str:
    """Somebody signs up; the path of the page that the mail leads to."""
    sign_up(center, address, *topics, **more)
    assert work_off() == 1
    (mail, *_older) = [mail for mail in reversed(mails("confirm")) if mail.to == address]
    return path_of(mail.context["url"])


def press(client: Client, path: str, **headers: str) -> Any:
    """The button of the page."""
    page = pages.parse(client.get(path).content.decode())
    button = page.one("button")
    assert page.one("form").get("action") == path
    return post(client, path, {str(button.get("name")): button.get("value")}, **headers)


def words(response: Any) -> str:
    return pages.parse(response.content.decode()).one("main").words


def lines(response: Any) -> list[str]:
    return [item.words for item in pages.parse(response.content.decode()).all("li")]


def rows() -> list[Any]:
    """Everything that a safe request must leave alone."""
    models = (Contact, Record, SideValue, Delivery, OneTimeLink, AccessRequest, Suppression)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_the_page_says_what_will_count_and_changes_nothing(
    strict: Client, center: PreferenceCenterPage, statements: Callable[[], Any]
) -> None:
    path = asked(center, "news", "offers")
    before = rows()
    with statements() as asked_for:
        response = strict.get(path)
    assert len(asked_for) == 2  # the link with its contact, and the contact's state
    for _ in range(20):
        strict.get(path)
        strict.head(path)
        strict.options(path)
    assert rows() == before
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store, private"
    assert response["Content-Language"] == "en"
    assert lines(response) == ["News by e-mail: subscribed", "Offers by e-mail: subscribed"]
    page = pages.parse(response.content.decode())
    assert page.one("h1").words == "Confirm your choices"
    assert (page.one("form").get("method"), page.one("button").words) == ("post", "Confirm")
    assert not list(page.all("script"))
    assert NEW not in response.content.decode()


def test_from_an_address_that_somebody_types_to_what_the_platform_knows(
    strict: Client, center: PreferenceCenterPage, statements: Callable[[], Any], settings: Settings
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 60}
    sign_up(center, NEW, "news", "offers")
    work_off()
    sending.drain()
    (message,) = outbox.outbox
    assert (message.to, "List-Unsubscribe" in message.extra_headers) == ([NEW], False)
    url = next(word for word in str(message.body).split() if "/c/" in word)
    contact = who(NEW)
    assert decide(contact.pk, "news", "email").verdict != "send"
    with statements() as done:
        response = press(strict, path_of(url))
    assert response.status_code == 200
    assert pages.parse(response.content.decode()).one("h1").words == "Thank you"
    assert lines(response) == ["News by e-mail: subscribed", "Offers by e-mail: subscribed"]
    # Two for the page; the link, those of a save (PostgreSQL takes its writes as one), using it up, and the way to her page.
    assert len(done) == {"sqlite": 10, "postgresql": 8}[connection.vendor]
    state = load_state(contact.pk)
    assert (state.choices, state.pending, state.until) == (
        {NEWS: SUBSCRIBED, OFFERS: SUBSCRIBED},
        frozenset(),
        {},
    )
    assert decide(contact.pk, "news", "email").verdict == "send"
    assert Delivery.objects.get().wanted == 2
    delivery.run_once()
    assert Subscriber.objects.get().email == NEW
    # Her way on: all of her choices.
    link = pages.parse(response.content.decode()).one("a")
    assert strict.get(str(link.get("href"))).status_code == 200


def test_the_ledger_proves_what_was_asked_for_and_what_was_given(
    strict: Client, center: PreferenceCenterPage
) -> None:
    block = factories.block_id(center, "privacy_notice")
    answers = {**yes(center, "news"), block: {"acknowledged": True}}
    press(strict, asked(center, answers=answers))
    contact = who(NEW)
    assert told(contact.pk) == [
        ("system", [("pending:news:email", "requested")]),
        (
            "subject-link",
            [
                ("pending:news:email", "given"),
                ("choice:news:email", "given"),
                ("notice:privacy", "acknowledged"),
            ],
        ),
    ]
    body = read_body(Record.objects.get(seq=2))
    snapshot = shown(center)
    assert (body["method"], body["form_id"], body["form_version"], body["language"], body["source_url"]) == (
        "confirm",
        str(center.translation_key),
        snapshot.digest,
        "en",
        ORIGIN,
    )
    assert body["base_version"] == 1
    sha256 = next(spec.rules["notice"]["sha256"] for spec in snapshot.specs if spec.type == "privacy_notice")
    notice = json.dumps(body)
    assert sha256 in notice
    assert snapshot.digest in notice
    given = next(effect for effect in body["effects"] if effect["path"] == "choice:news:email")
    assert given["lawful_basis"] == "consent"
    assert ledger.first_broken(contact.pk) is None
    assert differences(contact.pk) == []


def test_a_second_press_says_the_same_and_does_nothing(strict: Client, center: PreferenceCenterPage) -> None:
    path = asked(center, "news")
    first = press(strict, path)
    choose(who(NEW), SetChoice(*NEWS, UNSUBSCRIBED))
    before = rows()
    for _ in range(3):
        again = post(strict, path, {"do": "confirm"})
        assert again.status_code == 200
        assert words(again) == words(first)
    assert words(strict.get(path)) == words(first)
    assert rows() == before
    assert load_state(who(NEW).pk).choices == {NEWS: UNSUBSCRIBED}  # an old mail brings nothing back


@pytest.mark.django_db(transaction=True)
def test_fifty_presses_at_once_are_one_record() -> None:
    center = factories.make_center()
    path = asked(center, "news", "offers")

    def one(_number: int) -> Any:
        try:
            return post(Client(), path, {"do": "confirm"})
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(one, range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({words(answer) for answer in answers}) == 1
    contact = who(NEW)
    assert [actor for actor, _ in told(contact.pk)] == ["system", "subject-link"]
    assert contact.version == 2
    assert differences(contact.pk) == []


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example"])
def test_another_website_cannot_press_it(strict: Client, center: PreferenceCenterPage, origin: str) -> None:
    path = asked(center, "news")
    for headers in ({"Origin": origin}, {"Sec-Fetch-Site": "cross-site"}):
        assert post(strict, path, {"do": "confirm"}, **headers).status_code == 403
    assert load_state(who(NEW).pk).choices == {}


# --- time ------------------------------------------------------------------------------------------------------------


def test_it_works_for_seven_days_and_no_longer(
    strict: Client, center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    early = asked(center, "news")
    late = asked(center, "news", address="late@mail.example.org")
    clock.move_to(START + timedelta(days=6.9))
    submissions.expire_due()
    forget_old_access()
    assert "Thank you" in words(press(strict, early))
    clock.move_to(START + timedelta(days=7.1))
    contact = who("late@mail.example.org")
    for house_is_kept in (False, True):
        if house_is_kept:  # the worker forgets her, and what is shown is the same
            submissions.expire_due()
            forget_old_access()
        before = rows()
        answers = [strict.get(late), post(strict, late, {"do": "confirm"})]
        for response in answers:
            assert response.status_code == 200
            assert "This link is too old" in words(response)
            page = pages.parse(response.content.decode())
            assert not list(page.all("form"))
            assert page.one("a").get("href") == center.full_url
        assert rows() == before
    assert Contact.objects.get(pk=contact.pk).erased_at is not None
    assert load_state(who(NEW).pk).choices == {NEWS: SUBSCRIBED}
    # Pressed in time, and opened late: it still says so, and leads nowhere any more.
    page = pages.parse(strict.get(early).content.decode())
    assert page.one("h1").words == "Thank you"
    assert not list(page.all("a"))


def test_a_closed_center_leaves_what_was_asked_there_to_be_confirmed(
    strict: Client, center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    path = asked(center, "news")
    unpublish(center)
    response = press(strict, path)
    assert lines(response) == ["News by e-mail: subscribed"]
    assert not list(pages.parse(response.content.decode()).all("a"))
    clock.shift(8 * DAY)
    assert "too old" in words(strict.get(asked_again(path, center)))


def asked_again(path: str, center: PreferenceCenterPage) -> str:
    """The path of a link to the same center that nobody has used."""
    contact = factories.make_contact("other@mail.example.org")
    with time_machine.travel(START, tick=False):
        return path_of(issue(Purpose.CONFIRM, contact, center=center.translation_key))


# --- what happened meanwhile -----------------------------------------------------------------------------------------


def test_what_she_has_changed_herself_since_is_newer(strict: Client, center: PreferenceCenterPage) -> None:
    contact = factories.make_contact(NEW)
    frequency = factories.block_id(center, "frequency")
    answers = {**yes(center, "news", "offers"), frequency: {"frequency": {"all": "as_it_happens"}}}
    path = asked(center, answers=answers)
    choose(contact, SetChoice(*OFFERS, UNSUBSCRIBED), SetFrequency("", "", "monthly"))
    for response in (strict.get(path), press(strict, path)):
        assert lines(response) == [
            "News by e-mail: subscribed",
            "Offers by e-mail: changed elsewhere in the meantime; “unsubscribed” stays.",
            "How often: Everything: changed elsewhere in the meantime; “At most one a month” stays.",
        ]
    state = load_state(contact.pk)
    assert state.choices == {NEWS: SUBSCRIBED, OFFERS: UNSUBSCRIBED}
    assert state.frequencies == {("", ""): "monthly"}


def test_her_own_link_lifts_an_older_opt_out_and_brings_what_she_confirmed(
    strict: Client, center: PreferenceCenterPage
) -> None:
    contact = factories.make_contact(NEW)
    choose(contact, SetChoice(*NEWS, SUBSCRIBED), SetChoice(*OFFERS, SUBSCRIBED))
    choose(contact, OptOut())
    press(strict, asked(center, "news"))
    state = load_state(contact.pk)
    assert (state.opted_out, state.choices) == (False, {NEWS: SUBSCRIBED, OFFERS: UNSUBSCRIBED})


def test_an_opt_out_after_the_sign_up_stands(strict: Client, center: PreferenceCenterPage) -> None:
    contact = factories.make_contact(NEW)
    path = asked(center, "news")
    choose(contact, OptOut())
    response = press_anyway(strict, path)
    assert lines(response) == [
        "News by e-mail: not changed, because you unsubscribed from everything in the meantime."
    ]
    assert load_state(contact.pk).opted_out
    assert load_state(contact.pk).choices.get(NEWS) != SUBSCRIBED


def press_anyway(client: Client, path: str) -> Any:
    """Where the page has no button: it was loaded before."""
    page = pages.parse(client.get(path).content.decode())
    assert not list(page.all("form"))
    return post(client, path, {"do": "confirm"})


def test_her_own_link_brings_an_erased_address_back(strict: Client, center: PreferenceCenterPage) -> None:
    submissions.erase(factories.make_contact(NEW).pk, actor=Actor(ActorType.ADMIN, "staff"), source=PYTHON)
    path = asked(center, "news")
    contact = who(NEW)
    assert contact.suppressed
    assert Suppression.objects.exists()
    press(strict, path)
    contact.refresh_from_db()
    assert not contact.suppressed
    assert not Suppression.objects.exists()
    assert decide(contact.pk, "news", "email").verdict == "send"


def test_who_was_merged_meanwhile_confirms_for_whom_she_became(
    strict: Client, center: PreferenceCenterPage
) -> None:
    old = factories.make_contact(NEW)
    path = asked(center, "news")
    winner = factories.make_contact("winner@mail.example.org")
    submissions.merge_contacts(old.pk, winner.pk, actor=Actor(ActorType.SUBJECT_LINK), source=PYTHON)
    response = press(strict, path)
    assert lines(response) == ["News by e-mail: subscribed"]
    assert load_state(winner.pk).choices == {NEWS: SUBSCRIBED}
    assert words(post(strict, path, {"do": "confirm"})) == words(response)


def test_who_confirmed_and_was_merged_then_is_told_the_same(
    strict: Client, center: PreferenceCenterPage
) -> None:
    old = factories.make_contact(NEW)
    path = asked(center, "news")
    first = press(strict, path)
    winner = factories.make_contact("winner@mail.example.org")
    submissions.merge_contacts(old.pk, winner.pk, actor=Actor(ActorType.SUBJECT_LINK), source=PYTHON)
    assert words(strict.get(path)) == words(first)


@pytest.mark.parametrize("how", ["erased", "revoked", "forged"])
def test_a_link_of_somebody_who_is_gone_is_none(
    strict: Client, center: PreferenceCenterPage, how: str
) -> None:
    path = asked(center, "news")
    contact = who(NEW)
    match how:
        case "erased":
            submissions.erase(contact.pk, actor=Actor(ActorType.ADMIN, "staff"), source=PYTHON)
        case "revoked":
            Contact.objects.filter(pk=contact.pk).update(epoch=F("epoch") + 1)
        case "forged":
            path = path[:-2] + ("A/" if path[-2] != "A" else "B/")
    records = Record.objects.count()
    for response in (strict.get(path), post(strict, path, {"do": "confirm"})):
        assert response.status_code == 404
    assert Record.objects.count() == records


def test_another_kind_of_link_is_none_here(strict: Client, center: PreferenceCenterPage) -> None:
    contact = factories.make_contact(NEW)
    for purpose in (Purpose.MANAGE, Purpose.UNSUBSCRIBE):
        token = make_token(purpose, contact, center=center.translation_key, issued=START - 400 * DAY)
        assert strict.get(reverse("wagtail_prefs:confirm", args=[token])).status_code == 404
    fresh = path_of(issue(Purpose.FRESH, contact, center=center.translation_key))
    assert strict.get(fresh.replace("/l/", "/c/")).status_code == 404


@pytest.mark.parametrize("topics", [["news", "offers"], ["offers"]])
def test_what_nobody_offers_any_more_is_named_and_the_rest_counts(
    strict: Client, center: PreferenceCenterPage, topics: list[str]
) -> None:
    path = asked(center, *topics)
    Topic.objects.filter(key="offers").update(archived=True)
    center.save_revision().publish()
    kept = ["News by e-mail: subscribed"] if "news" in topics else []
    gone = "Offers by e-mail: not saved, because it is no longer offered."
    page = strict.get(path)
    response = press(strict, path) if kept else press_anyway(strict, path)
    for seen in (page, response):
        assert lines(seen) == [*kept, gone]
    assert load_state(who(NEW).pk).choices == ({NEWS: SUBSCRIBED} if kept else {})
    again = strict.get(path)
    assert again.status_code == 200
    assert lines(again) == ([*kept, gone] if kept else [])


def test_a_page_that_nobody_has_any_more_leaves_the_topics(
    strict: Client, center: PreferenceCenterPage
) -> None:
    path = asked(center, "news", "offers")
    Topic.objects.filter(key="offers").update(archived=True)
    unpublish(center)
    CenterSnapshot.objects.all().delete()
    get_snapshot.cache_clear()
    try:
        page = strict.get(path)
        response = press(strict, path)
        assert lines(page) == lines(response) == lines(strict.get(path))
        assert len(lines(response)) == 1
        assert "subscribed" in lines(response)[0]
    finally:
        get_snapshot.cache_clear()
    contact = who(NEW)
    state = load_state(contact.pk)
    assert (state.choices, state.pending) == ({NEWS: SUBSCRIBED}, {OFFERS})
    assert differences(contact.pk) == []


def test_a_block_that_is_not_hers_is_named_and_the_rest_counts(strict: Client, db: None) -> None:
    """The page that a stranger saw is another than that of somebody from Austria."""
    center = factories.make_center([factories.topics_block(), factories.frequency_block()])
    frequency = factories.block_id(center, "frequency")
    contact = factories.make_contact(NEW)
    path = asked(center, answers={**yes(center, "news"), frequency: {"frequency": {"all": "weekly"}}})
    hide(frequency)
    for response in (strict.get(path), press(strict, path)):
        assert lines(response) == [
            "News by e-mail: subscribed",
            "How often: Everything: not saved, because it is no longer offered.",
        ]
    state = load_state(contact.pk)
    assert (state.choices, state.frequencies) == ({NEWS: SUBSCRIBED}, {})


def hide(block_id: str) -> None:
    """From now on the block is for people in Austria, also on the screen that was shown: whatever may refuse it."""
    for row in CenterSnapshot.objects.all():
        specs = json.loads(row.specs)
        for spec in specs:
            if spec["block_id"] == block_id:
                spec["conditions"] = [{"fact": "country", "in": ["AT"]}]
        CenterSnapshot.objects.filter(pk=row.pk).update(specs=json.dumps(specs))
    get_snapshot.cache_clear()


def test_personal_answers_of_hers_count_and_are_told_to_nobody(strict: Client, db: None) -> None:
    center = factories.make_center([factories.topics_block(), factories.channels_block()])
    block = factories.block_id(center, "channels")
    answers = {**yes(center, "news"), block: {"channels": {"sms": "yes"}, "number-sms": "+491701234567"}}
    path = asked(center, answers=answers)
    for response in (strict.get(path), press(strict, path), strict.get(path)):
        assert lines(response) == [
            "News by e-mail: subscribed",
            "Text messages at all: subscribed",
            "Phone number: saved",
        ]
        assert "1701234567" not in response.content.decode()
    assert load_state(who(NEW).pk).attributes == {"phone": "+491701234567"}
    assert "1701234567" not in json.dumps(list(OneTimeLink.objects.values_list("answers", flat=True)))


def test_a_pause_that_is_over_by_then_is_not_begun(
    strict: Client, db: None, clock: time_machine.Traveller
) -> None:
    value = {"heading": "", "text": "", "scopes": ["all"], "lengths": ["P1M"], "until_day": True}
    center = factories.make_center([factories.topics_block(), factories.block("pause", pausing(value))])
    pause = factories.block_id(center, "pause")
    path = asked(center, answers={**yes(center, "news"), pause: {"pauses": {"all": {"until": "2026-11-24"}}}})
    clock.shift(5 * DAY)
    response = press(strict, path)
    assert lines(response)[0] == "News by e-mail: subscribed"
    state = load_state(who(NEW).pk)
    assert (state.choices, state.pauses) == ({NEWS: SUBSCRIBED}, {})


def pausing(value: dict[str, Any]) -> dict[str, Any]:
    from wagtail_prefs.blocks.pause import PauseBlock

    block = PauseBlock()
    stored = dict(block.get_prep_value(block.get_default()))
    return {**stored, **{name: given for name, given in value.items() if name in stored}}


def test_it_speaks_the_language_in_which_it_was_asked(strict: Client, center: PreferenceCenterPage) -> None:
    german = factories.make_center(locale="de", title="Ihre Auswahl", translation_of=center)
    path = asked(german, "news")
    assert mails()[-1].locale == "de"
    response = strict.get(path, headers={"Accept-Language": "en"})
    assert response["Content-Language"] == "de"
    assert "Neues" in words(response)
    assert "Neues" in words(press(strict, path))
    assert read_body(Record.objects.get(seq=2))["language"] == "de"


def test_two_sign_ups_are_two_links_and_each_counts_for_itself(
    strict: Client, center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    first = asked(center, "news")
    clock.shift(2 * DAY)
    second = asked(center, "offers")
    press(strict, second)
    assert load_state(who(NEW).pk).choices == {OFFERS: SUBSCRIBED}
    press(strict, first)
    assert load_state(who(NEW).pk).choices == {NEWS: SUBSCRIBED, OFFERS: SUBSCRIBED}


def test_the_seals_hold_over_who_came_and_who_was_forgotten(
    strict: Client, center: PreferenceCenterPage, clock: time_machine.Traveller
) -> None:
    press(strict, asked(center, "news"))
    asked(center, "news", address="late@mail.example.org")
    clock.shift(8 * DAY)
    submissions.expire_due()
    seals.seal(datetime.now(UTC), everything=True)
    report = verify()
    assert (report.ok, report.unsealed) == (True, 0)
