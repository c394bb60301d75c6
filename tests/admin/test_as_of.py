"""Staff see what held on a date, why, and the page that somebody saw."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.delivery.people import JOIN, WEEKLY, save
from tests.factories import make_audience, make_contact, make_site
from tests.submissions.conftest import Scene, make_scene
from wagtail_prefs.admin import staff_log
from wagtail_prefs.admin.as_of import _rules
from wagtail_prefs.canonical import sha256_hex
from wagtail_prefs.centers.page import PreferenceCenterPage
from wagtail_prefs.changes import SetAttribute, SetChoice
from wagtail_prefs.law import services as law
from wagtail_prefs.ledger import format1, guard, seals
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.rights import receipts
from wagtail_prefs.rights.services import EXPORTED, erase_person
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Evidence, Source

pytestmark = pytest.mark.django_db
WHY = "Asked by a court"


@pytest.fixture
def scene() -> Scene:
    made = make_scene()
    made.save(made.choose(news=True, offers=False))
    return made


@pytest.fixture
def officer(client: Client) -> Client:
    client.force_login(make_staff("officer", "view_contact", "export_contact"))
    return client


def at(name: str, scene: Scene, *more: object) -> str:
    return reverse(f"prefs_contacts:{name}", args=[scene.contact.pk, *more])


def first(scene: Scene) -> Record:
    return Record.objects.get(contact_ref=scene.contact.pk, seq=1)


def read(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text


def moment(delta: timedelta) -> dict[str, str]:
    then = timezone.localtime() + delta
    return {"date": f"{then:%Y-%m-%d}", "time": f"{then:%H:%M}"}


def test_her_page_leads_there(officer: Client, scene: Scene) -> None:
    assert at("then", scene) in read(officer, at("person", scene))


def test_what_held_then_with_record_law_and_page(officer: Client, scene: Scene) -> None:
    text = read(officer, at("then", scene))
    assert "News by e-mail" in text and "Offers by e-mail" in text
    assert str(first(scene).pk) in text
    assert at("seen", scene, first(scene).pk) in text and at("evidence", scene, first(scene).pk) in text
    assert "her country was unknown, so the strictest" in text and "<dd>en</dd>" in text
    assert "Her chain is whole up to then: 1 record, each as it was written." in text
    assert "is in no seal yet" in text
    assert "Advertising took a yes." in text and "A no had to reach every sender at once." in text
    assert "After a purchase" not in text
    before = read(officer, at("then", scene), **moment(-timedelta(hours=2)))
    assert "By then she had said nothing" in before and "News by e-mail" not in before


@pytest.mark.parametrize("country", sorted(law.current().jurisdictions))
def test_what_a_law_asked_for_is_told_of_every_entry(country: str) -> None:
    """Also of one that is about a group of countries."""
    current = law.current()
    told = list(_rules(country, current.version))
    assert len(told) >= 4 and all(told)
    assert list(_rules(country, "another version")) == []


def test_topics_stand_by_channels_as_elsewhere(officer: Client, scene: Scene) -> None:
    text = read(officer, at("then", scene))
    table = text[text.index("What she had chosen, by topic and channel") :]
    rows = table[: table.index("</table>")].split("<tr>")
    assert "Topic" in rows[1] and "E-mail" in rows[1]
    (news,) = (row for row in rows if '<th scope="row">News</th>' in row)
    (offers,) = (row for row in rows if '<th scope="row">Offers</th>' in row)
    assert "<strong>Subscribed</strong>" in news and "Unsubscribed" in offers
    assert 'href="#record-1"' in news and 'id="record-1"' in text
    (events,) = (row for row in rows if '<th scope="row">Events</th>' in row)
    assert "Never asked" in events and "#record" not in events


def test_a_chain_that_was_changed_says_so(officer: Client, scene: Scene) -> None:
    scene.save(scene.choose(offers=True))
    scene.save(scene.choose(offers=False))
    with guard.taken_down("default"):
        changed = first(scene).body.replace('"jurisdiction":"unknown"', '"jurisdiction":"DE"')
        assert changed != first(scene).body
        Record.objects.filter(contact_ref=scene.contact.pk, seq=1).update(body=changed)
    text = read(officer, at("then", scene))
    assert "The chain of her records is broken at number 1" in text and "is whole" not in text


def test_the_seal_that_holds_the_chain_is_named(officer: Client, scene: Scene) -> None:
    seals.seal(timezone.now(), everything=True)
    text = read(officer, at("then", scene))
    assert "Seal 1 of " in text and "is in no seal yet" not in text


def test_rules_of_another_file_are_not_told_as_those_of_then(
    officer: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = law.current()
    monkeypatch.setattr(law, "current", lambda: replace(current, version="2031-01-01"))
    text = read(officer, at("then", scene))
    assert "The file of rules is another one today" in text and "Advertising took a yes." not in text


def test_a_value_that_was_changed_does_not_open_its_commitment(officer: Client, scene: Scene) -> None:
    with guard.taken_down("default"):
        SideValue.objects.filter(record=first(scene).pk).update(value='"198.51.100.0/24"')
    data = json.loads(officer.post(at("evidence", scene, first(scene).pk), {"reason": WHY}).content)
    assert data["values"]["ip_truncated"]["opens"] is False


def test_a_later_record_does_not_reach_back(officer: Client, scene: Scene) -> None:
    text = read(officer, at("then", scene), **moment(timedelta(hours=1)))
    assert "How often" not in text
    save(scene.contact.pk, WEEKLY)
    assert "How often: Everything" in read(officer, at("then", scene), **moment(timedelta(hours=1)))


@pytest.mark.parametrize("date", ["", "yesterday", "2026-02-30", "99999-01-01"])
def test_what_is_no_moment_is_said(officer: Client, scene: Scene, date: str) -> None:
    text = read(officer, at("then", scene), date=date, time="12:00")
    assert "News by e-mail" not in text and "w-field__errors" in text


def test_it_is_logged_and_writes_nothing_else(officer: Client, scene: Scene) -> None:
    version = Record.objects.count()
    for name in ("then", "seen", "seen-page"):
        url = at(name, scene, *([] if name == "then" else [first(scene).pk]))
        ModelLogEntry.objects.all().delete()
        read(officer, url)
        assert [entry.action for entry in ModelLogEntry.objects.all()] == [staff_log.VIEWED]
    assert Record.objects.count() == version


def test_no_personal_value_is_shown(officer: Client, scene: Scene) -> None:
    submissions.record(
        scene.contact.pk,
        [SetAttribute("city", "Kassel")],
        actor=Actor(ActorType.ADMIN, "7"),
        source=Source(method="staff"),
    )
    text = read(officer, at("then", scene))
    assert "There was one" in text and "Kassel" not in text and "anna@" not in text
    erase_person(scene.contact.pk, actor=Actor(ActorType.ADMIN, "7"), source=Source(method="staff"))
    assert "Erased" in read(officer, at("then", scene))


def test_the_page_she_saw_is_there_after_it_is_gone(officer: Client, scene: Scene) -> None:
    notice = json.loads(first(scene).body)["notice_sha256"]
    PreferenceCenterPage.objects.get().delete()
    text = read(officer, at("seen", scene, first(scene).pk))
    assert notice in text and "The notice that the record names" in text
    assert sha256_hex("News") in text
    assert f'<iframe src="{at("seen-page", scene, first(scene).pk)}"' in text and 'sandbox=""' in text
    answer = officer.get(at("seen-page", scene, first(scene).pk))
    page = answer.content.decode()
    assert "News" in page and "<script" not in page and "<form" not in page
    assert "sandbox" in answer["Content-Security-Policy"].split("; ")
    assert "script-src 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "SAMEORIGIN"


def test_without_a_page_it_says_what_stood_for_it(officer: Client, scene: Scene) -> None:
    evidence = Evidence("list-7", timezone.now() - timedelta(days=3))
    source = Source(method="import", evidence=evidence)
    yes = SetChoice("events", "email", SUBSCRIBED)
    submissions.record(scene.contact.pk, [yes], actor=Actor(ActorType.IMPORT, "run"), source=source)
    record = Record.objects.filter(contact_ref=scene.contact.pk).order_by("-seq")[0]
    text = read(officer, at("seen", scene, record.pk))
    assert "No page of ours was before her" in text and "list-7" in text
    assert "No page of ours" in read(officer, at("seen-page", scene, record.pk))


def test_the_evidence_proves_itself(officer: Client, scene: Scene) -> None:
    url = at("evidence", scene, first(scene).pk)
    assert officer.get(url).status_code == 200
    assert not ModelLogEntry.objects.filter(action=EXPORTED).exists()
    assert officer.post(url, {"reason": ""}).status_code == 422
    answer = officer.post(url, {"reason": WHY})
    assert answer["Content-Disposition"] == 'attachment; filename="evidence.json"'
    data = json.loads(answer.content)
    own = data["record"]
    assert format1.record_hash(own["prev"], own["body"].encode()) == own["hash"]
    assert data["whole"] is True and data["values"].keys() == {"ip_truncated"}
    assert data["values"]["ip_truncated"]["opens"] is True
    body = json.loads(own["body"])
    assert data["page"]["revision"] == body["form_version"]
    assert body["notice_sha256"] in {text["sha256"] for text in data["texts"]}
    assert receipts.check(json.dumps(data["receipt"]).encode()).verdict is receipts.Verdict.GENUINE
    entry = ModelLogEntry.objects.get(action=EXPORTED)
    assert entry.data == {"by": "staff", "reason": WHY, "record": str(first(scene).pk)}


def test_the_evidence_outlives_the_person(officer: Client, scene: Scene) -> None:
    erase_person(scene.contact.pk, actor=Actor(ActorType.ADMIN, "7"), source=Source(method="staff"))
    data = json.loads(officer.post(at("evidence", scene, first(scene).pk), {"reason": WHY}).content)
    assert data["values"] == {} and data["whole"] is True and data["texts"]


def test_a_record_of_somebody_else_is_not_there(officer: Client, scene: Scene) -> None:
    other = make_contact("berta@mail.example.org")
    save(other.pk, JOIN)
    hers = Record.objects.get(contact_ref=other.pk)
    for name in ("seen", "seen-page", "evidence"):
        assert officer.get(at(name, scene, hers.pk)).status_code == 404
    assert officer.post(at("evidence", scene, hers.pk), {"reason": WHY}).status_code == 404
    assert not ModelLogEntry.objects.filter(action=EXPORTED).exists()


def test_two_sites_and_who_may(client: Client, scene: Scene) -> None:
    record = first(scene).pk
    doors = [at("then", scene), at("seen", scene, record), at("seen-page", scene, record)]
    elsewhere = make_site("other.example", port=443)
    make_audience(elsewhere)
    client.force_login(make_staff("there", "view_contact", "export_contact", site=elsewhere))
    for url in (*doors, at("evidence", scene, record)):
        assert client.get(url).status_code == 404
    client.force_login(make_staff("looks", "view_contact"))
    assert all(client.get(url).status_code == 200 for url in doors)
    assert at("evidence", scene, record) not in read(client, at("then", scene))
    assert client.post(at("evidence", scene, record), {"reason": WHY}).status_code == 302
    assert not ModelLogEntry.objects.filter(action=EXPORTED).exists()


def test_it_costs_the_same_for_many_records(officer: Client, scene: Scene) -> None:
    read(officer, at("then", scene))
    with CaptureQueriesContext(connection) as few:
        read(officer, at("then", scene))
    for number in range(6):
        scene.save(scene.choose(news=bool(number % 2)))
    with CaptureQueriesContext(connection) as many:
        read(officer, at("then", scene))
    assert len(few) == len(many)
    for name in ("seen", "seen-page", "evidence"):
        with CaptureQueriesContext(connection) as asked:
            read(officer, at(name, scene, first(scene).pk))
        assert len(asked) < 25, name
