"""The headers of marketing mail, as they stand on the wire (RFC 8058, RFC 2369, RFC 2919; security.md s1)."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Callable
from email.utils import formataddr
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from anymail.backends.test import EmailBackend
from anymail.message import AnymailMessage
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from hypothesis import example, given, strategies as st
from wagtail.models import Site

import wagtail_prefs
from tests import factories
from tests.docs import explained
from tests.docs.blocks import blocks
from tests.properties import examples
from wagtail_prefs import add_headers, decide
from wagtail_prefs.access.services import Purpose, one_click_headers, one_click_url, open_link
from wagtail_prefs.changes import SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import get_or_create, load_state
from wagtail_prefs.decisions.headers import LIST_ID, MAX_LIST_ID, NAMES, PAIR, list_id, problems
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Audience, Topic, TopicText
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

HOST = "brand.example"
#: RFC 2919 s2: an optional phrase, and a dot-atom between brackets.
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
WORD = rf'(?:{ATOM}|"(?:[^"\\\r\n]|\\[\x20-\x7e])*")'
LIST = re.compile(rf"(?:{WORD}(?: {WORD})* )?<({ATOM}(?:\.{ATOM})+)>")
KINDS = (EmailMessage, EmailMultiAlternatives, AnymailMessage)


@pytest.fixture
def audience(db: None) -> Audience:
    """One that mail programs can call: an https site beside the default one."""
    factories.make_site()
    audience = factories.make_audience(factories.make_site(HOST, port=443, default=False))
    factories.make_topics(audience)
    return audience


@pytest.fixture
def reader(audience: Audience) -> Contact:
    contact = get_or_create(audience.pk, "rosa@mail.example.org", language="de")
    submissions.record(
        contact.pk,
        [SetChoice(topic, "email", SUBSCRIBED) for topic in ("news", "offers")],
        actor=Actor(ActorType.SUBJECT_LINK),
        source=Source(method="page"),
    )
    return contact


def message_to(*recipients: str, kind: type[EmailMessage] = EmailMessage, **more: Any) -> EmailMessage:
    return kind("Subject", "Body", "news@brand.example", list(recipients), **more)


def wire(message: EmailMessage) -> Any:
    """The message as a mail server gets it, read by the standard library's strict policy."""
    return email.message_from_bytes(message.message().as_bytes(), policy=email.policy.SMTP)


def uris(message: EmailMessage) -> list[str]:
    (value,) = wire(message).get_all("List-Unsubscribe")
    return re.findall(r"<([^<>]*)>", "".join(value.split()))


# --- what stands in them ---------------------------------------------------------------------------------------------


def test_the_door_stands_open() -> None:
    assert wagtail_prefs.add_headers is add_headers
    assert "add_headers" in dir(wagtail_prefs)


@pytest.mark.parametrize("kind", KINDS)
def test_em_01_one_https_address_and_one_pair(reader: Contact, kind: type[EmailMessage]) -> None:
    message = message_to(reader.email, kind=kind, headers={"X-Mailer": "brand"})
    add_headers(message, reader, "news")
    sent = wire(message)
    assert [sent.get_all(name) and len(sent.get_all(name)) for name in NAMES] == [1, 1, 1]
    (uri,) = uris(message)
    assert uri.startswith(f"https://{HOST}/prefs/u/v1.t1.")
    assert sent["List-Unsubscribe-Post"] == PAIR
    assert sent["List-Id"] == f"Neues <news.{reader.audience.key}.{HOST}>"
    assert sent["X-Mailer"] == "brand"
    assert problems(message, "news") == problems(message) == []


def test_em_01_a_mailbox_comes_after_the_https_address(reader: Contact) -> None:
    message = message_to(reader.email)
    add_headers(message, reader, "news", mailto="mailto:leave@brand.example?subject=leave")
    https, mailbox = uris(message)
    assert https.startswith("https://")
    assert mailbox == "mailto:leave@brand.example?subject=leave"
    assert problems(message, "news") == []


