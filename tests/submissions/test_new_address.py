"""Another address, asked for on a page: nothing changes before its mailbox has answered, and nobody learns whose it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from tests.blocks.asking import asking
from wagtail_prefs.access import services as access
from wagtail_prefs.access.models import OneTimeLink
from wagtail_prefs.access.services import Once, Purpose
from wagtail_prefs.blocks.profile import ProfileBlock
from wagtail_prefs.centers import services as centers
from wagtail_prefs.centers.services import Snapshot
from wagtail_prefs.changes import ChangeAddress, OptOut, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.errors import AddressTaken, BadToken, InvalidAnswers, StepUpRequired
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.mail.models import Mail
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Answers, Assurance, Source

from .test_together import errors, side_by_side

PERSON = Actor(ActorType.SUBJECT_SESSION)
STAFF = Actor(ActorType.ADMIN, "staff")
PAGE = Source(method="page")
NEW = "new@else.example.org"
SAID = "New e-mail address: We send a mail to the new address. It counts once you have confirmed it there."


@dataclass
class Scene:
    snapshot: Snapshot
    contact: Contact

    def save(
        self,
        answers: Answers,
        *,
        key: str | None = None,
        base: int | None = None,
        assurance: Assurance = "fresh",
        network: str = "",
    ) -> Saved:
        contact = Contact.objects.get(pk=self.contact.pk)
        return submissions.submit(
            link_id=contact.link_id,
            epoch=contact.epoch,
            snapshot=self.snapshot,
            base_version=contact.version if base is None else base,
            answers=answers,
            actor=PERSON,
            source=Source(method="element", form_id=str(self.snapshot.center)),
            idempotency_key=key,
            assurance=assurance,
            network=network,
        )

    def ask(self, address: str = NEW, **more: Any) -> Saved:
        return self.save({"profile": {"email": address}}, **more)


def make() -> Scene:
    page = factories.make_center(asking())
    published = centers.current(page.translation_key)
    return Scene(centers.get_snapshot(published.digest), factories.make_contact())


@pytest.fixture
def scene(db: None) -> Scene:
    return make()


def newest() -> Once:
    """The link in the newest mail to a new address."""
    mail = Mail.objects.filter(kind="change_address").latest("created_at", "pk")
    return opened(mail.context["url"])


def opened(url: str) -> Once:
    return access.look(urlsplit(url).path.rstrip("/").rpartition("/")[2], Purpose.CHANGE_ADDRESS)


def confirm(link: Once) -> Saved:
    return submissions.confirm_address(link, source=PAGE, locale="en", center_title="Your choices")


# --- asking ----------------------------------------------------------------------------------------------------------


def test_it_leaves_a_mail_and_changes_nothing(scene: Scene) -> None:
    before = Contact.objects.values().get()
    saved = scene.ask()
    assert (saved.receipt, saved.effects, saved.asks_address) == (None, (), True)
    assert [(line.path, line.text) for line in saved.applied] == [("profile.email", SAID)]
    assert Contact.objects.values().get() == before
    assert not Record.objects.exists()
    mail = Mail.objects.get()
    assert (mail.kind, mail.to, mail.contact, mail.locale) == ("change_address", NEW, scene.contact.pk, "en")
    assert mail.context.keys() == {"url", "center_title", "hours"}
    assert (mail.context["hours"], mail.context["center_title"]) == (24, "Your choices")
    link = newest()
    assert (link.address, link.contact_id, link.over) == (NEW, scene.contact.pk, False)
    assert link.expires_at - link.issued == timedelta(hours=24)
    # The next save finds the chain as it was.
    assert scene.save({"question": {"answer": ["red"]}}).version == 1
    assert differences(scene.contact.pk) == []


def test_what_else_was_answered_is_saved_at_once_and_no_record_names_the_address(scene: Scene) -> None:
    saved = scene.save({"profile": {"email": NEW, "given_name": "Yolanda"}, "question": {"answer": ["red"]}})
    assert saved.receipt and saved.version == 1
    assert [line.text for line in saved.applied] == ["Which colour?: saved", "Given name: saved", SAID]
    assert NEW not in Record.objects.get().body
    assert Contact.objects.get().email == scene.contact.email
    assert differences(scene.contact.pk) == []


def test_a_repeat_says_the_same_and_sends_nothing(scene: Scene) -> None:
    answers = {"profile": {"email": NEW, "given_name": "Yolanda"}}
    first, again = scene.save(answers, key="once", base=0), scene.save(answers, key="once", base=0)
    assert first.applied == again.applied
    assert first.receipt == again.receipt
    assert Mail.objects.count() == 1


def test_an_old_mail_asks_for_none(scene: Scene) -> None:
    with pytest.raises(StepUpRequired):
        scene.ask(assurance="link")
    assert not Mail.objects.exists() and not OneTimeLink.objects.exists()


def test_a_block_that_does_not_call_it_personal_gives_nobody_another_address(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of the site's own may answer with any change; this one is never carried out on the word of a page."""
    spec = scene.snapshot.spec("profile")
    assert spec is not None
    plain = [{**one, "personal": False} for one in spec.document["controls"]]
    tame = replace(spec, document={**spec.document, "controls": plain})
    scene.snapshot = replace(
        scene.snapshot,
        digest="a" * 64,
        specs=tuple(tame if one is spec else one for one in scene.snapshot.specs),
    )
    with pytest.raises(StepUpRequired):
        scene.ask(assurance="link")
    assert scene.ask().asks_address
    assert Contact.objects.get().email == scene.contact.email


