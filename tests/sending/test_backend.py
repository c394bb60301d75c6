"""The mail backend that asks: whatever of Django's sends, what it says it is about, and what stands behind it."""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from django.core import mail
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, EmailMultiAlternatives, send_mail, send_mass_mail
from django.db import connection, transaction

from tests import factories
from tests.mail import smtp
from tests.sending.letters import NO, ROSA, WRAPPER, choose, has_way_out, mail_to, marks_of, places, reader
from wagtail_prefs.changes import OptOut
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.mail import sending as own_mail
from wagtail_prefs.mail.server import Server, connection_of_settings
from wagtail_prefs.mail.services import post
from wagtail_prefs.sending.backend import EmailBackend
from wagtail_prefs.sending.marks import about
from wagtail_prefs.sending.values import Marks, Status

EMIL = "emil@mail.example.org"


@pytest.fixture
def wrapper(sink: smtp.Sink, mailer: Callable[..., None]) -> smtp.Sink:
    """Django's mail asks, and goes to the sink."""
    mailer(WRAPPER, host=smtp.HOST, port=sink.port, timeout=10)
    return sink


@pytest.fixture
def rosa(db: None) -> Contact:
    factories.make_topics()
    return reader()


def settings_with(settings: Any, **more: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, **more}


def backend(**options: Any) -> Any:
    """The backend of the settings, in the way of this Django."""
    mailers = getattr(mail, "mailers", None)
    if mailers is None:
        return mail.get_connection(**options)
    return EmailBackend(alias="default", **mailers.settings["default"]["OPTIONS"], **options)


# --- what a mail is about ---------------------------------------------------------------------------------------------


def _by_header(message: EmailMessage) -> int:
    message.extra_headers = {"x-prefs-topic": "news", "X-Prefs-Message-Id": "news 48"}
    return message.send()


def _by_attribute(message: EmailMessage) -> int:
    message.prefs = Marks(topic="news", message_id="news 48")  # type: ignore[attr-defined] # ours, on Django's class
    return message.send()


def _by_block(message: EmailMessage) -> int:
    with about("news", message_id="news 48"):
        return message.send()


@pytest.mark.parametrize("way", [_by_header, _by_attribute, _by_block])
@pytest.mark.parametrize("kind", [EmailMessage, EmailMultiAlternatives])
def test_a_mail_says_what_it_is_about(
    rosa: Contact, wrapper: smtp.Sink, kind: type[EmailMessage], way: Callable[[EmailMessage], int]
) -> None:
    message = mail_to(ROSA, kind=kind)
    assert way(message) == 1
    outcome = message.prefs_outcome  # type: ignore[attr-defined] # as above
    assert (outcome.status, outcome.message_id) == (Status.SENT, "news 48")
    assert way(message) == 1  # once more: it went out before
    (got,) = wrapper.got
    assert has_way_out(got)
    assert marks_of(got) == []
    choose(rosa, NO)
    assert way(mail_to(ROSA, kind=kind)) == 0
    assert len(wrapper.got) == 1


def test_all_that_django_sends_asks(rosa: Contact, wrapper: smtp.Sink) -> None:
    reader(OptOut(), email=EMIL)
    with about("news"):
        assert send_mail("s", "b", "news@brand.example", [ROSA], html_message="<p>b</p>") == 1
        assert send_mail("s", "b", "news@brand.example", [EMIL]) == 0
        mails = [("s", "b", "news@brand.example", [to]) for to in (EMIL, ROSA, "guest@c.example")]
        assert send_mass_mail(mails) == 1
    with about("orders"):
        assert send_mail("s", "b", "news@brand.example", [ROSA, EMIL, "guest@c.example"]) == 1
    assert [len(got.recipients) for got in wrapper.got] == [1, 1, 3]
    assert [has_way_out(got) for got in wrapper.got] == [True, True, False]


@pytest.mark.parametrize(
    ("unnamed", "error", "words"),
    [
        ("", ValueError, "X-Prefs-Topic.*UNNAMED_MAIL"),
        ("news", ImproperlyConfigured, "not always sent"),
        ("nothing", ImproperlyConfigured, "there is no topic"),
    ],
)
def test_a_mail_about_nothing_stays(
    rosa: Contact, wrapper: smtp.Sink, settings: Any, unnamed: str, error: type[Exception], words: str
) -> None:
    settings_with(settings, UNNAMED_MAIL=unnamed)
    with pytest.raises(error, match=words):
        mail_to(ROSA).send()
    assert wrapper.got == []