@pytest.mark.parametrize(
    "mailbox",
    [
        "leave@brand.example",
        "https://evil.example/",
        "mailto:a@brand.example>, <https://evil.example/",
        "mailto:a@brand.example,b@brand.example",
        "mailto:a@brand.example\r\nBcc: b@brand.example",
        "mailto:ü@brand.example",
        "mailto:a @brand.example",
        "mailto:\u2028",
        "mailto:",
    ],
)
def test_em_17_a_mailbox_that_is_none_is_refused(reader: Contact, mailbox: str) -> None:
    message = message_to(reader.email)
    with pytest.raises(ValueError, match="mailto"):
        add_headers(message, reader, "news", mailto=mailbox)
    assert message.extra_headers == {}


@pytest.mark.property
@examples(300)
@given(
    label=st.text(max_size=300),
    host=st.one_of(st.from_regex(r"[a-z]{1,60}(\.[a-z]{1,60}){0,4}", fullmatch=True), st.text(max_size=60)),
    key=st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True),
    tenant=st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True),
)
@example(label="x\r\nBcc: everybody@brand.example", host=HOST, key="k", tenant="a")
@example(label="\x85\u2028\u2029", host=HOST, key="k", tenant="a")
@example(label="=?utf-8?q?=0D=0ABcc:x?=", host=HOST, key="k", tenant="a")
@example(label='News "a\\b", <c@d.example> (e)', host="[::1]", key="k", tenant="a")
@example(label="ü" * 255, host="h" * 253, key="k" * 64, tenant="t" * 64)
def test_em_15_a_list_id_is_one_whatever_the_words(label: str, host: str, key: str, tenant: str) -> None:
    value = list_id(Topic(key=key, audience=Audience(key=tenant)), label, host)
    assert len(value) <= MAX_LIST_ID
    assert value.isascii()
    assert value.isprintable()
    found = LIST.fullmatch(value)
    assert found, value
    other = list_id(Topic(key=key, audience=Audience(key=tenant)), "Another name", host)
    assert other.endswith(f"<{found[1]}>")
    message = EmailMessage("Subject", "", "a@brand.example", ["b@mail.example.org"], headers={LIST_ID: value})
    sent = wire(message)
    assert set(map(str.lower, sent.keys())) == {
        *map(str.lower, wire(EmailMessage("Subject", "", "a@brand.example", ["b@mail.example.org"])).keys()),
        "list-id",
    }
    assert sent["List-Id"].endswith(f"<{found[1]}>")


def test_em_15_lists_of_two_audiences_are_two(reader: Contact) -> None:
    audiences = [Audience(key="a"), Audience(key="b"), Audience(key="k")]
    found = {
        list_id(Topic(key=key, audience=audience), "", host)
        for key in ("a", "b", "k" * 64)
        for audience in audiences
        for host in (HOST, "a.brand.example", "h" * 63 + ".example", ".".join(["h" * 60] * 4))
    }
    assert len(found) == 3 * 3 * 4


LABELS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=80)


@pytest.mark.property
@pytest.mark.django_db
@examples(100)
@given(
    label=LABELS,
    key=st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True),
    tenant=st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True),
    host=st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20}){1,3}", fullmatch=True),
)
def test_em_01_and_em_06_whatever_topic_and_tenant(label: str, key: str, tenant: str, host: str) -> None:
    """1,000 of them in a soak: the headers are right on the wire, and their address really unsubscribes."""
    Topic.objects.all().delete()
    site = factories.make_site()
    other = Site.objects.filter(hostname=host).first() or Site.objects.create(
        hostname=host, port=443, root_page=site.root_page, site_name=label[:40]
    )
    audience, _ = Audience.objects.get_or_create(key=tenant, defaults={"name": label[:40]})
    Audience.objects.filter(site=other).update(site=None)
    Audience.objects.filter(pk=audience.pk).update(site=other)
    topic = Topic.objects.create(audience=audience, key=key, channels=["email"])
    TopicText.objects.create(topic=topic, locale=factories.make_locale("en"), label=label)
    contact = get_or_create(audience.pk, "rosa@mail.example.org")
    submissions.record(
        contact.pk,
        [SetChoice(key, "email", SUBSCRIBED)],
        actor=Actor(ActorType.SUBJECT_LINK),
        source=Source(method="page"),
    )
    message = message_to(contact.email)
    add_headers(message, contact, key)
    assert problems(message, key) == []
    sent = wire(message)
    (uri,) = uris(message)
    assert uri.startswith(f"https://{host}/prefs/u/")
    listed = sent["List-Id"].strip()  # a long one begins on the next line
    assert LIST.fullmatch(listed.encode("unicode_escape").decode()) or not listed.isascii()
    assert "rosa" not in f"{uri}{sent['List-Id']}".replace(label, "")
    assert decide(contact.pk, key, "email").verdict == "send"
    assert post(uri).status_code == 200
    assert decide(contact.pk, key, "email").verdict == "refuse"


