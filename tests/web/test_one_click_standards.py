"""What mailbox providers and the law ask of one-click, row by row (security.md s1); other rows stand elsewhere.

EM-01, EM-06, EM-14, EM-15 and EM-17: tests/decisions/test_headers.py. EM-02, EM-04, EM-08 and EM-13: beside this file.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import django
import pytest
import time_machine
from django.core import mail
from django.core.cache.backends.base import BaseCache
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone
from pytest_django import Settings

from tests import factories
from tests.delivery.crm import CRMS, Crm
from tests.web.conftest import choose, path_of
from tests.web.test_one_click import PAIR, call, page_of, press
from wagtail_prefs import add_headers, decide
from wagtail_prefs.access.services import Purpose, make_token, one_click_url
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import OptOut, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.delivery.checks import check_deliveries
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

TESTS = Path(__file__).resolve().parents[1]
NEWS = ("news", "email")
FORGED = "v1.t1.eyJhIjoxLCJjIjoiZ3hYaDh4RnNTRXEy.l0T4U81Tm3TuTOO6EUQW7eCtbGd9Ea6nSgzHRaXEkAg"


def test_every_row_has_a_test() -> None:
    text = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    named = {int(number) for number in re.findall(r"(?:EM-|def test_em_|_and_em_)(\d\d)", text)}
    assert named >= set(range(1, 19))


# --- EM-03: the answer -----------------------------------------------------------------------------------------------


def _live(_contact: Contact) -> None:
    """As it is."""


def _out(contact: Contact) -> None:
    choose(contact, SetChoice("news", "email", UNSUBSCRIBED))


def _opted_out(contact: Contact) -> None:
    choose(contact, OptOut())


def _revoked(contact: Contact) -> None:
    Contact.objects.filter(pk=contact.pk).update(epoch=7)


def _erased(contact: Contact) -> None:
    submissions.erase(contact.pk, actor=Actor(ActorType.ADMIN, "staff"), source=Source(method="admin"))


def _merged(contact: Contact) -> None:
    winner = factories.make_contact("emil@mail.example.org")
    submissions.merge_contacts(
        contact.pk, winner.pk, actor=Actor(ActorType.ADMIN, "staff"), source=Source(method="admin")
    )


def _gone(contact: Contact) -> None:
    Contact.objects.filter(pk=contact.pk).delete()


@pytest.mark.parametrize("days", [0, 61, 4000])
@pytest.mark.parametrize("became", [_live, _out, _opted_out, _revoked, _erased, _merged, _gone])
def test_em_03_every_good_link_gets_one_answer(
    strict: Client,
    contact: Contact,
    center: PreferenceCenterPage,
    became: Callable[[Contact], None],
    days: int,
) -> None:
    token = make_token(
        Purpose.UNSUBSCRIBE,
        contact,
        center=center.translation_key,
        topic="news",
        channel="email",
        issued=timezone.now() - timedelta(days=days),
    )
    became(contact)
    response = press(strict, f"/prefs/u/{token}/")
    assert (response.status_code, response.content) == (200, b"Unsubscribed.\n")
    for name in ("Set-Cookie", "WWW-Authenticate", "Location"):
        assert name not in response
    assert decide(contact.pk, "news", "email").verdict == "refuse"


def test_em_03_a_link_that_is_none_is_a_plain_404(strict: Client, db: None) -> None:
    for method in ("GET", "HEAD", "POST"):
        response = strict.generic(method, f"/prefs/u/{FORGED}/")
        assert response.status_code == 404
        for name in ("Set-Cookie", "WWW-Authenticate", "Location"):
            assert name not in response


# --- EM-05: without the pair -----------------------------------------------------------------------------------------


def test_em_05_without_the_pair_there_is_only_the_page(
    strict: Client, one_click: str, contact: Contact
) -> None:
    seen = page_of(strict.get(one_click)).words
    for body in (
        b"",
        b"List-Unsubscribe=",
        b"page=1",
        b"page=1&everything=1",
        b"page=1&others=1&leave=news:email",
    ):
        page = page_of(call(strict, one_click, "POST", "application/x-www-form-urlencoded", body, {}))
        assert page.words == seen
        assert not list(page.all("script")) and not list(page.all("meta", http_equiv="refresh"))
        assert not [
            element for element in page.all() if any(name.startswith("on") for name in element.attributes)
        ]
    assert load_state(contact.pk).version == contact.version


# --- EM-09: what waits to be sent ------------------------------------------------------------------------------------


def test_em_09_what_was_queued_before_she_left_is_not_sent(strict: Client, contact: Contact) -> None:
    """A queue of a hundred mails: the sender asks as it sends each, as docs/how-to/send-from-django.md does."""
    queue = [EmailMessage("Subject", "Body", "news@brand.example", [contact.email]) for _ in range(100)]
    for message in queue:
        add_headers(message, contact, "news")
    assert decide(contact.pk, "news", "email").verdict == "send"
    (uri,) = {message.extra_headers["List-Unsubscribe"].strip("<>") for message in queue[:1]}
    assert press(strict, path_of(uri)).status_code == 200
    for number, message in enumerate(queue):
        if decide(contact.pk, "news", "email", record=f"mail {number}").verdict == "send":
            message.send()
    assert mail.outbox == []


def test_em_09_it_is_committed_before_the_answer(strict: Client, one_click: str, contact: Contact) -> None:
    """Django's client gets the answer after the transaction; so would a mail program."""
    assert press(strict, one_click).status_code == 200
    assert not connection.needs_rollback
    assert decide(contact.pk, "news", "email").reason == "unsubscribed"
    assert Delivery.objects.get(contact=contact.pk).restricts