def test_a_mail_about_nothing_may_be_one_that_is_always_sent(
    rosa: Contact, wrapper: smtp.Sink, settings: Any
) -> None:
    settings_with(settings, UNNAMED_MAIL="orders")
    choose(rosa, OptOut())
    assert send_mail("Your password", "b", "us@brand.example", [ROSA, "guest@c.example"]) == 1
    assert not has_way_out(wrapper.got[0])
    assert [topic for _, topic, _ in places()] == ["orders"]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"X-Prefs-Topic": "news", "x-prefs-topic": "orders"}, "twice"),
        ({"X-Prefs-Tpic": "news"}, "there is no marking header"),
        ({"X-Prefs-Message-Id": "48"}, "needs the header X-Prefs-Topic"),
        ({"X-Prefs-Topic": "news", "X-Prefs-Expires": "tomorrow"}, "moment with its time zone"),
        ({"X-Prefs-Topic": "news", "X-Prefs-Center": "one"}, "UUID"),
        ({"X-Prefs-Topic": "nwes"}, "there is no topic"),
    ],
)
def test_marks_that_make_no_sense_stop_all_before_any(
    rosa: Contact, wrapper: smtp.Sink, headers: dict[str, str], words: str
) -> None:
    good = mail_to(ROSA, headers={"X-Prefs-Topic": "news"})
    with pytest.raises(ValueError, match=words):
        connection_and_all([good, mail_to(ROSA, headers=headers)])
    both = mail_to(ROSA, headers={"X-Prefs-Topic": "news"})
    both.prefs = Marks(topic="orders")  # type: ignore[attr-defined] # as above
    with pytest.raises(ValueError, match="not by both"):
        both.send()
    both.prefs = "news"  # type: ignore[attr-defined] # as above
    with pytest.raises(TypeError, match="Marks"):
        both.send()
    assert (wrapper.got, places()) == ([], [])


def connection_and_all(messages: list[EmailMessage], **options: Any) -> int:
    taken: int = backend(**options).send_messages(messages)
    return taken


# --- many at once -----------------------------------------------------------------------------------------------------


def many(*addresses: str) -> list[EmailMessage]:
    return [mail_to(address, headers={"X-Prefs-Topic": "news"}) for address in addresses]


def test_many_go_over_one_connection(rosa: Contact, wrapper: smtp.Sink) -> None:
    reader(email=EMIL)
    assert connection_and_all([*many(ROSA, EMIL), mail_to()]) == 2
    assert wrapper.connections == 1
    with backend() as kept:
        for message in many(ROSA, EMIL):
            kept.send_messages([message])
    assert (wrapper.connections, len(wrapper.got)) == (2, 4)


def test_one_that_fails_stops_no_other(rosa: Contact, wrapper: smtp.Sink) -> None:
    reader(email=EMIL)
    wrapper.refuse(ROSA, "550 5.1.1 Nobody")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        connection_and_all(many(ROSA, EMIL))
    assert wrapper.to == [EMIL]
    assert len(places()) == 1


@pytest.mark.parametrize("silently", [False, True])
def test_a_server_that_is_away_is_not_asked_on(
    rosa: Contact, mailer: Callable[..., None], caplog: Any, silently: bool
) -> None:
    reader(email=EMIL)
    mailer(WRAPPER, host=smtp.HOST, port=smtp.free_port(), timeout=5)
    if silently:
        with caplog.at_level(logging.WARNING, "wagtail_prefs.sending"):
            assert connection_and_all(many(ROSA, EMIL), fail_silently=True) == 0
            assert connection_and_all([mail_to(ROSA)], fail_silently=True) == 0
        said = [record.getMessage() for record in caplog.records if record.name == "wagtail_prefs.sending"]
        assert said == ["a mail was not sent (ConnectionRefusedError)", "a mail was not sent (ValueError)"]
    else:
        with pytest.raises(ConnectionRefusedError):
            connection_and_all(many(ROSA, EMIL))
    assert places() == []


