"""Finding a person and looking at her: who sees what, what is logged, what it costs, and what never shows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import brs_kb
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.delivery.people import HERSELF, JOIN, LEAVE, OUT, WEEKLY, save
from tests.factories import make_audience, make_contact, make_editor, make_site, make_topics
from wagtail_prefs.admin import people, staff_log
from wagtail_prefs.changes import GiveReason, Pause, SetAttribute, SetChoice
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery, Lane
from wagtail_prefs.delivery.services import retry as retry_row, run_once
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions.services import erase, merge_contacts, record
from wagtail_prefs.topics.models import Audience, Topic, TopicText
from wagtail_prefs.values import PENDING, SUBSCRIBED, Actor, ActorType, Evidence, Source

pytestmark = pytest.mark.django_db

FIND = "prefs_contacts:index"
ADDRESS = "anna@mail.example.org"


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(make_editor())
    return client


@pytest.fixture
def anna() -> Contact:
    make_topics()
    return make_contact(ADDRESS, language="de-AT", country="AT", timezone="Europe/Vienna", source="import")


def person(client: Client, contact: Contact) -> str:
    answer = client.get(reverse("prefs_contacts:person", args=[contact.pk]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def logged(contact: Contact | Audience) -> list[tuple[str, dict[str, Any]]]:
    entries = ModelLogEntry.objects.for_instance(contact).order_by("pk")
    return list(entries.values_list("action", "data"))


# --- find --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [ADDRESS, "  ANNA@Mail.Example.ORG ", "crm-7", "{id}", "{ID}", "{receipt}"])
def test_a_person_is_found_by_what_staff_are_told(editor: Client, anna: Contact, typed: str) -> None:
    Contact.objects.filter(pk=anna.pk).update(external_id="crm-7")
    save(anna.pk, JOIN)
    receipt = Record.objects.get(contact_ref=anna.pk).pk
    term = typed.format(id=anna.pk, ID=str(anna.pk).upper(), receipt=receipt)
    answer = editor.post(reverse(FIND), {"term": term})
    assert answer.status_code == 302
    assert answer["Location"] == reverse("prefs_contacts:person", args=[anna.pk])


@pytest.mark.parametrize(
    "typed",
    [
        "nobody@mail.example.org",
        "crm-8",
        "48c719c3-c1a1-4b25-87ff-81e952373547",
        "@",
        "a@b",
        "x@" + "ä" * 90 + ".de",
        "%",
        "z" * 300,
    ],
)
def test_who_is_not_there_is_not_found(editor: Client, anna: Contact, typed: str) -> None:
    answer = editor.post(reverse(FIND), {"term": typed})
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "There is nobody like that" in text
    assert "suppressed: it was erased" not in text
    assert ("The address is not suppressed." in text) is ("@" in typed)
    assert logged(anna.audience) == [(staff_log.MISSED, {})]


@pytest.mark.parametrize("typed", ["", " ", "a\0b", "x" * 321])
def test_what_cannot_be_looked_for_is_said(editor: Client, anna: Contact, typed: str) -> None:
    answer = editor.post(reverse(FIND), {"term": typed})
    assert answer.status_code == 200
    assert answer.context["form"].errors


def test_an_erased_address_says_that_it_is_suppressed(editor: Client, anna: Contact) -> None:
    erase(anna.pk, actor=Actor(ActorType.SYSTEM, "test"), source=Source(method="test"))
    text = editor.post(reverse(FIND), {"term": ADDRESS}).content.decode()
    assert "it was erased once" in text
    assert "not suppressed" not in text


def test_a_merged_person_leads_to_whom_she_became(editor: Client, anna: Contact) -> None:
    winner = make_contact("anna2@mail.example.org")
    merge_contacts(anna.pk, winner.pk, actor=HERSELF, source=Source(method="test"))
    answer = editor.post(reverse(FIND), {"term": ADDRESS})
    assert answer["Location"] == reverse("prefs_contacts:person", args=[winner.pk])
    text = person(editor, anna)
    assert "goes on as another contact" in text
    assert reverse("prefs_contacts:person", args=[winner.pk]) in text
    assert str(anna.pk) in person(editor, winner)


def test_one_looks_only_in_an_audience_of_ones_own(client: Client, anna: Contact) -> None:
    other = make_audience(make_site("other.example", port=443))
    client.force_login(make_staff("here", "view_contact", site=anna.audience.site))
    elsewhere = make_contact("berta@mail.example.org", audience=other)
    for term in ("berta@mail.example.org", str(elsewhere.pk)):
        for audience in ({}, {"audience": other.pk}):
            answer = client.post(reverse(FIND), {"term": term, **audience})
            assert answer.status_code == 200
            assert "There is nobody like that" in answer.content.decode()
    client.force_login(make_staff("both", "view_contact"))
    assert client.post(reverse(FIND), {"term": "berta@mail.example.org"}).context["form"].errors
    for term, audience in (("berta@mail.example.org", other), (str(elsewhere.pk), anna.audience)):
        found = client.post(reverse(FIND), {"term": term, "audience": audience.pk})
        assert found["Location"] == reverse("prefs_contacts:person", args=[elsewhere.pk])


def test_what_is_typed_stands_in_no_url_and_no_log(
    editor: Client, anna: Contact, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    page = editor.get(reverse(FIND), {"term": ADDRESS})
    assert 'method="post"' in page.content.decode()
    assert ADDRESS not in page.content.decode()
    found = editor.post(reverse(FIND), {"term": ADDRESS}, follow=True)
    editor.post(reverse(FIND), {"term": "nobody@mail.example.org"})
    assert all("@" not in url for url, _status in found.redirect_chain)
    ours = [entry.getMessage() for entry in caplog.records if not entry.name.startswith("django.db")]
    assert not any("mail.example.org" in message for message in ours)
    for entry in ModelLogEntry.objects.all():
        assert "mail.example" not in f"{entry.label} {entry.data}"
    assert "no-store" in page["Cache-Control"] or "no-cache" in page["Cache-Control"]


def test_a_site_without_an_audience_says_so(editor: Client) -> None:
    Audience.objects.all().delete()
    answer = editor.post(reverse(FIND), {"term": ADDRESS})
    assert "There is no audience yet" in answer.content.decode()


def test_finding_stands_in_the_menu_of_those_who_may(client: Client) -> None:
    make_site()
    client.force_login(make_staff("may", "view_contact"))
    assert reverse(FIND) in client.get(reverse("wagtailadmin_home")).content.decode()
    client.force_login(make_staff("mayn", "view_delivery"))
    assert reverse(FIND) not in client.get(reverse("wagtailadmin_home")).content.decode()


# --- look --------------------------------------------------------------------------------------------------------------


def test_a_person_as_staff_see_her(editor: Client, anna: Contact) -> None:
    now = timezone.now()
    save(anna.pk, JOIN, WEEKLY)
    save(anna.pk, SetChoice("offers", "sms", PENDING, now + timedelta(days=2)))
    save(anna.pk, Pause("", "email", now + timedelta(days=30)))
    text = person(editor, anna)
    for words in (
        "a***@m***.org", "de-AT (from an import)", "AT (from an import)", "Europe/Vienna (from an import)", "Subscribed",
        "Waits to be confirmed", "Never asked", "Always sent", "At most one a week", "The contact has paused this.",
        "The contact has not confirmed her consent yet.", "The topic is always sent.", "News by e-mail: subscribed",
        "She herself (python)",
    ):  # fmt: skip
        assert words in text, words
    for receipt in Record.objects.filter(contact_ref=anna.pk).values_list("pk", flat=True):
        assert str(receipt) in text
    assert ADDRESS not in text


def test_the_matrix_says_what_holds_now(anna: Contact) -> None:
    save(anna.pk, SetChoice("news", "email", SUBSCRIBED, timezone.now() + timedelta(days=1)))
    save(anna.pk, SetChoice("gone-topic", "push", SUBSCRIBED))
    found = people.load(anna)
    later = people.Person(
        anna, found.target, found.topics, timezone.now() + timedelta(days=2), None, found.labels
    )
    said = {
        (row.key, channel): cell.said
        for row in found.rows
        for channel, cell in zip(found.channels, row.cells, strict=True)
    }
    assert said["news", "email"] == "Subscribed"
    assert said["news", "post"] is None
    assert said["events", "email"] == "Never asked"
    assert said["gone-topic", "push"] == "Subscribed"
    assert said["gone-topic", "email"] is None
    assert next(row for row in later.rows if row.key == "news").cells[0].said == "Ended by itself"


def test_states_of_a_person_are_said(editor: Client, anna: Contact) -> None:
    save(anna.pk, OUT)
    assert "unsubscribed from everything" in person(editor, anna)
    Contact.objects.filter(pk=anna.pk).update(email_dead_at=datetime(2026, 3, 4, tzinfo=UTC))
    assert "found dead on March 4, 2026" in person(editor, anna)
    erase(anna.pk, actor=Actor(ActorType.SYSTEM, "test"), source=Source(method="test"))
    text = person(editor, anna)
    assert "was erased" in text
    assert "Change on her behalf" not in text
    again = make_contact(ADDRESS)
    assert "is suppressed" in person(editor, again)


def test_each_look_is_logged_with_the_id_alone(client: Client, anna: Contact) -> None:
    user = make_staff("desk", "view_contact", "reveal_contact")
    client.force_login(user)
    person(client, anna)
    client.post(reverse("prefs_contacts:reveal", args=[anna.pk]))
    assert logged(anna) == [(staff_log.VIEWED, {}), (staff_log.REVEALED, {})]
    entries = ModelLogEntry.objects.for_instance(anna)
    assert {entry.label for entry in entries} == {str(anna.pk)}
    assert {entry.user_id for entry in entries} == {user.pk}
    text = person(client, anna)
    assert "Saw her address and her answers" in text
    assert "desk" in text


def test_raw_values_show_by_the_button_only(client: Client, anna: Contact) -> None:
    Contact.objects.filter(pk=anna.pk).update(external_id="crm-7")
    save(anna.pk, SetAttribute("shoe_size", "Forty-two"), SetAttribute("likes", ["Tea", "Cake"]))
    save(anna.pk, GiveReason("other", "In my own words"))
    client.force_login(make_staff("viewer", "view_contact"))
    secrets = (ADDRESS, "crm-7", "Forty-two", "Tea, Cake", "In my own words")
    url = reverse("prefs_contacts:reveal", args=[anna.pk])
    text = person(client, anna)
    assert url not in text
    client.force_login(make_staff("revealer", "view_contact", "reveal_contact"))
    hidden = person(client, anna)
    assert url in hidden
    assert not any(secret in text + hidden for secret in secrets)
    assert client.get(url).status_code == 405
    shown = client.post(url).content.decode()
    assert [secret for secret in secrets if secret not in shown] == []


def test_the_button_needs_its_token(anna: Contact) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_editor())
    assert client.post(reverse("prefs_contacts:reveal", args=[anna.pk])).status_code == 403
    assert client.post(reverse(FIND), {"term": ADDRESS}).status_code == 403


def test_a_history_has_pages(editor: Client, anna: Contact) -> None:
    for number in range(people.PAGE + 3):
        save(anna.pk, JOIN if number % 2 else LEAVE)
    receipts = list(Record.objects.filter(contact_ref=anna.pk).order_by("-seq").values_list("pk", flat=True))
    first = editor.get(reverse("prefs_contacts:person", args=[anna.pk])).content.decode()
    assert [str(receipt) in first for receipt in receipts] == [True] * people.PAGE + [False] * 3
    before = people.load(anna).earlier
    url = reverse("prefs_contacts:person", args=[anna.pk])
    assert f"?before={before}#" in first
    rest = editor.get(url, {"before": before}).content.decode()
    assert [str(receipt) in rest for receipt in receipts] == [False] * people.PAGE + [True] * 3
    for nonsense in ("x", "-1", "9" * 40, "٣", ""):
        assert editor.get(url, {"before": nonsense}).status_code == 200


def test_who_did_it_is_said(editor: Client, anna: Contact) -> None:
    desk = make_staff("desk", "view_contact")
    acts = [
        (Actor(ActorType.ADMIN, str(desk.pk)), "staff"), (Actor(ActorType.ADMIN, "no number"), "staff"),
        (Actor(ActorType.IMPORT, "list-7"), "import"), (Actor(ActorType.BACKEND, "crm"), "inbound"),
        (Actor(ActorType.ONE_CLICK), "one_click"), (Actor(ActorType.GPC), "gpc"),
        (Actor(ActorType.API, "shop"), "checkout"), (Actor(ActorType.SYSTEM, "expiry"), "expiry"),
    ]  # fmt: skip
    for number, (actor, method) in enumerate(acts):
        change = Pause("", "email", timezone.now() + timedelta(days=30 + number))
        record(anna.pk, [change], actor=actor, source=Source(method=method))
    text = person(editor, anna)
    for words in (
        "Staff: desk (staff)", "Staff: no number (staff)", "Import: list-7", "Backend: crm", "unsubscribe button",
        "privacy signal", "System: shop / checkout", "Ended by itself",
    ):  # fmt: skip
        assert words in text, words


def test_evidence_is_shown(editor: Client, anna: Contact) -> None:
    evidence = Evidence("order 4711", datetime(2026, 5, 6, 7, 8, tzinfo=UTC))
    source = Source(method="checkout", evidence=evidence, source_url="https://shop.example/checkout")
    record(anna.pk, [JOIN], actor=Actor(ActorType.API, "shop"), source=source)
    text = person(editor, anna)
    assert "order 4711 (May 6, 2026, 7:08 a.m.)" in text
    assert "https://shop.example/checkout" in text
    assert 'href="https://shop' not in text


class Shape(HTMLParser):
    """The elements of a page with the names of their attributes, and where links and forms lead."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Any] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        leads = [value for name, value in attrs if name in {"href", "src", "action"} and not _sidebar(value)]
        self.found.append((tag, [name for name, _value in attrs], leads))

    def handle_comment(self, data: str) -> None:
        self.found.append("comment")


