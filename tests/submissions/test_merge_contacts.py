"""Two contacts become one: the stricter value wins, nothing she said is lost, and her old links lead on."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests import factories
from tests.statements import said
from wagtail_prefs.access import services as access
from wagtail_prefs.access.services import Purpose
from wagtail_prefs.changes import (
    Change,
    OptIn,
    OptOut,
    Pause,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.contacts import services as contacts, store
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import BadToken, KeyReused, UnknownContact, UnknownReceipt
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.topics.models import Audience
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")
STAFF = Actor(ActorType.ADMIN, "staff")
NEWS, OFFERS = ("news", "email"), ("offers", "email")
YES, NO = SetChoice(*NEWS, SUBSCRIBED), SetChoice(*NEWS, UNSUBSCRIBED)


def tell(contact: Contact, *changes: Change) -> None:
    for change in changes:
        submissions.record(contact.pk, [change], actor=PERSON, source=PYTHON)


@pytest.fixture
def twin(scene: Scene) -> Contact:
    return factories.make_contact("twin@mail.example.org")


def unite(loser: Contact, winner: Contact, *, by: Actor = STAFF, shown: bool = False) -> submissions.Saved:
    source = Source(method="admin", evidence=Evidence("case 7", timezone.now()) if shown else None)
    return submissions.merge_contacts(loser.pk, winner.pk, actor=by, source=source)


def whole(*people: Contact) -> None:
    for contact in people:
        assert differences(contact.pk) == []
        assert ledger.first_broken(contact.pk) is None
        version = Contact.objects.values_list("version", flat=True).get(pk=contact.pk)
        assert Record.objects.filter(contact_ref=contact.pk).count() == version
        assert list(Delivery.objects.filter(contact=contact.pk).values_list("wanted", flat=True)) == (
            [version] if version else []
        )


@pytest.mark.parametrize(
    ("hers", "twins", "shown", "becomes"),
    [
        ([YES], [NO], True, UNSUBSCRIBED),
        ([NO], [YES], True, UNSUBSCRIBED),
        ([], [NO], True, UNSUBSCRIBED),
        ([], [YES], True, SUBSCRIBED),
        ([], [YES], False, None),
        ([YES], [], False, SUBSCRIBED),
        ([YES], [OptOut()], True, UNSUBSCRIBED),
        ([OptOut()], [YES], True, None),
        ([], [YES, OptOut(), OptIn()], True, UNSUBSCRIBED),
    ],
)
def test_a_no_of_either_is_a_no_and_a_yes_needs_somebody_who_shows_that_both_are_one(
    scene: Scene, twin: Contact, hers: list[Change], twins: list[Change], shown: bool, becomes: str | None
) -> None:
    tell(scene.contact, *hers)
    tell(twin, *twins)
    out = any(contacts.load_state(contact.pk).opted_out for contact in (scene.contact, twin))
    saved = unite(twin, scene.contact, shown=shown)
    assert saved.state.choices.get(NEWS) == becomes
    assert saved.state.opted_out is out
    named = [(item.path, item.rule) for item in saved.yielded]
    left_behind = twins == [YES] and becomes != SUBSCRIBED
    rule = "opt_out" if out else "stricter" if hers else "evidence"
    assert named == ([("choice:news:email", rule)] if left_behind else [])
    loser = contacts.load_state(twin.pk)
    assert (loser.merged_into, loser.opted_out) == (scene.contact.pk, True)
    assert SUBSCRIBED not in loser.choices.values()
    whole(scene.contact, twin)


def test_the_person_herself_brings_her_yes(scene: Scene, twin: Contact) -> None:
    tell(twin, YES)
    assert unite(twin, scene.contact, by=PERSON).state.choices == {NEWS: SUBSCRIBED}


def test_what_has_an_order_takes_the_stricter_and_what_has_none_is_filled_in(
    scene: Scene, twin: Contact
) -> None:
    soon, late = (timezone.now() + timedelta(days=days) for days in (1, 9))
    tell(scene.contact, SetFrequency("", "", "weekly"), Pause("", "", late), SetAttribute("city", "Kassel"))
    tell(
        twin,
        SetFrequency("", "", "monthly"),
        SetFrequency("", "email", "daily"),
        Pause("", "", soon),
        Pause("news", "", late),
        SetAttribute("city", "Bonn"),
        SetAttribute("shoe", 38),
    )
    state = unite(twin, scene.contact).state
    assert state.frequencies == {("", ""): "monthly", ("", "email"): "daily"}
    assert {key: pause.until for key, pause in state.pauses.items()} == {("", ""): late, ("news", ""): late}
    assert state.attributes == {"city": "Kassel", "shoe": 38}
    whole(scene.contact, twin)


def test_one_who_brings_nothing_leaves_a_record_in_her_own_chain_only(scene: Scene, twin: Contact) -> None:
    tell(scene.contact, YES)
    saved = unite(twin, scene.contact)
    assert saved.receipt is None
    assert Record.objects.filter(contact_ref=scene.contact.pk).count() == 1
    assert Record.objects.filter(contact_ref=twin.pk).count() == 1
    whole(scene.contact, twin)


def test_whom_one_may_not_merge(scene: Scene, twin: Contact) -> None:
    gone, stranger = factories.make_contact("gone@mail.example.org"), uuid.uuid4()
    submissions.erase(gone.pk, actor=STAFF, source=PYTHON)
    elsewhere = factories.make_contact(
        "far@mail.example.org", audience=Audience.objects.create(key="far", name="Far")
    )
    unite(twin, scene.contact)
    before = dict(Contact.objects.values_list("pk", "version"))
    for one, two in itertools.permutations([scene.contact.pk, twin.pk, gone.pk, stranger, elsewhere.pk], 2):
        with pytest.raises((UnknownContact, ValueError)) as refused:
            submissions.merge_contacts(one, two, actor=STAFF, source=PYTHON)
        bad = {twin.pk, gone.pk, stranger} & {one, two}
        assert refused.type is (UnknownContact if bad else ValueError)
    with pytest.raises(ValueError, match="herself"):
        submissions.merge_contacts(scene.contact.pk, scene.contact.pk, actor=STAFF, source=PYTHON)
    assert dict(Contact.objects.values_list("pk", "version")) == before


def test_her_old_link_saves_for_whom_she_became_however_often(scene: Scene, twin: Contact) -> None:
    old = replace(scene, contact=twin)
    token = access.make_token(Purpose.MANAGE, twin)
    third = factories.make_contact("third@mail.example.org")
    unite(twin, third)
    unite(third, scene.contact)
    assert Contact.objects.get(pk=twin.pk).merged_into_id == scene.contact.pk
    saved = old.save(old.choose(news=True))
    assert saved.state.id == scene.contact.pk
    assert access.open_link(token, Purpose.MANAGE).contact_id == scene.contact.pk
    assert contacts.load_state(scene.contact.pk).choices == {NEWS: SUBSCRIBED}
    whole(scene.contact, twin, third)


def test_only_links_of_one_who_was_merged_take_a_second_statement(
    scene: Scene, twin: Contact, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    unite(twin, scene.contact)
    for link_id, statements, found in (
        (scene.contact.link_id, 1, scene.contact.pk),
        (twin.link_id, 2, scene.contact.pk),
        ("nobody's", 2, None),
    ):
        with django_assert_num_queries(statements):
            loaded = store.load_by_link(link_id, scene.contact.audience_id)
        assert (loaded and loaded.state.id) == found
    with CaptureQueriesContext(connection) as hers:
        scene.save(scene.choose(news=True))
    with CaptureQueriesContext(connection) as old:
        replace(scene, contact=twin).save(scene.choose(news=False))
    assert len(said(old)) == len(said(hers)) + 1


def test_her_old_link_goes_by_its_own_epoch(scene: Scene, twin: Contact) -> None:
    old = replace(scene, contact=twin)
    unite(twin, scene.contact)
    Contact.objects.filter(pk=twin.pk).update(
        epoch=1
    )  # the links of the one she was are revoked, and made anew
    loaded = store.load_by_link(twin.link_id, twin.audience_id)
    assert loaded is not None and loaded.epoch == 1
    assert store.load_by_link(twin.link_id, twin.audience_id + 1) is None
    assert old.save(old.choose(news=True), epoch=1).state.id == scene.contact.pk
    with pytest.raises(BadToken):
        old.save(old.choose(news=False), epoch=0)
    Contact.objects.filter(pk=scene.contact.pk).update(
        epoch=2
    )  # which revokes the winner's own, and only those
    assert old.save(old.choose(news=False), epoch=1).state.id == scene.contact.pk
    with pytest.raises(BadToken):
        scene.save(scene.choose(news=True), epoch=1)


def test_a_save_that_was_acknowledged_before_the_merge_is_not_made_twice(scene: Scene, twin: Contact) -> None:
    """The answer was lost on the way; the tab sends again, and meanwhile the two became one."""
    old = replace(scene, contact=twin)
    first = old.save(old.choose(news=True), key="once", base=0)
    unite(twin, scene.contact, shown=True)
    tell(scene.contact, NO)
    before = Record.objects.count()
    again = old.save(old.choose(news=True), key="once", base=0)
    assert (again.receipt, again.version, again.effects) == (first.receipt, first.version, first.effects)
    assert again.state.choices == {NEWS: UNSUBSCRIBED}
    assert Record.objects.count() == before
    with pytest.raises(KeyReused):
        old.save(old.choose(news=False), key="once", base=0)


def test_a_key_that_both_have_used_is_answered_all_the_same(scene: Scene, twin: Contact) -> None:
    """A job names its requests by a form, and both had filled it in."""
    old, job = replace(scene, contact=twin), "form-7"
    receipts = {one.save(one.choose(news=False), key=job, base=0).receipt for one in (old, scene)}
    unite(twin, scene.contact)
    assert old.save(old.choose(news=False), key=job, base=0).receipt in receipts


def test_nor_is_one_made_twice_that_was_acknowledged_between_two_merges(scene: Scene, twin: Contact) -> None:
    """It stands in the chain of the second of the three: neither in that of the link, nor in that of today."""
    old, third = replace(scene, contact=twin), factories.make_contact("third@mail.example.org")
    unite(twin, third)
    first = old.save(old.choose(news=True), key="once", base=0)
    assert first.state.id == third.pk
    unite(third, scene.contact)
    tell(scene.contact, NO)
    again = old.save(old.choose(news=True), key="once", base=0)
    assert again.receipt == first.receipt
    assert contacts.load_state(scene.contact.pk).choices == {NEWS: UNSUBSCRIBED}
    with pytest.raises(KeyReused):
        old.save(old.choose(news=False), key="once", base=0)


def test_a_tab_from_before_the_merge_has_not_seen_what_the_winner_said(scene: Scene, twin: Contact) -> None:
    """Its base is a version of another chain: it must not pass for having seen the winner's no."""
    old = replace(scene, contact=twin)
    tell(twin, SetChoice(*OFFERS, SUBSCRIBED))
    tell(scene.contact, NO, SetFrequency("", "", "weekly"))
    unite(twin, scene.contact)
    saved = old.save(old.choose(news=True, events=True), base=1)
    assert saved.state.choices[NEWS] == UNSUBSCRIBED
    assert [(item.path, item.rule) for item in saved.yielded] == [("choice:news:email", "stricter")]
    assert saved.state.choices["events", "email"] == SUBSCRIBED
    fresh = old.save(old.choose(news=True), base=saved.version)
    assert fresh.state.choices[NEWS] == SUBSCRIBED
    assert fresh.yielded == ()