def post(uri: str) -> Any:
    path = re.sub(r"^https?://[^/]+", "", uri)
    return Client(enforce_csrf_checks=True).post(path, {"List-Unsubscribe": "One-Click"})


@pytest.mark.parametrize("center", [True, False])
def test_em_06_what_a_header_says_is_what_its_address_does(reader: Contact, center: bool) -> None:
    page = factories.make_center(site=Site.objects.get(hostname=HOST))
    message = message_to(reader.email)
    add_headers(message, reader, "news", center=page.translation_key if center else None)
    assert post(uris(message)[0]).status_code == 200
    assert decide(reader.pk, "news", "email").verdict == "refuse"
    assert decide(reader.pk, "offers", "email").verdict == "send"
    state = load_state(reader.pk)
    assert (state.choices[("news", "email")], state.opted_out) == (UNSUBSCRIBED, False)


def test_em_07_nothing_of_hers_stands_in_them(reader: Contact) -> None:
    message = message_to(reader.email)
    add_headers(message, reader, "news")
    said = " ".join(message.extra_headers.values())
    assert "@" not in said
    assert "rosa" not in said
    assert str(reader.pk) not in said


def test_the_label_is_in_her_language_and_else_in_any(reader: Contact) -> None:
    TopicText.objects.filter(topic__key="offers", locale__language_code="en").delete()
    for language, topic, label in (
        ("de", "news", "Neues"),
        ("de-AT", "news", "Neues"),
        ("en", "news", "News"),
        ("fr", "news", "News"),
        ("", "news", "News"),
        ("en", "offers", "Angebote"),
    ):
        reader.language = language
        message = message_to(reader.email)
        add_headers(message, reader, topic)
        assert str(wire(message)["List-Id"]).startswith(f"{label} <{topic}.")
    TopicText.objects.all().delete()
    message = message_to(reader.email)
    add_headers(message, reader, "news")
    assert str(wire(message)["List-Id"]).startswith("news <news.")


def test_words_beyond_ascii_arrive_as_they_are(reader: Contact) -> None:
    TopicText.objects.filter(topic__key="news", topic__audience=reader.audience).update(
        label="Für Räder, neu"
    )
    message = message_to(reader.email)
    add_headers(message, reader, "news")
    assert message.extra_headers[LIST_ID].isascii()
    assert str(wire(message)["List-Id"]) == f"Für Räder, neu <news.{reader.audience.key}.{HOST}>"
    assert b"<news." in message.message().as_bytes()


def test_it_costs_four_statements(reader: Contact) -> None:
    message = message_to(reader.email)
    reader = Contact.objects.get(pk=reader.pk)
    with CaptureQueriesContext(connection) as asked:
        add_headers(message, reader, "news")
    assert len(asked) <= 4


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "list-unsubscribe", "LIST-ID", "List-unsubscribe-post"])
def test_em_01_headers_that_are_there_are_not_doubled(reader: Contact, name: str) -> None:
    message = message_to(reader.email, headers={name: "<https://elsewhere.example/>"})
    with pytest.raises(ValueError, match="already"):
        add_headers(message, reader, "news")
    assert message.extra_headers == {name: "<https://elsewhere.example/>"}


def test_em_01_nor_are_those_of_one_recipient(reader: Contact) -> None:
    message = message_to(reader.email, kind=AnymailMessage)
    message.merge_headers = {reader.email: {"List-Unsubscribe": "<https://elsewhere.example/>"}}
    with pytest.raises(ValueError, match="already"):
        add_headers(message, reader, "news")


