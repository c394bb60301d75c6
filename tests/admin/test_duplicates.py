"""One person or two: side by side, as a merge would leave them, decided by those who may, and logged."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from wagtail.models import GroupSitePermission, ModelLogEntry

from tests.admin.staff import make_staff
from tests.delivery.people import HERSELF
from tests.factories import make_audience, make_contact, make_site, make_topics
from tests.pages import parse
from wagtail_prefs.admin import staff_log
from wagtail_prefs.changes import Change, OptOut, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.rights import duplicates
from wagtail_prefs.rights.models import Duplicate, DuplicateScan
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import DISPUTED, SUBSCRIBED, UNSUBSCRIBED, Source

pytestmark = pytest.mark.django_db
MAY = ("view_contact", "change_contact")
WHY = "Same name on the order"


def said(contact: Contact, *changes: Change) -> None:
    submissions.record(contact.pk, changes, actor=HERSELF, source=Source(method="python"))


def look() -> None:
    made = duplicates.start(make_audience(), "test")
    while duplicates.step(made.pk):
        pass


@pytest.fixture
def both() -> tuple[Contact, Contact]:
    """Two who share a mailbox: the first has said more."""
    make_topics()
    anna, again = make_contact("anna.qzxwvq@gmail.com"), make_contact("annaqzxwvq+shop@gmail.com")
    said(anna, SetChoice("news", "email", SUBSCRIBED), SetAttribute("city", "Qzxhausen"))
    said(anna, SetFrequency("", "", "daily"))
    said(again, SetChoice("news", "email", UNSUBSCRIBED), SetChoice("offers", "email", SUBSCRIBED))
    look()
    return anna, again


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_staff("helper", *MAY))
    return client


def pair() -> Duplicate:
    found: Duplicate = Duplicate.objects.get()
    return found


def at(name: str = "pair", pk: int | None = None) -> str:
    if name == "index":
        return reverse("prefs_duplicates:index")
    return reverse(f"prefs_duplicates:{name}", args=[pair().pk if pk is None else pk])


def decide(client: Client, do: str, stays: UUID, **more: Any) -> Any:
    one = pair()
    data = {
        "do": do, "keep": str(stays), "reason": WHY,
        "first": load_state(one.first).version, "second": load_state(one.second).version, **more,
    }  # fmt: skip
    return client.post(at(), data)


def test_before_anybody_looked_there_is_a_button(staff: Client) -> None:
    audience = make_audience()
    text = staff.get(at("index")).content.decode()
    assert "No pair waits for you" in text and "Look for duplicates" in text
    assert staff.post(at("scan", audience.pk)).status_code == 302
    assert DuplicateScan.objects.get().started_by.startswith("admin:")
    text = staff.get(at("index")).content.decode()
    assert "<progress" in text and "Stop" in text
    staff.post(at("scan", audience.pk))
    assert DuplicateScan.objects.count() == 1
    staff.post(at("scan", audience.pk), {"do": "stop"})
    assert duplicates.go_on() == 1
    assert "Looked last on" in staff.get(at("index")).content.decode()


def test_the_list_says_who_they_are_and_what_they_share(staff: Client, both: tuple[Contact, Contact]) -> None:
    text = staff.get(at("index")).content.decode()
    assert at() in text and "a***@g***.com" in text and "the same mailbox, spelled otherwise" in text
    assert "qzxwvq" not in text.casefold()


def test_both_stand_side_by_side_and_so_does_what_would_become(
    staff: Client, both: tuple[Contact, Contact]
) -> None:
    answer = staff.get(at())
    text = answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert "qzxwvq" not in text.casefold()
    rows = {
        row.one("th").words: [cell.words for cell in row.all("td")]
        for row in parse(re.findall(r'<table class="listing">.*?</table>', text, re.DOTALL)[0]).all("tr")
        if len(list(row.all("td"))) == 3
    }
    first, second = (
        ("Subscribed", "Unsubscribed") if pair().first == both[0].pk else ("Unsubscribed", "Subscribed")
    )
    news = next(cells for label, cells in rows.items() if label.startswith("News"))
    assert [cell.split()[0].casefold() for cell in news[:2]] == [first.casefold(), second.casefold()]
    assert news[2].casefold().startswith("unsubscribed")
    assert "Stays behind" in text  # the offers that only the other one wanted
    for contact in both:
        assert ModelLogEntry.objects.for_instance(contact).filter(action=staff_log.VIEWED).count() == 1
    assert pair().outcome == "" and load_state(both[1].pk).merged_into is None


def test_who_has_said_more_stays_unless_staff_say_otherwise(
    staff: Client, both: tuple[Contact, Contact]
) -> None:
    assert f'value="{both[0].pk}"' in staff.get(at()).content.decode()
    assert f'value="{both[1].pk}"' in staff.get(at() + f"?keep={both[1].pk}").content.decode()
    assert f'value="{both[0].pk}"' in staff.get(at() + "?keep=nonsense").content.decode()


def test_a_merge_takes_the_stricter_and_is_logged(staff: Client, both: tuple[Contact, Contact]) -> None:
    anna, again = both
    answer = decide(staff, "merge", anna.pk)
    assert answer.status_code == 302 and str(anna.pk) in answer["Location"]
    assert load_state(again.pk).merged_into == anna.pk
    assert load_state(anna.pk).choices == {("news", "email"): UNSUBSCRIBED}
    entry = ModelLogEntry.objects.get(action=staff_log.MERGED)
    assert entry.data["into"] == str(anna.pk) and entry.data["reason"] == WHY and entry.data["receipt"]
    assert "@" not in str(entry.data)
    assert pair().outcome == "merged" and pair().by.startswith("admin:")
    for do in ("merge", "two"):
        assert decide(staff, do, anna.pk)["Location"] == at("index")
    assert staff.get(at()).status_code == 302


def test_two_people_stay_two_and_are_not_asked_about_again(
    staff: Client, both: tuple[Contact, Contact]
) -> None:
    assert decide(staff, "two", both[0].pk)["Location"] == at("index")
    assert load_state(both[1].pk).merged_into is None
    assert ModelLogEntry.objects.filter(action=staff_log.APART).count() == 2
    look()
    assert "No pair waits for you" in staff.get(at("index")).content.decode()


def test_what_changed_meanwhile_is_shown_before_anything_is_done(
    staff: Client, both: tuple[Contact, Contact]
) -> None:
    stale = {"first": load_state(pair().first).version, "second": load_state(pair().second).version}
    said(both[1], OptOut())
    answer = decide(staff, "merge", both[0].pk, **stale)
    assert answer.status_code == 409
    text = answer.content.decode()
    assert WHY in text and "changed in the meantime" in text
    assert load_state(both[1].pk).merged_into is None
    hidden = re.findall(r'<input type="hidden" name="(keep|first|second)" value="([^"]*)"', text)
    sent = dict(hidden)
    assert len(sent) == 3
    assert staff.post(at(), {"do": "merge", "reason": WHY, **sent}).status_code == 302
    assert load_state(both[0].pk).opted_out


@pytest.mark.parametrize(
    "wrong", [{"reason": ""}, {"reason": "anna@mail.example.org"}, {"keep": "x"}, {"first": "-1"}]
)
def test_a_form_that_is_wrong_does_nothing(staff: Client, both: tuple[Contact, Contact], wrong: Any) -> None:
    assert decide(staff, "merge", both[0].pk, **wrong).status_code == 422
    assert pair().outcome == ""


def test_forged_forms_do_nothing(staff: Client, both: tuple[Contact, Contact]) -> None:
    stranger = make_contact("carla@mail.example.org")
    assert decide(staff, "merge", stranger.pk).status_code == 302  # turned away
    assert decide(staff, "erase", both[0].pk).status_code == 302
    assert pair().outcome == "" and load_state(stranger.pk).merged_into is None


@pytest.mark.parametrize("allowed", [("view_contact",), ("change_contact",)])
def test_who_may_not_change_people_merges_none(
    client: Client, both: tuple[Contact, Contact], allowed: tuple[str, ...]
) -> None:
    client.force_login(make_staff("other", *allowed))
    for answer in (
        client.get(at("index")), client.get(at()), decide(client, "merge", both[0].pk),
        client.post(at("scan", make_audience().pk)),
    ):  # fmt: skip
        assert answer.status_code == 302 and answer["Location"] == reverse("wagtailadmin_home")
    assert pair().outcome == ""


def test_what_is_of_another_site_is_not_there(client: Client, both: tuple[Contact, Contact]) -> None:
    elsewhere = make_site("other.example", port=443)
    theirs = make_audience(elsewhere)
    client.force_login(make_staff("there", *MAY, site=elsewhere))
    assert client.get(at()).status_code == 404
    assert decide(client, "merge", both[0].pk).status_code == 404
    assert client.post(at("scan", make_audience().pk)).status_code == 404
    assert "No pair waits for you" in client.get(at("index")).content.decode()
    assert client.post(at("scan", theirs.pk)).status_code == 302
    assert pair().outcome == ""


def test_the_pages_take_as_many_statements_for_many(staff: Client, both: tuple[Contact, Contact]) -> None:
    def count(url: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(url).status_code == 200
        return len(queries)

    index, one = at("index"), at()
    count(index), count(one)
    few = count(index), count(one)
    for number in range(8):
        make_contact(f"x{number}@gmail.com"), make_contact(f"x{number}+a@gmail.com")
    look()
    assert (count(index), count(one)) == few
    assert few[0] < 20 and few[1] < 40


def test_who_sees_people_here_and_changes_those_elsewhere_does_neither_with_pairs(
    client: Client, both: tuple[Contact, Contact]
) -> None:
    """Two permissions of two sites are not both of one."""
    user = make_staff("mixed", "change_contact")
    elsewhere = make_site("other.example", port=443)
    make_audience(elsewhere)
    group = Group.objects.create(name="looks elsewhere")
    view = Permission.objects.get(codename="view_contact", content_type__app_label="wagtail_prefs")
    GroupSitePermission.objects.create(group=group, site=elsewhere, permission=view)
    user.groups.add(group)
    client.force_login(user)
    text = client.get(at("index")).content.decode()
    assert "No pair waits for you" in text and at() not in text
    assert client.get(at()).status_code == 404
    assert client.post(at("scan", make_audience().pk)).status_code == 404
    assert pair().outcome == ""


def test_who_goes_while_the_page_is_drawn_is_no_error(
    staff: Client, both: tuple[Contact, Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_given: Any) -> Any:
        raise UnknownContact

    monkeypatch.setattr(duplicates, "rehearse", gone)
    assert staff.get(at())["Location"] == at("index")
    assert decide(staff, "merge", both[0].pk, reason="")["Location"] == at("index")
    assert not ModelLogEntry.objects.filter(action=staff_log.VIEWED).exists()


def test_a_disputed_country_is_said_before(staff: Client, both: tuple[Contact, Contact]) -> None:
    for contact, country in zip(both, ("DE", "US"), strict=True):
        Contact.objects.filter(pk=contact.pk).update(country=country, country_source="import")
    assert "Programs named different countries" in staff.get(at()).content.decode()
    decide(staff, "merge", both[0].pk)
    assert load_state(both[0].pk).country == DISPUTED
