"""Imports: what they may do, that the rehearsal tells the truth, and that whoever is stopped goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given, strategies as st
from wagtail.models import ModelLogEntry

from tests.decisions.cases import law_files
from tests.delivery.people import HERSELF, save
from tests.factories import make_audience, make_contact, make_topics
from tests.properties import examples
from wagtail_prefs.changes import OptOut, SetAttribute, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact, State, Suppression
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.submissions.audit import differences
from wagtail_prefs.sync.importing import Outcome, forecast, is_done, run
from wagtail_prefs.sync.models import ImportRun
from wagtail_prefs.sync.reading import Source
from wagtail_prefs.topics.models import Topic
from wagtail_prefs.values import Actor, ActorType, ContactState, Source as Where

pytestmark = pytest.mark.django_db

HEAD = "email,news:email,offers:sms,orders:email,opted_out,evidence,evidence_at,language,external_id,attribute:city"
ANNA = "anna@mail.example.org"
NOW = datetime.now(UTC)
TABLES = (Contact, State, Record, SideValue, Delivery, Suppression, ImportRun, ModelLogEntry)


def day(days: int) -> str:
    return (NOW + timedelta(days=days)).isoformat()


def file(tmp: Path, *rows: str, head: str = HEAD) -> Source:
    path = tmp / "people.csv"
    path.write_text("\n".join([head, *(row + "," * (head.count(",") - row.count(",")) for row in rows)]))
    return Source(path)


def outcomes(steps: Iterator[Any]) -> dict[int, list[str]]:
    found: list[Outcome] = [outcome for step in steps for outcome in step.outcomes]
    return {outcome.row: [code.value for code in outcome.codes] for outcome in found}


def everything() -> list[Any]:
    return [list(model._default_manager.order_by("pk").values()) for model in TABLES]


def state(email: str = ANNA) -> ContactState:
    contact = contacts.find(make_audience().pk, email)
    assert contact is not None
    return contacts.load_state(contact.pk)


def both(source: Source, **options: Any) -> dict[int, list[str]]:
    """What the rehearsal says, which writes nothing; and then the same from writing."""
    before = everything()
    said = outcomes(forecast(source, make_audience(), **options))
    assert everything() == before
    assert outcomes(run(source, make_audience(), **options)) == said
    return said


@pytest.fixture(autouse=True)
def topics() -> dict[str, Topic]:
    return make_topics()


def test_a_no_is_always_taken(tmp_path: Path) -> None:
    save(make_contact(ANNA).pk, SetChoice("news", "email", "subscribed"))
    said = both(file(tmp_path, f"{ANNA},no", "ben@mail.example.org,no,no", "eve@mail.example.org,,,,yes"))
    assert said == {2: ["stricter"], 3: ["stricter", "stricter", "new"], 4: ["stricter", "new"]}
    assert state().choices == {("news", "email"): "unsubscribed"}
    assert state("eve@mail.example.org").opted_out
    entry = Record.objects.order_by("at").last()
    assert entry is not None
    assert entry.actor == "import"
    assert json.loads(entry.body)["method"] == "import"


def test_a_yes_needs_evidence(tmp_path: Path) -> None:
    make_contact(ANNA)
    assert both(file(tmp_path, f"{ANNA},yes", "ben@mail.example.org,yes")) == {
        2: ["no_evidence"],
        3: ["no_evidence"],
    }
    assert state().choices == {}
    assert contacts.find(make_audience().pk, "ben@mail.example.org") is None  # nobody asked us to keep him


def test_a_yes_with_evidence_is_taken_and_named(tmp_path: Path) -> None:
    said = both(file(tmp_path, f"{ANNA},yes,yes,,,order 7,{day(-3)}"))
    assert said == {2: ["accepted", "accepted", "new"]}
    assert set(state().choices.values()) == {"subscribed"}
    body = json.loads(Record.objects.get().body)
    assert body["evidence_ref"] == "order 7"
    assert body["actor"]["type"] == "import"
    assert body["actor"]["id"].startswith("file-")
    assert ANNA not in json.dumps(body)


@pytest.mark.parametrize(
    ("days", "code"),
    [(-3, "old_evidence"), (0, "old_evidence"), (1, "later_evidence"), (400, "later_evidence")],
)
@pytest.mark.parametrize("no", [SetChoice("news", "email", "unsubscribed"), OptOut()])
def test_a_yes_older_than_her_no_or_of_tomorrow_is_not(tmp_path: Path, days: int, code: str, no: Any) -> None:
    save(make_contact(ANNA).pk, no)
    assert both(file(tmp_path, f"{ANNA},yes,,,,order 7,{day(days)}")) == {2: [code]}
    assert ("news", "email") not in {key for key, value in state().choices.items() if value == "subscribed"}
    assert state().opted_out is isinstance(no, OptOut)


def test_a_yes_younger_than_her_opt_out_lifts_it(tmp_path: Path) -> None:
    anna = make_contact(ANNA).pk

    with time_machine.travel(NOW - timedelta(days=9)):
        save(anna, SetChoice("news", "email", "subscribed"))
        save(anna, OptOut())
    assert both(file(tmp_path, f"{ANNA},yes,yes,,,order 7,{day(-3)}")) == {2: ["accepted", "accepted"]}
    assert not state().opted_out
    assert differences(anna) == []


SALES = "email,offers:email,news:email,country,evidence,evidence_at,evidence_kind"


@pytest.fixture
def shop(settings: Any, tmp_path: Path, topics: dict[str, Topic]) -> None:
    """A site whose policy lets customers be written to where the law does, and offers for them."""
    Topic.objects.filter(key="offers").update(basis="soft_opt_in")
    path = str(law_files(tmp_path)["opt_in_soft"])
    settings.WAGTAIL_PREFS = {**settings.WAGTAIL_PREFS, "JURISDICTIONS": path}


@pytest.mark.parametrize(
    ("wish", "days", "kind", "codes", "months"),
    [
        ("yes,,CA", -3, "sale", ["accepted", "new"], 24),
        ("yes,,CA", -3, "Inquiry", ["accepted", "new"], 6),
        ("yes,yes,CA", -3, "sale", ["accepted", "no_customer", "new"], 24),
        ("yes,,RU", -3, "sale", ["no_customer"], 0),
        ("yes,,", -3, "sale", ["no_customer"], 0),
        ("yes,,CA", -800, "sale", ["no_customer"], 0),
        ("yes,,CA", 1, "sale", ["later_evidence"], 0),
        ("yes,,CA", -3, "gift", ["bad_evidence", "no_evidence"], 0),
    ],
)
def test_lw_07_a_sale_is_a_sale(
    tmp_path: Path, shop: None, wish: str, days: int, kind: str, codes: list[str], months: int
) -> None:
    row = f"{ANNA},{wish},order 7,{day(days)},{kind}"
    assert both(file(tmp_path, row, head=SALES)) == {2: codes}
    found = contacts.find(make_audience().pk, ANNA)
    if not months:
        assert found is None
        return
    assert state().choices == {("offers", "email"): "subscribed"}
    end = state().until["offers", "email"]
    assert abs(end - (NOW - timedelta(days=3)) - timedelta(days=30.44 * months)) < timedelta(days=4)
    assert json.loads(Record.objects.get().body)["evidence_kind"] in {"sale", "inquiry"}


def test_rows_of_a_new_customer_know_where_she_is(tmp_path: Path, shop: None) -> None:
    """The rehearsal as well: the first row makes her, with her country; the second has none."""
    head = "email,topic,channel,choice,country,evidence,evidence_at,evidence_kind"
    rows = [
        f"{ANNA},news,email,no,CA",
        f"{ANNA},offers,email,yes,,order 7,{day(-3)},sale",
        f"{ANNA},news,email,yes,,order 7,{day(-3)},sale",
    ]
    assert both(file(tmp_path, *rows, head=head)) == {
        2: ["stricter", "new"],
        3: ["accepted"],
        4: ["no_customer"],
    }
    assert differences(make_contact(ANNA).pk) == []


def test_a_file_that_disputes_her_country_makes_nobody_a_customer(tmp_path: Path, shop: None) -> None:
    """In Canada she would be one; whoever says Russia may be right."""
    make_contact(ANNA, country="CA")
    assert both(file(tmp_path, f"{ANNA},yes,,RU,order 7,{day(-3)},sale", head=SALES)) == {2: ["no_customer"]}
    assert state().country == "ZZ"
    # A file that fills in what is missing does not settle it.
    assert both(file(tmp_path, f"{ANNA},yes,,CA,order 8,{day(-3)},sale", head=SALES)) == {2: ["no_customer"]}
    assert state().country == "ZZ"


def test_her_yes_that_stands_takes_no_harm_from_a_sale(tmp_path: Path, shop: None) -> None:
    save(make_contact(ANNA, country="CA").pk, SetChoice("offers", "email", "subscribed"))
    assert both(file(tmp_path, f"{ANNA},yes,,CA,order 7,{day(-3)},sale", head=SALES)) == {2: ["unchanged"]}
    assert state().until == {}


def test_an_erased_address_stays_out(tmp_path: Path) -> None:
    anna = make_contact(ANNA).pk
    submissions.erase(anna, actor=HERSELF, source=Where(method="page"))
    people = Contact.objects.count()
    row = f"{ANNA},yes,no,,,order 7,{day(-1)},de,x1,Bremen"
    assert both(file(tmp_path, row)) == {2: ["suppressed"]}
    assert Contact.objects.count() == people
    make_contact(ANNA)  # brought back by somebody else: suppressed
    both(file(tmp_path, row + " "))
    assert state().suppressed
    assert "subscribed" not in state().choices.values()


def test_what_nobody_can_choose(tmp_path: Path, topics: dict[str, Topic]) -> None:
    Topic.objects.filter(pk=topics["offers"].pk).update(archived=True)
    source = file(
        tmp_path, f"{ANNA},news,fax,no,x,{day(-2)}", f"{ANNA},nothing,email,yes,x,{day(-2)}",
        f"{ANNA},news,post,yes,x,{day(-2)}", f"{ANNA},orders,email,no,x,{day(-2)}",
        f"{ANNA},offers,email,yes,x,{day(-2)}", f"{ANNA},offers,email,no,x,{day(-2)}",
        head="email,topic,channel,choice,evidence,evidence_at",
    )  # fmt: skip
    assert both(source) == {
        2: ["unknown_topic"], 3: ["unknown_topic"], 4: ["unknown_topic"], 5: ["always_sent"], 6: ["archived"],
        7: ["stricter", "new"],
    }  # fmt: skip


def test_a_row_that_leaves_everything_and_stays_leaves(tmp_path: Path) -> None:
    assert both(file(tmp_path, f"{ANNA},yes,,,yes,order 7,{day(-1)}")) == {
        2: ["stricter", "opted_out", "new"]
    }
    assert state().opted_out
    assert state().choices == {}


def test_of_several_rows_the_strictest_wins(tmp_path: Path) -> None:
    yes, no = f"{ANNA},yes,,,,order 7,{day(-1)}", f"{ANNA},no"
    said = both(file(tmp_path, yes, no, yes, f"{ANNA.upper()},no", f"{ANNA},yes,,,,order 8,{day(-1)}"))
    assert said == {
        2: ["accepted", "new"],
        3: ["stricter"],
        4: ["duplicate"],
        5: ["duplicate"],
        6: ["old_evidence"],
    }
    assert state().choices == {("news", "email"): "unsubscribed"}


def test_several_rows_of_one_person_in_different_batches(tmp_path: Path) -> None:
    yes, no = f"{ANNA},yes,,,,order 7,{day(-1)}", f"{ANNA},no"
    source = file(tmp_path, yes, "ben@mail.example.org,no", no, f"{ANNA},yes,,,,order 8,{day(-1)}")
    assert both(source, batch=1)[5] == ["old_evidence"]


def test_nothing_that_she_said_is_overwritten(tmp_path: Path) -> None:
    anna = make_contact(ANNA, language="fr").pk
    save(anna, SetAttribute("city", "Lyon"))
    row = f"{ANNA},,,,,,,de,x1,Bremen"
    assert both(file(tmp_path, row, "ben@mail.example.org,,,,,,,de,x2,Bremen")) == {2: ["filled"], 3: ["new"]}
    assert (state().language, state().attributes["city"]) == ("fr", "Lyon")
    ben = state("ben@mail.example.org")
    assert (ben.language, ben.attributes["city"]) == ("de", "Bremen")
    assert set(Contact.objects.values_list("external_id", flat=True)) == {"x1", "x2"}
    assert both(file(tmp_path, row + " ")) == {2: ["unchanged"]}


def test_what_is_not_known_of_her_is_filled_in(tmp_path: Path) -> None:
    anna = make_contact(ANNA).pk
    assert both(file(tmp_path, f"{ANNA},,,,,,,de,,Bremen")) == {2: ["filled"]}
    assert (state().language, state().attributes["city"]) == ("de", "Bremen")
    assert differences(anna) == []


def test_an_external_id_of_somebody_else(tmp_path: Path) -> None:
    make_contact("ben@mail.example.org")
    Contact.objects.update(external_id="x1")
    make_contact(ANNA)
    source = file(tmp_path, f"{ANNA},,,,,,,,x1")
    assert outcomes(run(source, make_audience()))[2][-1] == "taken"
    assert Contact.objects.get(email=ANNA).external_id == ""


def test_somebody_who_was_merged_is_whom_she_became(tmp_path: Path) -> None:
    anna, ben = make_contact(ANNA).pk, make_contact("ben@mail.example.org").pk
    submissions.merge_contacts(anna, ben, actor=Actor(ActorType.ADMIN, "1"), source=Where(method="staff"))
    assert both(file(tmp_path, f"{ANNA},no")) == {2: ["stricter"]}
    assert state("ben@mail.example.org").choices == {("news", "email"): "unsubscribed"}


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    source = file(tmp_path, f"{ANNA},no", "ben@mail.example.org,yes,,,,order 7," + day(-1))
    both(source)
    save(make_contact(ANNA).pk, SetChoice("news", "email", "subscribed"))
    before = everything()
    assert outcomes(run(source, make_audience())) == {}
    assert is_done(source, make_audience())
    assert everything() == before
    assert state().choices == {("news", "email"): "subscribed"}


def test_another_file_with_the_same_row_is_news(tmp_path: Path) -> None:
    both(file(tmp_path, f"{ANNA},no"))
    save(make_contact(ANNA).pk, SetChoice("news", "email", "subscribed"))
    assert both(file(tmp_path, f"{ANNA},no", f"{ANNA},no"))[2] == ["stricter"]


def test_an_audit_entry_holds_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    both(file(tmp_path, f"{ANNA},no,,,,,,,x1,Bremen", "nonsense"))
    entry = ModelLogEntry.objects.get(action="wagtail_prefs.import")
    assert entry.data["sums"] == {"stricter": 1, "new": 1, "bad_address": 1}
    kept = json.dumps(entry.data) + str(ImportRun.objects.values()) + caplog.text
    for personal in ("anna", "mail.example.org", "Bremen", "x1", "nonsense"):
        assert personal not in kept


class Stopped(BaseException):
    """What a process hears that is killed."""


@contextmanager
def stopped_after(statements: int) -> Iterator[None]:
    ran = count(1)

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if next(ran) == statements:
            raise Stopped
        return answer

    with connection.execute_wrapper(wrapper):
        yield


PEOPLE = ("anna", "ben", "eve")
SAID = st.sampled_from(["", "", "yes", "no"])
ROW = st.tuples(
    st.sampled_from(PEOPLE), SAID, SAID, st.sampled_from(["", "", "", "yes"]),
    st.sampled_from([None, -20, -5, 0, 5]), st.sampled_from(["", "Bremen"]),
)  # fmt: skip
BEFORE = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(["news", "offers", "out"]),
        st.sampled_from(["subscribed", "unsubscribed"]),
        st.sampled_from([-10, -1]),
    ),
    max_size=4,
)


def say(before: Sequence[tuple[str, str, str, int]]) -> dict[tuple[str, str], datetime]:
    """Save what was said before; returns when each last word was: by person and topic, "" for leaving everything.

    What says nothing new leaves no record, so it is no later word: a no where a no stood already, a yes likewise
    (docs/explanation/merge.md).
    """
    stands: dict[tuple[str, str], str] = {}
    last: dict[tuple[str, str], datetime] = {}
    for name, what, value, days in sorted(before, key=lambda item: item[3]):
        contact = make_contact(f"{name}@mail.example.org").pk
        at = NOW + timedelta(days=days)
        with time_machine.travel(at):
            if what == "out":
                save(contact, OptOut())
                news = dict.fromkeys([(name, ""), *(key for key in stands if key[0] == name)], "unsubscribed")
            else:
                save(contact, SetChoice(what, "email" if what == "news" else "sms", value))
                news = {(name, what): value}
                if value == "subscribed" and (name, "") in stands:
                    news[name, ""] = value  # it lifts the opt-out
        last |= {key: at for key, said in news.items() if stands.get(key) != said}
        stands |= news
    return last


def rows_of(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    found = []
    for name, news, offers, out, days, city in rows:
        evidence = "," if days is None else f"order 7,{day(days)}"
        found.append(f"{name}@mail.example.org,{news},{offers},,{out},{evidence},,,{city}")
    return found


@pytest.mark.property
@examples(60)
@given(
    before=BEFORE,
    rows=st.lists(ROW, min_size=1, max_size=6),
    stops=st.lists(st.integers(1, 40), max_size=4),
    batch=st.integers(1, 3),
)
@example(  # evidence from between a no and the same no again, of which nothing is known
    before=[("anna", "out", "", -10), ("anna", "out", "", -1)],
    rows=[("anna", "", "yes", "", -5, "")], stops=[], batch=1,
)  # fmt: skip
@example(
    before=[("anna", "news", "unsubscribed", -10), ("anna", "news", "unsubscribed", -1)],
    rows=[("anna", "yes", "", "", -5, "")], stops=[], batch=1,
)  # fmt: skip
@example(  # and from before news: she left again, said no to the topic, or left and came back
    before=[
        ("anna", "out", "", -10), ("anna", "offers", "subscribed", -10), ("anna", "out", "", -1),
        ("ben", "news", "unsubscribed", -1), ("eve", "out", "", -1), ("eve", "offers", "subscribed", -1),
    ],
    rows=[("anna", "yes", "yes", "", -5, ""), ("ben", "yes", "", "", -5, ""), ("eve", "yes", "", "", -5, "")],
    stops=[], batch=1,
)  # fmt: skip
def test_the_rehearsal_is_right_and_no_yes_comes_from_nowhere(
    tmp_path_factory: Any, before: Any, rows: Any, stops: list[int], batch: int
) -> None:

    audience = make_audience()
    for model in (Delivery, State, Record, SideValue, ImportRun, Contact):
        model._default_manager.all().delete()
    words = say(before)
    had = {one.email: contacts.load_state(one.pk).choices for one in Contact.objects.all()}
    source = file(tmp_path_factory.mktemp("import"), *rows_of(rows))
    kept = everything()
    said = outcomes(forecast(source, audience, batch=batch))
    assert everything() == kept, "the rehearsal wrote"
    for statements in stops:
        with stopped_after(statements), suppress(Stopped):
            list(run(source, audience, batch=batch))
    done = outcomes(run(source, audience, batch=batch))
    # To write, what comes twice is known as such only within a batch; it does nothing either way.
    twice = any("duplicate" in codes for codes in said.values())
    if not stops and (batch >= len(rows) or not twice):
        assert done == said
    assert is_done(source, audience)
    for contact in Contact.objects.all():
        assert differences(contact.pk) == []
        name = contact.email.partition("@")[0]
        became = contacts.load_state(contact.pk)
        for (topic, channel), value in became.choices.items():
            if value != "subscribed" or had.get(contact.email, {}).get((topic, channel)) == "subscribed":
                continue
            column = 1 if topic == "news" else 2
            shown = [
                NOW + timedelta(days=row[4])
                for row in rows
                if row[0] == name and row[column] == "yes" and row[4] is not None and row[4] < 5
            ]
            last = [at for key, at in words.items() if key in {(name, ""), (name, topic)}]
            assert shown, f"{name} never said yes to {topic}"
            assert all(max(shown) > at for at in last), f"{name} said something of {topic} after her yes"
    # What the rehearsal promised is what there is.
    expected = {name for name in PEOPLE for row in rows if row[0] == name}
    assert {one.email.partition("@")[0] for one in Contact.objects.all()} >= {
        name for name in expected if any(row[0] == name and "no" in row[1:3] for row in rows)
    }


def test_to_rehearse_costs_the_same_for_many(tmp_path: Path) -> None:
    seen = []
    for people in (2, 60):
        rows = [f"p{people}x{number}@mail.example.org" for number in range(people)]
        for address in rows:
            save(make_contact(address).pk, SetChoice("news", "email", "subscribed"))
        source = file(tmp_path, *(f"{address},no" for address in rows))
        with CaptureQueriesContext(connection) as queries:
            assert set(map(tuple, outcomes(forecast(source, make_audience())).values())) == {("stricter",)}
        seen.append(len(queries))
    assert seen[0] == seen[1] <= 8


def test_to_write_costs_a_save_for_each_row(tmp_path: Path) -> None:
    seen = []
    for people in (1, 21):
        rows = [f"p{people}x{number}@mail.example.org" for number in range(people)]
        for address in rows:
            make_contact(address)
        source = file(tmp_path, *(f"{address},no" for address in rows))
        with CaptureQueriesContext(connection) as queries:
            list(run(source, make_audience()))
        seen.append(len(queries))
    # Of a save five statements, and the savepoint around them in this test.
    assert seen[1] - seen[0] <= 20 * 7


def test_an_address_that_only_its_canonical_form_makes_short(tmp_path: Path) -> None:
    local = "e\u0301" * 60  # as two characters each, and one when composed
    long = f"{local}@{'x' * 60}.{'x' * 60}.{'x' * 20}.example.org"
    said = both(file(tmp_path, f"{long},no"))
    assert said in ({2: ["stricter", "new"]}, {2: ["bad_address"]})
    assert Contact.objects.count() == (0 if said == {2: ["bad_address"]} else 1)
