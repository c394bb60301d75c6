"""What a person chooses is what the platform holds: no more, no less, nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from ...changes import (
    ChangeAddress,
    ClearAttribute,
    Confirm,
    OptOut,
    Pause,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from ...values import (
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    Key,
    PauseStyle,
    ReadBack,
    Resubscribe,
    Support,
)
from .driver import Driver, yes
from .harness import Harness, Seen
from .suite import Suite, needs

DAY = timedelta(days=1)


def no(key: Key) -> SetChoice:
    return SetChoice(*key, UNSUBSCRIBED)


class Arriving(Suite):
    # --- topics ------------------------------------------------------------------------------------------------------

    def test_two_wishes_arrive_as_one_state(
        self, crm: Driver, harness: Harness, news: Key, offers: Key
    ) -> None:
        """What she chose in two submissions is there after one delivery, once, and nothing beside it."""
        person = crm.person(yes(news), yes(offers))
        crm.deliver()
        assert crm.subscribed(person) == {news, offers}
        seen = crm.seen(person)
        assert seen is not None
        assert not seen.refused
        assert not seen.opted_out
        assert harness.people() == 1
        assert crm.is_delivered(person)

    def test_a_no_takes_away_what_it_names_and_no_more(
        self, crm: Driver, can: Capabilities, news: Key, offers: Key
    ) -> None:
        """A no to one topic ends this topic, leaves the others, and is no opt-out."""
        person = crm.person(yes(offers), yes(news))
        crm.deliver()
        crm.save(person, no(news))
        crm.deliver()
        assert crm.subscribed(person) == {offers}
        seen = crm.seen(person)
        assert seen is not None
        assert not seen.opted_out
        if can.explicit_no:
            assert seen.refused == {news}

    def test_what_was_never_asked_is_no_no(self, crm: Driver, can: Capabilities, news: Key) -> None:
        """A topic that she was never asked about is not sent as refused."""
        if not can.explicit_no:
            pytest.skip("capabilities.explicit_no is False: the platform cannot tell a no from silence")
        person = crm.person(yes(news))
        crm.deliver()
        assert crm.seen(person) == Seen(
            frozenset({news}), attributes=_held(crm.seen(person)), frequencies={}, pauses={}
        )

    def test_a_yes_that_waits_is_no_yes(self, crm: Driver, news: Key, offers: Key) -> None:
        """A yes that waits for its confirmation subscribes nobody; confirmed, it does."""
        person = crm.person(yes(offers), SetChoice(*news, PENDING))
        crm.deliver()
        assert crm.subscribed(person) == {offers}
        seen = crm.seen(person)
        assert seen is not None
        assert not seen.refused
        crm.save(person, Confirm(*news))
        crm.deliver()
        assert crm.subscribed(person) == {news, offers}

    def test_a_yes_that_is_taken_back_is_gone(self, crm: Driver, news: Key, offers: Key) -> None:
        """She undoes a yes: as if she had never been asked, so nothing comes."""
        person = crm.person(yes(offers))
        receipt = crm.save(person, yes(news))
        crm.deliver()
        crm.undo(person, receipt)
        crm.deliver()
        assert crm.subscribed(person) == {offers}
        assert crm.is_delivered(person)

    def test_an_opt_out_ends_everything(self, crm: Driver, can: Capabilities, news: Key, offers: Key) -> None:
        """After "unsubscribe from all" nothing is sent, and the platform knows it, where it has a word for it."""
        person = crm.person(yes(news), yes(offers))
        crm.deliver()
        crm.save(person, OptOut())
        crm.deliver()
        assert crm.subscribed(person) == frozenset()
        if can.opt_out is not Support.NONE:
            seen = crm.seen(person)
            assert seen is not None
            assert seen.opted_out
        assert crm.is_delivered(person)

    def test_a_topic_after_an_opt_out_brings_this_topic_alone(
        self, crm: Driver, can: Capabilities, news: Key, offers: Key
    ) -> None:
        """A yes after the opt-out lifts it for what she named; what she had before stays away."""
        person = crm.person(yes(news), yes(offers))
        crm.deliver()
        crm.save(person, OptOut())
        crm.deliver()
        assert crm.subscribed(person) == frozenset()
        crm.save(person, yes(news))
        crm.deliver()
        if can.resubscribe is not Resubscribe.DIRECT:
            assert crm.subscribed(person) <= {news}
            return
        assert crm.subscribed(person) == {news}
        seen = crm.seen(person)
        assert seen is not None
        assert not seen.opted_out

    def test_what_is_not_mapped_goes_nowhere(self, crm: Driver, harness: Harness, news: Key) -> None:
        """A topic that the options do not map reaches no list, harms nobody, and `maps` says so."""
        if harness.unmapped is None:
            pytest.skip("the backend maps everything")
        assert not crm.backend.maps(*harness.unmapped)
        assert all(crm.backend.maps(*key) for key in harness.topics)
        person = crm.person(yes(harness.unmapped), yes(news))
        alone = crm.person(yes(harness.unmapped), email="alone@mail.example.org")
        crm.deliver()
        assert crm.subscribed(person) == {news}
        assert crm.subscribed(alone) == frozenset()
        assert crm.is_delivered(person)
        assert crm.is_delivered(alone)

    # --- frequency, pause, attributes --------------------------------------------------------------------------------

    def test_a_frequency_arrives_and_changes(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key
    ) -> None:
        """How often she wants mail is there in the platform's words, and the newest wish counts."""
        needs(can.frequency, "frequency")
        scope, first, second = harness.frequency
        person = crm.person(yes(news), SetFrequency(*scope, first))
        crm.deliver()
        assert _frequencies(crm.seen(person)).get(scope) == first
        crm.save(person, SetFrequency(*scope, second))
        crm.deliver()
        assert _frequencies(crm.seen(person)).get(scope) == second
        assert crm.subscribed(person) == {news}

    def test_a_pause_is_no_unsubscribe(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key
    ) -> None:
        """A pause reaches the platform as one: no consent is touched, no no is written."""
        needs(can.pause, "pause")
        until = timezone.now() + 30 * DAY
        person = crm.person(yes(news))
        crm.deliver()
        crm.save(person, Pause(*harness.pause, until))
        crm.deliver()
        seen = crm.seen(person)
        if can.pause_style is PauseStyle.MEMBERSHIP:
            assert seen is None or not (seen.refused or seen.opted_out)
            assert crm.subscribed(person) == frozenset()
        else:
            assert seen is not None
            assert not seen.refused
            assert not seen.opted_out
            assert seen.subscribed == {news}
            assert harness.pause in seen.pauses
            assert _until(seen, harness) is None or abs(_ends(seen, harness) - until) <= DAY

    def test_a_pause_ends_by_itself(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key
    ) -> None:
        """When its time is over she gets what she chose, without anybody's doing."""
        needs(can.pause, "pause")
        person = crm.person(yes(news), Pause(*harness.pause, timezone.now() + 30 * DAY))
        crm.deliver()
        crm.pass_time(31 * DAY)
        crm.deliver()
        assert crm.subscribed(person) == {news}
        seen = crm.seen(person)
        assert seen is not None
        assert not seen.refused
        if can.wakes or can.pause_style is PauseStyle.MEMBERSHIP:
            assert harness.pause not in seen.pauses
        else:  # it was told the day, and looks at it
            assert _until(seen, harness) is not None

    def test_a_pause_is_taken_back(self, crm: Driver, can: Capabilities, harness: Harness, news: Key) -> None:
        """She may end a pause before its time, and gets what she chose."""
        needs(can.pause, "pause")
        person = crm.person(yes(news), Pause(*harness.pause, timezone.now() + 30 * DAY))
        crm.deliver()
        crm.save(person, Resume(*harness.pause))
        crm.deliver()
        assert crm.subscribed(person) == {news}
        seen = crm.seen(person)
        assert seen is not None
        assert harness.pause not in seen.pauses

    def test_a_no_during_a_pause_stays(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key, offers: Key
    ) -> None:
        """What she leaves while she pauses does not come back when the pause ends; the rest does."""
        needs(can.pause, "pause")
        person = crm.person(yes(news), yes(offers), Pause(*harness.pause, timezone.now() + 30 * DAY))
        crm.deliver()
        crm.save(person, no(offers))
        crm.deliver()
        assert offers not in crm.subscribed(person)
        crm.pass_time(31 * DAY)
        crm.deliver()
        assert crm.subscribed(person) == {news}

    def test_attributes_keep_their_type(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key
    ) -> None:
        """A number stays a number, a truth a truth, a list a list; what she takes back is gone."""
        needs(can.attributes, "attributes")
        first = {name: values[0] for name, values in harness.attributes.items()}
        second = {name: values[1] for name, values in harness.attributes.items()}
        person = crm.person(yes(news))
        crm.save(person, *(SetAttribute(name, value) for name, value in first.items()))
        crm.deliver()
        assert _typed(_held(crm.seen(person)), first) == _typed(first, first)
        crm.save(person, *(SetAttribute(name, value) for name, value in second.items()))
        crm.deliver()
        assert _typed(_held(crm.seen(person)), second) == _typed(second, second)
        gone = next(iter(first))
        crm.save(person, ClearAttribute(gone))
        crm.deliver()
        assert _held(crm.seen(person)).get(gone) in (None, "")

    def test_every_spelling_of_an_address_arrives(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key
    ) -> None:
        """Addresses with quotes, slashes, plus signs, per cents and foreign letters are each somebody of her own."""
        people = [crm.person(yes(news), email=address) for address in harness.addresses]
        name, value = next(iter(harness.attributes.items()), ("", ("", "")))
        for person in people if can.attributes is not Support.NONE and name else ():
            crm.save(person, SetAttribute(name, value[0]))
        crm.deliver()
        for person, address in zip(people, harness.addresses, strict=True):
            assert crm.seen(address) is not None
            assert crm.subscribed(address) == {news}
            assert crm.is_delivered(person)
            if can.read_back is not ReadBack.NONE:
                known = crm.backend.read(crm.target(person))
                assert known is not None
                assert known.choices.get(news) == SUBSCRIBED
            if can.attributes is not Support.NONE and name:
                assert _held(crm.seen(address)).get(name) == value[0]
        assert harness.people() == len(people)

    # --- who she is --------------------------------------------------------------------------------------------------

    def test_an_old_address_gets_nothing_any_more(self, crm: Driver, news: Key) -> None:
        """After a change of address the new one has her choices, and the old one nothing."""
        person = crm.person(yes(news), email="old@mail.example.org")
        crm.deliver()
        crm.save(person, ChangeAddress("new@mail.example.org"))
        crm.deliver()
        assert crm.subscribed("new@mail.example.org") == {news}
        assert crm.subscribed("old@mail.example.org") == frozenset()

    def test_an_address_that_changed_twice_while_the_platform_was_away(
        self, crm: Driver, harness: Harness, news: Key
    ) -> None:
        """However often she moved meanwhile: only where she is now something comes."""
        person = crm.person(yes(news), email="first@mail.example.org")
        crm.deliver()
        harness.faults.away()
        for address in ("second@mail.example.org", "third@mail.example.org"):
            crm.save(person, ChangeAddress(address))
            crm.deliver()
        harness.faults.heal()
        crm.pass_time(DAY)
        crm.deliver()
        assert crm.subscribed("third@mail.example.org") == {news}
        assert crm.subscribed("first@mail.example.org") == frozenset()
        assert crm.subscribed("second@mail.example.org") == frozenset()
        assert crm.is_delivered(person)

    def test_who_is_erased_is_forgotten(
        self, crm: Driver, can: Capabilities, harness: Harness, news: Key
    ) -> None:
        """Her erasure reaches the platform, also where it was away; where it cannot forget, she gets nothing."""
        person = crm.person(yes(news), email="gone@mail.example.org")
        other = crm.person(yes(news), email="other@mail.example.org")
        crm.deliver()
        harness.faults.away()
        crm.erase(person)
        crm.deliver()
        harness.faults.heal()
        crm.pass_time(DAY)
        crm.deliver()
        assert crm.subscribed("gone@mail.example.org") == frozenset()
        if can.erases:
            assert crm.seen("gone@mail.example.org") is None
            assert harness.people() == 1
        assert crm.subscribed(other) == {news}
        assert crm.is_delivered(person)

    def test_a_merged_contact_gets_nothing_any_more(self, crm: Driver, news: Key, offers: Key) -> None:
        """Of two contacts who turn out to be one, one goes on with the choices; the other address gets nothing."""
        loser = crm.person(yes(news), email="loser@mail.example.org")
        winner = crm.person(yes(offers), email="winner@mail.example.org")
        crm.deliver()
        crm.merge(loser, winner)
        crm.deliver()
        assert crm.subscribed("loser@mail.example.org") == frozenset()
        assert crm.subscribed("winner@mail.example.org") == crm_choices(crm, winner)


def crm_choices(crm: Driver, person: object) -> frozenset[Key]:
    """What she may be sent, as we know it."""
    target = crm.target(person)  # type: ignore[arg-type]
    return frozenset(key for key in target.state.choices if target.subscribed(*key))


def _held(seen: Seen | None) -> dict[str, object]:
    return dict(seen.attributes) if seen else {}


def _frequencies(seen: Seen | None) -> dict[Key, str]:
    return dict(seen.frequencies) if seen else {}


def _until(seen: Seen, harness: Harness) -> datetime | None:
    return seen.pauses.get(harness.pause)


def _ends(seen: Seen, harness: Harness) -> datetime:
    until = _until(seen, harness)
    assert until is not None
    return until


def _typed(held: dict[str, object], wanted: dict[str, object]) -> dict[str, tuple[type, object]]:
    """With the types: 1 is not True, and "3" not 3."""
    return {name: (type(held.get(name)), held.get(name)) for name in wanted}
