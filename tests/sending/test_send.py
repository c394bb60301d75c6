"""`send`: what became of a mail, and what the mail server holds of it."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

import wagtail_prefs
from tests import factories
from tests.mail import smtp
from tests.properties import examples
from tests.sending.letters import (
    NO,
    ROSA,
    WRAPPER,
    YES,
    choose,
    has_way_out,
    mail_to,
    places,
    raw,
    reader,
)
from tests.statements import said
from wagtail_prefs import decide, send
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import Change, OptOut, Pause, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import mark_dead
from wagtail_prefs.decisions.headers import PAIR
from wagtail_prefs.decisions.models import Send
from wagtail_prefs.sending.models import Waiting
from wagtail_prefs.sending.values import Marks, Status
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Topic, TopicText
from wagtail_prefs.values import Actor, ActorType, Source

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday


@pytest.fixture
def topics(db: None) -> dict[str, Topic]:
    return factories.make_topics()


@pytest.fixture
def rosa(topics: dict[str, Topic]) -> Contact:
    return reader()


# --- marketing --------------------------------------------------------------------------------------------------------


def test_the_door_stands_open() -> None:
    assert wagtail_prefs.send is send
    assert "send" in dir(wagtail_prefs)


@pytest.mark.parametrize("spelling", [ROSA, "ROSA@Mail.Example.ORG", "Rosa <rosa@mail.example.org>"])
def test_what_is_wanted_goes_out_with_its_headers(rosa: Contact, sink: smtp.Sink, spelling: str) -> None:
    message = mail_to(spelling, kind=EmailMultiAlternatives, headers={"X-Mailer": "brand"})
    outcome = send(message, "news", message_id="news 48", mailto="mailto:leave@brand.example")
    assert (outcome.status, outcome.sent, outcome.taken) == (Status.SENT, True, True)
    assert (outcome.contact, outcome.message_id) == (rosa.pk, "news 48")
    assert outcome.decision and outcome.decision.reason == "subscribed"
    (got,) = sink.got
    assert got.recipients == [parse(spelling)]
    # As it stands on the wire: no program decodes words between the brackets.
    (https, mailbox) = raw(got, "List-Unsubscribe")[0].split(", ")
    assert re.fullmatch(r"<http://localhost/prefs/u/v1\.[!-~]+/>", https)
    assert mailbox == "<mailto:leave@brand.example>"
    assert raw(got, "List-Unsubscribe-Post") == [PAIR]
    assert raw(got, "List-Id") == ["News <news.default.localhost>"]
    assert got.message["X-Mailer"] == "brand"
    assert message.extra_headers == {"X-Mailer": "brand"}
    row = Send.objects.get()
    assert (row.contact, row.topic, row.sender, row.verdict) == (rosa.pk, "news", "django", "send")


def parse(spelling: str) -> str:
    return spelling.rpartition("<")[2].removesuffix(">")


def test_a_label_of_any_words_stays_one_header(rosa: Contact, topics: Any, sink: smtp.Sink) -> None:
    TopicText.objects.filter(topic=topics["news"]).update(
        label="Größe und Wünsche, für Menschen, die uns lange kennen " * 3
    )
    send(mail_to(ROSA), "news")
    (value,) = raw(sink.got[0], "List-Id")
    assert value.endswith(" <news.default.localhost>")
    assert value.isascii()


@pytest.mark.parametrize(
    ("change", "reason"), [(NO, "unsubscribed"), (OptOut(), "opted_out")], ids=["no", "out"]
)
def test_what_she_does_not_want_stays(rosa: Contact, sink: smtp.Sink, change: Change, reason: str) -> None:
    choose(rosa, change)
    outcome = send(mail_to(ROSA), "news", message_id="news 48")
    assert outcome.status is Status.REFUSED
    assert outcome.decision and outcome.decision.reason == reason
    assert not outcome.taken
    assert (sink.got, places()) == ([], [])
    assert sink.connections == 0  # nobody was called for it


@pytest.mark.parametrize("address", ["nobody@mail.example.org", "rosa@mail.example"])
def test_nobody_gets_marketing_who_is_no_contact(rosa: Contact, sink: smtp.Sink, address: str) -> None:
    outcome = send(mail_to(address), "news")
    assert (outcome.status, outcome.contact) == (Status.REFUSED, None)
    assert outcome.decision and outcome.decision.reason == "unknown"
    assert sink.got == []


def test_an_address_of_before_a_merge_is_not_hers(rosa: Contact, sink: smtp.Sink) -> None:
    old = reader(email="rosa.old@mail.example.org")
    submissions.merge_contacts(
        old.pk, rosa.pk, actor=Actor(ActorType.ADMIN, "1"), source=Source(method="admin")
    )
    outcome = send(mail_to(old.email), "news")
    assert outcome.decision and outcome.decision.reason == "merged"
    assert send(mail_to(old.email), "orders").status is Status.SENT
    assert sink.to == [old.email]


def test_a_pause_lets_it_wait_and_a_period_too(rosa: Contact, sink: smtp.Sink) -> None:
    with time_machine.travel(NOON, tick=False):
        choose(rosa, Pause("", "", NOON + timedelta(days=3)))
        assert send(mail_to(ROSA), "news", message_id="news 48").status is Status.WAITING
        # Nor does it go twice: it waits already, whatever happened since.
        assert send(mail_to(ROSA), "news", message_id="news 48").status is Status.WAITING
        choose(rosa, SetFrequency("", "", "weekly"))
        row = Waiting.objects.get()
        assert (row.topic, row.kind, row.reason) == ("news", "defer", "paused")
        assert row.expires_at == NOON + timedelta(days=30)
    with time_machine.travel(NOON + timedelta(days=4), tick=False):
        assert send(mail_to(ROSA), "news", message_id="news 48").status is Status.WAITING
        assert send(mail_to(ROSA), "news", message_id="news 49").status is Status.SENT
        assert send(mail_to(ROSA), "offers", message_id="offers 1", sender="shop").status is Status.DIGEST
    assert [got.recipients for got in sink.got] == [[ROSA]]
    assert sorted(Waiting.objects.values_list("message_id", "sender")) == [
        ("news 48", "django"),
        ("offers 1", "shop"),
    ]


@pytest.mark.parametrize("days", [-1, 3, 2])
def test_what_would_be_pointless_is_dropped(rosa: Contact, sink: smtp.Sink, days: int) -> None:
    with time_machine.travel(NOON, tick=False):
        choose(rosa, Pause("", "", NOON + timedelta(days=3)))
        expires = NOON + timedelta(days=days)
        assert send(mail_to(ROSA), "news", expires=expires).status is Status.EXPIRED
        assert send(mail_to(ROSA), "news", expires=NOON + timedelta(days=4)).status is Status.WAITING
        choose(rosa, Pause("", "", NOON + timedelta(days=40)))
        assert send(mail_to(ROSA), "news").status is Status.EXPIRED  # WAITING_DAYS
    assert (sink.got, Waiting.objects.count()) == ([], 1)


def test_one_id_is_one_message(rosa: Contact, sink: smtp.Sink) -> None:
    emil = reader(email="emil@mail.example.org")
    for _round in range(2):  # a job that was run again
        for contact in (rosa, emil):
            send(mail_to(contact.email), "news", contact=contact, message_id="news 48")
    assert sink.to == [ROSA, emil.email]
    assert send(mail_to(ROSA), "news", message_id="news 48").status is Status.REPEATED
    assert [send(mail_to(ROSA), "news").status for _ in range(2)] == [Status.SENT, Status.SENT]
    assert len(places()) == 4
    names = [str(got.message["Message-ID"]) for got in sink.got]
    assert len(set(names)) == 4
    assert all(name.endswith("@brand.example>") for name in names)


def test_a_message_keeps_its_message_id_at_every_try(rosa: Contact, sink: smtp.Sink) -> None:
    names = set()
    for _try in range(2):
        send(mail_to(ROSA), "news", message_id="news 48")
        names.add(str(sink.got[-1].message["Message-ID"]))
        Send.objects.all().delete()  # as if the place had been given back
    assert len(sink.got) == 2
    assert len(names) == 1
    send(mail_to(ROSA, headers={"Message-Id": "<mine@brand.example>"}), "news")
    assert raw(sink.got[-1], "Message-ID") == ["<mine@brand.example>"]


WRONG: list[tuple[str, Callable[[], EmailMessage], dict[str, Any], str]] = [
    ("topic", lambda: mail_to(ROSA), {"topic": "nwes"}, "there is no topic 'nwes'; there are: events, news, offers, orders"),
    ("empty topic", lambda: mail_to(ROSA), {"topic": ""}, "say what the mail is about"),
    ("two readers", lambda: mail_to(ROSA, "b@c.example"), {}, "goes to one reader"),
    ("a copy", lambda: mail_to(ROSA, cc=["b@c.example"]), {}, "goes to one reader"),
    ("a blind copy", lambda: mail_to(ROSA, bcc=["b@c.example"]), {}, "goes to one reader"),
    ("a copy by header", lambda: mail_to(ROSA, headers={"Cc": "b@c.example"}), {}, "names more readers"),
    ("nobody", mail_to, {}, "goes to one reader"),
    ("two in one", lambda: mail_to(f"{ROSA}, b@c.example"), {}, "not clearly one"),
    ("no address", lambda: mail_to("rosa"), {}, "not clearly one"),
    ("own way out", lambda: mail_to(ROSA, headers={"list-unsubscribe": "<https://a.example>"}), {}, "already"),
    ("mailto", lambda: mail_to(ROSA), {"mailto": "leave@brand.example"}, "mailto"),
    ("date", lambda: mail_to(ROSA), {"expires": datetime(2027, 1, 1)}, "time zone"),  # noqa: DTZ001
    ("id", lambda: mail_to(ROSA), {"message_id": "news\r\nBcc: b@c.example"}, "printable"),
    ("sender", lambda: mail_to(ROSA), {"sender": "s" * 65}, "64"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "more", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_what_makes_no_sense_says_what_to_write(
    rosa: Contact, sink: smtp.Sink, build: Callable[[], EmailMessage], more: dict[str, Any], words: str
) -> None:
    message = build()
    before = dict(vars(message))
    with pytest.raises(ValueError, match=words):
        send(message, **{"topic": "news", **more})
    assert vars(message) == before
    assert (sink.got, places(), Waiting.objects.count()) == ([], [], 0)


def test_a_contact_that_is_given_must_be_its_reader(rosa: Contact, sink: smtp.Sink) -> None:
    with pytest.raises(ValueError, match="must go to the contact's address"):
        send(mail_to("emil@mail.example.org"), "news", contact=rosa)
    with pytest.raises(TypeError, match="EmailMessage"):
        send("Hello!", "news")  # type: ignore[arg-type]
    Topic.objects.filter(key="news").update(channels=["sms"])
    with pytest.raises(ValueError, match="does not come by e-mail"):
        send(mail_to(ROSA), "news")
    assert (sink.got, places()) == ([], [])


def test_another_site_has_other_contacts(rosa: Contact, sink: smtp.Sink) -> None:
    site = factories.make_site("other.example", default=False)
    audience = factories.make_audience(site)
    factories.make_topics(audience)
    outcome = send(mail_to(ROSA), "news", site=site)
    assert outcome.decision and outcome.decision.reason == "unknown"
    other = factories.make_contact(ROSA, audience=audience)
    assert send(mail_to(ROSA), "orders", site=site).contact == other.pk
    assert send(mail_to(ROSA), "news").contact == rosa.pk


def test_headers_cannot_be_smuggled_in(rosa: Contact, sink: smtp.Sink) -> None:
    for message in (
        EmailMessage("New\r\nBcc: b@c.example", "", "news@brand.example", [ROSA]),
        EmailMessage("New", "", "news@brand.example\r\nBcc: b@c.example", [ROSA]),
        mail_to(ROSA, headers={"X-A": "a\nBcc: b@c.example"}),
        mail_to(ROSA, headers={"X-A\nBcc": "b@c.example"}),
        mail_to(f"{ROSA}\r\nBcc: b@c.example"),
    ):
        with pytest.raises((ValueError, smtplib.SMTPException)):
            send(message, "news")
    assert (sink.got, places()) == ([], [])


@pytest.mark.parametrize(
    "spelling", ["rosa@bücher.example", "Rosa@BÜCHER.example", "rosa@xn--bcher-kva.example"]
)
def test_a_domain_may_have_any_letters(topics: Any, sink: smtp.Sink, spelling: str) -> None:
    reader(email="rosa@bücher.example")
    assert send(mail_to(spelling), "news").sent
    assert [address.lower() for address in sink.to] == ["rosa@xn--bcher-kva.example"]


@pytest.mark.parametrize("topic", ["news", "orders"])
def test_a_mailbox_that_no_server_takes_leaves_no_trace(rosa: Contact, sink: smtp.Sink, topic: str) -> None:
    """Letters beyond ASCII before the @, and full-width ones, which are the same mailbox to us."""
    for address in ("rösa@mail.example.org", "ｒｏｓａ@mail.example.org"):
        try:
            sent = send(mail_to(address), topic, contact=None).sent
        except (ValueError, smtplib.SMTPException):
            sent = False
        assert len(sink.got) == sent
        assert len(places()) <= len(sink.got)
        sink.got.clear()
        Send.objects.all().delete()


# --- what is always sent ----------------------------------------------------------------------------------------------


def test_what_is_always_sent_asks_nobody(rosa: Contact, sink: smtp.Sink) -> None:
    choose(rosa, OptOut())
    choose(rosa, Pause("", "", timezone.now() + timedelta(days=9)))
    outcome = send(mail_to(ROSA), "orders", message_id="order 7", expires=NOON - timedelta(days=900))
    assert (outcome.status, outcome.contact) == (Status.SENT, rosa.pk)
    assert outcome.decision and outcome.decision.reason == "transactional"
    several = send(
        mail_to(ROSA, "Guest <guest@c.example>", cc=["copy@c.example"]), "orders", message_id="order 8"
    )
    assert (several.status, several.contact, several.decision) == (Status.SENT, None, None)
    assert send(mail_to("guest@c.example"), "orders").decision is None
    assert [len(got.recipients) for got in sink.got] == [1, 3, 1]
    assert not any(map(has_way_out, sink.got))
    assert places() == [("order 7", "orders", "send"), ("order 8", "orders", "send")]
    send(
        mail_to(ROSA), "orders", message_id="order 7"
    )  # no frequency counts it, and a receipt may come again
    assert len(sink.got) == 4


def test_what_is_always_sent_goes_to_no_dead_address(rosa: Contact, sink: smtp.Sink) -> None:
    mark_dead(rosa.pk, timezone.now())
    outcome = send(mail_to(ROSA), "orders")
    assert outcome.status is Status.REFUSED
    assert outcome.decision and outcome.decision.reason == "dead_address"
    message = mail_to("guest@c.example", cc=[f"Rosa <{ROSA.upper()}>"])
    assert send(message, "orders").status is Status.SENT
    assert sink.to == ["guest@c.example"]
    assert message.cc == [f"Rosa <{ROSA.upper()}>"]
    Topic.objects.filter(key="orders").update(archived=True)
    assert send(mail_to("guest@c.example"), "orders").status is Status.REFUSED
    assert (len(sink.got), places()) == (1, [])


def test_what_is_always_sent_has_no_way_out(rosa: Contact, sink: smtp.Sink) -> None:
    with pytest.raises(ValueError, match="nothing to leave"):
        send(mail_to(ROSA, headers={"List-Unsubscribe": "<https://a.example>"}), "orders")
    assert sink.got == []


# --- when it fails ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "answer", "kept"),
    [
        ("rcpt", "550 5.1.1 Nobody", False),
        ("rcpt", "421 Later", False),
        ("rcpt", smtp.DROP, False),
        ("text", "451 Later", False),
        ("text", "554 No", False),
        ("text", smtp.DROP, True),
        ("data", smtp.DROP, True),
    ],
)
@pytest.mark.parametrize("topic", ["news", "orders"])
def test_a_place_is_given_back_unless_it_may_have_arrived(
    rosa: Contact, sink: smtp.Sink, topic: str, command: str, answer: str, kept: bool
) -> None:
    sink.refuse(ROSA, answer, command)
    with pytest.raises((smtplib.SMTPException, OSError)):
        send(mail_to(ROSA), topic, message_id="m")
    assert len(places()) == kept
    sink.fault = lambda _command, _address: None
    again = send(mail_to(ROSA), topic, message_id="m")
    # It is not sent twice to be safe, but for what must arrive.
    assert again.status is (Status.REPEATED if kept and topic == "news" else Status.SENT)
    assert len(sink.got) == again.sent


def test_without_a_server_nothing_is_noted(rosa: Contact, mailer: Callable[..., None]) -> None:
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST, port=smtp.free_port(), timeout=5)
    with pytest.raises(ConnectionRefusedError):
        send(mail_to(ROSA), "news")
    assert places() == []


def test_where_the_site_has_no_https_address_nothing_goes_out(topics: Any, sink: smtp.Sink) -> None:
    audience = factories.make_audience(factories.make_site("plain.example", default=False))
    factories.make_topics(audience)
    contact = factories.make_contact(ROSA, audience=audience)
    choose(contact, *YES)
    with pytest.raises(ImproperlyConfigured):
        send(mail_to(ROSA), "news", contact=contact)
    assert (sink.got, places()) == ([], [])


# --- transactions -----------------------------------------------------------------------------------------------------


def test_marketing_stays_out_of_transactions(rosa: Contact, sink: smtp.Sink) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match=r"transaction\.on_commit"):
        send(mail_to(ROSA), "news")
    assert (sink.got, places()) == ([], [])


@pytest.mark.django_db(transaction=True)
def test_after_the_commit_it_goes_out(sink: smtp.Sink) -> None:
    factories.make_topics()
    reader()
    outcomes = []
    with transaction.atomic():
        transaction.on_commit(lambda: outcomes.append(send(mail_to(ROSA), "news")))
        assert send(mail_to(ROSA), "orders", message_id="order 7").status is Status.SENT
        assert (len(sink.got), places()) == (1, [])
    assert [outcome.status for outcome in outcomes] == [Status.SENT]
    assert [topic for _, topic, _ in places()].count("orders") == 1  # noted when it committed
    with transaction.atomic():
        send(mail_to(ROSA), "orders", message_id="order 8")
        transaction.set_rollback(True)
    assert len(sink.got) == 3  # as with Django's own: it is out
    assert len(places()) == 2


@pytest.mark.django_db(transaction=True)
def test_a_transaction_by_hand_is_one(sink: smtp.Sink) -> None:
    factories.make_topics()
    reader()
    transaction.set_autocommit(False)
    try:
        with pytest.raises(RuntimeError, match="transaction"):
            send(mail_to(ROSA), "news")
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert sink.got == []


@pytest.mark.django_db(transaction=True)
def test_many_at_once_send_one(sink: smtp.Sink) -> None:
    factories.make_topics()
    reader()
    at_once, statuses = Barrier(4), []

    def run() -> None:
        try:
            at_once.wait()
            statuses.append(send(mail_to(ROSA), "news", message_id="news 48").status)
        finally:
            connection.close()

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == ["repeated"] * 3 + ["sent"]
    assert sink.to == [ROSA]


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_what_it_costs(rosa: Contact, mailer: Callable[..., None]) -> None:
    """Statements: topic, reader, what waits; the decision with its place; site and label of the headers."""
    mailer("django.core.mail.backends.locmem.EmailBackend")
    send(mail_to(ROSA), "news")  # a process keeps some of it
    counts = {}
    for name, to, topic, more in (
        ("sent", ROSA, "news", {"contact": rosa}),
        ("looked for", ROSA, "news", {}),
        ("named", ROSA, "news", {"message_id": "news 48"}),
        ("repeated", ROSA, "news", {"message_id": "news 48"}),
        ("always", ROSA, "orders", {}),
        ("always to a stranger", "guest@c.example", "orders", {}),
    ):
        with CaptureQueriesContext(connection) as asked:
            send(mail_to(to), topic, **more)
        counts[name] = len(said(asked.captured_queries))
    locks = int(connection.vendor == "postgresql")
    assert counts == {
        "sent": 6 + locks,
        "looked for": 7 + locks,
        "named": 8 + locks,
        "repeated": 4 + locks,
        "always": 4 + locks,
        "always to a stranger": 2,
    }


# --- properties -------------------------------------------------------------------------------------------------------

ADDRESSES = (
    ROSA,
    "emil@mail.example.org",
    "out@mail.example.org",
    "dead@mail.example.org",
    "guest@c.example",
)
ALWAYS = {"orders"}


@pytest.mark.property
@hypothesis_settings(examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_becomes_transactional_by_accident(
    topics: Any, mailer: Any, settings: Any, data: Any
) -> None:
    """Whatever a mail says it is about, and however: it goes out unasked only about what is always sent."""
    people()
    mail.outbox = []
    mailer(WRAPPER)
    settings.WAGTAIL_PREFS = {
        **settings.WAGTAIL_PREFS,
        "SENDING_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
        "UNNAMED_MAIL": data.draw(st.sampled_from(["", "orders", "news", "nothing"])),
    }
    Send.objects.all().delete()
    topic = data.draw(
        st.sampled_from(["news", "offers", "orders", "ORDERS", " orders", "orders\n", "", "nothing"])
    )
    recipients = data.draw(st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=3))
    fields = [data.draw(st.sampled_from(["to", "cc", "bcc"])) for _ in recipients]
    message = mail_to()
    for field, one in zip(fields, recipients, strict=True):
        getattr(message, field).append(one)
    how = data.draw(st.sampled_from(["call", "header", "attribute", "none"]))
    mark = data.draw(st.sampled_from(["X-Prefs-Topic", "x-prefs-topic", "X-PREFS-TOPIC"]))
    about = topic
    if how == "header":
        message.extra_headers = {mark: topic}
        about = topic.strip()
    elif how == "attribute":
        message.prefs = Marks(topic=topic)  # type: ignore[attr-defined]
    elif how == "none":
        about = settings.WAGTAIL_PREFS["UNNAMED_MAIL"]
    try:
        send(message, topic) if how == "call" else message.send()
    except (ValueError, ImproperlyConfigured):
        assert mail.outbox == []
        return
    assert about in {"news", "offers", "orders"}
    for sent in mail.outbox:
        assert not any(name.lower().startswith("x-prefs") for name in sent.extra_headers)
        assert ("List-Unsubscribe" in sent.extra_headers) == (about not in ALWAYS)
        if about not in ALWAYS:
            assert how != "none"
            (address,) = sent.recipients()
            contact = Contact.objects.get(email=address)
            assert Send.objects.get(contact=contact.pk).verdict == "send"
            assert address in {ROSA, "emil@mail.example.org"}
    if about in ALWAYS:  # never blocked, but for who cannot get it
        reached = [one for sent in mail.outbox for one in sent.recipients()]
        assert sorted(reached) == sorted(one for one in recipients if not one.startswith("dead"))


def people() -> None:
    if Contact.objects.exists():
        return
    reader()
    reader(email="emil@mail.example.org")
    reader(OptOut(), email="out@mail.example.org")
    mark_dead(reader(email="dead@mail.example.org").pk, timezone.now())


@pytest.mark.property
@hypothesis_settings(examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    topic=st.sampled_from(["news", "offers", "events"]),
    with_center=st.booleans(),
    mailto=st.sampled_from(["", "mailto:leave@brand.example?subject=leave"]),
)
def test_em_06_every_uri_ends_what_it_came_with(
    rosa: Contact, mailer: Any, topic: str, with_center: bool, mailto: str
) -> None:
    mailer("django.core.mail.backends.locmem.EmailBackend")
    mail.outbox = []
    page = PreferenceCenterPage.objects.first() or factories.make_center()
    center = page.translation_key if with_center else None
    choose(rosa, *YES)
    assert send(mail_to(ROSA), topic, center=center, mailto=mailto).sent
    (sent,) = mail.outbox
    uri = re.findall(r"<([^<>]*)>", sent.extra_headers["List-Unsubscribe"])[0]
    assert decide(rosa.pk, topic, "email").verdict == "send"
    answer = Client(enforce_csrf_checks=True).post(uri, {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert decide(rosa.pk, topic, "email").reason == "unsubscribed"
    assert send(mail_to(ROSA), topic).status is Status.REFUSED
    assert len(mail.outbox) == 1
