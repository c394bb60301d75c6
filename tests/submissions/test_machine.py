"""People, staff, imports, platforms and time do whatever comes to their minds; what must always hold is looked at after
every step (design.md s12).

What may become a yes is said here once more, in the plainest words, and apart from the rules: `Granted`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

import pytest
import time_machine
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.properties import examples
from wagtail_prefs.changes import (
    Change,
    ChangeAddress,
    ClearAttribute,
    Confirm,
    GiveReason,
    OptIn,
    OptOut,
    Pause,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from wagtail_prefs.contacts import services as contacts, store
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import AddressTaken, BadToken, KeyReused, NotAllowed, UnknownContact, UnknownReceipt
from wagtail_prefs.ledger import seals, services as ledger
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.ledger.verify import verify
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.values import (
    FREQUENCIES,
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    ContactState,
    Evidence,
    Key,
    Source,
)

from .conftest import Scene, make_scene

START = dt.datetime(2026, 11, 22, 9, 0, tzinfo=dt.UTC)
ADDRESSES = [f"{name}@mail.example.org" for name in ("ada", "bea", "cleo", "dora", "elsa", "fay", "gwen")]
KEYS: list[Key] = [
    *(("news", channel) for channel in ("email", "sms")),
    *(("offers", channel) for channel in ("email", "sms")),
    ("events", "email"),
]
LINK, SESSION = Actor(ActorType.SUBJECT_LINK), Actor(ActorType.SUBJECT_SESSION)
CRM, JOB, SHOP, STAFF = (
    Actor(ActorType.BACKEND, "crm"),
    Actor(ActorType.IMPORT, "import-7"),
    Actor(ActorType.API, "shop"),
    Actor(ActorType.ADMIN, "staff"),
)
PYTHON = Source(method="python")

whom = st.integers(0, 20)
subjects = st.sampled_from([LINK, SESSION])
days = st.floats(-30, 30).map(lambda number: dt.timedelta(days=round(number, 3)))
#: Channels as a whole.
CHANNELS: list[Key] = [("", "email"), ("", "sms")]


def consistent(answers: dict[Key, bool]) -> dict[Key, bool]:
    """Without a yes beside a no to its channel: that would be refused as a contradiction."""
    return {
        key: value
        for key, value in answers.items()
        if not (key[0] and value and answers.get(("", key[1])) is False)
    }


choices = st.dictionaries(
    st.sampled_from([*KEYS, *KEYS, *CHANNELS]), st.booleans(), min_size=1, max_size=4
).map(consistent)
lags = st.sampled_from([0, 0, 0, 1, 2, 4])


@dataclass
class Granted:
    """What one act may bring to one contact: the choices that may become yes, and whether it lifts what stops all."""

    yes: set[Key] = field(default_factory=set)
    lifts: bool = False
    unsuppresses: bool = False


@dataclass
class Memory:
    """What this test remembers of a contact: her noes, and the addresses she had."""

    link_id: str
    noes: dict[Key, tuple[int, dt.datetime]] = field(default_factory=dict)
    out: tuple[int, dt.datetime] | None = None
    addresses: list[str] = field(default_factory=list)
    checked: int = -1

    def unanswered(self, key: Key, state: ContactState, base: int) -> bool:
        """Whether no no that stands came after a version that she had before her eyes."""
        no = any(
            said in noes(state) and self.noes.get(said, (0, START))[0] > base for said in (key, ("", key[1]))
        )
        return not no and not (state.opted_out and not self.seen_out(base))

    def seen_out(self, base: int) -> bool:
        return self.out is None or self.out[0] <= base

    def older_than(self, key: Key, moment: dt.datetime) -> bool:
        """Whether her noes are all older than something she did."""
        said = (self.noes.get(key), self.noes.get(("", key[1])), self.out)
        return all(no[1] < moment for no in said if no is not None)


@dataclass(frozen=True)
class Receipt:
    contact: UUID
    id: str
    version: int
    at: dt.datetime
    before: frozenset[Key]
    after: frozenset[Key]
    merge: bool


def yeses(state: ContactState) -> frozenset[Key]:
    return frozenset(key for key, value in state.choices.items() if value == SUBSCRIBED)


def noes(state: ContactState) -> frozenset[Key]:
    return frozenset(key for key, value in state.choices.items() if value == UNSUBSCRIBED)


class People(RuleBasedStateMachine):
    """One database, from empty to whatever comes; everything is rolled back at the end."""

    scene: ClassVar[Scene]
    steps: ClassVar[Counter[str]] = Counter()
    machines: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).machines += 1
        self.memory: dict[UUID, Memory] = {}
        self.receipts: list[Receipt] = []
        self.acknowledged: list[tuple[Callable[[bool], Saved], Saved]] = []
        self.suppressed: set[str] = set()
        self.known: set[str] = set()
        self.effective = 0
        self.key = 0
        self.rings: list[Any] = []
        self.now = START
        self.failed = False
        self.rollback = transaction.atomic()
        self.rollback.__enter__()
        self.clock = time_machine.travel(START, tick=False)
        self.traveller = self.clock.start()

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.everything()
        finally:
            self.clock.stop()
            for ring in reversed(self.rings):
                ring.disable()
            transaction.set_rollback(True)
            self.rollback.__exit__(None, None, None)

    # --- the world ---------------------------------------------------------------------------------------------------

    @initialize(names=st.lists(st.sampled_from(ADDRESSES), min_size=3, max_size=5, unique=True))
    def people_come(self, names: list[str]) -> None:
        for address in names:
            self.arrive(address)

    @rule(
        what=st.sampled_from(["come", "come", "wait", "wait", "expire", "expire", "rotate", "ghost", "seal"]),
        who=whom,
        by=st.sampled_from([dt.timedelta(minutes=5), dt.timedelta(days=1), dt.timedelta(days=9)]),
    )
    def the_world_goes_on(self, what: str, who: int, by: dt.timedelta) -> None:
        """One rule for what is not worth a step as often as what people do."""
        match what:
            case "come":
                address = ADDRESSES[who % len(ADDRESSES)]
                self.arrive(address.upper() if who % 2 else address)
            case "wait":
                self.count("wait")
                self.pass_by(by)
            case "expire":
                self.expire()
            case "rotate" if len(self.rings) < 3:
                self.rotate()
            case "seal":
                self.count("seal")
                seals.seal(self.now)
            case "ghost":
                self.speak_of_one_who_is_gone(who)

    def arrive(self, spelled: str) -> None:
        self.count("come")
        contact = contacts.get_or_create(self.scene.contact.audience_id, spelled)
        address = spelled.lower()
        if contact.pk in self.memory:
            assert any(address in self.memory[pk].addresses for pk in self.same(contact.pk))
        else:
            self.memory[contact.pk] = Memory(contact.link_id, addresses=[address])
            assert contact.suppressed is (address in self.suppressed)

    def rotate(self) -> None:
        self.count("rotate keys")
        prefs = settings.WAGTAIL_PREFS
        new = {
            "kid": f"r{len(self.rings)}",
            "key": f"{len(self.rings)}-another-key-for-tests-0123456789-abcdefghij",
        }
        ring = override_settings(WAGTAIL_PREFS={**prefs, "SIGNING_KEYS": [new, *prefs["SIGNING_KEYS"]]})
        ring.enable()
        self.rings.append(ring)

    # --- she -----------------------------------------------------------------------------------------------------------

    def _saves(self, who: int, answers: dict[Key, bool], frequency: str | None, lag: int) -> None:
        given: dict[str, dict[str, Any]] = {self.scene.topics: {"choices": {}}}
        for (topic, channel), value in answers.items():
            if topic:
                given[self.scene.topics]["choices"].setdefault(topic, {})[channel] = value
            else:
                table = given.setdefault(self.scene.channels, {"channels": {}})["channels"]
                table[channel] = "yes" if value else "no"
        if frequency:
            given[self.scene.frequency] = {"frequency": {"all": frequency}}
        self.submits("save", who, given, answers, lag)

    # The more names a rule has, the more often it is picked.
    _saving = rule(
        who=whom,
        answers=choices,
        frequency=st.sampled_from([None, "as_it_happens", "weekly", "monthly"]),
        lag=lags,
    )
    she_saves = _saving(_saves)
    she_saves_again = _saving(_saves)
    she_saves_once_more = _saving(_saves)

    @rule(who=whom, out=st.booleans(), read=st.booleans(), lag=lags)
    def she_leaves_or_comes_back(self, who: int, out: bool, read: bool, lag: int) -> None:
        given: dict[str, dict[str, Any]] = {self.scene.leave: {"opted_out": out}}
        if read:
            given[self.scene.notice] = {"acknowledged": True}
        self.submits("opt out" if out else "opt in", who, given, {}, lag, out=out)

    def submits(
        self,
        name: str,
        who: int,
        given: dict[str, Any],
        answers: dict[Key, bool],
        lag: int,
        *,
        out: bool | None = None,
    ) -> None:
        contact, link_id = self.a_link(who)
        if contact is None:
            return
        self.count(name)
        state, memory = contacts.load_state(contact), self.memory[contact]
        base = max(0, state.version - lag)
        fresh = base == state.version
        key = self.a_key()

        def send(other_body: bool = False) -> Saved:
            body = {self.scene.leave: {"opted_out": True}} if other_body else given
            return submissions.submit(
                link_id=link_id,
                epoch=epoch_of(link_id),
                snapshot=self.scene.snapshot,
                base_version=base + 1 if other_body else base,
                answers=body,
                actor=SESSION,
                source=Source(method="element", ip="203.0.113.7"),
                idempotency_key=key,
            )

        granted = Granted(
            {key for key, value in answers.items() if value and memory.unanswered(key, state, base)}
        )
        # Who asks for a topic with the opt-out before her eyes means to come back, whatever becomes of the topic.
        granted.lifts = (any(answers.values()) or out is False) and memory.seen_out(base)
        # And a yes of hers brings an erased address back, also where an undo had lifted the opt-out before.
        granted.unsuppresses = granted.lifts or bool(granted.yes)
        saved = self.act(send, {contact: granted})
        assert saved is not None
        if saved.receipt:
            self.acknowledged.append((send, saved))
        # What she wants is done: a no always, a yes wherever nothing newer stands in its way.
        for choice, value in answers.items():
            if not value:
                assert saved.state.choices[choice] == UNSUBSCRIBED
                assert choice[0] or not any(key[1] == choice[1] for key in yeses(saved.state))
            elif fresh:
                assert saved.state.choices[choice] == SUBSCRIBED
                assert not saved.state.opted_out
                assert not saved.state.suppressed
        if out:
            assert saved.state.opted_out
            assert not yeses(saved.state)
        if out is False and fresh:
            assert not saved.state.opted_out

    @rule(
        who=whom,
        everything=st.booleans(),
        key=st.sampled_from([*KEYS, *CHANNELS]),
        actor=st.sampled_from(["one-click", "gpc"]),
    )
    def her_mail_program_unsubscribes(self, who: int, everything: bool, key: Key, actor: str) -> None:
        person = self.anybody(who)
        if person is None:
            return
        self.count("one click")
        change: Change = OptOut() if everything else SetChoice(*key, UNSUBSCRIBED)
        saved = self.records(person, [change], Actor(ActorType(actor)))
        assert saved is not None
        assert saved.state.opted_out if everything else saved.state.choices[key] == UNSUBSCRIBED
        assert everything or key[0] or not any(yes[1] == key[1] for yes in yeses(saved.state))

    @rule(
        who=whom,
        actor=subjects,
        scope=st.sampled_from([("", ""), ("", "email"), ("news", "")]),
        ahead=st.floats(0.01, 20),
        wish=st.sampled_from(
            ["pause", "resume", "frequency", "attribute", "clear", "reason", "yes with an end"]
        ),
        code=st.sampled_from(FREQUENCIES),
    )
    def she_says_more(self, who: int, actor: Actor, scope: Key, ahead: float, wish: str, code: str) -> None:
        contact = self.one(who)
        if contact is None:
            return
        self.count(wish)
        until = self.now + dt.timedelta(days=ahead)
        changes: dict[str, Change] = {
            "pause": Pause(*scope, until),
            "resume": Resume(*scope),
            "frequency": SetFrequency(*scope, code),
            "attribute": SetAttribute("city", f"City {code}"),
            "clear": ClearAttribute("city"),
            "reason": GiveReason("too_many", f"because {code}"),
            "yes with an end": SetChoice("news", "email", SUBSCRIBED, until),
        }
        yes = wish == "yes with an end"
        granted = Granted({("news", "email")} if yes else set(), lifts=yes, unsuppresses=yes)
        saved = self.records(contact, [changes[wish]], actor, granted=granted)
        assert saved is not None
        if yes:
            assert saved.state.choices["news", "email"] == SUBSCRIBED

    @rule(who=whom, key=st.sampled_from([*KEYS, *CHANNELS]), waits=st.floats(0.01, 7), late=st.booleans())
    def somebody_signs_her_up_and_she_confirms(self, who: int, key: Key, waits: float, late: bool) -> None:
        contact = self.one(who)
        if contact is None:
            return
        self.count("sign up, confirm")
        until = self.now + dt.timedelta(days=waits)
        form = Actor(ActorType.API, "sign-up")
        saved = self.records(contact, [SetChoice(*key, PENDING, until)], form)
        assert saved is not None
        if not yeses(saved.state) >= {key}:
            assert key in saved.state.pending
        self.pass_by(dt.timedelta(days=waits * (1.01 if late else 0.5)))
        state = contacts.load_state(contact)
        waiting = key in state.pending and state.until[key] > self.now
        with_her = Granted({key} if waiting else set(), lifts=waiting, unsuppresses=waiting)
        saved = self.records(contact, [Confirm(*key)], LINK, granted=with_her)
        assert saved is not None
        if waiting:
            assert saved.state.choices[key] == SUBSCRIBED

    @rule(
        who=whom, address=st.sampled_from(ADDRESSES), actor=st.sampled_from([LINK, SESSION, JOB, CRM, STAFF])
    )
    def she_moves(self, who: int, address: str, actor: Actor) -> None:
        contact = self.one(who)
        if contact is None:
            return
        self.count("change address")
        state, memory = contacts.load_state(contact), self.memory[contact]
        holder = contacts.find(self.scene.contact.audience_id, address)
        granted = Granted(unsuppresses=actor.is_subject and (actor is LINK or address not in self.suppressed))
        saved = self.records(contact, [ChangeAddress(address)], actor, granted=granted)
        row = Contact.objects.get(pk=contact)
        if saved is None:
            assert not actor.is_subject or (holder is not None and holder.pk != contact)
            assert row.email == memory.addresses[-1] or row.email.lower() == memory.addresses[-1]
            return
        assert row.email.lower() == address
        assert actor.is_subject or saved.receipt is None
        if saved.receipt:
            memory.addresses.append(address)
            if not row.suppressed:
                self.suppressed.discard(address)
            assert row.suppressed is (address in self.suppressed)
        else:
            assert row.suppressed is state.suppressed

    def _undoes(self, pick: int, who: int, actor: Actor) -> None:
        receipt = self.receipts[-1 - pick % len(self.receipts)]
        contact, link_id = self.a_link(who)
        if contact is None:
            return
        if self.live(receipt.contact) and pick % 4:  # mostly one of her own
            contact, link_id = receipt.contact, self.memory[receipt.contact].link_id
        self.count("undo")
        memory, key = self.memory[contact], self.a_key()
        back = {
            choice
            for choice in receipt.before - receipt.after
            if memory.noes.get(choice, (0, START))[0] == receipt.version
            and (memory.out is None or memory.out[0] <= receipt.version)
            and (not choice[0] or memory.noes.get(("", choice[1]), (0, START))[0] <= receipt.version)
        }
        lifts = memory.out is not None and memory.out[0] == receipt.version
        mine = receipt.contact == contact
        granted = Granted(back, lifts, unsuppresses=bool(back) or lifts) if mine else Granted()

        def send(other_body: bool = False) -> Saved:
            return submissions.undo(
                link_id=link_id,
                epoch=epoch_of(link_id),
                snapshot=self.scene.snapshot,
                receipt=contact if other_body else UUID(receipt.id),
                actor=actor,
                source=PYTHON,
                idempotency_key=key,
                assurance="fresh",  # by another link the page would ask for one where personal answers are in it
            )

        saved = self.act(send, {contact: granted}, may_raise=(UnknownReceipt,))
        if not mine or receipt.merge or self.now - receipt.at >= dt.timedelta(days=30):
            assert saved is None
        if saved is not None and saved.receipt:
            self.acknowledged.append((send, saved))

    _undoing = rule(pick=whom, who=whom, actor=subjects)
    she_takes_something_back = precondition(lambda self: self.receipts)(_undoing(_undoes))
    she_takes_something_else_back = precondition(lambda self: self.receipts)(_undoing(_undoes))

    @rule(pick=whom, other=st.booleans(), meanwhile=st.booleans())
    @precondition(lambda self: self.acknowledged)
    def her_browser_sends_again(self, pick: int, other: bool, meanwhile: bool) -> None:
        """What was acknowledged is answered the same, however late; with another body it is refused."""
        if meanwhile and len(self.rings) < 3:
            self.rotate()
        send, first = self.acknowledged[-1 - pick % len(self.acknowledged)]
        if not self.live(self.now_called(first.state.id)):
            return
        self.count("send again")
        saved = self.act(lambda: send(other), {}, may_raise=(KeyReused,))
        assert (saved is None) is other
        if saved is not None:
            assert (saved.version, saved.receipt) == (first.version, first.receipt)
            assert [effect.path for effect in saved.effects] == [effect.path for effect in first.effects]

    # --- others ----------------------------------------------------------------------------------------------------------

    @rule(
        who=whom,
        answers=choices,
        actor=st.sampled_from(
            [JOB, CRM, SHOP, STAFF, Actor(ActorType.IMPORT, ""), Actor(ActorType.ONE_CLICK)]
        ),
        shown=st.none() | days,
        opt_in=st.booleans(),
    )
    def others_say_what_she_wants(
        self, who: int, answers: dict[Key, bool], actor: Actor, shown: dt.timedelta | None, opt_in: bool
    ) -> None:
        contact = self.one(who)
        if contact is None:
            return
        self.count("import with evidence" if shown is not None else "import")
        memory, state = self.memory[contact], contacts.load_state(contact)
        when = None if shown is None else self.now + shown
        good = when is not None and when <= self.now and bool(actor.id) and not state.suppressed
        granted = Granted()
        if good and when is not None:
            granted.yes = {key for key, value in answers.items() if value and memory.older_than(key, when)}
            granted.lifts = memory.out is None or memory.out[1] < when
        changes: list[Change] = [
            SetChoice(*key, SUBSCRIBED if value else UNSUBSCRIBED) for key, value in answers.items()
        ]
        if opt_in:
            changes.insert(0, OptIn())
        source = Source(method="import", evidence=None if when is None else Evidence("sheet 7", when))
        saved = self.records(contact, changes, actor, source=source, granted=granted)
        if saved is not None:
            for key, value in answers.items():
                assert saved.state.choices[key] == (SUBSCRIBED if value else UNSUBSCRIBED)

    @rule(
        who=whom,
        scope=st.sampled_from([("", ""), ("", "email"), ("news", "")]),
        wish=st.sampled_from(["pause", "resume", "frequency", "opt out"]),
        code=st.sampled_from(FREQUENCIES),
        ahead=st.floats(0.01, 20),
    )
    def a_platform_tells_us(self, who: int, scope: Key, wish: str, code: str, ahead: float) -> None:
        """It may make things stricter, never more."""
        contact = self.one(who)
        if contact is None:
            return
        self.count("inbound")
        before = contacts.load_state(contact)
        changes: dict[str, Change] = {
            "pause": Pause(*scope, self.now + dt.timedelta(days=ahead)),
            "resume": Resume(*scope),
            "frequency": SetFrequency(*scope, code),
            "opt out": OptOut(),
        }
        self.records(contact, [changes[wish]], CRM)
        after = contacts.load_state(contact)
        for key, pause in before.pauses.items():
            assert after.pauses[key].until >= pause.until
        for key, held in before.frequencies.items():
            assert FREQUENCIES.index(after.frequencies[key]) >= FREQUENCIES.index(held)

    def expire(self) -> None:
        self.count("expire")
        before, now = self.look(), self.now
        self.act(submissions.expire_due, {}, expiry=True)  # type: ignore[arg-type]
        for state in self.look().values():
            for key, until in state.until.items():
                assert until > now, key
        self.effective += sum(
            state.version - before[contact].version for contact, state in self.look().items()
        )

    @rule(one=whom, two=whom, by=st.sampled_from([LINK, STAFF, JOB, CRM]), shown=st.none() | days)
    @precondition(lambda self: self.one(0) != self.one(1))
    def two_become_one(self, one: int, two: int, by: Actor, shown: dt.timedelta | None) -> None:
        loser, winner = self.one(one), self.one(two)
        if loser == winner:
            winner = self.one(two + 1)
        assert loser is not None and winner is not None
        self.count("merge")
        states = self.look()
        when = None if shown is None else self.now + shown
        source = Source(method="admin", evidence=None if when is None else Evidence("case 7", when))
        proven = by.is_subject or (when is not None and when <= self.now and not states[winner].suppressed)
        granted = Granted()
        if proven and not states[loser].opted_out and not states[winner].opted_out:
            granted.yes = {
                key
                for key in yeses(states[loser])
                if key not in states[winner].choices
                and states[loser].until.get(key, dt.datetime.max.replace(tzinfo=dt.UTC)) > self.now
            }
        saved = self.act(
            lambda: submissions.merge_contacts(loser, winner, actor=by, source=source),
            {winner: granted},
            merge=True,
        )
        assert saved is not None
        self.effective += 1  # the loser's own record
        after = self.look()
        assert after[loser].merged_into == winner
        assert not yeses(after[loser])
        assert noes(states[loser]) <= noes(after[winner])
        for _topic, channel in noes(states[loser]) & set(
            CHANNELS
        ):  # a no to a channel is one to all that she had there
            assert not {key for key in yeses(after[winner]) - yeses(states[loser]) if key[1] == channel}
        assert after[winner].opted_out is (states[winner].opted_out or states[loser].opted_out)

    @rule(who=whom, by=st.sampled_from([LINK, STAFF]), former=st.booleans(), returns=st.booleans())
    @precondition(lambda self: self.one(0) != self.one(1))  # somebody must be left
    def she_is_forgotten(self, who: int, by: Actor, former: bool, returns: bool) -> None:
        contact = self.one(who)
        if contact is None:
            return
        self.count("erase")
        same = self.same(contact)
        asked = same[who % len(same)] if former else contact
        saved = self.act(lambda: submissions.erase(asked, actor=by, source=PYTHON), {}, final=True)
        assert saved is not None
        assert saved.state.id == contact
        self.effective += len(same) - 1
        for one in same:
            row = Contact.objects.get(pk=one)
            assert (row.email, row.address_key, row.erased_at is None) == ("", None, False)
        theirs = {address for one in same for address in self.memory[one].addresses}
        held = {self.memory[one].addresses[-1] for one in self.memory if self.live(self.now_called(one))}
        self.suppressed |= theirs - held
        if returns:  # by an import, of the next morning
            self.arrive(sorted(theirs)[who % len(theirs)].upper())

    def speak_of_one_who_is_gone(self, who: int) -> None:
        """Nothing that is said of somebody erased or merged, by others, reaches anybody."""
        gone = [contact for contact in self.memory if not self.live(contact)]
        if not gone:
            return
        self.count("ghost")
        contact = gone[who % len(gone)]
        changes: list[Change] = [SetChoice(*KEYS[who % len(KEYS)], UNSUBSCRIBED)]
        assert self.records(contact, changes, CRM, may_raise=(UnknownContact,)) is None

    # --- acting, and looking -----------------------------------------------------------------------------------------

    def records(
        self,
        contact: UUID,
        changes: list[Change],
        actor: Actor,
        *,
        source: Source = PYTHON,
        granted: Granted | None = None,
        may_raise: tuple[type[Exception], ...] = (),
    ) -> Saved | None:
        key = self.a_key()

        def send(other_body: bool = False) -> Saved:
            return submissions.record(
                contact,
                [*changes, AN_ATTRIBUTE] if other_body else changes,
                actor=actor,
                source=source,
                idempotency_key=key,
            )

        may_raise = may_raise or (NotAllowed, AddressTaken)
        moves = isinstance(changes[0], ChangeAddress)
        saved = self.act(
            send, {self.now_called(contact): granted or Granted()}, may_raise=may_raise, moves=moves
        )
        if saved is not None and saved.receipt:
            self.acknowledged.append((send, saved))
        return saved

    def act(
        self,
        send: Callable[[], Saved],
        granted: dict[UUID, Granted],
        *,
        may_raise: tuple[type[Exception], ...] = (),
        expiry: bool = False,
        merge: bool = False,
        final: bool = False,
        moves: bool = False,
    ) -> Saved | None:
        """Do it, and hold what became of everybody against what was granted."""
        before = self.look()
        saved: Saved | None = None
        refused, self.failed = False, True
        try:
            saved = send()
        except may_raise:
            refused = True
        after = self.look()
        for contact, state in after.items():
            was, may = before[contact], granted.get(contact, Granted())
            memory = self.memory[contact]
            assert yeses(state) - yeses(was) <= may.yes, "a yes that she did not give"
            assert may.lifts or not (was.opted_out and not state.opted_out), (
                "an opt-out that she did not lift"
            )
            assert may.unsuppresses or not (was.suppressed and not state.suppressed), "a suppression lifted"
            assert not refused or state == was
            if was.suppressed and not state.suppressed and not moves:
                self.suppressed.discard(self.memory[contact].addresses[-1])
            if not expiry:
                for key in (yeses(was) - yeses(state)) | (noes(state) - noes(was)):
                    memory.noes[key] = (state.version, self.now)
            if state.opted_out and not was.opted_out:
                memory.out = (state.version, self.now)
        if isinstance(saved, Saved) and saved.receipt and saved.receipt not in self.known:
            self.known.add(saved.receipt)
            self.effective += 1
            person = saved.state.id
            if not final:
                self.receipts.append(
                    Receipt(
                        person,
                        saved.receipt,
                        saved.version,
                        self.now,
                        yeses(before[person]),
                        yeses(after[person]),
                        merge,
                    )
                )
        self.pass_by(dt.timedelta(seconds=1))
        self.failed = False
        return saved

    def look(self) -> dict[UUID, ContactState]:
        return {found.state.id: found.state for found in store.load_many(list(self.memory))}

    def pass_by(self, by: dt.timedelta) -> None:
        self.now += by
        self.traveller.move_to(self.now)

    def count(self, name: str) -> None:
        self.steps[name] += 1

    def a_key(self) -> str:
        self.key += 1
        return f"key-{self.key}"

    def now_called(self, contact: UUID) -> UUID:
        merged = Contact.objects.values_list("merged_into_id", flat=True).get(pk=contact)
        return merged or contact

    def same(self, contact: UUID) -> list[UUID]:
        """A contact and everybody who was merged into her."""
        merged = Contact.objects.filter(merged_into=contact, pk__in=self.memory).order_by("pk")
        return [contact, *merged.values_list("pk", flat=True)]

    def live(self, contact: UUID) -> bool:
        return Contact.objects.filter(pk=contact, merged_into=None, erased_at=None).exists()

    def one(self, who: int) -> UUID | None:
        alive = [contact for contact in self.memory if self.live(contact)]
        return alive[who % len(alive)] if alive else None

    def anybody(self, who: int) -> UUID | None:
        """One who is there, or was merged into one who is."""
        there = [contact for contact in self.memory if self.live(self.now_called(contact))]
        return there[who % len(there)] if there else None

    def a_link(self, who: int) -> tuple[UUID, str] | tuple[None, str]:
        """Whom a link leads to, and the link: her own, or one from before a merge."""
        contact = self.anybody(who)
        return (self.now_called(contact), self.memory[contact].link_id) if contact else (None, "")

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def state_is_what_the_records_say(self) -> None:
        """Looks at those who changed; `everything` looks at all."""
        for contact, state in self.look().items():
            memory = self.memory[contact]
            if memory.checked != state.version:
                self.whole(contact, state)
                memory.checked = state.version
        assert Record.objects.filter(contact_ref__in=self.memory).count() == self.effective

    def whole(self, contact: UUID, state: ContactState) -> None:
        assert differences(contact) == []
        assert ledger.first_broken(contact) is None
        assert Record.objects.filter(contact_ref=contact).count() == state.version
        wanted = list(Delivery.objects.filter(contact=contact).values_list("wanted", flat=True))
        if state.versions or state.erased:
            assert wanted == [state.version]
        else:  # of whom nothing is known but what waits for her word, no platform hears
            assert all(version <= state.version for version in wanted)

    def everything(self) -> None:
        audience = self.scene.contact.audience_id
        for contact, state in self.look().items():
            self.whole(contact, state)
            if state.erased:
                with pytest.raises((BadToken, UnknownContact)):
                    self.saves_by(self.memory[contact].link_id)
        seals.seal(self.now, everything=True)
        report = verify()
        assert (report.problems, report.unsealed, report.records) == ([], 0, self.effective)
        for address in ADDRESSES:
            assert contacts.is_suppressed(audience, address) is (address in self.suppressed), address

    def saves_by(self, link_id: str) -> None:
        submissions.submit(
            link_id=link_id,
            epoch=0,
            snapshot=self.scene.snapshot,
            base_version=0,
            answers={self.scene.topics: {"choices": {"news": {"email": True}}}},
            actor=SESSION,
            source=PYTHON,
            idempotency_key=None,
        )


AN_ATTRIBUTE = SetAttribute("another", "body")


def epoch_of(link_id: str) -> int:
    """That of a link which has just been mailed: another address calls the older ones back."""
    return Contact.objects.values_list("epoch", flat=True).get(link_id=link_id)


@pytest.fixture(autouse=True)
def _counted(db: None, tell: Callable[[str], None], request: pytest.FixtureRequest) -> Iterator[None]:
    People.scene = make_scene()
    People.steps, People.machines = Counter(), 0
    yield
    rules = ", ".join(f"{count} {name}" for name, count in sorted(People.steps.items()))
    tell(
        f"submissions on {connection.vendor}, --hypothesis-seed={request.config.option.hypothesis_seed}: "
        f"{People.machines} machines, {sum(People.steps.values())} acts ({rules})"
    )


TestPeople = pytest.mark.property(People.TestCase)
TestPeople.settings = examples(50, steps=40)
