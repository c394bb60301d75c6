"""What staff do for a person who wrote: her data as a file, forgetting her, and seeing that every platform follows."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.delivery.people import JOIN, save
from tests.factories import make_audience, make_contact, make_site, make_topics
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.rights.models import Erasure
from wagtail_prefs.rights.services import ERASED, EXPORTED, erase_person
from wagtail_prefs.values import Actor, ActorType, Source

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
    assert "There is nothing to note" in officer.post(settle, follow=True).content.decode()


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