@pytest.mark.parametrize("answer", [None, "", "  "])
def test_no_address_asks_for_nothing(scene: Scene, answer: Any) -> None:
    assert not scene.ask(answer).asks_address
    assert not Mail.objects.exists()


def test_what_is_no_address_is_refused_like_any_answer(scene: Scene) -> None:
    for address in ("nobody", "a@b\nBcc: c@d.example", "a@b.example, c@d.example"):
        with pytest.raises(InvalidAnswers):
            scene.ask(address)
    assert not Mail.objects.exists()


def test_nobody_learns_whose_an_address_is(scene: Scene) -> None:
    """The same answer, statements and rows for every kind of address (security.md AB-01)."""
    factories.make_contact("taken@else.example.org")
    gone = factories.make_contact("gone@else.example.org")
    submissions.erase(gone.pk, actor=STAFF, source=PAGE)
    assert contacts.is_suppressed(gone.audience_id, "gone@else.example.org")
    told, statements, rows = [], [], []
    for number, address in enumerate(
        [
            "free@else.example.org",
            "taken@else.example.org",
            "gone@else.example.org",
            "x@no-such-domain.invalid",
        ]
    ):
        contact = factories.make_contact(f"person-{number}@mail.example.org")
        asks = replace(scene, contact=contact)
        with CaptureQueriesContext(connection) as captured:
            saved = asks.ask(address)
        told.append((saved.receipt, saved.version, saved.applied, saved.merged, saved.asks_address))
        statements.append([query["sql"].partition(" ")[0] for query in captured.captured_queries])
        rows.append(
            (
                OneTimeLink.objects.filter(contact=contact).count(),
                list(Mail.objects.filter(contact=contact.pk).values_list("kind", "to")),
            )
        )
        assert rows[-1] == (1, [("change_address", address)])
    assert told.count(told[0]) == len(told)
    assert statements.count(statements[0]) == len(statements)


def test_an_address_that_nobody_can_write_to_is_told_alike(scene: Scene) -> None:
    """What Django takes for an address and IDNA does not."""
    first = scene.ask("x@" + "ä" * 60 + ".example")
    assert first.asks_address and [line.text for line in first.applied] == [SAID]


