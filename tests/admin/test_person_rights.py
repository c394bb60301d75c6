"""What staff do for a person who wrote: her data as a file, forgetting her, and seeing that every platform follows."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.delivery.people import JOIN, save
from tests.factories import make_audience, make_contact, make_site, make_topics
from wagtail_prefs.admin import staff_log
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.rights.erasure import follow_erasures
from wagtail_prefs.rights.models import Erasure
from wagtail_prefs.rights.services import ERASED, EXPORTED, erase_person
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Source, iso

pytestmark = pytest.mark.django_db
ADDRESS = "anna@mail.example.org"
WHY = "Asked by letter"
STAFF = Actor(ActorType.ADMIN, "7")


@pytest.fixture
def anna() -> Contact:
    make_topics()
    contact = make_contact(ADDRESS)
    save(contact.pk, JOIN)
    run_once()
    return contact


@pytest.fixture
def officer(client: Client) -> Client:
    client.force_login(make_staff("officer", "view_contact", "export_contact", "erase_contact"))
    return client


def at(name: str, contact: Contact) -> str:
    return reverse(f"prefs_contacts:{name}", args=[contact.pk])


def test_the_buttons_are_for_those_who_may(client: Client, anna: Contact) -> None:
    client.force_login(make_staff("looks", "view_contact"))
    page = client.get(at("person", anna)).content.decode()
    assert at("export", anna) not in page and at("erase", anna) not in page
    client.force_login(make_staff("may", "view_contact", "export_contact", "erase_contact"))
    page = client.get(at("person", anna)).content.decode()
    assert at("export", anna) in page and at("erase", anna) in page


def test_her_data_is_a_file_and_the_reason_is_logged(officer: Client, anna: Contact) -> None:
    assert officer.get(at("export", anna)).status_code == 200
    assert not ModelLogEntry.objects.filter(action=EXPORTED).exists()
    answer = officer.post(at("export", anna), {"reason": WHY})
    assert answer["Content-Disposition"] == 'attachment; filename="person.zip"'
    assert {"no-store", "private"} <= set(answer["Cache-Control"].split(", "))
    data = json.loads(zipfile.ZipFile(io.BytesIO(answer.content)).read("data.json"))
    assert {"field": "email", "value": ADDRESS, "source": ""} in data["person"]
    entry = ModelLogEntry.objects.get(action=EXPORTED)
    assert entry.user.username == "officer" and entry.data == {"by": "staff", "reason": WHY}


@pytest.mark.parametrize("name", ["export", "erase"])
@pytest.mark.parametrize("reason", ["", f"wrote from {ADDRESS}"])
def test_without_a_reason_that_names_nobody_nothing_happens(
    officer: Client, anna: Contact, name: str, reason: str
) -> None:
    answer = officer.post(at(name, anna), {"reason": reason, "word": "erase"})
    assert answer.status_code == 422
    assert Contact.objects.get(pk=anna.pk).erased_at is None
    assert not ModelLogEntry.objects.filter(action__in=[EXPORTED, ERASED]).exists()


def test_erasing_takes_a_word_and_leads_to_the_account(officer: Client, anna: Contact) -> None:
    form = officer.get(at("erase", anna)).content.decode()
    assert "cannot be brought back" in form and "Told to forget her:" in form
    assert officer.post(at("erase", anna), {"reason": WHY, "word": "yes"}).status_code == 422
    assert Contact.objects.get(pk=anna.pk).erased_at is None
    answer = officer.post(at("erase", anna), {"reason": WHY, "word": " Erase "}, follow=True)
    assert answer.redirect_chain == [(reverse("prefs_erasures:index"), 302)]
    assert str(anna.pk) in answer.content.decode() and WHY in answer.content.decode()
    assert Contact.objects.get(pk=anna.pk).erased_at is not None
    entry = ModelLogEntry.objects.get(action=ERASED)
    assert entry.data == {"reason": WHY} and ADDRESS not in str(entry.label)
    # She is not there to be erased again.
    for name in ("export", "erase"):
        assert officer.get(at(name, anna)).status_code == 404
        assert officer.post(at(name, anna), {"reason": WHY, "word": "erase"}).status_code == 404


def test_the_word_is_in_the_language_of_whoever_types_it(anna: Contact, client: Client) -> None:
    from wagtail_prefs.admin.person_rights import EraseForm

    with translation.override("de"):
        form = EraseForm({"reason": WHY, "word": "LÖSCHEN"})
        assert form.is_valid(), form.errors
        assert "löschen" in str(form.fields["word"].help_text)


def test_what_a_platform_never_confirmed_is_settled_by_hand(officer: Client, anna: Contact) -> None:
    account = erase_person(anna.pk, actor=STAFF, source=Source(method="staff"))
    Erasure.objects.update(
        backends={"crm": {"state": "given_up", "at": "2026-01-01T00:00:00.000000Z"}}, done_at=None
    )
    index, settle = (
        reverse("prefs_erasures:index"),
        reverse("prefs_erasures:by-hand", args=[account.pk, "crm"]),
    )
    assert settle in officer.get(index).content.decode()
    assert officer.get(settle).status_code == 405
    officer.post(settle)
    account.refresh_from_db()
    assert account.backends["crm"]["state"] == "by_hand" and account.done_at is not None
    page = officer.get(index).content.decode()
    assert "Nothing is open" in page and settle not in page
    assert "Done by hand" in officer.get(f"{index}?show=all").content.decode()
    entry = ModelLogEntry.objects.get(action=staff_log.BY_HAND)
    assert (entry.user.username, entry.object_id, entry.data) == (
        "officer",
        str(anna.pk),
        {"backend": "crm"},
    )
    assert entry.message == "Had the person deleted at crm by hand"
    answer = officer.post(settle, {"show": "done"}, follow=True)
    assert "There is nothing to note" in answer.content.decode()
    assert answer.redirect_chain == [(f"{index}?show=done", 302)]
    assert ModelLogEntry.objects.filter(action=staff_log.BY_HAND).count() == 1


def test_what_is_listed_can_be_chosen(officer: Client, anna: Contact) -> None:
    index, made = reverse("prefs_erasures:index"), {}
    now = timezone.now()
    for name, state, due, done in (
        ("waits", "waiting", 20, False),
        ("late", "waiting", -1, False),
        ("stuck", "keeps", 20, False),
        ("over", "done", -5, True),
        ("settled", "by_hand", 20, True),
    ):
        contact = make_contact(f"{name}@mail.example.org").pk
        account = erase_person(contact, actor=STAFF, source=Source(method="staff"))
        Erasure.objects.filter(pk=account.pk).update(
            backends={"crm": {"state": "done", "at": iso(now)}, "esp": {"state": state, "at": iso(now)}},
            due_at=now + timedelta(days=due),
            done_at=now if done else None,
        )
        made[name] = str(contact)
    for asked, wanted in (
        ("", {"waits", "late", "stuck"}),
        ("open", {"waits", "late", "stuck"}),
        ("nonsense", {"waits", "late", "stuck"}),
        ("late", {"late"}),
        ("by-hand", {"stuck"}),
        ("done", {"over", "settled"}),
        ("all", set(made)),
    ):
        page = officer.get(index, {"show": asked} if asked else {}).content.decode()
        assert {name for name, contact in made.items() if contact in page} == wanted, asked
        assert page.count('aria-current="page"') >= 1


def test_who_erased_stands_there_also_where_nobody_of_the_staff_did(officer: Client, anna: Contact) -> None:
    submissions.erase(anna.pk, actor=Actor(ActorType.BACKEND, "esp"), source=Source(method="inbound"))
    assert "Backend: esp" in officer.get(reverse("prefs_erasures:index")).content.decode()


def stuck_at_crm(contact: Contact) -> Erasure:
    """Erased, and the platform, which knows her as 4711, has not confirmed it."""
    Delivery.objects.filter(contact=contact.pk).update(remote_id="4711")
    account = erase_person(contact.pk, actor=STAFF, source=Source(method="staff"))
    Delivery.objects.filter(contact=contact.pk).update(last_outcome="refused")
    follow_erasures()
    return account


def test_by_what_a_platform_knows_her_is_shown_by_a_button_and_logged(client: Client, anna: Contact) -> None:
    account = stuck_at_crm(anna)
    ids = reverse("prefs_erasures:ids", args=[account.pk])
    client.force_login(make_staff("reveals", "view_contact", "erase_contact", "reveal_contact"))
    page = client.get(reverse("prefs_erasures:index")).content.decode()
    assert ids in page and "4711" not in page and ADDRESS not in page
    assert client.get(ids).status_code == 405
    assert not ModelLogEntry.objects.filter(action=staff_log.TRACED).exists()
    answer = client.post(ids)
    page = answer.content.decode()
    assert "4711" in page and ADDRESS in page and "no-store" in answer["Cache-Control"]
    entry = ModelLogEntry.objects.get(action=staff_log.TRACED)
    assert (entry.user.username, entry.object_id) == ("reveals", str(anna.pk))
    assert "4711" not in str(entry.data) + entry.label and ADDRESS not in str(entry.data) + entry.label


def test_by_what_a_platform_knows_her_is_not_for_everybody(client: Client, anna: Contact) -> None:
    account = stuck_at_crm(anna)
    ids = reverse("prefs_erasures:ids", args=[account.pk])
    client.force_login(make_staff("erases", "view_contact", "erase_contact"))
    assert ids not in client.get(reverse("prefs_erasures:index")).content.decode()
    assert client.post(ids).status_code in {302, 403}
    elsewhere = make_site("other.example", port=443)
    make_audience(elsewhere)
    there = make_staff("there", "view_contact", "erase_contact", "reveal_contact", site=elsewhere)
    client.force_login(there)
    assert client.post(ids).status_code == 404
    assert not ModelLogEntry.objects.filter(action=staff_log.TRACED).exists()


def test_where_nothing_is_known_any_more_it_says_so(client: Client, anna: Contact) -> None:
    account = stuck_at_crm(anna)
    Delivery.objects.filter(contact=anna.pk).update(retired="", retired_at=None, remote_id="")
    Erasure.objects.update(backends={"database": {"state": "given_up", "at": iso(timezone.now())}})
    client.force_login(make_staff("reveals", "view_contact", "erase_contact", "reveal_contact"))
    page = client.post(reverse("prefs_erasures:ids", args=[account.pk])).content.decode()
    assert "Nothing is known here any more" in page


def test_the_accounts_of_another_site_are_not_there(client: Client, anna: Contact) -> None:
    account = erase_person(anna.pk, actor=STAFF, source=Source(method="staff"))
    Erasure.objects.update(
        backends={"crm": {"state": "given_up", "at": "2026-01-01T00:00:00.000000Z"}}, done_at=None
    )
    elsewhere = make_site("other.example", port=443)
    make_audience(elsewhere)
    client.force_login(make_staff("there", "view_contact", "erase_contact", site=elsewhere))
    assert str(anna.pk) not in client.get(reverse("prefs_erasures:index") + "?show=all").content.decode()
    assert client.post(reverse("prefs_erasures:by-hand", args=[account.pk, "crm"])).status_code == 404
    account.refresh_from_db()
    assert account.done_at is None


def test_the_list_costs_the_same_for_many(officer: Client, anna: Contact) -> None:
    index = reverse("prefs_erasures:index") + "?show=all"
    erase_person(anna.pk, actor=STAFF, source=Source(method="staff"))
    officer.get(index)
    with CaptureQueriesContext(connection) as few:
        officer.get(index)
    for number in range(5):
        erase_person(
            make_contact(f"p{number}@mail.example.org").pk, actor=STAFF, source=Source(method="staff")
        )
    with CaptureQueriesContext(connection) as many:
        officer.get(index)
    assert len(few) == len(many)


def test_nothing_open_says_so(officer: Client, anna: Contact) -> None:
    assert "Nothing is open" in officer.get(reverse("prefs_erasures:index")).content.decode()
    assert (
        "Nobody was erased yet" in officer.get(reverse("prefs_erasures:index") + "?show=all").content.decode()
    )