def _sidebar(value: str | None) -> bool:
    return value is not None and value.startswith("#")


def filled(anna: Contact, text: str, *, more: Sequence[str] = ()) -> None:
    """A text in every field that somebody else can fill: she, a CRM, an import, an editor, a colleague."""
    Contact.objects.filter(pk=anna.pk).update(
        external_id=text, language=text[:35], language_source=text[:32], country=text[:6], country_source=text[:32],
        timezone=text[:64], timezone_source=text[:32],
    )  # fmt: skip
    TopicText.objects.update(label=text)
    Audience.objects.update(name=text)
    save(anna.pk, SetAttribute("a" + text, text), SetAttribute("list", [text, *more]), GiveReason(text, text))
    evidence = Evidence(text, datetime(2026, 5, 6, tzinfo=UTC))
    source = Source(method=text, source_url=text, language=text, user_agent_family=text, evidence=evidence)
    record(anna.pk, [JOIN], actor=Actor(ActorType.API, text), source=source)
    record(anna.pk, [WEEKLY], actor=Actor(ActorType.ADMIN, text), source=source)
    Delivery.objects.update(last_code=text[:128], parked=[{"kind": text, "code": text}], attempts=1)
    staff_log.changed(anna, None, act=text, receipt=text, reason=text)
    staff_log.retried(anna, None, text)


