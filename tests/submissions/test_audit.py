"""The audit finds what was changed in the state behind the ledger's back, and nothing else."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from tests import factories
from wagtail_prefs.changes import ChangeAddress, SetAttribute, SetChoice
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.values import PENDING, Actor, ActorType, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")


@pytest.fixture
def person(scene: Scene) -> Contact:
    """Somebody with something at nearly every kind of path."""
    scene.save(
        {
            **scene.choose(news=True, offers=False),
            scene.frequency: {"frequency": {"all": "weekly"}},
            scene.notice: {"acknowledged": True},
        }
    )
    submissions.record(
        scene.contact.pk,
        [
            SetAttribute("city", "Kassel"),
            ChangeAddress("anna@new.example.org"),
            SetChoice("events", "email", PENDING, datetime(2030, 1, 1, tzinfo=UTC)),
        ],
        actor=PERSON,
        source=PYTHON,
    )
    return scene.contact


def test_what_was_saved_is_what_the_records_say(person: Contact) -> None:
    assert differences(person.pk) == []
    scene_mate = factories.make_contact("never@mail.example.org")
    assert differences(scene_mate.pk) == []
    with pytest.raises(UnknownContact):
        differences(uuid.uuid4())


@pytest.mark.parametrize(
    ("where", "become", "path"),
    [
        ({"topic": "offers"}, {"choice": "subscribed"}, "choice:offers:email"),
        ({"topic": "news"}, {"choice_version": 2}, "choice:news:email"),
        ({"topic": "news"}, {"choice_until": timezone.now()}, "choice:news:email"),
        ({"topic": "events"}, {"pending": False}, "pending:events:email"),
        ({"topic": "events"}, {"choice_until": None}, "pending:events:email"),
        ({"topic": ""}, {"choice": "unsubscribed"}, "opted_out"),
        ({"topic": ""}, {"frequency": ""}, "frequency:all"),
        ({"topic": ""}, {"paused_until": timezone.now()}, "pause:all"),
        ({"topic": ""}, {"attributes": {"city": {"value": "Bonn", "version": 2}}}, "attribute:city"),
        ({"topic": ""}, {"notices": {}}, "notice:privacy"),
    ],
)
def test_a_row_that_was_changed_by_hand_is_named(
    person: Contact, where: dict[str, str], become: dict[str, object], path: str
) -> None:
    assert State.objects.filter(contact=person, **where).update(**become) == 1
    assert differences(person.pk) == [path]


@pytest.mark.parametrize(
    ("become", "path"),
    [
        ({"version": 3}, "version"),
        ({"version": 1}, "version"),
        ({"email": "eve@mail.example.org"}, "address:email"),
        ({"erased_at": timezone.now()}, "erased"),
    ],
)
def test_a_contact_that_was_changed_by_hand_is_named(
    person: Contact, become: dict[str, object], path: str
) -> None:
    Contact.objects.filter(pk=person.pk).update(**become)
    assert differences(person.pk) == [path]


def test_a_row_that_is_gone_a_value_that_is_gone_and_a_cut_tail_are_named(person: Contact) -> None:
    State.objects.filter(contact=person, topic="news").delete()
    assert differences(person.pk) == ["choice:news:email"]
    SideValue.objects.filter(name="attribute:city").delete()
    assert differences(person.pk) == ["attribute:city", "choice:news:email"]
    Record.objects.filter(contact_ref=person.pk, seq=2).delete()
    assert "version" in differences(person.pk)


def test_a_suppression_counts_from_the_record_that_knows_of_it(scene: Scene) -> None:
    Contact.objects.update(suppressed=True)  # as she came
    assert differences(scene.contact.pk) == []
    scene.save(scene.choose(news=True))  # lifts it
    assert differences(scene.contact.pk) == []
    Contact.objects.update(suppressed=True)
    assert differences(scene.contact.pk) == ["suppressed"]


def test_a_merge_is_followed_to_its_end(scene: Scene) -> None:
    one, two, three = (factories.make_contact(f"m{number}@mail.example.org") for number in range(3))
    admin = Actor(ActorType.ADMIN, "staff")
    submissions.merge_contacts(one.pk, two.pk, actor=admin, source=PYTHON)
    submissions.merge_contacts(two.pk, three.pk, actor=admin, source=PYTHON)
    assert [differences(contact.pk) for contact in (one, two, three)] == [[], [], []]
    Contact.objects.filter(pk=one.pk).update(merged_into=two)
    assert differences(one.pk) == ["merged_into"]