# --- EM-10: while everything else is down ----------------------------------------------------------------------------


class BrokenCache(BaseCache):
    """A cache whose server does not answer."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def _down(self, *_args: Any, **_kwargs: Any) -> Any:
        raise ConnectionError("the cache is away")

    add = get = set = touch = delete = clear = incr = get_many = set_many = delete_many = has_key = _down


@pytest.fixture
def dead_port() -> Iterator[int]:
    """One that nobody listens on, and that nobody else is given meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def all_down(settings: Settings, dead_port: int) -> Iterator[None]:
    """No cache, no mail server, no CRM."""
    away = {
        "hook": {
            "BACKEND": "wagtail_prefs.backends.webhook.WebhookBackend",
            "OPTIONS": {"URL": f"http://127.0.0.1:{dead_port}/", "SECRETS": ["whsec_" + "A" * 44]},
        }
    }
    mail: dict[str, Any] = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": dead_port}
    if django.VERSION >= (6, 1):
        smtp = "django.core.mail.backends.smtp.EmailBackend"
        options = {"host": "127.0.0.1", "port": dead_port}
        mail = {"MAILERS": {"default": {"BACKEND": smtp, "OPTIONS": options}}}
    with override_settings(
        CACHES={"default": {"BACKEND": f"{__name__}.BrokenCache"}},
        **mail,
        WAGTAIL_PREFS={**settings.WAGTAIL_PREFS, "BACKENDS": away, "ALLOW_PRIVATE_HOSTS": True},
    ):
        yield


@pytest.mark.parametrize("how", ["one-click", "the page's button", "everything", "the manage page"])
def test_em_10_leaving_needs_nothing_but_the_database(
    strict: Client, one_click: str, manage: str, contact: Contact, all_down: None, how: str
) -> None:
    assert strict.get(one_click).status_code == 200
    if how == "one-click":
        assert press(strict, one_click).status_code == 200
    elif how == "the manage page":
        assert strict.get(manage).status_code == 200
        answer = strict.post(
            manage, _leaving(strict, manage), content_type="application/x-www-form-urlencoded"
        )
        assert answer.status_code == 303
    else:
        data = {"List-Unsubscribe": "One-Click", "page": "1"}
        data |= {"everything": "1"} if how == "everything" else {}
        assert strict.post(one_click, data).status_code == 200
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED
    assert decide(contact.pk, "news", "email").verdict == "refuse"
    run_once()  # the worker, which finds nobody there
    waiting = Delivery.objects.get(contact=contact.pk, backend="hook")
    assert (waiting.restricts, waiting.delivered) == (True, 0)
    assert waiting.due_at is not None


def _leaving(client: Client, manage: str) -> str:
    """The form of the manage page with no topic ticked."""
    from urllib.parse import urlencode

    from tests import pages

    page = pages.parse(client.get(manage).content.decode())
    data = pages.submitted(page)
    boxes = {str(box.get("name")) for box in page.all("input", type="checkbox")}
    return urlencode({name: value for name, value in data.items() if name not in boxes}, doseq=True)


# --- EM-11: the backends hear of it ----------------------------------------------------------------------------------


def test_em_11_a_platform_that_was_away_for_a_day_hears_of_it_within_two(
    strict: Client, one_click: str, contact: Contact, settings: Settings
) -> None:
    """It is away for 23 hours after she left, and comes back: long before 48 hours it knows. At 24 we cry."""
    CRMS.clear()
    crm = CRMS.setdefault("crm", Crm())
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "BACKENDS": {"crm": {"BACKEND": "tests.delivery.crm.CrmBackend"}},
    }
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    with time_machine.travel(noon, tick=False) as clock:
        assert press(strict, one_click).status_code == 200
        crm.script.extend([ConnectionError("away")] * 1000)
        for _ in range(23):
            run_once()
            clock.shift(timedelta(hours=1))
        assert str(contact.pk) not in crm.contacts
        assert not [found for found in check_deliveries(databases=["default"]) if found.id.endswith("E041")]
        clock.shift(timedelta(hours=1, minutes=1))
        run_once()
        assert [found.id for found in check_deliveries(databases=["default"])] == ["wagtail_prefs.E041"]
        crm.script.clear()
        while str(contact.pk) not in crm.contacts:
            clock.shift(timedelta(minutes=30))
            run_once()
            assert timezone.now() - noon < timedelta(hours=48)
        assert crm.contacts[str(contact.pk)]["choices"]["news"]["email"] == UNSUBSCRIBED
    CRMS.clear()