def test_marketing_in_a_transaction_stops_all_before_any(
    rosa: Contact, wrapper: smtp.Sink, settings: Any
) -> None:
    settings_with(settings, UNNAMED_MAIL="orders")
    with transaction.atomic(), pytest.raises(RuntimeError, match="on_commit"):
        connection_and_all([mail_to(ROSA), *many(ROSA)])
    assert wrapper.got == []
    with transaction.atomic():
        assert connection_and_all([mail_to(ROSA)]) == 1


@pytest.mark.django_db(transaction=True)
def test_threads_may_share_one(wrapper: smtp.Sink) -> None:
    factories.make_topics()
    people = [reader(email=f"p{number}@mail.example.org").email for number in range(6)]
    shared = backend()

    def run(address: str) -> None:
        try:
            shared.send_messages(many(address))
        finally:
            connection.close()

    threads = [Thread(target=run, args=(address,)) for address in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wrapper.to) == people


# --- what stands behind it --------------------------------------------------------------------------------------------


def test_our_own_mails_ask_nobody(rosa: Contact, wrapper: smtp.Sink, leave_link: None) -> None:
    choose(rosa, OptOut())
    assert own_mail.drain().sent == 1
    (got,) = wrapper.got
    assert got.recipients == [ROSA]
    assert not has_way_out(got)
    with Server() as server:
        assert server.send(mail_to(ROSA)).code == ""
    assert not isinstance(connection_of_settings(), EmailBackend)


@pytest.fixture
def leave_link(rosa: Contact) -> None:
    from wagtail_prefs.mail.kinds import KINDS

    post(
        "access_link",
        to=ROSA,
        audience_id=rosa.audience_id,
        locale="en",
        context=KINDS["access_link"].sample("http://localhost"),
        contact=None,
    )


class Subclass(EmailBackend):
    """A site's own."""


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (WRAPPER, "hands on to itself"),
        (f"{__name__}.Subclass", "hands on to itself"),
        ("nothing.Here", "there is no mail backend"),
        ("django.core.mail.EmailMessage", "is no mail backend"),
    ],
)
def test_a_backend_behind_it_must_send(mailer: Any, settings: Any, path: str, words: str) -> None:
    settings_with(settings, SENDING_BACKEND=path)
    mailer(WRAPPER)
    (found,) = [one for one in run_checks() if one.id == "wagtail_prefs.E060"]
    assert words in found.msg
    if "itself" in words:
        with pytest.raises(ImproperlyConfigured, match="SENDING_BACKEND"):
            connection_of_settings()


def ids(*, deploy: bool = False, databases: list[str] | None = None) -> set[str | None]:
    return {one.id for one in run_checks(include_deployment_checks=deploy, databases=databases)}


@pytest.mark.django_db  # one of deployments looks for keys that were used
def test_who_forgets_to_ask_is_told(mailer: Any, settings: Any) -> None:
    settings_with(settings, SENDERS={"email": {"default": "decide"}})
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST)
    assert "wagtail_prefs.W061" in ids(deploy=True)
    mailer(WRAPPER, host=smtp.HOST)
    assert "wagtail_prefs.W061" not in ids(deploy=True)
    settings_with(settings, SENDING_BACKEND="django.core.mail.backends.dummy.EmailBackend")
    assert "wagtail_prefs.W045" in ids(deploy=True)  # mails go nowhere
    settings_with(settings, SENDERS={"email": {"default": "database"}})
    mailer("django.core.mail.backends.smtp.EmailBackend", host=smtp.HOST)
    assert "wagtail_prefs.W061" not in ids(deploy=True)


@pytest.mark.parametrize(("unnamed", "wrong"), [("", False), ("orders", False), ("news", True), ("x", True)])
def test_mails_without_a_name_need_a_topic_that_is_always_sent(
    rosa: Contact, settings: Any, unnamed: str, wrong: bool
) -> None:
    settings_with(settings, UNNAMED_MAIL=unnamed)
    assert ("wagtail_prefs.E062" in ids(databases=["default"])) == wrong
    assert "wagtail_prefs.E062" not in ids()