def pages_about(editor: Client, anna: Contact, text: str) -> list[str]:
    form = {"reason": text, "evidence_reference": text, "choice:news:email": text, "pause:all": text}
    answers = [
        editor.get(reverse("prefs_contacts:person", args=[anna.pk])),
        editor.post(reverse("prefs_contacts:reveal", args=[anna.pk])),
        editor.get(reverse("prefs_contacts:change", args=[anna.pk])),
        editor.post(reverse("prefs_contacts:change", args=[anna.pk]), form),
        editor.post(reverse(FIND), {"term": f"{text}?"}),
        editor.get(reverse("prefs_deliveries:inspect", args=[Delivery.objects.get(contact=anna.pk).pk])),
    ]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.content.decode() for answer in answers]


def shapes(pages: Sequence[str]) -> list[list[Any]]:
    return [Shape(page).found for page in pages]


#: What a template, an attribute, a link and a reader of source each fall for; of every kind one.
NASTY = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'-alert(1)-'", "{{ 7|add:7 }}{% now 'Y' %}",
    "javascript:alert(1)", "</textarea><svg/onload=alert(1)>", "--><!-- x", "&lt;b&gt;", "\u202egnp.exe",
)  # fmt: skip


def test_nothing_of_others_is_markup(editor: Client, anna: Contact) -> None:
    """A page has the same elements whatever people, platforms and colleagues have written into it."""
    harmless, all_payloads = (
        "harmless",
        sorted(
            {str(entry["payload"])[:400].replace("\0", "") for entry in brs_kb.get_all_payloads().values()}
        ),
    )
    others = [make_contact(f"n{number}@mail.example.org") for number in range(len(NASTY))]
    filled(anna, harmless, more=["x"])
    expected = shapes(pages_about(editor, anna, harmless))
    assert sum(map(len, expected)) > 1000
    for other, nasty in zip(others, NASTY, strict=True):
        filled(other, nasty, more=all_payloads[:: len(NASTY)])
        pages = pages_about(editor, other, nasty)
        for found, wanted in zip(shapes(pages), expected, strict=True):
            assert without_ids(found, other) == without_ids(wanted, anna), nasty
        assert conditional_escape(nasty) in pages[1]  # it is shown, as what it is