def test_twice_is_refused(reader: Contact) -> None:
    message = message_to(reader.email)
    add_headers(message, reader, "news")
    with pytest.raises(ValueError, match="already"):
        add_headers(message, reader, "news")


def test_a_dict_of_headers_that_many_mails_share_stays_as_it_is(reader: Contact) -> None:
    shared = {"X-Mailer": "brand"}
    for _ in range(2):
        message = message_to(reader.email, headers=shared)
        add_headers(message, reader, "news")
        assert problems(message) == []
    assert shared == {"X-Mailer": "brand"}


def test_em_14_what_always_comes_has_nothing_to_leave(reader: Contact) -> None:
    message = message_to(reader.email)
    with pytest.raises(ValueError, match="always sent"):
        add_headers(message, reader, "orders")
    assert not any(name in wire(message) for name in NAMES)


@pytest.mark.parametrize("topic", ["", "nws", "news\r\nBcc: x", "NEWS", "x" * 100, "'; --"])
def test_a_topic_there_is_not_is_refused(reader: Contact, topic: str) -> None:
    with pytest.raises(ValueError, match="no such topic"):
        add_headers(message_to(reader.email), reader, topic)


def test_a_topic_of_another_audience_is_refused(reader: Contact) -> None:
    other = factories.make_audience()
    Topic.objects.create(audience=other, key="secret", channels=["email"])
    with pytest.raises(ValueError, match="no such topic"):
        add_headers(message_to(reader.email), reader, "secret")


@pytest.mark.parametrize("channel", ["post", "", "fax"])
def test_a_channel_that_the_topic_does_not_come_by_is_refused(reader: Contact, channel: str) -> None:
    with pytest.raises(ValueError, match="does not come by"):
        add_headers(message_to(reader.email), reader, "news", channel)


HER = "rosa@mail.example.org"


@pytest.mark.parametrize(
    ("to", "more"),
    [
        ([], {}),
        (["emil@mail.example.org"], {}),
        ([HER, "emil@mail.example.org"], {}),
        ([HER], {"cc": ["emil@mail.example.org"]}),
        ([HER], {"bcc": ["emil@mail.example.org"]}),
        ([HER, HER], {}),
        ([f"{HER}, emil@mail.example.org"], {}),
        ([f"{HER} <emil@mail.example.org>"], {}),
        ([f'"{HER}" <emil@mail.example.org>'], {}),
        ([f"{HER})emil@evil.example"], {}),
        ([f"<{HER}>emil@evil.example"], {}),
        ([f"emil@evil.example <{HER}"], {}),
        (["rosa@mail.example.org.evil.example"], {}),
        (["rosa+1@mail.example.org"], {}),
        (["not an address"], {}),
    ],
)
def test_a_mail_to_anybody_else_is_refused(reader: Contact, to: list[str], more: dict[str, Any]) -> None:
    message = EmailMessage("Subject", "Body", "news@brand.example", to, **more)
    with pytest.raises(ValueError, match="to no other") as refused:
        add_headers(message, reader, "news")
    assert HER not in str(refused.value)
    assert message.extra_headers == {}


@pytest.mark.parametrize(
    "to", [HER, f" {HER}", "Rosa@MAIL.example.org", formataddr(("Rosa, R.", HER)), f"<{HER}>"]
)
def test_her_address_may_be_spelled_in_any_way(reader: Contact, to: str) -> None:
    message = message_to(to)
    add_headers(message, reader, "news")
    assert problems(message) == []


def test_who_has_no_address_gets_no_mail(reader: Contact) -> None:
    reader.email = ""
    for to in ([], [""]):
        with pytest.raises(ValueError, match="to no other"):
            add_headers(EmailMessage("Subject", "Body", "a@brand.example", to), reader, "news")


@pytest.mark.parametrize("hostname", [HOST, "bücher.example"])
def test_em_01_a_site_that_mail_programs_cannot_call_is_refused(reader: Contact, hostname: str) -> None:
    port = 80 if hostname == HOST else 443
    Site.objects.filter(hostname=HOST).update(hostname=hostname, port=port)
    message = message_to(reader.email)
    with pytest.raises(ImproperlyConfigured, match="port 443"):
        add_headers(message, reader, "news")
    assert message.extra_headers == {}