def test_nor_has_a_tab_from_between_two_merges(scene: Scene, twin: Contact) -> None:
    """It shows the second of the three, in her numbers."""
    third = factories.make_contact("third@mail.example.org")
    old = replace(scene, contact=twin)
    tell(scene.contact, NO, SetFrequency("", "", "weekly"))
    unite(twin, third)
    tell(third, *(SetChoice(*OFFERS, value) for value in (SUBSCRIBED, UNSUBSCRIBED, SUBSCRIBED)))
    between = contacts.load_state(third.pk).version
    tell(scene.contact, SetChoice("events", "email", UNSUBSCRIBED), SetFrequency("", "", "monthly"))
    unite(third, scene.contact)
    saved = old.save(old.choose(news=True, events=True), base=between)
    assert saved.state.choices[NEWS] == saved.state.choices["events", "email"] == UNSUBSCRIBED
    fresh = old.save(old.choose(news=True), base=contacts.load_state(scene.contact.pk).version)
    assert fresh.state.choices[NEWS] == SUBSCRIBED


@pytest.mark.parametrize("kind", [ActorType.ONE_CLICK, ActorType.GPC, ActorType.SUBJECT_LINK])
def test_what_she_does_while_she_is_merged_reaches_whom_she_becomes(
    scene: Scene, twin: Contact, kind: ActorType
) -> None:
    """The link was opened as the loser's; a moment later she is the winner, who must hear the no."""
    tell(scene.contact, YES)
    link = access.open_link(
        access.make_token(Purpose.UNSUBSCRIBE, twin, topic="news", channel="email"), Purpose.UNSUBSCRIBE
    )
    unite(twin, scene.contact)
    saved = submissions.record(link.contact_id, [NO], actor=Actor(kind), source=Source(method="one_click"))
    assert saved.state.id == scene.contact.pk
    assert contacts.load_state(scene.contact.pk).choices == {NEWS: UNSUBSCRIBED}