def without_ids(found: list[Any], contact: Contact) -> Any:
    """Without what names the person."""
    ids = {
        str(contact.pk),
        *map(str, Delivery.objects.filter(contact=contact.pk).values_list("pk", flat=True)),
    }
    text = repr(found)
    for given in sorted(ids, key=len, reverse=True):
        text = text.replace(f"/{given}/", "/id/")
    return text


# --- deliveries --------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(anna: Contact) -> Delivery:
    save(anna.pk, JOIN)
    now = timezone.now()
    Delivery.objects.filter(contact=anna.pk).update(
        failing_since=now - timedelta(hours=3), attempts=3, last_outcome="refused", last_code="http-422", due_at=None,
        parked=[{"kind": "contact.preferences", "code": "http-422"}],
    )  # fmt: skip
    return Delivery.objects.get(contact=anna.pk)


def retry(client: Client, row: Delivery, contact: Contact) -> Any:
    url = reverse("prefs_contacts:retry", args=[contact.pk, row.pk])
    return client.post(url, follow=True)


def test_a_parked_delivery_is_tried_again_and_arrives(
    editor: Client, anna: Contact, failed: Delivery
) -> None:
    text = person(editor, anna)
    assert "Refused" in text
    assert "Given up until somebody asks again" in text
    assert reverse("prefs_contacts:retry", args=[anna.pk, failed.pk]) in text
    run_once()
    failed.refresh_from_db()
    assert failed.delivered == 0  # nobody tries by itself
    assert "is tried again now" in retry(editor, failed, anna).content.decode()
    run_once()
    failed.refresh_from_db()
    assert failed.delivered == failed.wanted == 1
    assert (staff_log.RETRIED, {"backend": "database"}) in logged(anna)
    assert "Knows the newest version" in person(editor, anna)


