"""Records of consent as others read them: whole or not made, in words that exist (security.md CR-03)."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jsonschema
import pytest
import time_machine
from django.test import override_settings
from django.utils import timezone

from tests import factories
from tests.settings import WAGTAIL_PREFS
from wagtail_prefs import rights
from wagtail_prefs.centers import services as centers
from wagtail_prefs.changes import Change, Confirm, OptIn, OptOut, SetChoice
from wagtail_prefs.contacts import rules
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.contacts.services import load_state
from wagtail_prefs.errors import NotAllowed, UnknownContact, UnknownReceipt
from wagtail_prefs.law.countries import COUNTRIES
from wagtail_prefs.rights import consent_facts, consent_record, receipts
from wagtail_prefs.rights.consent_record import IncompleteRecord
from wagtail_prefs.rights.consent_states import State
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.services import proof_of
from wagtail_prefs.topics.models import Audience, Topic
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source

from ..submissions.conftest import Scene, make_scene

pytestmark = pytest.mark.django_db
PERSON = Actor(ActorType.SUBJECT_SESSION)
FOLDER = Path(rights.__file__).parent
TERMS = {
    line
    for line in (FOLDER / "vocabulary" / "dpv-2.3.txt").read_text().splitlines()
    if not line.startswith("#")
}
CONTROLLER = {
    "controller_name": "Brand Ltd",
    "controller_address": "1 Example Street, Example Town",
    "controller_contact": "privacy@brand.example",
    "privacy_url": "https://brand.example/privacy",
    "data_locations": ["DE", "ie"],
    "authority": "The Commissioner",
    "recipients": ["Mailer plc"],
}


def schema(name: str) -> Any:
    return json.loads((FOLDER / "schemas" / f"{name}.schema.json").read_text())


def fits(data: Any, name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    jsonschema.validate(json.loads(receipts.as_bytes(data)), schema(name))


def terms(data: Any) -> Iterator[str]:
    """Every name of the vocabulary in keys and values."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from terms(key)
            yield from terms(value)
    elif isinstance(data, list):
        for item in data:
            yield from terms(item)
    elif isinstance(data, str) and re.match(r"(dpv|eu-gdpr|pd|loc):", data):
        yield data


def exists(term: str) -> bool:
    return term in TERMS or (term.startswith("loc:") and term[4:] in COUNTRIES)


def say(contact: Contact, *changes: Change, actor: Actor = PERSON, **source: Any) -> None:
    submissions.record(
        contact.pk, changes, actor=actor, source=Source(method="element", **{"language": "en", **source})
    )


def fill(**fields: Any) -> None:
    Audience.objects.update(**{**CONTROLLER, **fields})


def at_home(contact: Contact, country: str) -> None:
    Contact.objects.filter(pk=contact.pk).update(country=country)


@pytest.fixture
def scene(db: None) -> Scene:
    scene = make_scene()
    fill()
    at_home(scene.contact, "DE")
    return scene


def a_life(contact: Contact) -> None:
    """A bit of everything."""
    start = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    end = start + timedelta(days=30)
    with time_machine.travel(start, tick=False) as clock:
        say(
            contact,
            SetChoice("news", "email", PENDING, start + timedelta(days=7)),
            actor=Actor(ActorType.API, "shop"),
        )
        clock.shift(timedelta(hours=1))
        say(contact, Confirm("news", "email"))
        say(contact, SetChoice("offers", "sms", SUBSCRIBED, end), SetChoice("events", "post", UNSUBSCRIBED))
        clock.shift(timedelta(days=1))
        say(contact, SetChoice("offers", "sms", SUBSCRIBED, end + timedelta(days=5)))
        clock.move_to(end + timedelta(days=6))
        submissions.expire_due()
        evidence = Evidence("order 7", end + timedelta(days=6))
        say(
            contact,
            SetChoice("events", "email", SUBSCRIBED),
            actor=Actor(ActorType.ADMIN, "7"),
            evidence=evidence,
        )
        clock.shift(timedelta(days=1))
        say(contact, OptOut(), actor=Actor(ActorType.ONE_CLICK))
        say(contact, SetChoice("news", "email", SUBSCRIBED))


def test_it_tells_every_state_with_its_record(scene: Scene) -> None:
    a_life(scene.contact)
    found = consent_record.consent_record(scene.contact.pk)
    told = [
        (
            state["@type"][0].removeprefix("dpv:"),
            state["dpv:isApplicableFor"]["@id"].split(":", 4)[4],
            state.get("wp:number"),
        )
        for state in found["dpv:hasConsentStatus"]
    ]
    assert told == [
        ("ConsentRequested", "news:email", 1),
        ("ConsentGiven", "news:email", 2),
        ("ConsentGiven", "offers:sms", 3),
        ("ConsentRefused", "events:post", 3),
        ("RenewedConsentGiven", "offers:sms", 4),
        ("ConsentExpired", "offers:sms", 5),
        ("ConsentGiven", "events:email", 6),
        ("ConsentWithdrawn", "events:email", 7),
        ("ConsentWithdrawn", "news:email", 7),
        ("ConsentGiven", "news:email", 8),
    ]
    assert found["dpv:hasConsentStatus"][6]["wp:evidence"] == "order 7"