def test_only_the_newest_wish_waits(scene: Scene) -> None:
    scene.ask("typo@else.example.org")
    old = newest()
    scene.ask(NEW)
    assert OneTimeLink.objects.get().address == NEW
    with pytest.raises(BadToken):
        opened(f"/c/{old.token}/")
    with pytest.raises(BadToken):
        confirm(old)
    confirm(newest())
    assert Contact.objects.get().email == NEW


def test_beyond_a_limit_nothing_is_sent_and_the_wish_before_goes_on_waiting(scene: Scene) -> None:
    first = scene.ask()
    link = newest()
    again = scene.ask()  # within the minute that an address has to wait
    assert (first.applied, first.receipt) == (again.applied, again.receipt)
    assert Mail.objects.count() == 1
    assert not opened(f"/c/{link.token}/").over
    for number in range(4):  # nobody has us write to a hundred strangers
        scene.ask(f"stranger-{number}@else.example.org")
    assert Mail.objects.count() == 3 - 1  # what was beyond a limit has counted as well


def test_a_network_is_counted_where_it_is_known(scene: Scene, settings: Any) -> None:
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "LIMITS": {"link_network": [(2, 3600)]}}
    for number in range(4):
        contact = factories.make_contact(f"person-{number}@mail.example.org")
        replace(scene, contact=contact).ask(f"new-{number}@else.example.org", network="203.0.113.9")
    assert Mail.objects.count() == 2


# --- confirming ------------------------------------------------------------------------------------------------------


def test_every_choice_moves_with_her(scene: Scene) -> None:
    """An opt-out belongs to the person, and not to the mailbox."""
    submissions.record(
        scene.contact.pk,
        [SetChoice("news", "email", SUBSCRIBED), SetChoice("offers", "email", UNSUBSCRIBED)],
        actor=PERSON,
        source=PAGE,
    )
    submissions.record(scene.contact.pk, [OptOut()], actor=PERSON, source=PAGE)
    before = contacts.load_state(scene.contact.pk)
    scene.ask()
    saved = confirm(newest())
    after = contacts.load_state(scene.contact.pk)
    assert after.opted_out
    assert (
        after.choices
        == before.choices
        == {("news", "email"): UNSUBSCRIBED, ("offers", "email"): UNSUBSCRIBED}
    )
    contact = Contact.objects.get()
    assert (contact.email, contact.epoch) == (NEW, scene.contact.epoch + 1)
    assert contacts.find(contact.audience_id, NEW) == contact
    assert contacts.find(contact.audience_id, scene.contact.email) is None
    assert saved.receipt
    assert differences(contact.pk) == []


def test_the_old_address_is_told_and_the_new_one_is_in_no_mail_to_it(scene: Scene) -> None:
    scene.ask()
    confirm(newest())
    notice = Mail.objects.get(kind="address_changed")
    assert (notice.to, notice.context) == (scene.contact.email, {"center_title": "Your choices"})


def test_another_spelling_of_her_own_address_needs_no_notice_and_calls_nothing_back(scene: Scene) -> None:
    scene.ask(scene.contact.email.upper())
    confirm(newest())
    contact = Contact.objects.get()
    assert (contact.email, contact.epoch) == (scene.contact.email.upper(), scene.contact.epoch)
    assert not Mail.objects.filter(kind="address_changed").exists()


def test_it_works_once(scene: Scene) -> None:
    scene.ask()
    link = newest()
    confirm(link)
    with pytest.raises(BadToken):
        confirm(link)
    assert OneTimeLink.objects.get().address == ""
    assert Record.objects.count() == 1