def test_one_that_waits_for_its_next_try_need_not(editor: Client, anna: Contact, failed: Delivery) -> None:
    Delivery.objects.update(due_at=timezone.now() + timedelta(hours=5), last_outcome="retry", parked=[])
    retry(editor, failed, anna)
    failed.refresh_from_db()
    assert failed.due_at is not None
    assert failed.due_at <= timezone.now()


def test_the_end_of_a_pause_that_was_refused_is_tried_again(
    editor: Client, anna: Contact, failed: Delivery
) -> None:
    """The platform knows the version, and was to be told of the end of a pause in it."""
    Delivery.objects.update(delivered=failed.wanted)
    assert reverse("prefs_contacts:retry", args=[anna.pk, failed.pk]) in person(editor, anna)
    assert "is tried again now" in retry(editor, failed, anna).content.decode()
    failed.refresh_from_db()
    assert failed.due_at is not None


@pytest.mark.parametrize("state", ["done", "due", "never tried", "no longer configured"])
def test_what_did_not_fail_is_not_tried_again(
    editor: Client, anna: Contact, failed: Delivery, state: str
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "done": {"delivered": 1, "failing_since": None, "parked": []},
        "due": {"due_at": timezone.now() - timedelta(minutes=1)},
        "never tried": {"failing_since": None, "due_at": timezone.now() + timedelta(hours=1)},
        "no longer configured": {"backend": "old"},
    }
    Delivery.objects.update(**changes[state])
    Lane.objects.create(backend="old")
    before = Delivery.objects.values().get()
    text = person(editor, anna)
    assert reverse("prefs_contacts:retry", args=[anna.pk, failed.pk]) not in text
    assert ("No longer configured" in text) is (state == "no longer configured")
    answer = retry(editor, failed, anna)
    assert "There is nothing to try again" in answer.content.decode()
    if state != "no longer configured":  # the service does not rely on whoever asks
        assert not retry_row(failed.pk)
    assert Delivery.objects.values().get() == before
    assert all(action != staff_log.RETRIED for action, _data in logged(anna))


