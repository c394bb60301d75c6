"""Customers (LW-07): a sale is no yes, allows little, ends by itself, and lifts no no of hers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.decisions.cases import law_files
from tests.statements import said
from wagtail_prefs import decide
from wagtail_prefs.changes import Change, ChangeAddress, Confirm, OptIn, OptOut, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.errors import NotAllowed
from wagtail_prefs.law import services as law
from wagtail_prefs.ledger import services as ledger
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.submissions.services import Saved
from wagtail_prefs.submissions.words import Words
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import (
    PENDING,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Actor,
    ActorType,
    Evidence,
    EvidenceKind,
    Merged,
    Source,
)

from .conftest import PERSON, Scene

pytestmark = pytest.mark.django_db
OFFERS, NEWS = ("offers", "email"), ("news", "email")
YES, NO = SetChoice(*OFFERS, SUBSCRIBED), SetChoice(*OFFERS, UNSUBSCRIBED)
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SHOP = Actor(ActorType.API, "shop")


class Shop:
    """A customer, and what the shop tells of her; offers are for customers."""

    def __init__(
        self, scene: Scene, settings: Any, laws: dict[str, Path], clock: time_machine.Traveller
    ) -> None:
        self.contact, self.clock = scene.contact.pk, clock
        self._settings, self._laws = settings, laws
        Topic.objects.filter(key="offers").update(basis="soft_opt_in")
        self.where("CA")

    def where(self, country: str, policy: str = "opt_in_soft", **prefs: Any) -> None:
        Contact.objects.update(country=country)
        usual = self._settings.WAGTAIL_PREFS
        self._settings.WAGTAIL_PREFS = {**usual, "JURISDICTIONS": str(self._laws[policy]), **prefs}

    def she(self, *changes: Change) -> Saved:
        self.clock.shift(DAY)
        return submissions.record(self.contact, changes, actor=PERSON, source=Source(method="python"))

    def told(
        self,
        *changes: Change,
        kind: EvidenceKind = "sale",
        at: datetime | None = None,
        actor: Actor = SHOP,
    ) -> Saved:
        self.clock.shift(DAY)
        at = at or datetime.now(UTC) - timedelta(minutes=1)
        source = Source(method="api", evidence=Evidence("order 7", at, kind))
        return submissions.record(self.contact, changes or (YES,), actor=actor, source=source)

    def may(self, topic: str = "offers", at: datetime | None = None) -> str:
        return decide(self.contact, topic, "email", at=at).reason


@pytest.fixture
def shop(scene: Scene, settings: Any, tmp_path: Path) -> Any:
    with time_machine.travel(START, tick=False) as clock:
        yield Shop(scene, settings, law_files(tmp_path), clock)


def rules_of(saved: Saved) -> list[tuple[str, str]]:
    return [(item.path, item.rule) for item in saved.yielded]


def test_lw_07_silence_is_no_sale(shop: Shop) -> None:
    assert shop.may() == "no_consent"
    saved = shop.told(at=START)
    assert saved.state.choices == {OFFERS: SUBSCRIBED}
    assert shop.may() == "subscribed"
    body = ledger.read_body(Record.objects.get(pk=saved.receipt))
    assert (body["evidence_ref"], body["evidence_kind"], body["evidence_at"][:10]) == (
        "order 7",
        "sale",
        "2026-11-23",
    )
    assert body["effects"][0]["lawful_basis"] == "soft_opt_in"
    assert differences(shop.contact) == []


@pytest.mark.parametrize(
    ("country", "kind", "at", "months", "until"),
    [
        ("CA", "sale", START, 24, datetime(2028, 11, 23, 12, tzinfo=UTC)),
        ("CA", "inquiry", START, 24, datetime(2027, 5, 23, 12, tzinfo=UTC)),
        ("CA", "inquiry", datetime(2026, 8, 31, tzinfo=UTC), 24, datetime(2027, 2, 28, tzinfo=UTC)),
        ("CA", "sale", START, 12, datetime(2027, 11, 23, 12, tzinfo=UTC)),  # ours is shorter
        ("CA", "sale", START, 60, datetime(2028, 11, 23, 12, tzinfo=UTC)),  # the law is
        ("CA", "inquiry", START, 3, datetime(2027, 2, 23, 12, tzinfo=UTC)),
        ("GB", "sale", START, 24, datetime(2028, 11, 23, 12, tzinfo=UTC)),  # its law names no number
        ("FR", "sale", START, 36, datetime(2029, 11, 23, 12, tzinfo=UTC)),
        ("US", "sale", datetime(2024, 12, 1, tzinfo=UTC), 24, datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_lw_07_it_ends_by_the_law_or_the_setting_whichever_is_earlier(
    shop: Shop, country: str, kind: EvidenceKind, at: datetime, months: int, until: datetime
) -> None:
    shop.where(country, SOFT_OPT_IN_MONTHS=months)
    saved = shop.told(kind=kind, at=at)
    assert saved.state.until == {OFFERS: until}
    assert shop.may(at=until - timedelta(seconds=1)) == "subscribed"
    assert shop.may(at=until) == "expired"


@pytest.mark.parametrize(
    ("country", "policy", "kind"),
    [
        ("CA", "opt_in", "sale"),  # the shipped policy: nobody without a yes
        ("RU", "opt_in_soft", "sale"),
        ("IN", "opt_out", "sale"),
        ("", "opt_out", "sale"),  # nobody knows where she is
        ("AQ", "opt_out", "sale"),
        ("CN", "opt_out", "sale"),  # nobody is sure
        ("NZ", "opt_out", "sale"),
        ("GB", "opt_in_soft", "inquiry"),  # only Canada's names one
        ("", "opt_out", "inquiry"),
    ],
)
def test_lw_07_it_is_not_taken_where_the_law_asks_for_a_yes(
    shop: Shop, country: str, policy: str, kind: EvidenceKind
) -> None:
    shop.where(country, policy)
    saved = shop.told(kind=kind)
    assert (saved.receipt, saved.state.choices) == (None, {})
    assert rules_of(saved) == [("choice:offers:email", "law")]
    assert shop.may() == "no_consent"


def test_what_is_taken_with_it_says_in_the_record_what_was_not(shop: Shop) -> None:
    saved = shop.told(YES, SetChoice(*NEWS, SUBSCRIBED))
    assert saved.state.choices == {OFFERS: SUBSCRIBED}
    body = ledger.read_body(Record.objects.get(pk=saved.receipt))
    assert body["merged"] == [
        {"path": "choice:news:email", "wanted": SUBSCRIBED, "kept": None, "rule": "sale"}
    ]
    assert [change["topic"] for change in body["changes"]] == [
        "offers",
        "news",
    ]  # what was wished stands there


@pytest.mark.parametrize(
    ("acts", "rule"),
    [
        ([NO], "sale"),
        ([YES, NO], "sale"),
        ([OptOut()], "sale"),
        ([OptOut(), OptIn()], "sale"),
        ([OptOut(), SetChoice(*NEWS, SUBSCRIBED)], "sale"),
        ([SetChoice("", "email", UNSUBSCRIBED)], "sale"),
    ],
)
def test_lw_14_no_sale_lifts_a_no(shop: Shop, acts: Sequence[Change], rule: str) -> None:
    for act in acts:
        before = shop.she(act).state
    saved = shop.told()  # younger than all of it
    assert saved.receipt is None
    assert rules_of(saved) == [("choice:offers:email", rule)]
    assert contacts.load_state(shop.contact).choices == before.choices


@pytest.mark.parametrize("change", [OptIn(), ChangeAddress("new@mail.example.org"), Confirm(*OFFERS)])
def test_a_sale_shows_nothing_else(shop: Shop, change: Change) -> None:
    if isinstance(change, OptIn):
        shop.she(OptOut())
    if isinstance(change, Confirm):
        submissions.record(
            shop.contact,
            [SetChoice(*OFFERS, PENDING)],
            actor=Actor(ActorType.SYSTEM, "form"),
            source=Source("form"),
        )
    before = contacts.load_state(shop.contact)
    with pytest.raises(NotAllowed):
        shop.told(change)
    assert contacts.load_state(shop.contact) == before


def test_a_sale_without_a_name_or_of_tomorrow_counts_for_nothing(shop: Shop) -> None:
    with pytest.raises(NotAllowed):
        shop.told(actor=Actor(ActorType.API))
    with pytest.raises(NotAllowed):
        shop.told(at=START + 30 * DAY)


def test_a_sale_of_long_ago_is_over(shop: Shop) -> None:
    saved = shop.told(at=datetime(2024, 11, 24, tzinfo=UTC))
    assert rules_of(saved) == [("choice:offers:email", "over")]


def test_her_own_yes_is_neither_shortened_nor_ended(shop: Shop) -> None:
    shop.she(YES)
    assert shop.told().receipt is None
    assert contacts.load_state(shop.contact).until == {}
    assert shop.may(at=START + 3000 * DAY) == "subscribed"


def test_the_next_sale_prolongs_it_and_an_older_one_does_nothing(shop: Shop) -> None:
    first = shop.told(at=START).state.until[OFFERS]
    assert shop.told(at=START - 90 * DAY).receipt is None
    shop.clock.shift(300 * DAY)
    later = shop.told().state.until[OFFERS]
    assert later - first > 299 * DAY
    assert differences(shop.contact) == []


def test_when_it_has_ended_only_she_begins_it_anew(shop: Shop) -> None:
    """Whether the end was written down yet or not: a no of hers after it would leave no trace."""
    until = shop.told(at=START).state.until[OFFERS]
    shop.clock.move_to(until + DAY)
    assert rules_of(shop.told()) == [("choice:offers:email", "sale")]
    assert submissions.expire_due() == 1
    assert shop.she(NO).receipt is None
    assert rules_of(shop.told()) == [("choice:offers:email", "sale")]
    assert shop.she(YES).state.until == {}
    assert differences(shop.contact) == []


def test_an_end_that_the_shop_sets_is_kept_where_it_is_earlier(shop: Shop) -> None:
    soon = START + 30 * DAY
    assert shop.told(SetChoice(*OFFERS, SUBSCRIBED, soon)).state.until == {OFFERS: soon}


def test_her_own_hand_needs_no_sale(shop: Shop) -> None:
    shop.where("RU")
    source = Source(method="page", evidence=Evidence("order 7", START, "sale"))
    saved = submissions.record(shop.contact, [YES], actor=PERSON, source=source)
    assert (saved.state.choices, saved.state.until) == ({OFFERS: SUBSCRIBED}, {})


def test_a_sale_shows_not_that_two_are_one(shop: Shop, scene: Scene) -> None:
    other = contacts.get_or_create(scene.contact.audience_id, "other@mail.example.org")
    submissions.record(other.pk, [YES], actor=PERSON, source=Source("python"))
    source = Source("staff", evidence=Evidence("order 7", START - DAY, "sale"))
    saved = submissions.merge_contacts(other.pk, shop.contact, actor=SHOP, source=source)
    assert [item.rule for item in saved.yielded] == ["evidence"]


def test_a_sale_costs_what_evidence_costs(shop: Shop) -> None:
    with CaptureQueriesContext(connection) as caught:
        shop.told()
    assert len(said(caught)) == 6  # as `test_evidence` has it


def test_each_reason_has_its_words() -> None:
    words = Words([], "en")
    rules: list[Literal["sale", "law", "over"]] = ["sale", "law", "over"]
    lost = [Merged("choice:offers:email", SUBSCRIBED, None, rule) for rule in rules]
    texts = [line.text for line in words.merged(lost)]
    assert len(set(texts)) == 3
    assert all("not added" in text for text in texts)


def test_evidence_is_of_a_kind_there_is() -> None:
    with pytest.raises(ValueError, match="consent, sale, inquiry"):
        Evidence("order 7", START, "gift")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("country", "jurisdiction", "reason"),
    [
        ("CA", "CA", "known"),
        ("fr", "EU", "known"),
        ("", "unknown", "unknown"),
        ("AQ", "unknown", "unknown"),
        ("NZ", "NZ", "uncertain"),
        ("US-TX", "US", "known"),
    ],
)
def test_every_record_says_which_law_was_applied_and_why(
    shop: Shop, country: str, jurisdiction: str, reason: str
) -> None:
    shop.where(country)
    saved = shop.she(YES)
    body = ledger.read_body(Record.objects.get(pk=saved.receipt))
    assert body["jurisdiction"] == jurisdiction
    assert body["law"] == {"version": law.current().version, "reason": reason}
    assert ledger.first_broken(shop.contact) is None