def test_an_address_that_became_somebody_elses_changes_nothing_and_can_be_tried_again(scene: Scene) -> None:
    scene.ask()
    link = newest()
    other = factories.make_contact(NEW.upper())
    with pytest.raises(AddressTaken):
        confirm(link)
    assert Contact.objects.get(pk=scene.contact.pk).email == scene.contact.email
    assert Contact.objects.get(pk=scene.contact.pk).version == 0
    assert OneTimeLink.objects.get().used_at is None
    assert not Mail.objects.filter(kind="address_changed").exists()
    submissions.record(other.pk, [ChangeAddress("other@else.example.org")], actor=PERSON, source=PAGE)
    confirm(link)
    assert Contact.objects.get(pk=scene.contact.pk).email == NEW


@pytest.mark.parametrize("erased", ["new", "old"])
def test_only_the_mailbox_itself_lifts_what_keeps_it_from_mail(scene: Scene, erased: str) -> None:
    """An address that was erased once comes back by its own confirmed link alone (design.md s6)."""
    address = NEW if erased == "new" else scene.contact.email
    audience = scene.contact.audience_id
    if erased == "new":
        submissions.erase(factories.make_contact(NEW).pk, actor=STAFF, source=PAGE)
    else:
        contacts.suppress(audience, address)
        Contact.objects.filter(pk=scene.contact.pk).update(suppressed=True)
    scene.ask()
    assert contacts.is_suppressed(audience, address)
    confirm(newest())
    assert not Contact.objects.get(pk=scene.contact.pk).suppressed
    # The one that she left stays as it was: nobody has shown that its reader wants mail.
    assert contacts.is_suppressed(audience, address) is (erased == "old")


def test_an_erasure_forgets_the_address_that_waits(scene: Scene) -> None:
    scene.ask()
    link = newest()
    submissions.erase(scene.contact.pk, actor=STAFF, source=PAGE)
    assert not OneTimeLink.objects.filter(address=NEW).exists()
    assert not Mail.objects.filter(to=NEW).exists()
    with pytest.raises(BadToken):
        opened(f"/c/{link.token}/")


def test_who_was_merged_meanwhile_takes_the_address_along(scene: Scene) -> None:
    scene.ask()
    link = newest()
    winner = factories.make_contact("winner@mail.example.org")
    submissions.merge_contacts(scene.contact.pk, winner.pk, actor=STAFF, source=PAGE)
    confirm(opened(f"/c/{link.token}/"))
    assert Contact.objects.get(pk=winner.pk).email == NEW
    assert Mail.objects.get(kind="address_changed").to == winner.email
    # The links of either open nothing any more.
    assert set(Contact.objects.values_list("epoch", flat=True)) == {1}
    assert differences(winner.pk) == []


# --- at once ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_presses_one_moves_her() -> None:
    scene = make()
    scene.ask()
    link = newest()
    outcomes = side_by_side(*[lambda: confirm(link)] * 12)
    refused = errors(outcomes)
    assert len(refused) == 11 and all(isinstance(error, BadToken) for error in refused), refused
    assert Record.objects.count() == 1
    assert Mail.objects.filter(kind="address_changed").count() == 1
    assert differences(scene.contact.pk) == []


@pytest.mark.django_db(transaction=True)
def test_two_who_want_one_address_and_one_who_asks_again_at_once() -> None:
    scene = make()
    other = replace(scene, contact=factories.make_contact("bea@mail.example.org"))
    with time_machine.travel(timezone.now() - timedelta(minutes=2), tick=False):
        scene.ask()
    mine = newest()
    other.ask()
    hers = newest()
    again: Callable[[], object] = lambda: scene.ask("third@else.example.org")  # noqa: E731
    outcomes = side_by_side(lambda: confirm(mine), lambda: confirm(hers), again)
    for error in errors(outcomes):
        assert isinstance(error, AddressTaken | BadToken), repr(error)
    assert Contact.objects.filter(email=NEW).count() == 1
    for person in (scene, other):
        assert differences(person.contact.pk) == []


def test_the_block_asks_for_nothing_else(scene: Scene) -> None:
    spec = scene.snapshot.spec("profile")
    assert spec is not None
    assert ProfileBlock.changes(spec, {"email": NEW}) == [ChangeAddress(NEW)]
