"""Why did she get this? Staff find one message of one person, and read why it went out and what would be said now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from wagtail.models import ModelLogEntry

from tests import factories
from tests.admin.staff import make_staff
from wagtail_prefs.admin import staff_log
from wagtail_prefs.admin.why import PAGE, RULE_WORDS
from wagtail_prefs.changes import OptOut, Pause, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.decisions import counting
from wagtail_prefs.decisions.models import DecisionCount, Send
from wagtail_prefs.decisions.services import decide
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

pytestmark = pytest.mark.django_db

FIND = "/admin/prefs_contacts/messages/"


def choose(contact: Contact, *changes: Any) -> None:
    source = Source(method="page")
    submissions.record(contact.pk, changes, actor=Actor(ActorType.SUBJECT_LINK), source=source)


@pytest.fixture
def contact() -> Contact:
    factories.make_topics()
    contact = factories.make_contact("somebody@mail.example.org")
    choose(contact, SetChoice("news", "email", SUBSCRIBED))
    return contact


@pytest.fixture
def sent(contact: Contact) -> Send:
    """A message that was asked about, and let out."""
    assert decide(contact.pk, "news", "email", record="mailing-7", sender="Shop").verdict == "send"
    return Send.objects.get()


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_staff("staff", "view_contact", "change_contact"))
    return client


def note(contact: Contact, message: str, **values: Any) -> Send:
    found = {
        "topic": "news",
        "channel": "email",
        "at": timezone.now(),
        "verdict": "send",
        "reason": "subscribed",
    }
    return Send.objects.create(message_id=message, contact=contact.pk, **found | values)


def url(contact: Contact, send: Any = None) -> str:
    path = reverse("prefs_contacts:messages", args=[contact.pk])
    return path if send is None else f"{path}?send={send}"


class Seen:
    """The main part of a screen of the admin. Its HTML is Wagtail's, and not as tidy as ours."""

    def __init__(self, html: str) -> None:
        soup = BeautifulSoup(html, "html.parser")
        self.main: Any = soup.find("main")
        self.text = str(self.main)
        self.words = " ".join(self.main.get_text(" ").split())
        self.links = {
            " ".join(a.get_text(" ").split()): str(a["href"]) for a in self.main.find_all("a", href=True)
        }

    @property
    def chosen(self) -> dict[str, str]:
        """What is filled in, by the names of fields."""
        found = {
            one["name"]: str(one.get("value") or "") for one in self.main.find_all("input") if one.get("name")
        }
        for select in self.main.find_all("select"):
            one = select.find("option", selected=True)
            found[select["name"]] = str(one["value"]) if one else ""
        return found


def seen(client: Client, path: str) -> Seen:
    response = client.get(path)
    assert response.status_code == 200
    return Seen(response.content.decode())


def find(client: Client, message: str, term: str = "") -> Any:
    return client.post(FIND, {"message": message, "term": term})


def test_her_page_leads_to_her_messages(staff: Client, contact: Contact) -> None:
    page = staff.get(reverse("prefs_contacts:person", args=[contact.pk])).content.decode()
    assert f'href="{url(contact)}"' in page


def test_one_message_with_choice_decision_and_record(staff: Client, contact: Contact, sent: Send) -> None:
    page = seen(staff, url(contact, sent.pk))
    for words in (
        "News by e-mail",
        "Shop",
        "mailing-7",
        "s***@m***.org",
        "Sent as the rules say",
        "The contact has subscribed to this.",
        "She herself (page)",
        "News by e-mail: subscribed",
        "Another one like it May be sent",
    ):
        assert words in page.words, words
    record = Record.objects.get(contact_ref=contact.pk)
    assert str(record.pk) in page.text
    history = page.links[str(record.pk)].partition("#")[0]
    assert str(record.pk) in seen(staff, history).words
    assert "somebody@" not in page.text


def test_the_switch_is_the_form_on_her_behalf_filled_in(staff: Client, contact: Contact, sent: Send) -> None:
    page = seen(staff, url(contact, sent.pk))
    way = page.links["Stop “News by e-mail” on her behalf"]
    form = seen(staff, way).chosen
    assert {name: value for name, value in form.items() if name.startswith("choice:") and value} == {
        "choice:news:email": UNSUBSCRIBED
    }
    assert load_state(contact.pk).choices[("news", "email")] == SUBSCRIBED  # nothing was done by looking
    boxes = {name for name in form if name.startswith("resume:")}
    data = {name: value for name, value in form.items() if name not in boxes}
    data |= {"reason": "called us", "step": "confirm"}
    assert staff.post(way, data).status_code == 302
    assert load_state(contact.pk).choices[("news", "email")] == UNSUBSCRIBED
    page = seen(staff, url(contact, sent.pk))
    assert "She says Unsubscribed" in page.words
    assert "Must not be sent" in page.words
    assert "on her behalf" not in page.words


