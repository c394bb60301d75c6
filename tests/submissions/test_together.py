"""People saving at the same moment, on a real database with real connections."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from tests import factories
from wagtail_prefs.changes import ChangeAddress, OptOut, SetAttribute, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery import services as delivery
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import AddressTaken, BadToken, UnknownContact
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Evidence, Source

from .conftest import PERSON, Scene, make_scene

pytestmark = pytest.mark.django_db(transaction=True)
PYTHON = Source(method="python")
STAFF = Actor(ActorType.ADMIN, "staff")
NEWS = ("news", "email")


def side_by_side(*acts: Callable[[], object]) -> list[Any]:
    """Run acts at once, each on a connection of its own; what each returned or raised, in their order."""
    barrier, outcomes = threading.Barrier(len(acts)), list[Any]([None] * len(acts))

    def run(number: int, act: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            outcomes[number] = act()
        except BaseException as error:  # noqa: BLE001 - the test looks at all of them
            outcomes[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "somebody waits for ever"
    return outcomes


def errors(outcomes: Sequence[Any]) -> list[BaseException]:
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]


def whole(*people: Contact) -> None:
    """Nothing was lost or doubled: the chain, the state it folds to, the order of its times, and the delivery."""
    for person in people:
        contact = Contact.objects.get(pk=person.pk)
        records = list(Record.objects.filter(contact_ref=contact.pk).order_by("seq"))
        assert [record.seq for record in records] == list(range(1, contact.version + 1))
        assert ledger.first_broken(contact.pk) is None
        assert differences(contact.pk) == []
        assert all(one.at <= other.at for one, other in pairwise(records))
        wanted = list(Delivery.objects.filter(contact=contact.pk).values_list("wanted", flat=True))
        assert wanted == ([contact.version] if contact.version else [])


def people(scene: Scene, *names: str) -> list[Scene]:
    return [replace(scene, contact=factories.make_contact(f"{name}@mail.example.org")) for name in names]


def say(contact: UUID, *changes: Any) -> None:
    submissions.record(contact, changes, actor=PERSON, source=PYTHON)


def merge(loser: Scene, winner: Scene) -> Callable[[], object]:
    return lambda: submissions.merge_contacts(
        loser.contact.pk, winner.contact.pk, actor=PERSON, source=PYTHON
    )


def erase(scene: Scene) -> Callable[[], object]:
    return lambda: submissions.erase(scene.contact.pk, actor=PERSON, source=PYTHON)


def test_two_tabs_saving_at_once_are_both_applied_or_merged() -> None:
    scene = make_scene()
    for number in range(10):
        (one,) = people(scene, f"a{number}")
        tabs = [
            one.choose(news=True, offers=True),
            one.choose(news=False),
            {**one.choose(events=False), one.frequency: {"frequency": {"all": "weekly"}}},
            {one.frequency: {"frequency": {"all": "monthly"}}},
        ]
        outcomes = side_by_side(*(partial(one.save, answers, base=0) for answers in tabs))
        assert errors(outcomes) == []
        state = contacts.load_state(one.contact.pk)
        # Whichever came first: the no and the rarer frequency stand, and what nobody contradicts is there.
        assert state.choices == {
            NEWS: UNSUBSCRIBED,
            ("offers", "email"): SUBSCRIBED,
            ("events", "email"): UNSUBSCRIBED,
        }
        assert state.frequencies == {("", ""): "monthly"}
        whole(one.contact)


def test_tabs_that_stay_open_are_never_lost() -> None:
    """Each goes on saving on the version it was drawn with, and on what it was answered."""
    scene = make_scene()

    def tab(topic: str) -> list[bool]:
        version, kept = 0, []
        for number in range(12):
            saved = scene.save(
                scene.choose(**{topic: number % 2 == 0}), base=version, key=f"{topic}-{number}"
            )
            assert saved.receipt
            kept.append(saved.yielded == ())
            version = saved.version
        return kept

    outcomes = side_by_side(*(partial(tab, topic) for topic in ("news", "offers", "events")))
    assert errors(outcomes) == []
    assert outcomes == [[True] * 12] * 3
    assert Contact.objects.get().version == 36
    whole(scene.contact)


def test_a_double_send_is_one_record() -> None:
    scene = make_scene()
    for number in range(5):
        answers = scene.choose(news=number % 2 == 0)
        outcomes = side_by_side(*[partial(scene.save, answers, key=f"once-{number}", base=number)] * 8)
        assert errors(outcomes) == []
        assert len({saved.receipt for saved in outcomes}) == 1
        assert Record.objects.count() == number + 1
    whole(scene.contact)


def test_people_do_not_wait_for_each_other_nor_deadlock() -> None:
    """Each sends many answers, in an order of her own."""
    scene = make_scene()
    scenes = [scene, *people(scene, "p0", "p1", "p2")]
    dice = random.Random(7)
    for number in range(8):
        turn = number % 2 == 0
        codes = ["weekly", "monthly"]
        given = []
        for _ in range(6):
            topics = [("news", True), ("offers", False), ("events", True)]
            dice.shuffle(topics)
            frequency = {"all": codes[turn], "channel:email": codes[not turn]}
            choices = scene.choose(**{topic: value is turn for topic, value in topics})
            given.append({scene.frequency: {"frequency": frequency}, **choices})
        outcomes = side_by_side(
            *(partial(one.save, answers) for one, answers in zip([*scenes, *scenes[:2]], given, strict=True))
        )
        assert errors(outcomes) == []
    whole(*(one.contact for one in scenes))


def test_an_undo_and_a_save_at_once() -> None:
    scene = make_scene()
    for number in range(8):
        scene.save(scene.choose(news=True, offers=True))
        gone = scene.save(scene.choose(news=False, offers=False))
        base = gone.version

        def undo(receipt: str | None = gone.receipt) -> submissions.Saved:
            return submissions.undo(
                link_id=scene.contact.link_id,
                epoch=0,
                snapshot=scene.snapshot,
                receipt=UUID(receipt),
                actor=PERSON,
                source=PYTHON,
                idempotency_key=None,
            )

        outcomes = side_by_side(
            undo,
            partial(scene.save, scene.choose(news=False, events=True), base=base),
            undo,
        )
        assert errors(outcomes) == []
        state = contacts.load_state(scene.contact.pk)
        # The no was said with the no before her eyes: after the undo it is a no again, before it it is kept or
        # taken back with the rest. What nobody took back is there in any case.
        assert state.choices["offers", "email"] == SUBSCRIBED
        assert state.choices["events", "email"] == SUBSCRIBED
        restored = [saved for saved in (outcomes[0], outcomes[2]) if saved.receipt]
        assert len(restored) == 1, number
    whole(scene.contact)


def test_two_merges_of_the_same_two_at_once() -> None:
    scene = make_scene()
    for number in range(8):
        one, two = people(scene, f"a{number}", f"b{number}")
        one.save(one.choose(news=True))
        two.save(two.choose(offers=True, events=False))
        outcomes = side_by_side(merge(one, two), merge(two, one), merge(one, two))
        assert [type(error) for error in errors(outcomes)] == [UnknownContact] * 2
        (saved,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert saved.state.choices == {
            NEWS: SUBSCRIBED,
            ("offers", "email"): SUBSCRIBED,
            ("events", "email"): UNSUBSCRIBED,
        }
        whole(one.contact, two.contact)


def test_merges_in_a_ring_and_along_a_line_at_once() -> None:
    """a into b, b into c, c into a, and one who was merged before: somebody is left, and everybody leads to her."""
    scene = make_scene()
    for number in range(8):
        ring = people(scene, *(f"{name}{number}" for name in "abcd"))
        former = ring.pop()
        for one, topic in zip(ring, ("news", "offers", "events"), strict=True):
            one.save(one.choose(**{topic: False}))
        assert errors(side_by_side(merge(former, ring[0]))) == []
        outcomes = side_by_side(
            *(merge(one, two) for one, two in zip(ring, [*ring[1:], ring[0]], strict=True)),
            merge(former, ring[2]),
        )
        assert {type(error) for error in errors(outcomes)} == {UnknownContact}
        everybody = [one.contact for one in (*ring, former)]
        rows = Contact.objects.in_bulk([person.pk for person in everybody])
        left = [row for row in rows.values() if row.merged_into_id is None]
        assert len(left) == 1
        assert {row.merged_into_id for row in rows.values()} == {None, left[0].pk}
        assert set(contacts.load_state(left[0].pk).choices.values()) == {UNSUBSCRIBED}
        assert len(contacts.load_state(left[0].pk).choices) == 3
        whole(*everybody)


def test_a_merge_and_a_save_by_the_losers_link_at_once() -> None:
    """The save lands on the winner, or on the loser before she is merged - and then its no goes over with her."""
    scene = make_scene()
    for number in range(10):
        loser, winner = people(scene, f"a{number}", f"b{number}")
        winner.save(winner.choose(news=True, offers=True))
        leave = Source(method="one_click")
        outcomes = side_by_side(
            merge(loser, winner),
            partial(loser.save, loser.choose(news=False), base=0),
            partial(
                submissions.record,
                loser.contact.pk,
                [SetChoice("offers", "email", UNSUBSCRIBED)],
                actor=Actor(ActorType.ONE_CLICK),
                source=leave,
            ),
        )
        assert errors(outcomes) == []
        assert contacts.load_state(winner.contact.pk).choices == {
            NEWS: UNSUBSCRIBED,
            ("offers", "email"): UNSUBSCRIBED,
        }
        whole(loser.contact, winner.contact)


def test_an_erasure_and_a_save_at_once() -> None:
    scene = make_scene()
    for number in range(10):
        (one,) = people(scene, f"a{number}")
        contact = one.contact
        one.save(one.choose(news=True))
        outcomes = side_by_side(
            erase(one),
            partial(one.save, one.choose(offers=True), base=1),
            partial(say, contact.pk, SetAttribute("city", "Kassel")),
            erase(one),
        )
        assert (
            sum(isinstance(outcome, submissions.Saved) and outcome.state.erased for outcome in outcomes) == 1
        )
        assert all(isinstance(error, BadToken | UnknownContact) for error in errors(outcomes))
        state = contacts.load_state(contact.pk)
        assert state.erased
        assert SUBSCRIBED not in state.choices.values()
        assert state.attributes == {}
        assert contacts.is_suppressed(contact.audience_id, contact.email)
        with pytest.raises((BadToken, UnknownContact)):
            one.save(one.choose(offers=True), base=1)
        whole(contact)
    assert not SideValue.objects.exists()
    assert not Contact.objects.exclude(pk=scene.contact.pk).exclude(email="").exists()


def test_an_erasure_a_merge_and_a_new_arrival_at_once() -> None:
    """Whichever comes first: nothing of the erased person is left, and her address comes back suppressed or not at all."""
    scene = make_scene()
    for number in range(8):
        one, two = people(scene, f"a{number}", f"b{number}")
        for person in (one, two):
            person.save(person.choose(news=True))
            say(person.contact.pk, SetAttribute("city", "Kassel"))
        audience, address = one.contact.audience_id, one.contact.email
        outcomes = side_by_side(
            merge(one, two), erase(two), partial(contacts.get_or_create, audience, address), erase(one)
        )
        assert all(isinstance(error, UnknownContact) for error in errors(outcomes))
        assert errors(outcomes[2:3]) == []
        for person in (one, two):
            state = contacts.load_state(person.contact.pk)
            assert state.erased
            assert state.attributes == {}
            whole(person.contact)
        assert contacts.get_or_create(audience, address).suppressed
    assert not SideValue.objects.exists()


def test_two_people_cannot_get_one_address() -> None:
    scene = make_scene()
    for number in range(8):
        one, two = people(scene, f"a{number}", f"b{number}")
        change = ChangeAddress(f"both{number}@mail.example.org")
        outcomes = side_by_side(*(partial(say, person.contact.pk, change) for person in (one, two)))
        assert [type(error) for error in errors(outcomes)] == [AddressTaken]
        whole(one.contact, two.contact)


def test_the_worker_and_everybody_else_at_once() -> None:
    """Merges and erasures write the deliveries of several contacts; a round writes those of many."""
    scene = make_scene()
    for number in range(6):
        crowd = people(scene, *(f"p{number}-{index}" for index in range(6)))
        for one in crowd:
            one.save(one.choose(news=True))
        outcomes = side_by_side(
            merge(crowd[0], crowd[1]),
            merge(crowd[3], crowd[2]),
            erase(crowd[4]),
            delivery.run_once,
            delivery.run_once,
            partial(crowd[5].save, crowd[5].choose(news=False)),
        )
        assert errors(outcomes) == []
        whole(*(one.contact for one in crowd))
    delivery.run_once()
    assert not Delivery.objects.exclude(due_at=None).exists()


def test_what_is_revoked_while_a_save_waits_is_revoked() -> None:
    """The save began before, and gets the lock after: what the lock shows counts."""
    scene = make_scene()
    outcomes: list[Any] = []
    saver = threading.Thread(
        target=lambda: outcomes.extend(side_by_side(lambda: scene.save(scene.choose(news=True), base=0)))
    )
    with transaction.atomic():
        Contact.objects.filter(pk=scene.contact.pk).update(epoch=1)
        saver.start()
        saver.join(0.3)  # long enough for it to wait, mostly; the outcome is the same if it was not
    saver.join(60)
    assert [type(outcome) for outcome in outcomes] == [BadToken]
    assert not Record.objects.exists()


def test_evidence_and_her_no_at_once() -> None:
    """An import with evidence from before her no never wins against it."""
    scene = make_scene()
    for number in range(8):
        (one,) = people(scene, f"a{number}")
        one.save(one.choose(news=True))
        at = Record.objects.get(contact_ref=one.contact.pk).at
        shown = Source(method="import", evidence=Evidence("sheet 7", at))
        yes = SetChoice("news", "email", SUBSCRIBED)
        side_by_side(
            partial(say, one.contact.pk, OptOut()),
            partial(
                submissions.record,
                one.contact.pk,
                [yes],
                actor=Actor(ActorType.IMPORT, "job"),
                source=shown,
            ),
        )
        state = contacts.load_state(one.contact.pk)
        assert state.opted_out
        assert state.choices == {NEWS: UNSUBSCRIBED}
        whole(one.contact)