def test_a_backend_that_is_left_alone_says_until_when(
    editor: Client, anna: Contact, failed: Delivery
) -> None:
    Lane.objects.create(backend="database", paused_until=datetime(2999, 1, 2, tzinfo=UTC))
    assert "left alone until Jan. 2, 2999" in person(editor, anna)


def test_the_delivery_of_somebody_else_is_not_hers(editor: Client, anna: Contact, failed: Delivery) -> None:
    other = make_contact("other@mail.example.org")
    assert retry(editor, failed, other).status_code == 404
    failed.refresh_from_db()
    assert failed.due_at is None


def test_a_delivery_leads_to_its_person_and_back(client: Client, anna: Contact, failed: Delivery) -> None:
    url = reverse("prefs_deliveries:inspect", args=[failed.pk])
    again = reverse("prefs_contacts:retry", args=[anna.pk, failed.pk])
    client.force_login(make_staff("lists", "view_delivery"))
    text = client.get(url).content.decode()
    assert "Look at the person" not in text
    assert again not in text
    client.force_login(make_staff("more", "view_delivery", "view_contact", "retry_contact"))
    text = client.get(url).content.decode()
    assert reverse("prefs_contacts:person", args=[anna.pk]) in text
    assert again in text
    assert client.post(again, {"next": url})["Location"] == url
    assert client.post(again, {"next": "https://evil.example/"})["Location"] == reverse(
        "prefs_contacts:person", args=[anna.pk]
    )


def test_looking_at_a_subscriber_is_looking_at_a_person(client: Client, anna: Contact) -> None:
    save(anna.pk, JOIN, SetAttribute("shoe_size", "Forty-two"))
    run_once()
    user = make_staff("lists", "view_subscriber")
    client.force_login(user)
    text = client.get(reverse("prefs_subscribers:inspect", args=[anna.pk])).content.decode()
    assert "a***@m***.org" in text
    assert ADDRESS not in text
    assert "Forty-two" not in text
    assert logged(anna) == [(staff_log.VIEWED, {})]


# --- verify ------------------------------------------------------------------------------------------------------------


def verify(client: Client, contact: Contact) -> str:
    answer = client.post(reverse("prefs_contacts:verify", args=[contact.pk]), follow=True)
    return str(answer.content.decode())