@pytest.mark.parametrize("stop", ["x", "news", "orders:email", "<script>", ":", "news:email:more"])
def test_a_made_up_switch_fills_in_nothing(staff: Client, contact: Contact, stop: str) -> None:
    response = staff.get(reverse("prefs_contacts:change", args=[contact.pk]), {"stop": stop})
    chosen = Seen(response.content.decode()).chosen
    assert not any(value for name, value in chosen.items() if name.startswith("choice:"))
    assert "choice:news:email" in chosen


def test_a_broken_promise_is_named(staff: Client, contact: Contact) -> None:
    row = note(
        contact, "m1", verdict="refuse", reason="opted_out", waited_since=datetime(2026, 1, 2, tzinfo=UTC)
    )
    page = seen(staff, url(contact, row.pk))
    assert "It should not have been sent" in page.words
    assert "Sent against a rule" in page.words
    assert str(RULE_WORDS["opted_out"]) in page.words
    assert "It had waited since Jan. 2, 2026" in page.words


def test_what_holds_now_is_said(staff: Client, contact: Contact, sent: Send) -> None:
    choose(
        contact,
        Pause("", "email", datetime(2090, 5, 3, 12, tzinfo=UTC)),
        SetFrequency("", "", "weekly"),
        SetFrequency("offers", "", "monthly"),
    )
    page = seen(staff, url(contact, sent.pk))
    assert "At most one a week" in page.words
    assert "At most one a month" not in page.words  # of another topic
    assert "May 3, 2090" in page.words
    assert "Must wait" in page.words


def test_who_left_everything_has_nothing_to_stop(staff: Client, contact: Contact, sent: Send) -> None:
    choose(contact, OptOut())
    assert "on her behalf" not in seen(staff, url(contact, sent.pk)).words


def test_what_is_always_sent_and_what_is_gone(staff: Client, contact: Contact) -> None:
    always = note(contact, "m1", topic="orders", reason="transactional")
    gone = note(contact, "m2", topic="gone", channel="fax", reason="of_the_site", verdict="")
    for row, words in ((always, "The topic is always sent."), (gone, "gone / fax")):
        page = seen(staff, url(contact, row.pk))
        assert words in page.words
        assert "on her behalf" not in page.words


def test_who_may_not_change_has_no_switch(client: Client, contact: Contact, sent: Send) -> None:
    client.force_login(make_staff("looker", "view_contact"))
    assert "on her behalf" not in seen(client, url(contact, sent.pk)).words


def test_a_message_of_somebody_else_is_not_there(staff: Client, contact: Contact, sent: Send) -> None:
    other = factories.make_contact("other@mail.example.org")
    assert staff.get(url(other, sent.pk)).status_code == 404
    for nonsense in ("x", "-1", "9" * 30, "", "1e3", "\u0661"):
        assert staff.get(url(contact, nonsense)).status_code == 404


def test_her_messages_the_newest_first_in_pages(staff: Client, contact: Contact) -> None:
    now = timezone.now()
    for number in range(PAGE + 3):
        note(contact, f"m{number}", at=now - timedelta(days=number), sender=f"Sender {number:02}")
    other = factories.make_contact("other@mail.example.org")
    note(other, "theirs", sender="Theirs")
    first = seen(staff, url(contact))
    assert [f"Sender {number:02}" in first.words for number in (0, PAGE - 1, PAGE)] == [True, True, False]
    assert "Theirs" not in first.words
    second = seen(staff, f"{url(contact)}?p=2")
    assert f"Sender {PAGE:02}" in second.words
    assert "Earlier" not in second.links
    assert "Nothing was sent to her before." in seen(staff, f"{url(contact)}?p=9").words
    assert seen(staff, f"{url(contact)}?p=x").words == first.words


def test_of_whom_nothing_was_noted_says_how_to_note_it(staff: Client, contact: Contact) -> None:
    words = seen(staff, url(contact)).words
    assert "Nobody noted that anything was sent to her." in words


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("mailing-7", True),
        ("<7f3a@shop.example>", True),
        ("mailing-7/somebody@mail.example.org", False),
        ("SOMEBODY-7", False),
    ],
)
def test_an_id_that_holds_her_address_is_not_shown(
    staff: Client, contact: Contact, message: str, shown: bool
) -> None:
    row = note(contact, message)
    text = staff.get(url(contact, row.pk)).content.decode()
    assert ("Not shown" in text) is not shown
    assert (message.strip("<>") in text) is shown


