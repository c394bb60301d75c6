"""Who may be one person: what counts as the same, scans that can be stopped anywhere, and what staff then say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, strategies as st

from tests.delivery.people import HERSELF
from tests.factories import make_audience, make_contact, make_site, make_topics
from tests.properties import examples
from wagtail_prefs.changes import Change, OptOut, Pause, SetAttribute, SetChoice, SetFrequency
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.errors import UnknownContact
from wagtail_prefs.management.chores import CHORES
from wagtail_prefs.rights import duplicates
from wagtail_prefs.rights.matching import mailbox, phone
from wagtail_prefs.rights.models import Duplicate, DuplicateScan, MatchKey
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, ContactState, Source

pytestmark = pytest.mark.django_db
STAFF, BY_STAFF = Actor(ActorType.ADMIN, "7"), Source(method="staff")
PYTHON = Source(method="python")


def said(contact: Contact, *changes: Change) -> None:
    submissions.record(contact.pk, changes, actor=HERSELF, source=PYTHON)


def scan(audience: Any = None) -> DuplicateScan:
    made = duplicates.start(audience or make_audience(), "test")
    while duplicates.step(made.pk):
        pass
    made.refresh_from_db()
    assert made.done_at is not None
    assert not MatchKey.objects.filter(audience=made.audience_id).exists()
    return made


def pairs() -> dict[frozenset[UUID], list[str]]:
    return {frozenset([pair.first, pair.second]): pair.kinds for pair in Duplicate.objects.filter(outcome="")}


def two(first: Contact, second: Contact) -> frozenset[UUID]:
    return frozenset([first.pk, second.pk])


# --- what is the same ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna.Meyer@gmail.com", "annameyer+news@googlemail.com"),
        ("anna@outlook.com", "anna+shop@outlook.com"),
        ("anna@icloud.com", "anna+x@me.com"),
        ("an-na_m@proton.me", "annam@protonmail.com"),
    ],
)
def test_spellings_of_one_mailbox_are_one(one: str, other: str) -> None:
    assert mailbox(one) == mailbox(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna.meyer@outlook.com", "annameyer@outlook.com"),  # there a dot is a letter
        ("anna@gmail.com", "anna@outlook.com"),
        ("anna+a@firm.example.org", "anna+b@firm.example.org"),  # nobody knows how they read it
    ],
)
def test_what_may_be_two_mailboxes_is_two(one: str, other: str) -> None:
    assert mailbox(one) != mailbox(other) or mailbox(one) == ""


@pytest.mark.parametrize("nothing", ["", "nobody", "+@gmail.com", "a@", "...@gmail.com"])
def test_what_is_no_address_is_no_mailbox(nothing: str) -> None:
    assert mailbox(nothing) == ""


@pytest.mark.parametrize(
    ("given", "country", "same"),
    [
        ("+49 (171) 234-5678", "", "+491712345678"),
        ("0049171/2345678", "US", "+491712345678"),
        ("0171 2345678", "DE", "DE 1712345678"),
        ("171 2345678", "DE", "DE 1712345678"),
        ("0171 2345678", "", ""),
        ("+12", "", ""),
        ("+0000000000", "", ""),
        ("call me", "DE", ""),
        (4917123456, "DE", ""),
        ("1" * 40, "DE", ""),
    ],
)
def test_phone_numbers_have_one_spelling(given: Any, country: str, same: str) -> None:
    assert phone(given, country) == same


# --- scans -----------------------------------------------------------------------------------------------------------


def test_a_scan_finds_who_shares_something_and_nobody_else() -> None:
    anna, again = make_contact("anna.m@gmail.com"), make_contact("annam+shop@googlemail.com")
    bert, berta = make_contact("bert@mail.example.org"), make_contact("berta@mail.example.org")
    said(bert, SetAttribute("phone", "+49 30 1234567"))
    said(berta, SetAttribute("phone", "0049 30 123 45 67"))
    Contact.objects.filter(pk=anna.pk).update(external_id="CRM-1")
    Contact.objects.filter(pk=bert.pk).update(external_id=" crm-1")
    carla = make_contact("carla@mail.example.org")
    for contact in (again, carla):
        Delivery.objects.create(backend="crm", contact=contact.pk, wanted=1, remote_id="r1")
    Delivery.objects.create(backend="other", contact=anna.pk, wanted=1, remote_id="r1")  # another platform's
    make_contact("alone@gmail.com")
    made = scan()
    assert (made.looked_at, made.total, made.found) == (6, 6, 4)
    assert pairs() == {
        two(anna, again): ["mailbox"],
        two(bert, berta): ["phone"],
        two(anna, bert): ["external_id"],
        two(again, carla): ["remote_id"],
    }
    assert scan().found == 0  # the same again
    assert len(pairs()) == 4


def test_pairs_that_share_nothing_any_more_go_and_new_kinds_come() -> None:
    anna, again = make_contact("anna@gmail.com"), make_contact("anna+a@gmail.com")
    bert, berta = make_contact("bert@mail.example.org"), make_contact("berta@mail.example.org")
    for one in (bert, berta):
        said(one, SetAttribute("phone", "+49301234567"))
    scan()
    said(berta, SetAttribute("phone", "+49307654321"))
    for one in (anna, again):
        said(one, SetAttribute("phone", "+49309999999"))
    scan()
    assert pairs() == {two(anna, again): ["mailbox", "phone"]}


def test_another_audience_is_another_world() -> None:
    here = make_contact("anna@gmail.com")
    there = make_audience(make_site("other.example", port=443))
    make_contact("anna+a@gmail.com", audience=there)
    second = make_contact("anna+b@gmail.com", audience=there)
    scan()
    assert pairs() == {}
    made = scan(there)
    (pair,) = Duplicate.objects.all()
    assert pair.audience_id == there.pk and second.pk in (pair.first, pair.second)
    assert here.pk not in (pair.first, pair.second) and made.looked_at == 2


def test_who_was_told_apart_is_not_asked_about_again() -> None:
    make_contact("anna@gmail.com"), make_contact("anna+a@gmail.com")
    scan()
    pair = Duplicate.objects.get()
    duplicates.tell_apart(pair, actor=STAFF, reason="Mother and daughter")
    scan()
    pair.refresh_from_db()
    assert (pair.outcome, pair.by, pair.reason) == ("distinct", "admin:7", "Mother and daughter")
    assert Duplicate.objects.count() == 1
    with pytest.raises(duplicates.Settled):
        duplicates.tell_apart(pair, actor=STAFF, reason="again")


def test_what_a_crowd_shares_says_nothing_and_is_counted(monkeypatch: Any) -> None:
    monkeypatch.setattr(duplicates, "MOST", 3)
    for number in range(4):
        make_contact(f"anna+{number}@gmail.com")
    for number in range(3):
        make_contact(f"bert+{number}@gmail.com")
    made = scan()
    assert (made.crowds, made.found) == (1, 3)


def test_nothing_personal_is_noted() -> None:
    anna = make_contact("anna@gmail.com")
    said(anna, SetAttribute("phone", "+49301234567"))
    made = duplicates.start(make_audience(), "test")
    duplicates.step(made.pk)
    assert MatchKey.objects.count() == 2
    for row in MatchKey.objects.values():
        assert not {"anna", "gmail", "1234567"} & set(str(row).split()) and len(row["key"]) == 64
        assert "anna" not in str(row) and "30123" not in str(row)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_it_goes_on_wherever_it_stopped(monkeypatch: Any, size: int) -> None:
    for name in ("PEOPLE", "KEYS", "PAIRS", "DROPPED"):
        monkeypatch.setattr(duplicates, name, size)
    monkeypatch.setattr(duplicates, "MOST", 3)
    for number in range(3):
        for letter in "abc":
            make_contact(f"{letter}+{number}@gmail.com")
    for number in range(11):  # more than a step, and more than two of them
        make_contact(f"crowd+{number}@gmail.com")
    made = scan()
    assert (made.looked_at, made.found, len(pairs()), made.crowds) == (20, 9, 9, 1)
    assert scan().found == 0
    assert len(pairs()) == 9


def test_there_is_one_at_a_time_and_it_can_be_stopped() -> None:
    make_contact("anna@gmail.com")
    audience = make_audience()
    made = duplicates.start(audience, "test")
    with pytest.raises(duplicates.Running):
        duplicates.start(audience, "test")
    duplicates.step(made.pk)
    assert MatchKey.objects.exists()
    assert duplicates.stop(audience)
    assert duplicates.go_on in CHORES
    assert duplicates.go_on() == 1
    assert not MatchKey.objects.exists()
    assert not duplicates.stop(audience)
    with CaptureQueriesContext(connection) as queries:
        assert duplicates.go_on() == 0
    assert len(queries) == 1


def test_a_step_takes_as_many_statements_for_two_hundred_as_for_two(monkeypatch: Any) -> None:
    def statements() -> int:
        made = duplicates.start(make_audience(), "test")
        with CaptureQueriesContext(connection) as queries:
            duplicates.step(made.pk)
        duplicates.stop(make_audience())
        duplicates.go_on()
        return len(queries)

    make_contact("a+0@gmail.com")
    few = statements()
    for number in range(60):
        make_contact(f"{chr(97 + number % 26)}+{number}@gmail.com")
    assert statements() == few


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_one_scan_once() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    for number in range(12):
        make_contact(f"{'abcdef'[number % 6]}+{number}@gmail.com")
    made = duplicates.start(make_audience(), "test")
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for _number in range(200):
                if not duplicates.step(made.pk) and DuplicateScan.objects.get(pk=made.pk).done_at:
                    break
        except BaseException as problem:  # noqa: BLE001 - the test tells of it, in its own thread
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.refresh_from_db()
    assert not problems and made.done_at is not None
    assert (made.looked_at, made.found, Duplicate.objects.count()) == (12, 6, 6)


# --- settling --------------------------------------------------------------------------------------------------------


def pair_of(first: Contact, second: Contact) -> Duplicate:
    ids = sorted([first.pk, second.pk])
    found: Duplicate = Duplicate.objects.create(
        audience=first.audience, first=ids[0], second=ids[1], kinds=["mailbox"], found_at=timezone.now()
    )
    return found


def versions(*people: Contact) -> dict[UUID, int]:
    return {one.pk: contacts.load_state(one.pk).version for one in people}


UNTIL = [datetime(2199, 1, day, tzinfo=UTC) for day in (1, 2)]
CHANGES = st.lists(
    st.one_of(
        st.builds(
            SetChoice,
            st.sampled_from(["news", "offers", ""]),
            st.sampled_from(["email", "sms"]),
            st.sampled_from([SUBSCRIBED, UNSUBSCRIBED]),
        ).filter(lambda change: change.topic or change.value == UNSUBSCRIBED),
        st.builds(
            SetFrequency, st.sampled_from(["", "news"]), st.just(""), st.sampled_from(["daily", "monthly"])
        ),
        st.builds(Pause, st.sampled_from(["", "news"]), st.just(""), st.sampled_from(UNTIL)),
        st.builds(SetAttribute, st.sampled_from(["city", "country"]), st.sampled_from(["US", "DE"])),
        st.just(OptOut()),
    ),
    max_size=4,
)


@pytest.mark.property
@examples(60)
@given(
    st.lists(CHANGES, max_size=2),
    st.lists(CHANGES, max_size=2),
    st.booleans(),
    st.tuples(*[st.sampled_from(["", "DE", "DE-BY", "US"])] * 2),
)
def test_what_is_rehearsed_is_what_a_merge_comes_to(
    hers: list[Any], others: list[Any], keeps_first: bool, named: tuple[str, str]
) -> None:
    make_topics()
    number = Contact.objects.count()
    people = [make_contact(f"{name}{number}@mail.example.org") for name in ("anna", "bert")]
    for contact, given_, country in zip(people, (hers, others), named, strict=True):
        Contact.objects.filter(pk=contact.pk).update(country=country, country_source="site")
        for changes in given_:
            for change in changes:
                said(contact, change)
    pair = pair_of(*people)
    keep, loser = people if keeps_first else people[::-1]
    expected = duplicates.rehearse(pair, keep.pk, STAFF)
    was = contacts.load_state(loser.pk)
    saved = duplicates.merge(
        pair, keep.pk, versions(*people), actor=STAFF, source=BY_STAFF, reason="One person"
    )
    assert saved.effects == expected.effects
    assert saved.yielded == expected.yielded
    after = contacts.load_state(keep.pk)
    assert _plain(after) == _plain(expected.after)
    # Nobody gets anything that either of the two had refused.
    assert after.opted_out == (expected.before.opted_out or was.opted_out)
    for key, value in was.choices.items():
        if value == UNSUBSCRIBED:
            assert after.choices.get(key) != SUBSCRIBED
    assert _yeses(after) <= _yeses(expected.before)


def _plain(state: ContactState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in (field.name for field in fields(state))}


def _yeses(state: ContactState) -> set[Any]:
    return {key for key, value in state.choices.items() if value == SUBSCRIBED}


def test_a_merge_ends_her_other_pairs_and_stands_in_the_ledger() -> None:
    anna, bert, carla = (make_contact(f"{name}@mail.example.org") for name in ("anna", "bert", "carla"))
    pair, rest = pair_of(anna, bert), pair_of(bert, carla)
    duplicates.merge(pair, anna.pk, versions(anna, bert), actor=STAFF, source=BY_STAFF, reason="One person")
    pair.refresh_from_db(), rest.refresh_from_db()
    assert (pair.outcome, rest.outcome) == ("merged", "gone")
    assert contacts.load_state(bert.pk).merged_into == anna.pk
    with pytest.raises(duplicates.Settled):
        duplicates.merge(pair, anna.pk, versions(anna, bert), actor=STAFF, source=BY_STAFF, reason="again")
    with pytest.raises(UnknownContact):
        duplicates.rehearse(rest, carla.pk, STAFF)


def test_what_she_saved_meanwhile_is_seen_first() -> None:
    make_topics()
    anna, bert = make_contact("anna@mail.example.org"), make_contact("bert@mail.example.org")
    pair, seen = pair_of(anna, bert), versions(anna, bert)
    said(bert, SetChoice("news", "email", UNSUBSCRIBED))
    with pytest.raises(duplicates.Moved):
        duplicates.merge(pair, anna.pk, seen, actor=STAFF, source=BY_STAFF, reason="One person")
    pair.refresh_from_db()
    assert pair.outcome == "" and contacts.load_state(bert.pk).merged_into is None


def test_an_erasure_takes_the_digests_and_the_pairs_along() -> None:
    anna, again = make_contact("anna@gmail.com"), make_contact("anna+a@gmail.com")
    scan()
    made = duplicates.start(make_audience(), "test")
    duplicates.step(made.pk)
    submissions.erase(anna.pk, actor=STAFF, source=BY_STAFF)
    assert not MatchKey.objects.filter(contact=anna.pk).exists()
    assert MatchKey.objects.filter(contact=again.pk).exists()
    assert Duplicate.objects.get().outcome == "gone"
    assert not duplicates.open_pairs([make_audience()]).exists()


@pytest.mark.django_db(transaction=True)
def test_settling_erasing_and_searching_do_not_wait_for_each_other() -> None:
    """Somebody is merged, told apart and erased in the same moment in which a scan looks through the pairs."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    audience, problems = make_audience(), list[BaseException]()

    def each(*works: Callable[[], object]) -> None:
        begin = threading.Barrier(len(works))

        def run_one(work: Callable[[], object]) -> None:
            try:
                begin.wait()
                work()
            except (duplicates.Settled, duplicates.Moved, UnknownContact):
                pass
            except BaseException as problem:  # noqa: BLE001 - the test tells of it, in its own thread
                problems.append(problem)
            finally:
                connection.close()

        threads = [threading.Thread(target=run_one, args=[work]) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for number in range(8):
        people = [make_contact(f"a{number}+{letter}@gmail.com") for letter in "abc"]
        first, second, third = sorted(people, key=lambda one: one.pk)
        scan(audience)
        pair = Duplicate.objects.get(first=first.pk, second=second.pk)
        rest = Duplicate.objects.get(first=second.pk, second=third.pk)
        made = duplicates.start(audience, "test")
        while DuplicateScan.objects.get(pk=made.pk).phase != DuplicateScan.Phase.CHECK:
            duplicates.step(made.pk)
        seen = versions(first, second)
        each(
            partial(
                duplicates.merge, pair, first.pk, seen, actor=STAFF, source=BY_STAFF, reason="One person"
            ),
            partial(submissions.erase, second.pk, actor=STAFF, source=BY_STAFF),
            partial(duplicates.tell_apart, rest, actor=STAFF, reason="Two"),
            partial(duplicates.step, made.pk),
        )
        while duplicates.step(made.pk):
            pass
        pair.refresh_from_db(), rest.refresh_from_db()
        assert contacts.load_state(second.pk).erased or contacts.load_state(second.pk).merged_into
        assert pair.outcome in {"merged", "gone"} and rest.outcome in {"distinct", "gone"}
    assert not problems


def test_nobody_is_kept_who_is_neither() -> None:
    pair = pair_of(make_contact("anna@mail.example.org"), make_contact("bert@mail.example.org"))
    with pytest.raises(ValueError, match="neither"):
        duplicates.rehearse(pair, make_contact("carla@mail.example.org").pk, STAFF)


# --- the command -----------------------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("prefs_duplicates", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_looks_and_lists_by_ids() -> None:
    anna, again = make_contact("anna@gmail.com"), make_contact("anna+a@gmail.com")
    out, _err = run("--json")
    assert json.loads(out) == {"people": 2, "open": 0, "searched_at": None, "under_way": False}
    assert "never searched" in run()[0] and not DuplicateScan.objects.exists()
    out, _err = run("--apply", "--json")
    assert json.loads(out) == {"looked_at": 2, "found": 1, "crowds": 0, "open": 1}
    out, _err = run("--list", "--json")
    assert json.loads(out) == {"first": str(anna.pk), "second": str(again.pk), "share": ["mailbox"]}
    out, _err = run("--list")
    assert out.split() == [str(anna.pk), str(again.pk), "mailbox"]
    assert "1 open pairs, searched last on" in run()[0]
    assert "gmail" not in run("--apply")[0] + run()[0] + run("--list")[0]
    assert Contact.objects.filter(merged_into=None).count() == 2


def test_the_command_goes_on_and_stops() -> None:
    make_contact("anna@gmail.com")
    duplicates.start(make_audience(), "admin:7")
    assert "searched since" in run()[0]
    _out, err = run("--apply")
    assert "Going on" in err
    assert "none under way" in run("--stop")[1]


def test_the_command_wants_an_audience_that_there_is() -> None:
    make_audience()
    with pytest.raises(CommandError, match="Name the audience"):
        run("--audience", "nowhere")
    make_audience(make_site("other.example", port=443))
    with pytest.raises(CommandError, match="Name the audience"):
        run()
