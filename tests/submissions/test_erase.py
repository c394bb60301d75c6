"""Forgetting a person: nothing is left to find her by, the chain is whole, and nobody brings her back but herself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from tests import factories
from wagtail_prefs.backends.database.models import Subscriber
from wagtail_prefs.canonical import canonical
from wagtail_prefs.changes import ChangeAddress, GiveReason, OptIn, OptOut, SetAttribute, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact, Suppression
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import BadToken, NotAllowed, UnknownContact
from wagtail_prefs.ledger import seals, services as ledger
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.ledger.verify import verify
from wagtail_prefs.rights.erasure import erase_person, follow_erasures
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.values import SUBSCRIBED, Actor, ActorType, Evidence, Source

from . import addresses
from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
PYTHON = Source(method="python")
STAFF = Actor(ActorType.ADMIN, "staff")
BY_LINK = Actor(ActorType.SUBJECT_LINK)

OLD, NOW, OTHER = (
    f"anna.meyer@{domain}" for domain in ("mail.example.org", "web.example.com", "box.example.org")
)


def live(scene: Scene) -> Contact:
    """A person with a past at every place where an address could be left."""
    contact = contacts.get_or_create(scene.contact.audience_id, f"  {OLD.title()} ", source="import")
    scene = replace(scene, contact=contact)
    scene.save(scene.choose(news=True), key=OLD)  # a job that has nothing better to tell its requests by
    submissions.record(
        contact.pk,
        [
            SetAttribute("second", OTHER),
            SetAttribute("city", "Kassel"),
            GiveReason("other", f"Write to {OTHER}!"),
        ],
        actor=PERSON,
        source=Source(method="python", address_as_entered=OLD.title(), ip="203.0.113.9"),
        idempotency_key=f"profile-{OLD}",
    )
    stale = contacts.load_state(contact.pk).version
    submissions.record(contact.pk, [ChangeAddress(NOW)], actor=PERSON, source=PYTHON, idempotency_key=NOW)
    scene.save({scene.leave: {"opted_out": True}}, epoch=1)  # another address called her old links back
    scene.save(scene.choose(news=True), base=stale, epoch=1)
    twin = factories.make_contact(OTHER)
    submissions.record(
        twin.pk,
        [SetAttribute("mail", OTHER), SetChoice("offers", "email", SUBSCRIBED)],
        actor=PERSON,
        source=Source(method="python", address_as_entered=OTHER),
    )
    deliver()
    submissions.merge_contacts(twin.pk, contact.pk, actor=PERSON, source=PYTHON)
    deliver()
    return contact


def deliver() -> None:
    while Delivery.objects.filter(due_at__lte=timezone.now()).exists():
        delivery.run_once()


def bystander() -> Contact:
    other = factories.make_contact("bea.bystander@mail.example.org")
    submissions.record(other.pk, [SetAttribute("city", "Bonn")], actor=PERSON, source=PYTHON)
    return other


def test_a_million_known_addresses_find_nobody_who_was_erased(
    scene: Scene, tell: Callable[[str], None]
) -> None:
    contact, other = live(scene), bystander()
    audience = contact.audience.key
    before = addresses.dump()
    assert addresses.found([OLD, NOW, OTHER, "anna.nobody@mail.example.org"], before, audience) == {
        OLD,
        NOW,
        OTHER,
    }
    assert len(before.salts) > 6
    seals.seal(timezone.now(), everything=True)
    assert verify().ok

    account = erase_person(contact.pk, actor=PERSON, source=PYTHON, reason="Asked by letter")
    deliver()
    assert follow_erasures() == 1

    after = addresses.dump()
    assert (
        str(account.pk) in after.text or account.pk.hex in after.text
    )  # the account of it was looked through as well
    assert "Asked by letter" in after.text
    started = time.perf_counter()
    candidates = list(addresses.known())
    assert {OLD, NOW, OTHER} <= set(candidates)
    assert addresses.found(candidates, after, audience) == set()
    tell(
        f"erasure: {len(candidates)} known addresses against {len(after.text)} characters, "
        f"{len(after.digests)} digests and {len(after.salts)} salts: none found, "
        f"{time.perf_counter() - started:.1f} s"
    )
    for word in ("anna.meyer", "kassel", "203.0.113", "write to"):
        assert word not in after.text.lower()
    # Of the others everything is there.
    assert list(SideValue.objects.values_list("name", flat=True)) == ["attribute:city"]
    assert "bea.bystander" in after.text
    for known in Contact.objects.all():
        assert ledger.first_broken(known.pk) is None
        assert differences(known.pk) == []
    assert verify().ok
    seals.seal(timezone.now(), everything=True)
    report = verify()
    assert (report.ok, report.unsealed) == (True, 0)
    assert contacts.load_state(other.pk).attributes == {"city": "Bonn"}


@pytest.mark.parametrize(
    "written",
    [
        lambda address: address.upper(),
        lambda address: f"mailto:{address},",
        lambda address: hashlib.sha256(address.encode()).hexdigest(),
        lambda address: hashlib.sha256(address.title().encode()).hexdigest().upper(),
        lambda address: hashlib.sha1(address.encode()).hexdigest(),
        lambda address: hashlib.md5(address.encode()).hexdigest(),
        lambda address: base64.b64encode(hashlib.sha256(address.encode()).digest()).decode(),
        lambda address: base64.urlsafe_b64encode(hashlib.md5(address.encode()).digest()).decode().rstrip("="),
        lambda address: hashlib.sha256(canonical(address)).hexdigest(),
        lambda address: hashlib.sha256(
            canonical({"changes": [ChangeAddress(address).to_json()]})
        ).hexdigest(),
        lambda address: hmac.digest(bytes(SideValue.objects.get().salt), canonical(address), "sha256").hex(),
    ],
)
def test_the_search_would_find_her_in_any_of_these_forms(scene: Scene, written: Callable[[str], str]) -> None:
    """What the search for a million is worth."""
    SideValue.objects.create(
        record=scene.contact.pk, name="ip_truncated", salt=b"sixteen bytes, o", value='"x"'
    )
    candidates = [OLD, NOW, OTHER]
    assert addresses.found(candidates, addresses.dump(), "brand") == set()
    Delivery.objects.create(backend="crm", contact=scene.contact.pk, wanted=1, remote_id=written(NOW))
    assert addresses.found(candidates, addresses.dump(), "brand") == {NOW}


def test_the_erasure_is_a_record_and_the_crm_hears_of_it(scene: Scene) -> None:
    scene.save(scene.choose(news=True))
    deliver()
    assert Subscriber.objects.get().email == scene.contact.email
    saved = submissions.erase(scene.contact.pk, actor=STAFF, source=PYTHON)
    assert saved.state.erased
    assert saved.email == ""
    assert set(saved.state.choices.values()) == {"unsubscribed"}
    effects = {effect.path: effect for effect in saved.effects}
    assert effects.keys() == {"choice:news:email", "opted_out", "address:email", "suppressed", "erased"}
    assert {effect.action for effect in saved.effects} == {"erased"}
    waiting = Delivery.objects.get()
    assert scene.contact.email not in waiting.retired
    deliver()
    assert not Subscriber.objects.exists()
    told = Delivery.objects.get()
    assert (told.retired, told.retired_at, told.remote_id, told.due_at) == ("", None, "", None)


def test_an_erased_person_is_not_there_any_more(scene: Scene) -> None:
    scene.save(scene.choose(news=True), key="k", base=0)
    contact = scene.contact.pk
    submissions.erase(contact, actor=PERSON, source=PYTHON)
    records = Record.objects.count()
    for act in (
        lambda: scene.save(scene.choose(news=True)),
        lambda: scene.save(scene.choose(news=True), epoch=1),
        lambda: scene.save(scene.choose(news=True), key="k", base=0),
        lambda: submissions.record(contact, [OptOut()], actor=PERSON, source=PYTHON),
        lambda: submissions.erase(contact, actor=PERSON, source=PYTHON),
    ):
        with pytest.raises((BadToken, UnknownContact)):
            act()
    assert contacts.find(scene.contact.audience_id, scene.contact.email) is None
    assert Record.objects.count() == records
    assert not SideValue.objects.exists()


RING = [{"kid": "t2", "key": "n" * 40}, *settings.WAGTAIL_PREFS["SIGNING_KEYS"]]


@pytest.mark.parametrize(
    "spelling", ["anna@mail.example.org", " ANNA@Mail.Example.ORG ", "ａnna@mail.example.org"]
)
@pytest.mark.parametrize("rotated", [False, True])
def test_an_erased_address_comes_back_suppressed_and_only_its_owner_lifts_that(
    scene: Scene, spelling: str, rotated: bool
) -> None:
    audience = scene.contact.audience_id
    submissions.erase(scene.contact.pk, actor=PERSON, source=PYTHON)
    ring = {**settings.WAGTAIL_PREFS, "SIGNING_KEYS": RING} if rotated else settings.WAGTAIL_PREFS
    with override_settings(WAGTAIL_PREFS=ring):
        again = contacts.get_or_create(audience, spelling)
        assert again.pk != scene.contact.pk
        assert again.suppressed
        yes = [SetChoice("news", "email", SUBSCRIBED)]
        shown = Source(method="import", evidence=Evidence("sheet 7", timezone.now()))
        for actor, source in (
            (Actor(ActorType.IMPORT, "job"), shown),
            (Actor(ActorType.ADMIN, "staff"), shown),
            (Actor(ActorType.API, "shop"), shown),
            (Actor(ActorType.BACKEND, "crm"), shown),
            (Actor(ActorType.IMPORT, "job"), PYTHON),
        ):
            for changes in (yes, [OptIn(), *yes], [ChangeAddress("else@mail.example.org")]):
                with pytest.raises(NotAllowed):
                    submissions.record(again.pk, changes, actor=actor, source=source)
        mine = replace(scene, contact=again)
        saved = mine.save(mine.choose(news=True))
        assert not saved.state.suppressed
        assert not Contact.objects.get(pk=again.pk).suppressed
        assert not contacts.is_suppressed(audience, scene.contact.email)
        assert differences(again.pk) == []


def test_leaving_again_does_not_lift_a_suppression(scene: Scene) -> None:
    submissions.erase(scene.contact.pk, actor=PERSON, source=PYTHON)
    again = replace(scene, contact=factories.make_contact(scene.contact.email))
    saved = again.save({**again.choose(news=False), again.frequency: {"frequency": {"all": "weekly"}}})
    assert saved.state.suppressed
    assert contacts.is_suppressed(scene.contact.audience_id, scene.contact.email)


def test_moving_to_another_address_keeps_the_old_one_suppressed(scene: Scene) -> None:
    """She shows that the new one is hers; nobody has said that the old one may be mailed again."""
    audience, old, new = scene.contact.audience_id, scene.contact.email, "anna@new.example.org"
    submissions.erase(scene.contact.pk, actor=PERSON, source=PYTHON)
    again = factories.make_contact(old)
    saved = submissions.record(again.pk, [ChangeAddress(new)], actor=BY_LINK, source=PYTHON)
    assert not saved.state.suppressed
    assert contacts.is_suppressed(audience, old)
    assert factories.make_contact(old).suppressed


@pytest.mark.parametrize("actor", [BY_LINK, PERSON])
def test_moving_to_an_erased_address_needs_the_link_that_was_mailed_there(scene: Scene, actor: Actor) -> None:
    gone = factories.make_contact("gone@mail.example.org")
    submissions.erase(gone.pk, actor=PERSON, source=PYTHON)
    saved = submissions.record(
        scene.contact.pk, [ChangeAddress("Gone@mail.example.org")], actor=actor, source=PYTHON
    )
    proven = actor is BY_LINK
    assert saved.state.suppressed is not proven
    assert contacts.is_suppressed(scene.contact.audience_id, "gone@mail.example.org") is not proven
    assert differences(scene.contact.pk) == []


def test_erasing_the_winner_of_a_merge_forgets_whom_she_was_before(scene: Scene) -> None:
    one, two = (factories.make_contact(f"w{number}@mail.example.org") for number in range(2))
    for contact in (one, two):
        submissions.record(contact.pk, [SetAttribute("city", "Kassel")], actor=PERSON, source=PYTHON)
    submissions.merge_contacts(one.pk, two.pk, actor=STAFF, source=PYTHON)
    submissions.merge_contacts(two.pk, scene.contact.pk, actor=STAFF, source=PYTHON)
    submissions.erase(scene.contact.pk, actor=STAFF, source=PYTHON)
    for contact in (one, two, scene.contact):
        row = Contact.objects.get(pk=contact.pk)
        assert (row.email, row.address_key) == ("", None)
        assert row.erased_at is not None
        assert contacts.load_state(contact.pk).attributes == {}
        assert contacts.is_suppressed(contact.audience_id, contact.email)
        assert ledger.first_broken(contact.pk) is None
        assert differences(contact.pk) == []
        assert Delivery.objects.get(contact=contact.pk).wanted == row.version
    assert not SideValue.objects.exists()


def test_erasing_by_the_loser_of_a_merge_erases_the_person(scene: Scene) -> None:
    """Whoever asks by the old address means herself, not a former name of hers."""
    twin = factories.make_contact("twin@mail.example.org")
    submissions.merge_contacts(twin.pk, scene.contact.pk, actor=STAFF, source=PYTHON)
    saved = submissions.erase(twin.pk, actor=PERSON, source=PYTHON)
    assert saved.state.id == scene.contact.pk
    assert not Contact.objects.filter(erased_at=None).exists()
    with pytest.raises(UnknownContact):
        submissions.erase(twin.pk, actor=PERSON, source=PYTHON)


def test_a_platform_that_forgets_a_loser_does_not_forget_the_winner(scene: Scene) -> None:
    """We told it to forget the old address; its echo must not erase the person."""
    twin = factories.make_contact("twin@mail.example.org")
    submissions.merge_contacts(twin.pk, scene.contact.pk, actor=STAFF, source=PYTHON)
    with pytest.raises(UnknownContact):
        submissions.erase(twin.pk, actor=Actor(ActorType.BACKEND, "crm"), source=PYTHON)
    assert not Contact.objects.exclude(erased_at=None).exists()


def test_the_addresses_she_had_before_are_not_mailed_again_either(scene: Scene) -> None:
    audience = scene.contact.audience_id
    for address in ("second@mail.example.org", "third@mail.example.org"):
        submissions.record(scene.contact.pk, [ChangeAddress(address)], actor=BY_LINK, source=PYTHON)
    submissions.erase(scene.contact.pk, actor=PERSON, source=PYTHON)
    for address in (scene.contact.email, "second@mail.example.org", "third@mail.example.org"):
        assert contacts.is_suppressed(audience, address)
    assert Suppression.objects.count() == 3


def test_an_address_that_is_somebody_elses_by_now_is_left_to_her(scene: Scene) -> None:
    """A mailbox changes hands; the erasure of its former owner must not stop the mail of the present one."""
    old = scene.contact.email
    submissions.record(
        scene.contact.pk, [ChangeAddress("anna@new.example.org")], actor=BY_LINK, source=PYTHON
    )
    heir = factories.make_contact(old)
    assert not heir.suppressed
    submissions.erase(scene.contact.pk, actor=PERSON, source=PYTHON)
    assert not contacts.is_suppressed(heir.audience_id, old)
    assert not Contact.objects.get(pk=heir.pk).suppressed


def test_what_was_seen_of_her_a_month_later_is_the_same_nothing(scene: Scene) -> None:
    """The history of an erased person says that it happened, and nothing else of her."""
    contact = live(scene)
    submissions.erase(contact.pk, actor=PERSON, source=PYTHON)
    lines = [line.text for entry in submissions.history(contact.pk, scene.snapshot) for line in entry.lines]
    assert "Your data was erased." in lines
    assert not any(word in " ".join(lines).lower() for word in ("anna", "meyer", "kassel", "@"))
    assert all(
        not entry.undoable or entry.at > timezone.now() - timedelta(days=30)
        for entry in submissions.history(contact.pk, scene.snapshot)
    )