def test_what_senders_write_is_text(staff: Client, contact: Contact) -> None:
    evil = "\"><script>alert('1')</script>"
    row = note(contact, evil, sender=evil, reason=evil, verdict="refuse")
    text = staff.get(url(contact, row.pk)).content.decode()
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") >= 3


# --- by its id --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["mailing-7", " mailing-7 ", "<mailing-7>"])
def test_an_id_of_one_leads_to_it(staff: Client, contact: Contact, sent: Send, typed: str) -> None:
    response = find(staff, typed)
    assert response["Location"] == url(contact, sent.pk)


def test_an_id_of_many_wants_to_know_who(staff: Client, contact: Contact, sent: Send) -> None:
    other = factories.make_contact("other@mail.example.org")
    row = note(other, "mailing-7")
    assert "went to more than one person" in find(staff, "mailing-7").content.decode()
    assert find(staff, "mailing-7", "other@mail.example.org")["Location"] == url(other, row.pk)
    assert find(staff, "mailing-7", str(contact.pk))["Location"] == url(contact, sent.pk)
    nobody = find(staff, "mailing-7", "nobody@mail.example.org")
    assert "was sent to that person" in nobody.content.decode()
    assert nobody.status_code == 200


def test_an_id_of_nothing_says_what_to_do_next_and_is_logged_without_it(
    staff: Client, contact: Contact
) -> None:
    text = find(staff, "unheard of").content.decode()
    assert "Nobody noted that a message with this id was sent." in text
    assert "ask who sends" in text
    entry = ModelLogEntry.objects.get(action=staff_log.MISSED)
    assert "unheard" not in str(entry.data)
    assert find(staff, "").status_code == 200
    assert find(staff, "x" * 201).status_code == 200
    assert find(staff, "x\x00").status_code == 200


def test_who_looks_is_logged(staff: Client, contact: Contact, sent: Send) -> None:
    before = ModelLogEntry.objects.for_instance(contact).count()
    staff.get(url(contact, sent.pk))
    assert ModelLogEntry.objects.for_instance(contact).filter(action=staff_log.VIEWED).count() == before + 1


def test_the_people_of_another_site_are_not_found(client: Client, contact: Contact, sent: Send) -> None:
    elsewhere = factories.make_site("other.example", port=443)
    factories.make_audience(elsewhere)
    client.force_login(make_staff("elsewhere", "view_contact", site=elsewhere))
    assert client.get(url(contact)).status_code == 404
    for term in ("", str(contact.pk), contact.email):
        assert find(client, "mailing-7", term).status_code == 200
    client.force_login(make_staff("nobody"))
    assert client.get(FIND).status_code == 302
    assert client.get(url(contact)).status_code == 302


def test_whoever_was_merged_is_found_as_who_she_is(staff: Client, contact: Contact, sent: Send) -> None:
    winner = factories.make_contact("winner@mail.example.org")
    submissions.merge_contacts(
        contact.pk, winner.pk, actor=Actor(ActorType.SYSTEM), source=Source(method="api")
    )
    assert find(staff, "mailing-7", str(contact.pk))["Location"] == url(winner, sent.pk)
    page = seen(staff, url(winner, sent.pk))
    assert "She herself (page)" in page.words  # the record is of who she was


def test_an_erased_person_has_nothing(staff: Client, contact: Contact, sent: Send) -> None:
    submissions.erase(contact.pk, actor=Actor(ActorType.ADMIN, "1"), source=Source(method="admin"))
    assert staff.get(url(contact, sent.pk)).status_code == 404
    assert "Nobody noted that anything" in seen(staff, url(contact)).words


def test_looking_counts_as_no_question(staff: Client, contact: Contact, sent: Send) -> None:
    counting.flush()
    counting.forget()
    before = list(DecisionCount.objects.order_by("pk").values())
    seen(staff, url(contact, sent.pk))
    counting.flush()
    assert list(DecisionCount.objects.order_by("pk").values()) == before


def test_it_takes_as_many_statements_for_many_messages(
    staff: Client, contact: Contact, sent: Send, django_assert_max_num_queries: Any
) -> None:
    staff.get(url(contact, sent.pk))
    for number in range(60):
        note(contact, f"m{number}")
    with django_assert_max_num_queries(40):
        staff.get(url(contact, sent.pk))
