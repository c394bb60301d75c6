"""Today's state is what the after values say, path by path, in the order of seq."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests import factories
from tests.properties import examples
from wagtail_prefs.canonical import canonical
from wagtail_prefs.changes import Change, SetAttribute, SetChoice
from wagtail_prefs.ledger import fold, format1, services as ledger
from wagtail_prefs.ledger.fold import Broken, Gone, Side, Value
from wagtail_prefs.ledger.models import Record, SideValue
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.values import Actor, ActorType, Effect, Json, Merged, Source

CONTACT = uuid.UUID("019a0000-0000-7000-8000-000000000002")
START = datetime(2026, 11, 22, 8, tzinfo=UTC)
PERSON = Actor(ActorType.SUBJECT_SESSION)
Sides = dict[tuple[str, str], Side]


def record_id(seq: int) -> uuid.UUID:
    return uuid.UUID(int=seq)


def make_body(
    seq: int,
    effects: Sequence[Effect],
    commitments: Sequence[format1.Commitment] = (),
    *,
    changes: Sequence[Change] = (),
    merged: Sequence[Merged] = (),
) -> Json:
    """A body as it reads back from the database."""
    body = format1.body(
        record_id=record_id(seq),
        contact=CONTACT,
        audience="brand",
        seq=seq,
        at=START + timedelta(seconds=seq),
        actor=PERSON,
        source=Source(method="page"),
        base_version=None,
        changes=changes,
        effects=effects,
        merged=merged,
        proof=format1.Proof(),
        request=None,
        commitments=commitments,
    )
    read: Json = json.loads(canonical(body))
    return read


def committed(effects: Sequence[Effect]) -> list[format1.Commitment]:
    return [
        format1.commit(effect.path, {"before": effect.before, "after": effect.after})
        for effect in effects
        if effect.path.startswith(("attribute:", "address:"))
    ]


def side_of(commitment: format1.Commitment) -> Side:
    return Side(commitment.salt, canonical(commitment.value).decode())


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
PLAIN = st.one_of(TEXT, st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.lists(TEXT, max_size=2))
PATHS = st.sampled_from(
    ["opted_out", "choice:news:email", "choice:news:sms", "frequency:all", "pause:topic:news", "unheard_of:é"]
)
PERSONAL = st.sampled_from(["attribute:phone", "attribute:reason", "address:email"])
MOMENTS = st.none() | st.integers(-(10**15), 10**15).map(
    lambda number: START + timedelta(microseconds=number)
)
EFFECTS = st.builds(
    Effect,
    path=PATHS | PERSONAL,
    before=st.none() | PLAIN,
    after=st.none() | PLAIN,
    action=st.just("set"),
    until=MOMENTS,
)
RECORDS = st.lists(st.lists(EFFECTS, max_size=4, unique_by=lambda effect: effect.path), max_size=6)


@pytest.mark.property
@examples(300)
@given(RECORDS, st.data())
def test_the_fold_is_a_plain_replay(records: list[list[Effect]], data: st.DataObject) -> None:
    """Whatever happens in whatever order, and whichever side values were erased or tampered with."""
    bodies, sides = [], Sides()
    expected: dict[str, tuple[Any, datetime | None, int]] = {}
    for seq, effects in enumerate(records, start=1):
        commitments = {item.name: item for item in committed(effects)}
        bodies.append(make_body(seq, effects, list(commitments.values())))
        for effect in effects:
            after: Any = effect.after
            if item := commitments.get(effect.path):
                fate = data.draw(st.sampled_from(["kept", "kept", "erased", "salt", "value"]))
                if fate != "erased":
                    sides[str(record_id(seq)), effect.path] = spoilt(side_of(item), fate)
                if after is not None and fate != "kept":
                    after = (Gone if fate == "erased" else Broken)(item.digest)
            expected[effect.path] = (after, effect.until, seq)
    found = fold.fold(bodies, lambda record, path: sides.get((record, path)))
    assert {path: (value.after, value.until, value.seq) for path, value in found.items()} == expected
    for path, (after, _, _) in expected.items():
        assert type(found[path].after) is type(after)


def spoilt(side: Side, how: str) -> Side:
    if how == "salt":
        return replace(side, salt=bytes(reversed(side.salt[:-1])) + b"?")
    return replace(side, value=side.value + " ") if how == "value" else side


def test_what_was_cleared_is_there_as_absent() -> None:
    bodies = [
        make_body(1, [Effect("frequency:all", None, "weekly", "set")]),
        make_body(2, [Effect("frequency:all", "weekly", None, "cleared")]),
    ]
    assert fold.fold(bodies, None) == {"frequency:all": Value(None, None, 2)}
    assert fold.fold([], None) == {}


def test_without_the_side_table_a_personal_value_is_gone_and_not_absent() -> None:
    effects = [Effect("attribute:phone", None, "+4930123", "set")]
    commitments = committed(effects)
    found = fold.fold([make_body(1, effects, commitments)], None)
    assert found["attribute:phone"].after == Gone(commitments[0].digest) != Broken(commitments[0].digest)
    assert found["attribute:phone"].after is not None


@pytest.mark.parametrize("value", [None, 5, "x", ["after"], {"before": "x"}, {"before": "x", "after": None}])
def test_a_side_value_that_opens_and_says_nothing_is_broken(value: Any) -> None:
    commitment = format1.commit("attribute:phone", value)
    body = make_body(1, [Effect("attribute:phone", None, "+4930123", "set")], [commitment])
    found = fold.fold([body], lambda *_: side_of(commitment))
    assert found["attribute:phone"].after == Broken(commitment.digest)


def test_a_side_value_that_is_no_json_is_broken() -> None:
    side = Side(b"s" * 16, "{")
    body = make_body(1, [Effect("attribute:phone", None, {"committed": hmac_hex(side)}, "set")])
    assert fold.fold([body], lambda *_: side)["attribute:phone"].after == Broken(hmac_hex(side))
    for strange in ("é", "", "\ud800"):
        body["effects"][0]["after"] = {"committed": strange}
        assert fold.fold([body], lambda *_: side)["attribute:phone"].after == Broken(strange)


def hmac_hex(side: Side) -> str:
    return hmac.new(side.salt, side.value.encode(), hashlib.sha256).hexdigest()


def broken(kind: str) -> list[Any]:
    bodies: list[Any] = [make_body(seq, [Effect("opted_out", None, True, "set")]) for seq in (1, 2, 3, 4)]
    match kind:
        case "gap":
            del bodies[1]
        case "no first":
            del bodies[0]
        case "swapped":
            bodies[1], bodies[2] = bodies[2], bodies[1]
        case "twice":
            bodies.insert(1, bodies[1])
        case "another contact":
            bodies[2]["subject_ref"] = str(uuid.uuid4())
        case "another format":
            bodies[2]["format"] = 2
        case "no effects":
            del bodies[2]["effects"]
        case "no body":
            bodies[2] = []
        case "no effect":
            bodies[2]["effects"] = ["opted_out"]
        case "no moment":
            bodies[2]["effects"][0]["validity_until"] = "soon"
        case "a number for a moment":
            bodies[2]["effects"][0]["validity_until"] = 5
    return bodies


@pytest.mark.parametrize(
    "kind",
    ["gap", "no first", "swapped", "twice", "another contact", "another format", "no effects", "no body", "no effect",
     "no moment", "a number for a moment"],
)  # fmt: skip
def test_what_is_no_whole_chain_is_not_folded(kind: str) -> None:
    with pytest.raises(ValueError, match=r"record|soon"):
        fold.fold(broken(kind), None)


# The commitments


def test_a_side_value_is_held_against_the_record_and_its_name() -> None:
    effects = [
        Effect("attribute:phone", None, "1", "set"),
        Effect("address:email", "a@x.example", "b@x.example", "set"),
    ]
    phone, email = committed(effects)
    body = make_body(1, effects, [phone, email])
    assert fold.side_value_matches(body, "attribute:phone", side_of(phone))
    assert fold.side_value_matches(body, "address:email", side_of(email))
    assert not fold.side_value_matches(body, "attribute:phone", side_of(email))
    assert not fold.side_value_matches(body, "attribute:other", side_of(phone))
    assert not fold.side_value_matches(body, "attribute:phone", spoilt(side_of(phone), "salt"))
    assert not fold.side_value_matches(body, "attribute:phone", spoilt(side_of(phone), "value"))


@pytest.mark.parametrize("name", ["address_as_entered", "ip_truncated"])
def test_what_the_source_says_is_committed_to_as_well(name: str) -> None:
    commitment = format1.commit(name, "203.0.113.0/24")
    assert fold.side_value_matches(make_body(1, [], [commitment]), name, side_of(commitment))
    assert not fold.side_value_matches(make_body(1, [], []), name, side_of(commitment))
    assert not fold.side_value_matches(make_body(1, []), name, Side(b"", ""))


def test_so_is_a_wish_that_came_to_nothing() -> None:
    wished = format1.commit("attribute:phone", {"wanted": {"value": "1"}})
    body = make_body(
        1, [], [wished], changes=[SetAttribute("phone", "1"), SetChoice("news", "email", "subscribed")]
    )
    assert '"1"' not in json.dumps(body)
    assert fold.side_value_matches(body, "attribute:phone", side_of(wished))
    assert not fold.side_value_matches(body, "attribute:other", side_of(wished))
    yielded = format1.commit("attribute:phone", {"wanted": "1", "kept": "2"})
    body = make_body(1, [], [yielded], merged=[Merged("attribute:phone", "1", "2", "newest")])
    assert fold.side_value_matches(body, "attribute:phone", side_of(yielded))


# From the database


def save(contact: uuid.UUID, *changes: Change) -> None:
    source = Source(method="python", ip="203.0.113.77")
    submissions.record(contact, changes, actor=PERSON, source=source)


@pytest.mark.django_db
def test_of_a_contact(django_assert_num_queries: Any) -> None:
    anna, other = (factories.make_contact(f"{name}@mail.example.org").pk for name in ("anna", "other"))
    save(anna, SetChoice("news", "email", "subscribed"), SetAttribute("phone", "1"))
    save(other, SetAttribute("phone", "9"))
    save(anna, SetChoice("news", "email", "unsubscribed"), SetAttribute("phone", "2"))
    with django_assert_num_queries(2):
        found = fold.of(anna)
    assert (found["choice:news:email"].after, found["choice:news:email"].seq) == ("unsubscribed", 2)
    assert found["attribute:phone"] == Value("2", None, 2)
    first = fold.of(anna, until_seq=1)
    assert (first["choice:news:email"].after, first["attribute:phone"].after) == ("subscribed", "1")
    assert fold.of(anna, until_seq=0) == fold.of(uuid.uuid4()) == {}
    assert fold.of(other)["attribute:phone"].after == "9"


@pytest.mark.django_db
def test_of_a_contact_who_was_erased_or_tampered_with() -> None:
    contact = factories.make_contact().pk
    save(contact, SetAttribute("phone", "1"), SetAttribute("city", "Rome"))
    phone = SideValue.objects.filter(name="attribute:phone")
    phone.update(value=canonical({"before": None, "after": "666"}).decode())
    SideValue.objects.filter(name="attribute:city").delete()
    found = fold.of(contact)
    assert type(found["attribute:phone"].after) is Broken
    assert type(found["attribute:city"].after) is Gone


@pytest.mark.django_db
def test_of_a_contact_whose_records_are_another_ones() -> None:
    anna, other = (factories.make_contact(f"{name}@mail.example.org").pk for name in ("anna", "other"))
    save(anna, SetChoice("news", "email", "subscribed"))
    Record.objects.update(contact_ref=other)
    with pytest.raises(ValueError, match="another contact"):
        fold.of(other)


@pytest.mark.django_db
def test_every_side_value_that_a_save_writes_matches() -> None:
    contact = factories.make_contact().pk
    save(contact, SetAttribute("phone", "1"))
    save(contact, SetAttribute("phone", "1"), SetAttribute("city", "Rome"))  # the first comes to nothing
    names: Mapping[int, set[str]] = {
        record.seq: {
            row.name
            for row in SideValue.objects.filter(record=record.pk)
            if fold.side_value_matches(ledger.read_body(record), row.name, Side(bytes(row.salt), row.value))
        }
        for record in Record.objects.all()
    }
    assert names == {
        1: {"attribute:phone", "ip_truncated"},
        2: {"attribute:phone", "attribute:city", "ip_truncated"},
    }
    assert SideValue.objects.count() == 5