@pytest.mark.parametrize("country", ["DE", "US", "US-CA", ""])
def test_every_word_of_it_exists_and_it_fits_its_schema(scene: Scene, country: str) -> None:
    at_home(scene.contact, country)
    Topic.objects.filter(key="news").update(kept_months=24)
    Topic.objects.filter(key="offers").update(basis="soft_opt_in")
    Topic.objects.filter(key="events").update(basis="contract")
    a_life(scene.contact)
    scene.save(scene.choose(news=False))
    say(scene.contact, *(SetChoice("news", channel, SUBSCRIBED) for channel in ("push", "in_app", "phone")))
    found = consent_record.consent_record(scene.contact.pk)
    assert [term for term in terms(found) if not exists(term)] == []
    fits(found, "consent-record")
    fits(consent_record.kantara(scene.contact.pk), "consent-receipt")


def test_every_word_that_it_can_ever_say_exists() -> None:
    said = [
        *consent_record.STATUS.values(),
        *consent_record.PERSONAL_DATA.values(),
        *(term for pair in consent_record.BASES.values() for term in pair),
        *(f"eu-gdpr:{right}" for right in consent_record.RIGHTS),
    ]
    source = (FOLDER / "consent_record.py").read_text()
    said += re.findall(r'"((?:dpv|eu-gdpr|pd):[A-Za-z0-9-]+)"', source)
    assert len(set(said)) > 60
    assert [term for term in said if not exists(term)] == []
    # And a word that does not exist would be found.
    assert not exists("dpv:ConsentGranted")


def test_a_receipt_of_every_kind_of_record_fits_its_schema(scene: Scene) -> None:
    from wagtail_prefs.changes import AcknowledgeNotice, Pause, SetAttribute, SetFrequency
    from wagtail_prefs.ledger.models import Record

    a_life(scene.contact)
    scene.save(scene.choose(offers=True))
    say(
        scene.contact,
        SetAttribute("city", "Example Town"),
        SetFrequency("", "", "weekly"),
        Pause("", "", datetime(2030, 1, 1, tzinfo=UTC)),
        AcknowledgeNotice("privacy", "ab" * 32),
    )
    other = factories.make_contact("other@mail.example.org")
    say(other, SetChoice("news", "email", SUBSCRIBED))
    submissions.merge_contacts(
        other.pk, scene.contact.pk, actor=Actor(ActorType.ADMIN, "7"), source=Source(method="admin")
    )
    submissions.erase(scene.contact.pk, actor=PERSON, source=Source(method="element"))
    records = list(Record.objects.all())
    assert len(records) >= 12
    for record in records:
        fits(receipts.make(record), "receipt")


HOLES = {
    "controller_name": "controller name",
    "controller_address": "controller address",
    "controller_contact": "controller contact",
    "data_locations": "storage location",
}


@pytest.mark.parametrize(("field", "named"), HOLES.items())
def test_an_empty_field_is_named_with_the_place_where_it_is_filled_in(
    scene: Scene, field: str, named: str
) -> None:
    say(scene.contact, SetChoice("news", "email", SUBSCRIBED))
    fill(**{field: [] if field == "data_locations" else ""})
    for make in (consent_record.consent_record, consent_record.kantara):
        with pytest.raises(IncompleteRecord, match=named) as refused:
            make(scene.contact.pk)
        [one] = refused.value.missing
        assert one.field == named
        assert "audience" in str(one.where)


def test_all_holes_are_named_at_once() -> None:
    contact = factories.make_contact()
    with pytest.raises(IncompleteRecord) as refused:
        consent_record.consent_record(contact.pk)
    assert {one.field for one in refused.value.missing} == {
        *HOLES.values(),
        "privacy notice",
        "language",
        "jurisdiction",
        "withdrawal method",
        "purpose",
    }


def test_who_else_gets_data_must_be_said_where_it_goes_to_a_platform(scene: Scene) -> None:
    say(scene.contact, SetChoice("news", "email", SUBSCRIBED))
    fill(recipients=[])
    consent_record.consent_record(scene.contact.pk)
    backends = {"crm": {"BACKEND": "wagtail_prefs.backends.webhook.WebhookBackend"}}
    with (
        override_settings(WAGTAIL_PREFS={**WAGTAIL_PREFS, "BACKENDS": backends, "SENDERS": {}}),
        pytest.raises(IncompleteRecord, match="recipients"),
    ):
        consent_record.consent_record(scene.contact.pk)