def test_development_needs_no_https(reader: Contact) -> None:
    Site.objects.filter(hostname=HOST).update(port=80)
    message = message_to(reader.email)
    with override_settings(DEBUG=True):
        add_headers(message, reader, "news")
        assert problems(message) == []
    assert problems(message) == ["List-Unsubscribe does not begin with https:"]
    Site.objects.filter(hostname=HOST).update(hostname="127.0.0.1", port=8000)
    local = message_to(reader.email)
    add_headers(local, reader, "news")
    assert problems(local) == []


# --- the check -------------------------------------------------------------------------------------------------------


def _spoil(name: str, change: Callable[[str], str]) -> Callable[[EmailMessage], None]:
    def spoil(message: EmailMessage) -> None:
        message.extra_headers[name] = change(message.extra_headers[name])

    return spoil


def _drop(name: str) -> Callable[[EmailMessage], None]:
    return lambda message: message.extra_headers.pop(name)


def _double(message: EmailMessage) -> None:
    message.extra_headers["list-unsubscribe"] = message.extra_headers["List-Unsubscribe"]


def _other_contact(message: EmailMessage) -> None:
    other = get_or_create(Audience.objects.get(site__hostname=HOST).pk, "emil@mail.example.org")
    message.extra_headers.update(one_click_headers(other, "news"))


def _everything(message: EmailMessage) -> None:
    contact = Contact.objects.get(email=HER)
    message.extra_headers["List-Unsubscribe"] = f"<{one_click_url(contact, '', '')}>"


def _gone(_message: EmailMessage) -> None:
    Contact.objects.filter(email=HER).delete()


def _merged_headers(message: EmailMessage) -> None:
    message.merge_headers = {HER: {"list-id": "<x.brand.example>"}}  # type: ignore[attr-defined]


