"""Moving to another address: hers alone, in whatever spelling, under whichever key."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.test import override_settings
from django.utils import timezone

from tests import factories
from wagtail_prefs.changes import ChangeAddress, change_from_json
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.errors import AddressTaken, NotAllowed
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import Actor, ActorType, Source

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")
STAFF = Actor(ActorType.ADMIN, "staff")
RING = [{"kid": "t2", "key": "n" * 40}, *settings.WAGTAIL_PREFS["SIGNING_KEYS"]]


def move(contact: Contact, address: str, actor: Actor = PERSON) -> Saved:
    return submissions.record(contact.pk, [ChangeAddress(address)], actor=actor, source=PYTHON)


@pytest.mark.parametrize(
    "given", ["new@mail.example.org", "  new@mail.example.org ", "new@mail.example.org\r\n"]
)
def test_an_address_is_stored_without_what_stands_around_it(scene: Scene, given: str) -> None:
    """A line break at its end would be one in the header of a mail."""
    move(scene.contact, given)
    contact = Contact.objects.get()
    assert contact.email == "new@mail.example.org"
    assert contacts.find(contact.audience_id, "NEW@mail.example.org") == contact
    assert contacts.find(contact.audience_id, scene.contact.email) is None
    assert differences(contact.pk) == []


@pytest.mark.parametrize("given", ["nobody", "a@b\n@c.example.org", "a b@mail.example.org"])
def test_what_is_no_address_changes_nothing(scene: Scene, given: str) -> None:
    with pytest.raises(ValidationError):
        move(scene.contact, given)
    assert Contact.objects.get().version == 0


def test_the_commitment_to_an_address_reads_back(scene: Scene) -> None:
    move(scene.contact, "new@mail.example.org")
    (wish,) = submissions.ledger.read_body(Record.objects.get())["changes"]
    assert change_from_json(wish).address.keys() == {"committed"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("spelling", ["bea@mail.example.org", "BEA@Mail.Example.org"])
@pytest.mark.parametrize("rotated", [False, True])
def test_the_address_of_another_stays_hers(scene: Scene, spelling: str, rotated: bool) -> None:
    other = factories.make_contact("bea@mail.example.org")
    prefs = settings.WAGTAIL_PREFS
    with override_settings(WAGTAIL_PREFS={**prefs, "SIGNING_KEYS": RING} if rotated else prefs):
        with pytest.raises(AddressTaken):
            move(scene.contact, spelling)
        assert contacts.find(other.audience_id, "bea@mail.example.org") == other
    assert Contact.objects.get(pk=scene.contact.pk).email == scene.contact.email
    assert not Record.objects.exists()


def test_who_may_not_move_her_does_not_learn_whose_an_address_is(scene: Scene) -> None:
    factories.make_contact("bea@mail.example.org")
    for address in ("bea@mail.example.org", "nobody@mail.example.org"):
        with pytest.raises(NotAllowed):
            move(scene.contact, address, STAFF)


def test_after_a_merge_she_may_go_by_either_address(scene: Scene) -> None:
    twin = factories.make_contact("twin@mail.example.org")
    submissions.merge_contacts(twin.pk, scene.contact.pk, actor=STAFF, source=PYTHON)
    assert contacts.find(twin.audience_id, "twin@mail.example.org") == scene.contact
    move(scene.contact, "Twin@mail.example.org")
    contact = Contact.objects.get(pk=scene.contact.pk)
    assert contact.email == "Twin@mail.example.org"
    assert contacts.find(twin.audience_id, "twin@mail.example.org") == contact
    for person in (twin, contact):
        assert differences(person.pk) == []
    submissions.erase(contact.pk, actor=PERSON, source=PYTHON)
    assert contacts.is_suppressed(twin.audience_id, "twin@mail.example.org")
    assert not Contact.objects.exclude(email="").exists()


def test_another_spelling_of_her_own_address_is_hers(scene: Scene) -> None:
    saved = move(scene.contact, scene.contact.email.upper())
    assert saved.receipt
    assert Contact.objects.get().email == scene.contact.email.upper()
    assert move(scene.contact, scene.contact.email.upper()).receipt is None


def test_a_dead_address_is_left_behind(scene: Scene) -> None:
    contacts.mark_dead(scene.contact.pk, timezone.now())
    move(scene.contact, "new@mail.example.org")
    assert Contact.objects.get().email_dead_at is None


def test_whoever_moves_her_calls_back_what_the_old_mailbox_opens(scene: Scene) -> None:
    """Also a job, and also the links of whoever was merged into her; another spelling is the same mailbox."""
    twin = factories.make_contact("twin@mail.example.org")
    submissions.merge_contacts(twin.pk, scene.contact.pk, actor=STAFF, source=PYTHON)
    bystander = factories.make_contact("bea@mail.example.org")
    ids = [scene.contact.pk, twin.pk, bystander.pk]

    def epochs() -> list[int]:
        found = dict(Contact.objects.values_list("pk", "epoch"))
        return [found[one] for one in ids]

    move(scene.contact, scene.contact.email.upper())
    assert epochs() == [0, 0, 0]
    move(scene.contact, "new@mail.example.org")
    assert epochs() == [1, 1, 0]
    move(scene.contact, "twin@mail.example.org")  # hers before the merge, and not where the last mails went
    assert epochs() == [2, 2, 0]