def test_the_notice_is_the_one_that_she_saw(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    notice = proof_of(centers.get_snapshot(scene.snapshot.digest)).notice
    assert notice is not None
    found = consent_record.consent_record(scene.contact.pk)["dpv:hasNotice"]
    assert (found["@type"], found["wp:sha256"]) == ("dpv:ConsentNotice", notice.sha256)
    assert found["dct:identifier"] == f"{notice.id}@{scene.snapshot.digest}"


def test_it_names_a_person_by_a_number_and_nobody_else(scene: Scene) -> None:
    a_life(scene.contact)
    other = factories.make_contact("other@mail.example.org")
    say(other, SetChoice("news", "email", SUBSCRIBED))
    for made in (consent_record.consent_record(scene.contact.pk), consent_record.kantara(scene.contact.pk)):
        text = json.dumps(made)
        assert scene.contact.email not in text
        assert str(scene.contact.pk) in text
        assert str(other.pk) not in text
        assert '"7"' not in text  # who of the staff


def test_kantara_tells_what_holds_today_and_nothing_where_nothing_does(scene: Scene) -> None:
    a_life(scene.contact)
    found = consent_record.kantara(scene.contact.pk)
    assert [service["service"] for service in found["services"]] == ["News (email)"]
    assert found["services"][0]["purposes"][0]["termination"].startswith("http")
    say(scene.contact, OptOut())
    with pytest.raises(IncompleteRecord, match="services"):
        consent_record.kantara(scene.contact.pk)


def test_of_nobody_there_is_none(scene: Scene) -> None:
    with pytest.raises(UnknownContact):
        consent_record.consent_record(uuid4())


def test_its_cost_does_not_grow_with_what_was_said(scene: Scene, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        say(scene.contact, SetChoice("news", "email", UNSUBSCRIBED if number % 2 else SUBSCRIBED))
    with django_assert_max_num_queries(10):
        assert len(consent_record.consent_record(scene.contact.pk)["dpv:hasConsentStatus"]) == 30


@pytest.mark.property
@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_its_states_fit_together_and_end_where_the_person_is(
    scene: Scene, seed: int
) -> None:
    """People, staff, systems and time in any order: no chain of ours is refused, and what holds is what she has said."""
    rng = random.Random(seed)
    keys = [("news", "email"), ("news", "sms"), ("offers", "email"), ("", "email")]
    contact = scene.contact
    made: list[UUID] = []
    with time_machine.travel(datetime(2026, 1, 1, 9, 0, tzinfo=UTC), tick=False) as clock:
        for _number in range(40):
            clock.shift(timedelta(hours=rng.choice([1, 7, 30, 200])))
            now = timezone.now()
            end = rng.choice([None, now + timedelta(days=rng.randrange(1, 20))])
            topic, channel = rng.choice(keys)
            wish: Change = rng.choice(
                [
                    SetChoice(topic, channel, SUBSCRIBED, end if topic else None),
                    SetChoice(topic, channel, UNSUBSCRIBED),
                    *([SetChoice(topic, channel, PENDING, end), Confirm(topic, channel)] if topic else []),
                    *([OptOut(), OptIn()] if rng.random() < 0.3 else []),
                ]
            )
            actor = rng.choice(
                [PERSON, PERSON, Actor(ActorType.API, "shop"), Actor(ActorType.BACKEND, "crm")]
            )
            try:
                if rng.random() < 0.15:
                    submissions.expire_due()
                elif made and rng.random() < 0.2:
                    receipt, key = rng.choice(made), str(rng.random())
                    saved = submissions.undo(
                        link_id=contact.link_id,
                        epoch=0,
                        snapshot=scene.snapshot,
                        receipt=receipt,
                        actor=PERSON,
                        source=Source(method="page"),
                        idempotency_key=key,
                    )
                    made += [UUID(saved.receipt)] if saved.receipt else []
                else:
                    source = Source(method="python", language="en")
                    saved = submissions.record(contact.pk, [wish], actor=actor, source=source)
                    made += [UUID(saved.receipt)] if saved.receipt else []
            except (NotAllowed, UnknownReceipt):
                continue
            facts = consent_facts.gather(contact.pk)
            state = rules.effective(load_state(contact.pk), timezone.now())
            held = {key for key, value in state.choices.items() if value == SUBSCRIBED and key[0]}
            assert {entered.key for entered in facts.given} == held
            waiting = {key for key, entered in facts.now.items() if entered.state is State.REQUESTED}
            assert waiting == {key for key in state.pending if key[0]}
    assert len(made) > 10
