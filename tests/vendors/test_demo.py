"""`make demo CRM=…`, in this process: the demo's topics on each stand-in, its page, and the way out over there."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from example_site.loopback import Request
from example_site.place import Place
from example_site.platforms.contract import names as contracts
from example_site.platforms.demo import PLATFORMS, TOPICS, UnknownPlatform, chosen, configured, ids, names
from example_site.platforms.page import Page
from example_site.platforms.server import Platform
from tests.vendors.harness import VendorHarness
from wagtail_prefs.backends.testing.driver import Driver, yes
from wagtail_prefs.changes import OptOut, Pause, SetChoice, SetFrequency
from wagtail_prefs.sync.inbound import work_off_arrivals
from wagtail_prefs.sync.polling import poll_backends
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Inbound, Json, Resubscribe

pytestmark = pytest.mark.django_db(transaction=True)

EMAIL = "reader@mail.example.org"
SECRET = "nobody-guesses-this-word-of-the-demo"
PLACE = Place(8000)
SETTINGS: Json = {"BACKENDS": {}, "SENDERS": {}}


class DemoHarness(VendorHarness):
    def __init__(self, platform: Platform, name: str) -> None:
        super().__init__(platform)
        self.name = self.alias = name
        self.topics = [(topic, channel) for topic, channels in ids(name).items() for channel in channels]

    def entry(self) -> Json:
        entry: Json = configured(
            SETTINGS, self.name, self.proxy.url.removesuffix(self.platform.prefix), SECRET
        )["BACKENDS"][self.name]
        return entry


@pytest.fixture(params=sorted(PLATFORMS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def platform(name: str) -> Iterator[Platform]:
    module, _, cls = PLATFORMS[name].stand_in.rpartition(".")
    made: Platform = getattr(import_module(module), cls)()
    made.set_up(names(name))
    with made:
        yield made


@pytest.fixture
def demo(name: str, platform: Platform, settings: Any) -> Iterator[Driver]:
    harness = DemoHarness(platform, name)
    harness.open()
    driver = Driver(harness, settings)
    for topic, channels in TOPICS.items():
        Topic.objects.create(audience=driver._audience, key=topic, channels=list(channels))
    yield driver
    harness.close()


@pytest.fixture
def page(name: str, platform: Platform) -> Page:
    return Page(platform, PLATFORMS[name], "http://127.0.0.1:1/nobody", PLACE)


def ask(page: Page, method: str, path: str, **form: str) -> tuple[int, str]:
    answer = page(Request(method, path, Message(), urlencode(form).encode()))
    return answer.status, answer.body.decode()


def test_every_platform_with_a_contract_can_be_had() -> None:
    assert sorted(PLATFORMS) == contracts()


def test_a_platform_that_there_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM", "rolodex")
    with pytest.raises(UnknownPlatform, match=r"rolodex is none of .*mailchimp"):
        chosen()
    monkeypatch.setenv("CRM", "Mailchimp")
    assert chosen() == "mailchimp"


def test_it_is_set_up_as_the_settings_say(demo: Driver) -> None:
    assert [problem for problem in demo.backend.check() if problem.level == "error"] == []


def test_the_page_shows_what_it_believes(demo: Driver, platform: Platform, page: Page) -> None:
    assert "Nobody yet" in ask(page, "GET", "/")[1]
    person = demo.person(*(yes(key) for key in demo.harness.topics), email=EMAIL)
    demo.save(person, SetFrequency("", "", "weekly"))
    demo.deliver()
    status, text = ask(page, "GET", "/")
    assert status == 200
    assert EMAIL in text
    assert all(each in text for each in names(demo.harness.alias).values())
    assert "weekly" in text
    demo.save(person, OptOut())
    demo.deliver()
    (believed,) = platform.believes()
    assert believed.out
    assert "yes" not in believed.topics.values()
    assert platform.violations == []


def leave_over_there(demo: Driver, platform: Platform, client: Client) -> None:
    """By the webhook of the platform, through the front door; or by asking it."""
    platform.leave(EMAIL)
    hook = platform.hook(EMAIL)
    if demo.backend.capabilities.inbound is Inbound.POLL:
        assert hook is None
        poll_backends()
    else:
        assert hook is not None
        body, headers = hook
        answer = client.generic(
            "POST",
            f"/prefs/api/v1/inbound/{demo.harness.alias}/{SECRET}/",
            body,
            content_type=headers.pop("Content-Type"),
            headers=headers,
        )
        assert answer.status_code == 204
    work_off_arrivals()


def test_who_leaves_over_there_has_left_here_until_she_says_yes_again(
    demo: Driver, platform: Platform, client: Client, settings: Any
) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "SENDERS": {}}
    email = [key for key in demo.harness.topics if key[1] == "email"]
    person = demo.person(*(yes(key) for key in email), email=EMAIL)
    demo.deliver()
    leave_over_there(demo, platform, client)
    target = demo.target(person)
    assert [key for key in email if target.state.choices.get(key) == SUBSCRIBED] == []
    demo.deliver()
    demo.save(person, yes(email[0]))
    demo.deliver()
    (believed,) = platform.believes()
    if demo.backend.capabilities.resubscribe is Resubscribe.DOUBLE_OPT_IN:
        assert believed.status == "pending"  # it asks her itself
        return
    assert not believed.out
    assert list(believed.topics.values()).count("yes") == 1
    # And what is read there at night does not take her yes for a leave.
    read = demo.backend.read(demo.target(person))
    assert read is not None
    assert (read.opted_out, read.choices[email[0]]) == (False, SUBSCRIBED)


def test_no_e_mail_at_all_leaves_what_we_never_asked_about(demo: Driver, platform: Platform) -> None:
    email = [key for key in demo.harness.topics if key[1] == "email"]
    person = demo.person(*(yes(key) for key in email), email=EMAIL)
    other = demo.person(yes(email[0]), email="second@mail.example.org")
    demo.deliver()
    for contact in (person, other):
        demo.save(contact, SetChoice("", "email", UNSUBSCRIBED))
    demo.deliver()
    assert [demo.is_delivered(contact) for contact in (person, other)] == [True, True]
    for believed in platform.believes():
        assert "yes" not in believed.topics.values()
        assert believed.out or demo.harness.alias == "customerio"  # there it would be all channels
        assert len(believed.topics) >= len(email)
    demo.save(person, yes(email[0]))
    demo.deliver()
    (believed,) = [each for each in platform.believes() if each.who == EMAIL]
    assert not believed.out
    assert list(believed.topics.values()).count("yes") == 1
    read = demo.backend.read(demo.target(person))
    assert read is not None
    assert (read.opted_out, read.choices[email[0]]) == (False, SUBSCRIBED)
    assert platform.violations == []


def test_what_the_page_can_do(platform: Platform, page: Page, demo: Driver) -> None:
    demo.person(yes(demo.harness.topics[0]), email=EMAIL)
    demo.deliver()
    assert ask(page, "POST", "/leave", who="stranger@mail.example.org")[0] == 404
    assert ask(page, "POST", "/outage", state="broken")[0] == 303
    assert "Away." in ask(page, "GET", "/")[1]
    assert demo.backend.check()[0].level == "error"
    assert ask(page, "POST", "/outage", state="healthy")[0] == 303
    assert ask(page, "GET", "/nowhere")[0] == 404
    cross = Message()
    cross["Sec-Fetch-Site"] = "cross-site"
    assert page(Request("POST", "/leave", cross)).status == 403


def test_a_pause_shows_as_one(demo: Driver, platform: Platform) -> None:
    from django.utils import timezone

    from wagtail_prefs.backends.testing.arriving import DAY

    demo.person(yes(demo.harness.topics[0]), Pause("", "", timezone.now() + 30 * DAY), email=EMAIL)
    demo.deliver()
    (believed,) = platform.believes()
    assert "yes" in believed.topics.values()
    assert not believed.out
    assert believed.fields