@pytest.mark.parametrize("kind", [ActorType.BACKEND, ActorType.IMPORT, ActorType.API, ActorType.SYSTEM])
def test_what_a_platform_says_of_the_loser_is_not_about_the_winner(
    scene: Scene, twin: Contact, kind: ActorType
) -> None:
    """We told it to stop mailing the old address; its echo must not unsubscribe the person."""
    tell(scene.contact, YES)
    unite(twin, scene.contact)
    with pytest.raises(UnknownContact):
        submissions.record(twin.pk, [NO, OptOut()], actor=Actor(kind, "crm"), source=PYTHON)
    assert contacts.load_state(scene.contact.pk).choices == {NEWS: SUBSCRIBED}


def test_a_merge_is_not_taken_back_by_a_receipt_of_either(scene: Scene, twin: Contact) -> None:
    tell(scene.contact, YES)
    tell(twin, NO)
    saved = unite(twin, scene.contact)
    assert saved.receipt
    for receipt in Record.objects.filter(body__contains='"Merge"').values_list("pk", flat=True):
        with pytest.raises(UnknownReceipt):
            submissions.undo(
                link_id=scene.contact.link_id,
                epoch=0,
                snapshot=scene.snapshot,
                receipt=receipt,
                actor=PERSON,
                source=PYTHON,
                idempotency_key=None,
            )
    assert [entry.undoable for entry in submissions.history(scene.contact.pk, scene.snapshot)] == [
        False,
        True,
    ]
    assert contacts.load_state(scene.contact.pk).choices == {NEWS: UNSUBSCRIBED}


def test_a_suppressed_winner_takes_no_yes_from_evidence(scene: Scene, twin: Contact) -> None:
    """A yes that waited behind the suppression would come alive with her first own click."""
    tell(twin, YES)
    Contact.objects.filter(pk=scene.contact.pk).update(suppressed=True)
    saved = unite(twin, scene.contact, shown=True)
    assert saved.state.choices.get(NEWS) != SUBSCRIBED
    whole(scene.contact, twin)