def test_records_are_verified(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    assert "Her records are whole" in verify(editor, anna)
    assert (staff_log.VERIFIED, {"sound": True}) in logged(anna)
    anna.states.update(choice="unsubscribed")
    assert "something else than her state does: choice:news:email" in verify(editor, anna)
    assert (staff_log.VERIFIED, {"sound": False}) in logged(anna)


def test_a_tampered_chain_is_found(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    save(anna.pk, LEAVE)
    entry = Record.objects.get(contact_ref=anna.pk, seq=2)
    # As somebody would who has the database; the guard is down in tests.
    Record.objects.filter(pk=entry.pk).update(body=entry.body.replace("unsubscribed", "subscribed"))
    assert "is broken at number 2" in verify(editor, anna)


BROKEN = (
    "", "{}", "[]", "nonsense", '{"actor": {"type": "x"}}', '{"actor": 1}', '{"actor": {"type": "admin", "id": []}}',
    (
        '{"actor": {"type": "api", "id": ""}, "method": "m", "evidence_ref": "", "source_url": "", "effects": [{"path": '
        '"pause:all", "before": null, "after": "x", "action": "set", "purpose_id": "", "channel": "", '
        '"validity_until": null}]}'
    ),
)  # fmt: skip


@pytest.mark.parametrize("body", BROKEN)
def test_a_record_that_is_none_hides_nothing_else(editor: Client, anna: Contact, body: str) -> None:
    save(anna.pk, JOIN)
    save(anna.pk, LEAVE)
    Record.objects.filter(contact_ref=anna.pk, seq=2).update(body=body)
    text = person(editor, anna)
    assert "This record cannot be read" in text
    assert "News by e-mail: subscribed" in text
    assert "is broken at number 2" in verify(editor, anna)


# --- cost --------------------------------------------------------------------------------------------------------------


def test_the_cost_does_not_grow_with_people(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    url = reverse("prefs_contacts:person", args=[anna.pk])
    counts: list[tuple[int, ...]] = []
    for size in (1, 12):
        for number in range(size):
            other = make_contact(f"p{size}x{number}@mail.example.org")
            save(other.pk, JOIN, WEEKLY)
        asks = (
            lambda: editor.get(url),
            lambda: editor.post(reverse("prefs_contacts:reveal", args=[anna.pk])),
            lambda: editor.get(reverse("prefs_contacts:change", args=[anna.pk])),
            lambda: editor.post(reverse(FIND), {"term": ADDRESS}),
            lambda: editor.post(reverse(FIND), {"term": "nobody@mail.example.org"}),
        )
        for ask in asks:  # what a process keeps
            ask()
        seen = []
        for ask in asks:
            with CaptureQueriesContext(connection) as queries:
                assert ask().status_code in {200, 302}
            seen.append(len(queries))
        counts.append(tuple(seen))
    assert counts[0] == counts[1]
    # Seven topics on channels are seven decisions.
    assert max(counts[1]) <= 40, counts


def test_deliveries_and_records_are_asked_for_as_their_indexes_begin(editor: Client, anna: Contact) -> None:
    save(anna.pk, JOIN)
    with CaptureQueriesContext(connection) as queries:
        editor.get(reverse("prefs_contacts:person", args=[anna.pk]))
    ours = [
        query["sql"]
        for query in queries.captured_queries
        if query["sql"].startswith("SELECT")
        and any(model._meta.db_table in query["sql"] for model in (Delivery, Record))
    ]
    assert len(ours) >= 2
    assert all("contact" in sql and " LIKE " not in sql for sql in ours)
    of_deliveries = [sql for sql in ours if Delivery._meta.db_table in sql]
    assert of_deliveries
    assert all('"backend" IN (' in sql.partition("WHERE")[2] for sql in of_deliveries)


def test_more_topics_cost_decisions_only(editor: Client, anna: Contact) -> None:
    url = reverse("prefs_contacts:person", args=[anna.pk])

    def cost() -> int:
        editor.get(url)
        with CaptureQueriesContext(connection) as queries:
            editor.get(url)
        return len(queries)

    before = cost()
    for number in range(5):
        Topic.objects.create(audience=anna.audience, key=f"more-{number}", channels=["email"])
    assert cost() == before + 5