# --- EM-12: as many as there are -------------------------------------------------------------------------------------


def _five_thousand(client: Client, center: PreferenceCenterPage, number: int) -> None:
    people = [factories.make_contact(f"reader{one}@mail.example.org") for one in range(min(number, 50))]
    for _ in range(40):  # this network is beyond what it may guess, too
        answer = client.get(f"/prefs/u/{FORGED}/")
    assert answer.status_code == 429
    paths = [path_of(one_click_url(who, "news", "email", center.translation_key)) for who in people]
    statuses = [press(client, paths[one % len(paths)]).status_code for one in range(number)]
    assert statuses == [200] * number
    assert {load_state(who.pk).choices[NEWS] for who in people} == {UNSUBSCRIBED}


@pytest.fixture
def our_limits(settings: Settings) -> None:
    """The shipped ones: tests have wider ones."""
    settings.WAGTAIL_PREFS = {
        name: value for name, value in settings.WAGTAIL_PREFS.items() if name != "LIMITS"
    }


def test_em_12_whoever_posts_many_valid_ones_is_heard(
    strict: Client, center: PreferenceCenterPage, our_limits: None
) -> None:
    _five_thousand(strict, center, 100)


@pytest.mark.soak
def test_em_12_five_thousand(strict: Client, center: PreferenceCenterPage, our_limits: None) -> None:
    _five_thousand(strict, center, 5000)


# --- EM-13: once -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_em_13_twenty_at_once_and_three_later_are_one_record() -> None:
    center = factories.make_center()
    contact = factories.make_contact()
    choose(contact, SetChoice("news", "email", SUBSCRIBED))
    path = path_of(one_click_url(contact, "news", "email", center.translation_key))
    barrier = threading.Barrier(20)

    def once(_number: int) -> tuple[int, bytes]:
        try:
            barrier.wait(30)
            response = press(Client(), path)
            return response.status_code, response.content
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(once, range(20)))
    answers |= {(again.status_code, again.content) for again in (press(Client(), path) for _ in range(3))}
    assert answers == {(200, b"Unsubscribed.\n")}
    assert _one_clicks(contact.pk) == 1
    choose(contact, SetChoice("news", "email", SUBSCRIBED))
    press(Client(), path)  # an old mail still works after she came back
    assert _one_clicks(contact.pk) == 2
    assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED


def _one_clicks(contact: UUID) -> int:
    return Record.objects.filter(contact_ref=contact, actor=ActorType.ONE_CLICK).count()


# --- EM-16 and EM-18 -------------------------------------------------------------------------------------------------


def test_em_16_the_pages_about_sending_say_what_the_domain_needs() -> None:
    """The check of the mail backend is tested in tests/mail."""
    for name in ("send-from-django.md", "send-from-your-esp.md"):
        text = " ".join((TESTS.parent / "docs" / "how-to" / name).read_text().split())
        for words in ("DKIM", "SPF", "DMARC", "p=none", "5,000", "0.3 %", "List-Unsubscribe-Post"):
            assert words in text, f"{name}: {words}"


AGENTS = [
    "",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/150.0 Safari/537.36",
    "GoogleImageProxy",
    "python-requests/2.32",
    "curl/8",
    "BarracudaCentral",
    "Googlebot/2.1",
    "x" * 5000,
]


def test_em_18_nobody_is_judged_by_her_user_agent(strict: Client, one_click: str, contact: Contact) -> None:
    pages_seen = {
        re.sub(
            r"nonce[-=]\"?[\w-]+", "", strict.get(one_click, headers={"User-Agent": agent}).content.decode()
        )
        for agent in AGENTS
    }
    assert len(pages_seen) == 1
    answers = set()
    for agent in AGENTS:
        choose(contact, SetChoice("news", "email", SUBSCRIBED))
        form = "application/x-www-form-urlencoded"
        response = call(strict, one_click, "POST", form, PAIR, {"User-Agent": agent})
        answers.add((response.status_code, response.content))
        assert load_state(contact.pk).choices[NEWS] == UNSUBSCRIBED
    assert answers == {(200, b"Unsubscribed.\n")}