SPOILED: dict[str, tuple[Callable[[EmailMessage], Any], str]] = {
    "no List-Unsubscribe": (_drop("List-Unsubscribe"), "there are 0 of List-Unsubscribe"),
    "no pair": (_drop("List-Unsubscribe-Post"), "there are 0 of List-Unsubscribe-Post"),
    "no List-Id": (_drop("List-Id"), "there are 0 of List-Id"),
    "two": (_double, "there are 2 of List-Unsubscribe"),
    "for one recipient": (_merged_headers, "once more"),
    "another pair": (_spoil("List-Unsubscribe-Post", lambda _: "List-Unsubscribe=Yes"), "is not List-Uns"),
    "two addresses": (_spoil("List-Unsubscribe", lambda one: f"{one}, {one}"), "is not one https URI"),
    "the mailbox first": (_spoil("List-Unsubscribe", lambda one: f"<mailto:a@b.example>, {one}"), "not one"),
    "a mailbox alone": (_spoil("List-Unsubscribe", lambda _: "<mailto:a@b.example>"), "with https:"),
    "no brackets": (_spoil("List-Unsubscribe", lambda one: one.strip("<>")), "is not one https URI"),
    "http": (_spoil("List-Unsubscribe", lambda one: one.replace("https:", "http:")), "with https:"),
    "another host": (
        _spoil("List-Unsubscribe", lambda one: one.replace(HOST, "evil.example")),
        "another host",
    ),
    "another page": (_spoil("List-Unsubscribe", lambda one: one.replace("/u/", "/l/")), "another page"),
    "no page": (_spoil("List-Unsubscribe", lambda one: one.replace("/prefs/", "/x/")), "no page"),
    "cut off": (_spoil("List-Unsubscribe", lambda one: f"{one[:-4]}/>"), "does not open"),
    "of somebody else": (_other_contact, "another contact"),
    "of everything": (_everything, "no topic"),
    "of nobody": (_gone, "does not open"),
    "another list": (_spoil("List-Id", lambda one: one.replace("<news.", "<offers.")), "List-Id is not that"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SPOILED)
def test_em_06_what_is_wrong_is_found(reader: Contact, kind: type[EmailMessage], name: str) -> None:
    message = message_to(reader.email, kind=kind)
    add_headers(message, reader, "news")
    assert problems(message, "news") == []
    spoil, expected = SPOILED[name]
    spoil(message)
    found = problems(message, "news")
    assert any(expected in problem for problem in found), found
    assert HER not in " ".join(found)


def test_em_06_a_mail_about_another_topic_is_found(reader: Contact) -> None:
    message = message_to(reader.email)
    add_headers(message, reader, "news")
    assert problems(message, "offers") == ["the link is about another topic than the mail"]


def test_em_14_a_mail_that_always_comes_is_found(reader: Contact) -> None:
    headers = {**one_click_headers(reader, "orders"), LIST_ID: f"<orders.{reader.audience.key}.{HOST}>"}
    assert problems(message_to(reader.email, headers=headers)) == [
        "the topic is always sent: there is nothing to leave"
    ]


def test_a_mail_without_headers_has_three_problems(reader: Contact) -> None:
    assert len(problems(message_to(reader.email))) == 3


def test_the_check_changes_nothing(reader: Contact) -> None:
    message = message_to(reader.email)
    add_headers(message, reader, "news")
    before = (dict(message.extra_headers), load_state(reader.pk).version)
    assert problems(message, "news") == []
    assert (dict(message.extra_headers), load_state(reader.pk).version) == before
    assert mail.outbox == []


# --- on their way ----------------------------------------------------------------------------------------------------


def test_anymail_gets_the_headers_as_they_are(reader: Contact) -> None:
    message = message_to(reader.email, kind=AnymailMessage)
    add_headers(message, reader, "news")
    assert EmailBackend().send_messages([message]) == 1
    told = message.anymail_test_params["extra_headers"]  # type: ignore[attr-defined]
    assert {name: told[name] for name in NAMES} == message.extra_headers
    assert message.anymail_status.status == {"sent"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"])
def test_em_17_a_name_with_a_line_end_makes_no_header(reader: Contact, line_end: str) -> None:
    label = f"News{line_end}Bcc: emil@mail.example.org"
    TopicText.objects.filter(topic__key="news").update(label=label)
    message = message_to(reader.email)
    add_headers(message, reader, "news")
    sent = wire(message)
    assert "Bcc" not in sent
    assert message.recipients() == [HER]
    assert problems(message, "news") == []


def test_links_of_a_header_open_for_ever(reader: Contact) -> None:
    message = message_to(reader.email)
    add_headers(message, reader, "news")
    token = Path(uris(message)[0]).name
    assert open_link(token, Purpose.UNSUBSCRIBE).topic == "news"


# --- the pages -------------------------------------------------------------------------------------------------------


def test_the_page_about_django_does_what_it_says(audience: Audience) -> None:
    page = factories.make_center(site=Site.objects.get(hostname=HOST))
    rosa = get_or_create(audience.pk, HER, language="en")
    emil = get_or_create(audience.pk, "emil@mail.example.org")
    for who, value in ((rosa, SUBSCRIBED), (emil, UNSUBSCRIBED)):
        submissions.record(
            who.pk,
            [SetChoice("news", "email", value)],
            actor=Actor(ActorType.SUBJECT_LINK),
            source=Source(method="page"),
        )
    site = Site.objects.get(hostname=HOST)
    names = {"rosa": rosa, "emil": emil, "center": page.translation_key, "mail": mail, "site": site}
    assert explained.run(explained.DOCS / "how-to" / "send-from-django.md", names) == 14


def test_the_page_about_platforms_names_the_columns(audience: Audience) -> None:
    """And its way to ask before a campaign works."""
    text = (explained.DOCS / "how-to" / "send-from-your-esp.md").read_text()
    page = factories.make_center(site=Site.objects.get(hostname=HOST))
    reader = get_or_create(audience.pk, HER)
    written = StringIO()
    call_command("prefs_links", center=page.translation_key, topic="news", with_address=True, stdout=written)
    head = written.getvalue().splitlines()[0].split(",")
    assert head == re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    (code,) = [
        block.code
        for block in blocks(explained.DOCS / "how-to" / "send-from-your-esp.md")
        if "decide(" in block.code
    ]
    names: dict[str, Any] = {"ids": [reader.pk]}
    exec(code, names)
    assert names["may"] == []
